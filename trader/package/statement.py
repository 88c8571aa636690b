"""What a package's proofs are about, as the market's listing has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eth_utils.hexadecimal import decode_hex

from contracts import Layout, Statement

if TYPE_CHECKING:
    from trader.model import Manifest


def layout_of(manifest: Manifest) -> Layout:
    """Return the manifest's layout as the contract takes it: the fields are the same."""
    return Layout(**manifest.circuit.layout.model_dump())


def statement_of(manifest: Manifest) -> Statement:
    """Return what the manifest says is proven: circuit, parameters and layout."""
    circuit, parameters = manifest.circuit.circuit_digest, manifest.parameter_commitment
    return Statement(decode_hex(circuit), decode_hex(parameters), layout_of(manifest))
