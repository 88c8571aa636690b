"""Messages that are not what was paid for, proven or committed to: refused, and the deadlines return the money."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.simulators.trading import FEE, PRICE, PROOF_FEE, Trading
from trader import he
from trader.demo.cheats import HostileRequestBuyer
from trader.errors import TransactionRefusedError
from trader.exchange import AuditInputs, Context, EncryptionKey, Kind, Purpose, seal
from trader.he import WireError
from trader.he.evaluation import evaluate as evaluation
from trader.parties.conduct import BuyerConduct, SellerConduct
from trader.parties.filenames import ENCRYPTION_KEY
from trader.parties.messages import Order
from trader.trade import Role, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from trader.chain import Chain
    from trader.exchange import Label

pytestmark = pytest.mark.slow

EVEN = {Role.SELLER: 0, Role.BUYER: 0}
FEE_PAID = {Role.SELLER: FEE, Role.BUYER: -FEE}


def refusal(trading: Trading, trade_id: int) -> str:
    """Why the seller refused to go on."""
    return trading.seller.vault(trade_id).read("refused").decode()


def skipped(trading: Trading, role: Role) -> list[str]:
    """Why a party skipped messages: it refuses nothing for good, as the right one may still come."""
    assert not trading.seller.vault(trading.buyer.find_trade()).has("refused")
    return [step.remark for step in trading.steps if step.role is role and step.name == "MessageSkipped"]


@dataclass
class OtherMessageBuyer(BuyerConduct):
    """Signs and puts something else into the mailbox than what it has kept."""

    kind: Kind
    message: bytes = b""

    def sent_message(self, label: Label, kept: memoryview) -> bytes | memoryview:
        return self.message if label.kind is self.kind else kept


@pytest.mark.parametrize("message", [b"", b"MSHE0001", b"MSHE0001\xff\xff\xff\xff" + bytes(100), bytes(10_000)])
def test_a_request_that_is_none_is_refused_and_the_fee_goes_back(
    message: bytes, chain: Chain, trade_on: Callable[..., Trading]
) -> None:
    trading = trade_on(chain, buyer_conduct=OtherMessageBuyer(Kind.REQUEST, message))
    assert trading.play() is State.EXPIRED
    assert len(skipped(trading, Role.SELLER)) == 1
    assert trading.gains() == EVEN


def test_a_public_key_that_is_none_is_refused_before_anything_is_evaluated(
    chain: Chain, trade_on: Callable[..., Trading], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "_evaluator", lambda *_: pytest.fail("the request is evaluated"))
    trading = trade_on(chain, buyer_conduct=HostileRequestBuyer())
    assert trading.play() is State.EXPIRED
    assert "the public key isn't proven" in refusal(trading, trading.buyer.find_trade())
    assert "RequestRefused" in [step.name for step in trading.steps if step.role is Role.SELLER]
    assert trading.gains() == EVEN


def test_another_request_than_the_paid_one_is_refused(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    # First: every table funds the one seller.
    other = trade_on(chain)
    other.open()
    swapped = other.buyer.vault.read(Kind.REQUEST.value)
    trading = trade_on(chain, buyer_conduct=OtherMessageBuyer(Kind.REQUEST, swapped))
    assert trading.play() is State.EXPIRED
    assert "paid for was" in skipped(trading, Role.SELLER)[0]
    assert trading.gains() == EVEN


def test_a_request_for_more_samples_than_were_paid_for_is_refused(
    chain: Chain, trade_on: Callable[..., Trading], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session pays for 16, a power of two, and the request says what it holds."""
    trading = trade_on(chain)
    samples = len(trading.model.test_samples)
    assert he.charged_samples(samples) > 16
    monkeypatch.setattr(he, "charged_samples", lambda _: 16)
    trade_id = trading.open()
    assert trading.seller.market.trade(trade_id).samples == 16
    assert trading.play() is State.EXPIRED
    assert f"number of samples is {samples}, expected 16" in refusal(trading, trade_id)
    assert trading.gains() == EVEN


