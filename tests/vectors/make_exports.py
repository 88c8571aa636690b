"""Makes `exports/`: models as PyTorch and Keras write them, in forms that nobody would write by hand.

PyTorch and Keras are no dependencies of the project. Made with torch 2.13, onnxscript 0.7 and keras 3.15:

    python -m venv other && other/bin/pip install torch onnx onnxscript keras
    KERAS_BACKEND=torch other/bin/python -m tests.vectors.make_exports

Weights are random, from fixed seeds. What the exporters note about source files is left out.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import onnx
import torch
from keras import layers
from torch import nn
from torch.nn import functional

FOLDER = Path(__file__).with_name("exports")


class Columns(nn.Module):
    """Columns by number, and a token before them: GatherND between transposes, Expand to the number of samples."""

    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 2))
        self.layer = nn.Linear(5, 3)

    def forward(self, x):
        return self.layer(torch.cat([self.token.expand(x.shape[0], -1), x[:, [0, 3, 5]]], dim=1))


class Ensemble(nn.Module):
    """The mean of two networks, stacked before the samples."""

    def __init__(self):
        super().__init__()
        self.members = nn.ModuleList(nn.Sequential(nn.Linear(6, 4), nn.SiLU(), nn.Linear(4, 3)) for _ in "ab")

    def forward(self, x):
        return torch.stack([member(x) for member in self.members]).mean(0)


class Residual(nn.Module):
    """A block of a residual network."""

    def __init__(self):
        super().__init__()
        self.first, self.second = (nn.Conv2d(2, 2, 3, padding=1, bias=False) for _ in "ab")
        self.norm = nn.BatchNorm2d(2)
        self.last = nn.Linear(2, 3)

    def forward(self, x):
        x = functional.relu(self.norm(self.second(functional.relu(self.norm(self.first(x))))) + x)
        return self.last(functional.adaptive_avg_pool2d(x, 1).flatten(1)).log_softmax(dim=-1)


def pooled():
    """Pooling to a size that doesn't divide the image."""
    pooling = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(3))
    return nn.Sequential(pooling, nn.Flatten(), nn.Linear(18, 3))


def dense(activation):
    return nn.Sequential(nn.Linear(6, 5), activation, nn.Linear(5, 3))


TORCH = {
    "torch-columns": (Columns, (6,), 18),
    "torch-ensemble": (Ensemble, (6,), 21),
    "torch-residual": (Residual, (2, 5, 5), 18),
    "torch-pooling": (pooled, (1, 7, 7), 18),
    "torch-softplus": (lambda: dense(nn.Softplus(beta=2)), (6,), 18),
    "torch-gelu-tanh": (lambda: dense(nn.GELU(approximate="tanh")), (6,), 18),
    "torch-half": (lambda: dense(nn.Hardswish()).half(), (6,), 18),
    "torchscript-residual": (Residual, (2, 5, 5), 11),
    "torchscript-gelu-tanh": (lambda: dense(nn.GELU(approximate="tanh")), (6,), 17),
    "torchscript-circular": (
        lambda: nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), nn.Flatten(), nn.Linear(9, 2)),
        (1, 3, 3),
        13,
    ),
}


def attention():
    """Channels last, each weighed by what all pixels say."""
    image = keras.Input((4, 4, 2))
    weights = layers.Dense(2, activation="sigmoid")(layers.GlobalAveragePooling2D()(image))
    weighed = layers.Multiply()([image, layers.Reshape((1, 1, 2))(weights)])
    return keras.Model(image, layers.Dense(3, activation="softmax")(layers.Flatten()(weighed)))


KERAS = {
    "keras-attention": attention,
    "keras-image": lambda: keras.Sequential(
        [
            keras.Input((7, 7, 1)),
            layers.Conv2D(2, 4, strides=2, padding="same", activation="relu"),
            layers.AveragePooling2D(2, padding="same"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    ),
    "keras-steps": lambda: keras.Sequential(
        [
            keras.Input((2, 3)),
            layers.TimeDistributed(layers.Dense(2, activation="elu")),
            layers.Flatten(),
            layers.Dense(2),
        ]
    ),
}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, (make, shape, opset) in TORCH.items():
        torch.manual_seed(0)
        model = make()
        write(name, lambda path, made=(model, shape, opset, name): export_torch(*made, path))
    for name, make in KERAS.items():
        keras.utils.set_random_seed(0)
        model = make()
        model(keras.random.normal((2, *model.input_shape[1:])))
        write(name, lambda path, model=model: model.export(path, format="onnx", verbose=False))


def export_torch(model, shape, opset, name, path) -> None:
    kind = next(model.parameters()).dtype
    x = torch.randn(2, *shape, dtype=kind)
    model.eval()
    names = {"input_names": ["x"], "output_names": ["y"], "opset_version": opset}
    if name.startswith("torchscript"):
        torch.onnx.export(model, (x,), path, dynamo=False, dynamic_axes={"x": {0: "n"}, "y": {0: "n"}}, **names)
    else:
        shapes = ({0: torch.export.Dim("n")},)
        torch.onnx.export(model, (x,), dynamo=True, dynamic_shapes=shapes, external_data=False, **names).save(path)


def write(name, export) -> None:
    """Keep what an exporter writes, but for notes on source files and versions."""
    with TemporaryDirectory() as folder:
        path = str(Path(folder, "m.onnx"))
        export(path)
        model = onnx.load(path)
    del model.metadata_props[:]
    model.graph.ClearField("doc_string")
    for node in model.graph.node:
        del node.metadata_props[:]
        node.ClearField("doc_string")
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer]:
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    (FOLDER / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
