"""Proofs that transactions stand in blocks: made from a development chain, and checked as a third party does."""

from __future__ import annotations

import secrets

import pytest
import rlp
from eth_account import Account
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st
from trie import HexaryTrie

from trader.chain import Chain
from trader.chain.inclusion import (
    InclusionError,
    _path,
    parse_call,
    parse_header,
    parse_receipt,
    read_mined,
    recover_sender,
    verify_path,
)


@pytest.fixture(scope="module")
def deployed() -> Chain:
    chain, account = Chain.embedded(), Account.create()
    chain.fund(account.address, 10**19)
    chain.deploy(account)
    return chain


def test_every_transaction_of_a_chain_is_proven(deployed: Chain) -> None:
    """Transfers, a creation without chain id of 2015, calls with access lists."""
    for number in range(1, deployed.block_number + 1):
        block = deployed.web3.eth.get_block(number)
        for transaction_hash in block["transactions"]:
            mined = read_mined(deployed, transaction_hash.to_0x_hex())
            header = parse_header(mined.header)
            assert (header.hash, header.number, header.time_seconds) == (block["hash"], number, block["timestamp"])
            assert keccak(mined.raw) == transaction_hash
            verify_path(header.transactions_root, mined.index, mined.transaction_path, mined.raw)
            verify_path(header.receipts_root, mined.index, mined.receipt_path, mined.receipt)
            assert parse_receipt(mined.receipt)[0]
            assert parse_call(mined.raw).value_wei == deployed.web3.eth.get_transaction(transaction_hash)["value"]


@pytest.mark.parametrize("count", [1, 2, 16, 17, 127, 128, 129, 300])
def test_blocks_of_many_transactions(count: int) -> None:
    contents = [secrets.token_bytes(40 + index) for index in range(count)]
    trie = HexaryTrie({})
    for index, content in enumerate(contents):
        trie[rlp.encode(index)] = content
    for index in {0, count // 2, count - 1}:
        path = _path(contents, index, trie.root_hash)
        verify_path(trie.root_hash, index, path, contents[index])
        for wrong_root, wrong_index, wrong_path, wrong_content in (
            (bytes(32), index, path, contents[index]),
            (trie.root_hash, index + 1, path, contents[index]),
            (trie.root_hash, index, path[:-1], contents[index]),
            (trie.root_hash, index, path, contents[index] + b"\0"),
        ):
            with pytest.raises(InclusionError):
                verify_path(wrong_root, wrong_index, wrong_path, wrong_content)
    assert _path([*contents, b"one more"], 0, trie.root_hash) == ()
    assert _path([*contents[:-1], None], 0, trie.root_hash) == ()


_items = st.recursive(
    st.binary(max_size=33), lambda inner: st.lists(inner, max_size=4) | st.lists(inner, min_size=17, max_size=17)
)


@given(st.binary(max_size=200) | _items.map(rlp.encode), st.integers(0, 300))
def test_bytes_of_others_are_read_or_refused(data: bytes, index: int) -> None:
    """Nodes that no trie has, calls whose fields are lists: `trie` and `rlp` have many errors of their own."""
    for parse in (parse_header, parse_call, parse_receipt, recover_sender, lambda one: parse_call(b"\x02" + one)):
        try:
            parse(data)
        except InclusionError:
            continue
    try:
        verify_path(keccak(data), index, (data,), data)
    except InclusionError:
        return


@pytest.mark.anvil
def test_a_block_of_several_transactions_of_a_real_node(anvil_url: str) -> None:
    chain = Chain.connect(anvil_url)
    request = chain.web3.provider.make_request
    request("evm_setAutomine", [False])
    accounts = chain.web3.eth.accounts
    sent = [chain.web3.eth.send_transaction({"from": one, "to": accounts[0], "value": 7}) for one in accounts[1:5]]
    request("evm_mine", [])
    request("evm_setAutomine", [True])
    for transaction_hash in sent:
        mined = read_mined(chain, transaction_hash.to_0x_hex())
        header = parse_header(mined.header)
        assert keccak(mined.raw) == transaction_hash
        verify_path(header.transactions_root, mined.index, mined.transaction_path, mined.raw)
        verify_path(header.receipts_root, mined.index, mined.receipt_path, mined.receipt)
    assert len({read_mined(chain, one.to_0x_hex()).index for one in sent}) == len(sent)
