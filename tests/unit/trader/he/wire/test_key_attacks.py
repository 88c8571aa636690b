"""Attacks with a public key that is none: p0 is what the buyer likes, and shows it what the seller adds to responses.

An encryption of zero under (p0, p1) is (u·p0 + e0, u·p1 + e1)/p, rounded. With p0 = p·w the first component is u·w, so
that a w of the buyer's choice gives it u; then the second one is known but for a rounding here and there, and what it
hid is a system of linear equations. Each attack is run against a seller who doesn't ask for a proof of the key, where
it must succeed (so that the test can fail), and against `evaluate` as it is, where it must not.
"""

import math
import os

import numpy as np
import pytest

from tests.simulators.curious_buyer import CuriousBuyer, centred_integers
from tests.simulators.he_models import NONCE, plan_for, random_inputs, random_network
from trader.he import WireError
from trader.he.evaluation.privacy import Protection
from trader.he.layouts.visible import Visible
from trader.he.ring.transform import prime_tables, transform
from trader.he.seal import Seeded
from trader.he.wire.key_proof import Statement, shift

SESSIONS = 12
"""Tries of a buyer whose attack on a network fails if e1 shows anywhere, about one time in six."""


class KeyAttacker(CuriousBuyer):
    """Chooses w so that the few coefficients that a response shows tell all of u.

    Each shown coefficient has room for several of u's, as digits: w = Σ_d w_d·X^(-e_d) brings the coefficients i + e_d
    to place i. And w is 0 modulo all primes but one, so that modulo the others u·w isn't there.

    Attributes:
        sees: what a ciphertext shows.
        base: of the digits.
        exponents: e_d.
    """

    def __init__(self, plan, samples, sees=None):
        super().__init__(plan, samples)
        self.sees = sees or self.visible[0]
        degree, gap = self.plan.ring_degree, self.sees.gap(self.plan.ring_degree)
        # Where nothing is joined, differences are shown: of u's coefficients, and with X^(N/2) their sums.
        self.base = 3 if self.sees.joined else 5
        self.exponents = [*range(gap)] if self.sees.joined else [*range(gap), *range(degree // 2, degree // 2 + gap)]
        self.single = self.primes[-1]
        self.modulus = math.prod(self.primes)
        self.smallest = self.single // (2 * self.base ** len(self.exponents))

    @property
    def factors(self):
        """The integer coefficients of w, by exponent e_d."""
        rest = self.modulus // self.single
        return [rest * self.smallest * self.base**place for place in range(len(self.exponents))]

    def chosen(self, primes, times=1):
        """Times·w modulo primes, NTT form [primes, N]."""
        degree = self.plan.ring_degree
        residues = np.zeros((len(primes), degree), dtype=np.uint32)
        for row, prime in zip(residues, primes, strict=True):
            for exponent, factor in zip(self.exponents, self.factors, strict=True):
                row[-exponent] = times * factor * (-1 if exponent else 1) % prime  # X^-e = -X^(N - e)
            prime_tables(degree, prime).forward(row)
        return residues

    def _finish(self, writer, request):
        self.public = self.key.public_key()
        ring = self.parameters
        hostile = Seeded(self.chosen(ring.all_primes, ring.special_prime), self.public.seed)
        request.write_public_key(hostile)
        witness = -self.key.coefficients(), self.key.error(self.public)  # of a key that is one
        request.write_proof(request.statement(NONCE, b"").prove(*witness))
        return writer.finish(NONCE)

    def _encrypt(self, message):
        zeros = np.zeros((len(self.parameters.primes), self.plan.ring_degree), dtype=np.uint32)
        return Seeded(zeros, os.urandom(64))

    def attack(self, model):
        """Components of the response's first ciphertext, as coefficients [components, primes, N]."""
        ciphertext = self.ask(model, [np.zeros(1)] * model.graph.features)[0].copy()
        for component in ciphertext:
            for row, prime in zip(component, self.primes, strict=True):
                prime_tables(self.plan.ring_degree, prime).inverse(row)
        return ciphertext.astype(np.int64)

    def read_randomness(self, first):
        """What is taken for u, [N], from the first component [primes, N]: 2·u·w, an output's constant, and flooding."""
        gap, period = self.sees.gap(self.plan.ring_degree), self.sees.period
        shown = first[:, ::gap]
        if not self.sees.joined:
            columns = np.array(self.primes)[:, np.newaxis]
            shown, mirrored = shown[:, :period].copy(), shown[:, :period:-1]
            shown[:, 1:] = (shown[:, 1:] - mirrored) % columns
        unit = 2 * self.factors[0]
        left = np.array([(2 * value + unit) // (2 * unit) for value in centred_integers(shown, self.primes)])
        digits = []
        for _ in self.exponents:
            digits.append((left + self.base // 2) % self.base - self.base // 2)
            left = (left - digits[-1]) // self.base
        found = np.empty((2 * period, gap), dtype=np.int64)
        for place in range(gap):
            if self.sees.joined:
                found[:, place] = digits[place]
                continue
            differences, sums = digits[place], digits[gap + place]
            found[0, place], found[period, place] = differences[0], sums[0]
            found[period - 1 : 0 : -1, place] = (sums[1:] + differences[:0:-1]) // 2
            found[period + 1 :, place] = (sums[1:] - differences[:0:-1]) // 2
        return found.ravel()

    def second_of_zero(self, randomness):
        """Round(u·p1/p), coefficients [primes, N]: the second component of an encryption of zero, without its e1."""
        ring = self.parameters
        product = self._product(self.public.expand(ring.all_primes)[1], randomness, ring.all_primes)
        for row, prime in zip(product, ring.all_primes, strict=True):
            prime_tables(ring.degree, prime).inverse(row)
        special = ring.special_prime
        last = _centred(product[-1], special)
        return np.stack(
            [
                (row.astype(np.int64) - last) % prime * pow(special, -1, prime) % prime
                for row, prime in zip(product, self.primes, strict=False)
            ]
        )

    def _product(self, form, polynomial, primes):
        other = transform(polynomial[np.newaxis, np.newaxis], (0,), primes)[0].astype(np.uint64)
        return (form.astype(np.uint64) * other % np.array(primes, dtype=np.uint64)[:, None]).astype(np.uint32)

    def known_halves(self, index):
        """The request's second components modulo one prime, coefficients [F, N]."""
        return self._coefficients(self.inputs.expand()[:, 1, index], index)

    def known_products(self, index):
        """Products a_i·a_j, i <= j, of these, [F·(F + 1)/2, N]."""
        halves = self.inputs.expand()[:, 1, index].astype(np.uint64)
        pairs = [(i, j) for i in range(len(halves)) for j in range(i, len(halves))]
        products = np.stack([halves[i] * halves[j] % np.uint64(self.primes[index]) for i, j in pairs])
        return self._coefficients(products.astype(np.uint32), index)

    def _coefficients(self, forms, index):
        for row in forms:
            prime_tables(self.plan.ring_degree, self.primes[index]).inverse(row)
        return forms.astype(np.int64)

    def solve(self, known, values, index):
        """Integers g and g' with Σ g·known + X^(N/2)·Σ g'·known = values but in a few places, modulo a prime; or None.

        Args:
            known: [unknowns, N].
            values: [N].
            index: of the prime.
        """
        prime, degree = self.primes[index], self.plan.ring_degree
        if self.visible[0].joined:
            known = np.concatenate([known, np.stack([shift(row, degree // 2) for row in known]) % prime])
        for _ in range(3):  # e1 may show at a place that is used
            places = np.random.default_rng().permutation(degree)
            used, checked = places[: len(known)], places[-200:]
            found = _solve(known[:, used].T, values[used], prime)
            total = sum((row * value % prime for row, value in zip(known[:, checked], found, strict=True)), start=0)
            if np.count_nonzero((total - values[checked]) % prime) < 10:
                return _centred(found, prime)
        return None


def _centred(values, prime):
    values = values.astype(np.int64) % prime
    return np.where(values > prime // 2, values - prime, values)


def _solve(matrix, values, prime):
    """x [n] with matrix·x = values modulo a prime below 2^31, by elimination; the matrix is regular."""
    rows = np.concatenate([matrix, values[:, np.newaxis]], axis=1).astype(np.int64) % prime
    for column in range(len(rows)):
        pivot = column + int(np.flatnonzero(rows[column:, column])[0])
        rows[[column, pivot]] = rows[[pivot, column]]
        rows[column, column:] = rows[column, column:] * pow(int(rows[column, column]), -1, prime) % prime
        factors = rows[:, column].copy()
        factors[column] = 0
        rows[:, column:] -= factors[:, np.newaxis] * rows[column, column:] % prime
        rows[:, column:] %= prime
    return rows[:, -1]


@pytest.fixture(params=[False, True], ids=["unproven", "proven"])
def proven(request, monkeypatch):
    if not request.param:
        monkeypatch.setattr(Statement, "verify", lambda *_: None)
    return request.param


def _weights_of_linear_model(buyer, model):
    """All weights [F, O] from one session, or what is taken for them; None if the equations contradict each other."""
    first, second = buyer.attack(model)
    hidden = buyer.second_of_zero(buyer.read_randomness(first))[0]
    found = buyer.solve(buyer.known_halves(0), second[0] - 2 * hidden, 0)
    return None if found is None else found.reshape(model.graph.outputs, -1).T


@pytest.mark.parametrize(("outputs", "fraction"), [(1, 1), (1, 2), (2, 1), (2, 4)])
def test_public_key_full_batch_of_a_linear_model(proven, outputs, fraction):
    """A full batch shows N coefficients, or N/2 differences; a part of it has room for as much, in digits."""
    model = random_network(30, outputs)
    plan = plan_for(model, random_inputs(model, 64)).batched
    buyer = KeyAttacker(plan, plan.slots // fraction)
    assert buyer.sees == Visible(plan.slots // fraction, joined=outputs == 2)
    if proven:
        with pytest.raises(WireError, match="isn't proven for this request"):
            _weights_of_linear_model(buyer, model)
    else:
        assert (_weights_of_linear_model(buyer, model) == model.weights(0)).all()


@pytest.mark.parametrize("seller", ["unprotected", "hiding", "proven"])
@pytest.mark.parametrize("outputs", [1, 2])
def test_public_key_one_sample(seller, outputs, monkeypatch):
    """A single paid sample gave all weights away too, as long as responses showed all coefficients.

    Where they show what was paid for, its two or three numbers have no room for u, whatever the key.
    """
    model = random_network(30, outputs)
    plan = plan_for(model, random_inputs(model, 64)).batched
    if seller != "proven":
        monkeypatch.setattr(Statement, "verify", lambda *_: None)
    if seller == "unprotected":
        monkeypatch.setattr(
            Protection, "_hiding", lambda self, _: np.zeros((len(self._primes), plan.ring_degree), dtype=np.uint32)
        )
    buyer = KeyAttacker(plan, 1, sees=Visible(plan.slots, joined=True))
    if seller == "proven":
        with pytest.raises(WireError, match="isn't proven for this request"):
            _weights_of_linear_model(buyer, model)
        return
    found = _weights_of_linear_model(buyer, model)
    assert (found is not None and (found == model.weights(0)).all()) == (seller == "unprotected")


def _forms_of_network(buyer, model):
    """All quadratic forms [O, F·(F + 1)/2] modulo the first prime, from one session; None if e1 showed somewhere.

    The response is (2·u·w + …, 2·(u·p1)/p + 4·v·w + Σ G·a, 4·(v·p1)/p + Σ g·a·a): u is read off the first component; G
    follows modulo the primes where w is 0, then v modulo the last one, and g.
    """
    first, second, third = buyer.attack(model)
    columns = np.array(buyer.primes)[:, np.newaxis]
    rest = (second - 2 * buyer.second_of_zero(buyer.read_randomness(first))) % columns
    others = range(len(buyer.primes) - 1)
    solved = [buyer.solve(buyer.known_halves(index), rest[index], index) for index in others]
    if any(found is None for found in solved):
        return None
    linear = centred_integers(np.stack(solved), buyer.primes[:-1])
    randomness = _second_randomness(buyer, rest[-1], linear)
    if np.abs(randomness).max() > 1:
        return None
    hidden = buyer.second_of_zero(randomness)[0]
    found = buyer.solve(buyer.known_products(0), third[0] - 4 * hidden, 0)
    return None if found is None else found.reshape(model.graph.outputs, -1)


def _second_randomness(buyer, rest, linear):
    """V [N] from 4·v·w + Σ G·a modulo the last prime, [N]."""
    prime, degree = buyer.single, buyer.plan.ring_degree
    halves = buyer.known_halves(len(buyer.primes) - 1)
    if buyer.visible[0].joined:
        halves = np.concatenate([halves, np.stack([shift(row, degree // 2) for row in halves])])
    for row, value in zip(halves, linear, strict=True):
        rest = (rest - row * (value % prime)) % prime
    form = rest.astype(np.uint32)
    prime_tables(degree, prime).forward(form)
    inverses = np.array([pow(4 * int(value), -1, prime) for value in buyer.chosen((prime,))[0]], dtype=np.uint64)
    found = (form.astype(np.uint64) * inverses % np.uint64(prime)).astype(np.uint32)
    prime_tables(degree, prime).inverse(found)
    return _centred(found, prime)


def _true_forms(model, prime):
    first = model.weights(0).astype(object)
    rows, columns = np.triu_indices(len(first))
    doubled = np.where(rows == columns, 1, 2)
    forms = [(first * second) @ first.T for second in model.weights(1).astype(object).T]
    return np.stack([_centred((form[rows, columns] * doubled) % prime, prime) for form in forms])


@pytest.mark.parametrize("widths", [(8, 4, 1), (8, 4, 2), pytest.param((30, 16, 2), marks=pytest.mark.slow)])
def test_public_key_full_batch_of_a_network(proven, widths):
    """Three components: both encryptions of zero are taken off, and the third component solved for the products."""
    model = random_network(*widths)
    plan = plan_for(model, random_inputs(model, 64)).batched
    assert plan.components == 3
    buyer = KeyAttacker(plan, plan.slots)
    assert buyer.sees.joined == (widths[-1] == 2)
    if proven:
        with pytest.raises(WireError, match="isn't proven for this request"):
            _forms_of_network(buyer, model)
        return
    found = next(filter(lambda forms: forms is not None, (_forms_of_network(buyer, model) for _ in range(SESSIONS))))
    assert (found == _true_forms(model, buyer.primes[0])).all()
