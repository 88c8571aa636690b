"""What published proofs say about a model: one equation each, and what too little salt then costs.

ezkl's commitments are not blinded, so a proof tells the value of every committed column's polynomial at the challenge
that its transcript gives. The attacker here reads nothing but proofs, instances and the verifying key artifact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from eth_utils.crypto import keccak

import zk
from tests.simulators.dense_model import CONTEXT, SCALE_BITS, dense_architecture, random_inputs, random_parameters
from tests.simulators.lattice import reduce_lattice
from tests.simulators.trading import FEE, Trading
from trader.model import (
    Graph,
    Linear,
    LinearParameters,
    LoweredModel,
    ParameterSpec,
    PostProcessing,
    canonicalise,
)
from trader.trade import Role, State
from zk.binding.sums import root_of_unity
from zk.circuits.audit import BLINDING_ROWS
from zk.field import MODULUS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from trader.chain import Chain

WIDTHS = (2, 1)
WEIGHTS = WIDTHS[0] + 1
PROOFS = 2
TRANSCRIPT_START, PHASES = 0, 33
"""Words of the verifying key artifact: what the transcript begins with, and bytes and challenges of each phase."""


def challenge_of(circuit: zk.AuditCircuit, proof: zk.Proof) -> tuple[int, int]:
    """The point at which a proof opens its polynomials, from its transcript; and where its evaluations begin."""
    vka = circuit.vka
    words = vka[PHASES : PHASES + vka[PHASES][-1]]
    phases = [int.from_bytes(words[0], "big") >> 8, *(int.from_bytes(word, "big") for word in words[1:])]
    transcript = vka[TRANSCRIPT_START] + b"".join(instance.to_bytes(32, "big") for instance in proof.instances)
    at = point = 0
    for phase in phases:
        while phase:
            transcript += proof.data[at : (at := at + (phase & 0xFFFF))]
            for _ in range(phase >> 16 & 0xFF):
                transcript = keccak(transcript if len(transcript) > 32 else transcript + b"\x01")
                point = int.from_bytes(transcript, "big") % MODULUS
            phase >>= 24
    return point, at


def lagrange_at(x: int, logrows: int) -> list[int]:
    """L_t(x) for every row t."""
    rows, omega = 1 << logrows, root_of_unity(logrows)
    scale = (pow(x, rows, MODULUS) - 1) * pow(rows, -1, MODULUS) % MODULUS
    powers = (pow(omega, t, MODULUS) for t in range(rows))
    return [scale * power * pow(x - power, -1, MODULUS) % MODULUS for power in powers]


def equation_of(circuit: zk.AuditCircuit, proof: zk.Proof) -> list[int]:
    """Coefficients of the parameters, and their sum modulo p, as the proof of a one-column model tells them."""
    x, at = challenge_of(circuit, proof)
    value = int.from_bytes(proof.data[at + 32 * circuit.input_columns :][:32], "big")
    lagrange = lagrange_at(x, circuit.logrows)
    return [*lagrange[: circuit.column_lengths[0]], (value - sum(lagrange[-BLINDING_ROWS:])) % MODULUS]


def solve_for_small_values(equations: list[list[int]]) -> set[tuple[int, ...]]:
    """Candidates for v with Σ a_t v_t = c (mod p) for each equation, where weights are small and salt has 24 bits."""
    elements = len(equations[0]) - 1
    middle = [0] * WEIGHTS + [1 << 23] * (elements - WEIGHTS)
    rows = [[*a, (c - sum(x * y for x, y in zip(a, middle, strict=True))) % MODULUS] for *a, c in equations]
    solve_for_first_columns(rows)
    basis = [[MODULUS * (i == j) for j in range(elements + 1)] for i in range(len(rows))]
    for t in range(len(rows), elements):
        basis.append([-row[t] % MODULUS for row in rows] + [int(t == j) for j in range(len(rows), elements + 1)])
    basis.append([row[-1] for row in rows] + [0] * (elements - len(rows)) + [1 << 22])
    short = [row for row in reduce_lattice(basis) if abs(row[-1]) == 1 << 22]
    signed = [[entry if row[-1] > 0 else -entry for entry in row[:-1]] for row in short]
    return {tuple(v + m for v, m in zip(row, middle, strict=True)) for row in signed}


def solve_for_first_columns(rows: list[list[int]]) -> None:
    """Gauss-Jordan elimination modulo p, in place."""
    for i, row in enumerate(rows):
        inverse = pow(row[i], -1, MODULUS)
        rows[i] = [entry * inverse % MODULUS for entry in row]
        for j, other in enumerate(rows):
            if j != i:
                rows[j] = [(a - other[i] * b) % MODULUS for a, b in zip(other, rows[i], strict=True)]


@pytest.fixture(scope="module")
def sold_twice() -> tuple[zk.AuditCircuit, NDArray[np.int32], list[zk.Proof]]:
    rng = np.random.default_rng(11)
    circuit = zk.build_audit_circuit(
        dense_architecture(*WIDTHS), audit_samples=1, scale_bits=SCALE_BITS, srs=zk.development_srs
    )
    srs, parameters = zk.development_srs(circuit.logrows), random_parameters(rng, *WIDTHS)
    proofs = [
        zk.prove(
            circuit, random_inputs(rng, 1, WIDTHS[0]), zk.draw_input_salt(circuit), parameters, srs, context=CONTEXT
        )
        for _ in range(PROOFS)
    ]
    return circuit, parameters[0].ravel(), proofs


def test_a_proof_tells_one_value_of_the_parameters_polynomial(sold_twice) -> None:
    circuit, parameters, proofs = sold_twice
    assert circuit.column_lengths == (len(parameters),)
    for proof in proofs:
        *coefficients, value = equation_of(circuit, proof)
        assert sum(a * int(v) for a, v in zip(coefficients, parameters, strict=True)) % MODULUS == value


def test_two_proofs_give_a_layer_away_whose_salt_hides_none(sold_twice) -> None:
    """Twelve salt elements: 288 bits against 508 bits of equations. Lattice reduction finds weights, bias and salt."""
    circuit, parameters, proofs = sold_twice
    assert tuple(parameters.tolist()) in solve_for_small_values([equation_of(circuit, proof) for proof in proofs])


@pytest.mark.slow
def test_two_proofs_say_nothing_about_a_layer_whose_salt_hides_two() -> None:
    """The same attack on a tensor of a package: what it finds fits the equations, and is not the tensor."""
    rng = np.random.default_rng(12)
    layer = LinearParameters(rng.normal(0, 0.5, (WIDTHS[0], 1)), rng.normal(0, 0.5, 1))
    spec = ParameterSpec("parameter_0", WIDTHS[0], 1, salt_rows=0)
    graph = Graph((WIDTHS[0],), (Linear("linear_0", ("input",), (1,), 0),), "linear_0", (spec,))
    (tensor,) = canonicalise(LoweredModel(graph, (layer,), PostProcessing(), (WIDTHS[0],)), proofs=PROOFS).tensors
    values = [int(value) for value in tensor.ravel()]
    points = [int.from_bytes(rng.bytes(32), "big") % MODULUS for _ in range(PROOFS)]
    equations = []
    for point in points:
        coefficients = lagrange_at(point, 8)[: len(values)]
        equations.append([*coefficients, sum(a * v for a, v in zip(coefficients, values, strict=True)) % MODULUS])
    found = solve_for_small_values(equations)
    assert found
    assert all(candidate[:WEIGHTS] != tuple(values[:WEIGHTS]) for candidate in found)


@pytest.mark.slow
def test_a_seller_whose_salt_hides_no_more_proofs_makes_none(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    """The trade expires: the buyer has its price back, and nothing more is known of the parameters."""
    trading = trade_on(chain)
    trading.play_until(State.ANSWERED)  # later than that, and it is not answered
    budget = trading.package.budget
    for number in range(budget.left):
        word = number.to_bytes(32, "big")
        budget.publish(word, lambda: zk.Proof(word, ()))  # noqa: B023 - called at once
    assert trading.play() is State.EXPIRED
    assert trading.gains() == {Role.SELLER: FEE, Role.BUYER: -FEE}
    assert "prove" not in {step.name for step in trading.steps}
    assert budget.left == 0


def test_what_could_not_be_proven_is_not_answered(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    """A buyer would pay its fee, then the price, and wait for a proof that the seller must not make any more."""
    trading = trade_on(chain)
    budget = trading.package.budget
    budget.count([bytes([number] * 32) for number in range(budget.left)])
    trade_id = trading.open()
    assert not trading.seller.step(trade_id)
    assert trading.market.trade(trade_id).position.state is State.TESTING
    assert trading.play() is State.EXPIRED
    assert trading.gains() == {Role.SELLER: 0, Role.BUYER: 0}
