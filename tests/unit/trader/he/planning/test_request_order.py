"""The order of a request's parts: every part and every seed has one place, and none is left over."""

import pytest

from trader.he.planning.request_order import PUBLIC_KEY_SEED, Part, RequestOrder

DEGREE, PRIMES, SPECIAL, DIGITS = 1024, (11, 13, 17), (19, 23), 2


@pytest.mark.parametrize(("keys", "batches", "ciphertexts"), [(0, 1, 1), (1, 2, 3), (4, 1, 5)])
def test_every_part_has_one_place(keys, batches, ciphertexts):
    order = RequestOrder(DEGREE, len(PRIMES), DIGITS, keys, batches, ciphertexts)
    layout = order.layout((*PRIMES, *SPECIAL))
    places = [*Part, *map(order.key, range(keys))]
    for batch in range(batches):
        places += range(len(layout))[order.batch(batch)]
    assert places == list(range(len(layout)))


@pytest.mark.parametrize(("keys", "batches", "ciphertexts"), [(0, 1, 1), (1, 2, 3), (4, 1, 5)])
def test_every_seed_has_one_place(keys, batches, ciphertexts):
    order = RequestOrder(DEGREE, len(PRIMES), DIGITS, keys, batches, ciphertexts)
    places = [PUBLIC_KEY_SEED]
    places += [order.key_seed(index, digit) for index in range(keys) for digit in range(DIGITS)]
    places += [order.ciphertext_seed(batch, index) for batch in range(batches) for index in range(ciphertexts)]
    assert places == list(range(order.seeds))
    assert order.layout((*PRIMES, *SPECIAL))[Part.SEEDS].shape[0] == order.seeds


def test_parts_have_the_shapes_of_what_they_hold():
    order = RequestOrder(DEGREE, len(PRIMES), DIGITS, keys=2, batches=2, ciphertexts=7)
    layout = order.layout((*PRIMES, *SPECIAL))
    assert layout[Part.PUBLIC_KEY].shape == (5, DEGREE)
    assert layout[order.key(1)].shape == (2, 5, DEGREE)
    for batch in range(2):
        parts = layout[order.batch(batch)]
        assert [(part.shape, part.primes) for part in parts] == [((7, DEGREE), (prime,)) for prime in PRIMES]
