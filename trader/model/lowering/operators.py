"""Which operators are supported, who lowers them, and what to use in place of the others."""

from collections.abc import Callable, Mapping

from trader.model.lowering import arithmetic, sklearn, structure, tail
from trader.model.lowering.context import DEFAULT_ALTERNATIVE, NodeContext
from trader.model.lowering.symbols import Symbol

Handler = Callable[[NodeContext], Symbol | tuple[Symbol, ...]]

HANDLERS: Mapping[str, Handler] = {
    "Add": arithmetic.lower_add,
    "ArgMax": tail.lower_tail,
    "Cast": structure.lower_cast,
    "Concat": tail.lower_concat,
    "Div": arithmetic.lower_div,
    "Dropout": structure.lower_identity,
    "Flatten": structure.lower_flatten,
    "Gemm": arithmetic.lower_gemm,
    "Identity": structure.lower_identity,
    "LogSoftmax": tail.lower_tail,
    "MatMul": arithmetic.lower_matmul,
    "Mul": arithmetic.lower_mul,
    "Neg": arithmetic.lower_neg,
    "Pow": arithmetic.lower_pow,
    "Reshape": structure.lower_reshape,
    "Sigmoid": tail.lower_tail,
    "Softmax": tail.lower_tail,
    "Sub": arithmetic.lower_sub,
    "ai.onnx.ml.ArrayFeatureExtractor": tail.lower_array_feature_extractor,
    "ai.onnx.ml.LinearClassifier": sklearn.lower_linear_classifier,
    "ai.onnx.ml.LinearRegressor": sklearn.lower_linear_regressor,
    "ai.onnx.ml.Normalizer": tail.lower_normalizer,
    "ai.onnx.ml.Scaler": sklearn.lower_scaler,
    "ai.onnx.ml.ZipMap": tail.lower_zip_map,
}
"""Handlers of operators that depend on the sample."""

FOLDED = frozenset({"Constant", "Pad", "Squeeze", "Transpose", "Unsqueeze"})
"""Operators that are supported where everything they read is constant."""

SUPPORTED = frozenset(HANDLERS) | FOLDED

_SQUARE = "Train with a square activation (Mul(x, x)) in its place."
_LINEAR = "Use a linear or logistic model, or a network with square activations."
_ALTERNATIVES = {
    **dict.fromkeys(
        ("Relu", "LeakyRelu", "Elu", "Selu", "Gelu", "Tanh", "Softplus", "HardSigmoid", "HardSwish"), _SQUARE
    ),
    **dict.fromkeys(("Abs", "Clip", "Erf", "Exp", "PRelu", "Sqrt"), _SQUARE),
    **dict.fromkeys(("Conv", "ConvTranspose"), "Use Flatten and Gemm."),
    **dict.fromkeys(("MaxPool", "GlobalMaxPool", "ReduceMax"), "Use an average, as a MatMul with constants."),
    **dict.fromkeys(("TreeEnsembleClassifier", "TreeEnsembleRegressor", "SVMClassifier", "SVMRegressor"), _LINEAR),
}


def alternative_to(operator: str) -> str:
    """What to do about an operator that is not supported."""
    return _ALTERNATIVES.get(operator.removeprefix("ai.onnx.ml."), DEFAULT_ALTERNATIVE)
