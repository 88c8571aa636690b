"""The seller's side of an encrypted test: from a request to a response, without seeing a sample.

Every operation of the graph is pointwise in NTT form, one prime at a time, so the whole graph is evaluated tile by
tile: a tile holds `BLOCK` positions modulo one prime of all ciphertexts of a batch. Memory beyond the request is one
tile per core and the response. Then each output is protected (`trader.he.privacy`).
"""

import numpy as np

from trader.he import kernels
from trader.he.errors import PlanError
from trader.he.parallel import PerThread, run_tasks
from trader.he.plan import HePlan
from trader.he.privacy import Protection
from trader.he.propagation import component_counts, value_scales
from trader.he.seal import PublicKey
from trader.he.session import plan_parameters
from trader.he.tiles import BLOCK, TileEvaluator
from trader.he.types import Buffer, Progress
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
    layout = plan.request_layout(samples, parameters.all_primes)
    container = read_container(request, "request", plan.digest, samples, layout)
    evaluators = [TileEvaluator.prepare(model, plan.input_scale_bits, prime) for prime in primes]
    protection = Protection(plan, parameters, PublicKey(parameters, container.parts[0]))
    writer = ContainerWriter("response", plan.digest, samples, plan.response_layout(samples, primes))
    scratch = PerThread(lambda: np.empty((plan.features, 2, BLOCK)))

    def run_tile(place: tuple[int, int, int]) -> None:
        batch, index, block = place
        columns = slice(block * BLOCK, (block + 1) * BLOCK)
        residues = container.parts[1 + batch * len(primes) + index]
        inputs = scratch.get()
        for component in range(2):
            kernels.centre(residues[:, component, columns], primes[index], inputs[:, component])
        tile = evaluators[index].run(inputs)
        kernels.uncentre(tile, primes[index], writer.parts[batch][:, :, index, columns])

    def protect(place: tuple[int, int]) -> None:
        batch, output = place
        used = min(plan.samples_per_batch, samples - batch * plan.samples_per_batch)
        protection.protect(writer.parts[batch][output], used)

    batches, blocks = range(plan.batches(samples)), range(plan.ring_degree // BLOCK)
    tiles = [(batch, index, block) for batch in batches for index in range(len(primes)) for block in blocks]
    run_tasks(run_tile, tiles, progress)
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
