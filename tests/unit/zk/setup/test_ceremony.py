"""A ceremony's file is known by its digest alone."""

import hashlib

import pytest

import zk
from zk.errors import SrsError
from zk.setup import ceremony


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A stand-in for the ceremony's file of 2^6 rows: its digest is published, its trapdoor is not."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    path = tmp_path / "kzg6.srs"
    path.write_bytes(zk.development_srs(6).path.read_bytes())
    monkeypatch.setitem(ceremony.CEREMONY_SHA256, 6, hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return path


def test_an_imported_file_is_found_and_is_not_for_development(published):
    srs = zk.import_srs(published)
    assert srs == zk.ceremony_srs(6)
    assert not srs.development
    assert srs.path != published
    assert zk.cached_srs() == (srs,)


def test_a_changed_file_is_refused(published):
    data = bytearray(published.read_bytes())
    data[1000] ^= 1
    published.write_bytes(data)
    with pytest.raises(SrsError, match="SHA-256"):
        zk.import_srs(published)
    with pytest.raises(SrsError, match="modelseal srs fetch 6"):
        zk.ceremony_srs(6)


def test_a_file_that_rots_in_the_cache_is_refused(published):
    path = zk.import_srs(published).path
    with path.open("r+b") as file:
        file.seek(500)
        file.write(b"\x00\x01")
    with pytest.raises(SrsError, match="get it again"):
        zk.ceremony_srs(6)


def test_a_development_file_is_not_the_ceremonys(tmp_path):
    with pytest.raises(SrsError, match="SHA-256"):
        zk.import_srs(zk.development_srs(7).path)


@pytest.mark.parametrize("content", [b"", b"\x06\x00\x00\x00" + bytes(100), b"<html>"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(SrsError, match="not an SRS file"):
        zk.import_srs(path)


def test_sizes_that_the_ceremony_lacks_are_refused():
    for logrows in (-1, 0, 27):
        with pytest.raises(SrsError, match="has no file"):
            zk.ceremony_srs(logrows)


def test_the_cache_lists_both_kinds_by_size(published):
    small, large = zk.import_srs(published), zk.development_srs(7)
    again = zk.development_srs(6)
    assert zk.cached_srs() == (small, again, large)
