"""Einsum with constants is a linear layer."""

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.trader.model.lowering.test_operators import Model, check, floats, kinds
from trader.model import UnsupportedOperatorError, lower_model


@st.composite
def contractions(draw):
    """An equation of samples `n…` and a constant: positions, groups, summed letters and outputs, in any order."""
    positions, groups, outputs = (letters[: draw(st.integers(0, 2))] for letters in ("ab", "cd", "ef"))
    summed = "gh"[: draw(st.integers(1, 2))]
    sample = draw(st.permutations(positions + groups + summed))
    matrix = draw(st.permutations(groups + summed + outputs))
    result = draw(st.permutations(positions + groups + outputs))
    sizes = {letter: draw(st.integers(1, 3)) for letter in {*sample, *matrix}}
    return ["n" + "".join(sample), "".join(matrix), "n" + "".join(result)], sizes, draw(st.booleans())


@given(contractions())
@settings(max_examples=15)
def test_any_contraction_with_a_constant(tmp_path_factory, drawn):
    (sample, matrix, result), sizes, constant_first = drawn
    model = Model(*(sizes[x] for x in sample[1:]))
    weights = model.constant(floats(*(sizes[x] for x in matrix)))
    operands, terms = ([weights, "x"], [matrix, sample]) if constant_first else (["x", weights], [sample, matrix])
    model.add("Einsum", *operands, equation=f"{','.join(terms)}->{result}").add("Flatten")
    assert "Linear" in kinds(check(model, tmp_path_factory.mktemp("einsum") / "m.onnx"))


@pytest.mark.parametrize("equation", ["...f,of->...o", "n...f,of->n...o"])
def test_ellipsis(tmp_path, equation):
    check(Model(3, 4).add("Einsum", floats(2, 4), equation=equation).add("Flatten"), tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("equation", "reason"),
    [
        ("nf,no->nfo", "mixes samples"),
        ("nf,fo->on", "mixes samples"),
        ("nf,fo->n", "sums over what only one"),
        ("nf,fo", "its equation is"),
    ],
)
def test_what_is_refused_says_why(tmp_path, equation, reason):
    model = Model(4).add("Einsum", floats(4, 2), equation=equation)
    model.write(tmp_path / "m.onnx")
    with pytest.raises(UnsupportedOperatorError, match=reason):
        lower_model(onnx.load(tmp_path / "m.onnx"))


def test_two_values_of_the_model_are_refused(tmp_path):
    model = Model(4).add("Einsum", "x", "x", equation="nf,nf->n")
    with pytest.raises(UnsupportedOperatorError, match="values of the model with each other"):
        lower_model(onnx.load(model.write(tmp_path / "m.onnx")))
