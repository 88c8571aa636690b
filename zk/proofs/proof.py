"""A proof, and the two notations in which it travels.

ezkl's JSON repeats proof and outputs in several notations, and `ezkl.verify` does not look at all of them. Only the
canonical ones exist here: the proof's bytes, and the instances as field elements. What is read from ezkl comes from its
`proof` and `instances`; what is given to ezkl is written anew from these.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from zk.errors import CommitmentMismatchError, MalformedProofError
from zk.field import MODULUS, element_from_hex, element_to_hex, to_signed
from zk.proofs.challenge import public_instances

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zk.circuits.audit import AuditCircuit

POINT_BYTES = 64
"""A commitment in a proof: x and y, big-endian."""


@dataclass(frozen=True)
class Proof:
    """A proof, in the form that the escrow's `prove` takes beside the circuit's `vka`.

    Attributes:
        data: Exactly the circuit's `proof_bytes`; 64 bytes per committed column come first.
        instances: The k·O outputs, row-major, as canonical field elements. The instances of a random check are left
            out: whoever verifies derives them (`zk.proofs.challenge`).
    """

    data: bytes = field(repr=False)
    instances: tuple[int, ...]

    def to_bytes(self) -> bytes:
        """Return the proof in the one form in which it is kept: JSON, the same for equal proofs."""
        instances = [f"{instance:x}" for instance in self.instances]
        return json.dumps({"proof": self.data.hex(), "instances": instances}).encode()

    @classmethod
    def from_bytes(cls, kept: bytes) -> Self:
        """Read what `to_bytes` wrote; whether it is a proof of anything is *not* checked.

        Raises:
            ValueError: It is not in the form in which it was written.
        """
        try:
            fields = json.loads(kept)
            proof = cls(bytes.fromhex(fields["proof"]), tuple(int(instance, 16) for instance in fields["instances"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"it is no kept proof: {error!r}") from error
        if proof.to_bytes() != kept:
            raise ValueError("it is not in the form in which it was written")
        return proof

    @property
    def outputs(self) -> tuple[int, ...]:
        """The instances as signed integers at scale 2^output_scale_bits."""
        return tuple(to_signed(instance) for instance in self.instances)

    def points(self, circuit: AuditCircuit) -> tuple[bytes, ...]:
        """Return the commitments at its beginning: tensor 0's columns, the parameters', those of layers' results."""
        count = circuit.input_columns + circuit.parameter_columns + circuit.hidden_columns
        return tuple(self.data[at : at + POINT_BYTES] for at in range(0, count * POINT_BYTES, POINT_BYTES))

    def public_instances(self, circuit: AuditCircuit, context: bytes) -> tuple[int, ...]:
        """Return what the verifier takes beside the proof, derived from the proof's own beginning."""
        return public_instances(circuit, context, self.points(circuit), self.instances)


def verify_form(circuit: AuditCircuit, proof: Proof) -> None:
    """Check that lengths are exact and instances canonical; silent on success.

    The on-chain verifier and ezkl accept trailing bytes: whoever relies on a proof's bytes must not.

    Raises:
        MalformedProofError: They aren't.
    """
    if len(proof.data) != circuit.proof_bytes:
        raise MalformedProofError(
            f"the proof has {len(proof.data)} bytes, proofs of this circuit {circuit.proof_bytes}"
        )
    expected = circuit.output_count
    if len(proof.instances) != expected:
        raise MalformedProofError(f"the proof has {len(proof.instances)} instances, proofs of this circuit {expected}")
    for index, instance in enumerate(proof.instances):
        if not 0 <= instance < MODULUS:
            raise MalformedProofError(f"instance {index} is {instance:#x}: not below the field's modulus")


def verify_commitments(
    circuit: AuditCircuit, proof: Proof, input_points: Sequence[bytes], parameter_points: Sequence[bytes]
) -> None:
    """Check that a proof is about the given commitments; silent on success.

    Raises:
        CommitmentMismatchError: It isn't.
    """
    found = proof.points(circuit)
    split, end = circuit.input_columns, circuit.input_columns + circuit.parameter_columns
    for what, expected, actual in (
        ("inputs", tuple(input_points), found[:split]),
        ("parameters", tuple(parameter_points), found[split:end]),
    ):
        if expected != actual:
            raise CommitmentMismatchError(
                f"the proof is about other {what}: it begins with {_hex(actual)}, expected {_hex(expected)}"
            )


def _hex(points: Iterable[bytes]) -> str:
    return "0x" + b"".join(points).hex()


def read_ezkl_proof(text: str, circuit: AuditCircuit, context: bytes) -> Proof:
    """Read what ezkl wrote, from its canonical fields.

    Raises:
        MalformedProofError: Its instances are not those of a true statement in this context.
    """
    content = json.loads(text)
    (instances,) = ([element_from_hex(element) for element in column] for column in content["instances"])
    proof = Proof(bytes(content["proof"]), tuple(instances[: circuit.output_count]))
    expected = proof.public_instances(circuit, context)
    if tuple(instances) != expected:
        raise MalformedProofError(f"the proof's instances end in {instances[-2:]}, not in {expected[-2:]}: report it")
    return proof


def write_ezkl_proof(proof: Proof, instances: Iterable[int]) -> str:
    """Write a proof and all its instances for `ezkl.verify`."""
    return json.dumps(
        {
            "protocol": None,
            "instances": [[element_to_hex(instance) for instance in instances]],
            "proof": list(proof.data),
            "hex_proof": "0x" + proof.data.hex(),
            "split": None,
            "pretty_public_inputs": None,
            "timestamp": None,
            "version": None,
        }
    )


def proof_to_json(proof: Proof) -> str:
    """Write a proof to keep it; secret as long as it is not published."""
    return json.dumps({"proof": proof.data.hex(), "instances": [element_to_hex(value) for value in proof.instances]})


def proof_from_json(text: str) -> Proof:
    """Inverse of `proof_to_json`."""
    content = json.loads(text)
    return Proof(bytes.fromhex(content["proof"]), tuple(element_from_hex(value) for value in content["instances"]))
