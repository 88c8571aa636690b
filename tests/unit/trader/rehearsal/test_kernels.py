"""What is compiled ahead is all that tests of a usual model need."""

import subprocess
import sys

import pytest

PROGRAM = """
import gc
from numba.core.dispatcher import Dispatcher
from trader.he import PlanningProblem, plan_encryption
from trader.model import measured_bounds
from trader.rehearsal.kernels import compile_kernels
from trader.rehearsal.networks import random_inputs, random_network
from trader.rehearsal.trial import run_trial

def compiled():
    kernels = [kernel for kernel in gc.get_objects() if issubclass(type(kernel), Dispatcher)]  # not what a proxy is of
    return {(kernel.py_func.__module__, kernel.py_func.__name__, str(types))
            for kernel in kernels if kernel.py_func.__module__.startswith("trader") for types in kernel.signatures}

compile_kernels()
ahead = compiled()
model = random_network(30, 16, 4)
for samples in (5, 600, 5000):
    inputs = random_inputs(model, samples)
    problem = PlanningProblem(model, measured_bounds(model, inputs[:256]), input_magnitude=1.0)
    run_trial(plan_encryption(problem), model, inputs)
print(len(ahead), sorted(compiled() - ahead))
"""
"""Functions for types of arguments, as numba keeps them, whether compiled by this process or read from its cache."""


@pytest.mark.slow
def test_the_first_test_of_a_model_compiles_nothing_any_more():
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    ahead, _, more = ran.stdout.strip().partition(" ")
    assert int(ahead) > 10
    assert more == "[]"
