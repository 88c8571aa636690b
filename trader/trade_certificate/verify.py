"""What a third party checks of a trade certificate, numbered; each check has its own error.

(1) the file is a canonical certificate of this version, and the account that it names has signed it;
(2) the market is the published one, whose address names its code;
(3) each transaction is signed and succeeded, and stands with its receipt in the block whose header is given;
(4) the manifest is the listed one, and repeats the terms;
(5) the events follow the table of the protocol from the session to a final state, in time, each caused by who may; each
    call names the digest of what it answers, from the offer to the delivery; a party of the trade has signed (1);
(6) the proof is about the listed circuit, layout and parameters, and the inputs, answer and outputs that were
    purchased; with the public package, that it holds for the circuit rebuilt from it;
(7) each entry of the audit log leads to the checkpoint and says what the chain says, and no event of the trade is left
    out; with a checkpoint known from elsewhere, it is that one;
(8) with a chain, that it has the blocks (and, where a header is missing, the transactions and receipts).

Without a chain nobody can tell that the blocks were ever part of one: whoever wrote the file could have made them up,
but for the signatures of both parties. What no check can tell: that the steps off the chain happened as the signer's
log says (it proves order and integrity, not truth), and what the encrypted test showed: outputs stay with the buyer.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import rfc8785
from eth_utils.crypto import keccak
from eth_utils.hexadecimal import decode_hex, encode_hex

from contracts import published_deployment
from ledger import Checkpoint, EntryProof, LedgerError, verify_entry
from ledger.catalogue.trades import find_void_sequences
from ledger.entries import CONTRACT_EVENTS, Entry
from trader.chain.inclusion import read_mined
from trader.chain.market import Market
from trader.chain.offline import statement_of
from trader.errors import ListingError
from trader.package import open_circuit
from trader.trade_certificate.document import parse_trade_certificate
from trader.trade_certificate.errors import (
    CertificateChainError,
    CertificateFormError,
    CertificateLogError,
    CertificateManifestError,
    CertificateMarketError,
    CertificateProofError,
    CertificateStoryError,
)
from trader.trade_certificate.story import Story, check_story, read_moves
from trader.verify import check_manifest
from zk import Proof, Srs, trade_context, verify
from zk.errors import CircuitError, ProofError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.entries import Record
    from trader.chain import Chain
    from trader.model import Manifest
    from trader.package import PublicPackage
    from trader.trade_certificate.document import TradeCertificate
    from trader.trade_certificate.story import SignedMove

POINT_BYTES = 64
TRADE_CERTIFICATE_CHECKS = (
    "canonical, of this version, signed by the account that it names",
    "the market is the published one",
    "each transaction is signed, succeeded, and stands in its block",
    "the manifest is the listed one and repeats the terms",
    "the events are a whole trade, in time, each move by who may and about the one before",
    "the proof is about what was listed and purchased, and holds",
    "the audit log's entries lead to its checkpoint and say what the chain says",
    "the chain has these blocks",
)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How a check came out; one that fails raises.

    Attributes:
        number: Of the check.
        outcome: `holds`; `partly` or `not checked`, and then `note` says what is missing.
        note: Figures, or what is missing.
    """

    number: int
    outcome: Literal["holds", "partly", "not checked"]
    note: str


@dataclass(frozen=True, slots=True)
class VerifiedTrade:
    """What a certificate shows.

    Attributes:
        certificate: The certificate.
        manifest: Of the listing.
        story: The trade.
        checks: All eight, in order.
        proven_outputs: Number of exact outputs that the proof shows.
    """

    certificate: TradeCertificate = field(repr=False)
    manifest: Manifest = field(repr=False)
    story: Story = field(repr=False)
    checks: tuple[CheckResult, ...]
    proven_outputs: int


@dataclass(frozen=True, slots=True)
class Witnesses:
    """What a third party has beside the certificate; each is optional, and makes a check complete.

    Attributes:
        chain: For check (8).
        package: The listing's public package, for check (6).
        srs: Its reference string; needed with the package.
        checkpoint: Of the signer's log, known from elsewhere, for check (7).
    """

    chain: Chain | None = None
    package: PublicPackage | None = field(default=None, repr=False)
    srs: Srs | None = None
    checkpoint: Checkpoint | None = None


