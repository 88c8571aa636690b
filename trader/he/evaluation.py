"""The seller's side of an encrypted test: from a request to a response, without seeing a sample."""

from trader.he.plan import HePlan
from trader.he.session import Buffer, Progress
from trader.model.canonical import CanonicalModel


def evaluate(
    plan: HePlan, model: CanonicalModel, request: Buffer, samples: int, progress: Progress | None = None
) -> bytes:
    """Evaluate the model on an encrypted test set.

    The response holds n = `samples` outputs and nothing else of the model: unused slots are blanked, every ciphertext is
    re-randomised with a fresh encryption of zero under the buyer's public key and flooded with noise of
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
    raise NotImplementedError
