"""What a seller finds out about its own package before anybody depends on it."""

from dataclasses import replace

import pytest

from trader.model import Grid
from trader.package import DamagedPackageError
from trader.package.integrity import check_trees
from trader.rehearsal.networks import random_trees

GRID = Grid(((0.0, 1.0), (0.5,)))


@pytest.mark.parametrize(("row", "value"), [(0, 2), (1, -1), (slice(2), 1)], ids=["twice", "negated", "two columns"])
def test_decisions_that_are_not_about_one_column_are_not_delivered(row, value):
    model = random_trees(GRID.sizes, 2, 2)
    check_trees(GRID, model)
    tensor = model.tensors[0].copy()
    tensor[row, 0] = value
    damaged = replace(model, tensors=(tensor, *model.tensors[1:]))
    with pytest.raises(DamagedPackageError, match="not about one column each"):
        check_trees(GRID, damaged)
    check_trees(None, damaged)
