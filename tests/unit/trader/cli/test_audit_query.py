"""`modelseal audit query` and what goes with it, from a log's file to other programs' tables and an auditor's check."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from eth_utils.crypto import keccak
from typer.testing import CliRunner

from ledger import AuditLog
from ledger.reading.answers import Answer
from tests.simulators.ledger_records import SELLER
from tests.simulators.ledger_trades import WEI, listing, other_account, trades
from trader.cli.audit import app
from trader.cli.listing import _hold_record, _read_record
from trader.errors import CallerError, PolicyError
from trader.verify import BuyerPolicy

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    with AuditLog.open(tmp_path / "audit.sqlite") as log:
        log.append_all(trades(10))
    return tmp_path / "audit.sqlite"


@pytest.fixture
def ask(log_file: Path) -> Ask:
    def run(*arguments: object) -> dict[str, Any]:
        command = [*map(str, arguments), "--log", str(log_file), "--json"]
        result = CliRunner().invoke(app, command, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run


def test_questions_with_filters(ask: Ask) -> None:
    def numbers(*arguments: object) -> list[str]:
        return [row["trade_id"] for row in ask("query", "trades", *arguments)["rows"]]

    assert numbers("--seller", SELLER, "--state", "Settled") == ["1"]
    assert numbers("--min-price", "7 ether") == ["7", "8", "9"]
    assert numbers("--since", "2100-01-01") == []
    assert len(ask("query", "entries", "--trade", 1)["rows"]) == 8
    assert ask("query", "sellers", "--seller", SELLER)["rows"][0]["earned_wei"] == WEI
    assert [row["what"] for row in ask("query", "obligations", "--trade", 5)["rows"]] == ["answer the test"]
    assert len(ask("query", "listings")["rows"]) == 2


@pytest.mark.parametrize(
    "arguments", [["--event", "Nothing"], ["--since", "yesterday"], ["--prove", "answer.json"], ["--min-price", "much"]]
)
def test_what_cannot_be_asked(log_file: Path, arguments: list[str]) -> None:
    with pytest.raises(CallerError):
        CliRunner().invoke(app, ["query", "trades", *arguments, "--log", str(log_file)], catch_exceptions=False)


@pytest.mark.parametrize("what", ["entries", "trades", "listings", "sellers", "obligations"])
def test_other_programs_read_the_tables(ask: Ask, tmp_path: Path, what: str) -> None:
    files = tmp_path / "rows.csv", tmp_path / "rows.parquet"
    for filters in ([], ["--seller", "0x" + "99" * 20]):  # and one that finds nothing
        rows = ask("query", what, *filters, "--csv", files[0], "--parquet", files[1])["rows"]
        assert duckdb.sql(f"SELECT count(*) FROM '{files[1]}'").fetchall() == [(len(rows),)]
        assert duckdb.sql(f"SELECT count(*) FROM read_csv('{files[0]}', header = true)").fetchall() == [(len(rows),)]


def test_sums_in_duckdb_are_the_same(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "trades.parquet"
    rows = ask("query", "trades", "--parquet", file)["rows"]
    total = duckdb.sql(f"SELECT sum(price_wei), min(opened_at) FROM '{file}' WHERE state = 'Settled'").fetchall()[0]
    assert total[0] == sum(row["price_wei"] for row in rows if row["state"] == "Settled") == 7 * WEI
    assert total[1].timestamp() == min(row["opened_at_seconds"] for row in rows)


def test_an_answer_with_its_proof_is_checked_offline(ask: Ask, tmp_path: Path, log_file: Path) -> None:
    answer, checkpoint = tmp_path / "answer.json", tmp_path / "checkpoint"
    ask("query", "trades", "--seller", SELLER, "--event", "Slashed", "--prove", answer)
    with AuditLog.open(log_file) as log:
        checkpoint.write_text(str(log.checkpoint()))
    log_file.unlink()

    def check(*more: str) -> Any:
        command = ["verify-answer", str(answer), "--checkpoint", str(checkpoint), "--json", *more]
        return CliRunner().invoke(app, command)

    found = json.loads(check("--expect", "event:Slashed").stdout)
    assert [row["trade_id"] for row in found["rows"]] == ["2", "7"]
    assert found["verified"]
    assert check("--expect", f"seller_trades:{SELLER}").exception is not None
    whole = Answer.from_json(answer.read_text())
    answer.write_text(replace(whole, entries=whole.entries[1:]).to_json())
    assert "not all entries" in str(check().exception)


def test_a_listing_is_held_against_its_sellers_proven_record(ask: Ask, tmp_path: Path, log_file: Path) -> None:
    record, checkpoint = tmp_path / "record.json", tmp_path / "checkpoint"
    ask("query", "sellers", "--seller", SELLER, "--prove", record)
    with AuditLog.open(log_file) as log:
        checkpoint.write_text(str(log.checkpoint()))

    def hold(seller: str, policy: BuyerPolicy) -> None:
        proven = _read_record(record, checkpoint, None, policy)
        _hold_record(proven, SimpleNamespace(seller=seller), policy, as_json=False)

    hold(SELLER, BuyerPolicy(minimum_sold=1, maximum_lost_disputes=1))
    with pytest.raises(PolicyError, match="lost disputes"):
        hold(SELLER, BuyerPolicy(maximum_lost_disputes=0))
    with pytest.raises(CallerError, match="ask for the right one"):
        hold(other_account(2), BuyerPolicy())
    with pytest.raises(CallerError, match="--record"):
        _read_record(None, None, None, BuyerPolicy(minimum_sold=1))
    assert _read_record(None, None, None, BuyerPolicy()) is None


def test_manifests_are_kept_and_found(ask: Ask, tmp_path: Path, log_file: Path) -> None:
    content = b'{"name":"Credit risk"}'
    (tmp_path / "manifest.json").write_bytes(content)
    with AuditLog.open(log_file) as log:
        record = listing(9, SELLER, 9000)
        log.append(replace(record, details={"manifest_hash": f"0x{keccak(content).hex()}"}))
    ask("add-manifest", tmp_path / "manifest.json")
    assert [row["listing_id"] for row in ask("search", "credit", "risk")["rows"]] == ["9"]


def test_the_catalogue_is_checked_and_made_anew(ask: Ask) -> None:
    assert ask("catalogue")["keys"] == ask("catalogue", "--rebuild")["keys"]
