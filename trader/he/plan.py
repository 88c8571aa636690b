"""The encryption plan: every public choice about an encrypted test, made once by the seller and checked by the buyer.

`plan_encryption` chooses, `HePlan` is what the manifest holds, `SecurityPolicy.check` is what a buyer asks of it before any
key is made. Security levels are those of the Homomorphic Encryption Standard (Albrecht et al., 2018, table 1, ternary
secrets, classical attacks).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from trader.model.canonical import CanonicalModel

MAXIMUM_MODULUS_BITS = {
    128: {1024: 27, 2048: 54, 4096: 109, 8192: 218, 16384: 438, 32768: 881},
    192: {1024: 19, 2048: 37, 4096: 75, 8192: 152, 16384: 305, 32768: 611},
    256: {1024: 14, 2048: 29, 4096: 58, 8192: 118, 16384: 237, 32768: 476},
}
"""Largest total modulus (special prime included) by security bits and ring degree."""


@dataclass(frozen=True, slots=True)
class SecurityPolicy:
    """What a party asks of a plan.

    Attributes:
        security_bits: least security of the encryption.
        statistical_bits: least distance, in bits, between the flooding noise and the noise that it hides.
    """

    security_bits: int = 128
    statistical_bits: int = 0

    def check(self, plan: "HePlan") -> None:
        """Refuse a plan that falls short; recomputes the security level and trusts no claim in the plan.

        Raises:
            SecurityError: with the level found and the level asked for.
        """
        raise NotImplementedError


class HePlan(BaseModel):
    """Public parameters of an encrypted test; goes into the manifest as JSON.

    Attributes:
        version: of this form.
        ring_degree: N; a ciphertext holds N/2 slots.
        modulus_bits: sizes of the primes, the special prime last.
        parameters_id: SEAL's hash of (scheme, N, primes), hex: pins the primes that follow from the sizes.
        security_bits: level by the HE standard's table.
        features: F, ciphertexts per batch in the request.
        outputs: O, ciphertexts per batch in the response.
        samples_per_batch: samples that one batch of ciphertexts holds.
        scale_bits: s, the grid of inputs and parameters.
        input_scale_bits: scale at which inputs are encrypted.
        mask_scale_bits: scale of the plaintext that blanks unused slots.
        output_scale_bits: scale of the decrypted outputs, mask included.
        input_magnitude: largest |input| that the plan allows, real units.
        flooding_bits: log2 of the flooding noise's standard deviation per coefficient.
        statistical_bits: log2 of the ratio between the flooding noise and the noise that it hides.
        expected_error: bound that the output error against the canonical model stays below, but for 2^-20 of the cases.
        request_bytes: per batch, public key left out.
        response_bytes: per batch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    version: Literal[1] = 1
    ring_degree: Annotated[int, Field(ge=1024, le=32768)]
    modulus_bits: Annotated[tuple[Annotated[int, Field(ge=14, le=60)], ...], Field(min_length=2, max_length=40)]
    parameters_id: Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]
    security_bits: Literal[128, 192, 256]
    features: Annotated[int, Field(ge=1, le=1 << 20)]
    outputs: Annotated[int, Field(ge=1, le=1 << 16)]
    samples_per_batch: Annotated[int, Field(ge=1, le=16384)]
    scale_bits: Annotated[int, Field(ge=0, le=24)]
    input_scale_bits: Annotated[int, Field(ge=1, le=120)]
    mask_scale_bits: Annotated[int, Field(ge=1, le=60)]
    output_scale_bits: Annotated[int, Field(ge=1, le=900)]
    input_magnitude: Annotated[float, Field(gt=0)]
    flooding_bits: Annotated[int, Field(ge=0, le=800)]
    statistical_bits: Annotated[int, Field(ge=0, le=800)]
    expected_error: Annotated[float, Field(gt=0)]
    request_bytes: Annotated[int, Field(ge=1)]
    response_bytes: Annotated[int, Field(ge=1)]

    def batches(self, samples: int) -> int:
        """Number of batches that `samples` samples take."""
        return -(-samples // self.samples_per_batch)


def plan_encryption(
    model: CanonicalModel,
    bounds: Mapping[str, float],
    *,
    input_magnitude: float,
    policy: SecurityPolicy = SecurityPolicy(),
) -> HePlan:
    """Choose encryption parameters for a model.

    Args:
        model: graph, parameters and their scale.
        bounds: largest |value| (real units) that each value of the graph may take (`measured_bounds`).
        input_magnitude: largest |input| that buyers may encrypt.
        policy: what the seller itself asks for.

    Raises:
        PlanError: no parameters within the standard's table serve this model; names the value that grows too large.
    """
    raise NotImplementedError


def parse_plan(data: Any) -> HePlan:
    """Read a plan that comes from the other party: form, ranges and consistency; not its security (`SecurityPolicy`).

    Args:
        data: the JSON object, as parsed.

    Raises:
        PlanError: not a well-formed plan, or its parts contradict each other.
    """
    raise NotImplementedError
