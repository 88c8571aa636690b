"""What is said of operators that are not supported: why, and what would serve instead."""

_ENCRYPTED = "it can't be evaluated encrypted"

DEFAULT_ALTERNATIVE = "Rewrite this part of the model with linear layers, convolutions, averages and activations."

_OPTIMISED = (
    "onnxruntime's own operators come from its optimiser: hand in the file as it was exported, before optimisation."
)

LOOKUP = (
    "it looks up what belongs to a number that the model computed, and which it is stays encrypted",
    "Let the model take a column of 0 and 1 for each value (one-hot), which MatMul multiplies by the table.",
)
"""Why nothing is looked up, and what to do instead."""


def inside_refusal_of(operator: str) -> str:
    """Return what to do about a last step that the model computes with."""
    return _INSIDE.get(operator.rpartition(".")[2], "Use an element-wise activation inside the model.")


_CLASSIFIER = (
    "What is computed of labels, scores or probabilities can't be encrypted (bagging, stacking, voting, calibration, "
    "one class against the rest): sell one classifier whose labels and probabilities are the outputs, as those of "
    "LogisticRegression and LinearSVC are for any number of classes, or average regressors (VotingRegressor)."
)
_INSIDE = {
    **dict.fromkeys(
        ("LinearClassifier", "SVMClassifier", "TreeEnsembleClassifier", "TreeEnsemble"),
        _CLASSIFIER,
    ),
    "Binarizer": "Compare columns before the model, and let it take the results, 0 and 1.",
    "Sign": "Return the scores or probabilities alone: decisions, as of several labels, are made of them in clear.",
    **dict.fromkeys(("Exp", "Softsign"), "Use Softplus, Tanh, Gelu or a square inside the model."),
    "Normalizer": "Normalise samples before the model takes them.",
    "Softmax": "Use Sigmoid, whose values needn't add up to 1, or another element-wise activation inside the model.",
}
"""What to do about last steps inside a model, by the operator that begins them."""

_SMOOTH = "Use Relu, Gelu, Tanh, Sigmoid, or a square activation (Mul(x, x))."
_ALTERNATIVES = {
    **dict.fromkeys(("ThresholdedRelu", "Sin", "Cos", "Round"), _SMOOTH),
    "Log": "Take logarithms of columns before the model takes them; of probabilities, return LogSoftmax or the "
    "probabilities themselves; in place of naive Bayes use LogisticRegression.",
    "Range": "It counts the samples, as EmbeddingBag is exported: use Embedding, and ReduceMean or ReduceSum after it.",
    **dict.fromkeys(("LpPool", "GlobalLpPool"), "Use AveragePool or MaxPool."),
    "ReduceL1": "Use ReduceMean or ReduceSum.",
    "ReduceLogSumExp": "Return the scores through Softmax or LogSoftmax, as the last step; in place of naive Bayes use "
    "LogisticRegression or LinearDiscriminantAnalysis.",
    **dict.fromkeys(("StringNormalizer", "TfIdfVectorizer", "Tokenizer"), "Count words before the model takes them."),
    **dict.fromkeys(("SequenceConstruct", "SequenceAt"), "Return one tensor with a column for each target."),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"), "Export it before quantisation."),
}

_NORMALISES = (
    "it divides by a spread or length that it takes from the sample itself, and encrypted values can't be divided by",
    "Use BatchNormalization, whose spread is fixed after training.",
)
_ROOTS = (
    "roots and quotients can't be computed encrypted, as where a layer divides by a spread or length of the sample",
    "Use BatchNormalization, whose spread is fixed after training, or squares in place of lengths.",
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
    "Return the scores, whose sign or class the buyer sees; inside a model, use Relu, Max or Tanh; transform columns "
    "(PowerTransformer, KBinsDiscretizer) before the model takes them. " + _TREES,
)
_REFUSALS = {
    **dict.fromkeys(("Equal", "Not", "And", "Or", "Xor"), _COMPARES),
    **dict.fromkeys(("LayerNormalization", "InstanceNormalization", "GroupNormalization"), _NORMALISES),
    **dict.fromkeys(("RMSNormalization", "MeanVarianceNormalization", "LRN"), _NORMALISES),
    **dict.fromkeys(("Sqrt", "Reciprocal"), _ROOTS),
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
    domain, _, name = operator.rpartition(".")
    usual = _OPTIMISED if domain == "com.microsoft" else DEFAULT_ALTERNATIVE
    return _REFUSALS.get(name, (_ENCRYPTED, _ALTERNATIVES.get(name, usual)))
