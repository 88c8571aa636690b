"""Models: from an ONNX file to a public architecture and secret canonical parameters, and back.

The main verb is `read_model`. Read `graph` first (what is computed), then `lowering` (ONNX to graph), `canonical` and
`reference` (the integers that are tested, proven and delivered, and what they give) and `architecture` (the public
file). `manifest` is what a listing promises.
"""

from pathlib import Path

from trader.model.architecture import architecture_bytes, parse_architecture, read_architecture
from trader.model.bounds import evaluate_arithmetic, evaluate_graph, evaluate_values, interval_bounds, measured_bounds
from trader.model.canonical import (
    DEFAULT_PROOFS,
    DEFAULT_SCALE_BITS,
    CanonicalModel,
    canonicalise,
    hidden_proofs,
)
from trader.model.data import read_labels, read_samples
from trader.model.errors import (
    ArchitectureError,
    DataError,
    ManifestError,
    ModelError,
    PrecisionError,
    UnsafeModelError,
    UnsupportedOperatorError,
)
from trader.model.functions import ActivationKind, activate
from trader.model.graph import INPUT, Graph, ParameterSpec, output_scale_bits, scale_bits_of
from trader.model.grid import Grid, make_grid, read_grid
from trader.model.interface import InputTensor, Interface, OutputTensor, TensorType
from trader.model.loading import load_onnx, parse_onnx
from trader.model.lowering import LinearParameters, LoweredModel, lower_model
from trader.model.manifest import Manifest, parse_manifest
from trader.model.nodes import ZERO, Activation, Add, Leaves, Linear, Multiply, Node, Rearrange, Square, Sum
from trader.model.original import run_original
from trader.model.plain import delivered_model_bytes, plain_model_bytes
from trader.model.postprocessing import PostProcessing, PostProcessingKind
from trader.model.quantise import quantise_inputs
from trader.model.reference import evaluate_exact
from trader.model.snapping import fit_grid
from trader.model.thermometer import thermometer, thermometer_bounds, thermometer_graph, thermometer_model
from trader.model.units import fit_units, lowered_parameters, scale_inputs

__all__ = [
    "DEFAULT_PROOFS",
    "DEFAULT_SCALE_BITS",
    "INPUT",
    "ZERO",
    "Activation",
    "ActivationKind",
    "Add",
    "ArchitectureError",
    "CanonicalModel",
    "DataError",
    "Graph",
    "Grid",
    "InputTensor",
    "Interface",
    "Leaves",
    "Linear",
    "LinearParameters",
    "LoweredModel",
    "Manifest",
    "ManifestError",
    "ModelError",
    "Multiply",
    "Node",
    "OutputTensor",
    "ParameterSpec",
    "PostProcessing",
    "PostProcessingKind",
    "PrecisionError",
    "Rearrange",
    "Square",
    "Sum",
    "TensorType",
    "UnsafeModelError",
    "UnsupportedOperatorError",
    "activate",
    "architecture_bytes",
    "canonicalise",
    "delivered_model_bytes",
    "evaluate_arithmetic",
    "evaluate_exact",
    "evaluate_graph",
    "evaluate_values",
    "fit_grid",
    "fit_units",
    "hidden_proofs",
    "interval_bounds",
    "load_onnx",
    "lower_model",
    "lowered_parameters",
    "make_grid",
    "measured_bounds",
    "output_scale_bits",
    "parse_architecture",
    "parse_manifest",
    "parse_onnx",
    "plain_model_bytes",
    "quantise_inputs",
    "read_architecture",
    "read_grid",
    "read_labels",
    "read_model",
    "read_samples",
    "run_original",
    "scale_bits_of",
    "scale_inputs",
    "thermometer",
    "thermometer_bounds",
    "thermometer_graph",
    "thermometer_model",
]


def read_model(path: Path) -> LoweredModel:
    """Open a seller's ONNX file in the sandbox and take it apart: `load_onnx`, then `lower_model`.

    Raises:
        UnsafeModelError: the file was refused before it was interpreted.
        UnsupportedOperatorError: an operator that can't be traded; names operator and node.
    """
    return lower_model(load_onnx(path))
