"""The encryption plan: every public choice about an encrypted test, made once by the seller and checked by the buyer.

A plan is one of three, by where samples and features stand:

- `BatchedPlan`: one sample per slot, one feature per ciphertext, or two, as real and imaginary parts;
- `PairedPlan`: two samples per slot, as real and imaginary parts, for tests that fill more than a batch;
- `PackedPlan`: several features per ciphertext, for small tests.

What all of them state is in `trader.he.planning.fields`, what follows from it in `HePlan`. A manifest holds a
`BatchedPlan`, with the others in it where they pay. All three are written with the same fields: each class states, as a
constant, what only the others choose.

`trader.he.planning.search` chooses plans, `trader.he.planning.parse` reads them, and `trader.he.planning.policy` says
what a buyer asks of one before any key is made.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, ClassVar

import numpy as np
import rfc8785
from eth_utils.crypto import keccak
from numpy.typing import NDArray
from pydantic import Field

from trader.he.errors import PlanError
from trader.he.layouts.packing import MapLayout, Packing, map_layouts, needed_rotations
from trader.he.layouts.visible import Visible, period_of
from trader.he.planning.fields import No, One, PlanFields, Yes, Zero
from trader.he.planning.guidelines import security_level
from trader.he.planning.request_order import RequestOrder
from trader.he.program.activations import Polynomial
from trader.he.program.steps import Program, build_program
from trader.he.ring.encoding import Slots
from trader.he.seal import RELINEARISATION, Secret, conjugation_element, digit_places, rotation_element
from trader.he.wire.container import PartLayout
from trader.model.canonical import CanonicalModel
from trader.model.errors import PrecisionError
from trader.model.graph import Graph
from trader.model.thermometer import thermometer, thermometer_graph, thermometer_model

GUARD_BITS = 2
"""Outputs stay this far below the modulus: one for the sign, one as two of their coefficients are read as a sum."""

_Size = Annotated[int, Field(ge=1, le=1 << 20)]


@contextmanager
def _fitting() -> Iterator[None]:
    try:
        yield
    except PrecisionError as error:
        raise PlanError(f"the model can't be tested under this plan: {error}") from error


class HePlan(PlanFields, ABC):
    """What follows from a plan's fields; all but little is the same for the three layouts.

    Attributes:
        packed: Whether ciphertexts hold several features each; not written.
    """

    packed: ClassVar[bool] = False

    # Which plan a test is made under.

    def for_samples(self, samples: int) -> "HePlan":  # noqa: ARG002  # a BatchedPlan has others in it
        """Return the plan that a test of `samples` samples is made under."""
        return self

    @property
    def batched(self) -> "HePlan":
        """This plan alone."""
        return self

    @property
    def layouts(self) -> "tuple[HePlan, ...]":
        """This plan and those in it."""
        return (self,)

    @property
    def largest_error(self) -> float:
        """Bound on an output's error, for any number of samples."""
        return max(plan.expected_error for plan in self.layouts)

    # Ring, primes and program.

    @property
    def slots(self) -> int:
        """Slots of a ciphertext."""
        return self.ring_degree // 2

    @property
    def primes(self) -> int:
        """Number of primes of a ciphertext; the special primes are of keys only."""
        return len(self.modulus_bits) - self.special_primes

    @property
    def digits(self) -> int:
        """Number of digits of a key for key switching."""
        return len(digit_places(self.modulus_bits[: self.primes], self.modulus_bits[self.primes :]))

    @property
    def key_rows(self) -> int:
        """Polynomials modulo one prime in such a key, what follows from its seeds left out."""
        return self.digits * len(self.modulus_bits)

    def level_primes(self, level: int) -> int:
        """Return the number of primes of ciphertexts that were refreshed `level` times."""
        return self.primes - sum(self.dropped_primes[:level])

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
        return {a.node: Polynomial(a.coefficients, a.radius) for a in self.activations}

    def program(self, graph: Graph) -> Program:
        """Return what is carried out under this plan for a public graph.

        Raises:
            PlanError: The plan is for trees, and the graph is none that it suits.
        """
        if not self.edges:
            return self.tested_program(graph)
        with _fitting():
            return self.tested_program(thermometer_graph(graph, self.edges))

    def tested_program(self, tested: Graph) -> Program:
        """Return what is carried out under this plan for the graph of `tested_model`."""
        return build_program(tested, self.polynomials, staged=self.refreshes, packed=self.packed)

    # What is encrypted, and evaluated.

    @property
    def columns(self) -> int:
        """Integers that a sample has before it is encoded."""
        return len(self.edges) or self.features

    def encode(self, inputs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return quantised inputs [n, columns] as the integers that are encrypted, [n, F]."""
        return thermometer(inputs, self.edges) if self.edges else inputs

    def tested_model(self, model: CanonicalModel) -> CanonicalModel:
        """Return what is evaluated on them for a model.

        Raises:
            PlanError: The plan is for trees, and the model is none that it suits.
        """
        if not self.edges:
            return model
        with _fitting():
            return thermometer_model(model, self.edges)

    @property
    def is_exact(self) -> bool:
        """Whether outputs are integers, from which no noise is left once they are rounded."""
        return bool(self.edges)

    @property
    def security_bits(self) -> int:
        """Level by the table of the guidelines, recomputed; 0 where it is below 128."""
        return security_level(self.ring_degree, sum(self.modulus_bits))

    @property
    def digest(self) -> str:
        """keccak256 of the plan's canonical JSON, hex: names the plan inside containers."""
        return "0x" + keccak(rfc8785.dumps(self.model_dump(mode="json"))).hex()

    # Where samples and features stand.

    @property
    def samples_per_batch(self) -> int:
        """Samples that one batch of ciphertexts holds."""
        return self.slots

    def batches(self, samples: int) -> int:
        """Return the number of batches that `samples` samples take."""
        return -(-samples // self.samples_per_batch)

    def parts_of_batch(self, samples: int) -> list[int]:
        """Return the samples of the first batch of `samples` by part: real parts, then, if paired, imaginary ones."""
        in_batch = min(samples, self.samples_per_batch)
        return [min(self.slots, in_batch - start) for start in range(0, in_batch, self.slots)]

    @abstractmethod
    def packing(self, samples: int) -> Packing:
        """Return how `samples` samples, of which at most one per slot counts, share ciphertexts."""

    def map_layouts(self, samples: int) -> tuple[MapLayout, ...]:  # noqa: ARG002  # a PackedPlan has them
        """Return how affine maps are evaluated for `samples` samples; none where weights are integers."""
        return ()

    def switched_secrets(self, samples: int) -> tuple[Secret, ...]:  # noqa: ARG002  # a PackedPlan's depend on them
        """Return what keys switch from, in the order of the keys: for relinearisation, if it refreshes, comes first."""
        return (RELINEARISATION,) if self.refreshes else ()

    def pack(self, values: NDArray[np.float64]) -> Slots:
        """Return samples [n, F] of a batch as slots [ciphertexts, N/2]."""
        return self.packing(len(values)).pack(values)

    def unpack(self, values: Sequence[NDArray[np.float64]], samples: int) -> NDArray[np.float64]:
        """Return what the ciphertexts of a batch's response show, [1 or 2, period] each, as outputs [n, O]."""
        counts = self.parts_of_batch(samples)
        found = []
        for part, count in enumerate(counts):
            rows = np.concatenate(values[part * len(values) // len(counts) :][: len(values) // len(counts)])
            found.append(rows.reshape(-1, period_of(count))[: self.outputs, :count].T)
        return np.concatenate(found)

    # What a response shows.

    def visible(self, samples: int) -> list[list[Visible]]:
        """Return what each ciphertext of the response shows, by batch: all that a response says.

        How responses are protected and read follows from it, their size, and what a session costs.
        """
        starts = range(0, samples, self.samples_per_batch)
        return [
            [shown for count in self.parts_of_batch(samples - start) for shown in self._visible_of_part(count)]
            for start in starts
        ]

    @abstractmethod
    def _visible_of_part(self, count: int) -> list[Visible]:
        """Return the same for `count` samples, at most one per slot."""

    @property
    @abstractmethod
    def values_per_answer(self) -> int:
        """Most numbers that a response shows per sample that is charged."""

    def visible_flooding_bits(self, visible: Visible) -> int:
        """Return the bits of a coefficient's flooding noise: half a bit more for every halving of their number.

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

    # Sizes of requests and responses.

    def request_ciphertexts(self, samples: int) -> int:
        """Return the ciphertexts per batch of a request."""
        return self.packing(samples).ciphertexts(self.features)

    def switching_keys(self, samples: int) -> int:
        """Return the number of key-switching keys in a request."""
        return len(self.switched_secrets(samples))

    def request_order(self, samples: int) -> RequestOrder:
        """Return where the parts of a request stand."""
        keys, ciphertexts = self.switching_keys(samples), self.request_ciphertexts(samples)
        return RequestOrder(self.ring_degree, self.primes, self.digits, keys, self.batches(samples), ciphertexts)

    def request_layout(self, samples: int, primes: tuple[int, ...]) -> list[PartLayout]:
        """Return the parts of a request, see `trader.he.wire.container`. `primes` ends with the special ones."""
        return self.request_order(samples).layout(primes)

    def response_layout(self, samples: int, primes: tuple[int, ...]) -> list[PartLayout]:
        """Return the parts of a response: one per batch. `primes` are those of a fresh ciphertext."""
        kept = primes[: self.response_primes]
        form = (self.components, len(kept), self.ring_degree)
        return [PartLayout((len(batch), *form), kept) for batch in self.visible(samples)]

    def request_bytes(self, samples: int) -> int:
        """Return the bytes of a request, its header left out."""
        return sum(part.byte_count for part in self.request_layout(samples, (0,) * len(self.modulus_bits)))

    def response_bytes(self, samples: int) -> int:
        """Return the bytes of a response, its header left out."""
        return sum(part.byte_count for part in self.response_layout(samples, (0,) * self.primes))


class _FeaturePerCiphertext(HePlan, ABC):
    """Features in ciphertexts of their own, F of them in a batch of a request, or joined two by two; integer weights.

    There are O ciphertexts in a batch of the response, or half as many if they are joined.
    """

    special_primes: One = 1
    weight_scale_bits: Zero = 0
    key_spacing: Zero = 0
    maps: tuple[()] = ()
    spread: No = False
    joined: bool = False
    unfolded: No = False

    def packing(self, samples: int) -> Packing:
        """Return one block of all slots."""
        return Packing(self.ring_degree, self.slots, min(samples, self.slots))

    def _visible_of_part(self, count: int) -> list[Visible]:
        pairs, single = divmod(self.outputs, 2) if self.joined else (0, self.outputs)
        period = period_of(count)
        return [Visible(period, joined=True)] * pairs + [Visible(period, joined=False)] * single

    @property
    def values_per_answer(self) -> int:
        """The outputs."""
        return self.outputs


class PairedPlan(_FeaturePerCiphertext):
    """Two samples per slot, as real and imaginary parts, up to the first products.

    Where `dropped_primes` is empty they are split in conjugate form, and outputs are switched back from it. Else a
    switched key splits them at the end of level 0, where nothing is dropped: the first number is 0.
    """

    paired: Yes
    joined_features: No = False
    few_samples: None = None
    few_samples_limit: Zero = 0
    many_samples: None = None

    @property
    def samples_per_batch(self) -> int:
        """Two samples per slot."""
        return 2 * self.slots

    @property
    def refreshes(self) -> bool:
        """Whether a level after the one that ends in the split is refreshed."""
        return len(self.dropped_primes) > 1

    @property
    def splits_by_keys(self) -> bool:
        """Whether a switched key splits samples."""
        return bool(self.dropped_primes)

    def tested_program(self, tested: Graph) -> Program:
        """Return what is carried out under this plan for the graph of `tested_model`."""
        return build_program(tested, self.polynomials, staged=self.refreshes, paired=True, switched=self.splits_by_keys)

    def switched_secrets(self, samples: int) -> tuple[Secret, ...]:
        """Return conjugation, which splits samples; or what takes outputs from conjugate form."""
        if self.splits_by_keys:
            return (*super().switched_secrets(samples), (conjugation_element(self.ring_degree),))
        return folded_secrets(self.ring_degree)

    def pack(self, values: NDArray[np.float64]) -> Slots:
        """Return samples [n, F] of a batch as slots [F, N/2]; where they fill one part only, both parts hold them."""
        first, second = values[: self.slots], values[self.slots :]
        real, imaginary = (self.packing(len(part)).pack(part) for part in (first, second if len(second) else first))
        slots = np.empty(real.shape, dtype=np.complex128)
        slots.real, slots.imag = real, imaginary
        return slots


class PackedPlan(HePlan):
    """Several features per ciphertext (`trader.he.layouts.packing`), for small tests.

    Attributes:
        special_primes: Number of primes, the last ones, that are of keys only: the more of them, the fewer digits, and
            bytes, a key has, and the less modulus is left.
        weight_scale_bits: Scale of encoded weights.
        key_spacing: Rotations by powers of two of blocks have a key where the exponent is a multiple of this; others
            are several rotations. Above 2, nothing is rotated before it is multiplied.
        maps: (inputs, outputs) of the affine maps: they say which rotations need keys.
        spread: Whether copies of the features in a request are rotated against each other, so that each serves a part
            of the first map's diagonals.
        unfolded: Whether the plan ends with an affine map, whose folds are left to the reader: the visible coefficients
            average what they would add up.
    """

    special_primes: Annotated[int, Field(ge=1, le=8)]
    weight_scale_bits: Annotated[int, Field(ge=1, le=48)]
    key_spacing: Annotated[int, Field(ge=1, le=15)]
    maps: Annotated[tuple[tuple[_Size, _Size], ...], Field(min_length=1, max_length=256)]
    paired: No = False
    joined_features: No = False
    spread: bool = False
    joined: No = False
    unfolded: bool = False
    few_samples: None = None
    few_samples_limit: Zero = 0
    many_samples: None = None
    packed: ClassVar[bool] = True

    def packing(self, samples: int) -> Packing:
        """Return as many blocks as there is room for."""
        return Packing.tight(self.ring_degree, min(samples, self.slots), self.key_spacing)

    def map_layouts(self, samples: int) -> tuple[MapLayout, ...]:
        """Return how the affine maps are evaluated for `samples` samples."""
        return map_layouts(self.packing(samples), self.maps, spread=self.spread, unfolded=self.unfolded)

    def switched_secrets(self, samples: int) -> tuple[Secret, ...]:
        """Return also the elements of the rotations that the maps need, by ascending rotation."""
        rotations = needed_rotations(self.map_layouts(samples))
        elements = ((rotation_element(rotation, self.ring_degree),) for rotation in rotations)
        return (*super().switched_secrets(samples), *elements)

    def pack(self, values: NDArray[np.float64]) -> Slots:
        """Return samples [n, F] as slots [ciphertexts, N/2], rotated as the first map reads them."""
        return self.map_layouts(len(values))[0].pack(values) if self.spread else super().pack(values)

    def _visible_of_part(self, count: int) -> list[Visible]:
        packing = self.packing(count)
        blocks = packing.period(self.outputs)
        return [Visible(blocks * packing.stride, joined=False)] * packing.ciphertexts(self.outputs)

    @property
    def values_per_answer(self) -> int:
        """The period of the outputs; in an honest response the numbers beyond the outputs are copies of these."""
        return period_of(self.outputs)


class BatchedPlan(_FeaturePerCiphertext):
    """One sample per slot, and the plans for few and for many samples, where they pay.

    Attributes:
        joined_features: Whether two features share each ciphertext; outputs are switched back from conjugate form then.
        few_samples: For small tests.
        few_samples_limit: Largest number of samples that `few_samples` serves.
        many_samples: For tests that fill more than a batch of this plan.
    """

    paired: No = False
    joined_features: bool = False
    few_samples: PackedPlan | None = None
    few_samples_limit: Annotated[int, Field(ge=0, le=1 << 14)] = 0
    many_samples: PairedPlan | None = None

    def tested_program(self, tested: Graph) -> Program:
        """Return what is carried out under this plan for the graph of `tested_model`."""
        return build_program(tested, self.polynomials, staged=self.refreshes, joined_features=self.joined_features)

    def switched_secrets(self, samples: int) -> tuple[Secret, ...]:
        """Return also what takes outputs from conjugate form."""
        return folded_secrets(self.ring_degree) if self.joined_features else super().switched_secrets(samples)

    def request_ciphertexts(self, samples: int) -> int:
        """Return the ciphertexts per batch of a request."""
        return -(-super().request_ciphertexts(samples) // (1 + self.joined_features))

    def pack(self, values: NDArray[np.float64]) -> Slots:
        """Return samples [n, F] of a batch as slots: of a feature each, or of two."""
        slots = super().pack(values)
        if not self.joined_features:
            return slots
        joined = slots[::2].astype(np.complex128)
        joined[: len(slots) // 2] += 1j * slots[1::2]
        return joined

    def for_samples(self, samples: int) -> HePlan:
        """Return the plan that a test of `samples` samples is made under: this one, or one of those in it."""
        if self.few_samples is not None and samples <= self.few_samples_limit:
            return self.few_samples
        if self.many_samples is not None and samples > self.samples_per_batch:
            return self.many_samples
        return self

    @property
    def batched(self) -> "BatchedPlan":
        """This plan without those in it."""
        return self.model_copy(update={"few_samples": None, "few_samples_limit": 0, "many_samples": None})

    @property
    def layouts(self) -> tuple[HePlan, ...]:
        """This plan, and those in it."""
        return tuple(plan for plan in (self, self.few_samples, self.many_samples) if plan is not None)


def folded_secrets(ring_degree: int) -> tuple[Secret, ...]:
    """Return what keys switch from that take products from conjugate form: s², s̄, s̄² and s·s̄."""
    conjugation = conjugation_element(ring_degree)
    return (RELINEARISATION, (conjugation,), (conjugation, conjugation), (1, conjugation))


def dropped_products(primes: tuple[int, ...], dropped_primes: tuple[int, ...]) -> list[int]:
    """Return the product of the primes that each level drops; `primes` are those of a fresh ciphertext."""
    products, left = [], len(primes)
    for count in dropped_primes:
        products.append(math.prod(primes[left - count : left]))
        left -= count
    return products
