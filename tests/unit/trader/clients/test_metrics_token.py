"""The token with which Prometheus reads figures: a file's first line, and never a short one."""

from pathlib import Path

import pytest

from trader.clients.http import LEAST_TOKEN_CHARACTERS, read_token
from trader.settings import SettingsError


def test_without_a_file_there_is_no_token() -> None:
    assert read_token(None) is None


def test_the_first_line_is_the_token(tmp_path: Path) -> None:
    file = tmp_path / "token.txt"
    file.write_text("x" * LEAST_TOKEN_CHARACTERS + " \nanother line\n")
    assert read_token(file) == "x" * LEAST_TOKEN_CHARACTERS


@pytest.mark.parametrize("text", [b"", b"\n" + b"x" * 20, b"x" * (LEAST_TOKEN_CHARACTERS - 1), b"\xff" * 20])
def test_a_token_that_protects_little_is_refused(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "token.txt"
    file.write_bytes(text)
    with pytest.raises(SettingsError, match=r"token\.txt") as refused:
        read_token(file)
    assert "xxx" not in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="make it, or leave it out"):
        read_token(tmp_path / "none.txt")
