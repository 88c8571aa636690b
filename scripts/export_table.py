"""What becomes of models as libraries export them: docs/exports.md, by hand, with the extra `exports`.

    python scripts/export_table.py --only sklearn --write

Each row is a model that a library trained, exported by that library's own converter, prepared, and tested encrypted on
samples that `prepare` did not see. Libraries that are not installed are left out, and the table says so.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trader.errors import TraderError
from trader.he import HePlan, plan_encryption
from trader.model import (
    Grid,
    canonicalise,
    fit_grid,
    fit_units,
    lower_model,
    make_grid,
    parse_onnx,
    quantise_inputs,
    run_original,
)
from trader.model.columns import Column, expand_columns
from trader.package.fidelity import Comparison, is_faithful
from trader.package.planning import planning_data
from trader.package.prepare import ACTIVATION_MAGNITUDE
from trader.rehearsal.kernels import compile_kernels
from trader.rehearsal.proving import prove_and_verify
from trader.rehearsal.trial import run_trial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "exports.md"
CALIBRATION_ROWS, TEST_ROWS, AUDIT_SAMPLES = 400, 200, 4
HEADER = """\
# Models as libraries export them

Made by `python scripts/export_table.py --write` on two cores, from models trained on a made-up set of credit data
(incomes, ages, balances, delays, a category and a flag), whose columns are in units of their own. *Error* is what 99 %
of {rows} fresh samples stay within in the encrypted test, by the outputs' range, against the exported file run by
onnxruntime; *classes* is the share of samples whose class is the same. *Encrypted* is the whole test of these samples:
keys, encryption, evaluation, decryption, while the machine had other work, too; an idle one takes less. *Proof* is one
of {audit} samples: "≈" is the forecast for two idle cores, by the circuit's size, within a factor of two.

| model | exporter | prepared | error | classes | encrypted | proof |
|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Export:
    """One row: a model kind, who exported it, how to make the file, and the bins that it was trained on, if any."""

    name: str
    exporter: str
    make: Callable[[], bytes]
    grid: Grid | None = None


def credit_data() -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]:
    """Return columns [n, 6] in units of their own, classes, and values."""
    rng = np.random.default_rng(0)
    n = CALIBRATION_ROWS + TEST_ROWS
    x = np.c_[rng.lognormal(10, 0.6, n), rng.integers(18, 80, n), rng.lognormal(8, 1, n), rng.exponential(5, n)]
    code = rng.integers(0, 4, n)
    score = (x - x.mean(0)) / x.std(0) @ [1.0, -0.5, 0.7, -1.2] + np.array([0.5, -0.5, 1, 0])[code]
    columns = np.c_[x, code, rng.integers(0, 2, n)].astype(np.float32)
    return columns, (score + rng.normal(size=n) * 0.3 > 0).astype(np.int64), 1e4 * score


X, Y, VALUES = credit_data()
Y3 = np.digitize(VALUES, [-7e3, 7e3])
COUNTS = np.random.default_rng(1).poisson(np.exp(VALUES / 2e4))
GRID = make_grid(X[:CALIBRATION_ROWS].astype(np.float64), 32)
SNAPPED = GRID.snap(X.astype(np.float64)).astype(np.float32)


