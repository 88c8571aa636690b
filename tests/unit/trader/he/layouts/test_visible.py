"""What a response shows: read right, counted right, and nothing else."""

import numpy as np
import pytest

from tests.simulators.curious_buyer import centred_integers
from tests.simulators.he_models import plan_for, random_inputs, random_network
from trader.he.evaluation.privacy import Protection
from trader.he.layouts.visible import Visible, centre, charged_samples, read_values
from trader.he.planning.parameters import plan_parameters
from trader.he.planning.plan import HePlan
from trader.he.ring.encoding import encode
from trader.he.ring.sampling import random_residues
from trader.he.seal import parameters

DEGREE, PRIMES = 1024, parameters(1024, (27, 26, 26, 14)).primes
PERIODS = [1, 2, 4, 64, 512]


def _slots(period, joined, seed=0):
    values = np.random.default_rng(seed).uniform(-1, 1, (1 + joined, period))
    return values, np.tile(values, DEGREE // 2 // period)


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("period", PERIODS)
def test_repeated_values_are_read_back(period, joined):
    values, (real, *imaginary) = _slots(period, joined)
    message = encode(real + 1j * imaginary[0] if joined else real, 2.0**60, DEGREE, PRIMES)
    found = read_values(message, PRIMES, Visible(period, joined)) / 2.0**60
    assert found.shape == (1 + joined, period)
    assert np.abs(found - values).max() < 1e-14


@pytest.mark.parametrize("period", PERIODS)
def test_others_are_averaged_over_their_repeats(period):
    slots = np.random.default_rng(1).uniform(-1, 1, DEGREE // 2)
    message = encode(slots, 2.0**40, DEGREE, PRIMES)
    found = read_values(message, PRIMES, Visible(period, joined=False))[0] / 2.0**40
    assert np.abs(found - slots.reshape(-1, period).mean(axis=0)).max() < 1e-9


@pytest.mark.parametrize("count", [1, 2, 7])
def test_centred_numbers_are_exact_to_double_precision(count):
    """Small ones relative to themselves, whatever the modulus is; and the extremes."""
    primes = parameters(8192, (31, 30, 29, 28, 27, 26, 25, 17)).primes[:count]
    half = int(np.prod([int(prime) for prime in primes], dtype=object)) // 2
    random = np.random.default_rng(2)
    parts = random.uniform(-1, 1, 50) * 2.0 ** -random.uniform(0, 60, 50)
    numbers = [0, 1, -1, half, -half, *(int(half * part) for part in parts)]
    residues = np.array([[number % prime for number in numbers] for prime in primes], dtype=np.uint32)
    assert centred_integers(residues, primes) == numbers
    assert np.allclose(centre(residues, primes), [float(number) for number in numbers], rtol=2.0**-50, atol=0)


@pytest.mark.parametrize(("samples", "charged"), [(1, 1), (2, 2), (3, 4), (142, 256), (256, 256), (4097, 8192)])
def test_sessions_are_charged_as_powers_of_two(samples, charged):
    assert charged_samples(samples) == charged


@pytest.fixture(scope="module")
def layouts():
    """Plans of all three layouts, joined and not."""
    found = {}
    for widths in [(30, 16, 3), (200, 20, 5), (200, 20, 20), (100, 1), (40, 30, 70)]:
        model = random_network(*widths)
        found[widths] = plan_for(model, random_inputs(model, 64))
    assert any(plan.joined for plan in found.values())
    assert any(not plan.joined for plan in found.values())
    assert all(plan.few_samples for widths, plan in found.items() if widths[0] > 50)
    assert found[200, 20, 5].many_samples is not None
    return found.values()


def test_a_response_shows_no_more_than_is_charged(layouts):
    random = np.random.default_rng(3)
    for whole in layouts:
        counts = {1, 2, 3, 4095, 4096, 4097, 8192, 8193, *random.integers(1, 20000, 40).tolist()}
        for layout in whole.layouts:
            for samples in counts:
                if layout.packed and samples > layout.samples_per_batch:
                    continue
                shown = sum(visible.values for batch in layout.visible(samples) for visible in batch)
                assert samples * layout.outputs <= shown <= charged_samples(samples) * layout.values_per_answer
                # In a single batch without a second half: exactly as many per output.
                if not layout.packed and samples <= layout.slots:
                    assert shown == charged_samples(samples) * layout.outputs


def test_a_response_has_as_many_ciphertexts_as_the_plan_says(layouts):
    for layout in (layout for whole in layouts for layout in whole.layouts):
        for samples in (1, 5, 300):
            parts = layout.response_layout(samples, (0,) * layout.primes)
            assert [part.shape[0] for part in parts] == [len(batch) for batch in layout.visible(samples)]


def _uniformity(values, bins=64):
    """χ² of values in [0, 1), as a deviation from its mean in standard deviations."""
    found = np.histogram(values, bins, (0, 1))[0]
    expected = len(values) / bins
    return (((found - expected) ** 2 / expected).sum() - (bins - 1)) / (2 * (bins - 1)) ** 0.5


def test_random_residues_are_uniform():
    """For primes of which words of 32 bits hold no whole number of multiples: 3·2^30 would favour its first quarter."""
    for prime in (3 << 30, 2147352577, 12289):
        assert abs(_uniformity(random_residues(200_000, prime) / prime)) < 8
    biased = np.random.default_rng(4).integers(0, 1 << 32, 200_000) % (3 << 30) / (3 << 30)
    assert _uniformity(biased) > 100


def _fractions(residues, primes):
    """Numbers modulo the primes' product, as part of it: residues of one prime look uniform sooner than these do."""
    return centre(residues, primes) / float(np.prod([float(prime) for prime in primes])) % 1.0


@pytest.fixture(scope="module")
def plan() -> HePlan:
    model = random_network(30, 2)
    return plan_for(model, random_inputs(model, 64)).batched


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("period", [1, 2, 8, 256, 1024, 2048])
def test_noise_hides_all_but_what_is_visible(plan, period, joined):
    """Noise alone, which is what an attacker sees of any phase: uniform, or in equal pairs, or within the flooding."""
    visible, degree = Visible(period, joined), plan.ring_degree
    protection = Protection(plan, plan_parameters(plan), None)
    primes, gap = protection._primes, visible.gap(degree)
    draws = np.stack([protection._noise(visible) for _ in range(1 + 40_000 // degree)])
    hidden = np.ones(degree, dtype=bool)
    hidden[::gap] = False
    if hidden.any():
        assert abs(_uniformity(_fractions(np.concatenate(draws[:, :, hidden], axis=1), primes))) < 8
    limit = 2.0 ** plan.visible_flooding_bits(visible)
    shown = draws[:, :, ::gap]
    if joined:
        assert np.abs(centre(np.concatenate(shown, axis=1), primes)).max() <= limit
        return
    assert np.abs(centre(shown[:, :, 0].T, primes)).max() <= limit
    middle = np.concatenate([protection._noise(visible)[:, degree // 2 : degree // 2 + 1] for _ in range(400)], axis=1)
    assert abs(_uniformity(_fractions(middle, primes), bins=8)) < 12
    pairs = shown[:, :, 1:period], shown[:, :, :period:-1]
    first, second = (np.concatenate(half, axis=1).astype(np.int64) for half in pairs)
    columns = np.array(primes)[:, np.newaxis]
    assert np.abs(centre((first - second) % columns, primes)).max(initial=0) <= 2 * limit
    if first.size > 2000:
        assert abs(_uniformity(_fractions(first, primes))) < 8
        assert abs(_uniformity(_fractions((first + second) % columns, primes))) < 8
