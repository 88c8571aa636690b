"""Bundles to registries: MLflow's local store, and a loopback server that answers as the Hub does."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from trader.publishing import (
    PublishingError,
    RegistryError,
    create_signing_key,
    export_hf,
    export_mlflow,
    read_model_file,
    sign_bundle,
    verify_bundle,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.trader.publishing.conftest import Loopback
    from trader.publishing import Provenance


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return (tmp_path / "mlruns").as_uri()


def test_a_registered_model_is_the_bundle_and_says_where_it_comes_from(
    store: str, bundle: Path, provenance: Provenance, tmp_path: Path, onnx_file: bytes
) -> None:
    from mlflow import MlflowClient
    from mlflow.artifacts import download_artifacts

    create_signing_key(tmp_path / "key.pem", "password")
    sign_bundle(bundle, tmp_path / "key.pem", "password")
    address = export_mlflow(bundle, provenance, tracking_uri=store, name="credit o'risk")
    assert address == "models:/credit o'risk/1"
    assert export_mlflow(bundle, provenance, tracking_uri=store, name="credit o'risk").endswith("/2")

    client = MlflowClient(tracking_uri=store, registry_uri=store)
    version = client.get_model_version("credit o'risk", "1")
    assert version.tags["modelseal.manifestHash"] == provenance.manifest_hash
    run = client.get_run(version.run_id)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"proven_accuracy": 0.975, "measured_accuracy": 0.96})
    copy = download_artifacts(
        run_id=version.run_id, artifact_path="model", dst_path=tmp_path / "copy", tracking_uri=store
    )
    verify_bundle(type(bundle)(copy), bundle / "signing-key.pem")
    assert read_model_file("models:/credit o'risk/1", tracking_uri=store).data == onnx_file


def test_its_description_has_the_signature_of_the_file(store: str, bundle: Path, provenance: Provenance) -> None:
    from mlflow import MlflowClient
    from mlflow.artifacts import load_text

    export_mlflow(bundle, provenance, tracking_uri=store, name="credit")
    version = MlflowClient(tracking_uri=store, registry_uri=store).get_model_version("credit", "1")
    described = json.loads(load_text(f"{version.source}/MLmodel"))
    assert described["flavors"]["onnx"]["data"] == "model.onnx"
    tensors = {side: json.loads(described["signature"][side]) for side in ("inputs", "outputs")}
    assert tensors == {
        "inputs": [{"name": "x", "type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 5]}}],
        "outputs": [{"name": "p", "type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}],
    }


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "a\nb"])
def test_names_that_mlflow_could_not_address_are_refused(store: str, bundle: Path, provenance, name: str) -> None:
    with pytest.raises(PublishingError, match="not the name"):
        export_mlflow(bundle, provenance, tracking_uri=store, name=name)


def test_a_server_that_is_none_is_said_to(bundle: Path, provenance: Provenance) -> None:
    with pytest.raises(RegistryError):
        export_mlflow(bundle, provenance, tracking_uri="gopher://x", name="credit")


@pytest.fixture
def hub(loopback: Loopback, monkeypatch: pytest.MonkeyPatch) -> Loopback:
    monkeypatch.setenv("HF_ENDPOINT", loopback.url)
    monkeypatch.setenv("HF_TOKEN", "hf_planted")
    repository = {"id": "me/credit", "url": f"{loopback.url}/me/credit", "name": "me/credit"}
    loopback.post("/api/repos/create", repository)
    loopback.post("/api/validate-yaml", {"errors": [], "warnings": []})
    loopback.give("/api/models/me/credit", json.dumps(repository | {"sha": "0" * 40}).encode())
    loopback.answers["POST", "/api/models/me/credit/preupload/main"] = lambda body: (
        200,
        {"content-type": "application/json"},
        json.dumps(
            {
                "files": [
                    {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for file in json.loads(body)["files"]
                ]
            }
        ).encode(),
    )
    commit = {"commitUrl": f"{loopback.url}/me/credit/commit/{'1' * 40}", "commitOid": "1" * 40, "success": True}
    loopback.post("/api/models/me/credit/commit/main", commit)
    return loopback


def test_the_hub_gets_the_bundle_and_nothing_else(hub: Loopback, bundle: Path) -> None:
    assert export_hf(bundle, "me/credit") == f"{hub.url}/me/credit/commit/{'1' * 40}"
    (created,) = (json.loads(body) for _, path, _, body in hub.asked if path == "/api/repos/create")
    assert created["visibility"] == "private"
    (body,) = (body for _, path, _, body in hub.asked if path.endswith("/commit/main"))
    lines = [json.loads(line) for line in body.splitlines()]
    sent = {
        line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines if line["key"] == "file"
    }
    assert sent == {path.name: path.read_bytes() for path in bundle.iterdir()}
    assert all(b"hf_planted" not in data for _, _, _, data in hub.asked)


def test_a_hub_that_refuses_is_said_to_without_the_token(hub: Loopback, bundle: Path) -> None:
    hub.answers["POST", "/api/repos/create"] = lambda _: (403, {}, b'{"error": "no"}')
    with pytest.raises(RegistryError, match="refuses") as caught:
        export_hf(bundle, "me/credit")
    assert "hf_planted" not in str(caught.value)
    with pytest.raises(PublishingError, match="not the name"):
        export_hf(bundle, "../../x/y")


def test_a_token_does_not_go_anywhere_in_clear(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example")
    with pytest.raises(PublishingError, match="in clear"):
        export_hf(bundle, "me/credit")
    with pytest.raises(PublishingError, match="in clear"):
        read_model_file("hf://me/credit/model.onnx")
