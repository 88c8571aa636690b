"""`modelseal model prepare`: what a proof will cost, what this machine can't prove, which reference string is used."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.simulators.classifier import write_classifier

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modelseal: Callable) -> Callable:
    monkeypatch.setenv("MODELSEAL_PASSWORD", "correct horse")
    model = write_classifier(tmp_path / "model.onnx")
    return lambda *options: modelseal("model", "prepare", model, "--insist", "--out", tmp_path / "package", *options)


def test_the_cost_of_a_proof_is_printed(prepare: Callable) -> None:
    ran = prepare("--json")
    assert ran.code == 0, ran.err
    summary = json.loads(ran.out)
    assert summary["proof_cost_measured"]
    assert summary["proof_seconds"] > 0
    assert summary["proof_memory_bytes"] > 1 << 20
    assert summary["proving_key_bytes"] > 1 << 16
    assert 200_000 < summary["verification_gas"] < 3_000_000
    assert summary["proof_bytes"] > 1000


def test_without_a_trial_the_cost_is_estimated(prepare: Callable) -> None:
    summary = json.loads(prepare("--no-trial", "--json").out)
    assert not summary["proof_cost_measured"]
    assert summary["proof_seconds"] > 0
    assert summary["verification_gas"] > 200_000


def test_a_circuit_that_this_machine_cannot_prove_is_refused(prepare: Callable, tmp_path: Path) -> None:
    ran = prepare("--proof-gib", "0.02")
    assert ran.code == 4
    assert "allow more memory, or audit fewer samples" in ran.err
    estimated = prepare("--proof-gib", "0.01", "--no-trial")
    assert estimated.code == 2
    assert "more than you allow" in estimated.err
    assert not (tmp_path / "package").exists()


def test_more_published_proofs_need_more_salt(prepare: Callable, tmp_path: Path) -> None:
    assert prepare("--no-trial", "--proofs", 40).code == 0
    shapes = json.loads((tmp_path / "package" / "public" / "manifest.json").read_bytes())["circuit"]["layout"]
    assert all(24 * length > 40 * 254 for length in shapes["column_lengths"])


def test_a_ceremonys_string_must_be_here(prepare: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ran = prepare("--srs", "ceremony")
    assert ran.code != 0
    assert "modelseal srs fetch" in ran.err
    assert not (tmp_path / "package").exists()
