"""A lowered network as PyTorch sees it: node by node, with squares in the place of activations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from trader.errors import CallerError, EnvironmentFaultError
from trader.model import (
    INPUT,
    ZERO,
    Activation,
    Add,
    Graph,
    Linear,
    LinearParameters,
    LoweredModel,
    Multiply,
    Rearrange,
    Square,
    Sum,
    activate,
    evaluate_arithmetic,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from trader.model.nodes import Node

LONGEST_SHIFT = 4.0
"""An activation that is odd around its middle has no curvature there; the square's vertex stays so many ranges away."""


def import_torch() -> Any:
    """Return PyTorch.

    Raises:
        EnvironmentFaultError: It is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise EnvironmentFaultError(
            "adapting a model takes PyTorch, which is not installed: pip install 'modelseal[adapt]'"
        ) from error
    return torch


@dataclass(frozen=True, slots=True)
class Squares:
    """a·(x + s)² + t, for all elements of a value.

    Attributes:
        factor: a.
        shift: s.
        offset: t.
    """

    factor: float
    shift: float
    offset: float

    def __call__(self, x: Any) -> Any:
        """Apply it to an array or a tensor."""
        return self.factor * (x + self.shift) ** 2 + self.offset


def fit_squares(graph: Graph, values: Mapping[str, NDArray[np.float64]]) -> dict[str, Squares]:
    """Return, for each activation, the square nearest to it on the values [n, size] that it reads."""
    return {
        node.name: _fit(values[node.inputs[0]].ravel(), node) for node in graph.nodes if isinstance(node, Activation)
    }


def _fit(x: NDArray[np.float64], node: Activation) -> Squares:
    wanted = activate(node.kind, x, node.alpha, node.beta)
    scale = max(float(np.abs(x).max(initial=0)), 1e-12)
    constant, slope, curve = np.polynomial.polynomial.polyfit(x / scale, wanted, 2)
    least = abs(slope) / (2 * LONGEST_SHIFT)
    if abs(curve) < max(least, 1e-6):
        curve = np.copysign(max(least, 1e-6), curve)
    shift = slope / (2 * curve)
    return Squares(float(curve / scale**2), float(shift * scale), float(constant - curve * shift**2))


def make_network(lowered: LoweredModel, squares: Mapping[str, Squares]) -> Any:
    """Return a torch module from inputs [n, F] to raw outputs [n, O]; all parameters can be trained."""
    torch = import_torch()

    class Network(torch.nn.Module):  # type: ignore[misc, name-defined]  # torch is imported when this runs
        def __init__(self) -> None:
            super().__init__()
            groups = [spec.groups for spec in lowered.graph.parameters]
            layers = zip(lowered.parameters, groups, strict=True)
            shaped = [(p.weights.reshape(g, -1, p.weights.shape[-1]), p.bias.reshape(g, -1)) for p, g in layers]
            self.weights = torch.nn.ParameterList([torch.tensor(w) for w, _ in shaped])
            self.biases = torch.nn.ParameterList([torch.tensor(b) for _, b in shaped])
            self.squares = torch.nn.ParameterDict(
                {name: torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64) for name in squares}
            )

        def square(self, name: str, x: Any) -> Any:
            """Apply a square, whose parameters are relative to where it began."""
            at, (factor, shift, offset) = squares[name], self.squares[name]
            size = abs(at.factor) * max(at.shift**2, 1.0)
            unit = max(abs(at.shift), 1.0)
            return at.factor * factor * (x + at.shift + shift * unit) ** 2 + at.offset + offset * size

        def found(self, name: str) -> Squares:
            """Return a square as it is now."""
            at, (factor, shift, offset) = squares[name], self.squares[name].detach().tolist()
            size = abs(at.factor) * max(at.shift**2, 1.0)
            return Squares(at.factor * factor, at.shift + shift * max(abs(at.shift), 1.0), at.offset + offset * size)

        def forward(self, x: Any) -> Any:
            """Return raw outputs [n, O] for inputs [n, F]."""
            values = {INPUT: x}
            for node in lowered.graph.nodes:
                read = [values[name] for name in node.inputs]
                if isinstance(node, Activation):
                    values[node.name] = self.square(node.name, read[0])
                elif isinstance(node, Linear):
                    weights, bias = self.weights[node.parameter], self.biases[node.parameter]
                    rows = read[0].reshape(len(x), -1, *weights.shape[:2])
                    made = torch.einsum("npga,gab->npgb", rows, weights) + bias
                    values[node.name] = made.reshape(len(x), -1)
                else:
                    values[node.name] = _apply(node, read)
            return values[lowered.graph.output]

    return Network()


def _apply(node: Node, read: list[Any]) -> Any:
    """Return what a node without parameters computes, on tensors [n, size]."""
    match node:
        case Square() | Multiply() | Add() | Sum():
            return evaluate_arithmetic(node, read)
        case Rearrange():
            torch = import_torch()
            zero = torch.zeros((len(read[0]), 1), dtype=read[0].dtype)
            together = torch.cat([*read, zero], dim=1)
            return together[:, torch.tensor(np.where(node.indices == ZERO, together.shape[1] - 1, node.indices))]
        case _:
            raise CallerError(f"{node.name} is no part of a network; an ensemble of trees is tested exactly as it is")


def trained_parameters(network: Any, lowered: LoweredModel) -> tuple[LoweredModel, dict[str, Squares]]:
    """Return the model with the network's parameters, and the network's squares."""
    arrays = zip(network.weights, network.biases, lowered.parameters, strict=True)
    parameters = tuple(
        LinearParameters(w.detach().numpy().reshape(p.weights.shape), b.detach().numpy().reshape(p.bias.shape))
        for w, b, p in arrays
    )
    return replace(lowered, parameters=parameters), {name: network.found(name) for name in network.squares}
