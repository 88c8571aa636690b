"""SRS files of a public ceremony: known by their digest, so that nobody has to trust where they come from.

The files are those that ezkl publishes, one per size, derived from the Perpetual Powers of Tau ceremony: a proof
against them can be forged only if every participant of the ceremony colluded. Files go into the user's cache by
`fetch_srs` or, where the network is closed, by `import_srs`; `ceremony_srs` then finds them. A file
of another size is no substitute: its Lagrange points differ, and ezkl commits with a file of the circuit's very size.
"""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

from zk.errors import SrsError, WorkerFailedError
from zk.ezkl.worker import WorkerLimits, run_job
from zk.setup.srs import Srs, read_srs, srs_bytes
from zk.storage import cache_folder, scratch_folder

if TYPE_CHECKING:
    from pathlib import Path

CEREMONY_SHA256 = {
    6: "85030b2924111fc60acaf4fb8a7bad89531fbe0271aeab0c21e545f71eee273d",
    7: "e65f95150519fe01c2bedf8f832f5249822ef84c9c017307419e10374ff9eeb1",
    8: "446092fd1d6030e5bb2f2a8368267d5ed0fbdb6a766f6c5e4a4841827ad3106f",
    9: "493d088951882ad81af11e08c791a38a37c0ffff14578cf2c7fb9b7bca654d8b",
    10: "9705d450e5dfd06adb673705f7bc34418ec86339203198beceb2ae7f1ffefedb",
    11: "257fa566ed9bc0767d3e63e92b5e966829fa3347d320a32055dc31ee7d33f8a4",
    12: "28b151069f41abc121baa6d2eaa8f9e4c4d8326ddbefee2bd9c0776b80ac6fad",
    13: "d5d94bb25bdc024f649213593027d861042ee807cafd94b49b54f1663f8f267d",
    14: "c09129f064c08ecb07ea3689a2247dcc177de6837e7d2f5f946e30453abbccef",
    15: "90807800a1c3b248a452e1732c45ee5099f38b737356f5542c0584ec9c3ebb45",
    16: "2a1a494630e71bc026dd5c0eab4c1b9a5dbc656228c1f0d48f5dbd3909b161d3",
    17: "41509f380362a8d14401c5ae92073154922fe23e45459ce6f696f58607655db7",
    18: "d0148475717a2ba269784a178cb0ab617bc77f16c58d4a3cbdfe785b591c7034",
    19: "d1a1655b4366a766d1578beb257849a92bf91cb1358c1a2c37ab180c5d3a204d",
    20: "54ef75911da76d7a6b7ea341998aaf66cb06c679c53e0a88a4fe070dd3add963",
    21: "486e044cf98704e07f41137d2b89698dc03d1fbf34d13b60902fea19a6013b4b",
    22: "1ee9b4396db3e4e2516ac5016626ab6ba967f091d5d23afbdb7df122a0bb9d0c",
    23: "748e48b9b6d06f9c82d26bf551d0af43ee2e801e4be56d7ccb20312e267fd1d6",
    24: "f94fa4afa2f5147680f907d4dd96a8826206c26bd3328cd379feaed614b234de",
    25: "dec49a69893fbcd66cd06296b2d936a6aceb431c130b2e52675fe4274b504f57",
    26: "b198a51d48b88181508d8e4ea9dea39db285e4585663b29b7e4ded0c22a94875",
}
"""SHA-256 of the file for 2^k rows, as published in ezkl's source (`src/srs_sha.rs`, zkonduit/ezkl)."""

DOWNLOAD_LIMITS = WorkerLimits(seconds=1800)


def ceremony_srs(logrows: int) -> Srs:
    """Return the ceremony's file in the cache; an `zk.setup.srs.SrsProvider`.

    Raises:
        SrsError: It was not fetched or imported yet, or is no longer the published file.
    """
    path = _path(logrows)
    if not path.is_file():
        raise SrsError(
            f"no ceremony file for 2^{logrows} rows in the cache: run `modelseal srs fetch {logrows}`, "
            "or `modelseal srs import FILE` without a network"
        )
    _verify_digest(path, logrows)
    return read_srs(path, development=False)


def fetch_srs(logrows: int, limits: WorkerLimits = DOWNLOAD_LIMITS) -> Srs:
    """Download the ceremony's file, check its digest and keep it in the cache.

    Raises:
        SrsError: There is no such file, it can't be downloaded, or what came is not it.
        WorkerError: The download took too long.
    """
    path = _path(logrows)
    if not path.is_file():
        with scratch_folder(path) as scratch:
            received = scratch / path.name
            try:
                run_job("fetch_srs", {"srs": received, "logrows": logrows}, limits)
            except WorkerFailedError as error:
                raise SrsError(
                    f"no download ({error}): get the file for 2^{logrows} rows on another machine, "
                    "then `modelseal srs import FILE`"
                ) from error
            _verify_digest(received, logrows)
            received.replace(path)
    return ceremony_srs(logrows)


def import_srs(source: Path) -> Srs:
    """Copy a ceremony's file from disk into the cache after checking its digest.

    Raises:
        SrsError: It can't be read, or is not a file of the ceremony.
    """
    logrows = read_srs(source, development=True).logrows
    _verify_digest(source, logrows)
    path = _path(logrows)
    with scratch_folder(path) as scratch:
        copy = scratch / path.name
        shutil.copyfile(source, copy)
        _verify_digest(copy, logrows)
        copy.replace(path)
    return ceremony_srs(logrows)


def cached_srs() -> tuple[Srs, ...]:
    """All SRS files in the cache, smallest first: the ceremony's, and those for development."""
    files = sorted(cache_folder("srs").glob("*.srs"))
    found = [read_srs(path, development=path.name.startswith("development-")) for path in files]
    return tuple(sorted(found, key=lambda srs: (srs.logrows, srs.development)))


def _path(logrows: int) -> Path:
    if logrows not in CEREMONY_SHA256:
        raise SrsError(f"the ceremony has no file for 2^{logrows} rows: 2^{min(CEREMONY_SHA256)} to 2^26 exist")
    return cache_folder("srs", f"ceremony-{logrows}.srs")


def _verify_digest(path: Path, logrows: int) -> None:
    expected = CEREMONY_SHA256.get(logrows)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise SrsError(
            f"{path} has the SHA-256 {found}, the ceremony's file for 2^{logrows} rows {expected} "
            f"({srs_bytes(logrows)} bytes): get it again"
        )
