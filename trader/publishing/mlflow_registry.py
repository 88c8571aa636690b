"""Bundles to an MLflow server: logged in a run, and registered as a version of a model.

The bundle stays whole in `model/bundle`, where its signature holds; beside it, `model/MLmodel` says how MLflow loads it
(flavour `onnx`). Credentials are MLflow's own environment variables.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trader.publishing.bundle import MODEL, check_bundle
from trader.publishing.errors import PublishingError, RegistryError, missing_library

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from trader.publishing.provenance import Provenance

ARTIFACT, BUNDLE, DESCRIPTION = "model", "bundle", "MLmodel"
_DTYPES = {"float": "float32", "double": "float64", "string": "object"}


def mlflow_client(tracking_uri: str) -> MlflowClient:
    """Return a client of a tracking server and its registry.

    Raises:
        RegistryError: The address is of no kind that MLflow serves.
        EnvironmentFaultError: A library is missing.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError as error:
        raise missing_library(error) from error
    try:
        return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
    except ImportError as error:  # a database needs a library that servers have, and their clients do not
        raise missing_library(error) from error
    except MlflowException as error:
        raise RegistryError(f"MLflow refuses: {str(error).splitlines()[0][:300]}") from error


def export_mlflow(
    folder: Path, provenance: Provenance, *, tracking_uri: str, name: str, experiment: str = "modelseal"
) -> str:
    """Log a bundle and register it; return its address, `models:/name/version`.

    Args:
        folder: A bundle, signed or not.
        provenance: Where the model comes from: figures become metrics, facts become tags.
        tracking_uri: Of the server, which has the registry too.
        name: Of the registered model, made if it isn't there.
        experiment: To log in, made if it isn't there.

    Raises:
        PublishingError: The folder is no bundle, or the name none of a model.
        RegistryError: The server doesn't answer, or refuses.
        EnvironmentFaultError: A library is missing.
    """
    check_bundle(folder)
    if not name or any(char in name for char in "/:") or not name.isprintable():
        raise PublishingError(f"{name!r} is not the name of a registered model: no slash, no colon")
    client = mlflow_client(tracking_uri)
    from mlflow.exceptions import MlflowException

    try:
        return _export(client, folder, provenance, name, experiment)
    except MlflowException as error:
        raise RegistryError(f"MLflow refuses: {str(error).splitlines()[0][:300]}") from error


def _export(client: MlflowClient, folder: Path, provenance: Provenance, name: str, experiment: str) -> str:
    known = client.get_experiment_by_name(experiment)
    number = client.create_experiment(experiment) if known is None else known.experiment_id
    tags = {f"modelseal.{key}": value for key, value in provenance.facts.items()}
    run = client.create_run(number, tags=tags)
    run_id = run.info.run_id
    try:
        for metric in provenance.metrics:
            client.log_metric(run_id, f"{metric.basis}_{_key(metric.name)}", metric.value)
        client.log_artifacts(run_id, str(folder), f"{ARTIFACT}/{BUNDLE}")
        with tempfile.TemporaryDirectory() as temporary:
            described = Path(temporary) / DESCRIPTION
            described.write_text(_mlmodel(folder, run_id))
            client.log_artifact(run_id, str(described), ARTIFACT)
        _make_registered(client, name)
        version = client.create_model_version(name, f"{run.info.artifact_uri}/{ARTIFACT}", run_id, tags=tags)
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id)
    return f"models:/{name}/{version.version}"


def _make_registered(client: MlflowClient, name: str) -> None:
    """Make a registered model, unless it is there."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _key(name: str) -> str:
    """Return a metric's name with what MLflow allows in names."""
    return "".join(char if char.isalnum() and char.isascii() else "_" for char in name) or "metric"


def _mlmodel(folder: Path, run_id: str) -> str:
    """Return the file MLmodel: JSON, which is YAML too.

    MLflow's own class for signatures imports pandas, which nothing else here needs; its form is documented.
    """
    import onnx

    model = onnx.load(folder / MODEL, load_external_data=False)
    data = f"{BUNDLE}/{MODEL}"
    version = ".".join(map(str, sys.version_info[:3]))
    document: dict[str, Any] = {
        "artifact_path": ARTIFACT,
        "flavors": {
            "onnx": {"data": data, "onnx_version": onnx.__version__, "providers": ["CPUExecutionProvider"]},
            "python_function": {"data": data, "loader_module": "mlflow.onnx", "python_version": version},
        },
        "model_uuid": uuid.uuid4().hex,
        "run_id": run_id,
        "utc_time_created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
        "signature": {
            "inputs": json.dumps([_tensor(value) for value in model.graph.input]),
            "outputs": json.dumps([_tensor(v) for v in model.graph.output if v.type.HasField("tensor_type")]),
            "params": None,
        },
    }
    return json.dumps(document, indent=2)


def _tensor(value: Any) -> dict[str, Any]:
    """Return a tensor as signatures have it; open axes are -1."""
    import onnx

    kind = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower()
    shape = [int(dim.dim_value) or -1 for dim in value.type.tensor_type.shape.dim]
    return {
        "name": value.name,
        "type": "tensor",
        "tensor-spec": {"dtype": _DTYPES.get(kind, kind), "shape": shape},
    }
