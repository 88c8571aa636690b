"""Messages on their way in: resumable uploads, after the protocol tus 1.0.0 (https://tus.io/protocols/resumable-upload).

An upload is announced with everything that decides about it: the message's name, its length, and its trailer, the
sender's signature of name and digest. So whose it is, whether it may be so long, and whether there is room are known
before its first byte, and its room is the account's from then on. Bytes go to a file of the service's folder, whose
length is the offset; when it is whole, and its digest the signed one, it becomes a message. One account has one upload
of a name at a time: announced again, the same one is gone on with, and another one takes its place.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import time
from base64 import b64decode
from binascii import Error as Base64Error
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from Crypto.Hash import keccak
from sqlalchemy import delete, func, insert, select, update

from trader.exchange import Kind, Label, MessageError, SkippedMessageError
from trader.exchange.mailbox import PIECE_BYTES
from trader.exchange.signing import TRAILER_BYTES, read_trailer
from trader.service.access import NOT_KNOWN_RETRY_SECONDS
from trader.service.errors import RefusedError
from trader.service.index import MESSAGES, UPLOADS, bytes_held, has_ended
from trader.service.store import SELLERS_KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from trader.service.book import OpenedSession, TradeBook
    from trader.service.settings import ServiceSettings
    from trader.service.store import StoreMailbox

MOST_OF_A_KIND: Final = 8
"""As many messages with audit inputs may a trade have, one per purchase that its buyer has begun; and as many with an
acceptance, one per delivery."""
_UPLOAD_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)


class Announcement(NamedTuple):
    """What a buyer is going to upload.

    Attributes:
        label: Which message.
        size_bytes: Its length, without trailer.
        trailer: What its sender has signed.
    """

    label: Label
    size_bytes: int
    trailer: bytes

    @classmethod
    def parse(cls, length: str | None, metadata: str | None, chain_id: int, market: str) -> Announcement:
        """Read the headers `Upload-Length` and `Upload-Metadata` (`name …,trailer …`, each in Base64).

        Raises:
            RefusedError: They are missing, malformed, or name a message of another market.
        """
        if length is None or not (length.isascii() and length.isdigit() and 0 < len(length) < 16 and int(length)):
            raise RefusedError(400, "bad Upload-Length", "It must be the message's bytes, in digits, and at least 1.")
        fields = dict(field.strip().partition(" ")[::2] for field in (metadata or "").split(","))
        try:
            name, trailer = (b64decode(fields[key], validate=True) for key in ("name", "trailer"))
            label = Label.parse(name.decode("ascii"))
        except (KeyError, Base64Error, ValueError, MessageError) as error:
            raise RefusedError(
                400, "bad Upload-Metadata", "It must have a message's name and its trailer, both in Base64."
            ) from error
        require_market(label, chain_id, market)
        return cls(label, int(length), trailer)


class Upload(NamedTuple):
    """An upload under way.

    Attributes:
        upload_id: Names it, to its sender alone.
        name: Of the message.
        sender: Address, in lower case.
        trade_id: The trade that the message belongs to.
        size_bytes: Length of the message, without trailer.
        trailer: What its sender has signed.
        expires_at: Unix time in seconds, unless more bytes come.
    """

    upload_id: str
    name: str
    sender: str
    trade_id: int
    size_bytes: int
    trailer: bytes
    expires_at: int


class Uploads:
    """The uploads of one service; each method blocks, for a moment or for as long as a disk takes."""

    def __init__(
        self,
        settings: ServiceSettings,
        mailbox: StoreMailbox,
        book: TradeBook,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._mailbox = mailbox
        self._index = mailbox.index
        self._book = book
        self._clock = clock
        self._folder = settings.folder / "uploads"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    # ---------------------------------------------------------------------------------------------------- announcing

    def announce(self, announced: Announcement, account: str) -> tuple[Upload, int]:
        """Take a buyer's announcement; return the upload, and how many of its bytes are here already.

        Raises:
            RefusedError: It is not this account's to write, too long, signed by somebody else, or there is no room.
        """
        session = self._session(announced.label, account)
        limit_bytes = self._book.limit_bytes(announced.label.kind, session)
        if announced.size_bytes > limit_bytes:
            raise RefusedError(
                413, "message too long", f"It may have {limit_bytes} bytes, by what its session was charged for."
            )
        try:
            read_trailer(announced.label, announced.trailer, account)
        except SkippedMessageError as error:
            raise RefusedError(
                422, "not the sender's message", f"{error}. Sign it with the account that asks."
            ) from error
        with self._index.writing() as connection:
            if has_ended(connection, session.trade_id):
                raise RefusedError(410, "trade over", f"Trade {session.trade_id} has ended: nothing is taken for it.")
            upload = self._find_announced(connection, announced, account)
            if upload is None:
                self._require_room(connection, announced, account, session)
                upload = self._insert(connection, announced, account, session)
        return upload, self.offset(upload)

    def _session(self, label: Label, account: str) -> OpenedSession:
        if label.kind in SELLERS_KINDS:
            raise RefusedError(403, "not a buyer's message", f"The seller writes its {label.kind.value}s itself.")
        if label.kind is Kind.REQUEST:
            session = None if label.trade_id else self._book.session_of(account, label.anchor)
        else:
            session = self._book.session_of_trade(label.trade_id)
        if session is None or session.buyer != account:
            raise RefusedError(
                403,
                "not this account's message",
                "No confirmed block says that it is. If you have just opened the session, wait for its confirmation.",
                {"Retry-After": str(NOT_KNOWN_RETRY_SECONDS)},
            )
        return session

    def _find_announced(self, connection: Connection, announced: Announcement, account: str) -> Upload | None:
        """Return the upload that was announced before; another one of the same name is dropped."""
        same_name = (UPLOADS.c.name == announced.label.name, UPLOADS.c.sender == account)
        row = connection.execute(select(UPLOADS).where(*same_name)).first()
        if row is None:
            return None
        upload = Upload(**row._mapping)  # public: SQLAlchemy documents it
        if (upload.trailer, upload.size_bytes) == (announced.trailer, announced.size_bytes):
            upload = upload._replace(expires_at=self._expiry())
            connection.execute(update(UPLOADS).where(*same_name).values(expires_at=upload.expires_at))
            return upload
        connection.execute(delete(UPLOADS).where(*same_name))
        # At once: whoever announces one message after the other must not fill the disk with their beginnings.
        (self._folder / upload.upload_id).unlink(missing_ok=True)
        return None

    def _require_room(
        self, connection: Connection, announced: Announcement, account: str, session: OpenedSession
    ) -> None:
        settings, size = self._settings, announced.size_bytes
        kind = announced.label.kind
        if kind is not Kind.REQUEST:
            pattern = f"{kind.value}-%"
            count = sum(
                connection.execute(
                    select(func.count()).where(table.c.trade_id == session.trade_id, table.c.name.like(pattern))
                ).scalar_one()
                for table in (MESSAGES, UPLOADS)
            )
            if count >= MOST_OF_A_KIND:
                raise RefusedError(
                    413, "too many messages", f"Trade {session.trade_id} has {count} of this kind already."
                )
        held = bytes_held(connection, account)
        if held + size > settings.account_quota_bytes:
            raise RefusedError(
                413,
                "quota used up",
                f"Your account has {held} of {settings.account_quota_bytes} bytes here, {size} more were announced. "
                "Wait until a trade of yours has ended.",
            )
        free = shutil.disk_usage(self._folder).free - self._promised(connection)
        # Twice: until it is a message, it lies in two places.
        if bytes_held(connection) + size > settings.total_quota_bytes or free - 2 * size < settings.minimum_free_bytes:
            raise _full("The seller has no room at present. Try again.")

    def _promised(self, connection: Connection) -> int:
        """Return the bytes that uploads under way have been promised, and not yet sent."""
        return sum(
            max(0, row.size_bytes - _size_of(self._folder / row.upload_id)) + row.size_bytes
            for row in connection.execute(select(UPLOADS.c.upload_id, UPLOADS.c.size_bytes))
        )

    def _insert(self, connection: Connection, announced: Announcement, account: str, session: OpenedSession) -> Upload:
        upload = Upload(
            secrets.token_hex(16),
            announced.label.name,
            account,
            session.trade_id,
            announced.size_bytes,
            announced.trailer,
            self._expiry(),
        )
        connection.execute(insert(UPLOADS).values(upload._asdict()))
        return upload

    def _expiry(self) -> int:
        return int(self._clock()) + self._settings.upload_lifetime_seconds

    # ------------------------------------------------------------------------------------------------------ receiving

    def find(self, upload_id: str, account: str) -> Upload:
        """Return an upload of the account.

        Raises:
            RefusedError: It has none of this name, or it is over.
        """
        query = select(UPLOADS).where(UPLOADS.c.upload_id == upload_id, UPLOADS.c.sender == account)
        with self._index.reading() as connection:
            row = connection.execute(query).first() if _UPLOAD_ID.fullmatch(upload_id) else None
        if row is None or row.expires_at <= self._clock():
            raise RefusedError(
                404, "no such upload", "It is finished, has expired, or never was yours: announce it again."
            )
        return Upload(**row._mapping)

    def offset(self, upload: Upload) -> int:
        """Return how many bytes of it are here."""
        return _size_of(self._folder / upload.upload_id)

    @contextmanager
    def receiving(self, upload: Upload, offset: int, count: int) -> Iterator[Receiver]:
        """Open an upload for its next `count` bytes, in which nobody else writes it.

        Raises:
            RefusedError: Somebody does; or it does not stand at this offset; or they are more than were announced.
        """
        path = self._folder / upload.upload_id
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RefusedError(
                    423, "upload in use", "Another request is writing it.", {"Retry-After": "1"}
                ) from error
            actual = os.fstat(file.fileno()).st_size
            if offset != actual:
                raise RefusedError(
                    409, "wrong offset", f"The upload stands at {actual}.", {"Upload-Offset": str(actual)}
                )
            if actual + count > upload.size_bytes:
                raise RefusedError(413, "more than was announced", f"{upload.size_bytes - actual} bytes are missing.")
            yield Receiver(file.fileno(), count)

    def extend(self, upload: Upload) -> int:
        """Let an upload to which bytes came live on; return until when."""
        expires_at = self._expiry()
        with self._index.writing() as connection:
            connection.execute(
                update(UPLOADS).where(UPLOADS.c.upload_id == upload.upload_id).values(expires_at=expires_at)
            )
        return expires_at

    def finish(self, upload: Upload) -> None:
        """Make a message of an upload that is whole.

        Raises:
            RefusedError: Its digest is not the signed one; the upload is dropped. Or its trade has ended meanwhile.
            StoreFaultError: The store can't be written; the upload stays, whole.
        """
        label = Label.parse(upload.name)
        digest = read_trailer(label, upload.trailer, upload.sender)
        path = self._folder / upload.upload_id
        hasher = keccak.new(digest_bits=256)

        def pieces() -> Iterator[bytes]:
            with path.open("rb") as file:
                while piece := file.read(PIECE_BYTES):
                    hasher.update(piece)
                    yield piece
            yield upload.trailer

        with self._mailbox.store.stage(pieces(), upload.size_bytes + TRAILER_BYTES) as staged:
            if hasher.digest() != digest:
                self.drop(upload)
                raise RefusedError(
                    422, "not the signed bytes", "They came damaged, or others were signed. Announce the message again."
                )
            with self._index.writing() as connection:
                own = UPLOADS.c.upload_id == upload.upload_id
                # Dropped meanwhile: its trade has ended, or another message was announced in its place.
                if connection.execute(delete(UPLOADS).where(own)).rowcount != 1:
                    raise RefusedError(410, "upload over", "It was dropped while it was being finished.")
                self._mailbox.add(connection, label, upload.sender, upload.trade_id, digest, staged)
        path.unlink(missing_ok=True)

    def drop(self, upload: Upload) -> None:
        """Give an upload up."""
        with self._index.writing() as connection:
            connection.execute(delete(UPLOADS).where(UPLOADS.c.upload_id == upload.upload_id))
        (self._folder / upload.upload_id).unlink(missing_ok=True)

    def sweep(self) -> int:
        """Drop uploads that have expired, and files of uploads that are no more; return how many files went."""
        with self._index.writing() as connection:
            connection.execute(delete(UPLOADS).where(UPLOADS.c.expires_at <= int(self._clock())))
            living = set(connection.execute(select(UPLOADS.c.upload_id)).scalars())
            # Inside the transaction: no upload is announced meanwhile.
            gone = [path for path in self._folder.iterdir() if path.name not in living]
            for path in gone:
                path.unlink(missing_ok=True)
        return len(gone)


class Receiver:
    """Writes the bytes that come, at most as many as were said, a piece at a time."""

    def __init__(self, descriptor: int, count: int) -> None:
        self._descriptor = descriptor
        self._left = count

    def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            RefusedError: They are more than were said, or the disk is full; what was written stays.
        """
        if len(data) > self._left:
            raise RefusedError(400, "more bytes than Content-Length", "Say how many come.")
        view = memoryview(data)
        while view:
            try:
                written = os.write(self._descriptor, view)
            except OSError as error:
                raise _full("The seller's disk is full. Go on later.") from error
            self._left -= written
            view = view[written:]


def require_market(label: Label, chain_id: int, market: str) -> None:
    """Look whether a message is one of this market.

    Raises:
        RefusedError: It is not.
    """
    if (label.chain_id, label.market.lower()) != (chain_id, market.lower()):
        raise RefusedError(404, "no such message", "This service trades in another market, or on another chain.")


def _full(detail: str) -> RefusedError:
    return RefusedError(507, "no room", detail, {"Retry-After": "60"})


def _size_of(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0
