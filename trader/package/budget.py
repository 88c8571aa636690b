"""How many proofs about a model a seller publishes: never more than its salt hides.

Proofs of a sale stand on the chain, those of a certificate in public. Each gives an equation in the parameters away
(:func:`trader.model.hidden_proofs`), so a package keeps a list of the statements that proofs were made of. Making the
same proof again, after a crash, costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trader.files import write_file
from trader.package.errors import PackageError, ProofBudgetError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProofBudget:
    """The list of proven statements, and how long it may get.

    Attributes:
        path: the list: a digest in hex per line.
        proofs: most statements on it.
    """

    path: Path
    proofs: int

    @property
    def left(self) -> int:
        """Proofs that may still be published.

        Raises:
            PackageError: the list can't be read.
        """
        return self.proofs - len(self._read())

    def reserve(self, statements: Sequence[bytes]) -> None:
        """Note statements before they are proven; those that were noted before count once.

        Raises:
            ProofBudgetError: they would be too many; nothing was noted.
            PackageError: the list can't be read.
            EnvironmentFaultError: it can't be written.
        """
        noted = self._read()
        wanted = list(dict.fromkeys([*noted, *(statement.hex() for statement in statements)]))
        if len(wanted) > self.proofs:
            raise ProofBudgetError(
                f"{len(wanted) - len(noted)} more proofs, after {len(noted)}: the salt of this package hides "
                f"{self.proofs}, more would give the parameters away. Prepare the model again with "
                f"--proofs {len(wanted)} or more."
            )
        write_file(self.path, "".join(f"{digest}\n" for digest in wanted).encode(), secret=True)

    def _read(self) -> list[str]:
        try:
            return self.path.read_text().split() if self.path.exists() else []
        except (OSError, UnicodeDecodeError) as error:
            raise PackageError(
                f"{self.path} can't be read: {error}. Restore it: it says what was published."
            ) from error
