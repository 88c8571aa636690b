"""Whatever stands where the public key should: without a proof of it, nothing is evaluated."""

import os
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulators.he_models import NONCE, plan_for, random_inputs, random_network
from trader.he import HePlan, WireError, evaluate
from trader.he.evaluation import evaluate as evaluation
from trader.he.planning.parameters import plan_parameters
from trader.he.request import RequestParts
from trader.he.ring.transform import prime_tables
from trader.he.seal import SecretKey, Seeded
from trader.he.wire.container import ContainerWriter
from trader.model import CanonicalModel

SAMPLES, DEGREE = 4, 4096
CONTEXT = b"a trade"


class StartedError(Exception):
    """The seller began to evaluate."""


@dataclass(frozen=True)
class Seller:
    model: CanonicalModel
    plan: HePlan

    @property
    def ring(self):
        return plan_parameters(self.plan)

    def request(self, public):
        """An empty request under a public key, to be finished."""
        layout = self.plan.request_layout(SAMPLES, self.ring.all_primes)
        writer = ContainerWriter("request", self.plan.digest, SAMPLES, layout)
        request = RequestParts(self.plan, SAMPLES, self.ring, writer.parts)
        request.write_public_key(public)
        return writer, request

    def answer(self, public, proof, context=CONTEXT):
        """Answer a request under this key; `proof` is the proof's bytes, or an owner who proves what is asked."""
        writer, request = self.request(public)
        if isinstance(proof, Owner):
            proof = request.statement(NONCE, context).prove(*proof.witness)
        request.write_proof(proof)
        evaluate(self.plan, self.model, writer.finish(NONCE), SAMPLES, context=CONTEXT)


class Owner:
    """Has a secret key, a public one, and a proof of that."""

    def __init__(self, seller):
        key = SecretKey(seller.ring)
        self.public = key.public_key()
        self.witness = -key.coefficients(), key.error(self.public)
        self.proof = seller.request(self.public)[1].statement(NONCE, CONTEXT).prove(*self.witness)


@pytest.fixture(scope="module")
def seller():
    model = random_network(6, 1)
    found = Seller(model, plan_for(model, random_inputs(model, SAMPLES)).batched)
    assert found.plan.ring_degree == DEGREE
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "_evaluator", _start)
        yield found


def _start(*_):
    raise StartedError


@pytest.fixture(scope="module")
def owners(seller):
    return Owner(seller), Owner(seller)


SEEDS = st.integers(0, 2**32 - 1).map(np.random.default_rng)
INTEGERS = st.integers(-(2**100), 2**100)


def _constant(_public, primes, draw):
    value = draw(INTEGERS)
    return np.stack([np.full(DEGREE, value % prime, dtype=np.uint32) for prime in primes])


def _random(_public, primes, draw):
    generator = draw(SEEDS)
    return np.stack([generator.integers(0, prime, DEGREE, dtype=np.uint32) for prime in primes])


def _one_value_changed(public, primes, draw):
    """One residue of the NTT form."""
    found, row = public.residues.copy(), draw(st.integers(0, len(primes) - 1))
    place = draw(st.integers(0, DEGREE - 1))
    found[row, place] = (int(found[row, place]) + draw(st.integers(1, primes[row] - 1))) % primes[row]
    return found


def _one_coefficient_changed(public, primes, draw):
    """One coefficient, modulo all primes, by as little as one."""
    place, change = draw(st.integers(0, DEGREE - 1)), draw(INTEGERS.filter(bool))
    found = public.residues.astype(np.int64)
    for row, prime in zip(found, primes, strict=True):
        monomial = np.zeros(DEGREE, dtype=np.uint32)
        monomial[place] = change % prime
        prime_tables(DEGREE, prime).forward(monomial)
        row[:] = (row + monomial) % prime
    return found.astype(np.uint32)


def _multiple(public, primes, draw):
    factor = draw(INTEGERS.filter(lambda value: value != 1))
    rows = zip(public.residues, primes, strict=True)
    return np.stack([(row.astype(object) * factor % prime).astype(np.uint32) for row, prime in rows])


KEYS = {
    "constant": _constant,
    "zero": lambda public, *_: np.zeros_like(public.residues),
    "random": _random,
    "one value changed": _one_value_changed,
    "one coefficient changed": _one_coefficient_changed,
    "multiple": _multiple,
}


@pytest.mark.parametrize("kind", KEYS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_keys_without_a_proof_are_refused_before_anything_is_evaluated(seller, owners, kind, data):
    """Under the owner's seed a p0 of any kind, with its own proof, one that it makes for it, or with any bytes."""
    owner = owners[0]
    residues = KEYS[kind](owner.public, seller.ring.all_primes, data.draw)
    proofs = [owner, owner.proof, bytes(len(owner.proof)), os.urandom(len(owner.proof))]
    proof = data.draw(st.sampled_from(proofs))
    with pytest.raises(WireError, match="isn't proven"):
        seller.answer(Seeded(residues, owner.public.seed), proof)


@settings(max_examples=25, deadline=None)
@given(generator=SEEDS, count=st.integers(1, 64))
def test_proofs_with_any_bytes_changed_are_refused(seller, owners, generator, count):
    proof = np.frombuffer(owners[0].proof, dtype=np.uint8).copy()
    places = generator.choice(proof.size, count, replace=False)
    proof[places] ^= generator.integers(1, 256, count, dtype=np.uint8)
    with pytest.raises(WireError, match="isn't proven"):
        seller.answer(owners[0].public, proof.tobytes())


def test_keys_and_proofs_of_two_sessions_are_not_exchanged(seller, owners):
    one, other = owners
    swapped_seed = Seeded(one.public.residues, other.public.seed)
    for public, proof in [
        (one.public, other.proof),
        (one.public, other),
        (other.public, one.proof),
        (swapped_seed, one),
        (swapped_seed, one.proof),
        (swapped_seed, other),
    ]:
        with pytest.raises(WireError, match="isn't proven for this request"):
            seller.answer(public, proof)
    with pytest.raises(WireError, match="isn't proven for this request"):
        seller.answer(one.public, one, b"another trade")


def test_proven_keys_are_evaluated_under(seller, owners):
    for owner in owners:
        for proof in (owner, owner.proof):
            with pytest.raises(StartedError):
                seller.answer(owner.public, proof)
