"""An ensemble of trees under encryption: 50 trees of depth 4 over 30 columns of 32 bins, 4,000 rows.

Trees are random (`trader.rehearsal.networks`). The answers must be the integers that the trees give, every one of them.
"""

from collections.abc import Iterator

import numpy as np

from benchmarks.rows import Row, at_least, at_most, measure
from trader.he import ClientSession, HePlan, evaluate, plan_encryption
from trader.model import CanonicalModel, Grid, evaluate_exact
from trader.package import planning_data
from trader.rehearsal.networks import random_bins, random_trees

COLUMNS, BINS, TREES, DEPTH, ROWS = 30, 32, 50, 4, 4000
QUICK_COLUMNS, QUICK_TREES, QUICK_ROWS = 4, 3, 16


def tree_rows(quick: bool, runs: int) -> Iterator[Row]:
    """Yield seconds of evaluation and of the whole test, bytes, and how many answers were exact."""
    columns, trees, rows = (QUICK_COLUMNS, QUICK_TREES, QUICK_ROWS) if quick else (COLUMNS, TREES, ROWS)
    model, plan = _prepare(columns, trees)
    bins = random_bins(plan.edges, rows)
    session = ClientSession(plan)
    request = session.encrypt(bins)
    response = evaluate(plan, model, request, rows)
    exact = float(np.mean(session.decrypt(response) == evaluate_exact(model, bins).astype(np.float64)))
    timing = measure(lambda: evaluate(plan, model, request, rows), runs, warm_up=False)
    bar, holds = at_most(timing.median, 6)
    yield Row("he.trees", timing.median, "s", bar=bar, holds=holds, runs=runs, spread=timing.spread)
    whole = measure(lambda: ClientSession(plan).encrypt(bins), runs, warm_up=False)
    yield Row("he.trees.encrypt", whole.median, "s", runs=runs, spread=whole.spread)
    yield Row("he.trees.bytes", plan.request_bytes(rows) + plan.response_bytes(rows), "bytes")
    bar, holds = at_least(exact, 1)
    yield Row("he.trees.exact", exact, "of the answers", bar=bar, holds=holds)


def _prepare(columns: int, trees: int) -> tuple[CanonicalModel, HePlan]:
    grid = Grid((tuple(float(edge) for edge in range(BINS - 1)),) * columns)
    model = random_trees(grid.sizes, trees, DEPTH)
    return model, plan_encryption(planning_data(model, (), None, grid).problem(model))
