"""Commands that are imported when they run, so that `--help` and completion load nothing that they only name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import typer
from typer.core import TyperCommand
from typer.main import get_group

if TYPE_CHECKING:
    from collections.abc import Callable

MARKUP: Final = "markdown"
"""How help texts are marked up, in the whole tree."""


class Deferred(TyperCommand):
    """Stands for a command, or for a group of commands, whose module is imported when it is called.

    Registered on a function that imports and returns what it stands for, and whose docstring is its line of help::

        @app.command(cls=Deferred)
        def srs() -> typer.Typer:
            \"\"\"Structured reference strings.\"\"\"
            from trader.cli import srs

            return srs.app
    """

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Return the context of the command itself: from here on, nothing sees that it was deferred."""
        return self.load().make_context(info_name, args, parent, **extra)

    def load(self) -> Any:
        """Import the command and return it, mounted under this name."""
        loaded: typer.Typer | Callable[..., None] = self.callback()  # type: ignore[misc]  # made with a function, always
        mount = typer.Typer(rich_markup_mode=MARKUP)
        if isinstance(loaded, typer.Typer):
            mount.add_typer(loaded, name=self.name)
        else:
            mount.command(self.name)(loaded)
        return get_group(mount).commands[str(self.name)]
