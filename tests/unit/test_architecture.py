"""The rules of the layout, checked on the source text: who may import what, what is public, what is documented."""

import ast
import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = {
    "contracts": set(),
    "zk": set(),
    "ledger": {"contracts"},
    "trader": {"contracts", "zk", "ledger"},
}
"""Each package, and the packages of ours below it."""
RUNS_BENCHMARKS = Path("trader/cli/bench.py")
"""The one file below `benchmarks` that knows them: the command that runs them."""
SOURCES = sorted(
    path.relative_to(ROOT)
    for package in LAYERS
    for path in (ROOT / package).rglob("*.py")
    if "node_modules" not in path.parts
)
PACKAGES = sorted({".".join(path.parent.parts) for path in SOURCES if path.name == "__init__.py"})

OUTSIDE_WORLD = {"asyncio", "http", "io", "mmap", "os", "pathlib", "requests", "shutil", "socket", "sqlalchemy"}
OUTSIDE_WORLD |= {"sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading", "urllib", "web3"}
LEDGER_FORMAT = ("ledger/checkpoint.py", "ledger/details.py", "ledger/encoding.py", "ledger/entries.py")
LEDGER_FORMAT += (
    "ledger/merkle.py",
    "ledger/notes/keys.py",
    "ledger/notes/note.py",
    "ledger/notes/policy.py",
    "ledger/witness/request.py",
)
CHANCE_AND_CLOCK = {"datetime", "random", "secrets", "time"}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def imports(path: Path, *, at_run_time: bool = False) -> Iterator[str]:
    """The modules that a file imports anywhere in it; with `at_run_time`, those for annotations alone left out."""
    waiting: list[ast.AST] = [tree_of(path)]
    while waiting:
        node = waiting.pop()
        if at_run_time and isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = path.parent.parts[: len(path.parent.parts) - node.level + 1] if node.level else ()
            yield ".".join([*package, *filter(None, [node.module])])
        waiting += ast.iter_child_nodes(node)


def roots(path: Path, *, at_run_time: bool = False) -> set[str]:
    return {name.split(".")[0] for name in imports(path, at_run_time=at_run_time)}


def named(paths: list[Path]) -> list[str]:
    return [path.as_posix() for path in paths]


def test_there_are_sources() -> None:
    assert len(SOURCES) > 50
    assert {"contracts", "ledger", "trader", "trader.trade", "zk"} <= set(PACKAGES)


IMPORTS = """\
zk.errors:
zk.field:
zk.storage:
zk.ezkl: errors storage
zk.setup: errors storage ezkl
zk.circuits: errors field storage ezkl setup
zk.binding: errors field storage ezkl setup circuits
zk.proofs: errors field storage ezkl setup circuits binding
ledger.errors:
ledger.details: errors
ledger.entries: errors details
ledger.encoding: errors details entries
ledger.merkle: errors
ledger.checkpoint: errors encoding merkle
ledger.redaction: errors details entries
ledger.storage: errors details entries encoding merkle redaction
ledger.files:
ledger.notes: errors checkpoint files
ledger.group_commit:
ledger.settling: entries encoding merkle checkpoint storage
ledger.appending: entries encoding redaction storage settling
ledger.log: errors entries encoding checkpoint redaction storage notes group_commit settling appending
ledger.catalogue: errors details entries encoding merkle storage log
ledger.reading: errors details entries encoding merkle checkpoint redaction storage files settling log catalogue
ledger.indexing: errors details entries encoding storage log catalogue reading
ledger.witness: errors merkle checkpoint notes
ledger.publishing: errors encoding merkle checkpoint storage files notes log reading witness
trader.errors:
trader.files: errors
trader.database: errors
trader.signer:
trader.variables:
trader.amounts: errors
trader.currencies: errors amounts
trader.artifacts: errors files
trader.trade:
trader.model: errors
trader.he.types:
trader.he.errors: errors
trader.he.parallel: he.types
trader.he.ring: he.types he.errors
trader.he.seal: he.types he.errors he.parallel he.ring
trader.he.wire: he.types he.errors he.parallel he.ring
trader.he.program: model he.errors
trader.he.layouts: model he.types he.ring he.program
trader.he.planning: model he.errors he.parallel he.ring he.seal he.wire he.program he.layouts
trader.he.request: he.types he.parallel he.ring he.seal he.wire he.planning
trader.he.session: he.types he.errors he.ring he.seal he.wire he.layouts he.planning he.request
trader.he.evaluation: model he.types he.errors he.parallel he.ring he.seal he.wire he.program he.layouts he.planning \
he.request
trader.he: he.errors he.wire he.layouts he.planning he.session he.evaluation
trader.tolerance: he
trader.adapt: errors model
trader.exchange: errors files signer
trader.package: errors files model he tolerance exchange
trader.delivery: errors
trader.chain: errors files signer amounts trade delivery
trader.certificates: errors model package
trader.verify: errors currencies model he tolerance package delivery
trader.parties: errors files signer trade model he exchange package delivery chain certificates verify
trader.doctor: errors he.ring exchange package chain parties
trader.jobs: errors files database model he package parties
trader.rehearsal: errors model he chain
trader.service: errors database signer artifacts he exchange chain parties
trader.settings: errors files variables amounts currencies he verify parties
trader.clients: errors files signer currencies artifacts trade exchange package chain certificates verify parties jobs \
service settings
trader.trade_certificate: errors signer trade model package chain verify parties
trader.report: errors currencies trade model he chain verify parties
trader.publishing: errors files model trade_certificate
trader.demo: errors files signer trade model he.planning he.request he tolerance exchange package delivery chain \
verify parties trade_certificate report
trader.cli: errors files signer variables amounts currencies trade model he adapt exchange package delivery chain \
certificates verify parties doctor rehearsal service settings clients trade_certificate report publishing demo
"""
"""Each room, and the other rooms of its package that it imports. They stand in an order in which imports point up."""
ROOMS: dict[str, set[str]] = {
    room: {f"{room.partition('.')[0]}.{other}" for other in others.split()}
    for room, _, others in (line.partition(":") for line in IMPORTS.splitlines())
}


