"""The encryption plan: every public choice about an encrypted test, made once by the seller and checked by the buyer.

A plan is one of three, by where samples and features stand:

- `trader.he.planning.batched.BatchedPlan`: one sample per slot, one feature per ciphertext, or two, as real and
  imaginary parts;
- `trader.he.planning.batched.PairedPlan`: two samples per slot, as real and imaginary parts, for tests that fill more
  than a batch;
- `trader.he.planning.packed.PackedPlan`: several features per ciphertext, for small tests.

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
from typing import ClassVar

import numpy as np
import rfc8785
from eth_utils.crypto import keccak
from numpy.typing import NDArray

from trader.he.errors import PlanError
from trader.he.layouts.packing import MapLayout, Packing
from trader.he.layouts.visible import Visible, period_of
from trader.he.planning.fields import PlanFields
from trader.he.planning.guidelines import security_level
from trader.he.planning.request_order import RequestOrder
from trader.he.program.activations import Polynomial
from trader.he.program.build import build_program
from trader.he.program.steps import Program
from trader.he.ring.encoding import Slots
from trader.he.seal import RELINEARISATION, Secret, digit_places
from trader.he.wire.container import PartLayout
from trader.model.canonical import CanonicalModel
from trader.model.errors import PrecisionError
from trader.model.graph import Graph
from trader.model.thermometer import thermometer, thermometer_graph, thermometer_model

GUARD_BITS = 2
"""Outputs stay this far below the modulus: one for the sign, one as two of their coefficients are read as a sum."""


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


def dropped_products(primes: tuple[int, ...], dropped_primes: tuple[int, ...]) -> list[int]:
    """Return the product of the primes that each level drops; `primes` are those of a fresh ciphertext."""
    products, left = [], len(primes)
    for count in dropped_primes:
        products.append(math.prod(primes[left - count : left]))
        left -= count
    return products
