"""Compile the kernels of encrypted tests, so that the first test of a new installation does not have to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trader.he import PlanningProblem, plan_encryption
from trader.model import measured_bounds
from trader.rehearsal.networks import random_inputs, random_network
from trader.rehearsal.trial import run_trial

if TYPE_CHECKING:
    from collections.abc import Callable

_NETWORKS = ((6, 4, 2), (24, 8, 4), (80, 16, 4), (6, 2), (6, 4, 4, 2))
"""A square, tested with one feature of one sample per slot, with products in doubles and in integers; with two
features, or two samples; none, with a packed plan as well; two, with refreshes between them."""
_SAMPLES = 8


def compile_kernels(progress: Callable[[int, int], None] | None = None) -> None:
    """Run small encrypted tests of every kind; Numba keeps what it compiles for them, on disk.

    The compiled code stands beside the modules that it is made from, or in the user's cache where these can't be
    written; it is made again after a module has changed
    (`trader.he.ring.compiling`).

    Args:
        progress: Called with (tests done, tests in all).
    """
    for done, widths in enumerate(_NETWORKS, start=1):
        model = random_network(*widths)
        inputs = random_inputs(model, _SAMPLES)
        problem = PlanningProblem(model, measured_bounds(model, inputs), input_magnitude=1.0)
        for layout in plan_encryption(problem).layouts:
            run_trial(layout, model, inputs)
        if progress is not None:
            progress(done, len(_NETWORKS))