def verify_trade_certificate(data: bytes, witnesses: Witnesses = Witnesses()) -> VerifiedTrade:
    """Run checks (1) to (8), as far as the witnesses allow, and say how far that was.

    Args:
        data: The certificate; hostile until checked.
        witnesses: What else is at hand.

    Raises:
        TradeCertificateError: The check that failed, one subclass for each.
        WorkerError, ChainUnavailableError: A check could not be run; nothing is known.
    """
    # (1) The bytes are a certificate, and somebody stands by it.
    certificate = parse_trade_certificate(data)
    if certificate.recover_signer() != certificate.signer:
        raise CertificateFormError(f"(1) it is not signed by {certificate.signer}, or was changed. Don't rely on it.")
    results = [CheckResult(1, "holds", f"signed by {certificate.signer}")]
    # (2) The contract is the published market.
    results.append(_check_market(certificate))
    # (3) The transactions are signed, and in their blocks.
    moves = read_moves(certificate)
    results.append(_inclusion_result(moves))
    # (5) They are a trade. Before (4), which needs its terms.
    story = check_story(certificate, moves)
    if certificate.signer not in (story.seller, story.buyer):
        raise CertificateStoryError(f"(5) {certificate.signer} signed it, who is no party of the trade")
    # (4) The manifest is the listed one.
    manifest = _check_manifest(certificate, story)
    results.append(CheckResult(4, "holds", encode_hex(story.terms.manifest_hash)))
    timed = all(move.time_seconds is not None for move in moves)
    ended = f"{story.ended.name.lower()}, {len(moves)} transactions"
    results.append(CheckResult(5, "holds" if timed else "partly", ended if timed else f"{ended}; times are unknown"))
    # (6) The proof is about what was listed and bought.
    outputs, result = _check_proof(certificate, manifest, story, witnesses)
    results.append(result)
    # (7) The log says the same.
    results.append(_check_log(certificate, moves, witnesses.checkpoint))
    # (8) The chain has the blocks.
    results.append(_check_chain(certificate, moves, witnesses.chain))
    return VerifiedTrade(certificate, manifest, story, tuple(results), outputs)


def check_delivered(certificate: TradeCertificate, model: bytes) -> None:
    """Check that an ONNX file is the one that the signer says was delivered; silent on success.

    Raises:
        CertificateFormError: It is another one, or none is named.
    """
    digest = f"0x{hashlib.sha256(model).hexdigest()}"
    if certificate.delivered != digest:
        raise CertificateFormError(
            f"the file has the SHA-256 {digest}, the signer names {certificate.delivered or 'none'} as delivered"
        )


def _check_market(certificate: TradeCertificate) -> CheckResult:
    salt = decode_hex(certificate.market_salt)
    published = published_deployment(salt).market.lower()
    if certificate.market != published:
        raise CertificateMarketError(
            f"(2) {certificate.market} is not the published market {published}. Don't rely on it."
        )
    if any(salt):
        return CheckResult(2, "partly", "the published code, in a market of its own: not the one that people trade in")
    return CheckResult(2, "holds", f"{certificate.market} on chain {certificate.chain_id}")


def _inclusion_result(moves: Sequence[SignedMove]) -> CheckResult:
    loose = sum(move.time_seconds is None for move in moves)
    if loose:
        note = f"signed; {loose} of {len(moves)} without header: nothing ties them to their blocks"
        return CheckResult(3, "partly", note)
    return CheckResult(3, "holds", f"{len(moves)} transactions, {len({move.block_hash for move in moves})} blocks")


def _check_manifest(certificate: TradeCertificate, story: Story) -> Manifest:
    try:
        return check_manifest(rfc8785.dumps(certificate.manifest), story.terms, story.seller)
    except ListingError as error:
        raise CertificateManifestError(f"(4) {error}") from error


# ------------------------------------------------------------------------------------------------------ (6) proof


def _check_proof(
    certificate: TradeCertificate, manifest: Manifest, story: Story, witnesses: Witnesses
) -> tuple[int, CheckResult]:
    if story.audit is None:
        return 0, CheckResult(6, "not checked", "nothing was proven in this trade")
    proof = _check_statement(story)
    named = manifest.circuit.srs
    source = "made locally, whose maker can forge proofs" if named.development else "of the ceremony"
    note = f"{len(proof.instances)} outputs; reference string 2^{named.logrows} {source}, {named.digest}"
    if witnesses.package is None or witnesses.srs is None:
        return len(proof.instances), CheckResult(6, "partly", f"{note}; the proof itself needs the public package")
    if witnesses.srs.digest != decode_hex(named.digest):
        raise CertificateProofError("(6) the reference string is another than the manifest names")
    _verify_proof(certificate, proof, witnesses.package, witnesses.srs)
    return len(proof.instances), CheckResult(6, "partly" if named.development else "holds", note)


def _check_statement(story: Story) -> Proof:
    """Check what the proof is about, as the market does (`AuditChecks.sol`)."""
    audit, terms = story.audit or {}, story.terms
    statement, data = statement_of(dict(audit)), bytes(audit["proof"])
    layout = statement.layout
    inputs_end = POINT_BYTES * layout.input_columns
    parameters_end = inputs_end + POINT_BYTES * layout.parameter_columns
    count = terms.audit_samples * layout.outputs
    for what, found, expected in (
        ("statement", statement.digest, terms.statement),
        ("circuit", keccak(b"".join(audit["vka"])), statement.circuit_digest),
        ("proof's length", len(data), layout.proof_bytes),
        ("parameters", keccak(data[inputs_end:parameters_end]), statement.parameter_commitment),
        ("inputs", keccak(data[:inputs_end]), story.purchase.get("inputCommitment")),
        ("answer", audit["answer"], story.purchase.get("answer")),
        ("outputs seen", audit["outputsDigest"], story.purchase.get("outputsDigest")),
        ("number of instances", len(audit["instances"]), count + 2 * bool(layout.hidden_columns)),
    ):
        if found != expected:
            raise CertificateProofError(f"(6) the proof's {what} is another than was listed and purchased")
    return Proof(data, tuple(audit["instances"][:count]))


