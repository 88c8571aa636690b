"""A seller that writes the buyer's secret key into its answers, and what it may be shown of them.

The second component of a response is the seller's choice. It adds D(X) = M·Σ_d 3^d·X^(o + d) to that of each output of
an honest answer, so that each visible number holds, beside the output, the digits in base 3 of m coefficients of the
key. The change is small beside the outputs: classes stay, ranges and margins hold. Who sees the outputs that the buyer
has decrypted, be they rounded as commitments are, reads the digits, since it knows the honest outputs.
"""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from web3 import Web3

from contracts import outputs_digest
from contracts.published import read_artifacts
from ledger import read_trade
from tests.simulators.he_models import exact_outputs, plan_for, random_inputs, random_network
from tests.simulators.trading import Trading
from trader.chain import Chain
from trader.he import ClientSession, HePlan, commit_outputs, evaluate
from trader.he.layouts.visible import _slots
from trader.he.planning.parameters import plan_parameters
from trader.he.ring import kernels
from trader.he.ring.transform import transform
from trader.he.wire.container import ContainerWriter, read_container
from trader.model import CanonicalModel, output_scale_bits
from trader.model.postprocessing import PostProcessing, PostProcessingKind
from trader.tolerance import needed_tolerance
from trader.trade import Purchased, State
from trader.verify import BuyerPolicy, assess_test, audit_distance
from trader.verify.answers import check_range

SAMPLES, OUTPUTS, GAIN = 8, 64, 400.0
DIGITS, UNIT_BITS, COMMIT_BITS = 3, 9, 12
"""Coefficients of the key in a visible number; its unit in 2^-bits of an output; the grid of committed outputs."""
Reading = dict[int, int]
"""What is claimed of the key: ternary digits by the coefficient's index."""


@dataclass(frozen=True)
class Attack:
    """One test that was answered by a crafted response.

    Attributes:
        plan: for its samples.
        honest: outputs that the seller computes itself, since it has the audited samples; [n, O].
        decrypted: what the buyer has.
        secret: the buyer's key; for comparison alone.
    """

    full_plan: HePlan
    plan: HePlan
    model: CanonicalModel
    honest: NDArray[np.float64]
    decrypted: NDArray[np.float64]
    secret: NDArray[np.int64]

    @property
    def committed(self) -> NDArray[np.int64]:
        """Outputs as a purchase commits to them."""
        return commit_outputs(self.decrypted, COMMIT_BITS)

    def read_key(self, outputs: NDArray[np.float64]) -> Reading:
        """What the seller reads from outputs [n, O] of the buyer's, in real units."""
        shown, found = self.plan.visible(SAMPLES)[0], {}
        differences = outputs - self.honest
        for number, visible in enumerate(shown):
            assert visible.joined, "the number of outputs is even"
            count, gap = 2 * visible.period, visible.gap(self.plan.ring_degree)
            # Joined outputs are real and imaginary parts of slots, which are linear in the visible coefficients.
            units = np.stack([_slots(unit) for unit in np.eye(count)], axis=1)
            signs = 1 - 2 * (np.arange(visible.period) % 2)
            slots = differences[:, 2 * number] + 1j * signs * differences[:, 2 * number + 1]
            matrix, right = np.vstack([units.real, units.imag]), np.concatenate([slots.real, slots.imag])
            for place, value in enumerate(np.linalg.solve(matrix, right)):
                held = int(np.rint(value * 2**UNIT_BITS))
                for digit in range(DIGITS):
                    trit = (held + 1) % 3 - 1
                    held = (held - trit) // 3
                    # The coefficient at p of X^k·s is that at p - k of s, negated beyond X^N.
                    index = gap * place - (number * DIGITS + digit)
                    found[index % self.plan.ring_degree] = trit if index >= 0 else -trit
        return found

    def correct(self, reading: Reading) -> int:
        """How many of the claims are true."""
        return sum(int(self.secret[index]) == trit for index, trit in reading.items())


def craft(plan: HePlan, response: memoryview) -> memoryview:
    """The honest response with the key's digits in it."""
    parameters = plan_parameters(plan)
    primes = parameters.primes[: plan.response_primes]
    layout = plan.response_layout(SAMPLES, parameters.primes)
    container = read_container(response, "response", plan.digest, SAMPLES, layout)
    writer = ContainerWriter("response", plan.digest, SAMPLES, layout)
    unit = round(plan.output_scale * 2.0**-UNIT_BITS)
    for number, ciphertext in enumerate(container.parts[0]):
        limbs = np.zeros((1, 2, plan.ring_degree), dtype=np.int64)
        for digit in range(DIGITS):
            high, low = divmod(unit * 3**digit, 1 << 40)
            limbs[0, :, number * DIGITS + digit] = low, high
        added = transform(limbs, (0, 40), primes)[0]
        target = writer.parts[0][number]
        target[:] = ciphertext
        for index, prime in enumerate(primes):
            kernels.add(added[index], prime, target[1, index])
    return writer.finish(container.reference)


