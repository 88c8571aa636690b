"""Columns that a seller's manifest describes: none of them may be read in two ways."""

import json

import numpy as np
import pytest
from pydantic import ValidationError

from trader.model.columns import Column, ColumnType, expand_columns


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "integer", "number": False, "categories": [1, 1]},
        {"type": "text", "number": False, "categories": ["a", "b", "a"]},
        {"type": "text", "number": False, "categories": [1, 2]},
        {"type": "integer", "number": False, "categories": ["a"]},
        {"type": "text", "number": True, "categories": ["a"]},
        {"type": "integer", "number": False, "categories": [True]},
    ],
)
def test_columns_that_mean_two_things_are_refused(fields):
    with pytest.raises(ValidationError):
        Column.model_validate_json(json.dumps({"input": "x"} | fields))


def test_categories_have_a_feature_each():
    codes = Column(input="c", type=ColumnType.INTEGER, number=False, categories=(2, 5))
    names = Column(input="n", type=ColumnType.TEXT, number=False, categories=("a", "b"))
    features = expand_columns([codes, names], [np.array([5, 7]), np.array(["b", "a"])])
    assert features.tolist() == [[0, 1, 0, 1], [0, 0, 1, 0]]
