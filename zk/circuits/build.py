"""Build an audit circuit (seller) or rebuild a listed one (buyer)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

    from zk.circuits.audit import AuditCircuit
    from zk.srs import Srs, SrsProvider


def build_audit_circuit(
    architecture: onnx.ModelProto, *, audit_samples: int, scale_bits: int, srs: SrsProvider
) -> AuditCircuit:
    """Derive the audit circuit of an architecture, with the cheapest settings that prove it.

    Args:
        architecture: ``architecture.onnx``: graph inputs ``input`` [N, F], then one float tensor per parameter.
        audit_samples: k, samples in one proof.
        scale_bits: Inputs and parameters are integers at scale 2^scale_bits.
        srs: Gives the SRS once the number of rows is known.

    Raises:
        UnsupportedArchitecture: The graph breaks the convention or has no exact circuit.
        SrsError: No SRS of the needed size.
        UnlinkedColumn: A parameter is not used by the computation.
        WorkerError: ezkl failed.
    """
    raise NotImplementedError


def rebuild_audit_circuit(
    architecture: onnx.ModelProto, settings: bytes, *, audit_samples: int, srs: Srs, expected_digest: bytes
) -> AuditCircuit:
    """Rebuild a listed circuit from what is public; never recalibrates.

    ezkl's keys depend on hash-map order, so the build is repeated in fresh processes, a bounded number of times.

    Raises:
        UnsupportedArchitecture: The architecture breaks the convention.
        SettingsMismatch: The settings are malformed or those of another statement.
        SrsError: ``srs`` has another size than the settings ask for.
        CircuitMismatch: No build gave ``expected_digest``.
        UnlinkedColumn: A committed column is not tied to the computation.
        WorkerError: ezkl failed.
    """
    raise NotImplementedError
