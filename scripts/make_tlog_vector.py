"""Make the vector of a published log that other people's programs read, and record what Go's said.

    apt-get install golang-go golang-golang-x-mod-dev
    python scripts/make_tlog_vector.py

Writes tests/vectors/tlog: the tiles of a log, its checkpoint signed with new keys, and what `tests/oracles/tlog.go`
(golang.org/x/mod/sumdb) said of them. The tests run that program again where there is Go; elsewhere, CI included, they
hold the vector to the recorded run by its digest.
"""

import base64
import json
import shutil
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from ledger.publishing.tiles import write_tiles
from tests.simulators.signed_logs import NOW, WITNESSES, log_keys, signed_log, witness_keys
from tests.unit.ledger.publishing.test_tiles import ROOT, VECTOR, run_go, vector_files

ENTRIES, OLDER = 600, (1, 255, 256, 300)


def main() -> None:
    """Write the vector, run Go on it, and write down what it says."""
    shutil.rmtree(VECTOR, ignore_errors=True)
    VECTOR.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        signed = signed_log(Path(folder) / "audit.sqlite", ENTRIES)
        note = signed.note
        for name in WITNESSES[:2]:
            note = note.with_signatures(witness_keys(name).signatures(note.text, NOW))
        write_tiles(signed.log, note, VECTOR)
        roots = [signed_log(Path(folder) / f"{size}.sqlite", size).note.checkpoint().root_hash for size in OLDER]
    older = [f"{size}:{base64.b64encode(root).decode()}" for size, root in zip(OLDER, roots, strict=True)]
    keys = [log_keys(), *map(witness_keys, WITNESSES[:2])]
    arguments = [",".join(str(key.public[0]) for key in keys), *older]
    (VECTOR / "arguments.json").write_text(json.dumps(arguments, indent=2) + "\n")
    recorded = {
        "sha256": sha256(b"".join(path.read_bytes() for path in vector_files())).hexdigest(),
        "program": sha256((ROOT / "tests/oracles/tlog.go").read_bytes()).hexdigest(),
        "versions": "Go 1.19.8, golang-golang-x-mod-dev 0.7.0-1 (Debian 12)",
        "said": run_go([str(VECTOR), *arguments]),
    }
    (VECTOR / "go.json").write_text(json.dumps(recorded, indent=2) + "\n")
    print(json.dumps(recorded["said"]))


if __name__ == "__main__":
    main()
