"""What a seller sells: its package, with the reference string, circuit and layout that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from trader import he
from trader.package import open_circuit, statement_of
from trader.parties.filenames import DEVELOPMENT_SRS
from trader.parties.vault import Vault
from zk import AuditCircuit, Srs, ceremony_srs, read_srs
from zk.binding import ColumnLayout

if TYPE_CHECKING:
    from pathlib import Path

    from contracts import Layout, Statement
    from trader.he import HePlan
    from trader.model import Manifest
    from trader.package import PublicPackage, SellerPackage
    from zk import SrsProvider


@dataclass(frozen=True)
class Goods:
    """A model on sale; each part is read or built when it is first asked for.

    Attributes:
        package: The seller's package.
        folder: The seller's folder, for the reference string that the package carries.
    """

    package: SellerPackage
    folder: Path

    @property
    def manifest(self) -> Manifest:
        """The package's manifest."""
        return self.package.manifest

    @cached_property
    def plan(self) -> HePlan:
        """How encrypted tests are computed."""
        return he.parse_plan(self.manifest.plan)

    @cached_property
    def srs(self) -> Srs:
        """The structured reference string of the package."""
        return open_srs(self.package.public, self.manifest.circuit.srs.logrows, Vault(self.folder, None))

    @cached_property
    def circuit(self) -> AuditCircuit:
        """The audit circuit, rebuilt or found in the cache."""
        return open_circuit(self.package.public, self.srs)

    @cached_property
    def statement(self) -> Statement:
        """What is proven, as the listing has it."""
        return statement_of(self.manifest)

    @property
    def layout(self) -> Layout:
        """The layout of the circuit's proofs."""
        return self.statement.layout

    @property
    def columns(self) -> ColumnLayout:
        """How the parameters are cut into columns, and these into chunks."""
        return ColumnLayout(self.layout.logrows, self.layout.column_lengths)


def open_srs(package: PublicPackage, logrows: int, vault: Vault, ceremony: SrsProvider = ceremony_srs) -> Srs:
    """Return the reference string of a package: the one that it carries, kept in `vault`, else the ceremony's.

    Args:
        package: The public files.
        logrows: log2 of the number of rows, for the ceremony's.
        vault: The party's own folder.
        ceremony: Gives the ceremony's string of a size.

    Raises:
        SrsError: The string is damaged, or the ceremony's is not on this machine.
        EnvironmentFaultError: The folder can't be written.
    """
    if not package.development_srs:
        return ceremony(logrows)
    vault.write(DEVELOPMENT_SRS, package.development_srs)
    return read_srs(vault.folder / DEVELOPMENT_SRS, development=True)
