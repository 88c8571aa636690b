"""The audit circuit of a package, ready to prove or to verify with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

from trader.model import parse_manifest
from trader.package.errors import PackageError
from trader.package.public import SRS_FILE
from zk import AuditCircuit, Srs, read_srs, rebuild_audit_circuit

if TYPE_CHECKING:
    from pathlib import Path

    from trader.package.public import PublicPackage


def read_package_srs(public_folder: Path) -> Srs:
    """The development reference string that a public folder carries.

    Raises:
        PackageError: it carries none: the listing names a ceremony's, which is not in the package.
        SrsError: the file is damaged.
    """
    path = public_folder / SRS_FILE
    if not path.exists():
        raise PackageError(f"{public_folder} carries no reference string. Import the ceremony's.")
    return read_srs(path, development=True)


def open_circuit(public: PublicPackage, srs: Srs) -> AuditCircuit:
    """Rebuild the audit circuit that a package's own manifest names.

    Sellers use this on what they made themselves; buyers run `trader.verify.verify_listing`, which trusts no manifest.

    Raises:
        CircuitError: the package doesn't give that circuit.
    """
    circuit = parse_manifest(public.manifest).circuit
    return rebuild_audit_circuit(
        onnx.load_from_string(public.architecture),
        public.settings,
        audit_samples=circuit.audit_samples,
        srs=srs,
        expected_digest=bytes.fromhex(circuit.circuit_digest[2:]),
    )
