"""ONNX files by URL: from a file, the web, the Hugging Face Hub or MLflow.

    hf://owner/name@revision/folder/model.onnx     a file of a repository; revision `main` if there is none
    models:/name/version                           a version of a registered model, with the flavour `onnx`
    runs:/run/path                                 a logged model, or a file
    https://host/model.onnx, file:///model.onnx, model.onnx

Nothing but ONNX is read. Pickles (scikit-learn's, XGBoost's, PyTorch's) run code of whoever wrote them when they are
opened; they are refused, unopened, with how to export the model.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from trader.model import UnsafeModelError, parse_onnx
from trader.model.loading import MAX_FILE_BYTES, read_limited
from trader.publishing.errors import RegistryError, SourceError, missing_library
from trader.publishing.hub import hub_endpoint, is_protected
from trader.publishing.mlflow_registry import mlflow_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

TIMEOUT_SECONDS = 60.0
MAX_REDIRECTS = 5
MAX_DESCRIPTION_BYTES = 1 << 20
EXPORT = (
    "Only ONNX is read. Export the model first: skl2onnx.to_onnx(model, samples) for scikit-learn, torch.onnx.export "
    "for PyTorch, onnxmltools for XGBoost and LightGBM; and log it with mlflow.onnx.log_model, if it lives there."
)
_MLFLOW_VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
_HUB = re.compile(r"hf://(?P<owner>[\w.-]+)/(?P<name>[\w.-]+)(?:@(?P<revision>[\w./-]+?))?/(?P<path>[^@]+)")
_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """An ONNX file that was read and passed the checks of `trader.model.parse_onnx`.

    Attributes:
        data: Its bytes.
        source: Where it was, without anything secret.
        revision: What the source calls this version (a commit); empty where it says nothing.
    """

    data: bytes = field(repr=False)
    source: str
    revision: str = ""

    @property
    def sha256(self) -> str:
        """Digest of the file, in hex."""
        return hashlib.sha256(self.data).hexdigest()


def read_model_file(url: str, *, max_bytes: int = MAX_FILE_BYTES, tracking_uri: str | None = None) -> ModelFile:
    """Read an ONNX file and check it in the sandbox; nothing of it is executed.

    Args:
        url: As the module says.
        max_bytes: More are not read.
        tracking_uri: Of MLflow; its environment variable `MLFLOW_TRACKING_URI` if not given.

    Raises:
        SourceError: The URL is of no form above, the file is no ONNX file, too big, or not there.
        ModelError: The sandbox refuses the model, or it has an operator that can't be traded.
        RegistryError: The server doesn't answer.
    """
    scheme = url.partition(":")[0] if re.match(r"[a-z][a-z0-9+.-]*:", url) else "file"
    reader = _READERS.get(scheme)
    if reader is None:
        raise SourceError(f"{scheme!r} is no scheme that models are read from: {', '.join(_READERS)}")
    found = reader(url, max_bytes, tracking_uri)
    if found.data.startswith(_PICKLES):
        raise SourceError(f"{found.source} is a pickle or an archive. {EXPORT}")
    parse_onnx(found.data, PurePosixPath(found.source).name or "model.onnx")
    return found


def _read_file(url: str, max_bytes: int, _: str | None) -> ModelFile:
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc not in ("", "localhost"):
        raise SourceError(f"{url} names another machine; copy the file here")
    path = Path(unquote(parts.path) if parts.scheme == "file" else url)
    _require_onnx(path.name)
    try:
        return ModelFile(read_limited(path, max_bytes), str(path))
    except UnsafeModelError as error:
        raise SourceError(str(error)) from error


def _read_web(url: str, max_bytes: int, _: str | None) -> ModelFile:
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise SourceError("the URL has a password in it, which would stand in histories and logs; leave it out")
    _require_onnx(unquote(parts.path))
    data, _headers = _download(url, max_bytes, {})
    return ModelFile(data, parts._replace(query="", fragment="").geturl())


def _read_hub(url: str, max_bytes: int, _: str | None) -> ModelFile:
    found = _HUB.fullmatch(url)
    if found is None:
        raise SourceError(f"{url} is not of the form hf://owner/name@revision/path.onnx")
    path = _relative(found["path"])
    _require_onnx(path.name)
    repository, revision = str(_relative(f"{found['owner']}/{found['name']}")), found["revision"] or "main"
    _relative(revision)
    address = f"{hub_endpoint()}/{repository}/resolve/{quote(revision, safe='')}/{quote(str(path))}"
    data, headers = _download(address, max_bytes, _hub_headers())
    return ModelFile(data, f"hf://{repository}@{revision}/{path}", headers.get("x-repo-commit", "")[:64])


def _hub_headers() -> dict[str, str]:
    """Return headers with the user's token, where there is one."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        from huggingface_hub import get_token
    except ImportError as error:
        raise missing_library(error) from error
    token = get_token()
    return {"authorization": f"Bearer {token}"} if token else {}


