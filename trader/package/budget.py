"""Which proofs about a model a seller has published: never more of them than its salt hides.

Proofs of a sale stand on the chain, those of a certificate in public. Each gives an equation in the parameters away
(`trader.model.hidden_proofs`), and two proofs of one statement give two. So what is counted are proofs, before
they are published: a proof is kept with the package, and a statement that was proven before gets its old proof again.

A list beside the kept proofs says what was made. A proof counts if it is on the list or kept, so that neither of the
two can be lost alone without notice; a package without the list is refused. Where both are older copies, a seller
counts again what is public: the proofs of its trades, which stand on the chain (`ProofBudget.count`), and those of the
certificates beside the package (`count_proofs`). What was proven since then in another market, or for a certificate
that is kept elsewhere, is forgotten; so is what another copy of the package proves meanwhile (`docs/security.md`).

Processes that share one package folder prove one after the other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eth_utils.crypto import keccak

from trader.files import exclusive, write_file
from trader.package.errors import DamagedPackageError, PackageError, ProofBudgetError
from zk import Proof

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

_LINE = re.compile("[0-9a-f]{64} [0-9a-f]{64}")
PROOFS_FOLDER = "proofs"
"""Beside the list: a file for each kept proof, named by its statement."""


@dataclass(frozen=True, slots=True)
class ProofBudget:
    """The published proofs, and how many there may be.

    Attributes:
        path: the list: the digests of a statement and of its proof, in hex, on a line for each proof.
        proofs: most proofs.
    """

    path: Path
    proofs: int

    def check(self) -> None:
        """Check that the list is one, and that every kept proof is on it as it was made; silent on success.

        A line without a kept proof is none that is wrong: a seller that is killed before it keeps a proof leaves one.

        Raises:
            DamagedPackageError: It names the file.
            PackageError: list or proofs can't be read.
        """
        lines = self._lines()
        for file in sorted(self._kept()):
            if f"{file.stem} {_digest(self._read(file))}" not in lines:
                raise DamagedPackageError(
                    f"{file} is not the proof that {self.path} names: one of them was changed. Restore them from a "
                    "copy: another proof of the same statement would give more of the parameters away."
                )

    def create(self) -> None:
        """Begin the list of a new package.

        Raises:
            EnvironmentFaultError: it can't be written.
        """
        write_file(self.path, b"", secret=True)

    @property
    def published(self) -> int:
        """Proofs that were made to be published.

        Raises:
            PackageError: list or proofs can't be read.
        """
        return len(self._published())

    @property
    def left(self) -> int:
        """Proofs that may still be published.

        Raises:
            PackageError: list or proofs can't be read.
        """
        return self.proofs - self.published

    def unproven(self, statements: Sequence[bytes]) -> list[bytes]:
        """Those of some statements, each once, whose proofs are not kept."""
        return [statement for statement in dict.fromkeys(statements) if not self._file(statement).exists()]

    def require(self, statements: Sequence[bytes]) -> None:
        """Check that all of the statements may be proven; silent on success.

        Raises:
            ProofBudgetError: it would be too many proofs.
            PackageError: list or proofs can't be read.
        """
        published, more = self.published, len(self.unproven(statements))
        if more and published + more > self.proofs:
            raise ProofBudgetError(
                f"{more} more proofs, after {published}: the salt of this package hides {self.proofs}, more would give "
                f"the parameters away. Prepare the model again with --proofs {published + more} or more."
            )

    def count(self, statements: Sequence[bytes]) -> None:
        """Put statements on the list whose proofs are public: one that is not there was lost with the list's end.

        Raises:
            PackageError: list or proofs can't be read.
            EnvironmentFaultError: the list can't be written.
        """
        with self._alone():
            lines = self._lines()
            known = {line.split()[0] for line in lines} | {file.stem for file in self._kept()}
            # The proof itself is not at hand: what stands in for its digest is that of its statement.
            lost = [statement.hex() for statement in dict.fromkeys(statements) if statement.hex() not in known]
            if lost:
                self._write([*lines, *(f"{statement} {statement}" for statement in lost)])

    def count_proofs(self, proofs: Sequence[Proof]) -> None:
        """Put proofs on the list that are public, whatever statements they are of.

        Raises:
            PackageError: list or proofs can't be read.
            EnvironmentFaultError: the list can't be written.
        """
        with self._alone():
            known = self._published()
            lost = [digest for digest in dict.fromkeys(map(_digest, proofs)) if digest not in known]
            if lost:
                self._write([*self._lines(), *(f"{digest} {digest}" for digest in lost)])

    def publish(self, statement: bytes, prove: Callable[[], Proof]) -> Proof:
        """Return the proof of a statement to be published: the one that was made before, or else a new one, then kept.

        Another process or thread that publishes from this folder is waited for, since it may take up what is left.

        Args:
            statement: digest of everything that the proof depends on but its randomness.
            prove: makes the proof.

        Raises:
            ProofBudgetError: one more would be too many; none was made.
            PackageError: list or proofs can't be read.
            EnvironmentFaultError: the proof can't be kept.
        """
        with self._alone():
            if not self.unproven([statement]):
                return self._read(self._file(statement))
            self.require([statement])
            proof = prove()
            self._write([*self._lines(), f"{statement.hex()} {_digest(proof)}"])
            write_file(self._file(statement), proof.to_bytes(), secret=True)
            return proof

    def _alone(self) -> AbstractContextManager[None]:
        return exclusive(self.path.parent)

    def _write(self, lines: Sequence[str]) -> None:
        write_file(self.path, "".join(f"{line}\n" for line in dict.fromkeys(lines)).encode(), secret=True)

    def _file(self, statement: bytes) -> Path:
        return self.path.with_name(PROOFS_FOLDER) / f"{statement.hex()}.json"

    def _published(self) -> set[str]:
        """Digests of all proofs on the list, and of all that are kept."""
        return {line.split()[-1] for line in self._lines()} | {_digest(self._read(file)) for file in self._kept()}

    def _kept(self) -> Iterator[Path]:
        return self.path.with_name(PROOFS_FOLDER).glob("*.json")

    def _lines(self) -> list[str]:
        try:
            text = self.path.read_bytes().decode()
            lines = text.split("\n")
            if lines.pop() or not all(_LINE.fullmatch(line) for line in lines):
                raise ValueError("it holds more than lines of two digests")
            return lines
        except (OSError, ValueError) as error:
            raise PackageError(
                f"{self.path} can't be read: {error}. Restore it: it says which proofs were published, and without it "
                "too many could be. If it is lost, prepare the model again."
            ) from error

    def _read(self, file: Path) -> Proof:
        try:
            return Proof.from_bytes(file.read_bytes())
        except (OSError, ValueError) as error:
            raise PackageError(
                f"{file} is no proof: {error}. Restore it: another one must not be published."
            ) from error


def _digest(proof: Proof) -> str:
    """Of what is kept, instances included."""
    return keccak(proof.to_bytes()).hex()
