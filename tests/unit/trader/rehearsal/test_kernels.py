"""What is compiled ahead is all that tests of a usual model need."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMPILE = "from trader.rehearsal.kernels import compile_kernels; compile_kernels()"
TEST = """
from trader.he import PlanningProblem, plan_encryption
from trader.model import measured_bounds
from trader.rehearsal.networks import random_inputs, random_network
from trader.rehearsal.trial import run_trial
model = random_network(30, 16, 2)
for samples in (5, 600, 5000):
    inputs = random_inputs(model, samples)
    problem = PlanningProblem(model, measured_bounds(model, inputs[:256]), input_magnitude=1.0)
    run_trial(plan_encryption(problem), model, inputs)
"""


def compiled_after(program: str, cache: Path) -> int:
    """Compiled functions in the cache after a program has run with it."""
    subprocess.run([sys.executable, "-c", program], env=os.environ | {"NUMBA_CACHE_DIR": str(cache)}, check=True)
    return sum(1 for _ in cache.rglob("*.nbc"))


@pytest.mark.slow
def test_the_first_test_of_a_model_compiles_nothing_any_more(tmp_path):
    ahead = compiled_after(COMPILE, tmp_path)
    assert ahead > 10
    assert compiled_after(TEST, tmp_path) == ahead
