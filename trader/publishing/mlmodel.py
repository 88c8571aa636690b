"""`MLmodel`: how MLflow loads a bundle (flavours `onnx`, `python_function`), and what the model takes and gives."""

from __future__ import annotations

import hashlib
import json
import sys
import uuid
from typing import Any

import onnx

_DTYPES = {"float": "float32", "double": "float64", "string": "object"}


def mlflow_description(file: bytes, name: str) -> bytes:
    """Return `MLmodel` of an ONNX file called `name` beside it: JSON, which is YAML too.

    MLflow's own class for signatures imports pandas, which nothing else here needs; its form is documented.
    """
    model = onnx.load_model_from_string(file)
    version = ".".join(map(str, sys.version_info[:3]))
    document: dict[str, Any] = {
        "flavors": {
            "onnx": {"data": name, "onnx_version": onnx.__version__, "providers": ["CPUExecutionProvider"]},
            "python_function": {"data": name, "loader_module": "mlflow.onnx", "python_version": version},
        },
        "model_uuid": uuid.UUID(bytes=hashlib.sha256(file).digest()[:16]).hex,
        "signature": {
            "inputs": json.dumps([_tensor(value) for value in model.graph.input]),
            "outputs": json.dumps([_tensor(v) for v in model.graph.output if v.type.HasField("tensor_type")]),
            "params": None,
        },
    }
    return json.dumps(document, indent=2).encode()


def _tensor(value: Any) -> dict[str, Any]:
    """Return a tensor as signatures have it; open axes are -1."""
    kind = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower()
    shape = [int(dim.dim_value) or -1 for dim in value.type.tensor_type.shape.dim]
    return {
        "name": value.name,
        "type": "tensor",
        "tensor-spec": {"dtype": _DTYPES.get(kind, kind), "shape": shape},
    }
