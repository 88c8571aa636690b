"""All checks, one after another; in the order in which they matter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trader.doctor.files import examine_files
from trader.doctor.machine import examine_machine
from trader.doctor.node import examine_node

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trader.chain.node import Confirmations
    from trader.doctor.finding import Finding


@dataclass(frozen=True)
class Surroundings:
    """What is looked at beside the machine.

    Attributes:
        chain_url: The node; None where none is used.
        confirmations: As every command takes them.
        keyfiles: Beside those in keystores.
        packages: A seller's.
        folders: Party folders.
    """

    chain_url: str | None = None
    confirmations: Confirmations = None
    keyfiles: Sequence[Path] = ()
    packages: Sequence[Path] = ()
    folders: Sequence[Path] = ()


def examine(surroundings: Surroundings) -> Iterator[Finding]:
    """Look at everything; each finding comes as soon as it is made."""
    folder = surroundings.folders[0] if surroundings.folders else Path.cwd()
    yield from examine_machine(folder)
    yield from examine_files(surroundings.keyfiles, surroundings.packages, surroundings.folders)
    yield from examine_node(surroundings.chain_url, surroundings.confirmations)
