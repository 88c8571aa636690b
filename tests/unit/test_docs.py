"""The documentation says what the code does: pages are fresh, links lead somewhere, commands and settings exist."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel
from typer.main import get_command

from trader.cli.app import app
from trader.cli.deferred import Deferred
from trader.settings import BuyerSettings, SellerSettings

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


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    built = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert built.returncode == 0, built.stderr
    return folder


def test_the_site_loads_nothing_from_other_machines(site: Path) -> None:
    pages = [*site.rglob("*.html")]
    assert len(pages) > 50
    loading = re.compile(r'<(?:script|img|iframe|source)[^>]+src="(?:https?:)?//|<link[^>]+href="(?:https?:)?//')
    for page in pages:
        assert not loading.search(page.read_text()), page.name
        assert 'class="mermaid"' not in page.read_text(), f"{page.name}: mermaid would be loaded from elsewhere"
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import )[\"']?(?:https?:)?//", sheet.read_text()), sheet.name


def typed_commands() -> list[tuple[Path, str]]:
    blocks = (
        (page, block) for page in PAGES for block in re.findall(r"```console[^\n]*\n(.*?)```", page.read_text(), re.S)
    )
    lines = ((page, line[2:]) for page, block in blocks for line in block.splitlines() if line.startswith("$ "))
    pattern = r"(?:\S*/)?modelseal (?!-v )(.*)"
    return [(page, found[1]) for page, line in lines if (found := re.fullmatch(pattern, line))]


@pytest.mark.parametrize(("page", "line"), typed_commands(), ids=lambda value: str(value)[-60:])
def test_commands_that_pages_show_exist_with_their_options(page: Path, line: str) -> None:
    command, words = get_command(app), shlex.split(line, comments=True)
    names: set[str] = set()
    while words:
        command = command.load() if isinstance(command, Deferred) else command
        names = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        below = getattr(command, "commands", {})
        if words[0] in below:
            command = below[words.pop(0)]
            continue
        assert not below or words[0].startswith("-"), f"{page.name}: {line}"
        break
    names |= {"--help", "--install-completion", "--version"}
    assert {word for word in words if word.startswith("--")} <= names, f"{page.name}: {line}"


def test_every_setting_is_described() -> None:
    sections = (ROOT / "docs" / "configuration.md").read_text().split("## The seller's file")
    for kind, section in zip((BuyerSettings, SellerSettings), sections, strict=True):
        for key in keys_of(kind):
            assert f"| `{key}` |" in section, key
    template = sections[1].split("```")[1]
    assert [key for key in keys_of(SellerSettings) if not re.search(rf"\b{key}\b", template)] == NOT_IN_THE_TEMPLATE


NOT_IN_THE_TEMPLATE = ["market", "first_block", "deployments", "exchange"]
"""Keys for those who know why: the template would be longer without being clearer."""


def keys_of(kind: type[BaseModel]) -> list[str]:
    found = []
    for key, field in kind.model_fields.items():
        parts = (field.annotation, *get_args(field.annotation))
        tables = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
        found += keys_of(tables[0]) if tables else [key]
    return found
