"""The documentation says what the code does: generated pages are fresh, links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def test_generated_pages_are_fresh() -> None:
    command = [sys.executable, ROOT / "scripts" / "generate_docs.py", "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_pages_name_exist(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        pytest.skip("it speaks of the past")
    folders = "trader|zk|ledger|contracts|tests|benchmarks|scripts|docs|unit|integration|adversarial"
    for named in re.findall(rf"`((?:{folders})/[\w./-]+)`", page.read_text()):
        assert [*ROOT.glob(named), *(ROOT / "tests").glob(named)], f"{page.name} names {named}"
