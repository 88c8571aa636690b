"""Containers in files: written by a map, copied part by part from somebody else's file."""

import io

import numpy as np
import pytest

from tests.simulators.he_models import plan_for, random_inputs, random_network
from trader.he import ClientSession, WireError, digest, evaluate, fetch_container
from trader.he.wire.container import ContainerWriter, PartLayout, read_container

SAMPLES = 4
LAYOUT = [PartLayout((2, 3, 1024), (97, 101, 103)), PartLayout((40, 16), ()), *[PartLayout((5, 1024), (97,))] * 3]
PLAN = "0x" + "12" * 32


def _container(path=None, seed=0):
    writer = ContainerWriter("request", PLAN, SAMPLES, LAYOUT, path)
    random = np.random.default_rng(seed)
    for part in writer.parts:
        part[:] = random.integers(0, 97, part.shape)
    return writer.finish(bytes(32))


class Watched(io.BytesIO):
    """Counts what is read, and fails after so many bytes."""

    def __init__(self, data, limit=1 << 40):
        super().__init__(data)
        self.count, self.limit = 0, limit

    def read(self, size=-1):
        data = super().read(size)
        self.count += len(data)
        if self.count > self.limit:
            raise ConnectionError("the folder's machine is gone")
        return data


def test_a_container_in_a_file_is_the_same(tmp_path):
    path = tmp_path / "request"
    assert _container(path) == _container()
    assert path.read_bytes() == bytes(_container())
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_an_interrupted_writer_leaves_is_no_container(tmp_path):
    writer = ContainerWriter("request", PLAN, SAMPLES, LAYOUT, tmp_path / "request")
    writer.parts[0][:] = 1
    with pytest.raises(WireError, match="not a container"):
        digest((tmp_path / "request").read_bytes())


def test_a_full_disk_is_an_error_before_anything_is_written(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        _container(tmp_path / "request")


def test_a_copy_is_whole_and_checked(tmp_path):
    container = bytes(_container())
    found = fetch_container(io.BytesIO(container), tmp_path / "copy", len(container))
    assert found == container
    assert found.readonly
    assert read_container(found, "request", PLAN, SAMPLES, LAYOUT).digest == digest(container)
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


@pytest.mark.parametrize("part", [0, 1, 2, 4])
def test_an_interrupted_copy_is_gone_on_with(part, tmp_path):
    container = bytes(_container())
    sizes = [layout.byte_count for layout in LAYOUT]
    start = len(container) - sum(sizes[part:])
    with pytest.raises(ConnectionError):
        fetch_container(Watched(container, start + 100), tmp_path / "copy", len(container))
    assert not (tmp_path / "copy").exists()
    again = Watched(container)
    assert fetch_container(again, tmp_path / "copy", len(container)) == container
    header = len(container) - sum(sizes)
    assert again.count == header + sum(sizes[part:])


def test_a_copy_of_another_container_is_not_gone_on_with(tmp_path):
    first, second = bytes(_container(seed=1)), bytes(_container(seed=2))
    with pytest.raises(ConnectionError):
        fetch_container(Watched(first, len(first) - 10), tmp_path / "copy", len(first))
    assert fetch_container(io.BytesIO(second), tmp_path / "copy", len(second)) == second


def test_a_damaged_part_is_named_and_copied_again(tmp_path):
    container = bytes(_container())
    damaged = bytearray(container)
    damaged[-20] ^= 1
    with pytest.raises(WireError, match="SHA-256 of part 4 is 0x"):
        fetch_container(io.BytesIO(damaged), tmp_path / "copy", len(container))
    assert fetch_container(io.BytesIO(container), tmp_path / "copy", len(container)) == container


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: b"", "not a container"),
        (lambda c: b"MSHE9999" + c[8:], "not a container"),
        (lambda c: c[:9], "not a container"),
        (lambda c: c[:100], "header claims"),
        (lambda c: c[:8] + b"\xff\xff\xff\xff" + c[12:], "header claims"),
        (lambda c: c[:-1], "ends 1 bytes before a part does"),
        (lambda c: c[:12] + b"x" + c[13:], "header is not valid"),
    ],
)
def test_what_is_no_whole_container_is_refused(change, message, tmp_path):
    container = bytes(_container())
    with pytest.raises(WireError, match=message):
        fetch_container(io.BytesIO(change(container)), tmp_path / "copy", len(container))
    assert not (tmp_path / "copy").exists()


def test_the_size_that_a_header_claims_is_bounded_before_anything_is_copied(tmp_path):
    container = bytes(_container())
    with pytest.raises(WireError, match="more than the"):
        fetch_container(io.BytesIO(container), tmp_path / "copy", len(container) - 1)
    assert list(tmp_path.iterdir()) == []


def test_a_test_through_files(tmp_path):
    model = random_network(6, 3, 2)
    inputs = random_inputs(model, SAMPLES)
    plan = plan_for(model, inputs)
    session = ClientSession(plan)
    session.encrypt(inputs, path=tmp_path / "request")
    with (tmp_path / "request").open("rb") as source:
        request = fetch_container(source, tmp_path / "copy", 1 << 30)
    evaluate(plan, model, request, SAMPLES, path=tmp_path / "response")
    assert session.decrypt((tmp_path / "response").read_bytes()).shape == (SAMPLES, 2)
