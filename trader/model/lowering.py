"""ONNX to graph: what the model computes, apart from the parameters that it computes it with."""

from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray

from trader.model.graph import Graph
from trader.model.postprocessing import PostProcessing


@dataclass(frozen=True, slots=True)
class LinearParameters:
    """Weights and bias of one linear layer, as the model's author trained them.

    Attributes:
        weights: float64 [a, b].
        bias: float64 [b].
    """

    weights: NDArray[np.float64] = field(repr=False)
    bias: NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True, slots=True)
class LoweredModel:
    """A model taken apart.

    Attributes:
        graph: what is computed; its `parameters` name no salt yet.
        parameters: one per `Linear`, in canonical order.
        post_processing: what was cut off at the end.
        input_exponents: e_j per feature: the model reads x_j·2^e_j. Empty when all are 0. They bring standardised
            features onto the input grid, and tell no more of the training data than the order of its spread.
    """

    graph: Graph
    parameters: tuple[LinearParameters, ...] = field(repr=False)
    post_processing: PostProcessing
    input_exponents: tuple[int, ...] = ()


def lower_model(model: onnx.ModelProto) -> LoweredModel:
    """Lower a checked model (see `trader.model.loading`).

    Raises:
        UnsupportedOperatorError: names operator, node, and the nearest alternative.
    """
    raise NotImplementedError
