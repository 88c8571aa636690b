"""Runs in a process of its own, started by `trader.model.loading`: opens an ONNX file that may be hostile.

Reads the file's bytes from standard input and writes one line of JSON to standard output, `{"ok": true}` or the reason
why the file is refused; a model that calls functions of its own follows that line, with their bodies in the place of
the calls. The limits that it sets on itself turn whatever explodes into an exit status. It is run by
path, in isolated mode, and imports nothing of this project: starting it takes as long as importing onnx.

Checked, in this order: size, protobuf syntax, operators against the allow-list, external data, declared tensor sizes,
`onnx.checker`, strict shape inference, inferred sizes. Nothing of the model is ever executed.
"""

import json
import math
import resource
import sys
from collections.abc import Iterator
from typing import Any

MAX_ELEMENTS = 1 << 27
MAX_NODES = 20_000
MAX_FUNCTIONS = 500
"""Of the file's own: fewer than calls can be nested in Python."""


class RefusedModelError(Exception):
    """Why the file is refused: fields of the answer."""


def main() -> None:
    """Judge the model on standard input; arguments: memory limit in bytes, CPU limit in seconds, allowed operators."""
    memory_bytes, cpu_seconds, allowed = int(sys.argv[1]), int(sys.argv[2]), frozenset(sys.argv[3].split(","))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    rewritten = b""
    try:
        rewritten = _judge(sys.stdin.buffer.read(), allowed)
        answer: dict[str, Any] = {"ok": True}
    except RefusedModelError as refusal:
        answer = {"ok": False, **refusal.args[0]}
    except MemoryError:
        answer = {"ok": False, "reason": "it takes more memory than allowed"}
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + rewritten)


def _judge(data: bytes, allowed: frozenset[str]) -> bytes:
    """Return the model without functions of its own; nothing if it has none."""
    # After the limits are set, which count what importing takes.
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # it ships no annotations

    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise _refusal("it is not an ONNX file") from error
    if not model.graph.node:
        raise _refusal("it has no nodes, so it is not an ONNX model")
    _check_versions(model, onnx.defs.onnx_opset_version())
    has_functions = bool(model.functions)
    if has_functions:
        model = _inlined(model)
    _check_operators(model, allowed)
    _check_tensors(model)
    try:
        _complete_shapes(model)
        onnx.checker.check_model(model)
        rewritten = model.SerializeToString() if has_functions else b""
        _forget_shapes(model)
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        raise _refusal(f"it is not a valid model: {_first_line(error)}") from error
    _check_sizes(inferred)
    return rewritten


def _inlined(model: Any) -> Any:
    import onnx.inliner

    bodies = {(f.domain, f.name): [(node.domain, node.op_type) for node in f.node] for f in model.functions}
    if (nodes := _count_nodes([(node.domain, node.op_type) for node in model.graph.node], bodies, {})) > MAX_NODES:
        raise _refusal(f"it has {nodes} nodes once its functions are written out, more than {MAX_NODES}")
    try:
        return onnx.inliner.inline_local_functions(model)
    except (RuntimeError, ValueError) as error:
        raise _refusal(f"its functions can't be written out, export it without them: {_first_line(error)}") from error


def _count_nodes(
    calls: list[tuple[str, str]],
    bodies: dict[tuple[str, str], list[tuple[str, str]]],
    known: dict[tuple[str, str], int | None],
) -> int:
    """Return how many nodes operators are once functions are written out; each function is counted once."""
    total = 0
    for call in calls:
        if call in bodies and call not in known:
            known[call] = None
            if len(known) > MAX_FUNCTIONS:
                raise _refusal(f"it calls more than {MAX_FUNCTIONS} functions of its own; export it without them")
            known[call] = _count_nodes(bodies[call], bodies, known)
        count = known.get(call, 1)
        if count is None:
            raise _refusal("its functions call themselves")
        total += count
    return total


def _complete_shapes(model: Any) -> None:
    """Give outputs that the file says no shape of an empty one: the checker asks for some, and inference finds it."""
    for value in model.graph.input:
        if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape"):
            raise _refusal(f"input '{value.name[:100]}' has no shape; export it with [batch, features, …]")
    for value in model.graph.output:
        if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape"):
            value.type.tensor_type.shape.SetInParent()


def _forget_shapes(model: Any) -> None:
    """Drop what the file claims about shapes within the model: inference finds them, and exporters sometimes err."""
    del model.graph.value_info[:]
    for value in model.graph.output:
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")


def _check_versions(model: Any, newest: int) -> None:
    """Operator sets that the checks below would not know; 7 is where the handled operators got their present form."""
    for item in model.opset_import:
        if item.domain in ("", "ai.onnx") and not 7 <= item.version <= newest:
            raise _refusal(f"it uses operator set {item.version}; export it with one from 11 to {newest}")


def _check_operators(model: Any, allowed: frozenset[str]) -> None:
    if len(model.graph.node) > MAX_NODES:
        raise _refusal(f"it has {len(model.graph.node)} nodes, more than {MAX_NODES}")
    for index, node in enumerate(model.graph.node):
        domain = "" if node.domain == "ai.onnx" else node.domain
        operator = f"{domain}.{node.op_type}" if domain else node.op_type
        if operator not in allowed or any(a.HasField("g") or a.graphs for a in node.attribute):
            raise RefusedModelError({"operator": operator[:100], "node": (node.name or f"#{index}")[:100]})


def _check_tensors(model: Any) -> None:
    for tensor in _tensors(model):
        if tensor.external_data or tensor.data_location == tensor.EXTERNAL:
            raise _refusal(f"tensor '{tensor.name[:100]}' lies in another file; save the model as one file")
        if any(dim < 0 for dim in tensor.dims) or math.prod(tensor.dims) > MAX_ELEMENTS:
            raise _refusal(f"tensor '{tensor.name[:100]}' claims {list(tensor.dims)} elements")


def _tensors(model: Any) -> Iterator[Any]:
    yield from model.graph.initializer
    if model.graph.sparse_initializer:
        raise _refusal("it has sparse initializers; save them dense")
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
                raise _refusal("it has sparse constants; save them dense")
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _check_sizes(model: Any) -> None:
    graph = model.graph
    for value in [*graph.input, *graph.value_info, *graph.output]:
        elements = math.prod(max(dim.dim_value, 1) for dim in value.type.tensor_type.shape.dim)
        if elements > MAX_ELEMENTS:
            raise _refusal(f"value '{value.name[:100]}' would hold {elements} elements, more than {MAX_ELEMENTS}")


def _refusal(reason: str) -> RefusedModelError:
    return RefusedModelError({"reason": reason})


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


if __name__ == "__main__":
    main()
