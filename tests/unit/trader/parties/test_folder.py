"""A party's folder: one account's, and one process's at a time."""

import errno
import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from trader.errors import EnvironmentFaultError, PartyFolderError
from trader.parties.folder import claim_folder
from trader.parties.vault import Vault

HOLD = """
import sys
from pathlib import Path
from trader.parties.folder import claim_folder
held = claim_folder(Path(sys.argv[1]), "buyer 0x1")
print("held", flush=True)
sys.stdin.read()
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_told_which_folder_and_what_to_do(tmp_path: Path) -> None:
    process = hold(tmp_path / "buyer")
    try:
        with pytest.raises(
            PartyFolderError, match=r"another process works in .*/buyer: wait .*, or name another folder"
        ):
            claim_folder(tmp_path / "buyer", "buyer 0x1")
        assert claim_folder(tmp_path / "other", "buyer 0x1")
    finally:
        process.kill()
        process.wait()
    assert claim_folder(tmp_path / "buyer", "buyer 0x1")


def test_a_process_may_take_its_folder_more_than_once_and_keeps_it_to_the_last(tmp_path: Path) -> None:
    first, second = claim_folder(tmp_path, "buyer 0x1"), claim_folder(tmp_path, "buyer 0x1")
    del first
    gc.collect()
    take = [sys.executable, "-c", HOLD, tmp_path]
    refused = subprocess.run(take, input="", capture_output=True, text=True, check=False)
    assert "another process works in" in refused.stderr
    del second
    gc.collect()
    assert subprocess.run(take, input="", capture_output=True, text=True, check=False).returncode == 0


def test_another_account_or_role_is_refused(tmp_path: Path) -> None:
    claim_folder(tmp_path, "buyer 0x1")
    for other in ("buyer 0x2", "seller 0x1"):
        with pytest.raises(PartyFolderError, match=f"belongs to the buyer 0x1, this is the {other}. Name another"):
            claim_folder(tmp_path, other)


def test_what_killed_processes_left_is_swept(tmp_path: Path) -> None:
    (tmp_path / ".request.abcd_123").write_bytes(b"half of it")
    (tmp_path / ".request.partial").write_bytes(b"a copy to be gone on with")
    with Vault(tmp_path, None).staged("request") as path:
        path.write_bytes(b"whole")
    assert {path.name for path in tmp_path.iterdir()} == {"request", ".request.partial"}


def test_a_folder_that_was_made_anew_is_free(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    kept = claim_folder(folder, "buyer 0x1")
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert claim_folder(folder, "buyer 0x2") is not kept


def test_a_folder_that_can_t_be_made_is_the_environments_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(EnvironmentFaultError, match="No space left"):
        claim_folder(tmp_path / "folder", "buyer 0x1")
    with pytest.raises(EnvironmentFaultError, match="No space left"):
        Vault(tmp_path / "vault", None).path("request")
