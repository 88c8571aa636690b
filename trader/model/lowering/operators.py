"""Which operators are supported, and who lowers them."""

from collections.abc import Callable, Mapping

from trader.model.lowering import (
    activations,
    arithmetic,
    choices,
    contractions,
    convolution,
    lookups,
    maxima,
    products,
    resizing,
    sklearn,
    structure,
    svm,
    tail,
    transposed,
    trees,
    written_out,
)
from trader.model.lowering.context import NodeContext
from trader.model.lowering.symbols import Symbol

Handler = Callable[[NodeContext], Symbol | tuple[Symbol, ...]]

HANDLERS: Mapping[str, Handler] = {
    **dict.fromkeys(("Relu", "LeakyRelu", "Elu", "Tanh", "Softplus"), activations.lower_activation),
    **dict.fromkeys(("HardSigmoid", "HardSwish", "Erf"), activations.lower_activation),
    "Abs": activations.lower_abs,
    "Add": arithmetic.lower_add,
    **dict.fromkeys(("ArgMax", "ArgMin"), tail.lower_tail),
    "AveragePool": convolution.lower_average_pool,
    "BatchNormalization": arithmetic.lower_batch_normalization,
    "Cast": structure.lower_cast,
    "Celu": activations.lower_celu,
    "Clip": activations.lower_clip,
    "Concat": structure.lower_concat,
    "Conv": convolution.lower_conv,
    "ConvTranspose": transposed.lower_conv_transpose,
    "DepthToSpace": resizing.lower_depth_to_space,
    "Div": arithmetic.lower_div,
    "Dropout": structure.lower_dropout,
    "Exp": tail.lower_tail,
    "Einsum": contractions.lower_einsum,
    "Equal": lookups.lower_equal,
    "Expand": structure.lower_expand,
    "Flatten": structure.lower_flatten,
    "Gather": structure.lower_gather,
    "GatherND": structure.lower_gather_nd,
    "Gelu": activations.lower_gelu,
    "Gemm": arithmetic.lower_gemm,
    "GlobalAveragePool": convolution.lower_global_average_pool,
    "GlobalMaxPool": maxima.lower_global_max_pool,
    **dict.fromkeys(("IsInf", "IsNaN"), structure.lower_missing),
    **dict.fromkeys(("Greater", "GreaterOrEqual", "Less", "LessOrEqual"), choices.lower_comparison),
    "Identity": structure.lower_identity,
    "Log": written_out.lower_log,
    "LogSoftmax": tail.lower_tail,
    "LpNormalization": tail.lower_normalizer,
    "MatMul": arithmetic.lower_matmul,
    "Max": choices.lower_max,
    "MaxPool": maxima.lower_max_pool,
    "Mean": arithmetic.lower_mean,
    "Min": choices.lower_min,
    "Mish": activations.lower_mish,
    "Mul": arithmetic.lower_mul,
    "Neg": arithmetic.lower_neg,
    "Not": choices.lower_not,
    "Pad": structure.lower_pad,
    "OneHot": lookups.lower_one_hot,
    "PRelu": activations.lower_prelu,
    "Pow": arithmetic.lower_pow,
    "Reciprocal": written_out.lower_reciprocal,
    "ReduceL2": tail.lower_norm,
    "ReduceMax": maxima.lower_reduce_max,
    "ReduceMean": convolution.lower_reduce,
    "ReduceMin": maxima.lower_reduce_max,
    "ReduceProd": products.lower_reduce_prod,
    "ReduceSum": convolution.lower_reduce,
    "ReduceSumSquare": convolution.lower_reduce,
    "Reshape": structure.lower_reshape,
    "Resize": resizing.lower_resize,
    "Selu": activations.lower_selu,
    "Shape": structure.lower_shape,
    "Sigmoid": tail.lower_tail,
    "Sign": tail.lower_tail,
    "Slice": structure.lower_slice,
    "Softmax": tail.lower_tail,
    "Softsign": tail.lower_tail,
    "SpaceToDepth": resizing.lower_space_to_depth,
    "Split": structure.lower_split,
    "Squeeze": structure.lower_squeeze,
    "Sub": arithmetic.lower_sub,
    "Sum": arithmetic.lower_add,
    "Tile": structure.lower_tile,
    "Transpose": structure.lower_transpose,
    "Unsqueeze": structure.lower_unsqueeze,
    "Upsample": resizing.lower_resize,
    "Where": choices.lower_where,
    "ai.onnx.ml.ArrayFeatureExtractor": tail.lower_array_feature_extractor,
    "ai.onnx.ml.Binarizer": tail.lower_binarizer,
    "ai.onnx.ml.Imputer": structure.lower_identity,
    "ai.onnx.ml.LabelEncoder": lookups.lower_label_encoder,
    "ai.onnx.ml.LinearClassifier": sklearn.lower_linear_classifier,
    "ai.onnx.ml.LinearRegressor": sklearn.lower_linear_regressor,
    "ai.onnx.ml.Normalizer": tail.lower_normalizer,
    "ai.onnx.ml.OneHotEncoder": lookups.lower_one_hot_encoder,
    "ai.onnx.ml.SVMClassifier": svm.lower_svm_classifier,
    "ai.onnx.ml.SVMRegressor": svm.lower_svm_regressor,
    "ai.onnx.ml.Scaler": sklearn.lower_scaler,
    "ai.onnx.ml.TreeEnsemble": trees.lower_tree_ensemble,
    "ai.onnx.ml.TreeEnsembleClassifier": trees.lower_tree_classifier,
    "ai.onnx.ml.TreeEnsembleRegressor": trees.lower_tree_regressor,
    "ai.onnx.ml.ZipMap": tail.lower_zip_map,
}
"""Handlers of operators that depend on the sample."""

MOVES = frozenset(
    {
        "Cast",
        "Dropout",
        "Flatten",
        "Gather",
        "Identity",
        "Reshape",
        "Slice",
        "Split",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    }
)
"""Those that move elements of their first input, or leave them where they are."""

COLUMN_MOVES = MOVES | {"Concat", "ai.onnx.ml.ArrayFeatureExtractor"}
"""Those that move columns of the original data, which stay such."""

READS_COLUMNS = frozenset(
    {"Cast", "Equal", "OneHot", "Shape", "Where", "ai.onnx.ml.LabelEncoder", "ai.onnx.ml.OneHotEncoder"}
)
"""Those that read columns of the original data as such; so does Gather, if what it takes from is constant."""

FOLDED = frozenset({"And", "Constant", "ConstantOfShape", "DequantizeLinear", "Mod", "Or", "Sqrt"})
"""Further operators that are supported where everything they read is constant."""

SUPPORTED = frozenset(HANDLERS) | FOLDED
