"""That a transaction stands in a block: its Merkle-Patricia proofs, made from a node and verified without one.

A block's hash is keccak256 of its header; the header holds the roots of two tries, over the block's transactions and
over their receipts, both by the RLP of the transaction's index (Ethereum yellow paper, 4.3; typed envelopes: EIP-2718).
A receipt names no transaction: that both have one index ties them together.

`read_mined` asks a node, whose answers are put together again and must give the hashes that it states. What it lists in
a form that is not Ethereum's (other types of transactions, other headers) comes without proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import rlp
from eth_account import Account
from eth_bloom.bloom import BloomFilter
from eth_keys.exceptions import BadSignature
from eth_utils import exceptions as eth_utils
from eth_utils.crypto import keccak
from hexbytes import HexBytes
from rlp.exceptions import RLPException
from trie.exceptions import BadTrieProof, InvalidNode, TraversedPartialPath, ValidationError
from trie.hexary import HexaryTrie
from web3.exceptions import Web3Exception

from trader.errors import ChainUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trader.chain.node import Chain

_BEFORE_FEES: tuple[str, ...] = (
    "parentHash",
    "sha3Uncles",
    "miner",
    "stateRoot",
    "transactionsRoot",
    "receiptsRoot",
    "logsBloom",
)
_BEFORE_FEES += ("difficulty", "number", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce")
_LATER = ("baseFeePerGas", "withdrawalsRoot", "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot", "requestsHash")
"""Fields of a header in order; the later ones came one fork after another."""
_TRANSACTIONS_ROOT, _RECEIPTS_ROOT, _NUMBER, _TIMESTAMP = 4, 5, 8, 11
_BLOOM_BYTES = 256

_CALL = ("gas", "to", "value", "input")
_FIELDS = {
    0: ("nonce", "gasPrice", *_CALL),
    1: ("chainId", "nonce", "gasPrice", *_CALL, "accessList"),
    2: ("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", *_CALL, "accessList"),
}
"""Fields of each type of transaction before its signature (EIP-2930, EIP-1559)."""


_OF_TRIE = (BadTrieProof, InvalidNode, TraversedPartialPath, ValidationError, RLPException)
_BROKEN_TRIE = (*_OF_TRIE, IndexError, TypeError, ValueError)
"""What `trie` raises of nodes that nobody's trie has."""


class InclusionError(Exception):
    """A proof does not lead to the root; who verifies says what that means."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a block's header says.

    Attributes:
        hash: Of the block.
        number: Its height.
        time_seconds: Its Unix time.
        transactions_root: Root of the trie over its transactions.
        receipts_root: Root of the trie over their receipts.
    """

    hash: bytes
    number: int
    time_seconds: int
    transactions_root: bytes
    receipts_root: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """What a signed transaction says.

    Attributes:
        chain_id: Of the chain that it is for; None where it is for any (before EIP-155).
        to: Address that it calls, 20 bytes; empty for a creation.
        value_wei: Ether sent along.
        data: Calldata.
    """

    chain_id: int | None
    to: bytes
    value_wei: int
    data: bytes


@dataclass(frozen=True, slots=True)
class ReceiptLog:
    """An event in a receipt.

    Attributes:
        address: Of the contract that emitted it, 20 bytes.
        topics: 32 bytes each.
        data: The rest.
    """

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Mined:
    """A mined transaction with the proofs that it was.

    Attributes:
        block_number: Block that holds it.
        block_hash: Hash of that block.
        header: The block's header, RLP; empty where it can't be put together.
        index: Place in the block.
        raw: The signed transaction.
        receipt: Its receipt, encoded as in the trie.
        transaction_path: Nodes from the root of the transactions; empty without a proof.
        receipt_path: Nodes from the root of the receipts; empty without a proof.
    """

    block_number: int
    block_hash: bytes
    header: bytes
    index: int
    raw: bytes
    receipt: bytes
    transaction_path: tuple[bytes, ...]
    receipt_path: tuple[bytes, ...]


# --------------------------------------------------------------------------------------------------- verification


def parse_header(data: bytes) -> Header:
    """Read a header.

    Raises:
        InclusionError: It is none.
    """
    fields = _decoded(data)
    flat = isinstance(fields, list) and all(isinstance(one, bytes) for one in fields)
    if not flat or len(fields) < len(_BEFORE_FEES):
        raise InclusionError("it is no header of a block")
    number, time_seconds = (int.from_bytes(fields[at], "big") for at in (_NUMBER, _TIMESTAMP))
    return Header(keccak(data), number, time_seconds, fields[_TRANSACTIONS_ROOT], fields[_RECEIPTS_ROOT])


