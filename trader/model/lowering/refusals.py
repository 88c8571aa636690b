"""What is said of operators that are not supported: why, and what would serve instead."""

from trader.model.lowering.context import DEFAULT_ALTERNATIVE

_ENCRYPTED = "it can't be evaluated encrypted"

LOOKUP = (
    "it looks up what belongs to a number that the model computed, and which it is stays encrypted",
    "Let the model take a column of 0 and 1 for each value (one-hot), which MatMul multiplies by the table.",
)
"""Why nothing is looked up, and what to do instead."""

_SMOOTH = "Use Relu, Gelu, Tanh, Sigmoid, or a square activation (Mul(x, x))."
_ALTERNATIVES = {
    **dict.fromkeys(("ThresholdedRelu", "Sin", "Cos", "Round"), _SMOOTH),
    "Log": "Write Sigmoid or Softmax; of scikit-learn's classifiers, use LogisticRegression.",
    **dict.fromkeys(("LpPool", "GlobalLpPool"), "Use AveragePool or MaxPool."),
    **dict.fromkeys(("ReduceL1", "ReduceLogSumExp"), "Use ReduceMean or ReduceSum."),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"), "Export it before quantisation."),
    "ArgMin": "Return the scores, or ArgMax of them.",
    "Einsum": "Use MatMul or Gemm with a constant matrix.",
}

_NORMALISES = (
    "it divides by a spread or length that it takes from the sample itself, and encrypted values can't be divided by",
    "Use BatchNormalization, whose spread is fixed after training.",
)
_RECURS = (
    "a recurrent layer applies its activations once more at every step, and so many in a row can't be encrypted",
    "Use convolutions along the series, or linear layers over a window of it.",
)
_ATTENDS = (
    "attention multiplies values of the sample with each other and divides by their sums, which can't be encrypted",
    "Use convolutions or averages along the sequence, or linear layers over all of it.",
)
_LOOPS = (
    "it loops or branches, as recurrent layers, nearest neighbours and kernels do, which can't be done encrypted",
    "Unroll a loop of fixed length; in place of neighbours and kernels use a linear model or a network.",
)
_RANKS = (
    "it puts values of the sample in order, as nearest neighbours do, and encrypted values can't be compared",
    "Return the scores, or ArgMax of them; in place of nearest neighbours use a linear model or a network.",
)
_TREES = "Export trees with skl2onnx or onnxmltools, which write them as such, not as operations on tensors."
_COMPARES = (
    "encrypted values can't be compared",
    "Return the scores, whose sign or class the buyer sees; inside a model, use Relu, Max or Tanh. " + _TREES,
)
_REFUSALS = {
    **dict.fromkeys(("Equal", "Not", "And", "Or", "Xor"), _COMPARES),
    **dict.fromkeys(("LayerNormalization", "InstanceNormalization", "GroupNormalization"), _NORMALISES),
    **dict.fromkeys(("RMSNormalization", "MeanVarianceNormalization", "LRN", "Sqrt", "Reciprocal"), _NORMALISES),
    **dict.fromkeys(("SkipLayerNormalization", "SimplifiedLayerNormalization"), _NORMALISES),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _RECURS),
    **dict.fromkeys(("Attention", "MultiHeadAttention", "GroupQueryAttention"), _ATTENDS),
    **dict.fromkeys(("If", "Loop", "Scan"), _LOOPS),
    **dict.fromkeys(("TopK", "CDist"), _RANKS),
    **dict.fromkeys(("GatherElements", "ScatterElements", "ScatterND"), (LOOKUP[0], f"{LOOKUP[1]} {_TREES}")),
    "CategoryMapper": ("it maps text to integers in a way of its own", "Use OneHotEncoder or LabelEncoder."),
}
"""What is said of operators that more can be said of: reason and alternative."""


def refusal_of(operator: str) -> tuple[str, str]:
    """Return why an operator is not supported, and what to do about it."""
    name = operator.rpartition(".")[2]
    return _REFUSALS.get(name, (_ENCRYPTED, _ALTERNATIVES.get(name, DEFAULT_ALTERNATIVE)))
