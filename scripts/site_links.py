"""A hook of mkdocs: links from pages to files outside docs/ (the code, the README) lead to where the source is kept."""

import re
from typing import Any


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return the page with links that leave docs/ as plain text: the site holds no copy of the code."""
    depth = page.file.src_uri.count("/")

    def plain(match: re.Match[str]) -> str:
        ups = match[0].count("../")
        return match[1] if ups > depth else match[0]

    return re.sub(r"\[([^\]]+)\]\((?:\.\./)+[^):]*\)", plain, markdown)