def verify_path(root: bytes, index: int, path: Sequence[bytes], content: bytes) -> None:
    """Check that a trie with this root has `content` at `index`; silent on success.

    Raises:
        InclusionError: It does not follow from the nodes of the path.
    """
    try:
        nodes = [_decoded(node) for node in path]
        found = HexaryTrie.get_from_proof(root, rlp.encode(index), nodes)  # type: ignore[no-untyped-call]
    except _BROKEN_TRIE as error:
        raise InclusionError("the path does not lead to the root") from error
    if found != content:
        raise InclusionError("the path leads to another content")


def parse_call(raw: bytes) -> Call:
    """Read what a signed transaction calls; whose signature it has is not checked.

    Raises:
        InclusionError: It is none, or of a type that no party sends.
    """
    kind = raw[0] if raw and raw[0] < 0x80 else 0
    fields = _decoded(raw[1:] if kind else raw)
    names = _FIELDS.get(kind)
    if names is None or not isinstance(fields, list) or len(fields) != len(names) + 3 or not _are_plain(names, fields):
        raise InclusionError("it is no transaction of a type that parties send")
    to, value, data = (fields[names.index(name)] for name in ("to", "value", "input"))
    return Call(_chain_of(kind, fields), to, int.from_bytes(value, "big"), data)


def _are_plain(names: Sequence[str], fields: Sequence[Any]) -> bool:
    """Return whether all fields but the access list are bytes."""
    return all(isinstance(one, bytes) for at, one in enumerate(fields) if names[at : at + 1] != ("accessList",))


def _chain_of(kind: int, fields: list[Any]) -> int | None:
    """Return the chain id: the first field, or, of an older transaction, what v = 35 + 2·id + parity says."""
    if kind:
        return int.from_bytes(fields[0], "big")
    v = int.from_bytes(fields[-3], "big")
    return (v - 35) // 2 if v >= 35 else None


def recover_sender(raw: bytes) -> str:
    """Return the address that signed a transaction, in lower case.

    Raises:
        InclusionError: Nobody did.
    """
    try:
        return str(Account.recover_transaction(raw)).lower()
    except (ValueError, TypeError, BadSignature, eth_utils.ValidationError, RLPException) as error:
        raise InclusionError("nobody signed it") from error


def parse_receipt(data: bytes) -> tuple[bool, tuple[ReceiptLog, ...]]:
    """Return whether a receipt is of a transaction that succeeded, and its events.

    Raises:
        InclusionError: It is no receipt.
    """
    fields = _decoded(data[1:] if data and data[0] < 0x80 else data)
    try:
        status, _, _, logs = fields
        found = tuple(ReceiptLog(address, tuple(topics), content) for address, topics, content in logs)
    except (TypeError, ValueError) as error:
        raise InclusionError("it is no receipt") from error
    return status == b"\x01", found


def _decoded(data: bytes) -> Any:
    try:
        return rlp.decode(data)
    except RLPException as error:
        raise InclusionError("it is no RLP") from error


# ----------------------------------------------------------------------------------------------------------- reading


def read_mined(chain: Chain, transaction_hash: str) -> Mined:
    """Read a mined transaction, and make the proofs that it stands in its block.

    Raises:
        ChainUnavailableError: The node does not answer, does not know it, or contradicts itself about it.
    """
    with chain.reachable():
        own = chain.web3.eth.get_transaction(HexBytes(transaction_hash))
        block: Any = chain.web3.eth.get_block(own["blockHash"])
        index, neighbours = int(own["transactionIndex"]), list(block["transactions"])
        transactions = [_encode_transaction(one) for one in _transactions(chain, block)]
        encoded = [_encode_receipt(one) for one in _receipts(chain, block["hash"], neighbours)]
    raw = transactions[index]
    if raw is None:
        raise ChainUnavailableError(
            f"{chain.name} gives transaction {transaction_hash} in a form whose hash is another one. Use another node."
        )
    header = _encode_header(block)
    transaction_path = _path(transactions, index, bytes(block["transactionsRoot"]))
    receipt_path = _path(encoded, index, bytes(block["receiptsRoot"]))
    proven = bool(header and transaction_path and receipt_path)
    return Mined(
        block_number=int(block["number"]),
        block_hash=bytes(block["hash"]),
        header=header if header and proven else b"",
        index=index,
        raw=raw,
        receipt=encoded[index],
        transaction_path=transaction_path if proven else (),
        receipt_path=receipt_path if proven else (),
    )


