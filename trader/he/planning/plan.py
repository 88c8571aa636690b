"""The encryption plan: every public choice about an encrypted test, made once by the seller and checked by the buyer.

`HePlan` is what the manifest holds, `SecurityPolicy.check` is what a buyer asks of it before any key is made;
`trader.he.planning.search` chooses. Security levels are those of Bossuat et al., "Security Guidelines for Implementing
Homomorphic Encryption", IACR Communications in Cryptology 1(4), 2025 (ePrint 2024/463), table 5.2: uniform ternary
secrets, errors of deviation 3.19, classical attacks. Nowhere do they allow more than the Homomorphic Encryption
Standard (Albrecht et al., 2018, table 1), by which SEAL checks parameters: newer attacks cost up to 14 bits of modulus.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal

import numpy as np
import rfc8785
from eth_utils.crypto import keccak
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from trader.he.errors import PlanError, SecurityError
from trader.he.layouts.packing import MapLayout, Packing, map_layouts, needed_rotations
from trader.he.layouts.visible import Visible, period_of
from trader.he.program.activations import Polynomial
from trader.he.program.steps import Program, build_program
from trader.he.ring.encoding import Slots
from trader.he.ring.expansion import SEED_BYTES
from trader.he.seal.objects import MAXIMUM_PRIME_BITS, conjugation_element, rotation_element
from trader.he.wire.container import PartLayout
from trader.he.wire.key_proof import Form
from trader.model.graph import Graph

MAXIMUM_MODULUS_BITS = {
    128: {1024: 26, 2048: 53, 4096: 106, 8192: 214, 16384: 430, 32768: 868},
    192: {2048: 36, 4096: 73, 8192: 147, 16384: 297, 32768: 597},
    256: {2048: 27, 4096: 56, 8192: 114, 16384: 230, 32768: 462},
}
"""Largest total modulus (special prime included) by security bits and ring degree; missing degrees have none."""


def security_level(ring_degree: int, total_modulus_bits: int) -> int:
    """Bits of security by the table of the guidelines; 0 where it is below 128."""
    levels = (bits for bits, table in MAXIMUM_MODULUS_BITS.items() if total_modulus_bits <= table.get(ring_degree, 0))
    return max(levels, default=0)


MOST_STATISTICAL_BITS = 840
"""Stated of flooding at most, however little it hides: a model without weights makes no noise at all."""


def _from_hex(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        scale = float.fromhex(value)
    except OverflowError as error:
        raise ValueError("a scale beyond any float") from error
    if scale.hex() != value:
        raise ValueError(f"{value!r} is not how {scale.hex()} is written")  # one form, one digest
    return scale


_Scale = Annotated[
    float,
    Field(ge=1.0, le=2.0**900),
    BeforeValidator(_from_hex),
    PlainSerializer(float.hex, when_used="json"),
]
"""Exact, as hexadecimal: canonical JSON has no whole numbers of more than 53 bits."""

_Size = Annotated[int, Field(ge=1, le=1 << 20)]


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
        features: F; as many ciphertexts per batch in the request, unless the plan is packed.
        outputs: O; as many ciphertexts per batch in the response, unless the plan is packed or joined.
        components: polynomials per ciphertext of the response: 2, one more for each squaring.
        scale_bits: s, the grid of inputs and parameters.
        input_scale_bits: scale at which inputs are encrypted.
        output_scale: scale of the decrypted outputs.
        dropped_primes: how many primes each level's refresh drops, the last ones first; empty where nothing is
            refreshed and no evaluation keys are sent.
        response_primes: number of primes of a ciphertext of the response, the first ones: as few as hold an output,
            since what a modulus holds beyond that only serves who sends something else than samples.
        activations: polynomials, in the order of the graph.
        input_magnitude: largest |input| that the plan allows, real units.
        flooding_bits: flooding noise is uniform in [-2^b, 2^b) per coefficient, where all coefficients are visible;
            see `visible_flooding_bits`.
        statistical_bits: log2 of the ratio between the flooding noise and the noise that it hides, where all
            coefficients are visible: least of all. `trader.he.planning.search` says how many it aims at, and when it is
            fewer. The rounding of a packed plan's weights doesn't count: it is part of the model that is answered.
        approximation_error: part of the expected error that polynomials for activations make.
        expected_error: bound on the output's error against the canonical model, noise at six standard deviations.
        weight_scale_bits: scale of encoded weights in a packed plan, where ciphertexts hold several features each
            (`trader.he.layouts.packing`); 0 in others, whose weights are integers.
        maps: of a packed plan, (inputs, outputs) of its affine maps: they say which rotations need keys.
        paired: whether two samples share each slot, as real and imaginary parts, up to the first products.
        spread: whether copies of the features in a packed request are rotated against each other, so that each serves a
            part of the first map's diagonals.
        joined: whether two outputs share each slot of the response, as real and imaginary parts.
        unfolded: whether a packed plan ends with an affine map, whose folds are left to the reader: the visible
            coefficients average what they would add up.
        few_samples: a packed plan for small tests, where that pays.
        few_samples_limit: largest number of samples that it serves.
        many_samples: a paired plan for tests that fill more than a batch of this one, where that pays.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    version: Literal[2] = 2
    ring_degree: Literal[1024, 2048, 4096, 8192, 16384, 32768]
    modulus_bits: Annotated[tuple[Annotated[int, Field(ge=14, le=60)], ...], Field(min_length=2, max_length=40)]
    parameters_id: Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]
    features: Annotated[int, Field(ge=1, le=1 << 20)]
    outputs: Annotated[int, Field(ge=1, le=1 << 16)]
    components: Annotated[int, Field(ge=2, le=17)]
    scale_bits: Annotated[int, Field(ge=0, le=24)]
    input_scale_bits: Annotated[int, Field(ge=1, le=80)]
    output_scale: _Scale
    dropped_primes: Annotated[tuple[Annotated[int, Field(ge=0, le=39)], ...], Field(max_length=39)] = ()
    response_primes: Annotated[int, Field(ge=1, le=39)]
    activations: Annotated[tuple[ActivationPlan, ...], Field(max_length=256)] = ()
    input_magnitude: Annotated[float, Field(gt=0)]
    flooding_bits: Annotated[int, Field(ge=1, le=840)]
    statistical_bits: Annotated[int, Field(ge=0, le=MOST_STATISTICAL_BITS)]
    approximation_error: Annotated[float, Field(ge=0)] = 0.0
    expected_error: Annotated[float, Field(gt=0)]
    weight_scale_bits: Annotated[int, Field(ge=0, le=48)] = 0
    maps: Annotated[tuple[tuple[_Size, _Size], ...], Field(max_length=256)] = ()
    paired: bool = False
    spread: bool = False
    joined: bool = False
    unfolded: bool = False
    few_samples: "HePlan | None" = None
    few_samples_limit: Annotated[int, Field(ge=0, le=1 << 14)] = 0
    many_samples: "HePlan | None" = None

    def for_samples(self, samples: int) -> "HePlan":
        """The plan that a test of so many samples is made under: this one, its packed or its paired one."""
        if self.few_samples is not None and samples <= self.few_samples_limit:
            return self.few_samples
        if self.many_samples is not None and samples > self.samples_per_batch:
            return self.many_samples
        return self

    @property
    def batched(self) -> "HePlan":
        """This plan alone."""
        return self.model_copy(update={"few_samples": None, "few_samples_limit": 0, "many_samples": None})

    @property
    def layouts(self) -> "tuple[HePlan, ...]":
        """This plan, its packed and its paired one, as far as it has them."""
        return tuple(plan for plan in (self, self.few_samples, self.many_samples) if plan is not None)

    @property
    def largest_error(self) -> float:
        """Bound on an output's error, for any number of samples."""
        return max(plan.expected_error for plan in self.layouts)

    @property
    def packed(self) -> bool:
        """Whether ciphertexts hold several features each."""
        return self.weight_scale_bits > 0

    @property
    def slots(self) -> int:
        """Slots of a ciphertext."""
        return self.ring_degree // 2

    @property
    def samples_per_batch(self) -> int:
        """Samples that one batch of ciphertexts holds."""
        return self.slots * (1 + self.paired)

    def packing(self, samples: int) -> Packing:
        """How so many samples, at most one per slot, share ciphertexts; in one block where the plan isn't packed."""
        in_batch = min(samples, self.slots)
        packed = self.packed
        return Packing.tight(self.ring_degree, in_batch) if packed else Packing(self.ring_degree, self.slots, in_batch)

    def map_layouts(self, samples: int) -> tuple[MapLayout, ...]:
        """How the affine maps of a packed plan are evaluated for so many samples."""
        return map_layouts(self.packing(samples), self.maps, spread=self.spread, unfolded=self.unfolded)

    def program(self, graph: Graph) -> Program:
        """What is carried out under this plan."""
        return build_program(graph, self.polynomials, staged=self.refreshes, packed=self.packed, paired=self.paired)

    def parts_of_batch(self, samples: int) -> list[int]:
        """Samples of the first batch of so many by part: those in real, then, if paired, those in imaginary parts."""
        in_batch = min(samples, self.samples_per_batch)
        return [min(self.slots, in_batch - start) for start in range(0, in_batch, self.slots)]

    def pack(self, values: NDArray[np.float64]) -> Slots:
        """Samples [n, F] of a batch as slots [ciphertexts, N/2]."""
        if self.spread:
            return self.map_layouts(len(values))[0].pack(values)
        slots = self.packing(len(values)).pack(values[: self.slots])
        if not self.paired:
            return slots
        second = values[self.slots :] if len(values) > self.slots else values
        return slots + 1j * self.packing(len(second)).pack(second)

    def unpack(self, values: Sequence[NDArray[np.float64]], samples: int) -> NDArray[np.float64]:
        """What the ciphertexts of the response to a batch show, [1 or 2, period] each, as outputs [n, O]."""
        counts = self.parts_of_batch(samples)
        found = []
        for part, count in enumerate(counts):
            rows = np.concatenate(values[part * len(values) // len(counts) :][: len(values) // len(counts)])
            found.append(rows.reshape(-1, period_of(count))[: self.outputs, :count].T)
        return np.concatenate(found)

    def visible(self, samples: int) -> list[list[Visible]]:
        """What each ciphertext of the response to so many samples shows, by batch: all that a response says.

        How responses are protected and read follows from it, their size, and what a session costs.
        """
        starts = range(0, samples, self.samples_per_batch)
        return [
            [shown for count in self.parts_of_batch(samples - start) for shown in self._visible_of_part(count)]
            for start in starts
        ]

    def _visible_of_part(self, count: int) -> list[Visible]:
        if self.packed:
            packing = self.packing(count)
            blocks = packing.period(self.outputs)
            return [Visible(blocks * packing.stride, joined=False)] * packing.ciphertexts(self.outputs)
        pairs, single = divmod(self.outputs, 2) if self.joined else (0, self.outputs)
        period = period_of(count)
        return [Visible(period, joined=True)] * pairs + [Visible(period, joined=False)] * single

    @property
    def values_per_answer(self) -> int:
        """Most numbers that a response shows per sample that is charged: the outputs; in a packed plan, their period.

        In an honest packed response the numbers beyond the outputs are copies of these.
        """
        return period_of(self.outputs) if self.packed else self.outputs

    def visible_flooding_bits(self, visible: Visible) -> int:
        """Bits of the flooding noise of a coefficient: half a bit more for every halving of their number.

        A slot has the sum of all visible coefficients' noise, so that this leaves its deviation as it is.
        """
        return self.flooding_bits + (visible.gap(self.ring_degree).bit_length() - 1) // 2

    @property
    def capacity_bits(self) -> int:
        """Most bits that one visible number can carry, whatever was sent: what the noise leaves of the modulus.

        A number modulo Q has an entropy of log2 Q at most, and b + 1 bits of it are the flooding noise's.
        """
        return sum(self.modulus_bits[: self.response_primes]) - self.flooding_bits - 1

    @property
    def answer_bits(self) -> int:
        """Most bits that the answer to one charged sample can carry, all its outputs together, in any layout."""
        return max(layout.values_per_answer * layout.capacity_bits for layout in self.layouts)

    def galois_elements(self, samples: int) -> tuple[int, ...]:
        """Automorphisms that need keys: rotations, in ascending order, or conjugation."""
        rotations = needed_rotations(self.map_layouts(samples))
        elements = tuple(rotation_element(rotation, self.ring_degree) for rotation in rotations)
        return (*elements, conjugation_element(self.ring_degree)) if self.paired else elements

    @property
    def primes(self) -> int:
        """Number of primes of a ciphertext; the special prime is of keys only."""
        return len(self.modulus_bits) - 1

    @property
    def refreshes(self) -> bool:
        """Whether ciphertexts are refreshed, so that requests hold relinearisation keys."""
        return len(self.dropped_primes) > self.paired

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
        """Level by the table of the guidelines, recomputed; 0 where it is below 128."""
        return security_level(self.ring_degree, sum(self.modulus_bits))

    @property
    def digest(self) -> str:
        """keccak256 of the plan's canonical JSON, hex: names the plan inside containers."""
        return "0x" + keccak(rfc8785.dumps(self.model_dump(mode="json"))).hex()

    def batches(self, samples: int) -> int:
        """Number of batches that `samples` samples take."""
        return -(-samples // self.samples_per_batch)

    def request_ciphertexts(self, samples: int) -> int:
        """Ciphertexts per batch of a request."""
        return self.packing(samples).ciphertexts(self.features)

    def request_bytes(self, samples: int) -> int:
        """Bytes of a request, its header left out."""
        return sum(part.byte_count for part in self.request_layout(samples, (0,) * (self.primes + 1)))

    def response_bytes(self, samples: int) -> int:
        """Bytes of a response, its header left out."""
        return sum(part.byte_count for part in self.response_layout(samples, (0,) * self.primes))

    def switching_keys(self, samples: int) -> int:
        """Number of key-switching keys in a request: for relinearisation, if anything is refreshed, and of Galois."""
        return self.refreshes + len(self.galois_elements(samples))

    def request_layout(self, samples: int, primes: tuple[int, ...]) -> list[PartLayout]:
        """Parts of a request, see `trader.he.wire.container`. `primes` ends with the special one."""
        keys, ciphertexts = self.switching_keys(samples), self.request_ciphertexts(samples)
        seeds = 1 + keys * self.primes + self.batches(samples) * ciphertexts
        switching_key = PartLayout((self.primes, len(primes), self.ring_degree), primes)
        by_prime = [PartLayout((ciphertexts, self.ring_degree), (prime,)) for prime in primes[:-1]]
        return [
            PartLayout((len(primes), self.ring_degree), primes),
            PartLayout((seeds, SEED_BYTES // 4), ()),
            PartLayout((Form(self.ring_degree, primes).byte_count // 4,), ()),
            *[switching_key] * keys,
            *by_prime * self.batches(samples),
        ]

    def response_layout(self, samples: int, primes: tuple[int, ...]) -> list[PartLayout]:
        """Parts of a response: one per batch. `primes` are those of a fresh ciphertext."""
        kept = primes[: self.response_primes]
        form = (self.components, len(kept), self.ring_degree)
        return [PartLayout((len(batch), *form), kept) for batch in self.visible(samples)]


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
    for layout in plan.layouts:
        _check_consistency(layout)
    _check_layouts(plan)
    return plan


_OF_THE_MODEL = ("features", "outputs", "scale_bits", "input_magnitude", "activations")


def _check_layouts(plan: HePlan) -> None:
    """Packed and paired plans are for the same model, and have none of their own."""
    if plan.packed or plan.paired:
        raise PlanError("a plan begins with that for one sample per slot, and one feature per ciphertext")
    few, many = plan.few_samples, plan.many_samples
    if (few is not None and not few.packed) or (many is not None and not many.paired):
        raise PlanError("the plan for few samples isn't packed, or that for many isn't paired")
    for layout in plan.layouts[1:]:
        same = all(getattr(layout, field) == getattr(plan, field) for field in _OF_THE_MODEL)
        if len(layout.layouts) > 1 or not same:
            raise PlanError("a plan for few or many samples has one of its own, or is for another model")
    if few is not None and plan.few_samples_limit > few.samples_per_batch:
        raise PlanError(f"the plan for few samples is to serve {plan.few_samples_limit}, more than a ciphertext holds")


def _check_consistency(plan: HePlan) -> None:
    """Parts of a plan that could contradict each other."""
    if plan.packed != bool(plan.maps) or (plan.packed and (plan.paired or plan.joined)) or plan.spread > plan.packed:
        raise PlanError("the plan's packing, maps and pairs don't fit each other")
    if plan.unfolded > plan.packed:
        raise PlanError("the plan leaves folds to the reader, and has none")
    if plan.paired and (not plan.dropped_primes or plan.dropped_primes[0]):
        raise PlanError("the plan drops primes where it splits samples")
    if plan.response_primes > plan.level_primes(len(plan.dropped_primes)):
        raise PlanError(
            f"the plan drops {sum(plan.dropped_primes)} of {plan.primes} primes, and responds with "
            f"{plan.response_primes}"
        )
    response_bits = sum(plan.modulus_bits[: plan.response_primes])
    if max(plan.modulus_bits) > MAXIMUM_PRIME_BITS:
        raise PlanError(f"the plan has a prime of {max(plan.modulus_bits)} bits, more than {MAXIMUM_PRIME_BITS}")
    most_flooding_bits = max(plan.visible_flooding_bits(shown) for shown in plan.visible(1)[0])
    if max(plan.output_scale_bits, most_flooding_bits) >= response_bits:
        raise PlanError(f"the plan's outputs or noise don't fit into its modulus of {response_bits} bits")


FLOODING_MARGIN_BITS = 5
"""Flooding exceeds the largest noise that a proven public key can bring in by this at least, in a sum over all
coefficients of a response."""


@lru_cache(maxsize=64)
def least_flooding_bits(ring_degree: int, components: int) -> int:
    """Bits of flooding that cover the noise of encryptions of zero under every key that can be proven.

    That noise is bounded for each coefficient. Who looks for a pattern in all N of them, by a correlation, gains the
    square root of N over the flooding noise, which is independent from one coefficient to the next.
    """
    together_bits = math.log2(ring_degree) / 2
    return math.ceil(Form(ring_degree, ()).hidden_noise_bits(components) + together_bits + FLOODING_MARGIN_BITS)


def check_flooding(plan: HePlan) -> None:
    """Refuse a plan whose flooding doesn't hide the noise of encryptions of zero under every key that can be proven.

    Raises:
        SecurityError: with both sizes.
    """
    for layout in plan.layouts:
        least_bits = least_flooding_bits(layout.ring_degree, layout.components)
        if layout.flooding_bits < least_bits:
            raise SecurityError(
                f"the plan floods with {layout.flooding_bits} bits, {least_bits} are needed to cover the noise that a "
                "proven public key can bring in. Prepare the model again."
            )


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
        check_flooding(plan)
        for layout in plan.layouts[1:]:
            self.check(layout)
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
