"""Caches, reference strings, keyfiles and party folders: what is missing there, and what others can read."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from trader.chain.keystores import FOREIGN_ACCESS, list_keystores
from trader.doctor.finding import Finding, bad, good, remark
from trader.errors import TraderError
from trader.exchange.keyfile import read_public_key
from trader.package.seller import ENCRYPTION_KEY
from trader.parties.filenames import VAULT_KEY, find_kept
from trader.parties.vault_key import is_encrypted
from zk import ZkError, cached_srs
from zk.storage import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def examine_files(keyfiles: Sequence[Path], packages: Sequence[Path], folders: Sequence[Path]) -> Iterator[Finding]:
    """Look at the user's caches, keyfiles, packages and party folders."""
    yield _cache(cache_folder())
    yield _reference_strings()
    yield _keyfiles([*keyfiles, *(entry.path for entry in list_keystores())])
    yield from map(_package, packages)
    yield from map(_folder, folders)


def _cache(folder: Path) -> Finding:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            return good("cache", f"{folder} can be written")
    except OSError as error:
        step = "Make it writable, or set XDG_CACHE_HOME: circuits and keys of proofs are made again without it."
        return bad("cache", f"{folder}: {error.strerror}", step)


def _reference_strings() -> Finding:
    try:
        found = cached_srs()
    except ZkError as error:
        return bad("reference strings", str(error), "Remove that file; `modelseal srs fetch LOGROWS` gets it again.")
    sizes = ", ".join(f"2^{srs.logrows}" for srs in found if not srs.development)
    if not sizes:
        return remark(
            "reference strings",
            f"none of the ceremony's, {len(found)} made here for development",
            "`modelseal srs fetch LOGROWS` gets the one that `modelseal model prepare` or a listing names.",
        )
    return good("reference strings", f"the ceremony's for {sizes} rows")


def _keyfiles(paths: Sequence[Path]) -> Finding:
    missing = [path for path in paths if not path.is_file()]
    if missing:
        return bad("keyfiles", f"{missing[0]} is not there", "Name the account's keyfile; see `modelseal keys list`.")
    readable = [str(path) for path in paths if path.stat().st_mode & FOREIGN_ACCESS]
    if readable:
        return bad("keyfiles", f"others can read {', '.join(readable)}", f"chmod 600 {' '.join(readable)}")
    if not paths:
        return remark("keyfiles", "none found", "`modelseal keys new FILE` makes an account.")
    return good("keyfiles", f"{len(paths)}, which their owner alone can read")


def _package(folder: Path) -> Finding:
    subject, key = f"package {folder}", folder / "secret" / ENCRYPTION_KEY
    try:
        read_public_key(key)
        exposed = [path.name for path in (folder / "secret").rglob("*") if path.is_file() and _others_read(path)]
    except (TraderError, OSError) as error:
        return bad(subject, str(error), "Name a folder that `modelseal model prepare` made.")
    if exposed:
        return bad(subject, f"others can read {', '.join(exposed)}", f"chmod -R go= {folder}/secret")
    return good(subject, f"secrets are their owner's alone; `modelseal package verify {folder}` checks the rest")


def _folder(folder: Path) -> Finding:
    subject = f"folder {folder}"
    clear = [path for path in find_kept(folder) if not is_encrypted(path.read_bytes())] if folder.is_dir() else []
    if clear:
        return bad(subject, f"{len(clear)} secrets lie in clear", f"Run `modelseal keys protect {folder}`.")
    if not (folder / VAULT_KEY).exists():
        return remark(subject, "nothing is kept there yet", "It is made by the first trade.")
    if _others_read(folder / VAULT_KEY):
        return bad(subject, f"others can read {VAULT_KEY}", f"chmod 600 {folder / VAULT_KEY}")
    return good(subject, "what it keeps is encrypted")


def _others_read(path: Path) -> bool:
    return bool(path.stat().st_mode & FOREIGN_ACCESS)
