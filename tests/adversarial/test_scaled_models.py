"""A seller shows one model and sells another, with outputs so small that the tolerance hides the difference.

Each attack first succeeds against a buyer without the checks of `trader.verify.answers`, then fails against ours.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ledger import EntryKind, read_trade
from tests.simulators.listing_verifier import Verifier
from tests.simulators.trading import AUDIT_SAMPLES, FEE, POLICY, PRICE, PROOF_FEE, Trading
from trader.chain.market import Market
from trader.demo.cheats import ScaledModelSeller
from trader.errors import AnswerError, PolicyError
from trader.model import evaluate_exact, output_scale_bits
from trader.parties.filenames import PURCHASE
from trader.trade import Role, State
from trader.verify import BuyerPolicy, ChangedAnswersError, OutputRangeError, UncertainTestError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from trader.chain import Chain


class WithoutTestCheck(BuyerPolicy):
    """Pays whatever the test leaves open."""

    def check_test(self, assessment: object) -> None:
        pass


class Trusting(WithoutTestCheck):
    """Neither looks at what the tolerance leaves open nor at what was proven."""

    def check_proven(self, comparison: object) -> None:
        pass


def accuracy(trading: Trading, outputs: np.ndarray) -> float:
    return float((outputs.argmax(axis=1) == trading.model.test_labels).mean())


@pytest.mark.slow
def test_a_buyer_without_the_checks_buys_the_opposite_of_what_it_tested(chain: Chain, trade_on: Callable) -> None:
    trading = trade_on(
        chain, seller_conduct=ScaledModelSeller(), policy=Trusting(maximum_price_wei=PRICE, development=True)
    )
    assert trading.play() is State.SETTLED
    buyer = trading.buyer
    assert trading.gains() == {Role.SELLER: PRICE + FEE, Role.BUYER: -PRICE - FEE}
    assert accuracy(trading, buyer.read_test().outputs) > 0.9
    assert accuracy(trading, evaluate_exact(buyer.delivered_model(), buyer.testing.read_inputs())) < 0.1


@pytest.mark.slow
def test_the_test_check_refuses_before_anything_is_paid(chain: Chain, trade_on: Callable) -> None:
    trading = trade_on(chain, seller_conduct=ScaledModelSeller())
    trade_id = trading.play_until(State.ANSWERED)
    with pytest.raises(UncertainTestError, match=r"^142 of 142 test samples .* Ask the seller for a listing whose tol"):
        trading.buyer.step()
    assert not trading.buyer.vault.has(PURCHASE)
    assert trading.play() is State.EXPIRED
    assert trading.gains() == {Role.SELLER: FEE, Role.BUYER: -FEE}
    told = read_trade(trading.log, trade_id).entries
    (refusal,) = (entry for entry in told if entry.record.kind is EntryKind.TEST_REFUSED)
    # What was decrypted stays out of the log, which may be shown.
    assert refusal.details["reason"] == UncertainTestError.finding
    assert "142 of 142" in trading.buyer.read_refusal()
    assert EntryKind.PURCHASED not in {entry.record.kind for entry in told}


@pytest.mark.slow
@pytest.mark.parametrize(("divisor", "sign", "stated_error"), [(8, -1, 10.0), (512, 1, 0.08), (4096, -1, 0.01)])
def test_whatever_the_divisor_and_whichever_sign_is_shown(
    divisor: int, sign: int, stated_error: float, chain: Chain, trade_on: Callable
) -> None:
    class OtherSeller(ScaledModelSeller):
        DIVISOR, STATED_ERROR = sign * divisor, stated_error

    trading = trade_on(chain, seller_conduct=OtherSeller())
    trading.play_until(State.ANSWERED)
    with pytest.raises(UncertainTestError):
        trading.buyer.purchase()
    assert not trading.buyer.vault.has(PURCHASE)


@pytest.mark.slow
def test_the_proof_check_refuses_what_the_test_check_let_pass(chain: Chain, trade_on: Callable) -> None:
    trading = trade_on(
        chain, seller_conduct=ScaledModelSeller(), policy=WithoutTestCheck(maximum_price_wei=PRICE, development=True)
    )
    assert trading.play() is State.EXPIRED
    assert trading.gains() == {Role.SELLER: FEE + PROOF_FEE, Role.BUYER: -FEE - PROOF_FEE}
    assert any(isinstance(refusal, ChangedAnswersError) for refusal in trading.refusals)
    kinds = [entry.record.kind for entry in read_trade(trading.log, trading.buyer.find_trade()).entries]
    assert EntryKind.PROVEN in kinds
    assert kinds.count(EntryKind.PROOF_REFUSED) == 1
    assert EntryKind.ACCEPTED not in kinds
    assert not trading.buyer.has_model()
    # Which samples are audited is chance, and one or two may lie closer to the other class than the test's noise.
    told = re.search(
        rf"gives (\d) of {AUDIT_SAMPLES} audit .*\(\d were right as seen, \d are right as proven\)",
        trading.buyer.read_refusal(),
    )
    assert int(told.group(1)) >= AUDIT_SAMPLES - 2


def test_a_tolerance_beyond_the_stated_error_is_refused(package: object, package_srs: object) -> None:
    """The limit used to be 0.05, whatever the plan said of its error."""

    class OldPolicy(BuyerPolicy):
        def check_audit(self, *_: object) -> None:
            pass

    verify = Verifier(package, package_srs)
    scale = 2.0 ** output_scale_bits(package.canonical.graph, package.canonical.scale_bits)
    needed = verify.terms.tolerance
    assert needed < 0.001 * scale

    def with_tolerance(tolerance: int, policy: BuyerPolicy = POLICY) -> None:
        verify.listed(policy=policy, terms={"tolerance": tolerance}, circuit__tolerance=hex(tolerance))

    with_tolerance(needed)
    with_tolerance(int(0.05 * scale), OldPolicy(maximum_price_wei=PRICE, development=True))
    for tolerance in (needed + 1, int(0.05 * scale), 2**200):
        with pytest.raises(PolicyError, match="tolerance in units of the instances"):
            with_tolerance(tolerance)


@pytest.mark.slow
def test_proven_outputs_are_read_from_the_call_that_proved_them(
    chain: Chain, trade_on: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    trading = trade_on(chain)
    trade_id = trading.play_until(State.PROVEN)
    buyer, market = trading.buyer, trading.market
    purchase = buyer.purchasing.kept_purchase()
    audited = buyer.purchasing.audited_samples()
    proven = market.proven_outputs(trade_id, audited.outputs.size)
    assert list(proven) == evaluate_exact(trading.package.canonical, audited.inputs).ravel().tolist()
    compared = buyer.compare_proven()
    assert (compared.samples, compared.changed) == (AUDIT_SAMPLES, 0)
    right = buyer.read_test().predictions[purchase.rows] == trading.model.test_labels[purchase.rows]
    assert compared.right_seen == compared.right_proven == right.sum()

    log = market.trade_logs(trade_id)[-1]
    call = chain.calldata(market.contract, log.transaction_hash)
    other_trade = call[:4] + (trade_id + 1).to_bytes(32, "big") + call[36:]
    for unreadable in (None, b"", call[:3], call[:400], other_trade, bytes(4) + call[4:]):
        monkeypatch.setattr(chain, "calldata", lambda *_, given=unreadable: given)
        with pytest.raises(AnswerError, match="no plain call of `prove`"):
            market.proven_outputs(trade_id, 16)
        with pytest.raises(AnswerError):
            buyer.accept()
    assert market.trade(trade_id).position.state is State.PROVEN
    monkeypatch.undo()
    elsewhere = Market(chain, replace(market.deployment, market=market.deployment.verifier))
    assert chain.calldata(elsewhere.contract, log.transaction_hash) is None
    buyer.accept()


@pytest.mark.slow
def test_outputs_beyond_the_plan_are_never_committed_to(chain: Chain, trade_on: Callable) -> None:
    trading = trade_on(chain)
    trade_id = trading.play_until(State.ANSWERED)
    buyer = trading.buyer
    outputs = buyer.read_test().outputs.copy()
    outputs[3, 1] = 2.0**40
    buyer.vault.write_arrays("outputs.npz", outputs)
    for move in (buyer.purchase, buyer.step):
        with pytest.raises(OutputRangeError, match="Nothing was committed to"):
            move()
    assert not buyer.vault.has(PURCHASE)
    assert trading.market.trade(trade_id).position.state is State.ANSWERED
    assert EntryKind.OUTPUTS_COMMITTED not in {e.record.kind for e in read_trade(trading.log, trade_id).entries}
