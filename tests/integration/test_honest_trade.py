"""The whole honest trade, every part real, on both kinds of chain."""

import logging
from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest

from ledger import EntryKind, read_trade, verify_log
from tests.simulators.planted import files_of, find_secrets, shown_objects
from tests.simulators.trading import FEE, PRICE, Trading
from trader.chain import Chain
from trader.model import evaluate_exact, quantise_inputs
from trader.parties.filenames import DELIVERY_KEY, ENCRYPTION_KEY, INPUTS, OUTPUTS, SESSION
from trader.trade import Role, State

TRANSACTIONS = {"registerVka", "list", "openSession", "respond", "purchase", "prove", "reveal", "confirm"}
STORY = [
    EntryKind.SESSION_OPENED,
    EntryKind.REQUEST_SENT,
    EntryKind.REQUEST_RECEIVED,
    EntryKind.ANSWERED,
    EntryKind.RESPONSE_SENT,
    EntryKind.RESPONSE_RECEIVED,
    EntryKind.OUTPUTS_COMMITTED,
    EntryKind.PURCHASED,
    EntryKind.AUDIT_INPUTS_SENT,
    EntryKind.AUDIT_INPUTS_RECEIVED,
    EntryKind.PROOF_MADE,
    EntryKind.PROVEN,
    EntryKind.DELIVERY_OFFERED,
    EntryKind.DELIVERY_DOWNLOADED,
    EntryKind.ACCEPTANCE_SENT,
    EntryKind.ACCEPTANCE_RECEIVED,
    EntryKind.REVEALED,
    EntryKind.KEY_RECEIVED,
    EntryKind.DELIVERY_VERIFIED,
    EntryKind.CONFIRMED,
    EntryKind.SETTLED,
]


def check_honest_ending(trading: Trading) -> None:
    assert trading.refusals == []
    assert trading.gains() == {Role.SELLER: PRICE + FEE, Role.BUYER: -PRICE - FEE}
    assert trading.chain.balance(trading.market.deployment.market) == 0
    assert {step.name for step in trading.steps if step.transaction_hash} == {*TRANSACTIONS, "withdraw"}
    assert all(step.gas_used > 0 for step in trading.steps if step.transaction_hash)
    story = read_trade(trading.log, trading.buyer.find_trade())
    assert [entry.record.kind for entry in story.entries] == STORY
    verify_log(trading.log.path)


def secrets_of(trading: Trading, trade_id: int) -> dict[str, bytes]:
    """What neither the other side nor a reader of disks, logs and messages may see."""
    buyer, seller = trading.buyer.vault, trading.seller.vault(trade_id)
    reply_key, session = buyer.read(ENCRYPTION_KEY), buyer.read(SESSION)
    (inputs,), (outputs,) = buyer.read_arrays(INPUTS), buyer.read_arrays(OUTPUTS)
    return {
        **{f"{role.value}'s private key": bytes(account.key) for role, account in trading.accounts.items()},
        **{f"{role.value}'s vault key": key.secret for role, key in trading.vault_keys.items()},
        "delivery key": seller.read(DELIVERY_KEY),
        "reply key's seed": reply_key[:64],
        "reply key's scalar": reply_key[64:],
        "session's secret": session[len(session) // 2 :][:64],
        "a sample": inputs[0].tobytes(),
        "outputs": outputs[:8].tobytes(),
        "salt of the committed outputs": trading.buyer.purchasing.kept_purchase().salt,
        "parameters": trading.package.canonical.tensors[0].tobytes()[:256],
    }


@pytest.mark.slow
def test_honest_trade_on_the_embedded_chain(
    chain: Chain, trade_on: Callable[..., Trading], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Before the key is revealed and at the end, no secret stands anywhere: searched for by `planted`."""
    trading = trade_on(chain)
    with caplog.at_level(logging.DEBUG):
        trade_id = trading.play_until(State.PROVEN)
        assert trading.buyer.step()  # signs
        secrets = secrets_of(trading, trade_id)
        assert find_secrets(secrets, seen_of(trading, capfd, caplog)) == []
        assert trading.play() is State.SETTLED
        del secrets["delivery key"]  # which the chain shows everybody now
        assert find_secrets(secrets, seen_of(trading, capfd, caplog)) == []
    check_honest_ending(trading)


def seen_of(trading: Trading, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> dict[str, bytes]:
    printed = capfd.readouterr()
    told = {"printed": printed.out + printed.err, "logged": caplog.text, "steps": repr(trading.steps)}
    return {name: text.encode() for name, text in told.items()} | files_of(trading.folder) | shown_objects()


@pytest.mark.slow
@pytest.mark.anvil
def test_honest_trade_on_anvil(anvil_url: str, trade_on: Callable[..., Trading]) -> None:
    trading = trade_on(Chain.connect(anvil_url))
    assert trading.play() is State.SETTLED
    check_honest_ending(trading)


@pytest.mark.slow
def test_what_was_tested_is_what_is_delivered(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    trading = trade_on(chain)
    trading.play()
    seen = trading.buyer.read_test()
    model = trading.package.canonical
    inputs = quantise_inputs(trading.model.test_samples, model.graph, model.scale_bits)
    exact = evaluate_exact(model, inputs).astype(np.float64)
    exact *= 2.0 ** -trading.buyer.verify_listing().circuit.output_scale_bits
    assert np.abs(seen.outputs - exact).max() < 0.01

    assert trading.buyer.delivered_onnx() == trading.package.plain_model
    runtime = onnxruntime.InferenceSession(trading.buyer.delivered_onnx())
    (delivered,) = runtime.run(["probabilities"], {"features": trading.model.test_samples.astype(np.float32)})
    assert (delivered.argmax(axis=1) == seen.outputs.argmax(axis=1)).all()
    assert (trading.model.test_labels == seen.outputs.argmax(axis=1)).mean() == trading.model.accuracy
