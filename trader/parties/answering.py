"""The seller's first move: it evaluates the encrypted test that was paid for, and answers it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger import EntryKind
from trader import he
from trader.errors import EnvironmentFaultError, NotYetError, PartyFolderError, RequestError
from trader.exchange import Incoming, Kind
from trader.parties.engine import EvaluationJob
from trader.parties.filenames import ANSWERED, REQUEST, REQUEST_WHOLE, RESPONSE
from trader.parties.messages import request_limit_bytes
from trader.trade import Answered, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from trader.chain.market import Session, Trade
    from trader.parties.actor import Actor
    from trader.parties.conduct import SellerConduct
    from trader.parties.engine import Engine
    from trader.parties.goods import Goods
    from trader.parties.vault import Vault

_UNPROVEN = frozenset({State.ANSWERED, State.PURCHASED})


class Answering:
    """Answers the encrypted tests of a seller's trades."""

    def __init__(
        self,
        actor: Actor,
        goods: Goods,
        conduct: SellerConduct,
        vault: Callable[[int], Vault],
        device: str,
        engine: Engine,
    ) -> None:
        """Set up the answers of one seller.

        Args:
            actor: The seller's account at work.
            goods: What it sells.
            conduct: How it behaves.
            vault: Gives the secrets of a trade.
            device: Where tests are computed: the CPU, or one of PyTorch's devices.
            engine: Computes them.
        """
        self._actor = actor
        self._market = actor.market
        self._goods = goods
        self._conduct = conduct
        self._vault = vault
        self._device = device
        self._engine = engine

    def answer(self, trade_id: int) -> None:
        """Evaluate the encrypted test and answer it; the fee is earned. Check it before it is parsed.

        The response leaves once the answer is confirmed: at once, or with a later step.

        Raises:
            IllegalMoveError: The trade is not waiting for an answer.
            NotDeliveredError: The request has not arrived; what lies there is another's, or another one.
            NotYetError: The quota has too few answers left at present, or the package too few proofs.
            RequestError, WireError: The request that was paid for is malformed.
        """
        trade = self._actor.require_legal(Answered, trade_id)
        self._check_quota(trade)
        self._check_proofs(trade)
        session = self._market.session(trade_id)
        digest = he.digest(self._response(trade, session))
        self._actor.mailbox.reserve(self._actor.label(Kind.RESPONSE, digest, trade_id))
        account = self._actor.account
        self._actor.transact(
            "respond", lambda: self._market.respond(account, trade_id, session.digest, digest, confirmed=False)
        )
        if self._market.trade(trade_id).position.state is State.ANSWERED:
            self.send_response(trade_id)

    def send_response(self, trade_id: int) -> bool:
        """See to it that the response lies in the mailbox; return whether it had to be written."""
        vault = self._vault(trade_id)
        if not vault.has(RESPONSE):
            self._require_delivered(trade_id)
            return False
        label = self._actor.label(Kind.RESPONSE, he.digest(vault.map(RESPONSE)), trade_id)
        return self._actor.deliver(label, vault, EntryKind.RESPONSE_SENT, trade_id)

    def _require_delivered(self, trade_id: int) -> None:
        """Look in the mailbox for an answer that is no longer kept, after a backup was restored.

        It is not made again: two answers to one request would tell more than one.

        Raises:
            PartyFolderError: It is not there either.
        """
        digest = self._market.event(trade_id, Answered).response_digest
        if self._actor.mailbox.needs_delivery(self._actor.label(Kind.RESPONSE, digest, trade_id)):
            raise PartyFolderError(
                f"the answer to the test of trade {trade_id} is lost: restore a newer backup. Otherwise the buyer "
                "can't go on, and has paid the fee for nothing: give it back, if you want to keep the customer."
            )

    def _check_quota(self, trade: Trade) -> None:
        """Look whether the answers are still there: sessions that wait reserve none, and others may have been faster.

        Raises:
            NotYetError: They are not; those of an audit come back if its trade expires before it is proven.
        """
        wanted = trade.samples + self._goods.manifest.circuit.audit_samples
        left = self._market.answers_left(trade.listing_id, trade.buyer)
        if wanted > left:
            raise NotYetError(
                f"trade {trade.trade_id} takes {wanted} answers of the quota, {left} are left: waiting for trades that "
                "end without a proof, until its deadline, when its fee goes back"
            )

    def _check_proofs(self, trade: Trade) -> None:
        """Look whether what is answered now can be proven later: a buyer would pay, and wait, for nothing.

        Raises:
            NotYetError: The proofs that are left may be needed for trades that were answered before.
        """
        trades = self._market.find_trades_about(self._actor.address, self._goods.manifest.manifest_hash())
        others, seen = trades - {trade.trade_id}, self._market.seen
        promised = {number for number in others if number in seen and seen[number].state in _UNPROVEN}
        promised |= others & self._market.newly_answered()
        left = self._goods.package.budget.left
        if left <= len(promised):
            raise NotYetError(
                f"trade {trade.trade_id} could not be proven: {max(left, 0)} proofs of the package are left, and "
                f"{len(promised)} trades that were answered may need them. Not answered for now; its deadline returns "
                "the fee. When none are left, prepare the model again, with more --proofs."
            )

    def _response(self, trade: Trade, session: Session) -> memoryview:
        """Return the response to a session's request, made once: an answer may be mined long after it was sent."""
        vault = self._vault(trade.trade_id)
        if vault.has(ANSWERED) and vault.read(ANSWERED) == session.digest:
            return vault.map(RESPONSE)
        if not (vault.has(REQUEST_WHOLE) and vault.read(REQUEST_WHOLE) == session.request_digest):
            self._receive_request(trade, session.request_digest)
            vault.write(REQUEST_WHOLE, session.request_digest)
        job = EvaluationJob(
            key=session.digest,
            account=trade.buyer,
            package=self._goods.package.folder,
            request=vault.path(REQUEST),
            response=vault.path(RESPONSE),
            samples=trade.samples,
            context=self._actor.request_context(trade.listing_id, trade.buyer),
            device=self._device,
        )
        self._engine.evaluate(job, lambda: self._evaluate(job, vault))
        vault.write(ANSWERED, session.digest)
        vault.forget(REQUEST)
        return vault.map(RESPONSE)

    def _evaluate(self, job: EvaluationJob, vault: Vault) -> None:
        """Evaluate a request in this process."""
        with vault.staged(RESPONSE) as path, self._actor.working("evaluate"):
            he.evaluate(
                self._goods.plan,
                self._conduct.tested_model(self._goods.package),
                vault.map(REQUEST),
                job.samples,
                lambda done, total: self._actor.progress("evaluate", done, total),
                path,
                device=job.device,
                context=job.context,
            )

    def _receive_request(self, trade: Trade, digest: bytes) -> None:
        """Copy the request into a file of the seller's own: its sender can change that in the mailbox at any time."""
        limit_bytes = request_limit_bytes(self._goods.plan, trade.samples)
        path = self._vault(trade.trade_id).path(REQUEST)

        def copy(message: Incoming) -> memoryview:
            try:
                request = he.fetch_container(message.file, path, limit_bytes)
            except OSError as error:
                raise EnvironmentFaultError(f"the request can't be copied to {path}: {error.strerror}") from error
            if he.digest(request) != digest:
                raise RequestError(f"its digest is 0x{he.digest(request).hex()}, paid for was 0x{digest.hex()}")
            return request

        label = self._actor.label(Kind.REQUEST, digest)
        request = self._actor.mailbox.take(label, trade.buyer, limit_bytes, copy)
        self._actor.note(EntryKind.REQUEST_RECEIVED, trade_id=trade.trade_id, details={"bytes": len(request)})