def sklearn_exports() -> Iterator[Export]:
    """Models of scikit-learn, by skl2onnx."""
    from skl2onnx import to_onnx
    from sklearn import compose, decomposition, ensemble, linear_model, neural_network, pipeline, preprocessing, svm

    def row(name: str, model: Any, y: NDArray[Any], *, scaled: bool = True) -> Export:
        def make() -> bytes:
            made = pipeline.make_pipeline(preprocessing.StandardScaler(), model) if scaled else model
            # Without options of its own the last step of a pipeline gets `zipmap`, which not every classifier has.
            return bytes(to_onnx(made.fit(X, y), X[:1], options={id(model): {}}).SerializeToString())

        return Export(name, "skl2onnx", make)

    numbers, codes = [0, 1, 2, 3], [4, 5]
    encoded = compose.ColumnTransformer(
        [("n", preprocessing.StandardScaler(), numbers), ("c", preprocessing.OneHotEncoder(), codes)]
    )
    yield row("logistic regression", linear_model.LogisticRegression(), Y)
    yield row("logistic regression, unscaled", linear_model.LogisticRegression(max_iter=5000), Y, scaled=False)
    yield row(
        "logistic regression, one-hot",
        pipeline.make_pipeline(encoded, linear_model.LogisticRegression()),
        Y,
        scaled=False,
    )
    yield row("logistic regression, 3 classes", linear_model.LogisticRegression(), Y3)
    yield row("ridge", linear_model.Ridge(), VALUES)
    yield row(
        "ridge, one-hot and polynomial features",
        pipeline.make_pipeline(encoded, preprocessing.PolynomialFeatures(2), linear_model.Ridge()),
        VALUES,
        scaled=False,
    )
    yield row("Poisson regression", linear_model.PoissonRegressor(), COUNTS)
    yield row("gamma regression", linear_model.GammaRegressor(), COUNTS + 1)
    yield row("LinearSVC", svm.LinearSVC(), Y)
    yield row("LinearSVC, 3 classes", svm.LinearSVC(), Y3)
    yield row("SVC, linear kernel", svm.SVC(kernel="linear"), Y)
    yield row("SVC, linear kernel, 3 classes", svm.SVC(kernel="linear"), Y3)
    yield row(
        "SVC, linear kernel, 3 classes, probabilities", svm.SVC(kernel="linear", probability=True, random_state=0), Y3
    )
    yield row("NuSVC, linear kernel, 3 classes", svm.NuSVC(kernel="linear", nu=0.2), Y3)
    yield row("SVR, linear kernel", svm.SVR(kernel="linear"), VALUES / 1e4)
    yield row("SVC, RBF kernel", svm.SVC(), Y)
    yield row(
        "PCA and logistic regression",
        pipeline.make_pipeline(decomposition.PCA(3), linear_model.LogisticRegression()),
        Y,
    )
    yield row("MLP 16 logistic", neural_network.MLPClassifier((16,), "logistic", max_iter=500, random_state=0), Y)
    yield row("MLP 16 ReLU", neural_network.MLPClassifier((16,), max_iter=500, random_state=0), Y)
    yield row(
        "MLP 8 tanh, regression",
        neural_network.MLPRegressor(hidden_layer_sizes=(8,), activation="tanh", max_iter=300, random_state=0),
        VALUES / 1e4,
    )
    yield row(
        "polynomial features and ridge",
        pipeline.make_pipeline(preprocessing.PolynomialFeatures(2), linear_model.Ridge()),
        VALUES,
    )
    yield row(
        "random forest, 20 of depth 4",
        ensemble.RandomForestClassifier(20, max_depth=4, random_state=0),
        Y,
        scaled=False,
    )
    yield row("gradient boosting, 20 of depth 3", ensemble.GradientBoostingClassifier(n_estimators=20), Y, scaled=False)


def binned_exports() -> Iterator[Export]:
    """Ensembles of scikit-learn that were trained on bins."""
    from skl2onnx import to_onnx
    from sklearn import ensemble

    for name, model in (
        ("random forest, 20 of depth 4, on bins", ensemble.RandomForestClassifier(20, max_depth=4, random_state=0)),
        ("gradient boosting, 20 of depth 3, on bins", ensemble.GradientBoostingClassifier(n_estimators=20)),
    ):

        def binned(model: Any = model) -> bytes:
            return bytes(to_onnx(model.fit(SNAPPED, Y), SNAPPED[:1]).SerializeToString())

        yield Export(name, "skl2onnx", binned, GRID)


