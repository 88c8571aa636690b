"""Plans of one feature per ciphertext, or two: of a sample per slot, and of two."""

from abc import ABC
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from trader.he.layouts.packing import Packing
from trader.he.layouts.visible import Visible, period_of
from trader.he.planning.fields import No, One, Yes, Zero
from trader.he.planning.packed import PackedPlan
from trader.he.planning.plan import HePlan
from trader.he.program.build import build_program
from trader.he.program.steps import Program
from trader.he.ring.encoding import Slots
from trader.he.seal import RELINEARISATION, Secret, conjugation_element
from trader.model.graph import Graph


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
