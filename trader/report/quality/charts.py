"""Charts as SVG: lines, points and steps in a frame with axes. They take their colours from the page's style.

Coordinates have a tenth of a pixel: nobody reads a decrypted output off them with more than three digits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trader.report.quality.markup import element, foreign

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from xml.etree.ElementTree import Element

WIDTH, HEIGHT = 360, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 16, 10, 38
_MOST_SERIES = 6
"""Colours that the page's style has."""


@dataclass(frozen=True, slots=True)
class Series:
    """A line or a cloud of points.

    Attributes:
        points: (x, y), in order.
        name: For the legend; empty for none.
        style: `line`, `points`, or `reference` (a thin dashed line).
        number: Of its colour, from 0.
    """

    points: Sequence[tuple[float, float]]
    name: str = ""
    style: str = "line"
    number: int = 0


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis.

    Attributes:
        title: What is along it.
        low: Its lower end.
        high: Its upper end, above `low`.
        percent: Whether its numbers are shares.
    """

    title: str
    low: float = 0.0
    high: float = 1.0
    percent: bool = False

    @classmethod
    def around(cls, title: str, values: Sequence[float]) -> Axis:
        """Return an axis that has room for values."""
        finite = [value for value in values if math.isfinite(value)]
        low, high = min(finite, default=0.0), max(finite, default=1.0)
        room = 0.05 * (high - low) or 0.5 * abs(high) or 1.0
        return cls(title, low - room, high + room)

    def ticks(self) -> Iterator[float]:
        """Yield round numbers, about five."""
        step = _round_step((self.high - self.low) / 5)
        first = math.ceil(self.low / step - 1e-9)
        for number in range(first, math.floor(self.high / step + 1e-9) + 1):
            yield number * step

    def tell(self, value: float) -> str:
        """Return a number as the axis shows it."""
        return f"{value:.0%}" if self.percent else f"{value:.4g}"


def chart(title: str, x: Axis, y: Axis, series: Sequence[Series]) -> Element:
    """Return a chart with a legend below it.

    Args:
        title: What it shows, in words: read aloud, and shown as a heading.
        x: Horizontal axis.
        y: Vertical axis.
        series: What is drawn, the first at the back.
    """
    frame = element("rect", x=_LEFT, y=_TOP, width=_inner_width(), height=_inner_height(), class_="frame")
    drawn = [_draw(one, x, y) for one in series]
    picture = element(
        "svg",
        frame,
        *_grid(x, y),
        *drawn,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=title,
    )
    named = [one for one in series if one.name]
    legend = element(
        "ul", *(element("li", element("i", class_=_colour(one)), foreign(one.name)) for one in named), class_="key"
    )
    return element("figure", element("figcaption", title), picture, legend if named else None)


def _grid(x: Axis, y: Axis) -> Iterator[Element]:
    bottom, middle = HEIGHT - _BOTTOM, _LEFT + _inner_width() / 2
    for value in x.ticks():
        at = _across(x, value)
        yield element("line", x1=at, x2=at, y1=_TOP, y2=bottom, class_="grid")
        yield element("text", x.tell(value), x=at, y=bottom + 14, text_anchor="middle")
    for value in y.ticks():
        at = _up(y, value)
        yield element("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=at, y2=at, class_="grid")
        yield element("text", y.tell(value), x=_LEFT - 5, y=at + 3.5, text_anchor="end")
    yield element("text", x.title, x=middle, y=HEIGHT - 6, text_anchor="middle", class_="title")
    turned = f"rotate(-90 11 {_TOP + _inner_height() / 2:.0f})"
    yield element(
        "text", y.title, x=11, y=_TOP + _inner_height() / 2, text_anchor="middle", class_="title", transform=turned
    )


def _draw(series: Series, x: Axis, y: Axis) -> Element:
    places = [(_across(x, one), _up(y, other)) for one, other in series.points]
    if series.style == "points":
        dots = (element("circle", cx=f"{at:.1f}", cy=f"{up:.1f}", r=2) for at, up in places)
        return element("g", *dots, class_=f"{_colour(series)} points")
    path = " ".join(f"{at:.1f},{up:.1f}" for at, up in places)
    return element("polyline", points=path, class_=f"{_colour(series)} {series.style}")


def _colour(series: Series) -> str:
    return "reference" if series.style == "reference" else f"s{series.number % _MOST_SERIES}"


def _across(axis: Axis, value: float) -> float:
    return round(_LEFT + _inner_width() * _share(axis, value), 1)


def _up(axis: Axis, value: float) -> float:
    return round(HEIGHT - _BOTTOM - _inner_height() * _share(axis, value), 1)


def _share(axis: Axis, value: float) -> float:
    share = (value - axis.low) / (axis.high - axis.low)
    return min(1.0, max(0.0, share)) if math.isfinite(share) else 1.0


def _inner_width() -> int:
    return WIDTH - _LEFT - _RIGHT


def _inner_height() -> int:
    return HEIGHT - _TOP - _BOTTOM


def _round_step(step: float) -> float:
    """Return 1, 2 or 5 times a power of ten, at least `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= step * (1 - 1e-9))
