"""User data: what is read, and how it is refused."""

import io
import zipfile

import numpy as np
import pytest

from trader.model import DataError, read_labels, read_samples


def write(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize("text", ["1,2,3\n4,5,6\n", "a,b,c\n1,2,3\n4,5,6", "\ufeff1, 2 ,3\r\n\r\n4,5,6e0\r\n"])
def test_csv_with_or_without_header(tmp_path, text):
    assert read_samples(write(tmp_path / "x.csv", text), 3).tolist() == [[1, 2, 3], [4, 5, 6]]


def test_npy_and_npz(tmp_path):
    samples = np.arange(12, dtype=np.int32).reshape(2, 2, 3)
    np.save(tmp_path / "x.npy", samples)
    np.savez(tmp_path / "both.npz", x=samples, y=np.array([1, 0]))
    np.savez(tmp_path / "one.npz", anything=samples)
    for name in ("x.npy", "both.npz", "one.npz"):
        assert read_samples(tmp_path / name, 6).tolist() == samples.reshape(2, 6).tolist()
    assert read_labels(tmp_path / "both.npz", 2).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("0\n1\n", [0, 1]),
        ("label\n0\n1\n", [0, 1]),
        ("1.5\n2\n", [1.5, 2.0]),
        ("cat\ndog\n", ["cat", "dog"]),
        ("animal\ncat\ndog\n", ["cat", "dog"]),
    ],
)
def test_csv_labels(tmp_path, text, labels):
    got = read_labels(write(tmp_path / "y.csv", text), 2)
    assert got.tolist() == labels


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1,2,3\n4,5\n", "line 2: 2 columns, the model takes 3"),
        ("a,b,c\n1,2,3\n4,,6\n", "line 3, column 2: '' is not a finite number"),
        ("1,2,nan\n", "line 1, column 3"),
        ("1,2,3\n1,inf,3\n", "line 2, column 2"),
        ("1,2,3\n1,x,3\n", "line 2, column 2: 'x'"),
        ("", "no rows"),
        ("\n\n", "no rows"),
        ('"1,2,3\n', "not a readable CSV"),
    ],
)
def test_csv_errors_name_line_and_column(tmp_path, text, reason):
    with pytest.raises(DataError, match=reason):
        read_samples(write(tmp_path / "x.csv", text), 3)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("0\n1\n2\n3\n", "the data has 2 samples"), ("0,1\n1,0\n", "one label"), ("cat\n\n", "the data has 2 samples")],
)
def test_label_errors(tmp_path, text, reason):
    with pytest.raises(DataError, match=reason):
        read_labels(write(tmp_path / "y.csv", text), 2)


def pickled(path):
    np.save(path, np.array([[{"a": 1}]], dtype=object), allow_pickle=True)


def claimed_size(path):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40, 3)})
    path.write_bytes(buffer.getvalue())


def truncated(path):
    np.save(path, np.ones((100, 3)))
    path.write_bytes(path.read_bytes()[:-5])


def binary(path):
    path.write_bytes(bytes(range(256)) * 10)


def wrong_shape(path):
    np.save(path, np.ones((5, 4)))


def not_a_number(path):
    np.save(path, np.array([[1, 2, np.nan]]))


def text_array(path):
    np.save(path, np.array([["a", "b", "c"]]))


def evil_header(path):
    path.write_bytes(b"\x93NUMPY\x01\x00\x40\x00" + b"__import__('os').system('touch /tmp/owned')".ljust(63) + b"\n")


@pytest.mark.parametrize(
    "make",
    [pickled, claimed_size, truncated, binary, wrong_shape, not_a_number, text_array, evil_header],
    ids=lambda f: f.__name__,
)
def test_hostile_npy_is_refused(tmp_path, make):
    path = tmp_path / "x.npy"
    make(path)
    with pytest.raises(DataError, match=r"x\.npy") as caught:
        read_samples(path, 3)
    assert "\n" not in str(caught.value)


def test_npz_without_the_wanted_array_or_no_archive_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", p=np.ones(3), q=np.ones(3))
    with pytest.raises(DataError, match="none of them named 'x'"):
        read_samples(tmp_path / "a.npz", 3)
    (tmp_path / "b.npz").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(DataError, match=r"b\.npz"):
        read_samples(tmp_path / "b.npz", 3)
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        archive.writestr("x.npy", b"junk")
    with pytest.raises(DataError, match=r"c\.npz"):
        read_samples(tmp_path / "c.npz", 3)


@pytest.mark.parametrize(("name", "reason"), [("x.txt", "are .csv"), ("missing.csv", "is not a file")])
def test_other_files_are_refused(tmp_path, name, reason):
    (tmp_path / "x.txt").write_text("1,2,3")
    with pytest.raises(DataError, match=reason):
        read_samples(tmp_path / name, 3)