def test_an_oversize_request_is_not_even_read(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    trading = trade_on(chain, buyer_conduct=OtherMessageBuyer(Kind.REQUEST, bytes(32 << 20)))
    trading.open()
    assert trading.play() is State.EXPIRED
    assert "more than" in skipped(trading, Role.SELLER)[0]
    assert trading.gains() == EVEN


def sealed_order(trading: Trading, trade_id: int, samples: NDArray[np.int64], *, purpose=Purpose.AUDIT_INPUTS) -> bytes:
    """An order with a salt and key of its own, sealed to the seller."""
    circuit = trading.buyer.verify_listing().circuit
    order = Order(EncryptionKey.generate().public_key, AuditInputs(samples, (0,) * circuit.salt_elements))
    market, manifest_hash = trading.market, trading.buyer.verify_listing().terms.manifest_hash
    context = Context(market.chain.chain_id, market.deployment.market, manifest_hash, trade_id, purpose)
    return seal(trading.package.encryption_key.public_key, order.encode(), context)


@pytest.mark.parametrize(
    ("fill", "purpose", "reason"),
    [
        (0, Purpose.AUDIT_INPUTS, "are not those that the buyer committed to"),
        (2**62, Purpose.AUDIT_INPUTS, "don't fit the circuit"),
        (0, Purpose.MODEL, "does not open"),
    ],
)
def test_other_audit_samples_than_the_committed_ones_get_no_proof(
    fill: int, purpose: Purpose, reason: str, chain: Chain, trade_on: Callable[..., Trading]
) -> None:
    conduct = OtherMessageBuyer(Kind.AUDIT_INPUTS)
    trading = trade_on(chain, buyer_conduct=conduct)
    trade_id = trading.play_until(State.ANSWERED)
    circuit = trading.buyer.verify_listing().circuit
    samples = np.full((circuit.audit_samples, circuit.features), fill)
    conduct.message = sealed_order(trading, trade_id, samples, purpose=purpose)
    assert trading.play() is State.EXPIRED
    assert reason in skipped(trading, Role.SELLER)[0]
    assert trading.gains() == FEE_PAID


@dataclass
class OtherMessageSeller(SellerConduct):
    """Puts something else into the mailbox than what it has committed to."""

    kind: Kind

    def sent_message(self, label: Label, kept: memoryview) -> bytes | memoryview:
        if label.kind is not self.kind:
            return kept
        message = bytearray(kept)
        message[len(message) // 2] ^= 1
        return bytes(message)


def test_another_response_than_the_committed_one_is_not_bought(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    trading = trade_on(chain, seller_conduct=OtherMessageSeller(Kind.RESPONSE))
    assert trading.play() is State.EXPIRED
    assert {type(error) for error in trading.refusals} == {WireError}
    assert trading.gains() == FEE_PAID


class OtherCiphertextSeller(SellerConduct):
    """Seals another ciphertext than the one whose root it proved."""

    trading: Trading

    def sent_message(self, label: Label, kept: memoryview) -> bytes | memoryview:
        if label.kind is not Kind.MODEL:
            return kept
        goods, vault = self.trading.seller.goods, self.trading.buyer.vault
        reply_key = EncryptionKey(vault.read(ENCRYPTION_KEY)).public_key
        manifest_hash = goods.manifest.manifest_hash()
        context = Context(label.chain_id, label.market, manifest_hash, label.trade_id, Purpose.MODEL)
        return seal(reply_key, bytes(goods.columns.chunk_count * 1024), context)


def test_another_ciphertext_than_the_proven_one_is_not_accepted(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    conduct = OtherCiphertextSeller()
    trading = conduct.trading = trade_on(chain, seller_conduct=conduct)
    assert trading.play() is State.EXPIRED
    assert "the ciphertext" in skipped(trading, Role.BUYER)[0]
    assert trading.gains() == {Role.SELLER: FEE + PROOF_FEE, Role.BUYER: -FEE - PROOF_FEE}


def test_strangers_can_make_no_move(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    trading = trade_on(chain)
    trade_id = trading.open()
    buyer, seller = (trading.accounts[role] for role in (Role.BUYER, Role.SELLER))
    with pytest.raises(TransactionRefusedError, match="NotSeller"):
        trading.market.respond(buyer, trade_id, bytes(32), bytes(32))
    trading.seller.step(trade_id)
    with pytest.raises(TransactionRefusedError, match="NotBuyer"):
        trading.market.purchase(
            seller, trade_id, bytes(32), bytes(32), bytes(32), price_wei=PRICE, highest_proof_fees=1
        )
    trading.play_until(State.PROVEN)
    with pytest.raises(TransactionRefusedError, match="NotBuyer"):
        trading.market.accept(seller, trade_id, bytes(32))
    trading.play_until(State.REVEALED)
    with pytest.raises(TransactionRefusedError, match="NotBuyer"):
        trading.market.confirm(seller, trade_id, bytes(32))
    assert trading.play() is State.SETTLED
