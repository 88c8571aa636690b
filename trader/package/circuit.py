"""The audit circuit of a package, ready to prove or to verify with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
from eth_utils.hexadecimal import decode_hex

from trader.model import parse_manifest
from trader.package.public import SRS_FILE, PublicPackage
from zk import AuditCircuit, Srs, ceremony_srs, read_srs, rebuild_audit_circuit

if TYPE_CHECKING:
    from pathlib import Path


def read_package_srs(public_folder: Path) -> Srs:
    """Read the reference string of a public folder: the development one in it, else the ceremony's of its size.

    Raises:
        PackageError: there is no package.
        ManifestError: the manifest is damaged.
        SrsError: the file is damaged, or the ceremony's is not on this machine.
    """
    path = public_folder / SRS_FILE
    if path.exists():
        return read_srs(path, development=True)
    manifest = parse_manifest(PublicPackage.read(public_folder).manifest)
    return ceremony_srs(manifest.circuit.srs.logrows)


def open_circuit(public: PublicPackage, srs: Srs) -> AuditCircuit:
    """Rebuild the audit circuit that a package's own manifest names.

    Sellers use this on what they made themselves; buyers run `trader.verify.verify_listing`, which trusts no manifest.

    Raises:
        CircuitError: the package doesn't give that circuit.
    """
    manifest = parse_manifest(public.manifest)
    circuit = manifest.circuit
    return rebuild_audit_circuit(
        onnx.load_from_string(public.architecture),
        public.settings,
        audit_samples=circuit.audit_samples,
        scale_bits=manifest.scale_bits,
        srs=srs,
        expected_digest=decode_hex(circuit.circuit_digest),
    )
