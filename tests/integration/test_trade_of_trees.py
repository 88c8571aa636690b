"""An ensemble of trees is tested encrypted, proven, bought and run: every answer is the same integer."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper
from skl2onnx import to_onnx
from sklearn.ensemble import GradientBoostingClassifier

from tests.simulators.trading import Trading, make_package
from trader.chain import Chain
from trader.demo.training import DemoModel
from trader.model import evaluate_exact, make_grid
from trader.trade import State

BINS = 8


def trained_on_bins(trained: DemoModel) -> DemoModel:
    """Three small trees of two columns, trained on snapped data."""
    columns = [20, 27]
    training, test = trained.training_samples[:, columns], trained.test_samples[:, columns]
    grid = make_grid(training, BINS)
    training, test = grid.snap(training), grid.snap(test)
    labels = (training.sum(axis=1) > 0).astype(np.int64)
    model = GradientBoostingClassifier(n_estimators=3, max_depth=2, random_state=0).fit(training, labels)
    file = to_onnx(model, training[:1].astype(np.float32), options={"zipmap": False})
    return DemoModel("trees", file.SerializeToString(), test, trained.test_labels, training, 0.0)


@pytest.mark.slow
def test_what_is_tested_is_what_is_proven_is_what_is_delivered(
    chain: Chain, trained_model: DemoModel, tmp_path: Path
) -> None:
    model = trained_on_bins(trained_model)
    (tmp_path / "made").mkdir()
    package = make_package(model, tmp_path / "made")
    trading = Trading(chain, package, model, tmp_path / "table")
    assert trading.play() is State.SETTLED
    assert trading.refusals == []
    grid = package.manifest.input.grid
    assert grid is not None
    expected = evaluate_exact(package.canonical, grid.bins(model.test_samples)).astype(float)
    np.testing.assert_array_equal(trading.buyer.read_test().outputs, expected)
    delivered = trading.buyer.delivered_onnx()
    assert delivered == package.plain_model
    file = onnx.load_model_from_string(delivered)
    file.graph.output.append(helper.make_empty_tensor_value_info("raw"))
    session = onnxruntime.InferenceSession(file.SerializeToString())
    (source,) = session.get_inputs()
    (raw,) = session.run(["raw"], {source.name: model.test_samples.astype(np.float32)})
    np.testing.assert_array_equal(raw, expected)
    trading.close()
