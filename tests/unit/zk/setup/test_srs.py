import pytest
from py_ecc.optimized_bn128 import FQ, FQ2, FQ12, G1, G2, pairing

import zk
from zk.errors import SrsError
from zk.setup.srs import srs_bytes


def test_a_development_srs_is_made_once_and_marked():
    first = zk.development_srs(6)
    stamp = first.path.stat().st_mtime_ns
    again = zk.development_srs(6)
    assert again == first
    assert again.path.stat().st_mtime_ns == stamp
    assert first.development
    assert first.path.stat().st_size == srs_bytes(6)


def test_its_points_belong_to_one_trapdoor():
    srs = zk.development_srs(6)
    (x0, x1), (y0, y1) = srs.g2
    assert (FQ2([x0, x1]), FQ2([y0, y1]), FQ2.one()) == G2
    tau_g1 = (*(FQ(v) for v in srs.tau_g1), FQ(1))
    tau_g2 = (*(FQ2(list(v)) for v in srs.tau_g2), FQ2.one())
    assert pairing(G2, tau_g1) / pairing(tau_g2, G1) == FQ12.one()


def test_two_machines_have_two_trapdoors(tmp_path, monkeypatch):
    first = zk.development_srs(6)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert zk.development_srs(6).digest != first.digest


@pytest.mark.parametrize("logrows", [-1, 0, 3, 27, 10**9])
def test_sizes_out_of_range_are_refused(logrows):
    with pytest.raises(SrsError, match="an SRS has"):
        zk.development_srs(logrows)


@pytest.mark.parametrize("content", [b"", b"\x06\x00\x00\x00", b"\xff" * 100, b"<html>not found</html>"])
def test_files_that_are_not_an_srs_are_refused(tmp_path, content):
    path = tmp_path / "srs"
    path.write_bytes(content)
    with pytest.raises(SrsError, match="is not an SRS file"):
        zk.read_srs(path, development=False)


def test_a_truncated_or_longer_file_is_refused(tmp_path):
    data = zk.development_srs(6).path.read_bytes()
    for bad in (data[:-1], data + b"\x00"):
        path = tmp_path / "srs"
        path.write_bytes(bad)
        with pytest.raises(SrsError, match="bytes do not fit"):
            zk.read_srs(path, development=False)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(SrsError, match="No such file"):
        zk.read_srs(tmp_path / "none", development=False)
