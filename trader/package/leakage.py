"""How many answers and published outputs give a model away: three limits, of which the tightest one rules.

The first counts answers as the protocol does that this one extends (Amorós, Hafiz, Lee, Tol, "Gimme That Model! A
Trusted ML Model Trading Protocol", §3.4): for networks, attacks in the literature need on the order of one answer per
hundred parameters.

The second counts what the *function* leaves open, whatever its parameters are. What is tested is a polynomial of F
features and some degree d, so a combination of C(F + d, d) monomials, which as many answers determine: F + 1 for
linear models, be they written as one layer or as several, wide ones.

The third counts bits, since an answer can be worth several equations (inputs x_i = Bⁱ write all weights of a row one
behind the other). An answer carries `HePlan.answer_bits` at most, whatever was sent; a proof publishes the exact
outputs of its k samples, for everybody to read. Both together must not be more bits than the parameters have.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from trader.model.graph import INPUT, output_scale_bits
from trader.model.nodes import Activation, Multiply, Square
from trader.package.errors import QuotaError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trader.he import HePlan
    from trader.model import CanonicalModel
    from trader.model.graph import Graph

PARAMETERS_PER_QUERY = 100


def safe_quota(model: CanonicalModel, plan: HePlan, published_bits: int) -> int:
    """Test samples that one buyer may have without being able to rebuild the model; 0 where even one is too many.

    Args:
        model: the model.
        plan: of its encrypted tests.
        published_bits: of exact outputs in all proofs that are planned, see `proof_bits`.
    """
    return min(_safe_answers(model, plan), safe_listing_quota(model, plan, published_bits))


def safe_listing_quota(model: CanonicalModel, plan: HePlan, published_bits: int) -> int:
    """Test samples that all buyers together may have, were they one: by the function, and by bits."""
    by_bits = max(0, (parameter_bits(model) - published_bits) // plan.answer_bits)
    return min(by_bits, _undetermined_answers(model.graph, plan, by_bits))


def _safe_answers(model: CanonicalModel, plan: HePlan | None) -> int:
    """By the number of answers alone; without a plan they are exact, and activations no polynomials."""
    graph = model.graph
    if _degree(graph, plan) == 1:
        return _undetermined_answers(graph, plan, graph.features)
    return _undetermined_answers(graph, plan, graph.parameter_count // PARAMETERS_PER_QUERY)


def _undetermined_answers(graph: Graph, plan: HePlan | None, most: int) -> int:
    """Answers that leave the function open, by three at least, and `most` at most."""
    degree = _degree(graph, plan)
    if degree is None or degree >= most + 3:  # there are more monomials than that
        return most
    return max(0, min(most, math.comb(graph.features + degree, degree) - 3))


def _degree(graph: Graph, plan: HePlan | None) -> int | None:
    """Degree of what is evaluated, as a polynomial of the features; None if it is none."""
    known = {} if plan is None else {stand_in.node: len(stand_in.coefficients) - 1 for stand_in in plan.activations}
    degrees: dict[str, int] = {INPUT: 1}
    for node in graph.nodes:
        operands = [degrees[name] for name in node.inputs]
        match node:
            case Square():
                degrees[node.name] = 2 * operands[0]
            case Multiply():
                degrees[node.name] = sum(operands)
            case Activation():
                if node.name not in known:
                    return None
                degrees[node.name] = operands[0] * known[node.name]
            case _:
                degrees[node.name] = max(operands, default=0)
    return max(1, degrees[graph.output])


def parameter_bits(model: CanonicalModel) -> int:
    """Bits in which weights and biases can be written down, salt left out: what whoever rebuilds the model must learn.

    Weights and biases of each layer are counted apart, by the shorter of two codes: as many bits for each value as the
    largest takes; or a table of the values that occur and how often, then the entropy of that distribution for each
    (Cover and Thomas, "Elements of Information Theory", 2nd ed., §13.2). Values that are few, sparse or tied have so
    many bits and no more. What else somebody may know of a model, that its rows resemble each other for instance,
    isn't counted.
    """
    tensors = ([model.weights(index), model.bias(index)] for index in range(len(model.tensors)))
    return sum(_code_bits(values.ravel().astype(np.int64)) for layer in tensors for values in layer)


def _code_bits(values: NDArray[np.int64]) -> int:
    """Bits of the shorter code of some integers."""
    value_bits = int(np.abs(values).max(initial=0)).bit_length() + 1
    distinct, counts = np.unique(values, return_counts=True)
    table = distinct.size * (value_bits + values.size.bit_length())
    entropy = float(-(counts * np.log2(counts / values.size)).sum()) if values.size else 0.0
    return min(values.size * value_bits, table + math.ceil(entropy))


def proof_bits(model: CanonicalModel, plan: HePlan, audit_samples: int) -> int:
    """Bits of the exact outputs of k samples, which a proof publishes."""
    magnitude_bits = sum(plan.modulus_bits[: plan.response_primes]) - plan.output_scale_bits
    return audit_samples * model.graph.outputs * (output_scale_bits(model.graph, model.scale_bits) + magnitude_bits)


def check_quota(model: CanonicalModel, plan: HePlan, published_bits: int, buyer_quota_samples: int) -> None:
    """Refuse a quota that gives the model away.

    Raises:
        QuotaError: with the safe quota.
    """
    safe = safe_quota(model, plan, published_bits)
    if buyer_quota_samples > safe:
        raise QuotaError(
            f"{buyer_quota_samples} test samples per buyer could give this model of {model.graph.parameter_count} "
            f"parameters away; up to {safe} are safe. Its parameters have {parameter_bits(model)} bits; an answer can "
            f"carry {plan.answer_bits}, and the planned proofs publish {published_bits}. Lower the quota (--quota) "
            "or the number of proofs (--proofs), or insist (--insist) if the price covers the risk."
        )


def check_smallest_test(
    model: CanonicalModel, plan: HePlan, published_bits: int, audit_samples: int, needed: int
) -> None:
    """Refuse a model of which the smallest test with its audit shows too much.

    Args:
        model: the model.
        plan: of its encrypted tests.
        published_bits: see `safe_quota`.
        audit_samples: k.
        needed: answers that the smallest test and its audit take.

    Raises:
        QuotaError: with what the model has, what the test shows, and what helps.
    """
    safe = safe_quota(model, plan, published_bits)
    if safe < needed:
        raise QuotaError(
            f"this model of {model.graph.parameter_count} parameters has {parameter_bits(model)} bits: {safe} answers "
            f"are safe. The smallest test, with its audit of {audit_samples} samples, takes {needed}, which can carry "
            f"{needed * plan.answer_bits} bits, and the planned proofs publish {published_bits}. A larger model, fewer "
            "audit samples (--audit-samples) or fewer proofs (--proofs) help; or insist (--insist) if the price covers "
            "the risk."
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
    published, hidden = rows * graph.outputs * output_bits, parameter_bits(model)
    safe = min(_safe_answers(model, None), hidden // (graph.outputs * output_bits))
    if rows > safe:
        raise QuotaError(
            f"exact outputs on {rows} public samples have {published} bits, this model's {graph.parameter_count} "
            f"parameters {hidden}: anyone could rebuild the model from them. Up to {safe} samples are safe, all "
            "published proofs together. Certify fewer, or insist (--insist) if the price covers the risk."
        )
