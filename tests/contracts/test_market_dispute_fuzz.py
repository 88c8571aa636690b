"""Ten thousand forged disputes against an honest seller, on the contract itself: none convicts."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from eth_utils.crypto import keccak

from contracts import Layout, MarketRevertedError, Statement
from tests.contracts.reference import MODULUS
from tests.contracts.stage import Delivery

CHUNK_KINDS = ["disputeWeightsChunk", "disputeSumChunk"]
STEP_KIND = "disputeSumStep"
BATCHES, PER_BATCH = 20, 500
Mutation = Callable[[random.Random, Any, list[Any]], Any]


def _integer(chance: random.Random, value: int, others: list[int]) -> int:
    """Near the true one, another one, a limit, or anything."""
    candidates = [value ^ 1 << chance.randrange(256), value + 1, value - 1, value + MODULUS, chance.randrange(2**256)]
    return chance.choice([*candidates, *others, 0, 1, MODULUS, 2**256 - 1]) % 2**256


def _bytes(chance: random.Random, value: bytes, others: list[bytes]) -> bytes:
    """A flipped bit, another one's, or anything, of the same length: the ABI takes no other."""
    flipped = bytearray(value)
    flipped[chance.randrange(len(value))] ^= 1 << chance.randrange(8)
    candidates = [bytes(flipped), keccak(bytes(flipped)).ljust(len(value), b"\0")[: len(value)], bytes(len(value))]
    return chance.choice([*candidates, *(other for other in others if len(other) == len(value))])


def _path(chance: random.Random, value: list[bytes], others: list[list[bytes]]) -> list[bytes]:
    """Shorter, longer, with siblings exchanged or forged, or of another place or tree."""
    path = [*value]
    match chance.randrange(5):
        case 0 if path:
            path.pop(chance.randrange(len(path)))
        case 1:
            path.insert(chance.randrange(len(path) + 1), keccak(chance.randbytes(4)))
        case 2 if len(path) > 1:
            i, j = chance.sample(range(len(path)), 2)
            path[i], path[j] = path[j], path[i]
        case 3 if path:
            index = chance.randrange(len(path))
            path[index] = _bytes(chance, path[index], [sibling for other in others for sibling in other])
        case _:
            path = [*chance.choice(others)]
    return path


def _layout(chance: random.Random, value: Layout) -> Layout:
    """Another number of rows, other columns, another order of them."""
    lengths = [*value.column_lengths]
    chance.shuffle(lengths)
    lengths[chance.randrange(len(lengths))] = chance.randrange(1, 1000)
    return replace(value, column_lengths=tuple(lengths), logrows=chance.choice([value.logrows, 9, 11, 16]))


def _statement(chance: random.Random, value: Statement, _others: list[Statement]) -> Statement:
    """About another circuit, about other parameters, or with another layout."""
    match chance.randrange(3):
        case 0:
            return replace(value, circuit_digest=_bytes(chance, value.circuit_digest, [value.parameter_commitment]))
        case 1:
            return replace(value, parameter_commitment=_bytes(chance, value.parameter_commitment, []))
        case _:
            return replace(value, layout=_layout(chance, value.layout))


MUTATIONS: dict[type, Mutation] = {int: _integer, bytes: _bytes, list: _path, Statement: _statement}


def _forge(chance: random.Random, evidence: Any, others: list[Any]) -> Any:
    """One to three fields of true evidence changed, each to something near, from elsewhere, or made up."""
    for field in chance.sample(fields(evidence), chance.choice([1, 1, 1, 2, 3])):
        value = getattr(evidence, field.name)
        kind = list if isinstance(value, list | tuple) else type(value)
        # Values of the same kind, in any place of any other evidence: paths of the other tree among them.
        pool = [
            getattr(other, f.name)
            for other in others
            for f in fields(other)
            if isinstance(getattr(other, f.name), kind) and not isinstance(getattr(other, f.name), bool)
        ]
        evidence = replace(evidence, **{field.name: MUTATIONS[kind](chance, value, pool)})
    return evidence


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(BATCHES))
def test_no_forged_dispute_convicts_an_honest_seller(honest: Delivery, seed: int) -> None:
    chance = random.Random(seed)
    indices = range(len(honest.sums))
    true = [(kind, honest.chunk_evidence(kind, j)) for kind in CHUNK_KINDS for j in indices]
    true += [(STEP_KIND, honest.step_evidence(j)) for j in indices]
    others = [evidence for _, evidence in true]
    outcomes: Counter[str] = Counter()
    with honest.stage.tried():
        for _ in range(PER_BATCH):
            kind, evidence = chance.choice(true)
            forged = _forge(chance, evidence, others)
            with pytest.raises(MarketRevertedError) as refused:
                honest.stage.dispute(kind, forged)
            outcomes[refused.value.name] += 1
    assert outcomes["NotInTree"] > PER_BATCH // 4, outcomes
    assert len(outcomes) >= 5, outcomes
