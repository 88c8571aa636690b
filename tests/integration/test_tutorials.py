"""The tutorials, as they are written, from a wheel that is installed outside the checkout: one trade, three readers."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.simulators.node import anvil_binary
from tests.simulators.walkthrough import Command, Reader, read_page

ROOT = Path(__file__).parents[2]
TUTORIALS = ROOT / "docs" / "tutorials"
PAGES = [TUTORIALS / f"{name}.md" for name in ("seller", "buyer", "auditor")]
PASSWORD = "correct horse"


def commands(page: Path, terminal: str) -> list[str]:
    """The commands of ours that a page has its reader type."""
    steps = [step for step in read_page(page) if isinstance(step, Command)]
    return [step.line for step in steps if step.terminal == terminal and step.line.startswith("modelseal ")]


def words(lines: list[str]) -> list[str]:
    return [" ".join(word for word in line.split()[1:3] if word.isalpha()) for line in lines]


def test_a_seller_types_five_commands_and_a_buyer_four() -> None:
    seller, buyer = commands(PAGES[0], "seller"), commands(PAGES[1], "buyer")
    assert words(seller) == ["keys new", "model prepare", "model try", "seller init", "seller serve"]
    assert words(buyer) == ["keys new", "buyer discover", "buyer buy", "buyer report"]


def test_no_python_but_the_sellers_own_training() -> None:
    typed = [step.line for page in PAGES for step in read_page(page) if isinstance(step, Command)]
    assert [line for line in typed if "python" in line] == ["python train.py"]
    programs = {line.split()[0] for line in typed}
    assert programs == {"anvil", "cp", "curl", "export", "modelseal", "python"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs of an environment with the wheel, and with this one's other packages."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True, capture_output=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    # A line of a .pth file adds a folder, but not what .pth files in it add: the checkout stays out.
    (packages / "locked.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def test_the_wheel_holds_the_packages_and_what_they_need(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        sizes: dict[str, int] = {}
        for info in archive.infolist():
            top = info.filename.split("/")[0]
            sizes[top] = sizes.get(top, 0) + info.file_size
        names = archive.namelist()
    ours = {name for name in sizes if not name.endswith(".dist-info")}
    assert ours == {"benchmarks", "contracts", "ledger", "trader", "zk"}
    assert all(size < 4 << 20 for size in sizes.values()), sizes
    assert {"contracts/artifacts/contracts.json", "trader/py.typed", "zk/py.typed"} <= {*names}
    suffixes = {Path(name).suffix for name in names if ".dist-info/" not in name}
    assert not [name for name in names if "node_modules" in name or "/test/" in name or "/symbolic/" in name]
    assert suffixes <= {".py", ".json", ".sol", ".toml", ".md", ".js", ".typed", ".html", ".css", ".csv"}


@pytest.mark.anvil
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_three_readers_follow_the_tutorials(installed: Path, tmp_path: Path) -> None:
    asked = subprocess.run([installed / "python", "-c", "import trader; print(trader.__file__)"], **OUTSIDE)
    assert str(installed.parent) in asked.stdout, asked
    reader = Reader(tmp_path, (installed, anvil_binary().parent), {"MODELSEAL_PASSWORD": PASSWORD, "PYTHONPATH": ""})
    try:
        for page in PAGES:
            reader.follow(page)
    finally:
        reader.stop()


OUTSIDE = {"cwd": "/", "env": {"PYTHONPATH": ""}, "capture_output": True, "text": True, "check": True}
