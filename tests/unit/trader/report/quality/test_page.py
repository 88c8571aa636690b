"""The page needs nothing but itself, and whatever the other party is called, it stays text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import numpy as np
import pytest

from trader.model.postprocessing import PostProcessing, PostProcessingKind
from trader.report.quality.charts import Axis
from trader.report.quality.markup import MOST_CHARACTERS, element, printable, to_html

if TYPE_CHECKING:
    from tests.unit.trader.report.quality.conftest import Desk

HOSTILE = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "</style></title><svg onload=alert(1)>",
    "&lt;b&gt; &amp;#60;",
    "\u202egnp.exe\u2066",
    "\x00\x1b[31m\x7f",
    "javascript:alert(1)",
    "<!-- -->]]>",
    "W" * 4096,
)
TAGS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "main",
    "header",
    "section",
    "footer",
    "div",
    "p",
    "span",
    "i",
}
TAGS |= {"h1", "h2", "h3", "dl", "dt", "dd", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "figure", "bdi"}
TAGS |= {"figcaption", "svg", "rect", "line", "text", "polyline", "circle", "g"}


class Reader(HTMLParser):
    """What a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.add(tag)
        self.attributes |= set(attrs)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page(desk: Desk, words: str, labels: tuple[str, ...]) -> str:
    post_processing = PostProcessing(kind=PostProcessingKind.SOFTMAX, labels=labels)
    outputs = np.random.default_rng(5).normal(size=(40, len(labels)))
    truth = np.asarray(labels)[np.arange(40) % len(labels)]
    card = dict.fromkeys(("name", "description", "licence"), words)
    return desk.report(outputs, post_processing, truth, card=card).to_html()


@pytest.mark.parametrize("words", HOSTILE)
def test_foreign_words_stay_text(desk: Desk, words: str) -> None:
    html = page(desk, words, (words, "b"))
    read = Reader(html)
    assert read.tags <= TAGS
    assert not [name for name, _ in read.attributes if name.startswith("on") or name in ("src", "href", "action")]
    assert all(character.isprintable() or character == "\n" for character in html)
    assert len(html) < 60_000
    shown = printable(words)[: MOST_CHARACTERS - 1].strip()
    assert any(shown in text for text in read.texts)


def test_the_page_loads_nothing(desk: Desk) -> None:
    html = page(desk, "a model", ("a", "b"))
    assert not re.search(r"https?:|//[a-z]|url\(|@import|<script|<link|<iframe", html)
    assert "default-src 'none'" in html
    read = Reader(html)
    assert {("lang", "en"), ("charset", "utf-8")} <= read.attributes
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


def test_many_classes_stay_readable(desk: Desk) -> None:
    labels = tuple(f"class {number}" for number in range(200))
    html = page(desk, "a model", labels)
    assert "The most frequent confusions" in html
    assert "140 further classes" in html
    assert len(html) < 200_000


def test_elements_escape_what_stands_in_them() -> None:
    made = to_html(element("p", "a < b & ", element("b", '"'), " c > d", title='"<', data_x=1.5))
    assert made.splitlines()[1] == ('<p title="&quot;<" data-x="1.5">a &lt; b &amp; <b>"</b> c &gt; d</p>')


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3e-9, 5e-9), (1e6, 3.7e6), (-1, 1e12)])
def test_ticks_are_round_and_within(low: float, high: float) -> None:
    ticks = list(Axis("x", low, high).ticks())
    assert 3 <= len(ticks) <= 8
    assert all(low - 1e-9 * abs(high) <= tick <= high * (1 + 1e-9) for tick in ticks)


def test_axes_of_one_value_have_room() -> None:
    for value in (0.0, 5.0, -2.0):
        axis = Axis.around("x", [value, value])
        assert axis.low < value < axis.high
