"""One SVG per sweep, the same bytes for the same figures."""

from __future__ import annotations

from io import BytesIO
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from benchmarks.rows import Series, Sweep

PANEL_INCHES = (4.2, 3.2)
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "modelseal",
    "svg.fonttype": "none",
    "axes.grid": True,
    "grid.alpha": 0.3,
    "font.size": 9,
}


def draw(sweep: Sweep) -> bytes:
    """The sweep as SVG: a panel for each unit, both axes logarithmic where no value is zero.

    Raises:
        ImportError: matplotlib is missing; it comes with the extra `dev`.
    """
    import matplotlib as mpl

    mpl.use("svg")  # needs no display
    from matplotlib import pyplot

    panels = [(unit, list(series)) for unit, series in groupby(sweep.series, lambda series: series.unit)]
    width, height = PANEL_INCHES
    with mpl.rc_context(STYLE):
        figure, axes = pyplot.subplots(1, len(panels), figsize=(width * len(panels), height), squeeze=False)
        for axis, (unit, series) in zip(axes[0], panels, strict=True):
            for one in series:
                axis.plot(sweep.points, one.values, marker="o", label=one.name)
            axis.set(xlabel=sweep.axis, ylabel=unit, xscale=_scale(sweep.points), yscale=_value_scale(series))
            axis.legend()
        figure.suptitle(sweep.name)
        figure.tight_layout()
        target = BytesIO()
        figure.savefig(target, format="svg", metadata={"Date": None})
        pyplot.close(figure)
    return target.getvalue()


def _value_scale(series: list[Series]) -> str:
    return _scale(tuple(value for one in series for value in one.values))


def _scale(values: tuple[float, ...]) -> str:
    return "log" if min(values) > 0 else "linear"
