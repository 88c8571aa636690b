"""Signatures over bundles: OpenSSF model signing with an elliptic-curve key, which stock tools verify.

The key is a PEM file (PKCS 8, P-256), encrypted with a password. It has nothing to do with the account that pays: who
publishes a model need not be who bought it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from trader.files import create_file
from trader.publishing.bundle import PUBLIC_KEY, SIGNATURE, check_bundle
from trader.publishing.errors import PublishingError, missing_library

if TYPE_CHECKING:
    from pathlib import Path

MAX_KEY_BYTES = 1 << 14


def create_signing_key(path: Path, password: str) -> None:
    """Make a key and keep it in an encrypted PEM file (mode 0600).

    Raises:
        PublishingError: The file exists already: a key is never overwritten; or the password is empty.
        EnvironmentFaultError: The file can't be written.
    """
    if not password:
        raise PublishingError("a signing key needs a password")
    encryption = BestAvailableEncryption(password.encode())
    pem = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    try:
        create_file(path, pem, secret=True)
    except FileExistsError as error:
        raise PublishingError(f"{path} exists already and keys are never overwritten: choose another file") from error


def sign_bundle(folder: Path, keyfile: Path, password: str) -> None:
    """Sign a bundle: its files and their names. An earlier signature is replaced.

    Raises:
        PublishingError: The folder is no bundle, or the key can't be used; the file or the password is wrong.
        EnvironmentFaultError: The library is missing, or the folder can't be written.
    """
    check_bundle(folder)
    public = _read_key(keyfile, password).public_key()
    try:
        from model_signing import signing
    except ImportError as error:
        raise missing_library(error) from error
    for name in (PUBLIC_KEY, SIGNATURE):
        (folder / name).unlink(missing_ok=True)
    create_file(folder / PUBLIC_KEY, public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    secret: Any = password.encode()  # declared as text, but handed on to what takes bytes alone (1.1.1)
    signer = signing.Config().use_elliptic_key_signer(private_key=keyfile, password=secret)
    signer.set_hashing_config(_hashing(folder)).sign(folder, folder / SIGNATURE)


def verify_bundle(folder: Path, public_key: Path) -> None:
    """Check a bundle's signature: every file is there and as it was signed, and there is no other one.

    Args:
        folder: The bundle.
        public_key: Of the signer, in PEM, from a source that you trust: `signing-key.pem` in the folder says only who
            claims to have signed it.

    Raises:
        PublishingError: It is not signed with this key, or something was changed since.
        EnvironmentFaultError: The library is missing.
    """
    check_bundle(folder)
    try:
        from model_signing import verifying
    except ImportError as error:
        raise missing_library(error) from error
    try:
        verifier = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
        verifier.set_hashing_config(_hashing(folder)).verify(folder, folder / SIGNATURE)
    except Exception as error:  # its errors have no common root
        raise PublishingError(f"{folder} does not carry a signature of this key over these files: {error}") from error


def _hashing(folder: Path) -> Any:
    from model_signing import hashing

    ignored = hashing.Config().set_ignored_paths(paths=[folder / SIGNATURE], ignore_git_paths=False)
    return ignored.set_allow_symlinks(False)


def _read_key(path: Path, password: str) -> EllipticCurvePrivateKey:
    try:
        with path.open("rb") as file:
            key = load_pem_private_key(file.read(MAX_KEY_BYTES), password.encode())
    except OSError as error:
        raise PublishingError(f"{path} can't be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise PublishingError(f"{path} is no encrypted key in PEM, or the password is wrong") from error
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise PublishingError(f"{path} is not a key of the curve P-256")
    return key
