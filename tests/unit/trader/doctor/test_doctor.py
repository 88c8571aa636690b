"""`modelseal doctor`: each thing that is wrong is named with the next step, and nothing else is called wrong."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from trader.chain import Chain
from trader.doctor import Finding, Status, Surroundings, files, machine, node
from trader.exchange import EncryptionKey, wrapping
from trader.he.ring import compiling
from trader.parties.vault import Vault
from trader.parties.vault_key import unlock_vault
from zk.errors import SrsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.trader.conftest import Ran

GIB = 1 << 30
GOOD, REMARK, BAD = Status.GOOD, Status.REMARK, Status.BAD


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine of its own: no keystore, cache or node of whoever runs the tests."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(wrapping, "_SCRYPT_LOG_N", 4)
    for name in ("ETH_KEYSTORE", "ETH_RPC_URL"):
        monkeypatch.delenv(name, raising=False)


def judged(finding: Finding) -> tuple[Status, bool]:
    """How it is, and whether it says what to do: exactly what is not good does."""
    assert bool(finding.next_step) is (finding.status is not GOOD)
    return finding.status, bool(finding.text)


def test_this_machine_is_looked_at_as_a_whole(modelseal: Callable[..., Ran]) -> None:
    ran = modelseal("doctor", "--json")
    told = json.loads(ran.out)
    assert (ran.code, told["ready"]) == (0, True), told
    assert [finding["subject"] for finding in told["findings"]] == [
        *("python", "packages", "processor", "kernels", "memory", "disk", "cache", "reference strings", "keyfiles"),
        "node",
    ]
    shown = modelseal("doctor")
    assert shown.out.count("✓") + shown.out.count("!") == len(told["findings"])
    assert "modelseal keys new" in shown.out


def test_what_is_wrong_gives_exit_code_4(modelseal: Callable[..., Ran], tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text("{}")
    (tmp_path / "key.json").chmod(0o644)
    ran = modelseal("doctor", "--keyfile", tmp_path / "key.json", "--chain", "http://127.0.0.1:9")
    assert (ran.code, ran.out.count("✗")) == (4, 2)
    assert "chmod 600" in ran.out
    assert "not ready to trade: see keyfiles, node" in " ".join(ran.err.split())


@pytest.mark.parametrize(
    ("stated", "status", "word"),
    [
        (["numpy>=2", "no-such-package; extra == 'demo'"], GOOD, "1 packages"),
        (["no-such-package>=1"], BAD, "no-such-package is missing"),
        (["numpy>=900"], BAD, "wanted >=900"),
        (["numpy>=900; python_version < '3'"], GOOD, "0 packages"),
    ],
)
def test_packages_are_held_against_the_bounds(stated: list[str], status: Status, word: str) -> None:
    found = machine._packages(stated)
    assert judged(found)[0] is status
    assert word in found.text


@pytest.mark.parametrize(("size", "status"), [(1.9, BAD), (2, REMARK), (7.9, REMARK), (8, GOOD)])
def test_memory_has_two_bars(size: float, status: Status) -> None:
    assert judged(machine._memory(int(size * GIB)))[0] is status


@pytest.mark.parametrize(("free", "status"), [(0.9, BAD), (1, REMARK), (4.9, REMARK), (5, GOOD)])
def test_disk_has_two_bars(free: float, status: Status, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Path] = []
    usage = SimpleNamespace(free=int(free * GIB))
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda folder: asked.append(folder) or usage)
    assert judged(machine._disk([tmp_path / "not" / "made" / "yet"]))[0] is status
    assert asked == [tmp_path]


def test_kernels_are_compiled_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    judged(machine._kernels())
    monkeypatch.setattr(compiling, "is_compiled", lambda _: False)
    found = machine._kernels()
    assert (found.status, "modelseal compile" in found.next_step) == (REMARK, True)
    assert "for 0 of" in found.text


def test_a_cache_that_cant_be_written_is_bad(tmp_path: Path) -> None:
    assert judged(files._cache(tmp_path / "new" / "cache"))[0] is GOOD
    (tmp_path / "file").write_text("")
    assert judged(files._cache(tmp_path / "file"))[0] is BAD


def test_reference_strings_of_a_ceremony_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    def cached(*strings: Any) -> Callable[[], Any]:
        return lambda: tuple(SimpleNamespace(logrows=rows, development=made_here) for rows, made_here in strings)

    for strings, status in (((), REMARK), (((10, True),), REMARK), (((10, True), (16, False)), GOOD)):
        monkeypatch.setattr(files, "cached_srs", cached(*strings))
        assert judged(files._reference_strings())[0] is status

    def damaged() -> Any:
        raise SrsError("the file is damaged")

    monkeypatch.setattr(files, "cached_srs", damaged)
    assert judged(files._reference_strings())[0] is BAD


def test_keyfiles_packages_and_folders_that_others_can_read_are_named(tmp_path: Path) -> None:
    assert judged(files._keyfiles([]))[0] is REMARK
    assert judged(files._keyfiles([tmp_path / "none"]))[0] is BAD
    key = tmp_path / "package" / "secret" / "encryption_key"
    EncryptionKey.generate().save(key, "password")
    assert judged(files._keyfiles([key]))[0] is GOOD
    assert judged(files._package(tmp_path / "package"))[0] is GOOD
    key.chmod(0o640)
    assert judged(files._keyfiles([key]))[0] is BAD
    assert "encryption_key" in files._package(tmp_path / "package").text
    assert judged(files._package(tmp_path))[0] is BAD


def test_folders_with_secrets_in_clear_are_sent_to_the_command_that_encrypts(tmp_path: Path) -> None:
    folder = tmp_path / "party"
    assert judged(files._folder(folder))[0] is REMARK
    vault = Vault(folder, unlock_vault(folder, "password"))
    vault.write("session.key", b"secret")
    assert judged(files._folder(folder))[0] is GOOD
    (folder / "vault.key").chmod(0o644)
    assert judged(files._folder(folder))[0] is BAD
    Vault(folder, None).write("session.key", b"secret")
    found = files._folder(folder)
    assert (found.status, f"modelseal keys protect {folder}" in found.next_step) == (BAD, True)


NOW = 1_800_000_000


def node_that_says(
    monkeypatch: pytest.MonkeyPatch,
    *,
    chain_id: int = 1,
    age_seconds: float = 1,
    skew_seconds: float | None = 0,
    syncing: object = False,
    finality_blocks: int | None = None,
) -> None:
    """A node whose newest block, clock and state are these."""
    chain = Chain.embedded()
    monkeypatch.setattr(chain, "chain_id", chain_id)
    monkeypatch.setattr(chain, "finality_blocks", lambda: finality_blocks)
    monkeypatch.setattr(type(chain.web3.eth), "syncing", property(lambda _: syncing))
    monkeypatch.setattr(node.time, "time", lambda: NOW)
    monkeypatch.setattr(chain, "time", lambda: SimpleNamespace(newest=NOW - age_seconds))
    monkeypatch.setattr(node.Chain, "connect", lambda *_arguments, **_options: chain)
    monkeypatch.setattr(node, "_time_of_server", lambda _: None if skew_seconds is None else NOW + skew_seconds)


def statuses(confirmations: int | str | None = 64) -> dict[str, Status]:
    found = list(node.examine_node("http://localhost", confirmations))
    for finding in found:
        judged(finding)
    return {finding.subject: finding.status for finding in found}


@pytest.mark.parametrize(
    ("says", "subject", "status"),
    [
        ({}, "node", GOOD),
        ({"syncing": {"currentBlock": 1}}, "node", BAD),
        ({}, "clock", GOOD),
        ({"skew_seconds": None}, "clock", GOOD),
        ({"skew_seconds": 15}, "clock", GOOD),
        ({"skew_seconds": 16}, "clock", BAD),
        ({"skew_seconds": -16}, "clock", BAD),
        ({"age_seconds": -15}, "clock", GOOD),
        ({"age_seconds": -16}, "clock", BAD),
        ({"age_seconds": 120}, "clock", GOOD),
        ({"age_seconds": 121}, "clock", BAD),
        ({"age_seconds": -86400, "chain_id": 31337}, "clock", REMARK),
        ({"age_seconds": 86400, "chain_id": 31337}, "clock", GOOD),
        ({}, "market", REMARK),
    ],
)
def test_a_node_is_asked_for_state_time_and_market(
    monkeypatch: pytest.MonkeyPatch, says: dict[str, Any], subject: str, status: Status
) -> None:
    node_that_says(monkeypatch, **says)
    assert statuses()[subject] is status


def test_confirmations_matter_on_public_chains(monkeypatch: pytest.MonkeyPatch) -> None:
    node_that_says(monkeypatch)
    assert statuses(None)["confirmations"] is REMARK
    assert statuses(63)["confirmations"] is REMARK
    assert "confirmations" not in statuses(64)
    assert statuses("finalized")["confirmations"] is REMARK
    node_that_says(monkeypatch, finality_blocks=72)
    assert statuses(None)["confirmations"] is statuses("finalized")["confirmations"] is GOOD
    node_that_says(monkeypatch, chain_id=31337)
    assert "confirmations" not in statuses(None)


def test_without_a_node_nothing_is_asked() -> None:
    (found,) = node.examine_node(Surroundings().chain_url, None)
    assert judged(found)[0] is REMARK


@pytest.mark.anvil
def test_a_real_node_passes(anvil_url: str, modelseal: Callable[..., Ran]) -> None:
    ran = modelseal("doctor", "--chain", anvil_url, "--json")
    told = {finding["subject"]: finding for finding in json.loads(ran.out)["findings"]}
    assert told["node"]["status"] == GOOD
    assert told["clock"]["status"] in {GOOD, REMARK}  # other tests move its time
    assert {"market"} <= set(told)
