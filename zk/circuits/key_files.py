"""The files that ezkl works with: made in fresh processes, kept in the user's cache.

A folder per build, `circuits/<build id>/<digest>/`: circuit, settings, compiled circuit, verifying and proving key,
verifying key artifact. ezkl's keys vary between processes for the same circuit, so one build id may have several
digests; a listing names one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eth_utils.crypto import keccak

from zk.circuits.keys import read_vka, vka_digest
from zk.errors import CircuitMismatchError, SrsError
from zk.ezkl.worker import OnProgress, run_job
from zk.storage import cache_folder, scratch_folder

if TYPE_CHECKING:
    from pathlib import Path

    from zk.circuits.audit import AuditCircuit
    from zk.setup.srs import Srs

MAX_BUILDS = 8
"""Builds in fresh processes before a digest is called a mismatch; ezkl shows a few variants at most."""


@dataclass(frozen=True)
class KeyFiles:
    """Paths of one build."""

    folder: Path

    @property
    def circuit(self) -> Path:
        """The audit circuit's ONNX."""
        return self.folder / "circuit.onnx"

    @property
    def settings(self) -> Path:
        """Canonical settings."""
        return self.folder / "settings.json"

    @property
    def compiled(self) -> Path:
        """Ezkl's compiled circuit."""
        return self.folder / "circuit.compiled"

    @property
    def verifying_key(self) -> Path:
        """Ezkl's verifying key."""
        return self.folder / "verifying.key"

    @property
    def proving_key(self) -> Path:
        """Ezkl's proving key."""
        return self.folder / "proving.key"

    @property
    def vka(self) -> Path:
        """Verifying key artifact."""
        return self.folder / "vka.bin"


def keys_of(circuit: AuditCircuit, srs: Srs) -> KeyFiles:
    """Keys of a known circuit, made again if the cache was removed.

    Raises:
        SrsError: `srs` is not the circuit's.
    """
    if srs.digest != circuit.srs_digest:
        raise SrsError(
            f"the circuit's SRS has the digest 0x{circuit.srs_digest.hex()}, {srs.path} has 0x{srs.digest.hex()}: "
            "get the one that the listing names"
        )
    return obtain_keys(circuit.onnx, circuit.settings, srs, circuit.digest)


def obtain_keys(
    circuit: bytes, settings: bytes, srs: Srs, digest: bytes | None = None, on_progress: OnProgress | None = None
) -> KeyFiles:
    """Keys of a circuit, from the cache or made now.

    Args:
        circuit: The audit circuit's ONNX.
        settings: Canonical settings.
        srs: An SRS of the settings' size.
        digest: The digest that is wanted; for a new listing any will do.
        on_progress: Called with the seconds that making them has taken so far; an exception raised in it cancels.

    Raises:
        CircuitMismatchError: No build in `MAX_BUILDS` fresh processes gave the digest.
        WorkerError: ezkl failed.
    """
    build_id = keccak(keccak(circuit) + keccak(settings) + srs.digest)
    root = cache_folder("circuits", build_id.hex())
    wanted = digest.hex() if digest else "*"
    for folder in sorted(root.glob(wanted)):
        if not folder.name.startswith("."):
            return KeyFiles(folder)
    seen: set[str] = set()
    for _ in range(MAX_BUILDS):
        with scratch_folder(root / wanted) as scratch:
            made = _make_keys(KeyFiles(scratch), circuit, settings, srs, on_progress)
            seen.add(made)
            if digest is None or made == wanted:
                return _keep(scratch, root / made)
    raise CircuitMismatchError(
        f"architecture.onnx and settings.json do not give the listed circuit digest 0x{wanted}: {MAX_BUILDS} builds "
        f"gave 0x{', 0x'.join(sorted(seen))}. Ask the seller for the files that were listed"
    )


def _make_keys(files: KeyFiles, circuit: bytes, settings: bytes, srs: Srs, on_progress: OnProgress | None) -> str:
    """Make keys in a fresh process; returns their digest in hex."""
    files.circuit.write_bytes(circuit)
    files.settings.write_bytes(settings)
    job = {
        "circuit": files.circuit,
        "settings": files.settings,
        "srs": srs.path,
        "compiled": files.compiled,
        "vk": files.verifying_key,
        "pk": files.proving_key,
        "vka": files.vka,
    }
    run_job("make_keys", job, on_progress=on_progress)
    return vka_digest(read_vka(files.vka.read_bytes())).hex()


def _keep(scratch: Path, target: Path) -> KeyFiles:
    """Move a finished build into the cache, unless another process was faster."""
    try:
        scratch.rename(target)
    except OSError:
        if not target.is_dir():
            raise
    return KeyFiles(target)
