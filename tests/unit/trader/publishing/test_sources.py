"""Models by URL: what is read, what is refused before it is fetched, and that no pickle is ever opened."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING

import pytest

from trader.errors import TraderError
from trader.publishing import RegistryError, SourceError, read_model_file

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.trader.publishing.conftest import Loopback


class Bomb:
    """What a pickle may do when it is opened."""

    def __reduce__(self) -> tuple:
        return (pytest.fail, ("a pickle was opened",))


@pytest.fixture
def hub(loopback: Loopback, monkeypatch: pytest.MonkeyPatch) -> Loopback:
    monkeypatch.setenv("HF_ENDPOINT", loopback.url)
    monkeypatch.setenv("HF_TOKEN", "hf_planted")
    return loopback


@pytest.mark.parametrize("form", ["{path}", "file://{path}"])
def test_a_file(tmp_path: Path, onnx_file: bytes, form: str) -> None:
    found = read_model_file(form.format(path=tmp_path / "classifier.onnx"))
    assert (found.data, len(found.sha256)) == (onnx_file, 64)


def test_the_web(loopback: Loopback, onnx_file: bytes) -> None:
    loopback.give("/a/model.onnx", onnx_file)
    found = read_model_file(f"{loopback.url}/a/model.onnx?token=secret")
    assert (found.data, found.source) == (onnx_file, f"{loopback.url}/a/model.onnx")


def test_a_repository_of_the_hub(hub: Loopback, onnx_file: bytes) -> None:
    hub.give(
        "/me/model/resolve/v1/deep/model.onnx", b"", status=302, location="/cdn/model.onnx", **{"x-repo-commit": "c0"}
    )
    hub.give("/cdn/model.onnx", onnx_file)
    found = read_model_file("hf://me/model@v1/deep/model.onnx")
    assert (found.data, found.source, found.revision) == (onnx_file, "hf://me/model@v1/deep/model.onnx", "c0")
    assert hub.asked[0][2]["authorization"] == "Bearer hf_planted"
    hub.give("/me/model/resolve/main/model.onnx", onnx_file)
    assert read_model_file("hf://me/model/model.onnx").source == "hf://me/model@main/model.onnx"


def test_a_token_stays_with_the_hub(hub: Loopback, onnx_file: bytes) -> None:
    """A redirection to another place, even on this machine, does not carry it; one that is not encrypted is refused."""
    elsewhere = hub.url.replace("127.0.0.1", "localhost")
    hub.give("/me/model/resolve/main/model.onnx", b"", status=302, location=f"{elsewhere}/model.onnx")
    hub.give("/model.onnx", onnx_file)
    with pytest.raises(SourceError, match="https"):
        read_model_file("hf://me/model/model.onnx")
    assert [path for _, path, _, _ in hub.asked] == ["/me/model/resolve/main/model.onnx"]


@pytest.mark.parametrize(
    "url",
    [
        "hf://me/model@v1/../../other/model.onnx",
        "hf://../model/model.onnx",
        "hf://me/../model.onnx",
        "hf://me/model@../x/model.onnx",
        "hf://me/model//model.onnx",
        "hf://me/model/model.pkl",
        "hf://me/model",
        "http://models.example/model.onnx",
        "https://user:password@models.example/model.onnx",
        "https://models.example/model.pkl",
        "https://models.example/model",
        "ftp://models.example/model.onnx",
        "data:application/octet-stream;base64,AAAA",
        "file://server/model.onnx",
        "model.joblib",
        "missing.onnx",
        "models:/name/1",
        "runs:/1/model",
    ],
)
def test_other_urls_are_refused_before_anything_is_asked(hub: Loopback, url: str, monkeypatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(SourceError) as caught:
        read_model_file(url)
    assert "password@" not in str(caught.value)
    assert hub.asked == []


def test_more_than_the_limit_is_not_read(loopback: Loopback, onnx_file: bytes, tmp_path: Path) -> None:
    loopback.give("/model.onnx", onnx_file)
    for url in (f"{loopback.url}/model.onnx", str(tmp_path / "classifier.onnx")):
        assert read_model_file(url, max_bytes=len(onnx_file)).data == onnx_file
        with pytest.raises(SourceError, match="more than"):
            read_model_file(url, max_bytes=len(onnx_file) - 1)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_by_another_name_is_not_opened(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "model.onnx").write_bytes(pickle.dumps(Bomb(), protocol=protocol))
    with pytest.raises(SourceError, match="skl2onnx"):
        read_model_file(str(tmp_path / "model.onnx"))


@pytest.mark.parametrize("data", [b"", b"junk", b"\x00" * 100, b"(dp0\n."])
def test_what_is_no_onnx_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(data)
    with pytest.raises(TraderError, match="refused"):
        read_model_file(str(tmp_path / "model.onnx"))


def test_a_server_that_fails_is_said_to(loopback: Loopback) -> None:
    with pytest.raises(SourceError, match="404"):
        read_model_file(f"{loopback.url}/none.onnx")
    loopback.give("/loop.onnx", b"", status=302, location="/loop.onnx")
    with pytest.raises(SourceError, match="redirects"):
        read_model_file(f"{loopback.url}/loop.onnx")
    with pytest.raises(RegistryError, match="answer"):
        read_model_file("http://127.0.0.1:1/model.onnx")


# -------------------------------------------------------------------------------------------------------- MLflow


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    return (tmp_path / "mlruns").as_uri()


def register(store: str, folder: Path) -> str:
    """Log a folder as a model and register it; return its run."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=store, registry_uri=store)
    run = client.create_run(client.create_experiment("e"))
    client.log_artifacts(run.info.run_id, str(folder), "model")
    client.create_registered_model("credit")
    client.create_model_version("credit", f"{run.info.artifact_uri}/model", run.info.run_id)
    return str(run.info.run_id)


