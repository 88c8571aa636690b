"""`modelseal srs`: strings of a ceremony by their published digest, and those for development, which say so."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from zk import development_srs
from zk.setup import ceremony

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOGROWS = 6


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the ceremony's file: its digest is published."""
    path = tmp_path / "kzg6.srs"
    with monkeypatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
        path.write_bytes(development_srs(LOGROWS).path.read_bytes())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(ceremony.CEREMONY_SHA256, LOGROWS, digest)
    return path


def test_nothing_yet(modelseal: Callable) -> None:
    ran = modelseal("srs", "show")
    assert (ran.code, ran.out) == (0, "")
    assert "modelseal srs fetch" in ran.err
    assert json.loads(modelseal("srs", "show", "--json").out) == {"srs": []}


def test_import_and_show(published: Path, modelseal: Callable) -> None:
    imported = modelseal("srs", "import", published, "--json")
    assert imported.code == 0, imported.err
    (row,) = json.loads(imported.out)["srs"]
    assert (row["logrows"], row["development"], row["bytes"]) == (LOGROWS, False, published.stat().st_size)
    assert json.loads(modelseal("srs", "show", "--json").out) == {"srs": [row]}
    assert row["digest"] in modelseal("srs", "show").out


def test_development_strings_are_marked(modelseal: Callable) -> None:
    ran = modelseal("srs", "dev", 5)
    assert ran.code == 0, ran.err
    assert "for development" in ran.out
    assert "for development" in modelseal("srs", "show").out


def test_a_changed_file_is_refused(published: Path, modelseal: Callable) -> None:
    data = bytearray(published.read_bytes())
    data[99] ^= 1
    published.write_bytes(data)
    ran = modelseal("srs", "import", published)
    assert ran.code == 3
    assert "SHA-256" in ran.err


def test_missing_file_and_sizes_that_do_not_exist(tmp_path: Path, modelseal: Callable) -> None:
    assert "nowhere" in modelseal("srs", "import", tmp_path / "nowhere").err
    assert modelseal("srs", "fetch", 27).code == 2
    assert modelseal("srs", "dev", 3).code == 2
