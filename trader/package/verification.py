"""`modelseal package verify`: every check of a package on disk, one after another, with its password or without."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from eth_utils.hexadecimal import encode_hex

from trader.errors import TraderError
from trader.exchange import EncryptionKey
from trader.exchange.keyfile import read_public_key
from trader.model import CanonicalModel, Manifest, delivered_model_bytes, parse_manifest
from trader.package.checksums import CHECKSUMS, check_checksums
from trader.package.errors import DamagedPackageError, PackageError
from trader.package.integrity import REMEDY, check_parameters, check_public, check_roots, check_sums
from trader.package.public import PUBLIC, PublicPackage
from trader.package.seller import ENCRYPTION_KEY, PLAIN_MODEL, parse_canonical, proof_budget, read_artifact
from zk import ZkError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class CheckedPart:
    """One check and how it ended.

    Attributes:
        claim: What should be so.
        fault: What is wrong, in which file, and what to do; empty where nothing is.
    """

    claim: str
    fault: str = ""


def verify_package(folder: Path, password: str | None = None) -> Iterator[CheckedPart]:
    """Run all checks of a seller's package; one that fails does not keep the others from running.

    Not checked: what only a listing can show (`trader.verify.listing`), and certificates.

    Args:
        folder: The package.
        password: Of its encryption key; without it, that the key opens is not checked.

    Raises:
        PackageError: There is no package.
    """
    if not (folder / PUBLIC).is_dir() or not (folder / "secret").is_dir():
        raise PackageError(f"{folder} is no seller's package. Name a folder that `modelseal model prepare` made.")
    parts = _Parts(folder)
    checks = dict(_CHECKS)
    if password is not None:
        checks[_OPENS] = lambda parts: parts.check_password(password)
    for claim, check in checks.items():
        try:
            check(parts)
        except (TraderError, ZkError) as error:
            yield CheckedPart(claim, str(error))
        else:
            yield CheckedPart(claim)


@dataclass(frozen=True)
class _Parts:
    """The files, each read when a check first asks for it."""

    folder: Path

    @cached_property
    def public(self) -> PublicPackage:
        return PublicPackage.read(self.folder / PUBLIC)

    @cached_property
    def manifest(self) -> Manifest:
        return parse_manifest(self.public.manifest)

    @cached_property
    def artifact(self) -> bytes:
        return read_artifact(self.folder)

    @cached_property
    def canonical(self) -> CanonicalModel:
        self.check_public()  # an architecture that was changed is not worth parsing
        return parse_canonical(self.folder)

    def check_checksums(self) -> None:
        check_checksums(self.folder)

    def check_public(self) -> None:
        check_public(self.manifest, self.public)

    def check_roots(self) -> None:
        check_roots(self.manifest, self.artifact, self.public.leaves)

    def check_sums(self) -> None:
        check_sums(self.manifest, self.artifact)

    def check_parameters(self) -> None:
        check_parameters(self.manifest, self.artifact, self.canonical)

    def check_plain_model(self) -> None:
        """Check that the ONNX file that buyers get is that of the canonical parameters."""
        path = self.folder / "secret" / PLAIN_MODEL
        expected = delivered_model_bytes(self.canonical, self.manifest)
        try:
            actual = path.read_bytes()
        except OSError as error:
            raise PackageError(f"{path} can't be read: {error.strerror}. {REMEDY}") from error
        if actual != expected:
            raise DamagedPackageError(f"secret/{PLAIN_MODEL} is not the model of secret/parameters.npz. {REMEDY}")

    def check_encryption_key(self) -> None:
        public_key = read_public_key(self.folder / "secret" / ENCRYPTION_KEY)
        if encode_hex(public_key) != self.manifest.encryption_public_key:
            raise DamagedPackageError(f"secret/{ENCRYPTION_KEY} is not the key that the manifest names. {REMEDY}")

    def check_password(self, password: str) -> None:
        """Check that the password opens the secret half of the key that buyers seal to."""
        key = EncryptionKey.load(self.folder / "secret" / ENCRYPTION_KEY, password)
        if encode_hex(key.public_key) != self.manifest.encryption_public_key:
            raise DamagedPackageError(f"secret/{ENCRYPTION_KEY} holds another key than the manifest names. {REMEDY}")

    def check_proofs(self) -> None:
        proof_budget(self.folder, self.canonical.graph).check()


_CHECKS: dict[str, Callable[[_Parts], None]] = {
    f"every file is as it was written ({CHECKSUMS})": _Parts.check_checksums,
    "architecture, settings and reference string are those of the manifest": _Parts.check_public,
    "the chunks to be delivered have the manifest's roots, and the published leaves": _Parts.check_roots,
    "their running sums follow from their parameters": _Parts.check_sums,
    "the parameters that are tested and proven are those of the chunks": _Parts.check_parameters,
    "the plain model is that of the parameters": _Parts.check_plain_model,
    "the encryption key is the one that buyers seal to": _Parts.check_encryption_key,
    "every published proof is on the list, as it was made": _Parts.check_proofs,
}
"""What each check claims, in order."""
_OPENS = "the password opens that key, so that what buyers seal can be read"
