"""Operators that change the size of an image or a series, against onnxruntime."""

import numpy as np
import onnx
import pytest

from tests.unit.trader.model.lowering.test_operators import Model, check, floats, kinds
from trader.model import UnsupportedOperatorError, lower_model


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [2, 2]},
        {"strides": [2, 3], "pads": [1, 0, 1, 2]},
        {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
        {"strides": [3, 1], "output_padding": [2, 0]},
        {"strides": [3, 4]},
        {"strides": [2, 2], "dilations": [2, 3]},
        {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"strides": [2, 2], "auto_pad": "SAME_LOWER"},
        {"strides": [2, 2], "auto_pad": "VALID"},
        {"strides": [2, 2], "output_shape": [6, 7]},
        {"group": 2, "strides": [2, 1]},
    ],
    ids=str,
)
def test_transposed_convolution(tmp_path, attributes):
    kernel = floats(4, 3 // attributes.get("group", 1) + 1, 3, 2)
    bias = floats(kernel.shape[1] * attributes.get("group", 1))
    model = Model(4, 3, 4).add("ConvTranspose", kernel, bias, **attributes)
    assert kinds(check(model, tmp_path / "m.onnx")) == ["Rearrange", "Linear", "Rearrange"]


def test_transposed_convolution_of_a_series(tmp_path):
    check(Model(2, 6).add("ConvTranspose", floats(2, 3, 4), strides=[2], pads=[1, 1]), tmp_path / "m.onnx")


def test_steps_that_do_not_overlap_multiply_nothing_twice(tmp_path):
    """A U-Net's way up: as many weights as the kernel has, used once for each pixel."""
    lowered = check(Model(4, 3, 3).add("ConvTranspose", floats(4, 2, 2, 2), strides=[2, 2]), tmp_path / "m.onnx")
    (spec,) = lowered.graph.parameters
    assert (spec.inputs, spec.outputs) == (4, 2 * 4)


def test_autoencoder(tmp_path):
    model = Model(1, 6, 6).conv(1, 3, (3, 3), strides=[2, 2], pads=[1] * 4).add("Relu")
    model.add("ConvTranspose", floats(3, 1, 3, 3), floats(1), strides=[2, 2], pads=[1] * 4, output_padding=[1, 1])
    assert kinds(check(model.add("Sigmoid"), tmp_path / "m.onnx")).count("Linear") == 2


def resized(coordinates, scales=None, sizes=None, opset=19, **attributes):
    """A convolution, resized."""
    model = Model(2, 4, 5, opset=opset).conv(2, 2, (1, 1))
    scaled = "" if scales is None else model.constant(np.array([1, 1, *scales], np.float32))
    inputs = [model.y, "", scaled, *([] if sizes is None else [model.constant(np.array(sizes))])]
    return model.add("Resize", *inputs, coordinate_transformation_mode=coordinates, **attributes)


COORDINATES = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("rounding", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
def test_nearest_elements_are_repeated(tmp_path, coordinates, rounding):
    for scales in ((2, 3), (2.5, 0.6)):
        lowered = check(resized(coordinates, scales, nearest_mode=rounding), tmp_path / "m.onnx")
        assert kinds(lowered) == ["Rearrange", "Linear", "Rearrange"]


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("scales", [(2, 2), (1, 4), (0.5, 0.6), (0.25, 1)])
def test_interpolation(tmp_path, coordinates, scales):
    check(resized(coordinates, scales, mode="linear"), tmp_path / "m.onnx")


def test_interpolation_has_no_parameters(tmp_path):
    model = resized("half_pixel", scales=(2, 2), mode="linear").conv(2, 3, (3, 3))
    lowered = check(model, tmp_path / "m.onnx")
    assert lowered.graph.parameter_count == 3 * 2 + 19 * 3
    assert kinds(lowered).count("Linear") == 2


def test_sizes_of_some_axes(tmp_path):
    check(resized("asymmetric", sizes=(8, 10), axes=[2, -1]), tmp_path / "m.onnx")


def test_first_forms_of_resize_and_upsample(tmp_path):
    scales = np.array([1, 1, 2, 3], np.float32)
    for operator, opset, mode in (("Resize", 10, "nearest"), ("Upsample", 9, "nearest"), ("Upsample", 9, "linear")):
        model = Model(2, 4, 5, opset=opset).conv(2, 2, (1, 1)).add(operator, scales, mode=mode)
        check(model, tmp_path / "m.onnx")
    model = Model(2, 4, 5, opset=7).conv(2, 2, (1, 1)).add("Upsample", scales=[1.0, 1.0, 2.0, 3.0])
    check(model, tmp_path / "m.onnx")


def test_upsampling_by_the_shape_of_a_value(tmp_path):
    """What PyTorch writes where it is given a size: the samples' number is of the shape."""
    model = Model(2, 3, 3, opset=13).conv(2, 2, (1, 1))
    image = model.y
    model.add("Shape").add("Slice", np.array([0]), np.array([2]), np.array([0]))
    model.add("Concat", model.y, model.constant(np.array([6, 6])), axis=0)
    model.add("Resize", image, "", "", model.y, coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    check(model, tmp_path / "m.onnx")


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space(tmp_path, mode):
    model = Model(2, 3, 4).conv(2, 8, (1, 1)).add("DepthToSpace", blocksize=2, mode=mode)
    assert kinds(check(model, tmp_path / "m.onnx")) == ["Rearrange", "Linear", "Rearrange"]


def test_space_to_depth(tmp_path):
    model = Model(2, 4, 6).add("SpaceToDepth", blocksize=2).conv(8, 3, (1, 1))
    assert kinds(check(model, tmp_path / "m.onnx")).count("Linear") == 1


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (resized("half_pixel", (2, 2), mode="cubic"), "its mode is cubic.*nearest or linear"),
        (resized("tf_crop_and_resize", (2, 2)), "coordinates are tf_crop_and_resize"),
        (resized("half_pixel", (2, 2), mode="linear", antialias=1), "without antialiasing"),
        (resized("align_corners", (1, 20), mode="linear"), "weights that are not multiples of 1/64"),
        (resized("half_pixel", sizes=(2, 2, 4, 5)), "number of samples"),
        (resized("half_pixel", sizes=(4, 6), axes=[2, 3], keep_aspect_ratio_policy="not_larger"), "ratio of the axes"),
        (Model(3, 4, 4).add("ConvTranspose", floats(2, 2, 2, 2)), "kernel of shape .* meets"),
    ],
)
def test_what_is_refused_says_why(tmp_path, model, reason):
    with pytest.raises(UnsupportedOperatorError, match=reason):
        lower_model(onnx.load(model.write(tmp_path / "m.onnx")))
