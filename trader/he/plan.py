"""The encryption plan: every public choice about an encrypted test, made once by the seller and checked by the buyer.

`HePlan` is what the manifest holds, `SecurityPolicy.check` is what a buyer asks of it before any key is made;
`trader.he.planner` chooses. Security levels are those of the Homomorphic Encryption Standard (Albrecht et al., 2018,
table 1: ternary secrets, classical attacks), whose 128-bit row is also SEAL's.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import rfc8785
from eth_utils.crypto import keccak
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trader.he.activations import Polynomial
from trader.he.errors import PlanError, SecurityError
from trader.he.seal import MAXIMUM_PRIME_BITS
from trader.he.wire import PartLayout

MAXIMUM_MODULUS_BITS = {
    128: {1024: 27, 2048: 54, 4096: 109, 8192: 218, 16384: 438, 32768: 881},
    192: {1024: 19, 2048: 37, 4096: 75, 8192: 152, 16384: 305, 32768: 611},
    256: {1024: 14, 2048: 29, 4096: 58, 8192: 118, 16384: 237, 32768: 476},
}
"""Largest total modulus (special prime included) by security bits and ring degree."""


def security_level(ring_degree: int, total_modulus_bits: int) -> int:
    """Bits of security by the standard's table; 0 where it is below 128."""
    levels = (bits for bits, table in MAXIMUM_MODULUS_BITS.items() if total_modulus_bits <= table.get(ring_degree, 0))
    return max(levels, default=0)


