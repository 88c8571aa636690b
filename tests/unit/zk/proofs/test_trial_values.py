"""What stands for inputs and parameters where a proof is made to see what it costs."""

from zk.field import MODULUS
from zk.proofs.cost import _small_values


def test_trees_are_few_ones_whose_sums_stay_within_tables() -> None:
    values = _small_values(512, scale_bits=0)
    assert set(values) <= {0, 1}
    assert 0 <= sum(values) < 64  # 8 on average; 64 are twenty standard deviations away


def test_networks_have_values_within_a_sixteenth() -> None:
    values = [value if value < MODULUS // 2 else value - MODULUS for value in _small_values(512, scale_bits=13)]
    assert -512 <= min(values) < 0 < max(values) < 512
