"""How many answers give a model away, and how many exact outputs that are published.

The criteria are those of the protocol that this one extends (Amorós, Hafiz, Lee, Tol, "Gimme That Model! A Trusted ML
Model Trading Protocol"): a linear model of F features is solved from F + 1 answers; for networks, attacks in the
literature need on the order of one answer per hundred parameters.
"""

import numpy as np

from trader.model import CanonicalModel, Graph, Linear
from trader.package.errors import QuotaError

PARAMETERS_PER_QUERY = 100


def safe_quota(graph: Graph) -> int:
    """Test samples that one buyer may have without being able to rebuild the model; 0 where even one is too many."""
    layers = [node for node in graph.nodes if isinstance(node, Linear)]
    if len(layers) == len(graph.nodes) and len(layers) <= 1:
        return max(0, graph.features - 2)
    return graph.parameter_count // PARAMETERS_PER_QUERY


def check_quota(graph: Graph, buyer_quota_samples: int) -> None:
    """Refuse a quota that gives the model away.

    Raises:
        QuotaError: with the safe quota.
    """
    safe = safe_quota(graph)
    if buyer_quota_samples > safe:
        raise QuotaError(
            f"{buyer_quota_samples} test samples per buyer could give this model of {graph.parameter_count} parameters "
            f"away; up to {safe} are safe. Lower the quota, or insist if the price covers the risk."
        )


def check_published(model: CanonicalModel, rows: int, output_bits: int) -> None:
    """Refuse to publish exact outputs that give the model away, as the proofs of a certificate do; silent otherwise.

    The criteria are those for answers, and bits: what a buyer sees is rounded and noisy, an exact output of a network
    has several times the bits of a parameter. Inputs are public, so anyone can try to solve for the parameters.

    Args:
        model: the model.
        rows: distinct samples whose outputs will be public, with those of all earlier proofs.
        output_bits: of one exact output, sign included.

    Raises:
        QuotaError: it says which criterion fails, and what would be safe.
    """
    graph = model.graph
    published, hidden = rows * graph.outputs * output_bits, _parameter_bits(model)
    safe = min(safe_quota(graph), hidden // (graph.outputs * output_bits))
    if rows > safe:
        raise QuotaError(
            f"exact outputs on {rows} public samples have {published} bits, this model's {graph.parameter_count} "
            f"parameters {hidden}: anyone could rebuild the model from them. Up to {safe} samples are safe, all "
            "published proofs together. Certify fewer, or insist if the price covers the risk."
        )


def _parameter_bits(model: CanonicalModel) -> int:
    """Bits of weights and biases without salt; each counts as many as the largest of its tensor takes, and a sign."""
    bits = 0
    for index in range(len(model.tensors)):
        values = np.concatenate([model.weights(index).ravel(), model.bias(index).ravel()])
        bits += values.size * (int(np.abs(values.astype(np.int64)).max()).bit_length() + 1)
    return bits
