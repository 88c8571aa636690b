"""The files of a party's folder: what each one holds, and when it is written.

A buyer's files stand in its folder; a seller's in a folder for each trade (`Seller.vault`). A message is kept under its
kind (`Kind`) from before the transaction that commits to it until the trade is over. A process that was killed goes on
with what it finds under these names, so that they stay as they are.

What is not `PLAIN` is encrypted under the folder's key (`trader.parties.vault_key`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ledger import EntryKind
from trader.exchange import Kind

if TYPE_CHECKING:
    from pathlib import Path

# Of both parties.
LOCK: Final = "lock"
"""Empty; locked by the process that works in the folder."""
OWNER: Final = "owner"
"""Role and account that the folder belongs to; when it is first taken."""
VAULT_KEY: Final = "vault.key"
"""The key to all that is encrypted here, under the account's password; before anything that it encrypts."""
DEVELOPMENT_SRS: Final = "development.srs"
"""The reference string that a package carries; written when the package is opened, and again by each process."""

# Of a buyer, in the order in which they are written.
LISTING: Final = "listing"
"""Market and listing that the folder is for; before anything else."""
INPUTS: Final = "inputs.npz"
"""The test set on the model's grid, int64 [n, F]; before the request."""
LABELS: Final = "labels.npz"
"""The test set's labels, if the buyer gave any; they never leave."""
SESSION: Final = "session.key"
"""The secret of the encrypted test; before the request, and again before the response is decrypted: a restarted process
must know that it was."""
OFFER: Final = "offer.json"
"""The price that the seller has signed for this buyer (`trader.chain.offers`), if it was given one."""
ADMISSION: Final = "admission.json"
"""What admits this buyer to a test, if it was given any."""
REQUEST: Final = Kind.REQUEST.value
"""The encrypted test set; once the secret and the inputs are kept. A seller keeps its copy until it has answered."""
FEE_DEPOSIT: Final = "fee.deposit"
"""Amount (32 bytes) and signed transaction of the deposit for the test's fee, in a token; before that is sent."""
OPENING: Final = "opening.transaction"
"""Digest of the request (32 bytes) and the signed transaction that pays for it; before that is sent."""
ANSWER: Final = "answer.digest"
"""Digest of session and response, which the purchase names; before the response is decrypted."""
OUTPUTS: Final = "outputs.npz"
"""What was decrypted, float64 [n, O]; a response is decrypted once."""
DECLINED: Final = "declined"
"""Mark: the buyer has decided not to buy."""
TEST_REFUSED: Final = EntryKind.TEST_REFUSED.value
"""Why the test is not good enough to pay for; when that was logged."""
ENCRYPTION_KEY: Final = "encryption.key"
"""The secret key to which the seller seals the model; before the purchase."""
ORDER: Final = Kind.AUDIT_INPUTS.value
"""The sealed audit samples; before the purchase."""
AGREEMENT: Final = "agreement.json"
"""Currency and price that the buyer has said yes to; before anything is paid for the model."""
PRICE_DEPOSIT: Final = "price.deposit"
"""Amount and signed transaction of the deposit for the price, as `FEE_DEPOSIT`."""
PURCHASE: Final = "purchase.json"
"""What the purchase commits to (`trader.parties.purchase`); last before it is sent, so that it never lacks the rest."""
PROOF_REFUSED: Final = EntryKind.PROOF_REFUSED.value
"""Why the proof is not accepted; when that was logged."""
CIPHERTEXT: Final = "ciphertext.bin"
"""The encrypted model with the proven root; before it is accepted."""
ACCEPTANCE: Final = Kind.ACCEPTANCE.value
"""The buyer's signature of the delivery; before it is sent. A seller keeps its copy: the key leaves with it."""
DELIVERED: Final = "delivered.npz"
"""The model's tensors, once they have passed every check."""

# Of a seller's trade, in the order in which they are written.
REQUEST_WHOLE: Final = "request.digest"
"""Digest of the copied request; once the copy is whole."""
RESPONSE: Final = Kind.RESPONSE.value
"""The response to the encrypted test; made once, before the answer is sent."""
ANSWERED: Final = "response.request"
"""Digest of the session that the response answers; once the response is whole."""
DELIVERY_KEY: Final = "delivery.key"
"""The key that encrypts the model; made once, before the proof is sent."""
CIPHERTEXT_ROOT: Final = "ciphertext.root"
"""Root of the tree over the encrypted chunks; before the proof is sent."""
BOND_DEPOSIT: Final = "bond.deposit"
"""Amount and signed transaction of the deposit for the bond, in a token; before that is sent."""
MODEL: Final = Kind.MODEL.value
"""The encrypted model, sealed to the buyer; before the proof is sent."""
KEY_LEAVING: Final = "key.leaving"
"""The newest signed transaction with the delivery key; just before it is sent."""
KEY_SENT: Final = "key.sent"
"""Mark: a node has taken that transaction, so that the key is no secret any more."""
REFUSED: Final = "refused"
"""Why the seller does not go on with the trade; when that was logged."""


PLAIN: Final = frozenset({REQUEST, RESPONSE, ORDER, MODEL, ACCEPTANCE, DEVELOPMENT_SRS})
"""Kept as they are: messages, which are ciphertexts and are mapped into memory as they go out, and what is public.

The encrypted model that a buyer accepted (`CIPHERTEXT`) is not one of them: its key becomes public.
"""
KEPT: Final = frozenset(
    {LISTING, INPUTS, LABELS, SESSION, OPENING, ANSWER, OUTPUTS, DECLINED, TEST_REFUSED, ENCRYPTION_KEY, PURCHASE}
    | {
        PROOF_REFUSED,
        CIPHERTEXT,
        DELIVERED,
        REQUEST_WHOLE,
        ANSWERED,
        DELIVERY_KEY,
        CIPHERTEXT_ROOT,
        KEY_LEAVING,
        KEY_SENT,
        REFUSED,
        OFFER,
        ADMISSION,
        AGREEMENT,
        FEE_DEPOSIT,
        PRICE_DEPOSIT,
        BOND_DEPOSIT,
    }
)
"""Encrypted where the folder has a key; the marks of messages are as well."""
_DELIVERED_SUFFIX: Final = ".delivered"


def find_kept(folder: Path) -> list[Path]:
    """Return the files of a party's folder that are to be encrypted, and what killed processes left of such."""
    places = [folder, *folder.glob("*/trade-*")]
    files = [path for place in places if place.is_dir() for path in place.iterdir() if path.is_file()]
    return sorted(path for path in files if _is_kept(path.name) or left_of(path.name) is not None)


def left_of(name: str) -> str | None:
    """Return which kept file a temporary one was to become (`trader.files`); None if it is none."""
    kept = name[1:].rpartition(".")[0] if name.startswith(".") else ""
    return kept if _is_kept(kept) else None


def _is_kept(name: str) -> bool:
    return name in KEPT or name.endswith(_DELIVERED_SUFFIX)


def delivered_mark(kind: Kind) -> str:
    """Return the name of the mark that a message was put into the mailbox; written when it was for the first time."""
    return f"{kind.value}{_DELIVERED_SUFFIX}"
