"""One ONNX node as its handler sees it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from trader.model.errors import UnsupportedOperatorError
from trader.model.functions import ActivationKind
from trader.model.lowering.builder import GraphBuilder
from trader.model.lowering.encoding import Encoding
from trader.model.lowering.refusals import DEFAULT_ALTERNATIVE, inside_refusal_of
from trader.model.lowering.symbols import Comparison, Rounded, Symbol, Tail, Traced, View
from trader.model.postprocessing import PostProcessingKind

BATCH = 1_000_003
"""What `Shape` gives for the number of samples, which is not known: a prime, so that a reshape that computes with it in
any other way than passing it on does not come out even."""


def operator_name(node: NodeProto) -> str:
    """Operator with its domain, as `SUPPORTED` lists it."""
    domain = "" if node.domain == "ai.onnx" else node.domain
    return f"{domain}.{node.op_type}" if domain else str(node.op_type)


def node_name(node: NodeProto) -> str:
    """Name of a node, or of its first output if it has none."""
    return str(node.name or node.output[0])


def rounding_error(symbol: Rounded) -> UnsupportedOperatorError:
    """Return the refusal of the cast that made integers."""
    return UnsupportedOperatorError(
        "Cast", symbol.node, "it rounds values of the model to integers", "Leave the cast out."
    )


def tracing_error(symbol: Traced) -> UnsupportedOperatorError:
    """Return the refusal of what is computed of pairs of classes and known by no name."""
    return UnsupportedOperatorError(
        symbol.source.operator,
        symbol.source.node,
        "the model computes something of its own of the decisions of pairs of classes",
        "Return its labels with the decisions, scikit-learn's decision function or probabilities.",
    )


@dataclass(frozen=True, slots=True)
class NodeContext:
    """What a handler needs: the node, what its inputs stand for, and where to add nodes.

    Attributes:
        node: the ONNX node.
        inputs: what its inputs stand for; None for one that is left out.
        builder: of the graph.
        opset: version of the node's operator set.
        batch: number of samples that the model was exported for; 0 if that is open.
        encoding: what stands for the columns of the original data.
    """

    node: NodeProto
    inputs: Sequence[Symbol | None]
    builder: GraphBuilder
    opset: int
    batch: int = 0
    encoding: Encoding = field(default_factory=Encoding)

    def attribute(self, name: str, default: Any = None) -> Any:
        """Value of an attribute, bytes decoded."""
        for attribute in self.node.attribute:
            if attribute.name == name:
                value = helper.get_attribute_value(attribute)
                return value.decode() if isinstance(value, bytes) else value
        return default

    def view(self, index: int = 0) -> View:
        """Return an input that must depend on the sample, and not be past the end of what is evaluated encrypted.

        A sigmoid that turns out not to stand at the end becomes an activation.
        """
        view = self.any_view(index)
        if view.batch:
            self.refuse(
                f"the samples run along axis {view.batch} of what it reads",
                "Transpose it to [N, …] first. Recurrent layers and attention, before which exporters move the samples "
                "so, can't be encrypted: use convolutions or linear layers along the series.",
            )
        return view

    def any_view(self, index: int = 0) -> View:
        """As `view`, but samples may run along any axis."""
        symbol = self.inputs[index] if index < len(self.inputs) else None
        if isinstance(symbol, View):
            return symbol
        if isinstance(symbol, Tail):
            if symbol.kind is PostProcessingKind.SIGMOID:
                value = self.builder.activation(symbol.value, ActivationKind.SIGMOID)
                return value.scaled(np.asarray(-1.0)).shifted(np.asarray(1.0)) if symbol.complement else value
            raise UnsupportedOperatorError(
                symbol.operator,
                symbol.node,
                f"{operator_name(self.node)} at '{node_name(self.node)}' reads its result, "
                "and it can only stand at the end of a model",
                inside_refusal_of(symbol.operator),
            )
        if isinstance(symbol, Comparison):
            return self.refuse(
                "it computes with the result of a comparison",
                "Use Relu, Max, Min or Clip; put columns into bins (KBinsDiscretizer, Discretization) before "
                "the model takes them, with a column of 0 and 1 for each bin.",
            )
        if isinstance(symbol, Rounded):
            raise rounding_error(symbol)
        if isinstance(symbol, Traced):
            raise tracing_error(symbol)
        return self.refuse(f"input {index} does not depend on the sample")

    def constant(self, index: int, role: str) -> NDArray[np.float64]:
        """Return an input that must be a constant, as float64."""
        symbol = self.inputs[index] if index < len(self.inputs) else None
        if not isinstance(symbol, np.ndarray):
            self.refuse(f"its {role} is not a constant")
        return symbol.astype(np.float64)

    def integers(self, attribute: str, index: int) -> tuple[int, ...] | None:
        """Return integers: an attribute in older operator sets, a constant input in newer ones; None if left out."""
        if self.has(index):
            return tuple(int(value) for value in self.constant(index, attribute).ravel())
        values = self.attribute(attribute)
        return None if values is None else tuple(int(value) for value in values)

    def has(self, index: int) -> bool:
        """Whether an optional input is there."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def is_batch(self, size: int) -> bool:
        """Whether an axis of this size, the first one of a shape, is the number of samples, or 1 in place of it."""
        return size in (1, BATCH, self.batch or BATCH)

    def sample_axis(self, axis: int, rank: int, batch: int = 0) -> int:
        """Return an axis of an ONNX tensor as one of a single sample of that rank; the batch axis is refused."""
        resolved = axis + rank + 1 if axis < 0 else axis
        if not 0 <= resolved <= rank or resolved == batch:
            self.refuse(f"axis {axis} runs along the samples")
        return resolved - (resolved > batch)

    def refuse(self, reason: str, alternative: str = DEFAULT_ALTERNATIVE) -> NoReturn:
        """Raise `UnsupportedOperatorError` for this node."""
        raise UnsupportedOperatorError(operator_name(self.node), node_name(self.node), reason, alternative)
