"""A content-addressed store through fsspec.

An artifact is named by its SHA-256, in hex: not keccak256, which names things on the chain, because SHA-256 is in
every processor and standard library, several times as fast, and what buckets, registries and `sha256sum` speak.

    root/blobs/ab/abcdef…   whole artifacts, and nothing else
    root/staging/<random>   what is being written; moved when it is whole

So a crash leaves no half artifact under a final name. In a folder the bytes are on the disk before the name is, and
a move takes the place of what has the name: putting an artifact again mends a damaged one. A store that is no folder
(S3) is read through copies in a folder of this machine, whose size is bounded.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple
from urllib.parse import urlsplit

import fsspec
from fsspec.implementations.local import LocalFileSystem
from platformdirs import user_cache_path

from trader.artifacts.errors import (
    ArtifactTooLargeError,
    DamagedArtifactError,
    MissingArtifactError,
    StoreError,
    StoreFaultError,
)
from trader.errors import TraderError
from trader.files import sync_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager
    from io import BufferedReader
    from types import TracebackType

    from fsspec import AbstractFileSystem

PIECE_BYTES: Final = 1 << 20
LIMIT_BYTES: Final = 1 << 33
"""Most bytes of one artifact, unless it is told otherwise."""
CACHE_BYTES: Final = 1 << 34
"""Most bytes of the copies of a store that is no folder; one artifact more while it is copied."""
_PART_BYTES: Final = 8 << 20
"""As much is sent to a bucket at once; 10,000 parts are the most that S3 takes."""
_OBJECT_STORES: Final = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "adl", "oci", "oss"})
"""Protocols without folders. To make one there would make a bucket, of whatever name somebody has mistyped."""
_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Blob(NamedTuple):
    """An artifact: what it is called, and how long it is.

    Attributes:
        digest: SHA-256 of its bytes, 64 hex digits in lower case.
        size_bytes: Its length.
    """

    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Staged:
    """An artifact that is whole in the store, and has no name there yet; a context manager, which drops it at its end.

    Attributes:
        blob: What it will be called.
        path: Where it is.
        store: The store.
    """

    blob: Blob
    path: str
    store: ArtifactStore

    def commit(self) -> Blob:
        """Give it its name, in the place of what may have that.

        Raises:
            StoreFaultError: The store does not answer, or refuses.
        """
        self.store.move_in(self)
        return self.blob

    def __enter__(self) -> Staged:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.store.drop(self.path)


class ArtifactStore:
    """Artifacts below one URL.

    Attributes:
        url: For messages; it has no password in it.
    """

    def __init__(self, filesystem: AbstractFileSystem, root: str, url: str, cache: ArtifactStore | None = None) -> None:
        """Use a file system of fsspec; `ArtifactStore.at` is the way for others.

        Args:
            filesystem: Without a cache of listings.
            root: Path in it.
            url: For messages.
            cache: Where copies are read from; None where the file system is this machine's.
        """
        self.url = url
        self._fs = filesystem
        self._root = root.rstrip("/")
        self._cache = cache
        self._verified: dict[str, tuple[int, ...]] = {}

    @classmethod
    def at(cls, url: str, *, cache: Path | None = None, **options: Any) -> ArtifactStore:
        """Open the store at a URL.

        Args:
            url: A folder's path or `file://` URL, which is made as needed, or any URL that fsspec knows: `s3://bucket/…`.
            cache: Folder for copies of a store that is no folder; by default one in the user's cache.
            options: For fsspec, `endpoint_url` for instance. Credentials are found where the store's own tools find
                them (environment, `~/.aws`), so that they stand in no URL.

        Raises:
            StoreError: fsspec does not know it, its library is missing, or it holds a password.
            StoreFaultError: The folder can't be made.
        """
        parts = urlsplit(url)
        if parts.username is not None or parts.password is not None:
            raise StoreError(
                f"the URL of the store at {parts.hostname} holds credentials, which end up in logs: put them where "
                "its own tools look for them (for S3 the environment or ~/.aws)"
            )
        try:
            filesystem, root = fsspec.url_to_fs(url, use_listings_cache=False, **options)
        except (ValueError, ImportError) as error:
            raise StoreError(
                f"the artifact store {url!r} can't be opened: {error}. Give a folder, or a URL that fsspec knows; "
                "for s3:// install the extra `modelseal[s3]`"
            ) from error
        if isinstance(filesystem, LocalFileSystem):
            try:
                Path(root).mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise StoreFaultError(f"the folder {root} can't be made: {error.strerror}. Choose another.") from error
            return cls(filesystem, root, url)
        copies = user_cache_path("modelseal") / "artifacts" if cache is None else cache
        return cls(filesystem, root, url, cls.at(str(copies)))

    # ------------------------------------------------------------------------------------------------------- writing

    def put(self, pieces: Iterable[bytes | memoryview], limit_bytes: int = LIMIT_BYTES) -> Blob:
        """Keep an artifact; what is there already takes no more room.

        Args:
            pieces: Its bytes, one after the other; no more than a piece of them is in memory.
            limit_bytes: Most bytes that it may have.

        Raises:
            ArtifactTooLargeError: It has more.
            StoreFaultError: The store does not answer, is full or refuses.
        """
        with self.stage(pieces, limit_bytes) as staged:
            return staged.commit()

    def stage(self, pieces: Iterable[bytes | memoryview], limit_bytes: int = LIMIT_BYTES) -> Staged:
        """Write an artifact without giving it its name; as `put`, in two steps."""
        path = f"{self._root}/staging/{secrets.token_hex(16)}"
        hasher, size = hashlib.sha256(), 0
        try:
            with self._reaching("written to"):
                self._make_folder(path)
                with self._fs.open(path, "wb", block_size=_PART_BYTES) as file:
                    for piece in pieces:
                        size += len(piece)
                        if size > limit_bytes:
                            raise ArtifactTooLargeError(
                                f"the artifact has more than the {limit_bytes} bytes that are allowed for it"
                            )
                        hasher.update(piece)
                        file.write(piece)
                    if self._is_folder:
                        file.flush()
                        os.fsync(file.fileno())
        except BaseException:
            self.drop(path)
            raise
        return Staged(Blob(hasher.hexdigest(), size), path, self)

    def move_in(self, staged: Staged) -> None:
        """Give a staged artifact its name; `Staged.commit` calls it."""
        path = self._path(staged.blob.digest)
        with self._reaching("written to"):
            self._make_folder(path)
            self._fs.mv(staged.path, path)
            if self._is_folder:
                sync_folder(Path(path).parent)
            if self._fs.size(path) != staged.blob.size_bytes:
                raise StoreFaultError(f"the store {self.url} has lost bytes while it moved an artifact: put it again")

    def drop(self, path: str) -> None:
        """Remove what was staged, if it is still there."""
        with suppress(Exception):  # what stays is removed by `collect`
            self._fs.rm_file(path)

    def delete(self, digest: str) -> None:
        """Remove an artifact; one that is not there is fine.

        Raises:
            StoreFaultError: The store does not answer, or refuses.
        """
        with self._reaching("written to"), suppress(FileNotFoundError):
            self._fs.rm_file(self._path(digest))
        self._verified.pop(digest, None)
        if self._cache is not None:
            self._cache.delete(digest)

    def collect(self, age_seconds: float, deletable: Callable[[str], AbstractContextManager[bool]]) -> list[Blob]:
        """Remove artifacts that nobody needs, and what crashes have left in the staging.

        Args:
            age_seconds: What was written more recently stays.
            deletable: Given a digest, a context that yields whether it may go, and in which nobody comes to need it.

        Returns:
            What was removed.

        Raises:
            StoreFaultError: The store does not answer, or refuses.
        """
        before = time.time() - age_seconds
        removed = []
        for blob in self.blobs():
            if self._written_after(self._path(blob.digest), before):
                continue
            with deletable(blob.digest) as may_go:
                if may_go:
                    self.delete(blob.digest)
                    removed.append(blob)
        for path in self._find("staging"):
            if not self._written_after(path, before):
                self.drop(path)
        return removed

    # ------------------------------------------------------------------------------------------------------- reading

    def has(self, digest: str) -> bool:
        """Return whether an artifact is there; not whether its bytes are right, which `open` checks.

        Raises:
            StoreFaultError: The store does not answer, or refuses.
        """
        with self._reaching("read"):
            return bool(self._fs.exists(self._path(digest)))

    def blobs(self) -> Iterator[Blob]:
        """Yield what is there, in no order.

        Raises:
            StoreFaultError: The store does not answer, or refuses.
        """
        for path, info in self._find("blobs").items():
            name = path.rpartition("/")[2]
            if _DIGEST.fullmatch(name):
                yield Blob(name, int(info["size"] or 0))

    def open(self, digest: str) -> BinaryIO:
        """Open an artifact, read-only and seekable, once all of its bytes have been found to be right.

        They are read for that once, and again when the file has changed since.

        Raises:
            MissingArtifactError: It is not there.
            DamagedArtifactError: Other bytes are.
            StoreFaultError: The store does not answer, or refuses.
        """
        if self._cache is not None:
            return self._open_copy(digest, self._cache)
        with self._reaching("read"):
            # Not fsspec's wrapper: readers want a file's descriptor.
            file = Path(self._path(digest)).open("rb")  # noqa: SIM115 - the caller's
        try:
            self._verify(digest, file)
        except BaseException:
            file.close()
            raise
        return file

    def _verify(self, digest: str, file: BufferedReader) -> None:
        status = os.fstat(file.fileno())
        identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if self._verified.get(digest) == identity:
            return
        with self._reaching("read"):
            actual = hashlib.file_digest(file, "sha256").hexdigest()
        if actual != digest:
            raise self._damaged(digest, actual)
        file.seek(0)
        self._verified[digest] = identity

    def _open_copy(self, digest: str, cache: ArtifactStore) -> BinaryIO:
        with suppress(MissingArtifactError, DamagedArtifactError):
            return cache.open(digest)
        with self._reaching("read"):
            size = self._fs.size(self._path(digest))
        cache.make_room(size)
        with cache.stage(self._pieces(digest)) as staged:
            if staged.blob.digest != digest:
                raise self._damaged(digest, staged.blob.digest)
            staged.commit()
            return cache.open(digest)

    def _pieces(self, digest: str) -> Iterator[bytes]:
        with self._reaching("read"), self._fs.open(self._path(digest), "rb", block_size=_PART_BYTES) as file:
            while piece := file.read(PIECE_BYTES):
                yield piece

    def make_room(self, size_bytes: int) -> None:
        """Remove the oldest artifacts of a cache until so many bytes fit into its `CACHE_BYTES`."""
        blobs = sorted(self.blobs(), key=lambda blob: self._modified(self._path(blob.digest)))
        used = sum(blob.size_bytes for blob in blobs)
        for blob in blobs:
            if used + size_bytes <= CACHE_BYTES:
                return
            self.delete(blob.digest)
            used -= blob.size_bytes

    # -------------------------------------------------------------------------------------------------------- inside

    @property
    def _is_folder(self) -> bool:
        return isinstance(self._fs, LocalFileSystem)

    def _make_folder(self, path: str) -> None:
        """Make the folder that a file will be in, where the store has folders."""
        protocols = {self._fs.protocol} if isinstance(self._fs.protocol, str) else set(self._fs.protocol)
        if not protocols & _OBJECT_STORES:
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)

    def _path(self, digest: str) -> str:
        if not _DIGEST.fullmatch(digest):
            raise StoreError(f"{digest!r} is no SHA-256: 64 hex digits in lower case")
        return f"{self._root}/blobs/{digest[:2]}/{digest}"

    def _find(self, folder: str) -> dict[str, dict[str, Any]]:
        with self._reaching("listed"):
            try:
                return dict(self._fs.find(f"{self._root}/{folder}", detail=True))
            except FileNotFoundError:
                return {}

    def _written_after(self, path: str, seconds: float) -> bool:
        return self._modified(path) > seconds

    def _modified(self, path: str) -> float:
        """Unix time of the last change; what has gone meanwhile counts as new."""
        with self._reaching("listed"):
            try:
                return float(self._fs.modified(path).timestamp())
            except FileNotFoundError:
                return float("inf")

    def _damaged(self, digest: str, actual: str) -> DamagedArtifactError:
        return DamagedArtifactError(
            f"what the store {self.url} has as {digest} are bytes with the SHA-256 {actual}: damaged or replaced. Put "
            "the artifact again, and look after the store"
        )

    @contextmanager
    def _reaching(self, verb: str) -> Iterator[None]:
        """Translate what fsspec raises."""
        try:
            yield
        except TraderError:
            raise
        except OSError as error:
            if isinstance(error, FileNotFoundError) and verb == "read":
                raise MissingArtifactError(f"the store {self.url} does not have it: {error}") from error
            text = error.strerror or str(error)
            raise StoreFaultError(f"the artifact store {self.url} can't be {verb}: {text}. Try again.") from error
        except Exception as error:  # each library behind fsspec has exceptions of its own
            raise StoreFaultError(
                f"the artifact store {self.url} can't be {verb}: {type(error).__name__}: {error}. Try again."
            ) from error
