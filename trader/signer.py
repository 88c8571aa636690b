"""What a party needs of its account: an address, and signatures of transactions and of typed data.

`eth_account`'s LocalAccount has it, with the private key in this process (`trader.chain.accounts`), and so has an
account whose key another program keeps (`trader.chain.external`). Nothing else in a trade needs the private key: what a
party encrypts for itself is under a password of its own (`trader.parties.vault_key`), and what others seal to it under
keys that are made for it (`trader.exchange.EncryptionKey`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from eth_account.datastructures import SignedMessage, SignedTransaction
    from eth_typing import ChecksumAddress


class Signer(Protocol):
    """Signs for one account."""

    @property
    def address(self) -> ChecksumAddress:
        """The account."""

    def sign_transaction(self, transaction_dict: dict[str, Any], /) -> SignedTransaction:
        """Sign a transaction, all of whose fields are filled in."""

    def sign_typed_data(
        self, domain_data: dict[str, Any], message_types: dict[str, Any], message_data: dict[str, Any], /
    ) -> SignedMessage:
        """Sign typed data (EIP-712): the domain, the types without the domain's, and the message."""
