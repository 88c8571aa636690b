"""The benchmarks' README names the figures that a run prints."""

import re
from pathlib import Path

from tests.unit.benchmarks.test_quick import PROMISED

README = Path(__file__).parents[3] / "benchmarks" / "README.md"


def test_every_promised_figure_is_explained() -> None:
    rows = set(re.findall(r"^\| `([\w.]+)` \|", README.read_text(), re.MULTILINE))
    assert rows == set().union(*PROMISED.values()) - {"gas.sum_step"}
