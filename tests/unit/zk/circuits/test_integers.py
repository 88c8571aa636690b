"""The evaluation in Python: exact, and bounded by what is claimed of any inputs and parameters."""

import numpy as np
import pytest

import zk
from tests.simulators.dense_model import SCALE_BITS, dense_architecture
from tests.unit.zk.circuits.test_operators import MODELS
from zk.circuits.audit_graph import audit_graph
from zk.circuits.bounds import MAX_DECOMPOSED_BITS, magnitudes, stays_below_half
from zk.circuits.integers import INTEGERS
from zk.errors import UnsupportedArchitectureError
from zk.field import MODULUS, to_field
from zk.proofs.layer_results import layer_results

LIMIT = (1 << 24) - 1


@pytest.mark.parametrize("left_bits", [1, 20, 45, 60, 110, 200])
@pytest.mark.parametrize("right_bits", [1, 24, 46, 60, 100])
def test_products_of_matrices_lose_no_digit(left_bits, right_bits):
    """In limbs where float64 has room, as Python integers where it hasn't; at the largest magnitudes."""
    rng = np.random.default_rng(left_bits * right_bits)

    def draw(shape, bits):
        signs = rng.choice([-1, 1], size=shape).astype(object)
        return signs * ((1 << bits) - 1 - rng.integers(0, 2, size=shape).astype(object))

    a, b = draw((5, 17), left_bits), draw((17, 3), right_bits)
    expected = [[sum(x * y for x, y in zip(row, column, strict=True)) for column in b.T] for row in a]
    product = INTEGERS.matmul(a, b)
    assert product.tolist() == expected
    assert all(type(value) is int for value in product.ravel())


def test_products_of_nothing_and_of_zeros():
    zeros = np.zeros((2, 3), dtype=object)
    assert INTEGERS.matmul(zeros, zeros.T).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", ["random", "largest"])
def test_no_value_exceeds_its_bound(name, kind):
    """Every bound is met by values of the largest magnitude or above them; it is no bound that is always true."""
    graph = audit_graph(MODELS[name], audit_samples=2, scale_bits=4, salt_elements=27, capacity=250)
    bounds = magnitudes(graph.integers, 2.0**126)
    rng = np.random.default_rng(1)
    circuit = zk.build_audit_circuit(MODELS[name], audit_samples=2, scale_bits=4, srs=zk.development_srs)

    def draw(count):
        values = np.full(count, LIMIT) if kind == "largest" else rng.integers(-LIMIT, LIMIT, size=count)
        return [to_field(int(value)) for value in values]

    results = layer_results(circuit, [draw(n) for n in (circuit.input_elements, *circuit.parameter_lengths)])
    found = np.abs(np.array(results.outputs, dtype=object)).reshape(bounds["output"].shape)
    assert np.all(found <= bounds["output"] * (1 + 2**-20))
    if kind == "largest" and "relu" not in name:
        assert np.all(found * 8 >= bounds["output"])


def test_a_network_fits_up_to_half_of_the_modulus():
    """One square and then layers: some 25 bits more each, until the field is full."""
    outcomes = []
    for depth in range(1, 9):
        architecture = _linear_after_a_square((2, 2, *[2] * depth))
        graph = audit_graph(architecture, audit_samples=1, scale_bits=SCALE_BITS, salt_elements=27, capacity=250)
        bounds = magnitudes(graph.integers, 2.0**MAX_DECOMPOSED_BITS)
        largest = int(max(bound.max() for bound in bounds.values() if bound.dtype.kind == "f"))
        outcomes.append(stays_below_half(bounds))
        assert outcomes[-1] == (largest < MODULUS // 2)
        assert bool(graph.checked) == (not outcomes[-1])
    assert outcomes == sorted(outcomes, reverse=True)
    assert set(outcomes) == {True, False}


def _linear_after_a_square(widths):
    """Squares behind the first layer alone; behind the others, nothing."""
    architecture = dense_architecture(*widths)
    squares = [node for node in architecture.graph.node if node.op_type == "Mul"]
    for node in squares[1:]:
        node.op_type = "Identity"
        del node.input[1:]
    return architecture


def test_what_would_wrap_around_is_refused_by_the_seller_and_by_the_buyer(monkeypatch):
    """A seller that leaves the check out of its own program meets it in the buyer's rebuild."""
    architecture = dense_architecture(2, 2, 2, 2, 1)
    with pytest.raises(UnsupportedArchitectureError, match="exceed the field's modulus"):
        zk.build_audit_circuit(architecture, audit_samples=1, scale_bits=13, srs=zk.development_srs)
    with monkeypatch.context() as cheating:
        cheating.setattr("zk.circuits.planner.stays_below_half", lambda _bounds: True)
        circuit = zk.build_audit_circuit(architecture, audit_samples=1, scale_bits=13, srs=zk.development_srs)
    with pytest.raises(UnsupportedArchitectureError, match="exceed the field's modulus"):
        zk.rebuild_audit_circuit(
            architecture,
            circuit.settings,
            audit_samples=1,
            scale_bits=13,
            srs=zk.development_srs(circuit.logrows),
            expected_digest=circuit.digest,
        )
