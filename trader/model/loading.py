"""Opening an ONNX file that may be hostile."""

from pathlib import Path

import onnx


def load_onnx(path: Path) -> onnx.ModelProto:
    """Read, check and shape-infer an ONNX file in a subprocess with memory and time limits.

    Raises:
        UnsafeModelError: too big, malformed, external data, an allocation bomb, or past the limits.
        UnsupportedOperatorError: an operator outside the allow-list.
    """
    raise NotImplementedError
