"""The seller's package: the public half, and the secrets behind it.

Folder: `public/` (see `trader.package.public`), and `secret/` with `parameters.npz` (the canonical tensors),
`chunks.bin` (salts, running sums and parameters as they will be delivered), `model.onnx` (the plain model that buyers
will hold in the end), `encryption_key` (an encrypted key file, to which buyers seal their audit samples), `proven` and,
in time, `proofs/` (which proofs were published, see `trader.package.budget`).
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np

from trader.delivery import EncryptionKey
from trader.files import write_file
from trader.model import (
    CanonicalModel,
    Graph,
    Manifest,
    hidden_proofs,
    parse_manifest,
    plain_model_bytes,
    read_architecture,
)
from trader.package.budget import ProofBudget
from trader.package.errors import PackageError
from trader.package.public import PublicPackage

if TYPE_CHECKING:
    from pathlib import Path

_PUBLIC = "public"
_SECRET = "secret"  # noqa: S105 - the name of a folder


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
        manifest = self.manifest
        return plain_model_bytes(self.canonical, manifest.output.post_processing, manifest.input.exponents)

    def write(self, folder: Path, password: str) -> None:
        """Write both halves; secrets are readable by their owner alone.

        Raises:
            EnvironmentFaultError: the folder can't be written.
            KeyFileError: there is a key file already.
        """
        self.public.write(folder / _PUBLIC)
        secret = folder / _SECRET
        tensors = io.BytesIO()
        np.savez(tensors, *self.canonical.tensors)
        write_file(secret / "parameters.npz", tensors.getvalue(), secret=True)
        write_file(secret / "chunks.bin", self.artifact, secret=True)
        write_file(secret / "model.onnx", self.plain_model, secret=True)
        proof_budget(folder, self.canonical.graph).create()
        self.encryption_key.save(secret / "encryption_key", password)

    @classmethod
    def read(cls, folder: Path, password: str) -> Self:
        """Read a folder that `write` made.

        Raises:
            PackageError: a part is missing or damaged.
            KeyFileError: the password is wrong.
            ManifestError, ArchitectureError: a public part was changed.
        """
        public = PublicPackage.read(folder / _PUBLIC)
        key = EncryptionKey.load(folder / _SECRET / "encryption_key", password)
        canonical = read_canonical(folder)
        try:
            artifact = (folder / _SECRET / "chunks.bin").read_bytes()
        except OSError as error:
            raise PackageError(f"{folder} has no chunks: {error.strerror}. Prepare the model again.") from error
        return cls(public, canonical, artifact, key, folder)


def proof_budget(folder: Path, graph: Graph) -> ProofBudget:
    """How many proofs may be published about the model of a package; needs no password."""
    return ProofBudget(folder / _SECRET / "proven", hidden_proofs(graph))


def read_canonical(folder: Path) -> CanonicalModel:
    """The canonical model of a package; needs no password.

    Raises:
        PackageError: a part is missing or damaged.
        ManifestError, ArchitectureError: a public part was changed.
    """
    scale_bits = parse_manifest(PublicPackage.read(folder / _PUBLIC).manifest).scale_bits
    graph = read_architecture(folder / _PUBLIC / "architecture.onnx")
    try:
        with np.load(folder / _SECRET / "parameters.npz", allow_pickle=False) as archive:
            tensors = tuple(archive[f"arr_{index}"] for index in range(len(graph.parameters)))
    except (OSError, KeyError, ValueError) as error:
        raise PackageError(f"{folder} has no readable parameters: {error}. Prepare the model again.") from error
    if any(tensor.shape != spec.shape for tensor, spec in zip(tensors, graph.parameters, strict=True)):
        raise PackageError(f"the parameters in {folder} don't fit its architecture. Prepare the model again.")
    return CanonicalModel(graph, tensors, scale_bits)
