"""`modelseal demo`: its report says everything that it promises, and the log that it leaves behind can be asked."""

import json
from collections.abc import Callable
from pathlib import Path
from types import NoneType

import onnxruntime
import pytest

from trader.trade import Role

REPORT = {
    "outcome": str,
    "cheat": NoneType,
    "noticed": NoneType,
    "lost": str,
    "dataset": str,
    "samples": int,
    "audit_samples": int,
    "accuracy_encrypted": float,
    "accuracy_plain": float,
    "max_output_error": float,
    "changeable_samples": int,
    "proven_changes": int,
    "refusal": NoneType,
    "detection_probability": float,
    "seconds": dict,
    "bytes": dict,
    "gas": dict,
    "gas_by_role": dict,
    "gas_cost": dict,
    "balances": dict,
    "delivered_model": str,
    "delivered_matches": bool,
    "ledger_head": str,
}
PRICE_WEI, FEE_WEI = 10**18, 10**15


@pytest.mark.slow
def test_demo_reports_the_whole_trade_and_leaves_a_log(tmp_path: Path, modelseal: Callable) -> None:
    out = tmp_path / "demo"
    ran = modelseal("demo", "--json", "--out", out)
    assert ran.code == 0, ran.err
    report = json.loads(ran.out.splitlines()[-1])
    assert {name: type(value) for name, value in report.items()} == REPORT
    assert (report["outcome"], report["cheat"], report["lost"]) == ("settled", None, "nobody")
    assert report["accuracy_encrypted"] == report["accuracy_plain"] > 0.95
    assert report["max_output_error"] <= 0.01
    assert report["changeable_samples"] <= 0.01 * report["samples"]
    assert report["proven_changes"] == 0
    assert set(report["seconds"]) == {"keygen", "encrypt", "evaluate", "decrypt", "prove", "verify", "total"}
    assert all(seconds > 0 for seconds in report["seconds"].values())
    assert all(size > 0 for size in report["bytes"].values())
    assert report["balances"] == {"seller": PRICE_WEI + FEE_WEI, "buyer": -PRICE_WEI - FEE_WEI}
    assert report["delivered_matches"]
    onnxruntime.InferenceSession(report["delivered_model"])

    certificate, public = out / "trade-certificate.json", out / "package" / "public"
    verified = modelseal(
        "audit", "verify-certificate", certificate, "--package", public, "--model", report["delivered_model"], "--json"
    )
    assert verified.code == 0, verified.err
    assert json.loads(verified.out.splitlines()[-1])["delivered_compared"]
    page = (out / "quality-report.html").read_text()
    assert "Better than guessing" in page
    assert "8 of 8" in page

    log = out / "audit.sqlite"
    story = modelseal("audit", "show", 1, "--log", log)
    assert story.code == 0
    assert "Proven" in modelseal("audit", "show", 1, "--log", log, "--json").out
    assert modelseal("audit", "head", "--log", log).out.strip() == report["ledger_head"]
    assert modelseal("audit", "verify", log, "--head", report["ledger_head"]).code == 0
    assert modelseal("audit", "export", tmp_path / "log.jsonl", "--log", log).code == 0
    assert modelseal("audit", "verify", tmp_path / "log.jsonl", "--head", report["ledger_head"]).code == 0
    unknown = modelseal("audit", "show", 77, "--log", log)
    assert unknown.code == 2
    assert "77" in unknown.err

    exported = (tmp_path / "log.jsonl").read_text()
    (tmp_path / "log.jsonl").write_text(exported.replace(f'"{Role.SELLER.value.capitalize()}"', '"Buyer"', 1))
    assert modelseal("audit", "verify", tmp_path / "log.jsonl").code == 3

    again = modelseal("demo", "--cheat", "silent-seller", "--json", "--out", out)
    report = json.loads(again.out.splitlines()[-1])
    assert report["outcome"] == "refunded"
    assert report["balances"] == {"seller": 0, "buyer": 0}
    assert (report["cheat"], report["lost"]) == ("the seller never answered the test", "nobody")
    assert "overdue in Testing" in report["noticed"]
    assert all(report["gas_by_role"][role] > 0 and report["gas_cost"][role] > 0 for role in ("seller", "buyer"))
    assert report["delivered_model"] is None


def test_demo_does_not_touch_a_folder_that_is_not_its_own(tmp_path: Path, modelseal: Callable) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    ran = modelseal("demo", "--out", tmp_path)
    assert ran.code == 2
    assert "error:" in ran.err
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_dead_node_is_the_environments_fault(tmp_path: Path, modelseal: Callable) -> None:
    ran = modelseal("demo", "--chain", "http://127.0.0.1:9", "--out", tmp_path / "d")
    assert ran.code == 4
    assert "http://127.0.0.1:9" in ran.err
    assert "Traceback" not in ran.err
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("command", ["show 1", "verify", "head"])
def test_missing_log_is_not_made(command: str, tmp_path: Path, modelseal: Callable) -> None:
    missing = tmp_path / "none.sqlite"
    name, *arguments = command.split()
    log = [missing] if name == "verify" else [*arguments, "--log", missing]
    assert modelseal("audit", name, *log).code in (2, 4)
    assert not missing.exists()
