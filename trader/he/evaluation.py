"""The seller's side of an encrypted test: from a request to a response, without seeing a sample.

Every operation of the graph is pointwise in NTT form, one prime at a time, so the whole graph is evaluated tile by
tile: a tile holds `BLOCK` positions modulo one prime of all ciphertexts of a batch. Memory beyond the request is one
tile per core and the response. Then each output is protected (`trader.he.privacy`).
"""

from dataclasses import dataclass

import numpy as np

from trader.he import kernels
from trader.he.encryption import PublicKey, public_mask
from trader.he.errors import PlanError
from trader.he.parallel import PerThread, run_tasks
from trader.he.plan import HePlan
from trader.he.privacy import Protection
from trader.he.propagation import component_counts, value_scales
from trader.he.residues import Tile
from trader.he.sampling import BLOCK, Position, UniformExpander
from trader.he.session import plan_parameters
from trader.he.tiles import TileEvaluator
from trader.he.types import Buffer, Progress, Residues
from trader.he.wire import ContainerWriter, read_container
from trader.model.canonical import CanonicalModel


def evaluate(
    plan: HePlan, model: CanonicalModel, request: Buffer, samples: int, progress: Progress | None = None
) -> bytearray:
    """Evaluate the model on an encrypted test set.

    The response holds n = `samples` outputs and nothing else of the model: unused slots are blanked, every ciphertext
    is re-randomised with fresh encryptions of zero under the buyer's public key and flooded with noise of
    `plan.flooding_bits`.

    Args:
        plan: the listing's plan.
        model: the canonical model that the plan was made for.
        request: container from the buyer; checked before it is parsed.
        samples: number of samples that the buyer paid for.
        progress: called as work is done.

    Returns:
        A container; `digest` of it is the `responseDigest`.

    Raises:
        WireError: the request is malformed, made for another plan, or holds another number of samples.
        PlanError: the plan doesn't fit the model.
    """
    _check_fit(plan, model)
    parameters = plan_parameters(plan)
    primes = parameters.primes
    container = read_container(request, "request", plan.digest, samples, plan.request_layout(samples, primes))
    seed = container.reference
    evaluators = [TileEvaluator.prepare(model, plan.input_scale_bits, prime) for prime in primes]
    key = PublicKey(container.parts[0], public_mask(parameters, seed))
    protection = Protection(plan, parameters, key)
    writer = ContainerWriter("response", plan.digest, samples, plan.response_layout(samples, primes))

    scratch = PerThread(lambda: _Scratch(UniformExpander(seed, plan.features), np.empty((plan.features, 2, BLOCK))))

    def run_tile(position: Position) -> None:
        index = position.prime_index
        columns = slice(position.block * BLOCK, (position.block + 1) * BLOCK)
        first = container.parts[1 + position.batch * len(primes) + index][:, columns]
        inputs = scratch.get().load(first, position, primes[index])
        tile = evaluators[index].run(inputs)
        kernels.uncentre(tile, primes[index], writer.parts[position.batch][:, :, index, columns])

    def protect(place: tuple[int, int]) -> None:
        batch, output = place
        used = min(plan.samples_per_batch, samples - batch * plan.samples_per_batch)
        protection.protect(writer.parts[batch][output], used)

    batches, blocks = range(plan.batches(samples)), range(plan.ring_degree // BLOCK)
    positions = [Position(batch, index, block) for batch in batches for index in range(len(primes)) for block in blocks]
    run_tasks(run_tile, positions, progress)
    run_tasks(protect, [(batch, output) for batch in batches for output in range(plan.outputs)])
    return writer.finish(container.digest)


def _check_fit(plan: HePlan, model: CanonicalModel) -> None:
    graph = model.graph
    scale = value_scales(graph, plan.input_scale_bits, plan.scale_bits)[graph.output] + plan.mask_scale_bits
    found = (graph.features, graph.outputs, model.scale_bits, scale, component_counts(graph)[graph.output])
    expected = (plan.features, plan.outputs, plan.scale_bits, plan.output_scale_bits, plan.components)
    if found != expected:
        raise PlanError(
            f"the plan is for (features, outputs, scale, output scale, components) {expected}, the model has {found}. "
            "Prepare the model again."
        )


@dataclass(frozen=True, slots=True)
class _Scratch:
    """Memory of one thread: a tile of inputs and what makes its second halves."""

    expander: UniformExpander
    inputs: Tile

    def load(self, first: Residues, position: Position, prime: int) -> Tile:
        """A tile [F, 2, BLOCK] from first halves [F, BLOCK] and the seed; valid until the next call."""
        kernels.centre(first, prime, self.inputs[:, 0])
        kernels.centre(self.expander.expand(position, prime), prime, self.inputs[:, 1])
        return self.inputs
