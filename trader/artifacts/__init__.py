"""Artifacts: encrypted models, requests and packages, kept under the digests of their bytes.

`ArtifactStore.at(url)` opens a folder (the default), a bucket (`s3://…`) or another store that fsspec knows. Nothing is
believed of it:
what it gives back has the digest that was asked for, or is not handed on.
"""

from trader.artifacts.errors import (
    ArtifactTooLargeError,
    DamagedArtifactError,
    MissingArtifactError,
    StoreError,
    StoreFaultError,
)
from trader.artifacts.store import ArtifactStore, Blob, Staged

__all__ = [
    "ArtifactStore",
    "ArtifactTooLargeError",
    "Blob",
    "DamagedArtifactError",
    "MissingArtifactError",
    "Staged",
    "StoreError",
    "StoreFaultError",
]