def room_of(module: str) -> str:
    """The room that a module stands in: the longest of the names that it begins with."""
    return max((room for room in ROOMS if f"{module}.".startswith(f"{room}.")), key=len, default="")


def rooms_imported_by(path: Path) -> set[str]:
    """The rooms of the same package that a file imports; its own is left out."""
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == path.parts[0]:
            found |= {room_of(f"{node.module}.{alias.name}") for alias in node.names}
    return found - {room_of(".".join(path.with_suffix("").parts).removesuffix(".__init__")), ""}


def test_rooms_import_what_the_table_says_and_nothing_back() -> None:
    imported: dict[str, set[str]] = {room: set() for room in ROOMS}
    for path in SOURCES:
        module = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        if path.parts[0] != "contracts" and module not in LAYERS:
            assert room_of(module), f"{path} stands in no room"
            imported[room_of(module)] |= rooms_imported_by(path)
    assert imported == ROOMS
    above: set[str] = set()
    for room, others in ROOMS.items():
        assert others <= above, f"{room} imports {others - above}, which stand below it"
        above.add(room)


@pytest.mark.parametrize("path", SOURCES, ids=named(SOURCES))
def test_imports_point_down(path: Path) -> None:
    package = path.parts[0]
    assert roots(path) & set(LAYERS) <= LAYERS[package] | {package}
    assert not roots(path) & {"tests", "scripts"}
    assert "benchmarks" not in roots(path) or path == RUNS_BENCHMARKS


@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        ("ezkl", ("zk/ezkl/process.py",)),
        ("tenseal", ("trader/he/seal/keys.py",)),
        ("_sealapi_cpp", ("trader/he/seal/process.py",)),
        ("web3", ("trader/chain/", "contracts/", "ledger/")),
        ("eth_tester", ("trader/chain/",)),
        ("solcx", ("contracts/compiler.py",)),
        ("sqlalchemy", ("ledger/", "trader/database.py", "trader/jobs/", "trader/service/")),
        ("typer", ("trader/cli/",)),
        ("onnxruntime", ("trader/model/original.py", "trader/demo/")),
    ],
)
def test_library_is_imported_in_its_place_alone(library: str, allowed: tuple[str, ...]) -> None:
    importers = [path for path in SOURCES if library in roots(path, at_run_time=True)]
    assert importers, f"nothing imports {library}: is the rule out of date?"
    assert [name for name in named(importers) if not name.startswith(allowed)] == []


def pure(*places: str) -> list[Path]:
    return [path for path in SOURCES if path.as_posix().startswith(places)]


@pytest.mark.parametrize(
    "path",
    pure("trader/trade/", "trader/verify/", *LEDGER_FORMAT),
    ids=str,
)
def test_decisions_are_free_of_input_and_output(path: Path) -> None:
    assert not roots(path, at_run_time=True) & OUTSIDE_WORLD
    called = {
        node.func.id for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call) and hasattr(node.func, "id")
    }
    assert not called & {"open", "print", "input"}


@pytest.mark.parametrize("path", pure("trader/trade/", *LEDGER_FORMAT), ids=str)
def test_decisions_have_no_clock_and_no_dice(path: Path) -> None:
    assert not roots(path, at_run_time=True) & CHANCE_AND_CLOCK


def test_the_checker_shares_only_the_format_with_the_writer() -> None:
    shared = {
        "ledger.checkpoint",
        "ledger.details",
        "ledger.encoding",
        "ledger.entries",
        "ledger.redaction",
        "ledger.errors",
        "ledger.merkle",
        "ledger.storage.schema",
    }
    shared |= {"ledger.catalogue.index"}
    shared |= {"ledger.reading.fsck_segments"}
    shared |= {"ledger.storage.location", "ledger.reading.fsck_server"}  # rows from a server, and nothing of the writer
    assert {name for name in imports(Path("ledger/reading/fsck.py")) if name.startswith("ledger")} <= shared


@pytest.mark.parametrize("name", PACKAGES)
def test_public_names_exist_and_are_listed_once(name: str) -> None:
    package = importlib.import_module(name)
    if name in LAYERS:
        assert package.__all__
    public = getattr(package, "__all__", [])
    assert len(public) == len(set(public))
    for public_name in public:
        assert hasattr(package, public_name), public_name


def public_definitions(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and not child.name.startswith("_"):
            yield f"{prefix}{child.name}", child
            if isinstance(child, ast.ClassDef):
                yield from public_definitions(child, f"{prefix}{child.name}.")


@pytest.mark.parametrize("path", SOURCES, ids=named(SOURCES))
def test_everything_public_is_documented(path: Path) -> None:
    tree = tree_of(path)
    assert ast.get_docstring(tree), "the module says nothing about itself"
    assert [name for name, node in public_definitions(tree, "") if not ast.get_docstring(node)] == []
