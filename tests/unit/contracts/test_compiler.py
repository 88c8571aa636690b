import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from contracts import compiler
from contracts.published import ARTIFACTS_PATH, read_artifacts

ROOT = ARTIFACTS_PATH.parents[1]
NEEDS_NPM = pytest.mark.skipif(not (ROOT / "node_modules" / "solc").is_dir(), reason="needs `npm ci` in contracts/")


def test_the_artifacts_are_of_the_sources_as_they_are() -> None:
    """Without a compiler: checksums of our own sources. With one, `--check` below recompiles."""
    own = {unit: digest for unit, digest in read_artifacts().sources.items() if not unit.startswith("@")}
    compiled = [unit for job in compiler._JOBS.values() for unit in job["contracts"]]
    present = [*(ROOT / "src").rglob("*.sol"), *(ROOT / unit for unit in compiled if unit.startswith("test/"))]
    assert own == {str(path.relative_to(ROOT)): hashlib.sha256(path.read_bytes()).hexdigest() for path in present}


@NEEDS_NPM
@pytest.mark.slow
def test_recompiling_gives_the_committed_artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = tmp_path / "contracts.json"
    monkeypatch.setattr(compiler, "ARTIFACTS_PATH", written)
    assert compiler.main([]) == 0
    assert written.read_text() == ARTIFACTS_PATH.read_text()
    assert list(tmp_path.iterdir()) == [written]


def test_check_tells_stale_artifacts_and_leaves_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    committed = tmp_path / "contracts.json"
    committed.write_text("{}")
    monkeypatch.setattr(compiler, "ARTIFACTS_PATH", committed)
    for compiled, status in (("{}", 0), ('{"newer": 1}', 1)):
        monkeypatch.setattr(compiler, "compile_artifacts", lambda compiled=compiled: compiled)
        assert compiler.main(["--check"]) == status
        assert committed.read_text() == "{}"


def test_a_missing_dependency_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "_NODE_MODULES", ROOT / "nowhere")
    assert compiler.main([]) == 2
    assert "npm ci" in capsys.readouterr().err


@NEEDS_NPM
def test_the_npm_wrapper_survives_large_documents() -> None:
    """The package's own command truncates output on a pipe and fails on a non-blocking input."""
    functions = "".join(f"function f{i}(uint x) external pure returns (uint) {{ return x + {i}; }}" for i in range(400))
    request = {
        "language": "Solidity",
        "sources": {"a.sol": {"content": f"pragma solidity ^0.8.0; contract A {{ {functions} }}"}},
        "settings": {"outputSelection": {"*": {"*": ["abi", "evm.bytecode", "metadata"], "": ["ast"]}}},
    }
    result = subprocess.run(
        [ROOT / "solc-npm.js", "--standard-json"], input=json.dumps(request), capture_output=True, text=True, check=True
    )
    assert len(result.stdout) > 2**20
    assert len(json.loads(result.stdout)["contracts"]["a.sol"]["A"]["abi"]) == 400


def test_the_manager_needs_no_compiler() -> None:
    code = "import sys, contracts; sys.exit(any(m.startswith(('solcx', 'contracts.compiler')) for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT.parent).returncode == 0


@NEEDS_NPM
def test_sources_that_do_not_compile_are_explained_without_their_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, "ARTIFACTS_PATH", tmp_path / "contracts.json")
    monkeypatch.setattr(
        compiler, "read_sources", lambda entries: {"a.sol": "pragma solidity ^0.8.0; contract A { nonsense }"}
    )
    assert compiler.main([]) == 2
    message = capsys.readouterr().err
    assert "ParserError" in message
    assert len(message) < 1000
    assert list(tmp_path.iterdir()) == []
