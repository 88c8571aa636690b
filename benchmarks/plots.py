"""One SVG per sweep, the same bytes for the same figures."""

from __future__ import annotations

from io import BytesIO
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from matplotlib.axes import Axes

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
    """Return the sweep as SVG: a panel for each unit, both axes logarithmic where no value is zero.

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
            _draw_panel(axis, sweep, unit, series)
        figure.suptitle(sweep.name)
        figure.tight_layout()
        target = BytesIO()
        figure.savefig(target, format="svg", metadata={"Date": None})
        pyplot.close(figure)
    return target.getvalue()


def _draw_panel(axis: Axes, sweep: Sweep, unit: str, series: list[Series]) -> None:
    from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

    for one in series:
        axis.plot(sweep.points, one.values, marker="o", label=one.name)
    values = tuple(value for one in series for value in one.values)
    axis.set(xlabel=sweep.axis, ylabel=unit, xscale=_scale(sweep.points), yscale=_scale(values))
    axis.set_xticks(sweep.points, [f"{point:,}" for point in sweep.points])
    axis.xaxis.set_minor_locator(NullLocator())
    if axis.get_yscale() == "log":
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(EngFormatter(sep=""))
    axis.legend()


def _scale(values: tuple[float, ...]) -> str:
    return "log" if min(values) > 0 else "linear"
