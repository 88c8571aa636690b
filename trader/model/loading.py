"""Opening an ONNX file that may be hostile.

The file comes from whoever sells a model, or from a listing. It is read once, judged by `trader.model.sandbox` in a
process with limits on memory, CPU and wall time, and parsed here only after that process has called it well-formed.
Operators outside the allow-list are refused before anything infers their shapes.
"""

import json
import subprocess
import sys
from pathlib import Path

import onnx

from trader.model.errors import UnsafeModelError, UnsupportedOperatorError
from trader.model.lowering.operators import SUPPORTED
from trader.model.lowering.refusals import refusal_of

MAX_FILE_BYTES = 256 << 20
MEMORY_BYTES = 2 << 30
"""For the interpreter and onnx; the model's own size is added several times over."""
CPU_SECONDS = 60
WALL_SECONDS = 120
SANDBOX = Path(__file__).with_name("sandbox.py")


def load_onnx(path: Path) -> onnx.ModelProto:
    """Read an ONNX file and check it: `parse_onnx` of its bytes.

    Raises:
        UnsafeModelError: no such file, too big, or refused.
        UnsupportedOperatorError: an operator outside the allow-list; names it and its node.
    """
    return parse_onnx(read_limited(path, MAX_FILE_BYTES), path.name)


def parse_onnx(data: bytes, name: str) -> onnx.ModelProto:
    """Check the bytes of an ONNX file, called `name` in messages, in a subprocess with memory and time limits.

    Guarantees that the model is well-formed and type-checked, that its operators are in `SUPPORTED`, and that its
    tensors lie in the file. Functions that the file defines are written out where they are called. Nothing is executed.
    It is not checked that the model can be lowered.

    Raises:
        UnsafeModelError: malformed, external data, an allocation bomb, or past the limits.
        UnsupportedOperatorError: an operator outside the allow-list; names it and its node.
    """
    verdict, rewritten = _judge(data, name)
    if "operator" in verdict:
        operator = str(verdict["operator"])
        raise UnsupportedOperatorError(operator, str(verdict["node"]), *refusal_of(operator))
    if not verdict.get("ok"):
        raise UnsafeModelError(f"{name} is refused: {verdict.get('reason', 'the checks ended without a verdict')}")
    return onnx.load_model_from_string(rewritten or data)


def read_limited(path: Path, limit_bytes: int) -> bytes:
    """Return the bytes of a regular file of limited size.

    Raises:
        UnsafeModelError: there is no such file, it isn't a regular one, or it is too big.
    """
    try:
        if not path.is_file():
            raise UnsafeModelError(f"{path} is not a file; check the path")
        with path.open("rb") as file:
            data = file.read(limit_bytes + 1)
    except OSError as error:
        raise UnsafeModelError(f"{path} can't be read: {error.strerror}") from error
    if len(data) > limit_bytes:
        raise UnsafeModelError(f"{path.name} has more than {limit_bytes} bytes")
    return data


def _judge(data: bytes, name: str) -> tuple[dict[str, object], bytes]:
    """Return the sandbox's verdict on a file's bytes, and what it made of them if it had to rewrite them."""
    memory_bytes = MEMORY_BYTES + 8 * len(data)
    command = [sys.executable, "-I", str(SANDBOX), str(memory_bytes), str(CPU_SECONDS), ",".join(sorted(SUPPORTED))]
    try:
        # The command is this interpreter and a file of this package; the model goes in through a pipe.
        done = subprocess.run(command, input=data, capture_output=True, timeout=WALL_SECONDS, env=_ENVIRONMENT)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise UnsafeModelError(f"{name} is refused: checking it takes more than {WALL_SECONDS} s") from error
    if done.returncode != 0:
        raise UnsafeModelError(f"{name} is refused: checking it exceeds the memory or time limit, or crashes onnx")
    line, _, rewritten = done.stdout.partition(b"\n")
    verdict: dict[str, object] = json.loads(line)
    return verdict, rewritten


_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""Threads would reserve address space that counts against the memory limit."""