def logged(tmp_path: Path, flavours: object, **files: bytes) -> Path:
    folder = tmp_path / "logged"
    folder.mkdir()
    (folder / "MLmodel").write_text(json.dumps({"flavors": flavours}))
    for name, data in files.items():
        (folder / name.replace("_", ".")).write_bytes(data)
    return folder


def test_a_registered_model_and_a_run_s(store: str, tmp_path: Path, onnx_file: bytes) -> None:
    run = register(store, logged(tmp_path, {"onnx": {"data": "model.onnx"}}, model_onnx=onnx_file))
    for url in ("models:/credit/1", f"runs:/{run}/model", f"runs:/{run}/model/model.onnx"):
        assert read_model_file(url).data == onnx_file
    with pytest.raises(SourceError, match="more than 10 bytes"):
        read_model_file(f"runs:/{run}/model/model.onnx", max_bytes=10)
    for url in ("models:/credit/2", "models:/other/1", "runs:/0123456789abcdef0123456789abcdef/model"):
        with pytest.raises(SourceError):
            read_model_file(url)


def test_a_pickled_model_of_scikit_learn_is_refused_unopened(store: str, tmp_path: Path) -> None:
    flavours = {"sklearn": {"pickled_model": "model.pkl"}, "python_function": {"model_path": "model.pkl"}}
    register(store, logged(tmp_path, flavours, model_pkl=pickle.dumps(Bomb())))
    with pytest.raises(SourceError, match=r"logged as python_function, sklearn, .*unpickled.*skl2onnx"):
        read_model_file("models:/credit/1")


@pytest.mark.parametrize(
    "flavours",
    [
        {"onnx": {"data": "../../../../etc/passwd.onnx"}},
        {"onnx": {"data": "/etc/passwd.onnx"}},
        {"onnx": {"data": "model.pkl"}},
        {"onnx": {"data": ["model.onnx"]}},
        {"onnx": {}},
        {"onnx": []},
        [],
        None,
    ],
)
def test_descriptions_that_lead_elsewhere_are_refused(store: str, tmp_path: Path, flavours: object) -> None:
    register(store, logged(tmp_path, flavours, model_pkl=pickle.dumps(Bomb())))
    with pytest.raises(SourceError):
        read_model_file("models:/credit/1")


def test_yaml_can_not_make_objects(store: str, tmp_path: Path) -> None:
    folder = logged(tmp_path, {})
    (folder / "MLmodel").write_text("flavors: !!python/object/apply:pytest.fail ['made an object']")
    register(store, folder)
    with pytest.raises(SourceError, match="no MLmodel that says"):
        read_model_file("models:/credit/1")
