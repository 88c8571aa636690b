"""A bundle: the folder that a bought model is published as.

    model.onnx        the delivered file
    README.md         model card
    bom.cdx.json      CycloneDX bill of materials
    manifest.json     what was listed
    MLmodel           how MLflow loads it
    certificate.json  of the trade, where there is one
    signing-key.pem   public key, and
    model.sig         OpenSSF model signature over all of the above, once it is signed

All names are fixed: nothing that another party wrote becomes a path.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from eth_utils.crypto import keccak

from trader.errors import EnvironmentFaultError
from trader.files import create_file
from trader.publishing.bom import bill_of_materials
from trader.publishing.card import model_card
from trader.publishing.errors import PublishingError
from trader.publishing.mlmodel import mlflow_description

if TYPE_CHECKING:
    from trader.publishing.provenance import Provenance

MODEL, CARD, BOM, MANIFEST, CERTIFICATE = "model.onnx", "README.md", "bom.cdx.json", "manifest.json", "certificate.json"
DESCRIPTION, PUBLIC_KEY, SIGNATURE = "MLmodel", "signing-key.pem", "model.sig"
NAMES = frozenset({MODEL, CARD, BOM, MANIFEST, CERTIFICATE, DESCRIPTION, PUBLIC_KEY, SIGNATURE})


def write_bundle(
    folder: Path, onnx: bytes, provenance: Provenance, *, manifest: bytes, certificate: bytes | None = None
) -> None:
    """Write a bundle as a whole, or not at all.

    Args:
        folder: To be made; must not exist, or be empty.
        onnx: The delivered file.
        provenance: Where it comes from.
        manifest: As it was listed; its hash must be the provenance's.
        certificate: The trade's certificate, as it is.

    Raises:
        PublishingError: The folder is in the way, or a link; or the manifest is another one.
        EnvironmentFaultError: It can't be written, or a library is missing.
    """
    if "0x" + keccak(manifest).hex() != provenance.manifest_hash:
        raise PublishingError("the manifest is not the one whose hash the provenance has")
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise PublishingError(f"{folder} exists and is no empty folder; name another one, or remove it")
    files = {
        MODEL: onnx,
        MANIFEST: manifest,
        CARD: model_card(provenance, certificate is not None).encode(),
        DESCRIPTION: mlflow_description(onnx, MODEL),
        BOM: bill_of_materials(provenance, onnx, manifest, certificate),
    }
    if certificate is not None:
        files[CERTIFICATE] = certificate
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
            unfinished = Path(temporary) / "bundle"
            for name, data in files.items():
                create_file(unfinished / name, data)
            if folder.exists():
                folder.rmdir()
            unfinished.replace(folder)
    except OSError as error:
        raise EnvironmentFaultError(f"{folder} can't be written: {error.strerror}; choose another folder") from error


def check_bundle(folder: Path) -> None:
    """Check that a folder holds a bundle's files, and nothing else that would be signed or uploaded with them.

    Raises:
        PublishingError: Something is missing, foreign, or no regular file: a link may lead to a secret.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise PublishingError(f"{folder} is no folder of a model; make one with `modelseal buyer export`")
    found = {path.name: path for path in folder.iterdir()}
    foreign = sorted(
        name for name, path in found.items() if name not in NAMES or path.is_symlink() or not path.is_file()
    )
    missing = sorted({MODEL, CARD, BOM, MANIFEST, DESCRIPTION} - found.keys())
    if foreign or missing:
        raise PublishingError(
            f"{folder} is not a model's folder as it was made: foreign, a link, or missing is "
            f"{', '.join(map(repr, foreign[:3] + missing))}. Make it again."
        )