def boosted_exports() -> Iterator[Export]:
    """Models of XGBoost and LightGBM, by onnxmltools."""
    import lightgbm
    import onnxmltools
    import xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    kinds = [("input", FloatTensorType([None, X.shape[1]]))]

    def boosted(data: NDArray[np.float32] = X) -> bytes:
        model = xgboost.XGBClassifier(n_estimators=20, max_depth=3).fit(data, Y)
        return bytes(onnxmltools.convert_xgboost(model, initial_types=kinds).SerializeToString())

    def light(data: NDArray[np.float32] = X) -> bytes:
        model = lightgbm.LGBMClassifier(n_estimators=20, max_depth=3, verbose=-1).fit(data, Y)
        made = onnxmltools.convert_lightgbm(model, initial_types=kinds, target_opset=15)
        return bytes(made.SerializeToString())

    yield Export("XGBoost, 20 of depth 3", "onnxmltools", boosted)
    yield Export("LightGBM, 20 of depth 3", "onnxmltools", light)
    yield Export("XGBoost, 20 of depth 3, on bins", "onnxmltools", lambda: boosted(SNAPPED), GRID)
    yield Export("LightGBM, 20 of depth 3, on bins", "onnxmltools", lambda: light(SNAPPED), GRID)
    yield Export("XGBoost, 20 of depth 3, standardised bins", "skl2onnx, onnxmltools", _standardised_boosting, GRID)


def _standardised_boosting() -> bytes:
    """Return XGBoost behind a scaler, trained on bins."""
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
    from skl2onnx import to_onnx, update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
    from sklearn import pipeline, preprocessing
    from xgboost import XGBClassifier

    options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    shapes = calculate_linear_classifier_output_shapes
    update_registered_converter(XGBClassifier, "XGBoostXGBClassifier", shapes, convert_xgboost, options=options)
    model = pipeline.make_pipeline(preprocessing.StandardScaler(), XGBClassifier(n_estimators=20, max_depth=3))
    made = to_onnx(model.fit(SNAPPED, Y), SNAPPED[:1], target_opset={"": 15, "ai.onnx.ml": 3})
    return bytes(made.SerializeToString())


def torch_modules() -> dict[str, Callable[[], Any]]:
    """Return networks of PyTorch: name, and how to make one."""
    import torch
    from torch import nn

    def standardise() -> nn.Module:
        layer = nn.BatchNorm1d(X.shape[1], affine=False)
        layer.running_mean, layer.running_var = torch.tensor(X.mean(0)), torch.tensor(X.var(0))
        return layer

    class Square(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * x

    def mlp(activation: nn.Module) -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(standardise(), nn.Linear(6, 16), activation, nn.Linear(16, 1), nn.Sigmoid())

    class Embedded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.scale, self.last = nn.Embedding(4, 3), standardise(), nn.Linear(9, 2)

        def forward(self, x: Any) -> Any:
            return self.last(torch.cat([self.scale(x), self.table(x[:, 4].long())], dim=1))

    class TwoHeads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.a, self.b = standardise(), nn.Linear(6, 2), nn.Linear(6, 1)

        def forward(self, x: Any) -> Any:
            return self.a(self.scale(x)), self.b(self.scale(x))

    return {
        "MLP 16 squares": lambda: mlp(Square()),
        "MLP 16 ReLU": lambda: mlp(nn.ReLU()),
        "MLP 16 GELU": lambda: mlp(nn.GELU()),
        "embedding and linear": Embedded,
        "two heads": TwoHeads,
        "LayerNorm": lambda: nn.Sequential(standardise(), nn.LayerNorm(6), nn.Linear(6, 1)),
    }


def torch_exports() -> Iterator[Export]:
    """Networks of PyTorch, by both of its exporters."""
    import torch

    for name, maker in torch_modules().items():
        for dynamo in (False, True):

            def make(maker: Callable[[], Any] = maker, dynamo: bool = dynamo) -> bytes:
                module = maker().eval()
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder) / "m.onnx"
                    axes = (
                        {"dynamic_axes": {"x": {0: "n"}}}
                        if not dynamo
                        else {"dynamic_shapes": ({0: "n"},), "external_data": False}
                    )
                    torch.onnx.export(
                        module,
                        (torch.tensor(X[:3]),),
                        str(path),
                        input_names=["x"],
                        dynamo=dynamo,
                        verbose=False,
                        **axes,
                    )
                    return path.read_bytes()

            yield Export(name, "PyTorch, dynamo" if dynamo else "PyTorch, TorchScript", make)


