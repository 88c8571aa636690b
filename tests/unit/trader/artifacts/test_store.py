"""The artifact store, over a folder and over S3 (moto's server, on this machine)."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from contextlib import contextmanager
from pathlib import Path

import boto3
import fsspec
import pytest
from moto.server import ThreadedMotoServer

from trader import artifacts
from trader.artifacts import (
    ArtifactStore,
    ArtifactTooLargeError,
    DamagedArtifactError,
    MissingArtifactError,
    StoreError,
    StoreFaultError,
)
from trader.artifacts import store as module

DATA = bytes(range(256)) * 5000  # more than a piece
DIGEST = hashlib.sha256(DATA).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


def pieces(data: bytes = DATA):
    yield from (data[start : start + 100_000] for start in range(0, len(data), 100_000))


@pytest.fixture(scope="module")
def s3():
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in keys.items():
            patch.setenv(name, value)
        yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path):
    if request.param == "folder":
        return ArtifactStore.at(str(tmp_path / "store"))
    endpoint = request.getfixturevalue("s3")
    bucket = f"bucket-{os.urandom(8).hex()}"
    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=bucket)
    return ArtifactStore.at(f"s3://{bucket}/artifacts", cache=tmp_path / "cache", endpoint_url=endpoint)


def overwrite(store: ArtifactStore, data: bytes, digest: str = DIGEST) -> None:
    """What a bad disk or a stranger does."""
    store._fs.pipe_file(store._path(digest), data)


def names(store: ArtifactStore) -> list[str]:
    return sorted(path.rpartition("/")[2] for path in store._fs.find(store._root))


@contextmanager
def nobody_needs(_digest):
    yield True


@contextmanager
def somebody_needs(_digest):
    yield False


def test_an_artifact_comes_back(store):
    assert store.put(pieces()) == (DIGEST, len(DATA))
    assert store.has(DIGEST)
    assert names(store) == [DIGEST]
    with store.open(DIGEST) as file:
        assert file.read() == DATA
        file.seek(-3, os.SEEK_END)
        assert file.read() == DATA[-3:]
        with pytest.raises(OSError, match="write"):
            file.write(b"x")


def test_an_empty_artifact_is_one(store):
    digest = store.put([]).digest
    with store.open(digest) as file:
        assert file.read() == b""


def test_what_is_put_twice_lies_there_once(store):
    store.put(pieces())
    store.put([DATA])
    assert list(store.blobs()) == [(DIGEST, len(DATA))]


@pytest.mark.parametrize("over", [0, 1])
def test_the_limit_is_exact_and_what_is_beyond_leaves_nothing(store, over):
    if over:
        with pytest.raises(ArtifactTooLargeError, match=f"{len(DATA) - 1} bytes"):
            store.put(pieces(), len(DATA) - 1)
        assert names(store) == []
    else:
        store.put(pieces(), len(DATA))


def test_a_source_that_fails_leaves_nothing(store):
    def failing():
        yield DATA
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.put(failing())
    assert names(store) == []


def test_what_is_staged_has_no_name_until_it_is_committed(store):
    with store.stage(pieces()) as staged:
        assert not store.has(DIGEST)
        assert staged.commit().digest == DIGEST
    assert names(store) == [DIGEST]
    with store.stage([b"dropped"]):
        pass
    assert names(store) == [DIGEST]


@pytest.mark.parametrize("bad", [b"", DATA[:-1], DATA + b"x", b"X" + DATA[1:]], ids=["empty", "cut", "long", "bit"])
def test_wrong_bytes_are_never_handed_on_and_a_put_mends_them(store, bad):
    store.put(pieces())
    overwrite(store, bad)
    for _ in range(2):
        with pytest.raises(DamagedArtifactError, match="Put the artifact again"):
            store.open(DIGEST)
    store.put(pieces())
    with store.open(DIGEST) as file:
        assert file.read() == DATA


def test_bytes_that_change_after_they_were_checked_are_checked_again(tmp_path):
    store = ArtifactStore.at(f"file://{tmp_path}/store")
    store.put(pieces())
    store.open(DIGEST).close()
    path = Path(store._path(DIGEST))
    status = path.stat()
    with path.open("r+b") as file:
        file.write(b"X")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # the time of change stays what it is
    with pytest.raises(DamagedArtifactError):
        store.open(DIGEST)


def test_a_file_is_read_through_once_while_it_stays_the_same(tmp_path, monkeypatch):
    store = ArtifactStore.at(str(tmp_path))
    store.put(pieces())
    store.open(DIGEST).close()
    monkeypatch.setattr(module.hashlib, "file_digest", lambda *_: pytest.fail("read again"))
    with store.open(DIGEST) as file:
        assert file.read() == DATA


def test_a_missing_artifact(store):
    with pytest.raises(MissingArtifactError, match="does not have it"):
        store.open(DIGEST)
    assert not store.has(DIGEST)
    store.delete(DIGEST)  # as often as one likes
    assert list(store.blobs()) == []


@pytest.mark.parametrize(
    "name", ["", "../../etc/passwd", DIGEST.upper(), DIGEST[:-1], DIGEST + "0", DIGEST[:-1] + "\n"]
)
def test_names_that_are_no_digests_reach_no_file(store, name):
    for use in (store.open, store.has, store.delete):
        with pytest.raises(StoreError, match="no SHA-256"):
            use(name)


def test_a_deleted_artifact_is_gone_from_the_copies_too(store):
    store.put(pieces())
    store.open(DIGEST).close()
    store.delete(DIGEST)
    with pytest.raises(MissingArtifactError):
        store.open(DIGEST)


def test_collecting_removes_what_is_old_and_not_needed(store):
    store.put(pieces())
    store.put([b"other"])
    store._fs.pipe_file(f"{store._root}/staging/left", b"by a crash")
    assert store.collect(3600, nobody_needs) == []
    assert names(store) == sorted([DIGEST, OTHER, "left"])
    assert store.collect(-5, somebody_needs) == []
    assert names(store) == sorted([DIGEST, OTHER])

    @contextmanager
    def all_but_one(digest):
        yield digest != OTHER

    assert store.collect(-5, all_but_one) == [(DIGEST, len(DATA))]
    assert list(store.blobs()) == [(OTHER, 5)]


def test_names_that_are_not_ours_are_no_artifacts_and_stay(store):
    store._make_folder(f"{store._root}/blobs/README")
    store._fs.pipe_file(f"{store._root}/blobs/README", b"ours")
    assert list(store.blobs()) == []
    store.collect(-5, nobody_needs)
    assert names(store) == ["README"]


def test_copies_of_a_bucket_are_bounded(s3, tmp_path, monkeypatch):
    boto3.client("s3", endpoint_url=s3).create_bucket(Bucket="bounded")
    store = ArtifactStore.at("s3://bounded", cache=tmp_path, endpoint_url=s3)
    digests = [store.put([bytes([number]) * 1000]).digest for number in range(5)]
    monkeypatch.setattr(module, "CACHE_BYTES", 2500)
    for digest in digests:
        with store.open(digest) as file:
            assert len(file.read()) == 1000
        time.sleep(0.01)
    assert {blob.digest for blob in ArtifactStore.at(str(tmp_path)).blobs()} == set(digests[-2:])


def test_a_copy_that_was_damaged_is_fetched_again(s3, tmp_path):
    boto3.client("s3", endpoint_url=s3).create_bucket(Bucket="copied")
    store = ArtifactStore.at("s3://copied", cache=tmp_path, endpoint_url=s3)
    store.put(pieces())
    store.open(DIGEST).close()
    overwrite(ArtifactStore.at(str(tmp_path)), b"damaged")
    with store.open(DIGEST) as file:
        assert file.read() == DATA


def test_a_store_that_is_away_is_a_fault_of_the_environment(s3, tmp_path):
    missing = ArtifactStore.at("s3://no-such-bucket", cache=tmp_path, endpoint_url=s3)
    with pytest.raises(StoreFaultError, match=r"s3://no-such-bucket can't be written to"):
        missing.put([b"data"])
    options = {"endpoint_url": "http://127.0.0.1:1", "config_kwargs": {"retries": {"max_attempts": 1}}}
    away = ArtifactStore.at("s3://bucket", cache=tmp_path, **options)
    for use in (lambda: away.put([b"data"]), lambda: away.open(DIGEST), lambda: list(away.blobs())):
        with pytest.raises(StoreFaultError, match="Try again"):
            use()


def test_a_full_disk_is_a_fault_of_the_environment_and_leaves_nothing(tmp_path, monkeypatch):
    store = ArtifactStore.at(str(tmp_path))

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(StoreFaultError, match="No space left on device"):
        store.put([b"data"])
    assert names(store) == []


def test_a_folder_is_its_owners_alone(tmp_path):
    ArtifactStore.at(str(tmp_path / "store"))
    assert (tmp_path / "store").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("url", ["nosuch://bucket", "s3://key:secret@bucket/path"])
def test_urls_that_are_refused(url):
    with pytest.raises(StoreError) as caught:
        ArtifactStore.at(url)
    assert "secret" not in str(caught.value)


def test_any_store_that_fsspec_knows_will_do(tmp_path):
    store = ArtifactStore.at("memory://artifacts", cache=tmp_path)
    store.put(pieces())
    with store.open(DIGEST) as file:
        assert file.read() == DATA
    assert fsspec.filesystem("memory").exists(f"/artifacts/blobs/{DIGEST[:2]}/{DIGEST}")


def test_a_crash_before_the_move_leaves_no_artifact(store, monkeypatch):
    """Killed between the last byte and the name: nothing has the name, and what is left is collected."""

    class KilledError(BaseException):
        pass

    def killed(*_arguments, **_options):
        raise KilledError

    monkeypatch.setattr(store._fs, "mv", killed)
    monkeypatch.setattr(ArtifactStore, "drop", lambda *_: None)
    with pytest.raises(KilledError):
        store.put(pieces())
    monkeypatch.undo()
    assert not store.has(DIGEST)
    assert list(store.blobs()) == []
    assert len(names(store)) == 1
    store.collect(-5, somebody_needs)
    assert names(store) == []


def test_public_names():
    assert set(artifacts.__all__) <= set(dir(artifacts))
