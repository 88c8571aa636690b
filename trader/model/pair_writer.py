"""Writes what pairs of classes vote for as ONNX nodes (see `trader.model.one_vs_one`).

Votes and probabilities are computed by the operator that they come from: an SVMClassifier whose support vectors are
unit vectors, so that its decisions are the values that it reads.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from onnx import TensorProto

from trader.model import one_vs_one
from trader.model.onnx_writer import ML_DOMAIN, OnnxWriter
from trader.model.postprocessing import PostProcessingKind


def write_pairs(writer: OnnxWriter, source: str, kind: PostProcessingKind, result: str, outputs: int) -> None:
    """Write nodes from scaled outputs [N, outputs] to what a kind that is one-vs-one makes of them, called `result`."""
    pairs = kind.deciding(outputs)
    if kind is PostProcessingKind.ONE_VS_ONE_CLASS:
        write_pair_classes(writer, source, kind, result, outputs)
    elif kind is PostProcessingKind.ONE_VS_ONE_SCORES:
        _write_scores(writer, source, result, pairs)
    elif kind is PostProcessingKind.ONE_VS_ONE:
        _write_machine(writer, source, f"{result}_class", result, pairs, sign=-1)
    else:
        logits = _write_slice(writer, source, f"{result}_logits", pairs, outputs)
        # Platt's sigmoid is of -(a·decision + b): with a = 1 and b = 0, of the first class of a pair.
        coupled = {"prob_a": [1.0] * pairs, "prob_b": [0.0] * pairs}
        _write_machine(writer, logits, f"{result}_class", result, pairs, sign=1, coupled=coupled)


def write_pair_classes(
    writer: OnnxWriter,
    source: str,
    kind: PostProcessingKind,
    result: str,
    outputs: int,
    labels: Sequence[int] | Sequence[str] = (),
) -> str:
    """Write nodes from scaled outputs [N, outputs] to the class of each sample, or its label; return `result`."""
    pairs = kind.deciding(outputs)
    if pairs < outputs:
        source = _write_slice(writer, source, f"{result}_pairs", 0, pairs)
    _write_machine(writer, source, result, f"{result}_decisions", pairs, sign=-1, labels=labels)
    return result


def _write_slice(writer: OnnxWriter, source: str, result: str, start: int, end: int) -> str:
    ends = [writer.integers(f"{result}_{word}", at) for word, at in (("start", start), ("end", end), ("axis", 1))]
    return writer.node("Slice", [source, *ends], result)


def _write_machine(
    writer: OnnxWriter,
    source: str,
    classes: str,
    scores: str,
    pairs: int,
    *,
    sign: int,
    labels: Sequence[int] | Sequence[str] = (),
    coupled: Mapping[str, list[float]] = MappingProxyType({}),
) -> None:
    """Write an SVMClassifier whose decisions are `sign` times the values that it reads.

    For pair ij it adds up coefficients in row j - 1 of the vectors of class i, and in row i of those of class j. So
    each pair has a unit vector, of its first class; one more of the last class, since runtimes read from a class's
    first vector on, is 0.
    """
    count = one_vs_one.classes_of(pairs)
    first, second = one_vs_one.members(count)
    coefficients = np.zeros((count - 1, pairs + 1))
    coefficients[second - 1, np.arange(pairs)] = sign
    sizes = np.bincount(first, minlength=count)
    sizes[-1] = 1
    text = bool(labels) and isinstance(labels[0], str)
    names = {"classlabels_strings" if text else "classlabels_ints": list(labels) or list(range(count))}
    writer.node(
        "SVMClassifier",
        [source],
        classes,
        scores,
        domain=ML_DOMAIN,
        kernel_type="LINEAR",
        kernel_params=[0.0, 0.0, 0.0],
        coefficients=coefficients.ravel().tolist(),
        support_vectors=np.eye(pairs + 1, pairs).ravel().tolist(),
        vectors_per_class=sizes.tolist(),
        rho=[0.0] * pairs,
        post_transform="NONE",
        **names,
        **coupled,
    )


def _write_scores(writer: OnnxWriter, source: str, result: str, pairs: int) -> None:
    """Votes, and sums of decisions, which say how clear they were, within a third."""
    count = one_vs_one.classes_of(pairs)
    first, second = (np.eye(count, dtype=np.float32)[places] for places in one_vs_one.members(count))
    turns = writer.constant(f"{result}_turns", second - first)
    beyond = writer.node("Greater", [source, writer.number(f"{result}_zero", 0)], f"{result}_beyond")
    wins = writer.node("Cast", [beyond], f"{result}_wins", to=TensorProto.FLOAT)
    won = writer.node("MatMul", [wins, turns], f"{result}_won")
    votes = writer.node("Add", [won, writer.constant(f"{result}_start", first.sum(axis=0))], f"{result}_votes")
    sums = writer.node("MatMul", [source, turns], f"{result}_sums")
    sizes = writer.node("Abs", [sums], f"{result}_sizes")
    more = writer.node("Add", [sizes, writer.number(f"{result}_one", 1)], f"{result}_more")
    thrice = writer.node("Mul", [more, writer.number(f"{result}_three", 3)], f"{result}_thrice")
    writer.node("Add", [votes, writer.node("Div", [sums, thrice], f"{result}_clear")], result)
