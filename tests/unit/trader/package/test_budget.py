"""Published proofs: counted one by one, kept, sent again; and what a lost file does to the count."""

from __future__ import annotations

import contextlib
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from trader.package import DamagedPackageError, PackageError, ProofBudget, ProofBudgetError
from zk import Proof

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FIRST, SECOND, THIRD = (bytes([number]) * 32 for number in (1, 2, 3))


@pytest.fixture
def budget(tmp_path: Path) -> ProofBudget:
    budget = ProofBudget(tmp_path / "secret" / "proven", proofs=2)
    budget.create()
    return budget


@pytest.fixture
def prove() -> Callable[[], Proof]:
    """A prover with fresh randomness: it never gives the same proof twice."""
    numbers: Iterator[int] = itertools.count()
    return lambda: Proof(next(numbers).to_bytes(64, "big"), (1, 2**253))


def never() -> Proof:
    pytest.fail("a second proof was made")


def test_a_statement_has_one_proof(budget: ProofBudget, prove: Callable[[], Proof]) -> None:
    first = budget.publish(FIRST, prove)
    assert budget.publish(FIRST, never) == first
    assert ProofBudget(budget.path, 2).publish(FIRST, never) == first
    assert (budget.published, budget.left) == (1, 1)
    assert all(path.stat().st_mode & 0o077 == 0 for path in budget.path.parent.rglob("*") if path.is_file())


def test_no_more_proofs_are_made_than_the_salt_hides(budget: ProofBudget, prove: Callable[[], Proof]) -> None:
    kept = [budget.publish(statement, prove) for statement in (FIRST, SECOND)]
    with pytest.raises(ProofBudgetError, match="1 more proofs, after 2: the salt of this package hides 2"):
        budget.publish(THIRD, never)
    with pytest.raises(ProofBudgetError, match="--proofs 3 or more"):
        budget.require([FIRST, THIRD, THIRD])
    assert [budget.publish(statement, never) for statement in (FIRST, SECOND)] == kept


def test_proofs_are_counted_and_not_statements(budget: ProofBudget, prove: Callable[[], Proof]) -> None:
    """A kept proof that is gone can't be sent again, and what replaces it is one more."""
    budget.publish(FIRST, prove)
    (budget.path.parent / "proofs" / f"{FIRST.hex()}.json").unlink()
    budget.publish(FIRST, prove)
    assert budget.published == 2
    with pytest.raises(ProofBudgetError):
        budget.publish(SECOND, never)


def test_an_emptied_list_forgets_no_proof_that_is_kept(budget: ProofBudget, prove: Callable[[], Proof]) -> None:
    budget.publish(FIRST, prove)
    budget.create()
    assert budget.published == 1


def test_a_package_without_its_list_publishes_nothing(budget: ProofBudget, prove: Callable[[], Proof]) -> None:
    """It used to begin again at nothing."""
    budget.publish(FIRST, prove)
    budget.path.unlink()
    for use in (lambda: budget.left, lambda: budget.publish(SECOND, never), lambda: budget.require([SECOND])):
        with pytest.raises(PackageError, match="Restore it: it says which proofs were published"):
            use()


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"proof": "x", "instances": []}', b'{"proof": "00", "instances": [1]}']
)
def test_a_damaged_proof_is_not_replaced(budget: ProofBudget, prove: Callable[[], Proof], data: bytes) -> None:
    budget.publish(FIRST, prove)
    (budget.path.parent / "proofs" / f"{FIRST.hex()}.json").write_bytes(data)
    with pytest.raises(PackageError, match="another one must not be published"):
        budget.publish(FIRST, never)


def test_proofs_that_others_remember_count_once(budget: ProofBudget, prove: Callable[[], Proof]) -> None:
    """What the chain shows is counted, whether or not list and kept proofs still know of it."""
    budget.publish(FIRST, prove)
    budget.count([FIRST, SECOND, SECOND])
    budget.count([SECOND])
    assert (budget.published, budget.left) == (2, 0)
    with pytest.raises(ProofBudgetError):
        budget.publish(THIRD, never)


def test_proofs_that_lie_in_public_count_once(budget: ProofBudget, prove: Callable[[], Proof]) -> None:
    """Of a certificate whose package was restored from an older copy."""
    first, other = budget.publish(FIRST, prove), Proof(b"of a certificate", (3,))
    budget.count_proofs([first, other, other])
    budget.count_proofs([other])
    assert (budget.published, budget.left) == (2, 0)


def test_two_that_share_a_package_take_up_no_more_than_one(budget: ProofBudget, prove: Callable[[], Proof]) -> None:
    """Both look before either has proven: the second then sees what the first took."""
    inside = threading.Barrier(2, timeout=1)

    def prove_slowly() -> Proof:
        with contextlib.suppress(threading.BrokenBarrierError):
            inside.wait()  # both at once, if they may
        return prove()

    budget.publish(FIRST, prove)  # one is left
    with ThreadPoolExecutor(2) as pool:
        made = [
            pool.submit(ProofBudget(budget.path, 2).publish, statement, prove_slowly) for statement in (SECOND, THIRD)
        ]
    errors = [future.exception() for future in made]
    assert sorted(type(error).__name__ for error in errors) == ["NoneType", "ProofBudgetError"]
    assert (budget.published, budget.left) == (2, 0)


def test_two_that_prove_one_statement_publish_one_proof(budget: ProofBudget, prove: Callable[[], Proof]) -> None:
    with ThreadPoolExecutor(2) as pool:
        made = [pool.submit(ProofBudget(budget.path, 2).publish, FIRST, prove) for _ in range(2)]
    assert made[0].result() == made[1].result()
    assert budget.published == 1


@pytest.mark.parametrize("text", [b"x", b"\n", b"ab cd\n", b"0" * 64 + b" " + b"A" * 64 + b"\n", b"\xff"])
def test_a_damaged_list_publishes_nothing(budget: ProofBudget, text: bytes) -> None:
    budget.path.write_bytes(text)
    with pytest.raises(PackageError, match="Restore it"):
        budget.publish(FIRST, never)


def test_a_kept_proof_other_than_the_listed_one_is_found(budget: ProofBudget, prove: Callable[[], Proof]) -> None:
    budget.publish(FIRST, prove)
    budget.check()
    kept = budget.path.parent / "proofs" / f"{FIRST.hex()}.json"
    kept.write_bytes(kept.read_bytes().replace(b'"instances": ["1"', b'"instances": ["2"'))
    with pytest.raises(DamagedPackageError, match="is not the proof"):
        budget.check()
    budget.create()
    with pytest.raises(DamagedPackageError):
        budget.check()
