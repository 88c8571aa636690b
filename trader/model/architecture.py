"""architecture.onnx: the public graph, with every parameter as a graph input.

Graph inputs in order: `input` float32 [N, F], then one float32 tensor per layer in canonical order. Output `output` [N, O]:
raw outputs. Each layer is Pad, Add, MatMul; a square is Mul(x, x). The bytes are a function of the graph alone.
"""

from pathlib import Path

from trader.model.graph import Graph


def architecture_bytes(graph: Graph) -> bytes:
    """The architecture file of a graph; the same graph always gives the same bytes."""
    raise NotImplementedError


def read_architecture(path: Path) -> Graph:
    """Read a public architecture file, which comes from the other party, back to its graph.

    Guarantees that `architecture_bytes` of the result gives the very bytes of the file.

    Raises:
        UnsafeModelError: the file was refused by the sandbox.
        ArchitectureError: it isn't of the canonical form.
    """
    raise NotImplementedError
