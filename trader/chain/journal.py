"""What an account has sent and not seen to stand, on disk: so that threads and processes give no number (nonce) twice.

One folder for each account on each chain, one file for each number, written before the transaction leaves. A process
holds the numbers that it waits for (a lock that ends with it); a number that nobody holds was left by one that was
killed, or that has stopped waiting. What is written has no secrets: hashes of what was signed, and fees.
"""

from __future__ import annotations

import fcntl
import json
import os
import weakref
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from trader.chain.fees import Bid, Fees
from trader.errors import EnvironmentFaultError
from trader.files import exclusive, write_file

if TYPE_CHECKING:
    from collections.abc import Iterator

ENTRY_SUFFIX: Final = ".json"
HOLD_SUFFIX: Final = ".lock"
TRIAL: Final = "trial"
"""Empty: written to see whether there is room."""
FLOOR: Final = "floor"
"""How many transactions of the account were seen confirmed: a node that knows fewer is behind."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A number of an account, and the versions of the transaction that has it.

    Attributes:
        nonce: The number.
        call: keccak256 of recipient and calldata: what makes two transactions versions of one.
        bid: What was offered for it; None before the first version is signed.
        versions: Hashes of what was signed, oldest first.
        secret: Whether only a relay has it, so that the node does not know it.
        sent_at_seconds: When the newest version was signed, in Unix time.
        returned: Whether whoever sent it has seen it in a block.
    """

    nonce: int
    call: bytes
    bid: Bid | None = None
    versions: tuple[bytes, ...] = ()
    secret: bool = False
    sent_at_seconds: int = 0
    returned: bool = False

    def signed(self, version: bytes, fees: Fees, now_seconds: int) -> Self:
        """Return the entry with another version."""
        first = fees if self.bid is None else self.bid.first
        bid, versions = Bid(first, fees), (*self.versions, version)
        return replace(self, bid=bid, versions=versions, sent_at_seconds=now_seconds)

    def to_bytes(self) -> bytes:
        """Return it as JSON."""
        bid = self.bid and [self.bid.first.most, self.bid.first.tip, self.bid.newest.most, self.bid.newest.tip]
        return json.dumps(
            {
                "nonce": self.nonce,
                "call": self.call.hex(),
                "bid": bid,
                "versions": [version.hex() for version in self.versions],
                "secret": self.secret,
                "sent_at_seconds": self.sent_at_seconds,
                "returned": self.returned,
            }
        ).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read it.

        Raises:
            ValueError: It is none.
        """
        try:
            found = json.loads(data)
            bid = found["bid"] and Bid(Fees(*found["bid"][:2]), Fees(*found["bid"][2:]))
            call, versions = bytes.fromhex(found["call"]), tuple(map(bytes.fromhex, found["versions"]))
            rest = bool(found["secret"]), int(found["sent_at_seconds"]), bool(found["returned"])
            return cls(int(found["nonce"]), call, bid, versions, *rest)
        except (KeyError, TypeError) as error:
            raise ValueError(f"no entry of a journal: {error!r}") from error


class Hold:
    """A number that this process waits for, as long as this object lives or until `release`."""

    def __init__(self, descriptor: int) -> None:
        self._close = weakref.finalize(self, os.close, descriptor)

    def release(self) -> None:
        """Let others have it; twice is no harm."""
        self._close()


class Journal:
    """The numbers of one account on one chain; all but `hold` and `floor` are used in `alone`."""

    def __init__(self, folder: Path) -> None:
        """Say where it is; the folder is made when it is first used."""
        self.folder = folder

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Run the block while no other thread or process changes the journal.

        Raises:
            EnvironmentFaultError: The folder can't be used.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error
        with exclusive(self.folder):
            yield

    def read(self) -> dict[int, Entry]:
        """Return all entries by their numbers.

        Raises:
            EnvironmentFaultError: One can't be read.
        """
        found: dict[int, Entry] = {}
        for path in sorted(self.folder.glob(f"[0-9]*{ENTRY_SUFFIX}")):
            try:
                entry = Entry.from_bytes(path.read_bytes())
            except (OSError, ValueError) as error:
                raise EnvironmentFaultError(
                    f"{path} can't be read ({error}): it says what was sent. Remove it once none of the account's "
                    "transactions waits to be mined."
                ) from error
            found[entry.nonce] = entry
        return found

    def write(self, entry: Entry) -> None:
        """Keep an entry, durably, in the place of the one with its number."""
        write_file(self._path(entry.nonce, ENTRY_SUFFIX), entry.to_bytes(), secret=True)

    def forget(self, nonce: int) -> None:
        """Let an entry go; whoever holds its number is not disturbed."""
        for suffix in (ENTRY_SUFFIX, HOLD_SUFFIX):
            self._path(nonce, suffix).unlink(missing_ok=True)

    def hold(self, nonce: int) -> Hold | None:
        """Take a number for this process; None where another thread or process has it.

        Raises:
            EnvironmentFaultError: The folder can't be used.
        """
        try:
            descriptor = os.open(self._path(nonce, HOLD_SUFFIX), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                return None
            raise self._unusable(error) from error
        return Hold(descriptor)

    def is_usable(self) -> bool:
        """Return whether it can be read and written now."""
        try:
            with self.alone():
                self.read()
                write_file(self.folder / TRIAL, b"")
        except EnvironmentFaultError:
            return False
        return True

    @property
    def floor(self) -> int:
        """How many transactions of the account were seen confirmed."""
        try:
            return int((self.folder / FLOOR).read_text())
        except (OSError, ValueError):
            return 0

    def raise_floor(self, count: int) -> None:
        """Remember that so many were."""
        if count > self.floor:
            write_file(self.folder / FLOOR, str(count).encode())

    def _path(self, nonce: int, suffix: str) -> Path:
        return self.folder / f"{nonce}{suffix}"

    def _unusable(self, error: OSError) -> EnvironmentFaultError:
        return EnvironmentFaultError(f"{self.folder} can't be used: {error.strerror}. Choose another folder.")


class Unwritten(Journal):
    """A journal in memory: a key that is due must not wait for room on the disk."""

    def __init__(self) -> None:
        """Begin."""
        super().__init__(Path(os.devnull))
        self._entries: dict[int, Entry] = {}

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Run the block; nobody else has this journal."""
        yield

    def read(self) -> dict[int, Entry]:
        """Return all entries by their numbers."""
        return dict(self._entries)

    def write(self, entry: Entry) -> None:
        """Keep an entry."""
        self._entries[entry.nonce] = entry

    def forget(self, nonce: int) -> None:
        """Let an entry go."""
        self._entries.pop(nonce, None)

    def hold(self, nonce: int) -> Hold | None:  # noqa: ARG002 - nobody else waits for it
        """Take a number."""
        return Hold(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))

    def raise_floor(self, count: int) -> None:
        """Remember nothing."""
