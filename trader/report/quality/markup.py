"""HTML and SVG as trees of the standard library, which escapes every text and attribute when it writes them.

Names and texts of the other party never meet a template: they are leaves of a tree. Characters that print nothing, such
as those that turn the direction of writing, are replaced, and foreign names stand in elements of their own direction.
"""

from __future__ import annotations

from typing import TypeAlias
from xml.etree.ElementTree import Element, tostring

Child: TypeAlias = "Element | str | None"

MOST_CHARACTERS = 160
"""Of a foreign text: a name of four kilobytes would push everything else off the page."""


def element(tag: str, *children: Child, **attributes: str | float | None) -> Element:
    """Return an element.

    Args:
        tag: Its name.
        children: Elements and texts in order; None is left out.
        attributes: By name; `class_` stands for `class`, `_` for `-`. None is left out.
    """
    made = Element(tag, {_name(name): _value(value) for name, value in attributes.items() if value is not None})
    for child in children:
        if isinstance(child, Element):
            made.append(child)
        elif child is not None:
            _add_text(made, printable(child))
    return made


def foreign(text: str) -> Element:
    """Return a text of the other party's, cut to a length that leaves the page readable."""
    return element("bdi", shorten(text), class_="foreign")


def shorten(text: str, characters: int = MOST_CHARACTERS) -> str:
    """Return a text of at most so many characters; an ellipsis says that there was more."""
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def printable(text: str) -> str:
    """Return a text with a replacement character for each one that prints nothing, but for line ends and blanks."""
    return "".join(one if one.isprintable() or one in "\n\t" else "\N{REPLACEMENT CHARACTER}" for one in text)


def to_html(root: Element) -> str:
    """Return a whole document."""
    return f"<!DOCTYPE html>\n{tostring(root, encoding='unicode', method='html')}\n"


def _add_text(made: Element, text: str) -> None:
    if len(made):
        made[-1].tail = (made[-1].tail or "") + text
    else:
        made.text = (made.text or "") + text


def _name(name: str) -> str:
    return name.rstrip("_").replace("_", "-") if name != "viewBox" else name


def _value(value: str | float) -> str:
    return printable(value) if isinstance(value, str) else f"{value:.4g}"