@pytest.fixture(scope="module")
def attack() -> Attack:
    model = random_network(10, OUTPUTS, gain=GAIN)
    inputs = random_inputs(model, SAMPLES)
    full_plan = plan_for(model, random_inputs(model, 500, seed=5)).batched
    plan = full_plan.for_samples(SAMPLES)
    buyer = ClientSession(full_plan)
    response = evaluate(full_plan, model, buyer.encrypt(inputs), SAMPLES)
    decrypted = buyer.decrypt(craft(plan, response))
    secret = buyer._used_keys().secret.coefficients()
    return Attack(full_plan, plan, model, exact_outputs(model, inputs), decrypted, secret)


def test_the_buyers_checks_let_a_crafted_response_pass(attack: Attack) -> None:
    """So it is what is shown afterwards that must not have the key in it."""
    scale_bits = output_scale_bits(attack.model.graph, attack.model.scale_bits)
    check_range(attack.decrypted, attack.plan, scale_bits, 0)
    distance = audit_distance(needed_tolerance(attack.full_plan, scale_bits), scale_bits, scale_bits - COMMIT_BITS)
    BuyerPolicy().check_test(assess_test(attack.decrypted, distance, PostProcessing(kind=PostProcessingKind.SOFTMAX)))
    np.testing.assert_array_equal(attack.decrypted.argmax(1), attack.honest.argmax(1))


def test_outputs_that_are_shown_give_the_key_away(attack: Attack) -> None:
    """The control: outputs as a purchase used to publish them, rounded and dithered, have the key in them."""
    reading = attack.read_key(np.ldexp(attack.committed, -COMMIT_BITS))
    assert len(reading) == SAMPLES * OUTPUTS * DIGITS
    assert attack.correct(reading) >= 0.99 * len(reading)


def test_honest_outputs_say_nothing_of_the_key(attack: Attack) -> None:
    """Else what is read above would not come from the crafted response: a third is right by chance."""
    rounded = np.ldexp(commit_outputs(attack.honest, COMMIT_BITS), -COMMIT_BITS)
    reading = attack.read_key(rounded)
    assert attack.correct(reading) < 0.4 * len(reading)


def find_key(attack: Attack, shown: bytes) -> int:
    """How many coefficients anybody finds who looks for outputs in bytes: any words, at any place and in either order.

    What is found is compared with the key's true coefficients, so that it errs in the attacker's favour.
    """
    best = 0
    count = SAMPLES * OUTPUTS
    for kind in (">i8", "<i8", ">i4", "<i4"):
        width = np.dtype(kind).itemsize
        for start in range(len(shown) - count * width + 1):
            words = np.frombuffer(shown[start : start + count * width], dtype=kind)
            values = np.ldexp(words.astype(np.float64), -COMMIT_BITS).reshape(SAMPLES, OUTPUTS)
            if np.abs(values - attack.honest).max() > np.abs(attack.honest).max():
                continue  # outputs of no model
            best = max(best, attack.correct(attack.read_key(values)))
    return best


def test_the_search_finds_the_key_where_outputs_are_shown(attack: Attack) -> None:
    """That the search finds nothing says something only if it finds what is there."""
    call = bytes(36) + attack.committed.astype(">i8").tobytes() + bytes(32)
    assert find_key(attack, call) >= 0.99 * SAMPLES * OUTPUTS * DIGITS


def test_what_a_purchase_shows_has_nothing_of_the_key(attack: Attack) -> None:
    """A digest, whatever the outputs are, and not the same one twice."""
    market = Web3().eth.contract(abi=read_artifacts().contracts["ModelMarket"].abi)
    outputs = attack.committed.ravel().tolist()
    digests = [outputs_digest(secrets.token_bytes(32), outputs) for _ in range(2)]
    calls = [bytes.fromhex(market.encode_abi("purchase", [1, bytes(32), bytes(32), d, 0, 0, b""])[2:]) for d in digests]
    assert [len(call) for call in calls] == [4 + 8 * 32] * 2
    assert digests[0] != digests[1]
    assert not any(find_key(attack, call) for call in calls)


@pytest.mark.slow
def test_a_real_purchase_and_its_log_show_no_output(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    trading = trade_on(chain)
    trade_id = trading.play_until(State.PURCHASED)
    kept = trading.buyer.purchasing.kept_purchase()
    outputs = kept.outputs.ravel().tolist()
    shown = trading.market.event(trade_id, Purchased).outputs_digest
    assert shown == outputs_digest(kept.salt, outputs)
    assert shown != outputs_digest(bytes(32), outputs)
    records = [entry.record for entry in read_trade(trading.log, trade_id).entries]
    told = " ".join(map(str, records))
    numbers = {int(word) for word in re.findall(r"(?<![\w-])-?\d+(?!\w)", told)}  # not what is part of a digest
    # Gas and sizes are as large as outputs, and one is equal to one by chance in some thousand runs.
    counted = {record.chain.gas_used for record in records if record.chain} | {r.details.get("bytes") for r in records}
    assert not (numbers - counted) & {output for output in outputs if abs(output) > 999}
