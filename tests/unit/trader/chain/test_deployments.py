"""Our contracts on a chain: found, brought there once, refused where something else stands, and remembered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account

from contracts import published_deployment
from contracts.deployments import Standing, is_code_of, published_contracts
from contracts.errors import DeploymentError, UnexpectedCodeError
from contracts.published import read_artifacts
from tests.simulators.node import Node
from trader.chain import Chain
from trader.chain.deployments import deploy_missing, find_contracts, record_deployment, recorded_first_block
from trader.chain.market import Market
from trader.clients.connection import Connection
from trader.errors import CallerError
from trader.settings import read_buyer_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from eth_account.signers.local import LocalAccount

    from tests.unit.trader.conftest import Ran

ETHER = 10**18
NAMES = [contract.name for contract in published_contracts()]
ESSENTIAL = ["Halo2VerifierReusable", "ModelMarket"]


@pytest.fixture(params=["embedded", pytest.param("anvil", marks=pytest.mark.anvil)])
def chain(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Chain]:
    if request.param == "embedded":
        yield Chain.embedded()
        return
    node = Node(tmp_path)
    yield Chain.connect(node.start())
    node.stop()


@pytest.fixture
def account(chain: Chain) -> LocalAccount:
    fresh = Account.create()
    chain.fund(fresh.address, 5 * ETHER)
    return fresh


def standings(chain: Chain) -> dict[str, Standing]:
    return {found.name: found.standing for found in find_contracts(chain)}


def code_at(chain: Chain, monkeypatch: pytest.MonkeyPatch, address: str, code: bytes) -> None:
    """A chain that has other code at an address."""
    get_code = chain.web3.eth.get_code
    monkeypatch.setattr(
        chain.web3.eth, "get_code", lambda asked, *rest: code if asked == address else get_code(asked, *rest)
    )


def test_what_is_missing_is_brought_once(chain: Chain, account: LocalAccount, tmp_path: Path) -> None:
    assert NAMES[:2] == ESSENTIAL
    assert set(standings(chain).values()) == {Standing.MISSING}
    record = tmp_path / "folder" / "deployments.json"
    with pytest.raises(DeploymentError, match=r"Halo2VerifierReusable, ModelMarket does not stand .* nothing is rec"):
        record_deployment(record, chain)
    assert not record.exists()
    head = chain.block_number
    assert [found.name for found in deploy_missing(chain, account)] == NAMES
    assert set(standings(chain).values()) == {Standing.STANDS}
    sent = chain.web3.eth.get_transaction_count(account.address)
    assert deploy_missing(chain, account) == []
    assert chain.web3.eth.get_transaction_count(account.address) == sent

    first_block = record_deployment(record, chain)
    assert head < first_block <= chain.block_number
    market = published_deployment().market
    assert chain.web3.eth.get_code(market, first_block)
    assert not chain.web3.eth.get_code(market, first_block - 1)
    assert recorded_first_block(record, chain) == first_block
    assert Market.at(chain, first_block=first_block).listed() == {}


def test_half_a_deployment_is_completed(chain: Chain, account: LocalAccount) -> None:
    """Whoever deployed was killed after the first contract."""
    chain.fund(account.address, ETHER)
    from contracts.create2 import create
    from contracts.manager import PUBLISHED_SALT, VERIFIER

    with chain.sending(account):
        create(chain.web3, account.address, VERIFIER, PUBLISHED_SALT, read_artifacts().contracts[VERIFIER].bytecode)
    assert [name for name, standing in standings(chain).items() if standing is Standing.STANDS] == [VERIFIER]
    assert [found.name for found in deploy_missing(chain, account)] == NAMES[1:]


def test_other_code_at_an_address_stops_everything(
    chain: Chain, account: LocalAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    code_at(chain, monkeypatch, published_deployment().market, b"\x60\x00")
    assert standings(chain)["ModelMarket"] is Standing.OTHER
    with pytest.raises(UnexpectedCodeError, match="should be ModelMarket, and has other code"):
        deploy_missing(chain, account)
    assert chain.web3.eth.get_transaction_count(account.address) == 0


def test_code_is_compared_but_for_immutables() -> None:
    artifact = read_artifacts().contracts["ModelMarket"]
    code = bytearray(artifact.runtime)
    for offsets in artifact.immutables.values():
        for offset in offsets:
            code[offset : offset + 32] = b"\x11" * 32
    assert is_code_of(artifact, bytes(code))
    written = {offset + i for offsets in artifact.immutables.values() for offset in offsets for i in range(32)}
    fixed = next(place for place in range(len(code)) if place not in written)
    code[fixed] ^= 1
    assert not is_code_of(artifact, bytes(code))
    assert not is_code_of(artifact, artifact.runtime[:-1])
    assert not is_code_of(artifact, artifact.runtime + b"\x00")


def test_a_node_that_forgets_old_state_gives_no_first_block(
    chain: Chain, account: LocalAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it says so, or answers that nothing was there: events before would be missed."""
    deploy_missing(chain, account)
    for _ in range(5):
        chain.advance_time(1)
    get_code, pruned = chain.web3.eth.get_code, chain.block_number - 2

    def forget(address: Any, block: Any = "latest") -> Any:
        return b"" if isinstance(block, int) and block < pruned else get_code(address, block)

    monkeypatch.setattr(chain.web3.eth, "get_code", forget)
    assert record_deployment(tmp_path / "deployments.json", chain) == 0


