"""`modelseal seller import` and `export`: files by URL, folders of bought models, and nothing secret in either."""

from __future__ import annotations

import hashlib
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from tests.simulators.classifier import write_classifier
from tests.unit.trader.model.test_manifest import example
from trader.model import Manifest
from trader.publishing import verify_bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.trader.conftest import Ran

PASSWORD = "planted-password"


def test_import_writes_the_file_and_prints_its_digest(modelseal: Callable[..., Ran], tmp_path: Path) -> None:
    source, out = write_classifier(tmp_path / "m.onnx"), tmp_path / "out.onnx"
    ran = modelseal("seller", "import", str(source), "--out", str(out), "--json")
    assert ran.code == 0, ran.err
    assert out.read_bytes() == source.read_bytes()
    assert json.loads(ran.out)["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    again = modelseal("seller", "import", str(source), "--out", str(out))
    assert (again.code, "exists" in again.err) == (2, True)


def test_import_refuses_pickles_in_one_line(modelseal: Callable[..., Ran], tmp_path: Path) -> None:
    ran = modelseal("seller", "import", str(tmp_path / "m.pkl"), "--out", str(tmp_path / "out.onnx"))
    assert (ran.code, "skl2onnx" in ran.err, "Traceback" in ran.err) == (2, True, False)
    assert not (tmp_path / "out.onnx").exists()


@pytest.fixture
def bought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A bought file and its certificate, whose checks (`tests.unit.trader.trade_certificate`) are left out."""
    model = write_classifier(tmp_path / "bought.onnx")
    certificate = tmp_path / "trade.json"
    certificate.write_text("{}")
    digest = f"0x{hashlib.sha256(model.read_bytes()).hexdigest()}"
    signed = SimpleNamespace(chain_id=31337, market="0x" + "ab" * 20, listing="3", trade="7", delivered=digest)
    moves = [SimpleNamespace(function="prove", hash="0x" + "12" * 32), SimpleNamespace(function="", hash="0x")]
    story = SimpleNamespace(buyer="0x" + "cd" * 20, moves=moves)
    manifest = Manifest.model_validate_json(json.dumps(example()))
    verified = SimpleNamespace(certificate=signed, story=story, manifest=manifest, checks=())
    monkeypatch.setattr("trader.cli.buyer_export.verify_trade_certificate", lambda _: verified)
    monkeypatch.setenv("MODELSEAL_PASSWORD", PASSWORD)
    return model, certificate


def test_export_makes_a_signed_folder(modelseal: Callable[..., Ran], bought, tmp_path: Path) -> None:
    model, certificate = bought
    out, key = tmp_path / "out", tmp_path / "key.pem"
    options = ["--certificate", str(certificate), "--out", str(out), "--sign-with", str(key)]
    ran = modelseal("buyer", "export", str(model), *options, "--metric", "accuracy=0.97:120:holdout: mine", "--json")
    assert ran.code == 0, ran.err
    figures = json.loads(ran.out)
    assert (figures["signed"], figures["trade"], figures["address"]) == (True, 7, str(out))
    verify_bundle(out, out / "signing-key.pem")
    card = (out / "README.md").read_text()
    assert all(text in card for text in ("accuracy (measured)", "holdout\\: mine", "`0x" + "12" * 32))
    everything = [ran.out, ran.err, *(path.read_text(errors="replace") for path in out.iterdir())]
    assert not any(PASSWORD in text or "PRIVATE KEY" in text for text in everything)


def test_export_refuses_another_file(modelseal: Callable[..., Ran], bought, tmp_path: Path) -> None:
    model, certificate = bought
    model.write_bytes(b"another")
    ran = modelseal("buyer", "export", str(model), "--certificate", str(certificate), "--out", str(tmp_path / "out"))
    assert ran.code == 3
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--to", "hf"],
        ["--to", "mlflow", "--name", "credit"],
        ["--metric", "accuracy"],
        ["--metric", "accuracy=nan:3:x"],
        ["--metric", "accuracy=0.5:0:x"],
    ],
)
def test_export_asks_for_what_is_missing_first(
    modelseal: Callable[..., Ran], bought, tmp_path: Path, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    model, certificate = bought
    known = ["--certificate", str(certificate), "--out", str(tmp_path / "out")]
    ran = modelseal("buyer", "export", str(model), *known, *options)
    assert (ran.code, (tmp_path / "out").exists()) == (2, False)


def test_a_proven_accuracy_is_verified_and_about_this_model(
    modelseal: Callable[..., Ran], bought, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, certificate = bought
    listed = Manifest.model_validate_json(json.dumps(example()))
    dataset = SimpleNamespace(samples=200, name="breast-cancer")
    opened = SimpleNamespace(manifest=listed)
    monkeypatch.setattr("trader.cli.certificate.open_public_model", lambda _: opened)
    proven = SimpleNamespace(accuracy=0.975, dataset=dataset)
    monkeypatch.setattr("trader.cli.certificate.verify_with_bar", lambda *_: proven)
    known = ["buyer", "export", str(model), "--certificate", str(certificate), "--out", str(tmp_path / "out")]
    known += ["--proven-accuracy", "accuracy.json"]
    assert modelseal(*known).code == 2
    known += ["--package", "public", "--data", "x.csv", "--labels", "y.csv"]
    ran = modelseal(*known)
    assert ran.code == 0, ran.err
    assert "| accuracy | 0.975 | proven | 200 | breast\\-cancer |" in (tmp_path / "out" / "README.md").read_text()
    opened.manifest = listed.model_copy(update={"endpoint": "another"})
    known[known.index(str(tmp_path / "out"))] = str(tmp_path / "other")
    ran = modelseal(*known)
    assert (ran.code, "another listing" in ran.err) == (2, True)
