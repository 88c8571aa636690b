"""`modelseal package verify`: whatever bit of a package flips, somebody hears of it before anything is locked."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from trader.package import DamagedPackageError, PackageError, SellerPackage, read_canonical, verify_package
from trader.package.checksums import write_checksums
from zk import Proof

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.trader.conftest import Ran

CHECKS = 8
DRAW = (Phase.explicit, Phase.generate)  # a bit is as simple as any other: nothing to shrink


@pytest.fixture(scope="module")
def folder(package: SellerPackage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of its own, about which two proofs were published; tests leave it as it was."""
    folder = tmp_path_factory.mktemp("damaged") / "package"
    shutil.copytree(package.folder, folder)
    budget = SellerPackage.read(folder, "test").budget
    for number in (1, 2):
        budget.publish(bytes([number]) * 32, lambda number=number: Proof(bytes([number]) * 64, (number, 2**250)))
    return folder


def faults(folder: Path) -> list[str]:
    return [part.fault for part in verify_package(folder) if part.fault]


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_an_untouched_package_passes_every_check(folder: Path, modelseal: Callable[..., Ran]) -> None:
    ran = modelseal("package", "verify", folder)
    assert (ran.code, ran.out.count("✓"), ran.out.count("✗")) == (0, CHECKS, 0)
    report = json.loads(modelseal("package", "verify", folder, "--json").out)
    assert report["verified"] is True
    assert [check["holds"] for check in report["checks"]] == [True] * CHECKS


def test_every_kind_of_file_is_tried(folder: Path) -> None:
    names = {path.relative_to(folder).as_posix() for path in files_of(folder)}
    assert {name.split("/")[0] for name in names} == {"public", "secret"}
    assert len(names) == 5 + 4 + 1 + 1 + 2  # public, secret, checksums, the list, kept proofs


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40, phases=DRAW)
@given(data=st.data())
def test_any_flipped_bit_of_any_file_is_found(folder: Path, data: st.DataObject) -> None:
    """There is no file, and no bit in one, whose change is passed over, not even in the checksums."""
    path = data.draw(st.sampled_from(files_of(folder)))
    content = path.read_bytes()
    position = data.draw(st.integers(0, len(content) - 1))
    flipped = bytearray(content)
    flipped[position] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(flipped)
    try:
        assert faults(folder)
        with pytest.raises(PackageError):
            SellerPackage.read(folder, "test")
    finally:
        path.write_bytes(content)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20, phases=DRAW)
@given(data=st.data())
def test_the_parts_vouch_for_each_other_without_checksums(folder: Path, data: st.DataObject) -> None:
    """A bit that flipped in memory before the checksums were taken, or an edit: what is delivered is checked itself."""
    names = ["secret/chunks.bin", "secret/model.onnx", "public/leaves.bin", "public/architecture.onnx"]
    path = folder / data.draw(st.sampled_from([*names, "public/settings.json", "public/development.srs"]))
    content, checksums = path.read_bytes(), (folder / "secret" / "SHA256SUMS").read_bytes()
    flipped = bytearray(content)
    flipped[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(flipped)
    write_checksums(folder)
    try:
        assert any(path.name in fault for fault in faults(folder))
        if path.name != "model.onnx":
            with pytest.raises(DamagedPackageError):
                SellerPackage.read(folder, "test")
    finally:
        path.write_bytes(content)
        (folder / "secret" / "SHA256SUMS").write_bytes(checksums)


def with_tensors(folder: Path, change: Callable[[list[np.ndarray]], None]) -> None:
    """Writes other parameters, with fitting checksums."""
    tensors = [tensor.copy() for tensor in read_canonical(folder).tensors]
    change(tensors)
    np.savez(folder / "secret" / "parameters.npz", *tensors)
    write_checksums(folder)


def test_parameters_other_than_the_chunks_are_counted(package: SellerPackage, tmp_path: Path) -> None:
    shutil.copytree(package.folder, tmp_path / "package")

    def change(tensors: list[np.ndarray]) -> None:
        tensors[0].flat[:2] ^= 1 << 5

    with_tensors(tmp_path / "package", change)
    assert any("2 parameters in secret/parameters.npz" in fault for fault in faults(tmp_path / "package"))
    with pytest.raises(DamagedPackageError, match="2 parameters"):
        SellerPackage.read(tmp_path / "package", "test")


@pytest.mark.parametrize(
    ("name", "data"),
    [("parameters.npz", b"PK\x03\x04"), ("parameters.npz", b""), ("chunks.bin", b""), ("model.onnx", b"")],
)
def test_a_truncated_file_is_named(package: SellerPackage, tmp_path: Path, name: str, data: bytes) -> None:
    shutil.copytree(package.folder, tmp_path / "package")
    (tmp_path / "package" / "secret" / name).write_bytes(data)
    assert f"secret/{name}" in faults(tmp_path / "package")[0]


def test_every_missing_file_is_named(package: SellerPackage, tmp_path: Path) -> None:
    for path in files_of(package.folder):
        copy = tmp_path / "package"
        shutil.copytree(package.folder, copy)
        (copy / path.relative_to(package.folder)).unlink()
        assert any(path.name in fault for fault in faults(copy)), path
        shutil.rmtree(copy)


def test_a_damaged_package_is_told_with_a_next_step(folder: Path, modelseal: Callable[..., Ran]) -> None:
    path = folder / "secret" / "chunks.bin"
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    try:
        ran = modelseal("package", "verify", folder)
    finally:
        path.write_bytes(content)
    assert ran.code == 3
    assert ran.out.count("✗") == 4  # checksums, roots, sums and parameters
    assert "chunk 0 in secret/chunks.bin is not the listed one" in ran.out
    assert "Restore it from a copy, or prepare the model again" in ran.out
    assert f"of {CHECKS} checks failed" in ran.err


def test_the_password_is_tried_where_it_is_given(
    folder: Path, tmp_path: Path, modelseal: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "password").write_text("test")
    ran = modelseal("package", "verify", folder, "--password-file", tmp_path / "password")
    assert (ran.code, ran.out.count("✓")) == (0, CHECKS + 1)
    monkeypatch.setenv("MODELSEAL_PASSWORD", "wrong")
    assert modelseal("package", "verify", folder).code == 0
    ran = modelseal("package", "verify", folder, "--with-password")
    assert (ran.code, ran.out.count("✗"), "the password is wrong" in ran.out) == (3, 1, True)


def test_what_is_no_package_is_bad_input(tmp_path: Path, modelseal: Callable[..., Ran]) -> None:
    ran = modelseal("package", "verify", tmp_path)
    assert (ran.code, "is no seller's package" in ran.err) == (2, True)