def test_a_record_of_another_chain_or_market_says_nothing(chain: Chain, account: LocalAccount, tmp_path: Path) -> None:
    record = tmp_path / "deployments.json"
    assert recorded_first_block(record, chain) == 0
    deploy_missing(chain, account)
    first_block = record_deployment(record, chain)
    kept = json.loads(record.read_text())
    (entry,) = kept.values()
    for changes in ({"market": account.address}, {"block_hash": "0x" + "11" * 32}, {"first_block": first_block - 1}):
        record.write_text(json.dumps({str(chain.chain_id): entry | changes}))
        assert recorded_first_block(record, chain) == 0
    record.write_text(json.dumps({"5": entry}))
    assert recorded_first_block(record, chain) == 0
    assert record_deployment(record, chain) == first_block
    assert set(json.loads(record.read_text())) == {"5", str(chain.chain_id)}
    for damaged in ("{", "[]", '{"1": {}}', '{"1": 3}', f'{{"{chain.chain_id}": null}}'):
        record.write_text(damaged)
        with pytest.raises(CallerError, match="is no record of deployments"):
            recorded_first_block(record, chain)


# The commands


@pytest.mark.anvil
def test_commands(modelseal: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODELSEAL_PASSWORD", "p")
    node = Node(tmp_path)
    url = node.start()
    try:
        account = Account.create()
        chain = Chain.connect(url)
        chain.fund(account.address, ETHER)
        (tmp_path / "key.json").write_text(json.dumps(account.encrypt("p", iterations=2)))
        (tmp_path / "modelseal.toml").write_text(f'chain = "{url}"\nkeyfile = "key.json"\n')

        offline = modelseal("chain", "addresses", "--json")
        contracts = json.loads(offline.out)["contracts"]
        assert [row["contract"] for row in contracts] == NAMES
        before = json.loads(modelseal("chain", "status", "--json").out)
        assert before["client"].startswith("anvil")
        assert (before["chain_id"], before["balance_wei"]) == (31337, ETHER)
        assert before["head"] >= before["finalized"] >= 0
        assert before["base_fee_wei"] > 0
        assert {row["standing"] for row in before["contracts"]} == {"missing"}

        first, second = (json.loads(modelseal("chain", "deploy", "--json").out) for _ in range(2))
        assert (first["deployed"], second["deployed"]) == (NAMES, [])
        assert first["first_block"] == second["first_block"] > 0
        (tmp_path / "elsewhere.toml").write_text(
            f'chain = "{url}"\nfolder = "other"\ndeployments = "modelseal/deployments.json"\n'
        )
        for settings in ("modelseal.toml", "elsewhere.toml"):
            connection = Connection(read_buyer_settings(tmp_path / settings), lambda _: "p")
            assert connection.open_market().first_block == first["first_block"]
        after = json.loads(modelseal("chain", "status", "--json").out)
        assert [(row["contract"], row["address"]) for row in after["contracts"]] == [
            (row["contract"], row["address"]) for row in contracts
        ]
        assert {row["standing"] for row in after["contracts"]} == {"stands"}
        assert after["balance_wei"] < ETHER
        told = modelseal("chain", "status")
        assert told.code == 0
        assert "stands" in told.out
    finally:
        node.stop()
