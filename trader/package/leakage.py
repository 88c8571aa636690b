"""How many answers give a model away.

The criteria are those of the protocol that this one extends (Amorós, Hafiz, Lee, Tol, "Gimme That Model! A Trusted ML
Model Trading Protocol"): a linear model of F features is solved from F + 1 answers; for networks, attacks in the
literature need on the order of one answer per hundred parameters.
"""

from trader.model import Graph, Linear
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
