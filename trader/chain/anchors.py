"""Checkpoints of audit logs on the chain (`contracts/src/periphery/AuditAnchor.sol`).

What is anchored can't be taken back, and is older than its block. It needs no signature and no witness: the account
that keeps a log speaks for it, and whoever knows that address and the log's name asks any node.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eth_utils.address import to_checksum_address

from contracts import Periphery, bind_periphery, deploy_periphery
from ledger import Checkpoint
from trader.errors import CallerError

if TYPE_CHECKING:
    from trader.chain.node import Chain
    from trader.chain.receipts import Receipt
    from trader.signer import Signer


@dataclass(frozen=True, slots=True)
class Anchor:
    """A checkpoint that stands on the chain.

    Attributes:
        checkpoint: Size and root of the log.
        block_number: Of the block that it stands in.
        transaction_hash: Of the transaction, 0x-hex.
    """

    checkpoint: Checkpoint
    block_number: int
    transaction_hash: str


def log_id(origin: str) -> bytes:
    """Return what a log is called in the contract: SHA-256 of its origin, as witnesses call it."""
    return hashlib.sha256(origin.encode()).digest()


class Anchors:
    """The checkpoints that accounts have anchored on one chain."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._contract = bind_periphery(chain.web3, Periphery.AUDIT_ANCHOR)

    def anchor(self, account: Signer, checkpoint: Checkpoint) -> Receipt | None:
        """Anchor a checkpoint; None, and nothing is sent, where the newest anchor of this log is this one already.

        Args:
            account: Keeps the log, and pays.
            checkpoint: Of more entries than the one before it.

        Raises:
            CallerError: The log is empty, or the account has anchored another root of this size.
            TransactionRefusedError: More entries are anchored already, or the account can't pay.
            ChainUnavailableError: The node does not answer.
        """
        if checkpoint.entries == 0:
            raise CallerError("an empty log can't be anchored: it holds nothing yet")
        for anchored in self.anchored(account.address, checkpoint.origin):
            if anchored.checkpoint == checkpoint:
                return None
            if anchored.checkpoint.entries == checkpoint.entries:
                raise CallerError(
                    f"another root of {checkpoint.entries} entries was anchored in block {anchored.block_number}:"
                    " the log was changed since, or is another one"
                )
        with self._chain.sending(account), self._chain.reachable():
            deploy_periphery(self._chain.web3, to_checksum_address(account.address), Periphery.AUDIT_ANCHOR)
        function = self._contract.functions.anchor(log_id(checkpoint.origin), checkpoint.entries, checkpoint.root_hash)
        return self._chain.send(function, account)

    def anchored(self, account: str, origin: str, *, first_block: int = 0) -> list[Anchor]:
        """Return all confirmed checkpoints that an account has anchored of a log, the smallest first.

        Args:
            account: The address of who keeps the log; what others anchor under its name means nothing.
            origin: The log's name.
            first_block: Where to start searching.

        Raises:
            ChainUnavailableError: The node does not answer, or refuses to search.
        """
        topics = [None, f"0x{int(account, 16):064x}", f"0x{log_id(origin).hex()}"]
        return [
            Anchor(
                Checkpoint(int(event.arguments["size"]), bytes(event.arguments["root"]), origin),
                event.block_number,
                event.transaction_hash,
            )
            for event in self._chain.logs(self._contract, topics, first_block)
        ]
