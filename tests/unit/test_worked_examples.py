"""The numbers of the worked examples that open some modules, computed by these modules."""

import numpy as np
import pytest

from trader.he.evaluation import privacy
from trader.he.ring import residues
from zk.binding import sums
from zk.binding.chunks import ColumnLayout


def says(module: object, *sentences: str) -> None:
    """Each stands in the module's text, wherever lines are broken."""
    text = " ".join(str(module.__doc__).split())
    for sentence in sentences:
        assert sentence in text, sentence


def centred(value: int, prime: int) -> int:
    return (value + prime // 2) % prime - prime // 2


def test_exact_products_of_residues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residues, "EXACT", 100)
    monkeypatch.setattr(residues, "CENTRE_SLACK", 0)
    values = np.array([6, -3])
    light = residues.prepare_weights(np.array([[5], [-7]], dtype=np.int32), 13)
    assert (light.limbs @ values).tolist() == [51]
    assert centred(51, 13) == -1
    heavy = residues.prepare_weights(np.array([[37], [-29]], dtype=np.int32), 13)
    assert (heavy.limb_bits, heavy.limbs.tolist()) == (4, [[5, 3], [2, -2]])
    assert (heavy.limbs @ values).tolist() == [21, 18]
    assert 21 + 16 * 18 == 37 * 6 + 29 * 3 == 309
    assert centred(309, 13) == -3
    assert 12 * 6 < 100 < 66 * 6
    says(residues, "5·6 + 7·3 = 51 = -1 (mod 13)", "(5, 3) + 2^4·(2, -2)", "21 + 16·18 = 309 = -3 (mod 13)")


def test_running_sums_lead_to_the_polynomials_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "MODULUS", 17)
    monkeypatch.setattr(sums, "CHUNK_PARAMETERS", 1)
    layout, challenge = ColumnLayout(3, (2,)), sums.Challenge(r=3, gamma=1)
    omega = sums.root_of_unity(3)
    assert (omega, pow(omega, 4, 17)) == (15, 16)
    assert sums.row_weights(3, 3, range(2)) == [9, 3]
    assert sum(sums.row_weights(3, 3, range(2, 8))) % 17 == 1
    assert sums.running_sums([np.array([5, 6], dtype=np.int32)], layout, challenge) == [11, 12]
    assert sums.value_at_challenge(12, layout, challenge) == 1 == value_at(3, [5, 6, 1, 1, 1, 1, 1, 1])
    assert sums.running_sums([np.array([5, 7], dtype=np.int32)], layout, challenge) == [11, 15]
    assert sums.value_at_challenge(15, layout, challenge) != 1
    assert sums.last_sum_of(1, layout, challenge) == 12
    says(sums, "ω = 15", "w_0 = 1/(3 - 1) = 9 and w_1 = 15/(3 - 15) = 3", "S_0 = 5·9 = 11 and S_1 = 11 + 6·3 = 12")
    says(sums, "(3^8 - 1)/8 is 4", "y = 4·(12 + 1) = 1", "S_1 = 11 + 7·3 = 15")


def value_at(point: int, values: list[int]) -> int:
    """The polynomial modulo 17 that has these values at 15^t, t = 0, 1, …: by Lagrange's formula as it is taught."""
    roots = [pow(15, t, 17) for t in range(len(values))]
    total = 0
    for root, value in zip(roots, values, strict=True):
        for other in roots:
            value = value if other == root else value * (point - other) * pow(root - other, -1, 17)
        total += value
    return total % 17


def test_flooded_and_hidden_coefficients() -> None:
    phase = np.array([[[203, 17, 850, 5]]], dtype=np.uint32)
    noise = np.array([[[-41 % 1021, 611, 402, 930]]], dtype=np.uint32)
    privacy.Randomisation((1021,), noise).apply(phase)
    assert phase.tolist() == [[[162, 628, 231, 935]]]
    with_error, without = set(range(203 - 64, 203 + 64)), set(range(200 - 64, 200 + 64))
    assert (min(with_error), max(with_error), min(without), max(without)) == (139, 266, 136, 263)
    assert len(with_error) == len(without) == 128
    assert len(with_error - without) == len(without - with_error) == 3
    assert 162 in with_error & without
    assert 1021 < 8 * 128
    says(privacy, "= (162, 628, 231, 935) modulo 1021", "one of 139 … 266, without it one of 136 … 263")
