"""Units before an activation brought to one range, so that one polynomial serves them all as well as it can.

A polynomial stands for an activation on the range that its widest unit reaches; a unit that reaches a tenth of it uses
a tenth of the polynomial, with ten times the error for its size. Relu and LeakyRelu are positively homogeneous,
f(r·x) = r·f(x) for r > 0, so the weights that make a unit can be divided by r, and those that read it be multiplied:
the same function, with units that all reach as far (cross-layer equalisation: Nagel, van Baalen, Blankevoort and
Welling, "Data-free quantization through weight equalization and bias correction", ICCV 2019, section 4.1).

    x = (4, 1)·h, h = relu(W·x):  a unit that reaches 8 and one that reaches 2 become two that reach 8, and
    the second one's outgoing weight becomes a quarter.

Units that share weights, as the positions of a convolution do, or that are added up, as in a pool, share r.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from trader.model.bounds import Parameters, evaluate_graph
from trader.model.functions import HOMOGENEOUS
from trader.model.graph import Graph
from trader.model.lowering import LinearParameters, LoweredModel
from trader.model.nodes import ZERO, Activation, Linear, Rearrange, Sum
from trader.model.readings import Reading, tied
from trader.model.sampling import reaches

SMALLEST_UNIT = 0.25
"""Units are widened as if they reached this part of the widest one at least. One that hardly moves on the data might on
other data, beyond any range that was stretched over it."""


def equalise_units(lowered: LoweredModel, inputs: NDArray[np.float64], parameters: Parameters) -> LoweredModel:
    """Return the same model with weights before and after homogeneous activations scaled.

    Args:
        lowered: The model.
        inputs: [n, F] as the graph reads them, like those of buyers.
        parameters: Of the model, as `trader.model.bounds.evaluate_graph` takes them.
    """
    graph, layers = lowered.graph, list(lowered.parameters)
    values = evaluate_graph(graph, inputs, parameters)
    for node in graph.nodes:
        if not isinstance(node, Activation) or node.kind not in HOMOGENEOUS:
            continue
        made, read = _maker(graph, node), _readings(graph, node.name, node.shape[0])
        if made is None or read is None or not np.isfinite(values[node.inputs[0]]).all():
            continue
        readings, added = read
        spec = graph.parameters[made.parameter]
        by_column = np.arange(node.shape[0]).reshape(-1, spec.groups * spec.outputs)
        classes = tied(node.shape[0], [by_column.T, *(reading.elements.T for reading in readings), *added])
        factors = _factors(reaches(values[node.inputs[0]], 1.0), classes)
        layer = layers[made.parameter]
        columns = factors[by_column[0]].reshape(layer.bias.shape)
        layers[made.parameter] = LinearParameters(layer.weights / columns[..., np.newaxis, :], layer.bias / columns)
        for reading in readings:
            layer = layers[reading.parameter]
            rows = reading.row_values(factors, 1.0).reshape(*layer.weights.shape[:-1], 1)
            layers[reading.parameter] = LinearParameters(layer.weights * rows, layer.bias)
    return replace(lowered, parameters=tuple(layers))


def _maker(graph: Graph, node: Activation) -> Linear | None:
    """Return the linear layer that makes what an activation reads, if its weights serve nothing else."""
    name = node.inputs[0]
    made = next((step for step in graph.nodes if step.name == name), None)
    if not isinstance(made, Linear) or not _is_alone(graph, made) or graph.output == name:
        return None
    return made if sum(name in step.inputs for step in graph.nodes) == 1 else None


def _is_alone(graph: Graph, node: Linear) -> bool:
    return sum(isinstance(step, Linear) and step.parameter == node.parameter for step in graph.nodes) == 1


def _readings(graph: Graph, name: str, size: int) -> tuple[list[Reading], list[NDArray[np.int64]]] | None:
    """Return the layers that read a value, and which of its units are added up; None if something else reads it."""
    moved = {name: np.arange(size)}
    readings, added = [], []
    for node in graph.nodes:
        if not any(source in moved for source in node.inputs):
            continue
        match node:
            case Rearrange() if len(node.inputs) == 1:
                source = moved[node.inputs[0]]
                moved[node.name] = np.where(node.indices == ZERO, ZERO, source[node.indices]).ravel()
            case Sum():
                terms = moved[node.inputs[0]].reshape(-1, node.terms)
                added.append(terms)
                moved[node.name] = terms.max(axis=1)
            case Linear() if _is_alone(graph, node):
                spec = graph.parameters[node.parameter]
                readings.append(Reading(node.parameter, moved[node.inputs[0]].reshape(-1, spec.groups * spec.inputs)))
            case _:
                return None
    return None if graph.output in moved else (readings, added)


def _factors(sizes: NDArray[np.float64], classes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return what to divide each unit by."""
    largest = np.zeros(sizes.size)
    np.maximum.at(largest, classes, sizes)
    return np.asarray(np.maximum(largest[classes] / (sizes.max() or 1.0), SMALLEST_UNIT))
