"""Is a package what its own manifest says? A seller asks before anybody depends on it.

A seller that delivers chunks with one flipped bit proves honestly, reveals honestly, and is slashed: the escrow can't
tell accident from fraud. So the parts are checked against each other when a package is read, and the chunks once more
before a bond is locked for them:

(1) architecture, settings and the development reference string have the manifest's digests;
(2) the chunks have the manifest's weights and sums roots, and the published leaves are theirs;
(3) every running sum follows from the one before it and the chunk's parameters;
(4) the canonical parameters are those of the chunks, and each is below 2^24 in magnitude; those of an ensemble of trees
    are trees: each decision is about one column, or none.

For a million parameters (2) to (4) take one and a half seconds.

What is not checked: the manifest itself, which the checksums (`trader.package.checksums`) and, once it is listed,
its hash on the chain hold; and that the opening in it is true, which `trader.verify.listing` does as every buyer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from eth_utils.address import to_canonical_address
from eth_utils.crypto import keccak
from eth_utils.hexadecimal import decode_hex

from trader.model.canonical import PARAMETER_BITS
from trader.model.ensemble import holds_trees
from trader.package.errors import DamagedPackageError
from zk.binding import (
    ChunkCommitments,
    ChunkError,
    ColumnLayout,
    CommitmentError,
    decode_columns,
    derive_challenge,
    running_sums,
    split_columns,
    sums_tree,
    weights_tree,
)
from zk.binding.chunks import salt_of, stored_sums, sum_salt

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trader.model import CanonicalModel, Grid, Manifest
    from trader.package.public import PublicPackage

REMEDY = "Restore it from a copy, or prepare the model again; don't prove or deliver with this one."


def check_public(manifest: Manifest, public: PublicPackage) -> None:
    """(1); silent on success.

    Raises:
        DamagedPackageError: It names the file.
    """
    digests = {
        "architecture.onnx": (public.architecture, manifest.architecture_digest),
        "settings.json": (public.settings, manifest.circuit.settings_digest),
    }
    if manifest.circuit.srs.development:
        digests["development.srs"] = (public.development_srs, manifest.circuit.srs.digest)
    for name, (data, digest) in digests.items():
        if keccak(data) != decode_hex(digest):
            raise DamagedPackageError(f"public/{name} has not the digest that the manifest gives: {digest}. {REMEDY}")


def check_roots(manifest: Manifest, artifact: bytes, leaves: bytes) -> None:
    """(2); silent on success.

    Raises:
        DamagedPackageError: It names the file, and the first chunk at fault where the leaves are whole.
    """
    layout = _layout(manifest)
    listed_roots = decode_hex(manifest.weights_root), decode_hex(manifest.sums_root)
    try:
        published = ChunkCommitments.from_bytes(leaves, layout, weights_root=listed_roots[0], sums_root=listed_roots[1])
    except CommitmentError as error:
        raise DamagedPackageError(f"public/leaves.bin is not what is listed: {error}. {REMEDY}") from error
    try:
        trees = weights_tree(artifact), sums_tree(artifact)
    except ChunkError as error:
        raise DamagedPackageError(f"secret/chunks.bin: {error}. {REMEDY}") from error
    for tree, listed in zip(trees, (published.weights, published.sums), strict=True):
        if tree.root != listed.root:
            pairs = zip(tree.leaves, listed.leaves, strict=False)
            wrong = next((index for index, (here, there) in enumerate(pairs) if here != there), len(listed.leaves))
            raise DamagedPackageError(
                f"chunk {wrong} in secret/chunks.bin is not the listed one: whoever delivers it is slashed. {REMEDY}"
            )
    if sum_salt(salt_of(artifact, layout.chunk_count - 1)) != published.last_sum_salt:
        raise DamagedPackageError(f"public/leaves.bin does not open the last sum of secret/chunks.bin. {REMEDY}")


def check_sums(manifest: Manifest, artifact: bytes) -> None:
    """(3), of chunks with the listed roots; silent on success.

    Raises:
        DamagedPackageError: It names the first chunk at fault.
    """
    challenge = derive_challenge(
        decode_hex(manifest.weights_root),
        decode_hex(manifest.parameter_commitment),
        to_canonical_address(manifest.seller),
    )
    computed = running_sums(_columns(manifest, artifact), _layout(manifest), challenge)
    pairs = enumerate(zip(stored_sums(artifact), computed, strict=True))
    wrong = next((index for index, (stored, expected) in pairs if stored != expected), None)
    if wrong is not None:
        raise DamagedPackageError(f"the running sum in chunk {wrong} of secret/chunks.bin is wrong. {REMEDY}")


def check_parameters(manifest: Manifest, artifact: bytes, canonical: CanonicalModel) -> None:
    """(4); silent on success.

    Raises:
        DamagedPackageError: It says how many parameters differ, or are too large; or that they are no trees.
    """
    delivered = _columns(manifest, artifact)
    try:
        proven = split_columns(canonical.tensors, _layout(manifest))
    except ChunkError as error:
        raise DamagedPackageError(f"secret/parameters.npz: {error}. {REMEDY}") from error
    differing = sum(int(np.count_nonzero(here != there)) for here, there in zip(proven, delivered, strict=True))
    if differing:
        raise DamagedPackageError(
            f"{differing} parameters in secret/parameters.npz are not those in secret/chunks.bin: what is tested and "
            f"proven would not be what is delivered. {REMEDY}"
        )
    largest = max(int(np.abs(column.astype(np.int64)).max()) for column in delivered)
    if largest >= 1 << PARAMETER_BITS:
        raise DamagedPackageError(f"a parameter has magnitude {largest}, allowed is less than 2^{PARAMETER_BITS}.")
    check_trees(manifest.input.grid, canonical)


def check_trees(grid: Grid | None, canonical: CanonicalModel) -> None:
    """(4), of a model that reads bins, if it does: what is proven is right for any tensors, but only trees are sold.

    Raises:
        DamagedPackageError: A decision is about several columns, or about a multiple of one.
    """
    if grid is not None and not holds_trees(canonical, grid.sizes):
        raise DamagedPackageError(f"secret/parameters.npz holds decisions that are not about one column each. {REMEDY}")


def check_deliverable(manifest: Manifest, leaves: bytes, artifact: bytes, canonical: CanonicalModel) -> None:
    """(2) to (4): what is delivered is what is listed, tested and proven; silent on success.

    Raises:
        DamagedPackageError: The first check that fails.
    """
    check_roots(manifest, artifact, leaves)
    check_sums(manifest, artifact)
    check_parameters(manifest, artifact, canonical)


def _columns(manifest: Manifest, artifact: bytes) -> list[NDArray[np.int32]]:
    try:
        return decode_columns(artifact, _layout(manifest))
    except ChunkError as error:
        raise DamagedPackageError(f"secret/chunks.bin: {error}. {REMEDY}") from error


def _layout(manifest: Manifest) -> ColumnLayout:
    layout = manifest.circuit.layout
    return ColumnLayout(layout.logrows, layout.column_lengths)
