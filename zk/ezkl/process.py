"""The process that runs ezkl: one job on stdin, one answer in a file.

Run as a script by `zk.ezkl.worker`, never imported. ezkl's failures are many kinds (`RuntimeError`, a Rust
panic that is a `BaseException`, an abort, coroutines for some calls); here they become one JSON answer or a dead
process, and this is the only file of the project that knows ezkl's interface. It imports nothing of the project, so
that it starts fast.

A job is `{"operation", "arguments", "memory_bytes", "cpu_seconds", "parent", "answer"}`, where `parent` is the
process that asks and `answer` the path of the file that gets `{"result", "peak_memory_bytes"}` or `{"error"}`.
"""

import asyncio
import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ezkl

KIBIBYTE = 1024
"""Unit of VmHWM and of ru_maxrss on Linux."""

PR_SET_PDEATHSIG = 1
"""From linux/prctl.h."""

VISIBILITIES = {"input_visibility": "polycommit", "param_visibility": "fixed", "output_visibility": "public"}


def make_srs(srs: str, logrows: int) -> None:
    """Make a structured reference string for development."""
    ezkl.gen_srs(srs, logrows)


def fetch_srs(srs: str, logrows: int) -> None:
    """Download a ceremony's structured reference string."""

    async def download() -> None:
        await ezkl.get_srs(settings_path=None, logrows=logrows, srs_path=srs)

    asyncio.run(download())


def make_settings(circuit: str, folder: str, run_args: list[dict[str, Any]]) -> None:
    """Write the settings that ezkl derives from a circuit's ONNX and each of the run arguments (`0.json`, …)."""
    for index, chosen in enumerate(run_args):
        arguments: Any = ezkl.PyRunArgs()  # the stub leaves its attributes out
        for name, value in (chosen | VISIBILITIES).items():
            setattr(arguments, name, tuple(value) if isinstance(value, list) else value)
        arguments.ignore_range_check_inputs_outputs = True
        ezkl.gen_settings(circuit, str(Path(folder, f"{index}.json")), py_run_args=arguments)


def make_keys(circuit: str, settings: str, srs: str, compiled: str, vk: str, pk: str, vka: str) -> None:
    """Compile a circuit and write its keys and its verifying key artifact."""
    ezkl.compile_circuit(circuit, compiled, settings)
    ezkl.setup(compiled, vk, pk, srs, None, False)

    async def artifact() -> None:
        await ezkl.create_evm_vka(vk_path=vk, settings_path=settings, vka_path=vka, srs_path=srs)

    asyncio.run(artifact())


def write_verifier(vk: str, settings: str, srs: str, solidity: str, abi: str) -> None:
    """Write the reusable verifier's Solidity source.

    ezkl goes on to look for a compiler online and fails without a network, after the source is written.
    """

    async def verifier() -> None:
        await ezkl.create_evm_verifier(
            vk_path=vk, settings_path=settings, sol_code_path=solidity, abi_path=abi, srs_path=srs, reusable=True
        )

    try:
        asyncio.run(verifier())
    except RuntimeError:
        if not Path(solidity).is_file():
            raise


def commit(tensors: str, vk: str, settings: str, srs: str) -> list[list[list[str]]]:
    """Commit to tensors of field elements; one list of points [x, y] (little-endian hex) per tensor."""
    elements = json.loads(Path(tensors).read_text())["input_data"]
    return [[[p.x, p.y] for p in _commit_tensor(tensor, vk, settings, srs)] for tensor in elements]


def _commit_tensor(tensor: list[str], vk: str, settings: str, srs: str) -> list[Any]:
    points: list[Any] = ezkl.kzg_commit(tensor, vk, settings, srs)  # the stub leaves the coordinates out
    return points


def evaluate(tensors: str, compiled: str, settings: str, witness: str) -> list[list[str]]:
    """Return the outputs that a circuit gives, without a proof."""
    ezkl.gen_witness(tensors, compiled, witness, None, None)
    check_lookups(witness, settings)
    outputs: list[list[str]] = json.loads(Path(witness).read_text())["outputs"]
    return outputs


def check_lookups(witness: str, settings: str) -> None:
    """Refuse a witness with a value outside the tables: ezkl's prover would wait forever."""
    found, wanted = (json.loads(Path(path).read_text()) for path in (witness, settings))
    low, high = wanted["run_args"]["lookup_range"]
    least, most = int(found["min_lookup_inputs"]), int(found["max_lookup_inputs"])
    if wanted["required_lookups"] and not low <= least <= most <= high:
        raise ValueError(
            f"a function meets values from {least} to {most}, its table holds {low} to {high}: "
            "prepare the model with a larger activation magnitude"
        )


def prove(tensors: str, compiled: str, vk: str, pk: str, settings: str, srs: str, witness: str, proof: str) -> None:
    """Write a verified proof about tensors of field elements."""
    ezkl.gen_witness(tensors, compiled, witness, vk, srs)
    check_lookups(witness, settings)
    ezkl.prove(witness, compiled, pk, proof, srs)
    verify(proof, settings, vk, srs)


def verify(proof: str, settings: str, vk: str, srs: str) -> None:
    """Verify a proof."""
    if not ezkl.verify(proof, settings, vk, srs, False):
        raise RuntimeError("ezkl.verify answered False")


OPERATIONS: dict[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (make_srs, fetch_srs, make_settings, make_keys, write_verifier, commit, evaluate, prove, verify)
}


def die_with_parent(parent: int) -> None:
    """Ask Linux to kill this process when its parent dies; elsewhere the limit on CPU time has to do.

    One that has died already, while this process was starting, sends no signal any more.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def peak_memory_bytes() -> int:
    """Largest resident size of this process since it started to run Python.

    Linux hands ru_maxrss down through fork and exec (getrusage(2)): a large parent's size would count as ours.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIBIBYTE
    return int(status.partition("VmHWM:")[2].split()[0]) * KIBIBYTE


def main() -> None:
    """Perform the job on stdin under its limits."""
    job = json.load(sys.stdin)
    die_with_parent(job["parent"])
    resource.setrlimit(resource.RLIMIT_AS, (job["memory_bytes"],) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (job["cpu_seconds"],) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        answer = {"result": OPERATIONS[job["operation"]](**job["arguments"])}
        answer["peak_memory_bytes"] = peak_memory_bytes()
    except BaseException as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    Path(job["answer"]).write_text(json.dumps(answer))
    # Not by way of the interpreter's teardown: ezkl's threads now and then crash in it.
    os._exit(0)


if __name__ == "__main__":
    main()