def _transactions(chain: Chain, block: Any) -> list[Any]:
    """Return a block's transactions with all their fields."""
    found: Any = chain.web3.eth.get_block(block["hash"], full_transactions=True)["transactions"]
    # eth-tester leaves some fields out of those in blocks.
    return [one if "chainId" in one else chain.web3.eth.get_transaction(one["hash"]) for one in found]


def _receipts(chain: Chain, block_hash: Any, transactions: Sequence[Any]) -> Sequence[Any]:
    """Return the receipts of a block: at once, or one by one where the node does not give them so."""
    try:
        return chain.web3.eth.get_block_receipts(block_hash)
    except (Web3Exception, NotImplementedError, ValueError, KeyError):
        return [chain.web3.eth.get_transaction_receipt(one) for one in transactions]


def _path(contents: Sequence[bytes | None], index: int, root: bytes) -> tuple[bytes, ...]:
    """Return the nodes that lead to a content; none where one is unknown, or they have another root."""
    trie = HexaryTrie({})
    for at, content in enumerate(contents):
        if content is None:
            return ()
        trie[rlp.encode(at)] = content
    if trie.root_hash != root:
        return ()
    return tuple(rlp.encode(node) for node in trie.get_proof(rlp.encode(index)))  # type: ignore[no-untyped-call]


def _encode_header(block: Mapping[str, Any]) -> bytes | None:
    """Return the header whose hash is the block's; None where its fields give another one."""
    names = (*_BEFORE_FEES, *(name for name in _LATER if block.get(name) is not None))
    fields = {name: _field(name, block[name]) for name in names}
    fields["logsBloom"] = fields["logsBloom"].rjust(_BLOOM_BYTES, b"\0")
    # eth-tester pads the extra data of its blocks, which is empty.
    for extra in (fields["extraData"], b""):
        encoded: bytes = rlp.encode(list((fields | {"extraData": extra}).values()))
        if keccak(encoded) == bytes(block["hash"]):
            return encoded
    return None


def _encode_transaction(transaction: Mapping[str, Any]) -> bytes | None:
    """Return the signed transaction; None where it is of another type or its fields give another hash."""
    kind = int(HexBytes(transaction.get("type", 0)).hex() or "0", 16)
    names = _FIELDS.get(kind)
    if names is None:
        return None
    parity = transaction.get("yParity", transaction.get("y_parity", transaction["v"])) if kind else transaction["v"]
    signature = [parity, *(int.from_bytes(bytes(HexBytes(transaction[name])), "big") for name in ("r", "s"))]
    fields = [_field(name, transaction[name]) for name in names] + [_field("", value) for value in signature]
    encoded: bytes = (bytes([kind]) if kind else b"") + rlp.encode(fields)
    return encoded if keccak(encoded) == bytes(transaction["hash"]) else None


def _encode_receipt(receipt: Mapping[str, Any]) -> bytes:
    logs: list[Any] = [
        [bytes(HexBytes(log["address"])), [bytes(topic) for topic in log["topics"]], bytes(HexBytes(log["data"]))]
        for log in receipt["logs"]
    ]
    bloom = BloomFilter()
    for address, topics, _ in logs:
        bloom.extend([address, *topics])
    fields = [
        _field("", receipt["status"]),
        _field("", receipt["cumulativeGasUsed"]),
        int(bloom).to_bytes(_BLOOM_BYTES, "big"),
        logs,
    ]
    kind = int(HexBytes(receipt.get("type", 0)).hex() or "0", 16)
    encoded: bytes = (bytes([kind]) if kind else b"") + rlp.encode(fields)
    return encoded


def _field(name: str, value: Any) -> Any:
    """Return a field as RLP takes it: numbers without leading zeros, everything else as bytes."""
    if name == "accessList":
        return [
            [bytes(HexBytes(one["address"])), [bytes(HexBytes(key)) for key in one["storageKeys"]]] for one in value
        ]
    if value is None:
        return b""  # the address that a creation calls
    if isinstance(value, int):
        return value.to_bytes((value.bit_length() + 7) // 8, "big")
    return _bytes(value)


def _bytes(value: Any) -> bytes:
    return bytes(HexBytes(value))
