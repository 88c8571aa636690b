"""Tiles: paths of the specification, and other people's readers on what we write."""

import base64
import json
import os
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pymerkle
import pytest
from sigstore._internal.merkle import _chain_border_right, _chain_inner, _decomp_inclusion_proof, _hash_leaf

from ledger import AuditLog, prove_entry, prove_growth
from ledger.errors import NoteError, ProofError
from ledger.publishing.tiles import tile_path, tiles_of, write_tiles
from tests.simulators.ledger_records import step
from tests.simulators.signed_logs import NOW, ORIGIN, log_keys, signed_log

ROOT = Path(__file__).parents[4]
VECTOR = ROOT / "tests/vectors/tlog"
GO_MODULES = Path("/usr/share/gocode")


def test_paths_are_those_of_the_specification() -> None:
    assert tile_path(0, 1234067) == "tile/0/x001/x234/067"
    assert tile_path(3, 0, 1) == "tile/3/000.p/1"
    assert tile_path("entries", 999, 255) == "tile/entries/999.p/255"
    assert tile_path("entries", 1000) == "tile/entries/x001/000"


@pytest.mark.parametrize(
    ("entries", "full", "partial"),
    [(0, 0, []), (1, 0, [(0, 1)]), (256, 1, [(1, 1)]), (70_000, 273 + 1, [(0, 112), (1, 17), (2, 1)])],
)
def test_tiles_of_a_tree(entries: int, full: int, partial: list[tuple[int, int]]) -> None:
    """The examples of the specification."""
    tiles = list(tiles_of(entries))
    assert sum(width == 256 for *_, width in tiles) == full
    assert [(level, width) for level, _, width in tiles if width != 256] == partial


def test_go_reads_the_committed_vector() -> None:
    """`tests/oracles/tlog.go` with Debian's golang-golang-x-mod-dev; where there is no Go, what it said when it ran.

    `scripts/make_tlog_vector.py` makes the vector anew and records the run.
    """
    said = json.loads((VECTOR / "go.json").read_text())
    arguments = [str(VECTOR), *json.loads((VECTOR / "arguments.json").read_text())]
    digest = sha256(b"".join(path.read_bytes() for path in vector_files())).hexdigest()
    assert said["sha256"] == digest, "the vector is not the one that Go has read: run scripts/make_tlog_vector.py"
    assert said["program"] == sha256((ROOT / "tests/oracles/tlog.go").read_bytes()).hexdigest()
    if shutil.which("go") and GO_MODULES.is_dir():
        assert run_go(arguments) == said["said"]


def vector_files() -> list[Path]:
    return sorted([VECTOR / "checkpoint", *(path for path in (VECTOR / "tile").rglob("*") if path.is_file())])


def run_go(arguments: list[str]) -> dict[str, object]:
    environment = os.environ | {"GO111MODULE": "off", "GOPATH": str(GO_MODULES), "GOFLAGS": "", "GOPROXY": "off"}
    command = ["go", "run", str(ROOT / "tests/oracles/tlog.go"), *arguments]
    return json.loads(subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout)


def test_the_vector_is_what_we_write(tmp_path: Path) -> None:
    signed = signed_log(tmp_path / "audit.sqlite", 600)
    write_tiles(signed.log, signed.note, tmp_path / "tiles")
    for path in vector_files()[1:]:
        assert (tmp_path / "tiles" / path.relative_to(VECTOR)).read_bytes() == path.read_bytes()


def test_pymerkle_and_sigstore_agree_on_roots_and_proofs(tmp_path: Path) -> None:
    """An independent tree over the same entries has our root, and both verify our proofs."""
    signed = signed_log(tmp_path / "audit.sqlite", 77)
    checkpoint, folder = signed.note.checkpoint(), tmp_path / "tiles"
    write_tiles(signed.log, signed.note, folder)
    entries = bundle(folder / "tile/entries/000.p/77")
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for entry in entries:
        tree.append_entry(entry)
    assert tree.get_root() == checkpoint.root_hash
    for index in (0, 31, 64, 76):
        hashes = prove_entry(signed.log, index, checkpoint).hashes
        inner, border = _decomp_inclusion_proof(index, 77)
        half = _chain_inner(_hash_leaf(entries[index]), hashes[:inner], index)
        assert len(hashes) == inner + border
        assert _chain_border_right(half, hashes[inner:]) == checkpoint.root_hash
        theirs = tree.prove_inclusion(index + 1, 77)
        pymerkle.verify_inclusion(tree.get_leaf(index + 1), checkpoint.root_hash, theirs)


def bundle(path: Path) -> list[bytes]:
    content, entries = path.read_bytes(), []
    while content:
        end = 2 + int.from_bytes(content[:2], "big")
        entries.append(content[2:end])
        content = content[end:]
    return entries


def test_tiles_grow_with_the_log_and_never_change(tmp_path: Path) -> None:
    folder = tmp_path / "tiles"
    signed = signed_log(tmp_path / "audit.sqlite", 300)
    assert write_tiles(signed.log, signed.note, folder) == 6
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "checkpoint"}
    longer = signed_log(tmp_path / "audit.sqlite", 520)
    write_tiles(longer.log, longer.note, folder)
    assert all(path.read_bytes() == content for path, content in before.items())
    assert write_tiles(longer.log, longer.note, folder) == 1
    with pytest.raises(NoteError, match="no earlier checkpoint"):
        write_tiles(longer.log, signed.note, folder)


def test_tiles_of_two_logs_are_not_mixed(tmp_path: Path) -> None:
    signed = signed_log(tmp_path / "audit.sqlite", 20)
    write_tiles(signed.log, signed.note, tmp_path / "tiles")
    with AuditLog.open(tmp_path / "other.sqlite") as other:
        other.append_all(step(number, trade_id=8) for number in range(30))
        other.give_origin(ORIGIN)
        note = log_keys().sign(str(other.checkpoint()), NOW)
        with pytest.raises(NoteError, match="no earlier checkpoint"):
            write_tiles(other, note, tmp_path / "tiles")
        with pytest.raises(ProofError):
            write_tiles(other, signed.note, tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()


def test_the_empty_log_has_a_checkpoint_and_no_tile(tmp_path: Path) -> None:
    signed = signed_log(tmp_path / "audit.sqlite", 0)
    assert write_tiles(signed.log, signed.note, tmp_path / "tiles") == 1
    assert [path.name for path in (tmp_path / "tiles").iterdir()] == ["checkpoint"]
    assert prove_growth(signed.log, signed.note.checkpoint(), signed.note.checkpoint()) == ()
    assert base64.b64encode(sha256(b"").digest()).decode() in str(signed.note)
