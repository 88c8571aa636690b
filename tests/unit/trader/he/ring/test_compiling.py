"""Machine code is compiled again whenever something that it holds has changed."""

import importlib
import shutil
import sys
from pathlib import Path

import pytest
from numba.core.dispatcher import Dispatcher

import trader.he
from trader.he.ring import compiling

FOLDER = Path(trader.he.__file__).parent
INNER = """
from folder.compiling import inlined, kernel

@inlined
def part(value):
    return value + {part}

@kernel
def whole(value):
    return 100 * value + {whole}
"""
OUTER = """
from folder.compiling import kernel
from folder.inner import part, whole

@kernel
def both(value):
    return part(value), whole(value)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder like that of the kernels."""
    made = tmp_path / "folder"
    made.mkdir()
    shutil.copy(str(compiling.__file__), made)
    (made / "__init__.py").touch()
    (made / "outer.py").write_text(OUTER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    return made


def _loaded(folder, **values):
    """The outer kernel, as a new process has it that finds what others have compiled."""
    (folder / "inner.py").write_text(INNER.format(**values))
    for name in [name for name in sys.modules if name.partition(".")[0] == "folder"]:
        del sys.modules[name]
    for cached in folder.glob("__pycache__/*.pyc"):  # two files of one second and size are one to Python
        cached.unlink()
    importlib.invalidate_caches()
    return importlib.import_module("folder.outer").both


@pytest.mark.parametrize("changed", [{"part": 5, "whole": 2}, {"part": 1, "whole": 5}])
def test_what_another_module_has_in_it_is_compiled_anew_with_it(folder, changed):
    first = _loaded(folder, part=1, whole=2)
    assert not compiling.is_compiled(first)
    assert first(1) == (2, 102)
    assert compiling.is_compiled(first)
    kept = _loaded(folder, part=1, whole=2)
    assert (kept(1), sum(kept.stats.cache_hits.values())) == ((2, 102), 1)
    (folder / "outer.py").touch()
    assert compiling.is_compiled(_loaded(folder, part=1, whole=2))
    renewed = _loaded(folder, **changed)
    assert not compiling.is_compiled(renewed)
    assert renewed(1) == (1 + changed["part"], 100 + changed["whole"])


def test_every_kernel_asks_for_all_modules():
    names = [".".join(["trader.he", *path.relative_to(FOLDER).with_suffix("").parts]) for path in _kernels()]
    kernels = [one for name in names for one in vars(importlib.import_module(name)).values()]
    stamps = [one._cache._impl.locator.get_source_stamp() for one in kernels if _is_kept(one)]
    assert len(stamps) > 30
    assert all(stamp[1] == compiling.SOURCES for stamp in stamps)


def test_no_kernel_is_compiled_in_another_way():
    root = FOLDER.parents[1]
    sources = [path for room in ("trader", "zk", "ledger", "contracts") for path in (root / room).rglob("*.py")]
    assert [path.name for path in sources if "njit(" in path.read_text()] == ["compiling.py"]


def test_other_functions_are_kept_as_numba_keeps_them():
    assert not compiling.config.CACHE_LOCATOR_CLASSES


def test_all_that_kernels_call_stands_beside_them():
    """In the ring's folder, or in their own module."""
    for path in _kernels():
        name = ".".join(["trader.he", *path.relative_to(FOLDER).with_suffix("").parts])
        called = [one for one in vars(importlib.import_module(name)).values() if isinstance(one, Dispatcher)]
        assert {one.py_func.__module__ for one in called} <= {name} | {
            f"trader.he.ring.{source.stem}" for source in (FOLDER / "ring").glob("*.py")
        }


def _kernels():
    return [path for path in FOLDER.rglob("*.py") if "\n@kernel\n" in path.read_text()]


def _is_kept(value):
    return isinstance(value, Dispatcher) and hasattr(value._cache, "_impl")