def keras_exports() -> Iterator[Export]:
    """Networks of Keras 3, by its own exporter, computed by PyTorch."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    def network(activation: str, last: str) -> Any:
        keras.utils.set_random_seed(0)
        scale = keras.layers.Normalization()
        scale.adapt(X)
        classes = 3 if last == "softmax" else 1
        hidden = keras.layers.Dense(16, activation), keras.layers.BatchNormalization()
        model = keras.Sequential([keras.Input((X.shape[1],)), scale, *hidden, keras.layers.Dense(classes, last)])
        model.compile("adam", "sparse_categorical_crossentropy" if classes > 1 else "binary_crossentropy")
        model.fit(X, Y3 if classes > 1 else Y, epochs=20, verbose=0)
        return model

    for name, activation, last in (
        ("MLP 16 ReLU, normalised", "relu", "sigmoid"),
        ("MLP 16 tanh, 3 classes", "tanh", "softmax"),
    ):

        def make(activation: str = activation, last: str = last) -> bytes:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "m.onnx"
                network(activation, last).export(path, format="onnx", verbose=False)
                return path.read_bytes()

        yield Export(name, "Keras 3", make)


SOURCES: dict[str, tuple[tuple[str, ...], Callable[[], Iterator[Export]]]] = {
    "sklearn": (("sklearn", "skl2onnx"), sklearn_exports),
    "bins": (("sklearn", "skl2onnx"), binned_exports),
    "boosted": (("xgboost", "lightgbm", "onnxmltools"), boosted_exports),
    "torch": (("torch", "onnxscript"), torch_exports),
    "keras": (("keras", "torch", "onnxscript"), keras_exports),
}


def measure(export: Export, *, prove: bool) -> str:
    """Return the table's row: figures, or the first sentence of what stands in the way."""
    start = f"| {export.name} | {export.exporter} |"
    try:
        data = export.make()
    except Exception as error:  # the exporters' errors have no common root
        return f"{start} the exporter fails: {first_sentence(error)} | | | | |"
    try:
        return f"{start} {' | '.join(figures(data, export, prove=prove))} |"
    except TraderError as refusal:
        return f"{start} {first_sentence(refusal)} | | | | |"


def figures(data: bytes, export: Export, *, prove: bool) -> tuple[str, str, str, str, str]:
    """Return whether the model is prepared, and what the encrypted test of fresh samples gives."""
    file = parse_onnx(data, export.name)
    lowered = lower_model(file)
    features = as_features(lowered.columns) if export.grid is None else SNAPPED.astype(np.float64)
    known, fresh = features[:CALIBRATION_ROWS], features[CALIBRATION_ROWS:]
    lowered = fit_grid(lowered, known, export.grid) if lowered.graph.has_trees else fit_units(lowered, known)
    canonical = canonicalise(lowered)
    planning = planning_data(canonical, lowered.input_exponents, known, lowered.grid)
    calibration = Comparison(lowered, canonical, None, known, run_original(file, known, lowered.columns))
    plan: HePlan = plan_encryption(planning.problem(canonical, keeps=calibration.keeps))
    calibration = replace(calibration, plan=plan)
    calibration.check(calibration.measure())
    scale_bits, magnitude = canonical.scale_bits, planning.input_magnitude
    exponents = lowered.input_exponents
    inputs = quantise_inputs(fresh, canonical.graph, scale_bits, exponents, magnitude, grid=lowered.grid)
    trial = run_trial(plan, canonical, inputs)
    comparison = Comparison(lowered, canonical, plan, fresh, run_original(file, fresh, lowered.columns))
    # What was decrypted, noise included, against the file.
    agreement = comparison.agreement(trial.outputs)
    said = "yes" if is_faithful(agreement) else "**yes, but fresh samples lose**"
    kept = "" if agreement.classes_kept is None else f"{agreement.classes_kept:.1%}"
    proof = f"{proof_seconds(canonical, inputs, lowered.grid):.0f} s" if prove else forecast(canonical, lowered.grid)
    return said, f"{agreement.relative_error_99:.2g}", kept, f"{sum(trial.seconds.values()):.1f} s", proof


