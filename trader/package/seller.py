"""The seller's package: the public half, and the secrets behind it.

Folder: `public/` (see `trader.package.public`), and `secret/` with `parameters.npz` (the canonical tensors),
`chunks.bin` (salts, running sums and parameters as they will be delivered), `model.onnx` (the plain model that buyers
will hold in the end), `encryption_key` (an encrypted key file, to which buyers seal their audit samples), `proven` and,
in time, `proofs/` (which proofs were published, see `trader.package.budget`), and `SHA256SUMS` (of all others, see
`trader.package.checksums`).
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self
from zipfile import BadZipFile

import numpy as np
from eth_utils.hexadecimal import encode_hex

from trader.exchange import EncryptionKey
from trader.files import write_file
from trader.model import (
    CanonicalModel,
    Graph,
    Manifest,
    delivered_model_bytes,
    hidden_proofs,
    parse_manifest,
    read_architecture,
)
from trader.package.budget import ProofBudget
from trader.package.checksums import check_checksums, write_checksums
from trader.package.errors import DamagedPackageError, PackageError
from trader.package.integrity import REMEDY, check_deliverable, check_public
from trader.package.public import PUBLIC, PublicPackage

if TYPE_CHECKING:
    from pathlib import Path

_SECRET = "secret"  # noqa: S105 - the name of a folder
_PARAMETERS = "parameters.npz"
_CHUNKS = "chunks.bin"
PLAIN_MODEL = "model.onnx"
ENCRYPTION_KEY = "encryption_key"


@dataclass(frozen=True, slots=True)
class SellerPackage:
    """A model ready to be listed.

    Attributes:
        public: what buyers get.
        canonical: graph and canonical parameters; secret.
        artifact: all chunks in clear, secret until they are sold.
        encryption_key: opens what buyers seal.
        folder: where the package lies.
    """

    public: PublicPackage
    canonical: CanonicalModel = field(repr=False)
    artifact: bytes = field(repr=False)
    encryption_key: EncryptionKey = field(repr=False)
    folder: Path

    @property
    def manifest(self) -> Manifest:
        """The manifest, parsed."""
        return parse_manifest(self.public.manifest)

    @property
    def budget(self) -> ProofBudget:
        """How many proofs may be published about the model."""
        return proof_budget(self.folder, self.canonical.graph)

    @property
    def plain_model(self) -> bytes:
        """The canonical model as an ordinary ONNX file, as the buyer will write it."""
        return delivered_model_bytes(self.canonical, self.manifest)

    def write(self, folder: Path, password: str) -> None:
        """Write both halves; secrets are readable by their owner alone.

        Raises:
            EnvironmentFaultError: the folder can't be written.
            KeyFileError: there is a key file already.
        """
        self.public.write(folder / PUBLIC)
        secret = folder / _SECRET
        tensors = io.BytesIO()
        np.savez(tensors, *self.canonical.tensors)
        write_file(secret / _PARAMETERS, tensors.getvalue(), secret=True)
        write_file(secret / _CHUNKS, self.artifact, secret=True)
        write_file(secret / PLAIN_MODEL, self.plain_model, secret=True)
        proof_budget(folder, self.canonical.graph).create()
        self.encryption_key.save(secret / ENCRYPTION_KEY, password)
        write_checksums(folder)

    @classmethod
    def read(cls, folder: Path, password: str) -> Self:
        """Read a folder that `write` made, and check that its parts are those that were written and fit together.

        Raises:
            DamagedPackageError: a part is not what was written, or not what the manifest says.
            PackageError: a part is missing or can't be read.
            KeyFileError: the password is wrong.
        """
        check_checksums(folder)
        public = PublicPackage.read(folder / PUBLIC)
        check_public(parse_manifest(public.manifest), public)
        key = EncryptionKey.load(folder / _SECRET / ENCRYPTION_KEY, password)
        package = cls(public, parse_canonical(folder), read_artifact(folder), key, folder)
        package._check_secrets()
        return package

    def _check_secrets(self) -> None:
        """Check that the secret parts are those that the manifest commits to, and that proofs can be counted.

        Raises:
            DamagedPackageError: the first fault.
            PackageError: the list of published proofs is missing.
        """
        manifest = self.manifest
        check_deliverable(manifest, self.public.leaves, self.artifact, self.canonical)
        if encode_hex(self.encryption_key.public_key) != manifest.encryption_public_key:
            raise DamagedPackageError(f"secret/{ENCRYPTION_KEY} is not the key that the manifest names. {REMEDY}")
        self.budget.check()


def proof_budget(folder: Path, graph: Graph) -> ProofBudget:
    """How many proofs may be published about the model of a package; needs no password."""
    return ProofBudget(folder / _SECRET / "proven", hidden_proofs(graph))


def read_canonical(folder: Path) -> CanonicalModel:
    """Return the canonical model of a package, as it was prepared; needs no password.

    Raises:
        DamagedPackageError: manifest, architecture or parameters are not what was written.
        PackageError: one of them is missing or can't be read.
    """
    check_checksums(folder, [f"{PUBLIC}/manifest.json", f"{PUBLIC}/architecture.onnx", f"{_SECRET}/{_PARAMETERS}"])
    return parse_canonical(folder)


def read_artifact(folder: Path) -> bytes:
    """Return the chunks of a package; what is in them is *not* checked.

    Raises:
        PackageError: they can't be read.
    """
    try:
        return (folder / _SECRET / _CHUNKS).read_bytes()
    except OSError as error:
        raise PackageError(f"{folder} has no chunks: {error.strerror}. Prepare the model again.") from error


def parse_canonical(folder: Path) -> CanonicalModel:
    """Return the canonical model that the files give; that they are as they were written is *not* checked.

    Raises:
        PackageError: a part is missing or damaged.
        ManifestError, ArchitectureError: a public part was changed.
    """
    scale_bits = parse_manifest(PublicPackage.read(folder / PUBLIC).manifest).scale_bits
    graph = read_architecture(folder / PUBLIC / "architecture.onnx")
    try:
        with np.load(folder / _SECRET / _PARAMETERS, allow_pickle=False) as archive:
            tensors = tuple(archive[f"arr_{index}"] for index in range(len(graph.parameters)))
    except (OSError, EOFError, KeyError, ValueError, BadZipFile) as error:
        raise PackageError(f"{folder} has no readable parameters: {error}. Prepare the model again.") from error
    if any(tensor.shape != spec.shape for tensor, spec in zip(tensors, graph.parameters, strict=True)):
        raise PackageError(f"the parameters in {folder} don't fit its architecture. Prepare the model again.")
    return CanonicalModel(graph, tensors, scale_bits)