def _verify_proof(certificate: TradeCertificate, proof: Proof, package: PublicPackage, srs: Srs) -> None:
    if package.manifest != rfc8785.dumps(certificate.manifest):
        raise CertificateProofError("(6) the package is another listing's. Give that of the certificate.")
    try:
        circuit = open_circuit(package, srs)
        points = proof.points(circuit)
        split, end = circuit.input_columns, circuit.input_columns + circuit.parameter_columns
        verify(
            circuit,
            proof,
            srs,
            input_points=points[:split],  # their digest is the purchased one, see `_check_statement`
            parameter_points=points[split:end],  # and the listed one
            context=trade_context(certificate.chain_id, certificate.market, int(certificate.trade)),
        )
    except (ProofError, CircuitError) as error:
        raise CertificateProofError(f"(6) {error}") from error


# -------------------------------------------------------------------------------------------------------- (7) log


def _check_log(certificate: TradeCertificate, moves: Sequence[SignedMove], known: Checkpoint | None) -> CheckResult:
    try:
        checkpoint = Checkpoint.parse(certificate.log.checkpoint)
        entries = [_read_entry(one.entry, one.hashes, checkpoint) for one in certificate.log.entries]
    except LedgerError as error:
        raise CertificateLogError(f"(7) {error}") from error
    if known is not None and (known.entries, known.root_hash) != (checkpoint.entries, checkpoint.root_hash):
        raise CertificateLogError("(7) the certificate's checkpoint is another than the one that you know")
    sequences = [entry.sequence for entry in entries]
    if sequences != sorted(set(sequences)):
        raise CertificateLogError("(7) the entries are not in the order of the log, each once")
    place = certificate.chain_id, certificate.market
    for entry in entries:
        chain = entry.record.chain
        if entry.record.trade_id != int(certificate.trade) or (chain and (chain.chain_id, chain.contract) != place):
            raise CertificateLogError(f"(7) entry {entry.sequence} is of another trade, market or chain")
    void = find_void_sequences(entries)
    logged = [_told(one.record) for one in entries if one.record.kind in CONTRACT_EVENTS and one.sequence not in void]
    happened = [
        (event.kind, move.hash, move.block_number, move.block_hash, move.sender, sorted(event.details.items()))
        for move in moves
        for event in move.events
        if event.trade_id == int(certificate.trade)
    ]
    times = {move.hash: move.time_seconds for move in moves if move.time_seconds is not None}
    timely = all(
        entry.record.occurred_at_seconds == times.get(entry.record.chain.transaction_hash, -1)
        for entry in entries
        if times and entry.record.kind in CONTRACT_EVENTS and entry.sequence not in void and entry.record.chain
    )
    if not timely or sorted(map(repr, logged)) != sorted(map(repr, happened)):
        raise CertificateLogError("(7) the audit log tells the trade's events otherwise than the chain")
    note = f"{len(entries)} entries of a log of {checkpoint.entries}; steps off the chain are the signer's word"
    if known is None:
        return CheckResult(7, "partly", f"{note}, and so is the checkpoint")
    return CheckResult(7, "holds", note)


def _read_entry(fields: dict[str, object], hashes: Sequence[str], checkpoint: Checkpoint) -> Entry:
    encoded = rfc8785.dumps(fields)  # type: ignore[arg-type]  # it was JSON
    record = verify_entry(EntryProof(encoded, tuple(map(decode_hex, hashes))), checkpoint)
    return Entry(sequence=int(str(fields["sequence"])), record=record, entry_hash=b"")


def _told(record: Record) -> tuple[object, ...]:
    chain = record.chain
    place = () if chain is None else (chain.transaction_hash, chain.block_number, chain.block_hash)
    return (record.kind, *place, record.actor, sorted(record.details.items()))


# ------------------------------------------------------------------------------------------------------ (8) chain


def _check_chain(certificate: TradeCertificate, moves: Sequence[SignedMove], chain: Chain | None) -> CheckResult:
    if chain is None:
        return CheckResult(8, "not checked", "no chain was given: whoever wrote the file may have made up its blocks")
    if chain.chain_id != certificate.chain_id:
        raise CertificateChainError(f"(8) {chain.name} is on chain {chain.chain_id}, not {certificate.chain_id}")
    Market.at(chain, certificate.market, salt=decode_hex(certificate.market_salt))
    for block in certificate.blocks:
        if not chain.stands(block.number, decode_hex(block.hash)):
            raise CertificateChainError(f"(8) the chain has another block {block.number} than {block.hash}")
    for section, move in zip(certificate.transactions, moves, strict=True):
        if move.time_seconds is None:
            mined = read_mined(chain, move.hash)
            if (encode_hex(mined.receipt), encode_hex(mined.block_hash)) != (section.receipt, move.block_hash):
                raise CertificateChainError(f"(8) the chain has another receipt of transaction {move.hash}")
    newest = chain.confirmed_block().number
    return CheckResult(8, "holds", f"the last one has {newest - certificate.blocks[-1].number + 1} confirmations")
