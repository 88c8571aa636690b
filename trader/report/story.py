"""Prints the story of a trade: when, in which block and transaction, who, what, for how much gas."""

from typing import Any

from rich.console import Console

from ledger import TradeStory


def print_story(console: Console, story: TradeStory) -> None:
    """Prints `story` as a table that fits 80 columns."""
    raise NotImplementedError


def story_rows(story: TradeStory) -> list[dict[str, Any]]:
    """The same as a list of JSON objects, one per entry."""
    raise NotImplementedError