def _download(url: str, max_bytes: int, headers: Mapping[str, str]) -> tuple[bytes, Mapping[str, str]]:
    """Return what a URL gives, and the first answer's headers.

    Redirections are followed by hand: to https alone, and without the token once the host is another one.
    """
    import httpx

    first: Mapping[str, str] = {}
    host = urlsplit(url).netloc
    try:
        with httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False) as client:
            for _ in range(MAX_REDIRECTS + 1):
                parts = urlsplit(url)
                if not is_protected(url) or (parts.scheme == "http" and parts.netloc != host):
                    raise SourceError(
                        f"{parts.scheme}://{parts.netloc} is not read over an encrypted connection (https)"
                    )
                known = headers if parts.netloc == host else {}
                with client.stream("GET", url, headers=dict(known)) as answer:
                    first = first or answer.headers
                    if answer.is_redirect:
                        url = str(httpx.URL(url).join(answer.headers["location"]))
                        continue
                    if answer.status_code != httpx.codes.OK:
                        raise SourceError(
                            f"{parts.netloc} answers {answer.status_code}; check the URL, and access to it"
                        )
                    return _limited(answer, max_bytes), first
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise RegistryError(f"{host} doesn't answer: {type(error).__name__}; try again") from error
    raise SourceError(f"{host} redirects more than {MAX_REDIRECTS} times")


def _limited(answer: Any, max_bytes: int) -> bytes:
    data = bytearray()
    for part in answer.iter_bytes(1 << 16):
        data += part
        if len(data) > max_bytes:
            raise SourceError(f"the file has more than {max_bytes} bytes")
    return bytes(data)


def _read_mlflow(url: str, max_bytes: int, tracking_uri: str | None) -> ModelFile:
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        raise SourceError("which MLflow server is meant? Set MLFLOW_TRACKING_URI, or name it")
    mlflow_client(uri)
    from mlflow.exceptions import MlflowException

    try:
        with _meant(uri):
            if url.endswith(".onnx"):
                return ModelFile(_artifact(url, max_bytes), url)
            return _read_logged(url.rstrip("/"), max_bytes)
    except MlflowException as error:
        raise SourceError(f"MLflow has no such model: {str(error).splitlines()[0][:300]}") from error
    except OSError as error:
        raise SourceError(f"{url} can't be read: {error.strerror or error}") from error


@contextmanager
def _meant(tracking_uri: str) -> Iterator[None]:
    """Make a server the one that MLflow asks in the block: how it resolves `models:/` heeds the environment alone."""
    before = {name: os.environ.get(name) for name in _MLFLOW_VARIABLES}
    os.environ.update(dict.fromkeys(_MLFLOW_VARIABLES, tracking_uri))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _read_logged(url: str, max_bytes: int) -> ModelFile:
    """Read the ONNX file of a logged model, which its description names."""
    import yaml

    try:
        described = yaml.safe_load(_artifact(f"{url}/MLmodel", MAX_DESCRIPTION_BYTES))
        flavours = {str(name): flavour for name, flavour in described["flavors"].items() if isinstance(name, str)}
    except (yaml.YAMLError, UnicodeError, KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise SourceError(f"{url} has no MLmodel that says what it is") from error
    flavour = flavours.get("onnx")
    if not isinstance(flavour, dict) or not isinstance(flavour.get("data"), str):
        names = ", ".join(sorted(name[:40] for name in flavours)[:5])
        raise SourceError(f"{url} was logged as {names}, which would have to be unpickled. {EXPORT}")
    path = _relative(flavour["data"])
    _require_onnx(path.name)
    return ModelFile(_artifact(f"{url}/{path}", max_bytes), f"{url}/{path}")


def _artifact(uri: str, max_bytes: int) -> bytes:
    """Return the bytes of one artifact, no link."""
    from mlflow.artifacts import download_artifacts, list_artifacts

    folder_uri, _, name = uri.rpartition("/")
    for entry in list_artifacts(artifact_uri=folder_uri):
        if PurePosixPath(entry.path).name == name and (entry.file_size or 0) > max_bytes:
            raise SourceError(f"{uri} has more than {max_bytes} bytes")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(download_artifacts(artifact_uri=uri, dst_path=folder))
        if path.is_symlink() or not path.resolve().is_relative_to(Path(folder).resolve()):
            raise SourceError(f"{uri} is a link")
        try:
            return read_limited(path, max_bytes)
        except UnsafeModelError as error:
            raise SourceError(str(error)) from error


def _relative(path: str) -> PurePosixPath:
    """Return a path inside a repository.

    Raises:
        SourceError: It leads out of it.
    """
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in path or not path.isprintable():
        raise SourceError(f"{path[:100]!r} is no path inside a repository")
    return PurePosixPath(*parts)


def _require_onnx(name: str) -> None:
    if not name.lower().endswith(".onnx"):
        raise SourceError(f"{name[-100:]!r} is not called .onnx. {EXPORT}")


_READERS: dict[str, Callable[[str, int, str | None], ModelFile]] = {
    "file": _read_file,
    "https": _read_web,
    "http": _read_web,
    "hf": _read_hub,
    "models": _read_mlflow,
    "runs": _read_mlflow,
}
