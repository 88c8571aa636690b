"""The vendored verifier is what ezkl generates, to the byte, whatever the circuit."""

import asyncio
import contextlib
from pathlib import Path

import ezkl
import onnx
import pytest

import contracts
from tests.vectors.make_audit_proofs import LOGROWS, audit_circuit, run_arguments

VENDORED = Path(contracts.__file__).parent / "src" / "vendor" / "Halo2VerifierReusable.sol"


@pytest.mark.slow
def test_ezkl_generates_the_vendored_verifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(audit_circuit(), "audit.onnx")
    ezkl.gen_settings("audit.onnx", "settings.json", run_arguments())
    ezkl.compile_circuit("audit.onnx", "circuit", "settings.json")
    ezkl.gen_srs("srs", LOGROWS)
    ezkl.setup("circuit", "vk", "pk", "srs")

    async def generate() -> None:
        await ezkl.create_evm_verifier("vk", "settings.json", "verifier.sol", "abi.json", "srs", reusable=True)

    with contextlib.suppress(RuntimeError):  # it goes on to look for a compiler, after it has written the source
        asyncio.run(generate())
    assert Path("verifier.sol").read_bytes() == VENDORED.read_bytes()
