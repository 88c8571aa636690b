"""`modelseal audit` from the keeper's key to the auditor's verdict, as both type it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ledger import AuditLog, EntryKind
from ledger.errors import LedgerError
from tests.simulators.ledger_records import step
from tests.simulators.signed_logs import ORIGIN, records
from trader.cli.audit import app


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODELSEAL_PASSWORD", "password")
    monkeypatch.setenv("MODELSEAL_AUDIT_LOG", "audit.sqlite")
    monkeypatch.setenv("COLUMNS", "80")
    with AuditLog.open("audit.sqlite") as log:
        log.append_all(records(range(9)))
        log.append(step(9, kind=EntryKind.REQUEST_REFUSED, details={"reason": "text of Jane's"}))

    def call(*arguments: str) -> Result:
        result = CliRunner().invoke(app, list(arguments))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result

    return call


def told(result: Result) -> dict[str, object]:
    return json.loads(result.stdout)


def test_from_the_keepers_key_to_the_auditors_verdict(run) -> None:
    run("keygen", "log.key", "--name", ORIGIN)
    # Ten, and the one by which the log commits itself to its index.
    assert told(run("sign", "checkpoint", "--keys", "log.key", "--json"))["entries"] == 11
    run("export", "log.jsonl", "--checkpoint", "checkpoint")
    assert told(run("tiles", "site", "--checkpoint", "checkpoint", "--json"))["files"] == 3
    for view in ("log.jsonl", "site", "audit.sqlite"):
        verdict = told(run("verify", view, "--key", "log.key.pub", "--checkpoint", "checkpoint", "--json"))
        assert (verdict["verified"], verdict["origin"], verdict["signed_entries"]) == (True, ORIGIN, 11)
    shown = run("verify", "log.jsonl", "--key", "log.key.pub").stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert "11 entries" in shown
    assert told(run("checkpoint", "--json"))["origin"] == ORIGIN
    Path("policy").write_text(f"log {Path('log.key.pub').read_text().split()[0]}\nquorum none\n")
    assert told(run("watch", "site", "--policy", "policy", "--once", "--json"))["entries"] == 11


def test_a_text_is_redacted_and_everything_holds(run) -> None:
    run("export", "before.jsonl")
    assert told(run("redact", "--trade", "8", "--yes", "--json")) == {"entries": [], "removed": 0}
    assert told(run("redact", "3", "9", "--yes", "--json")) == {"entries": [9], "removed": 1}
    assert told(run("verify", "audit.sqlite", "--json"))["entries"] == 10
    assert told(run("diff", "before.jsonl", "audit.sqlite", "--json"))["forked"] is False
    run("export", "after.jsonl")
    assert "Jane" in Path("before.jsonl").read_text()
    assert "Jane" not in Path("after.jsonl").read_text()


def test_views_are_compared_imported_and_made_anew(run) -> None:
    run("export", "log.jsonl")
    run("import", "log.jsonl", "copy.sqlite")
    assert "the same 10 entries" in run("diff", "log.jsonl", "copy.sqlite").stdout
    with AuditLog.open("copy.sqlite") as log:
        log.append(step(11))
    assert "log.jsonl is 1 entries behind copy.sqlite" in run("diff", "log.jsonl", "copy.sqlite").stdout
    with AuditLog.open("copy.sqlite") as log, log._store.writing() as connection:
        for statement in ("DROP TRIGGER nodes_are_never_deleted", "DELETE FROM nodes WHERE level = 1"):
            connection.exec_driver_sql(statement)
    with pytest.raises(LedgerError):
        run("fsck", "copy.sqlite")
    assert told(run("fsck", "copy.sqlite", "--into", "new.sqlite", "--json"))["entries"] == 11
    run("fsck", "new.sqlite")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("verify", "audit.sqlite", "--key", "none.pub"), "can't be read"),
        (("verify", "audit.sqlite", "--checkpoint", "audit.sqlite"), "can't be read"),
        (("verify", "audit.sqlite", "--policy", "x", "--key", "y"), "name one of them"),
        (("verify", "missing.sqlite"), "no audit log at"),
        (("redact", "--yes"), "say which entries"),
        (("import", "audit.sqlite", "copy.sqlite"), "no export"),
        (("witness", "evidence"), "no memory of a witness"),
    ],
)
def test_mistakes_are_named(run, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(Exception, match=said):
        run(*arguments)
