"""What steps of an encrypted test cost against each other: the figures behind the search's and the layouts' constants.

Whether packing or pairing pays, and how the work of a packed layer is cut up, is decided by four ratios
(`trader.he.planning.search`, `trader.he.layouts.packing`). They are constants, and not measured where a model is
prepared, so that one model has one plan on every machine. Here each is measured, on one core, in the rings of the plan
of the benchmark's network; the peer's name says which ratio the constant has. A ratio that is off by a factor of two
moves the number of samples up to which packing pays, not whether results are right.
"""

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.rows import Row, Timing, measure
from trader.he import ClientSession, HePlan
from trader.he.evaluation.batched import BatchedEvaluator
from trader.he.evaluation.packed import PackedEvaluator
from trader.he.layouts.packing import SWITCHINGS_PER_KEY
from trader.he.planning.parameters import plan_parameters
from trader.he.planning.plan import dropped_products
from trader.he.planning.propagation import value_scales
from trader.he.planning.search import CIPHERTEXTS_PER_SWITCHING, PRODUCTS_PER_CIPHERTEXT, PRODUCTS_PER_SWITCHING
from trader.he.program.steps import FOLDED_SWITCHINGS
from trader.he.request import RequestParts
from trader.he.ring import kernels
from trader.he.ring.arithmetic import CPU
from trader.he.ring.encoding import coefficients, to_residues
from trader.he.seal import SecretKey
from trader.he.types import Residues
from trader.he.wire.container import read_container
from trader.model import CanonicalModel

ROTATIONS = 4


def cost_rows(model: CanonicalModel, plan: HePlan, runs: int) -> Iterator[Row]:
    """Measure the ratios for a model and its plan; those of packing where the plan has a packed one, and so on."""
    few, many = plan.for_samples(1), plan.for_samples(plan.samples_per_batch + 1)
    if few.packed:
        steps = _Steps.prepare(model, plan, 1)
        product, ciphertext, rotation = steps.product(runs), steps.ciphertext(runs), steps.rotation(runs)
        yield _row("ciphertext", ciphertext, "product with a diagonal", product, PRODUCTS_PER_CIPHERTEXT)
        yield _row("rotation", rotation, "product with a diagonal", product, PRODUCTS_PER_SWITCHING)
        yield _row("key", steps.key(runs), "rotation", rotation, SWITCHINGS_PER_KEY)
    if many.paired:
        steps = _Steps.prepare(model, plan, plan.samples_per_batch + 1)
        yield _row("fold", steps.fold(runs), "ciphertext", steps.ciphertext(runs), CIPHERTEXTS_PER_SWITCHING)


def _row(name: str, timing: Timing, peer: str, peer_timing: Timing, planned: int) -> Row:
    value, peer_value = timing.median, peer_timing.median
    ratio, runs = value / peer_value, len(timing.seconds)
    peer = f"{peer}, planned with {planned}"
    return Row(f"he.cost.{name}", value, "s", peer, peer_value, ratio, runs=runs, spread=timing.spread)


def _each(timing: Timing, count: int) -> Timing:
    return Timing(tuple(seconds / count for seconds in timing.seconds))


@dataclass(frozen=True, slots=True)
class _Steps:
    """The steps of a test, one by one, on one core.

    Attributes:
        model: What is tested.
        plan: The plan for the number of samples.
        parts: Of a request under it.
        source: One of its ciphertexts, [2, primes, N].
    """

    model: CanonicalModel
    plan: HePlan
    parts: RequestParts
    source: Residues

    @classmethod
    def prepare(cls, model: CanonicalModel, whole: HePlan, samples: int) -> "_Steps":
        plan = whole.for_samples(samples)
        parameters = plan_parameters(plan)
        request = ClientSession(whole).encrypt(np.zeros((samples, plan.features), dtype=np.int64))
        layout = plan.request_layout(samples, parameters.all_primes)
        container = read_container(request, "request", plan.digest, samples, layout)
        parts = RequestParts(plan, samples, parameters, container.parts)
        return cls(model, plan, parts, parts.read_ciphertexts(0).expand()[0])

    def ciphertext(self, runs: int) -> Timing:
        """Encryption, SHA-256 by either side, and expansion at the seller's."""
        key, slots = SecretKey(self.parts.parameters), np.zeros(self.plan.slots)

        def work() -> None:
            seeded = key.encrypt(slots, 2.0**self.plan.input_scale_bits)
            for _ in range(2):
                hashlib.sha256(seeded.residues.data)
            seeded.expand(self.parts.parameters.primes)

        return measure(work, runs)

    def product(self, runs: int) -> Timing:
        """Encode a diagonal, and multiply a ciphertext with it."""
        primes, slots = self.parts.parameters.primes, np.ones((1, self.plan.slots))
        total = np.zeros(self.source.shape, dtype=np.uint64)

        def work() -> None:
            polynomials = np.ldexp(coefficients(slots, self.plan.ring_degree), self.plan.weight_scale_bits)
            (diagonal,) = to_residues(polynomials, primes)
            kernels.add_products(self.source, diagonal, np.array(primes, dtype=np.int64), total)

        return measure(work, runs)

    def rotation(self, runs: int) -> Timing:
        """One rotation, by blocks for which there is a key."""
        rotator = PackedEvaluator.prepare(self.model, self.plan.program(self.model.graph), {}, self.parts).rotator
        rotations = itertools.chain.from_iterable(layout.rotations for layout in self.plan.map_layouts(1))
        turns = (min(rotations),)

        def work() -> None:
            for _ in itertools.islice(rotator.rotations(self.source, turns), 1 + ROTATIONS):
                pass

        return _each(measure(work, runs), ROTATIONS)

    def key(self, runs: int) -> Timing:
        """Return a rotation's key, made, hashed by either side, and expanded."""
        secret, foreign = SecretKey(self.parts.parameters), self.plan.switched_secrets(1)[-1:]

        def work() -> None:
            (key,) = secret.switching_keys(foreign)
            for seeded in key:
                for _ in range(2):
                    hashlib.sha256(seeded.residues.data)
                seeded.expand(self.parts.parameters.all_primes)

        return measure(work, runs)

    def fold(self, runs: int) -> Timing:
        """Return one of the polynomials that are switched where an output in conjugate form is."""
        program = self.plan.program(self.model.graph)
        dropped = dropped_products(self.parts.parameters.primes, self.plan.dropped_primes)
        scales = value_scales(program, self.plan.input_scale_bits, self.plan.scale_bits, dropped)
        folder = BatchedEvaluator.prepare(self.model, program, scales, self.parts, CPU).folder
        if folder is None:
            raise TypeError("a paired plan of one square switches its outputs")
        product = np.concatenate([self.source] * 3)[:, : self.plan.response_primes]
        return _each(measure(lambda: folder.fold(product), runs), FOLDED_SWITCHINGS)
