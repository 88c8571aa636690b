"""What a trade says of the model that it delivered: everything that a bundle's documents tell."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from eth_utils.address import to_checksum_address

from trader.publishing.errors import PublishingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trader.model import Manifest
    from trader.trade_certificate import VerifiedTrade

MAX_LINE_CHARACTERS = 4096


class Basis(StrEnum):
    """Why a figure may be believed."""

    PROVEN = "proven"
    """A zero-knowledge proof about the committed model says so."""
    MEASURED = "measured"
    """The buyer measured it on data of its own."""
    CLAIMED = "claimed"
    """The seller says so."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of quality.

    Attributes:
        name: As the Hub names it: `accuracy`, `mse`, …
        value: The figure.
        basis: Why it may be believed.
        samples: On how many.
        dataset: What they are called.
    """

    name: str
    value: float
    basis: Basis
    samples: int
    dataset: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a model comes from. Texts are one printable line each, and stand for what another party wrote.

    Attributes:
        name: Of the model.
        description: Of the model; may be empty.
        licence: As the seller wrote it; may be empty.
        author: As the seller wrote it; may be empty.
        task: `tabular-classification` or `tabular-regression`.
        inputs: Name, type and shape of each input of the file.
        outputs: As `inputs`.
        chain_id: Of the chain of the trade (EIP-155).
        market: Address of the escrow.
        listing_id: Its number there.
        trade_id: Its number there.
        seller: Address.
        buyer: Address.
        manifest_hash: keccak256 of the manifest, 0x and 64 digits.
        parameter_commitment: Of the listing, as above.
        weights_root: As above.
        circuit_digest: As above.
        development: Whether the seller made the proof's reference string; then it can forge proofs.
        metrics: Figures of quality.
        transactions: Hashes by the market's function that they called, such as `prove`; 0x and 64 digits each.
        certificate: URL or file name of the trade's certificate; may be empty.
    """

    name: str
    description: str
    licence: str
    author: str
    task: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    chain_id: int
    market: str
    listing_id: int
    trade_id: int
    seller: str
    buyer: str
    manifest_hash: str
    parameter_commitment: str
    weights_root: str
    circuit_digest: str
    development: bool
    metrics: tuple[Metric, ...] = ()
    transactions: tuple[tuple[str, str], ...] = ()
    certificate: str = ""

    @property
    def listing_uri(self) -> str:
        """The listing on the chain, as a call that reads it (EIP-681)."""
        return f"ethereum:{self.market}@{self.chain_id}/listing?uint256={self.listing_id}"

    @property
    def trade_uri(self) -> str:
        """The trade on the chain, as `listing_uri`."""
        return f"ethereum:{self.market}@{self.chain_id}/trade?uint256={self.trade_id}"

    @property
    def facts(self) -> dict[str, str]:
        """What stands on the chain, by name; the one list that all documents show."""
        facts = {
            "chain": f"eip155:{self.chain_id}",
            "market": self.market,
            "listing": str(self.listing_id),
            "trade": str(self.trade_id),
            "seller": self.seller,
            "buyer": self.buyer,
            "manifestHash": self.manifest_hash,
            "parameterCommitment": self.parameter_commitment,
            "weightsRoot": self.weights_root,
            "circuitDigest": self.circuit_digest,
        }
        return facts | {f"transaction:{name}": digest for name, digest in self.transactions}


def provenance_of(
    manifest: Manifest,
    *,
    chain_id: int,
    market: str,
    listing_id: int,
    trade_id: int,
    buyer: str,
    metrics: Sequence[Metric] = (),
    transactions: Mapping[str, str] | None = None,
    certificate: str = "",
) -> Provenance:
    """Return the provenance of a model that was bought from a listing with this manifest.

    Nothing is looked up: who calls this has verified the listing, and knows the trade.

    Raises:
        PublishingError: An address or a hash is none, or a figure is not finite.
    """
    card, post_processing = manifest.card, manifest.output.post_processing
    hashes = dict(transactions or {})
    if any(not _is_hash(digest) or not name.isalnum() for name, digest in hashes.items()):
        raise PublishingError("a transaction is a word and a hash, 0x and 64 digits")
    try:
        addresses = [to_checksum_address(address) for address in (market, manifest.seller, buyer)]
    except ValueError as error:
        raise PublishingError(f"market, seller and buyer are addresses: {error}") from error
    return Provenance(
        name=one_line(card.name) or "model",
        description=one_line(card.description),
        licence=one_line(card.licence),
        author=one_line(card.author),
        task="tabular-classification" if post_processing.is_classifier else "tabular-regression",
        inputs=tuple(_tensor(tensor.name, tensor.type, tensor.shape) for tensor in manifest.interface.inputs),
        outputs=tuple(_tensor(tensor.name, tensor.type, tensor.shape) for tensor in manifest.interface.outputs),
        chain_id=chain_id,
        market=addresses[0],
        listing_id=listing_id,
        trade_id=trade_id,
        seller=addresses[1],
        buyer=addresses[2],
        manifest_hash="0x" + manifest.manifest_hash().hex(),
        parameter_commitment=manifest.parameter_commitment,
        weights_root=manifest.weights_root,
        circuit_digest=manifest.circuit.circuit_digest,
        development=manifest.circuit.srs.development,
        metrics=tuple(_checked(metric) for metric in metrics),
        transactions=tuple(hashes.items()),
        certificate=one_line(certificate),
    )


def provenance_of_trade(verified: VerifiedTrade, metrics: Sequence[Metric] = ()) -> Provenance:
    """Return the provenance that a trade's certificate shows, once it was verified.

    Raises:
        PublishingError: A figure is not finite.
    """
    certificate, story = verified.certificate, verified.story
    return provenance_of(
        verified.manifest,
        chain_id=certificate.chain_id,
        market=certificate.market,
        listing_id=int(certificate.listing),
        trade_id=int(certificate.trade),
        buyer=story.buyer,
        metrics=metrics,
        transactions={move.function: move.hash for move in story.moves if move.function},
        certificate="certificate.json",
    )


def one_line(text: str) -> str:
    """Return another party's text as one line of printable characters, its spaces single, of limited length."""
    words = "".join(char if char.isprintable() else " " for char in text[:MAX_LINE_CHARACTERS]).split()
    return " ".join(words)


def _tensor(name: str, kind: str, shape: tuple[int, ...]) -> str:
    sizes = ", ".join("N" if size == 0 else str(size) for size in shape)
    return f"{one_line(name)}: {kind} [{sizes}]"


def _is_hash(text: str) -> bool:
    return len(text) == 66 and text.startswith("0x") and all(char in "0123456789abcdef" for char in text[2:])


def _checked(metric: Metric) -> Metric:
    if not abs(metric.value) < float("inf") or metric.samples < 0:
        raise PublishingError(f"{one_line(metric.name)} is {metric.value}, which is no figure to publish")
    return Metric(one_line(metric.name), metric.value, metric.basis, metric.samples, one_line(metric.dataset))
