"""Encrypted tests of models as PyTorch and Keras export them, against onnxruntime on the original files."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tests.integration.test_he_models import CALIBRATION, SAMPLES, check_outputs, encrypted
from trader.model import read_model

FOLDER = Path(__file__).parents[1] / "vectors" / "exports"

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "name", ["torch-columns", "torch-ensemble", "torch-gelu-tanh", "torch-softplus", "keras-steps"]
)
def test_encrypted_outputs_agree_with_onnxruntime(name):
    path = FOLDER / f"{name}.onnx"
    random = np.random.default_rng(1)
    shape = read_model(path).sample_shape
    calibration, samples = (random.normal(size=(n, *shape)).clip(-3, 3) for n in (CALIBRATION, SAMPLES))
    session = onnxruntime.InferenceSession(path)
    expected = session.run(None, {session.get_inputs()[0].name: samples.astype(np.float32)})[0]
    for outputs, exact, plan in encrypted(path, calibration, samples):
        check_outputs(outputs, exact, expected, plan)
        ordered = np.sort(expected, axis=1)
        assert (ordered[:, -1] - ordered[:, -2] > plan.expected_error).any()
