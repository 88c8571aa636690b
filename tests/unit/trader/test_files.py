"""A party's own files: whole, replaced or never replaced, and nothing else left."""

from pathlib import Path

import pytest

from trader.errors import EnvironmentFaultError
from trader.files import create_file, staged_file, write_file


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("write", [write_file, create_file])
@pytest.mark.parametrize(("secret", "mode"), [(True, 0o600), (False, 0o644)])
def test_a_new_file_has_its_folders_and_its_mode(tmp_path: Path, write, secret: bool, mode: int) -> None:
    path = tmp_path / "deep" / "file"
    write(path, b"data", secret=secret)
    assert (path.read_bytes(), path.stat().st_mode & 0o777, names(path.parent)) == (b"data", mode, ["file"])


def test_a_written_file_replaces_the_old_one(tmp_path: Path) -> None:
    for data in (b"old", b"new"):
        write_file(tmp_path / "file", data)
    assert ((tmp_path / "file").read_bytes(), names(tmp_path)) == (b"new", ["file"])


@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_a_created_file_never_replaces_another(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    if kind == "file":
        path.write_bytes(b"old")
    else:
        path.symlink_to("elsewhere")
    with pytest.raises(FileExistsError):
        create_file(path, b"new")
    assert names(tmp_path) == ["file"]
    assert path.is_symlink() or path.read_bytes() == b"old"


def test_what_fails_in_between_leaves_the_old_file(tmp_path: Path) -> None:
    def fill_the_disk() -> None:
        with staged_file(tmp_path / "file") as temporary:
            temporary.write_bytes(b"ne")
            raise OSError(28, "No space left on device")

    write_file(tmp_path / "file", b"old")
    with pytest.raises(EnvironmentFaultError, match="No space left"):
        fill_the_disk()
    assert ((tmp_path / "file").read_bytes(), names(tmp_path)) == (b"old", ["file"])


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for write in (write_file, create_file):
        with pytest.raises(EnvironmentFaultError, match="can't be written"):
            write(tmp_path / "file" / "in", b"data")
