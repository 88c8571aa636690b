"""The trade certificate: what a finished trade leaves behind for third parties, in canonical JSON (RFC 8785).

Every fact stands in it once. Terms, commitments, the proof with its instances and the revealed key are in the calldata
of the signed transactions, events and amounts in the receipts, times in the headers, the name of the reference string
in the manifest: `trader.trade_certificate.verify` reads them there.

No secret is in it: the delivery key is public since it was revealed on the chain, outputs of the encrypted test stay
behind their salted digest, and of the model there is a digest alone. Of people there are addresses alone: entries of
the audit log that tell what went wrong on the way are left out, since their texts may name files of a machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import rfc8785
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.hexadecimal import decode_hex, encode_hex
from pydantic import Field, ValidationError

from trader.model.documents import Section, describe_fault
from trader.model.manifest import Address, Digest  # noqa: TC001 - pydantic reads the annotations
from trader.trade_certificate.errors import CertificateFormError

if TYPE_CHECKING:
    from trader.signer import Signer

FORMAT: Literal["modelseal/trade-certificate"] = "modelseal/trade-certificate"
MAX_TRADE_CERTIFICATE_BYTES = 64 << 20

Hex = Annotated[str, Field(pattern=r"^0x([0-9a-f]{2})*$", max_length=1 << 24)]
Identifier = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,77})$")]
"""A number of the contract's as decimal text: JSON numbers are doubles."""
Number = Annotated[int, Field(ge=0, lt=1 << 53)]
Signature = Annotated[str, Field(pattern=r"^0x[0-9a-f]{130}$")]
_TYPES = {"TradeCertificate": [{"name": "trade", "type": "uint256"}, {"name": "digest", "type": "bytes32"}]}


class BlockSection(Section):
    """A block of the trade.

    Attributes:
        number: Its height.
        hash: Its hash.
        header: Its header, RLP; empty where the node's form of it was unknown.
    """

    number: Number
    hash: Digest
    header: Hex


class TransactionSection(Section):
    """A transaction of the trade, or the one that listed the model.

    Attributes:
        block: Number of its block.
        index: Its place there.
        raw: As it was signed.
        receipt: Its receipt, as in the block's trie.
        transaction_path: Nodes from the root of the block's transactions to it; empty without a header.
        receipt_path: Nodes from the root of the block's receipts to its own; empty as above.
    """

    block: Number
    index: Number
    raw: Hex
    receipt: Hex
    transaction_path: tuple[Hex, ...]
    receipt_path: tuple[Hex, ...]


class EntrySection(Section):
    """An entry of the audit log with its proof (`ledger.EntryProof`).

    Attributes:
        entry: Its fields.
        hashes: From its leaf up to the root.
    """

    entry: dict[str, Any]
    hashes: tuple[Digest, ...]


class LogSection(Section):
    """What the signer's audit log says about the trade.

    Attributes:
        checkpoint: Of the log when the certificate was made: the body of a tlog checkpoint.
        entries: In log order.
    """

    checkpoint: Annotated[str, Field(max_length=256)]
    entries: tuple[EntrySection, ...]


class TradeCertificate(Section):
    """The whole certificate.

    Attributes:
        format: What the file is.
        version: Of this format.
        chain_id: EIP-155 id of the chain.
        market: Address of the market, which names its code (`contracts.create2`).
        market_salt: With which that address was made; zeros for the market that people trade in.
        listing: Number of the listing.
        trade: Number of the trade.
        manifest: Of the listing; its canonical bytes are those that were listed.
        blocks: Of the transactions, by number.
        transactions: In the order of the chain, the listing's first.
        log: The signer's audit log.
        delivered: SHA-256 of the delivered ONNX file, by the signer's word; None where it has none.
        signer: The party that made the certificate.
        signature: Its signature of all the rest (EIP-712).
    """

    format: Literal["modelseal/trade-certificate"] = FORMAT
    version: Literal[1] = 1
    chain_id: Number
    market: Address
    market_salt: Digest
    listing: Identifier
    trade: Identifier
    manifest: dict[str, Any]
    blocks: tuple[BlockSection, ...]
    transactions: tuple[TransactionSection, ...]
    log: LogSection
    delivered: Digest | None
    signer: Address
    signature: Signature

    def to_bytes(self) -> bytes:
        """Return the canonical JSON."""
        return rfc8785.dumps(self.model_dump(mode="json"))

    @property
    def digest(self) -> bytes:
        """keccak256 of the canonical JSON without the signature: what is signed."""
        return keccak(rfc8785.dumps(self.model_dump(mode="json", exclude={"signature"})))

    def signed(self, account: Signer) -> Self:
        """Return the certificate with this account's signature.

        Raises:
            SignerUnavailableError: The account can't sign now.
        """
        signature = bytes(account.sign_typed_data(*self._typed_data()).signature)
        return self.model_copy(update={"signature": encode_hex(signature)})

    def recover_signer(self) -> str:
        """Return the address whose signature it has, in lower case.

        Raises:
            CertificateFormError: Nobody's.
        """
        signable = encode_typed_data(*self._typed_data())
        try:
            return str(Account.recover_message(signable, signature=decode_hex(self.signature))).lower()
        except (ValueError, BadSignature) as error:
            raise CertificateFormError("(1) the certificate's signature is nobody's. Don't rely on it.") from error

    def _typed_data(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        domain = {"name": "ModelSeal", "version": "1", "chainId": self.chain_id, "verifyingContract": self.market}
        return domain, _TYPES, {"trade": int(self.trade), "digest": self.digest}


UNSIGNED = "0x" + "00" * 65


def parse_trade_certificate(data: bytes) -> TradeCertificate:
    """Read a certificate; nothing but its form is checked.

    Raises:
        CertificateFormError: Too big, not of this form, or not canonical.
    """
    if len(data) > MAX_TRADE_CERTIFICATE_BYTES:
        raise CertificateFormError(f"(1) it has {len(data)} bytes, more than {MAX_TRADE_CERTIFICATE_BYTES}")
    try:
        certificate = TradeCertificate.model_validate_json(data)
        canonical = certificate.to_bytes()
    except ValidationError as error:
        raise CertificateFormError(f"(1) it is no trade certificate of version 1{describe_fault(error)}") from error
    except (rfc8785.CanonicalizationError, UnicodeError, RecursionError) as error:
        raise CertificateFormError(f"(1) it has no canonical form: {error}") from error
    if canonical != data:
        raise CertificateFormError("(1) it is not in canonical form (RFC 8785). Ask for it again.")
    return certificate