class ActivationPlan(BaseModel):
    """The polynomial that stands for an activation: Σ c_i·(x/2^unit_bits)^i for |x| ≤ radius.

    Attributes:
        node: name in the public graph.
        coefficients: c_0, c_1, …
        unit_bits: exponent of the unit.
        radius: largest |x| that it was fitted for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    node: Annotated[str, Field(min_length=1, max_length=64)]
    coefficients: Annotated[tuple[float, ...], Field(min_length=1, max_length=16)]
    unit_bits: Annotated[int, Field(ge=-64, le=64)]
    radius: Annotated[float, Field(gt=0)]


class HePlan(BaseModel):
    """Public parameters of an encrypted test; goes into the manifest as JSON.

    Attributes:
        version: of this form.
        ring_degree: N; a ciphertext holds N/2 slots.
        modulus_bits: sizes of the primes, the special prime last.
        parameters_id: SEAL's hash of (scheme, N, primes), hex: pins the primes that follow from the sizes.
        features: F, ciphertexts per batch in the request.
        outputs: O, ciphertexts per batch in the response.
        components: polynomials per ciphertext of the response: 2, one more for each squaring.
        scale_bits: s, the grid of inputs and parameters.
        input_scale_bits: scale at which inputs are encrypted.
        mask_scale_bits: scale of the polynomial that blanks unused slots.
        output_scale: scale of the decrypted outputs, mask included.
        dropped_primes: how many primes each level's refresh drops, the last ones first; empty where nothing is
            refreshed and no evaluation keys are sent.
        activations: polynomials, in the order of the graph.
        input_magnitude: largest |input| that the plan allows, real units.
        flooding_bits: flooding noise is uniform in [-2^b, 2^b) per coefficient.
        statistical_bits: log2 of the ratio between the flooding noise and the noise that it hides.
        approximation_error: part of the expected error that polynomials for activations make.
        expected_error: bound on the output's error against the canonical model, noise at six standard deviations.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    version: Literal[1] = 1
    ring_degree: Literal[1024, 2048, 4096, 8192, 16384, 32768]
    modulus_bits: Annotated[tuple[Annotated[int, Field(ge=14, le=60)], ...], Field(min_length=2, max_length=40)]
    parameters_id: Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]
    features: Annotated[int, Field(ge=1, le=1 << 20)]
    outputs: Annotated[int, Field(ge=1, le=1 << 16)]
    components: Annotated[int, Field(ge=2, le=17)]
    scale_bits: Annotated[int, Field(ge=0, le=24)]
    input_scale_bits: Annotated[int, Field(ge=1, le=60)]
    mask_scale_bits: Annotated[int, Field(ge=1, le=60)]
    output_scale: Annotated[float, Field(ge=1.0, le=2.0**900)]
    dropped_primes: Annotated[tuple[Annotated[int, Field(ge=0, le=39)], ...], Field(max_length=39)] = ()
    activations: Annotated[tuple[ActivationPlan, ...], Field(max_length=256)] = ()
    input_magnitude: Annotated[float, Field(gt=0)]
    flooding_bits: Annotated[int, Field(ge=1, le=840)]
    statistical_bits: Annotated[int, Field(ge=0, le=840)]
    approximation_error: Annotated[float, Field(ge=0)] = 0.0
    expected_error: Annotated[float, Field(gt=0)]

    @property
    def samples_per_batch(self) -> int:
        """Samples that one batch of ciphertexts holds."""
        return self.ring_degree // 2

    @property
    def primes(self) -> int:
        """Number of primes of a ciphertext; the special prime is of keys only."""
        return len(self.modulus_bits) - 1

    @property
    def response_primes(self) -> int:
        """Number of primes of a ciphertext of the response."""
        return self.primes - sum(self.dropped_primes)

    @property
    def refreshes(self) -> bool:
        """Whether ciphertexts are refreshed, so that requests hold relinearisation keys."""
        return bool(self.dropped_primes)

    @property
    def output_scale_bits(self) -> int:
        """`output_scale` in bits, rounded down."""
        return math.frexp(self.output_scale)[1] - 1

    @property
    def polynomials(self) -> dict[str, Polynomial]:
        """Polynomials by the name of their node."""
        return {a.node: Polynomial(a.coefficients, a.unit_bits, a.radius) for a in self.activations}

    def level_primes(self, level: int) -> int:
        """Number of primes of ciphertexts that were refreshed so many times."""
        return self.primes - sum(self.dropped_primes[:level])

    @property
    def security_bits(self) -> int:
        """Level by the standard's table, recomputed; 0 where it is below 128."""
        return security_level(self.ring_degree, sum(self.modulus_bits))

    @property
    def digest(self) -> str:
        """keccak256 of the plan's canonical JSON, hex: names the plan inside containers."""
        return "0x" + keccak(rfc8785.dumps(self.model_dump(mode="json"))).hex()

    def batches(self, samples: int) -> int:
        """Number of batches that `samples` samples take."""
        return -(-samples // self.samples_per_batch)

    def request_bytes(self, samples: int) -> int:
        """Bytes of a request, its header left out."""
        keys = 2 * (self.primes + 1) * (1 + self.primes * self.refreshes)
        ciphertexts = 2 * self.primes * self.batches(samples) * self.features
        return 4 * self.ring_degree * (keys + ciphertexts)

    def response_bytes(self, samples: int) -> int:
        """Bytes of a response, its header left out."""
        return 4 * self.ring_degree * self.response_primes * self.batches(samples) * self.outputs * self.components

    @property
    def key_parts(self) -> int:
        """Parts of a request that hold keys: the public key, then relinearisation keys, one per prime, if needed."""
        return 1 + self.primes * self.refreshes

    def request_layout(self, samples: int, primes: tuple[int, ...]) -> list[PartLayout]:
        """Parts of a request: `key_parts` of keys, then one per batch and prime. `primes` ends with the special one."""
        key = PartLayout((2, len(primes), self.ring_degree), primes)
        halves = [PartLayout((self.features, 2, self.ring_degree), (prime,)) for prime in primes[:-1]]
        return [*[key] * self.key_parts, *halves * self.batches(samples)]

    def response_layout(self, samples: int, primes: tuple[int, ...]) -> list[PartLayout]:
        """Parts of a response: one per batch. `primes` are those of a fresh ciphertext."""
        kept = primes[: self.response_primes]
        batch = PartLayout((self.outputs, self.components, len(kept), self.ring_degree), kept)
        return [batch] * self.batches(samples)


def parse_plan(data: Any) -> HePlan:
    """Read a plan that comes from the other party: form, ranges and consistency, not its security (`SecurityPolicy`).

    Args:
        data: the JSON object, as parsed.

    Raises:
        PlanError: not a well-formed plan, or its parts contradict each other.
    """
    try:
        plan = HePlan.model_validate_json(rfc8785.dumps(data))
    except (ValidationError, rfc8785.CanonicalizationError) as error:
        message = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise PlanError(f"the encryption plan is not well formed: {message}. Ask the seller for another.") from error
    if plan.response_primes < 1:
        raise PlanError(f"the plan drops {sum(plan.dropped_primes)} of {plan.primes} primes")
    data_bits = sum(plan.modulus_bits[: plan.response_primes])
    if max(plan.modulus_bits) > MAXIMUM_PRIME_BITS:
        raise PlanError(f"the plan has a prime of {max(plan.modulus_bits)} bits, more than {MAXIMUM_PRIME_BITS}")
    if max(plan.output_scale_bits, plan.flooding_bits) >= data_bits:
        raise PlanError(f"the plan's outputs or noise don't fit into its modulus of {data_bits} bits")
    return plan


@dataclass(frozen=True, slots=True)
class SecurityPolicy:
    """What a party asks of a plan.

    Attributes:
        security_bits: least security of the encryption.
        statistical_bits: least distance, in bits, between the flooding noise and the noise that it hides.
    """

    security_bits: int = 128
    statistical_bits: int = 0

    def check(self, plan: HePlan) -> None:
        """Refuse a plan that falls short; the level of the encryption is recomputed, whatever the plan claims.

        Raises:
            SecurityError: with the level found and the level asked for.
        """
        if plan.security_bits < self.security_bits:
            raise SecurityError(
                f"ring degree {plan.ring_degree} with a modulus of {sum(plan.modulus_bits)} bits gives "
                f"{plan.security_bits or 'less than 128'} bits of security, {self.security_bits} are asked for. "
                "Don't encrypt under this plan."
            )
        if plan.statistical_bits < self.statistical_bits:
            raise SecurityError(
                f"the plan floods with {plan.statistical_bits} statistical bits, {self.statistical_bits} are asked for"
            )


DEFAULT_POLICY = SecurityPolicy()
