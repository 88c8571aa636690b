"""The form of what `modelseal bench` prints and writes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

import benchmarks
from benchmarks import BENCHMARKS, Row, Series, Sweep
from benchmarks.plots import draw
from benchmarks.report import Result, figure, markdown, write_page
from benchmarks.rows import Timing, at_least, at_most, machine, measure, measure_in_turn
from trader.cli.app import app
from trader.cli.bench import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEYS = {"id", "value", "unit", "peer", "peer_value", "ratio", "bar", "holds", "runs", "spread"}
ROW = Row("he.latency", 0.25, "s", "TenSEAL", 5.0, 20.0, ">= 10", holds=True, runs=3, spread=0.1)
FAILING = Row("gas.trade", 300_000, "gas", bar="<= 265000", holds=False)
SWEEP = Sweep(
    "he.samples",
    "samples",
    (1, 50, 500),
    (Series("seconds", "s", (0.1, 0.2, 0.9)), Series("request size", "bytes", (10.0, 20.0, 30.0))),
)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Benchmarks that are done at once: what is tested is how results are shown."""

    def rows(name: str, *, quick: bool = False) -> Iterator[Row]:
        yield from {"he": [ROW], "gas": [FAILING]}.get(name, [])

    def sweeps(name: str) -> Iterator[Sweep]:
        yield from [SWEEP] if name == "he" else []

    monkeypatch.setattr(benchmarks, "measure_rows", rows)
    monkeypatch.setattr(benchmarks, "measure_sweeps", sweeps)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["bench", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


@pytest.mark.usefixtures("measured")
def test_the_last_line_is_the_result_as_json() -> None:
    result = json.loads(run("he", "--quick", "--json").splitlines()[-1])
    assert result.keys() == {"bench", "machine", "rows"}
    assert result["bench"] == "he"
    assert {"processor", "cores", "memory_bytes", "load", "system", "python"} == result["machine"].keys()
    (row,) = result["rows"]
    assert row.keys() == KEYS
    assert row == {"id": "he.latency", "value": 0.25, "unit": "s", "peer": "TenSEAL", "peer_value": 5.0, "ratio": 20.0,
                   "bar": ">= 10", "holds": True, "runs": 3, "spread": 0.1}  # fmt: skip


@pytest.mark.usefixtures("measured")
def test_a_full_run_has_a_row_for_each_point_of_a_sweep() -> None:
    rows = json.loads(run("he", "--json").splitlines()[-1])["rows"]
    assert [(row["id"], row["value"], row["unit"]) for row in rows[1:]] == [
        ("he.samples.1.seconds", 0.1, "s"),
        ("he.samples.50.seconds", 0.2, "s"),
        ("he.samples.500.seconds", 0.9, "s"),
        ("he.samples.1.request_size", 10.0, "bytes"),
        ("he.samples.50.request_size", 20.0, "bytes"),
        ("he.samples.500.request_size", 30.0, "bytes"),
    ]
    assert all(row.keys() == KEYS for row in rows)


@pytest.mark.usefixtures("measured")
def test_a_bar_that_fails_is_said_and_is_no_error() -> None:
    rows = json.loads(run("all", "--quick", "--json").splitlines()[-1])["rows"]
    assert [(row["id"], row["holds"]) for row in rows] == [("he.latency", True), ("gas.trade", False)]


@pytest.mark.usefixtures("measured")
def test_the_page_shows_figures_machine_command_and_plots(tmp_path: Path) -> None:
    run("he", "--plots", str(tmp_path))
    page = (tmp_path / "README.md").read_text()
    assert "| `he.latency` | 0.25 s | TenSEAL | 5 s | 20 | >= 10 | yes | 3 | 10% |" in page
    assert "modelseal bench he --plots" in page
    assert str(machine()["processor"]) in page
    assert "(he.samples.svg)" in page
    assert json.loads((tmp_path / "he.json").read_text())["rows"][0]["id"] == "he.latency"
    assert (tmp_path / "he.samples.svg").read_bytes().startswith(b"<?xml")


def test_a_quick_run_has_no_sweeps_to_plot(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["bench", "he", "--quick", "--plots", str(tmp_path)])
    assert "--quick" in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_plots_are_the_same_bytes_for_the_same_figures() -> None:
    assert draw(SWEEP) == draw(SWEEP)


def test_zero_can_be_plotted() -> None:
    assert draw(Sweep("he.hidden_layers", "layers", (0, 1, 2), (Series("error", "absolute", (0.0, 0.1, 0.2)),)))


def test_a_failing_bar_stands_out_on_the_page() -> None:
    assert "| **no** |" in markdown(Result("gas", {}, (FAILING,), ()), "modelseal bench gas")


def test_a_page_needs_no_sweeps(tmp_path: Path) -> None:
    write_page(Result("gas", machine(), (FAILING,), ()), tmp_path, "modelseal bench gas")
    assert {path.name for path in tmp_path.iterdir()} == {"README.md", "gas.json"}


@pytest.mark.parametrize(
    ("value", "text"), [(0.000123456, "0.000123"), (1.5, "1.5"), (99.99, "100"), (265_000, "265,000"), (0, "0")]
)
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert figure(value) == text


def test_bars_are_held_at_their_limit() -> None:
    assert at_least(5, 5) == (">= 5", True)
    assert at_least(4.999, 5) == (">= 5", False)
    assert at_most(265_000, 265_000) == ("<= 265000", True)
    assert at_most(1.13, 1.12) == ("<= 1.12", False)


def test_the_median_and_the_spread_of_runs() -> None:
    timing = Timing((1.0, 4.0, 2.0))
    assert (timing.median, timing.spread) == (2.0, 1.5)


def test_the_warm_up_is_not_counted() -> None:
    calls: list[None] = []
    assert len(measure(lambda: calls.append(None), 3).seconds) == 3
    assert len(calls) == 4


def test_works_that_are_compared_take_turns() -> None:
    calls: list[str] = []
    timings = measure_in_turn([lambda: calls.append("ours"), lambda: calls.append("theirs")], 2)
    assert calls == ["ours", "theirs"] * 3
    assert [len(timing.seconds) for timing in timings] == [2, 2]


def test_the_command_knows_every_benchmark() -> None:
    assert [bench.value for bench in Bench] == [*BENCHMARKS, "all"]
