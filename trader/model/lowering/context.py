"""One ONNX node as its handler sees it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from trader.model.errors import UnsupportedOperatorError
from trader.model.lowering.builder import GraphBuilder
from trader.model.lowering.symbols import Affine, Symbol, Tail

DEFAULT_ALTERNATIVE = "Rewrite this part of the model with linear layers and square activations."


@dataclass(frozen=True, slots=True)
class NodeContext:
    """What a handler needs: the node, what its inputs stand for, and where to add nodes.

    Attributes:
        node: the ONNX node.
        inputs: what its inputs stand for; None for one that is left out.
        builder: of the graph.
        opset: version of the node's operator set.
    """

    node: NodeProto
    inputs: Sequence[Symbol | None]
    builder: GraphBuilder
    opset: int

    @property
    def operator(self) -> str:
        """Operator with its domain, as `SUPPORTED` lists it."""
        domain = "" if self.node.domain == "ai.onnx" else self.node.domain
        return f"{domain}.{self.node.op_type}" if domain else self.node.op_type

    @property
    def name(self) -> str:
        """Name of the node, or of its first output if it has none."""
        return self.node.name or self.node.output[0]

    def attribute(self, name: str, default: Any = None) -> Any:
        """Value of an attribute, bytes decoded."""
        for attribute in self.node.attribute:
            if attribute.name == name:
                value = helper.get_attribute_value(attribute)
                return value.decode() if isinstance(value, bytes) else value
        return default

    def affine(self, index: int = 0) -> Affine:
        """An input that must depend on the sample, and not be past the end of what is evaluated encrypted."""
        symbol = self.inputs[index]
        if isinstance(symbol, Affine):
            return symbol
        if isinstance(symbol, Tail):
            raise UnsupportedOperatorError(
                symbol.operator,
                symbol.node,
                f"{self.operator} at '{self.name}' reads its result, and it can only stand at the end of a model",
                "Use a square activation (Mul(x, x)) inside the model.",
            )
        return self.refuse(f"input {index} does not depend on the sample")

    def constant(self, index: int, role: str) -> NDArray[np.float64]:
        """An input that must be a constant, as float64."""
        symbol = self.inputs[index]
        if not isinstance(symbol, np.ndarray):
            self.refuse(f"its {role} is not a constant")
        return symbol.astype(np.float64)

    def has(self, index: int) -> bool:
        """Whether an optional input is there."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def settled(self, add: Any) -> Any:
        """Call a builder method, naming this node if it can't be done."""
        try:
            return add()
        except ValueError as error:
            return self.refuse(str(error))

    def refuse(self, reason: str, alternative: str = DEFAULT_ALTERNATIVE) -> NoReturn:
        """Raise `UnsupportedOperatorError` for this node."""
        raise UnsupportedOperatorError(self.operator, self.name, reason, alternative)
