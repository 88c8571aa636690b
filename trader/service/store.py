"""The seller's own mailbox: an index of messages, and their bytes as artifacts.

What buyers have uploaded comes in through `trader.service.uploads`; packages, responses and models the seller puts
itself, in its process. Nobody else writes here, and whose a message is stands in the index: so one of a name does not
hide another's, no name has to be taken before others learn it, and nothing has to be looked after once it lies there.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from sqlalchemy import delete, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert

from trader.artifacts import DamagedArtifactError, MissingArtifactError, StoreError, StoreFaultError
from trader.exchange import (
    PUBLIC_KINDS,
    Incoming,
    Kind,
    Mailbox,
    MailboxFaultError,
    NotDeliveredError,
    SkippedMessageError,
)
from trader.exchange.mailbox import PIECE_BYTES
from trader.exchange.signing import TRAILER_BYTES, sign_trailer
from trader.exchange.skipping import Skipping
from trader.service.errors import IndexFaultError
from trader.service.index import ENDED, MESSAGES, UPLOADS, has_ended
from zk.binding.merkle import keccak256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from sqlalchemy import Connection

    from trader.artifacts import ArtifactStore, Blob, Staged
    from trader.exchange import Label
    from trader.service.index import Index
    from trader.signer import Signer

T = TypeVar("T")

SELLERS_KINDS = PUBLIC_KINDS | {Kind.RESPONSE, Kind.MODEL}
"""What sellers write; buyers write the others."""
LOOK_AGAIN_SECONDS = 60.0
"""So often it is checked that the bytes of what was put are still in the store."""


class StoredMessage(NamedTuple):
    """A message in the index.

    Attributes:
        name: Its label's.
        sender: Address of its sender, in lower case.
        trade_id: The trade that it belongs to; 0 for packages.
        artifact: SHA-256 of message and trailer, in hex.
        size_bytes: Of message and trailer.
        digest: keccak256 of the message.
        written_at: Unix time in seconds.
    """

    name: str
    sender: str
    trade_id: int
    artifact: str
    size_bytes: int
    digest: bytes
    written_at: int


class StoreMailbox(Mailbox):
    """The mailbox of a seller that runs a service.

    Attributes:
        index: Which messages there are.
        store: Their bytes.
        seller: Address of its owner, in lower case.
    """

    def __init__(self, index: Index, store: ArtifactStore, endpoint: str, seller: str) -> None:
        self.index = index
        self.store = store
        self.seller = seller.lower()
        self._endpoint = endpoint
        self._skipping = Skipping()
        self._seen: dict[str, float] = {}

    @property
    def endpoint(self) -> str:
        """The service's URL."""
        return self._endpoint

    # ------------------------------------------------------------------------------------------------------ sending

    def reserve(self, label: Label) -> None:
        """Do nothing: nobody else writes the seller's messages."""

    def needs_delivery(self, label: Label) -> bool:
        """Return whether the seller's message is not there, as far as was looked in the last minute."""
        now = time.monotonic()
        if now < self._seen.get(label.name, float("-inf")):
            return False
        found = self.find(label.name, self.seller)
        if found is None or not self.store.has(found.artifact):
            return True
        self._seen[label.name] = now + LOOK_AGAIN_SECONDS
        return False

    def holds(self, label: Label, sender: str, limit_bytes: int) -> bytes | None:
        """Return the keccak256 of the sender's message if it is there, whole and of at most `limit_bytes`."""
        found = self.find(label.name, sender)
        if found is None or found.size_bytes > limit_bytes + TRAILER_BYTES:
            return None
        try:
            self.store.open(found.artifact).close()
        except StoreFaultError as error:
            raise MailboxFaultError(str(error)) from error
        except StoreError:
            return None
        return found.digest

    def put(self, label: Label, message: bytes | memoryview, account: Signer) -> bool:
        """Keep a message, unless it is there.

        Returns:
            Whether it had to be written.

        Raises:
            MailboxFaultError: Index or store can't be written.
        """
        digest = keccak256(message)
        with self._faults():
            if self.holds(label, account.address, len(message)) == digest:
                return False
            pieces = _pieces(memoryview(message), sign_trailer(label, digest, account))
            with self.store.stage(pieces, len(message) + TRAILER_BYTES) as staged, self.index.writing() as connection:
                self.add(connection, label, account.address, label.trade_id, digest, staged)
        return True

    def add(
        self, connection: Connection, label: Label, sender: str, trade_id: int, digest: bytes, staged: Staged
    ) -> None:
        """Give a staged message its name, in the place of the sender's earlier one, within a writer's transaction.

        Args:
            connection: The transaction. With it nobody removes the artifact between its name and its row.
            label: Which message.
            sender: Whose, as its trailer was found to say.
            trade_id: The trade that it belongs to.
            digest: keccak256 of the message.
            staged: Message and trailer.
        """
        earlier = connection.execute(
            select(MESSAGES.c.artifact).where(MESSAGES.c.name == label.name, MESSAGES.c.sender == sender.lower())
        ).scalar_one_or_none()
        blob = staged.commit()
        row = StoredMessage(
            label.name, sender.lower(), trade_id, blob.digest, blob.size_bytes, digest, int(time.time())
        )
        connection.execute(
            upsert(MESSAGES)
            .values(row._asdict())
            .on_conflict_do_update(index_elements=["name", "sender"], set_=row._asdict())
        )
        # At once: whoever puts one message in another's place again and again must not fill the store.
        if earlier is not None and not _is_needed(connection, earlier):
            self.store.delete(earlier)

    # ---------------------------------------------------------------------------------------------------- receiving

    def take(self, label: Label, sender: str, limit_bytes: int, read: Callable[[Incoming], T]) -> T:
        """Take a message that has arrived; as `Mailbox.take`."""
        found = self.find(label.name, sender)
        if found is None:
            raise NotDeliveredError(f"the {label} has not arrived")
        if found.size_bytes > limit_bytes + TRAILER_BYTES:
            size = found.size_bytes - TRAILER_BYTES
            raise SkippedMessageError(f"the {label} has {size} bytes, more than the {limit_bytes} allowed")
        self._skipping.raise_if_skipped(label, sender, found.artifact)
        with self.open(found) as file, self._skipping.judging(label, sender, found.artifact):
            return read(Incoming(file, found.size_bytes - TRAILER_BYTES, found.digest))

    def find(self, name: str, sender: str) -> StoredMessage | None:
        """Return the message of this name and sender, if there is one.

        Raises:
            MailboxFaultError: The index can't be read.
        """
        query = select(MESSAGES).where(MESSAGES.c.name == name, MESSAGES.c.sender == sender.lower())
        with self._faults(), self.index.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else StoredMessage(**row._mapping)  # public: SQLAlchemy documents it

    def open(self, message: StoredMessage) -> BinaryIO:
        """Open a message's bytes, trailer and all, seekable; they are what was put.

        What is damaged or gone is struck off the index, so that its sender puts it again.

        Raises:
            NotDeliveredError: They are not there any more.
            MailboxFaultError: The store can't be read.
        """
        try:
            with self._faults():
                return self.store.open(message.artifact)
        except (DamagedArtifactError, MissingArtifactError) as error:
            self._strike(message)
            raise NotDeliveredError(f"{message.name} has to be put again: {error}") from error

    def _strike(self, message: StoredMessage) -> None:
        self._seen.pop(message.name, None)
        with self._faults(), self.index.writing() as connection:
            connection.execute(delete(MESSAGES).where(MESSAGES.c.artifact == message.artifact))

    # --------------------------------------------------------------------------------------------------- forgetting

    def forget_trade(self, trade_id: int) -> None:
        """Drop the messages of a trade that is over; buyers can't upload to it any more.

        Raises:
            MailboxFaultError: The index can't be written.
        """
        with self._faults(), self.index.writing() as connection:
            for table in (MESSAGES, UPLOADS):
                connection.execute(delete(table).where(table.c.trade_id == trade_id))
            if not has_ended(connection, trade_id):
                connection.execute(insert(ENDED).values(trade_id=trade_id))

    def forget(self, label: Label, sender: str) -> None:
        """Drop one message: the package of a listing that is closed, for instance.

        Raises:
            MailboxFaultError: The index can't be written.
        """
        with self._faults(), self.index.writing() as connection:
            connection.execute(
                delete(MESSAGES).where(MESSAGES.c.name == label.name, MESSAGES.c.sender == sender.lower())
            )

    def collect(self, age_seconds: float = 3600.0) -> list[Blob]:
        """Remove artifacts that no message is made of; return them.

        Args:
            age_seconds: Those that were written more recently stay.

        Raises:
            MailboxFaultError: Index or store can't be written.
        """
        with self._faults():
            return self.store.collect(age_seconds, self._unless_needed)

    @contextmanager
    def _unless_needed(self, digest: str) -> Iterator[bool]:
        with self.index.writing() as connection:
            yield not _is_needed(connection, digest)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (IndexFaultError, StoreFaultError) as error:
            raise MailboxFaultError(str(error)) from error


def _is_needed(connection: Connection, artifact: str) -> bool:
    return connection.execute(select(MESSAGES).where(MESSAGES.c.artifact == artifact)).first() is not None


def _pieces(message: memoryview, trailer: bytes) -> Iterator[bytes | memoryview]:
    for start in range(0, len(message), PIECE_BYTES):
        yield message[start : start + PIECE_BYTES]
    yield trailer