def as_features(columns: tuple[Column, ...]) -> NDArray[np.float64]:
    """Return the features of all rows."""
    return expand_columns(columns, list(X.T)) if columns else X.astype(np.float64)


def proof_seconds(canonical: Any, inputs: NDArray[np.int64], grid: Grid | None) -> float:
    """Return the seconds of one proof of a few samples, verified off the chain and by the contract."""
    import onnx

    from trader.model import architecture_bytes
    from zk import build_audit_circuit, development_srs

    architecture = onnx.load_from_string(architecture_bytes(canonical.graph))
    circuit = build_audit_circuit(
        architecture,
        audit_samples=AUDIT_SAMPLES,
        scale_bits=canonical.scale_bits,
        srs=development_srs,
        activation_magnitude=ACTIVATION_MAGNITUDE if grid is None else grid.decision_magnitude,
    )
    srs = development_srs(circuit.logrows)
    begin = time.perf_counter()
    prove_and_verify(circuit, srs, canonical, inputs[:AUDIT_SAMPLES])
    return time.perf_counter() - begin


def forecast(canonical: Any, grid: Grid | None) -> str:
    """Return what a proof takes on two idle cores by the size of its circuit, which is planned and not built."""
    import onnx

    from trader.model import architecture_bytes
    from zk.circuits.architecture import read_shapes
    from zk.circuits.planner import count_cells, plan_circuit
    from zk.proofs.cost import PROVER_CORE_SECONDS_PER_CELL

    architecture = onnx.load_from_string(architecture_bytes(canonical.graph))
    _, settings = plan_circuit(
        architecture,
        read_shapes(architecture),
        audit_samples=AUDIT_SAMPLES,
        scale_bits=canonical.scale_bits,
        activation_magnitude=ACTIVATION_MAGNITUDE if grid is None else grid.decision_magnitude,
    )
    cells = count_cells(settings, settings.run_arguments.logrows)
    return f"≈ {max(PROVER_CORE_SECONDS_PER_CELL * cells / 2, 0.1):.1f} s"


def first_sentence(error: Exception) -> str:
    """Return the first sentence of a message, for a cell of a table."""
    text = " ".join(str(error).split()).replace("|", "\\|")
    return text.split(". ")[0].rstrip(".")[:240]


def main() -> None:
    """Print the table, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=SOURCES, action="append", help="these sources alone")
    parser.add_argument("--prove", action="store_true", help="time a proof of each model, too; takes long")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    rows, missing = [], []
    compile_kernels(lambda *_: None)  # not a part of any test's time
    for name in arguments.only or SOURCES:
        libraries, exports = SOURCES[name]
        absent = [library for library in libraries if importlib.util.find_spec(library) is None]
        if absent:
            missing.append(f"{name} ({', '.join(absent)} not installed)")
            continue
        for export in exports():
            rows.append(measure(export, prove=arguments.prove))
            print(rows[-1], file=sys.stderr)
    page = page_of(rows, missing)
    if arguments.write:
        PAGE.write_text(page)
    else:
        print(page)


def page_of(rows: list[str], missing: list[str]) -> str:
    """Return the page: what it shows, the table, and which libraries were left out."""
    page = HEADER.format(rows=TEST_ROWS, audit=AUDIT_SAMPLES) + "\n".join(rows) + "\n"
    return page + (f"\nLeft out: {'; '.join(missing)}.\n" if missing else "")


if __name__ == "__main__":
    main()
