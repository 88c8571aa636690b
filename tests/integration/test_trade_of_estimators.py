"""What scikit-learn exports in several steps is tested encrypted, proven, bought and run as the file it was."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from skl2onnx import to_onnx
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from tests.simulators.trading import Trading, make_package
from trader.chain import Chain
from trader.demo.training import DemoModel
from trader.model import Linear, evaluate_exact, output_scale_bits, quantise_inputs
from trader.trade import State


def exported(trained: DemoModel) -> DemoModel:
    """A projection and a machine of three classes, both linear, as a file."""
    training, test = (samples[:, :6] for samples in (trained.training_samples, trained.test_samples))
    scores = training[:, :2].sum(axis=1)
    labels = np.digitize(scores, np.quantile(scores, [0.3, 0.6]))
    fitted = make_pipeline(PCA(3), SVC(kernel="linear")).fit(training, labels)
    file = to_onnx(fitted, training[:1].astype(np.float32), options={"zipmap": False})
    return DemoModel("estimator", file.SerializeToString(), test, fitted.predict(test), training, 0.0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Attribute .prob._. was deprecated:FutureWarning")
def test_the_delivered_file_is_the_one_that_was_tested(chain: Chain, trained_model: DemoModel, tmp_path: Path) -> None:
    """Layers in a row became one, and the buyer counts the votes of pairs of classes."""
    model = exported(trained_model)
    (tmp_path / "made").mkdir()
    package = make_package(model, tmp_path / "made")
    graph = package.canonical.graph
    assert [type(node) for node in graph.nodes] == [Linear]
    trading = Trading(chain, package, model, tmp_path / "table")
    assert trading.play() is State.SETTLED
    assert trading.refusals == []

    # Tested: the committed integers' answers, but for noise.
    inputs = quantise_inputs(model.test_samples, graph, package.canonical.scale_bits, package.manifest.input.exponents)
    exact = evaluate_exact(package.canonical, inputs) / 2 ** output_scale_bits(graph, package.canonical.scale_bits)
    tested = trading.buyer.read_test().outputs
    assert tested.shape == (len(inputs), 3)
    np.testing.assert_allclose(tested, exact.astype(float), atol=1e-3)

    # Delivered: every output of the original file, under its name.
    delivered = trading.buyer.delivered_onnx()
    assert delivered == package.plain_model
    original, bought = (onnxruntime.InferenceSession(data) for data in (model.onnx_bytes, delivered))
    names = [output.name for output in original.get_outputs()]
    assert [output.name for output in bought.get_outputs()] == names
    (source,) = original.get_inputs()
    feeds = {source.name: model.test_samples.astype(np.float32)}
    labels, scores = original.run(names, feeds)
    bought_labels, bought_scores = bought.run(names, feeds)
    assert np.mean(labels == bought_labels) >= 0.98
    np.testing.assert_allclose(bought_scores, scores, atol=2e-2 * np.abs(scores).max())
    trading.close()
