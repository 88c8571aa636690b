"""The challenge of a circuit whose layers are proven by a random check, and the instances that follow from it.

The check of `zk.circuits.batching` is sound for a challenge that depends on everything it is about. So the
challenge is a hash (Fiat and Shamir, CRYPTO 1986) of

- the context: where the proof is used (`trade_context`; a certificate has one of its own),
- the circuit's digest, which fixes what is computed,
- the commitments at the proof's beginning: inputs, parameters, layers' results,
- the outputs.

Commitments are binding under the discrete logarithm assumption of the reference string, and come before the hash: a
prover that changes one committed value changes the challenge. The contract computes the same (`AuditChecks.sol`).
The remainder modulo p is not uniform, but no value has a probability above 6 / 2^256.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eth_utils.crypto import keccak

from zk.field import MODULUS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zk.circuits.audit import AuditCircuit

CHALLENGE_DOMAIN = b"modelseal/audit"
CONTEXT_BYTES = 32


def trade_context(chain_id: int, market: str, trade_id: int) -> bytes:
    """Return the context of a trade's proof: keccak256(abi.encode(chain id, market, trade id)).

    Args:
        chain_id: EIP-155 id of the chain.
        market: Address of the escrow.
        trade_id: Number of the trade.
    """
    words = (chain_id, int(market, 16), trade_id)
    return keccak(b"".join(word.to_bytes(32, "big") for word in words))


def audit_challenge(circuit: AuditCircuit, context: bytes, points: Iterable[bytes], outputs: Sequence[int]) -> int:
    """Return the challenge of a statement.

    Args:
        circuit: Its circuit.
        context: 32 bytes: where the proof is used.
        points: Commitments to inputs, parameters and layers' results, 64 bytes each, as they begin the proof.
        outputs: The k·O outputs as canonical field elements.
    """
    # abi.encode of a uint256[]: offset, length, elements.
    words = b"".join(word.to_bytes(32, "big") for word in (32, len(outputs), *outputs))
    digests = keccak(b"".join(points)) + keccak(words)
    return int.from_bytes(keccak(CHALLENGE_DOMAIN + context + circuit.digest + digests), "big") % MODULUS


def public_instances(
    circuit: AuditCircuit, context: bytes, points: Iterable[bytes], outputs: Sequence[int]
) -> tuple[int, ...]:
    """Return what the verifier takes beside the proof: outputs and, where there is a random check, challenge and 0."""
    if circuit.hidden is None:
        return tuple(outputs)
    return (*outputs, audit_challenge(circuit, context, points, outputs), 0)
