"""One flipped bit in what a seller will deliver, and a list of proofs that is an old copy: noticed, or paid for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.simulators.trading import BOND, FEE, Trading
from trader.package import DamagedPackageError, ProofBudget
from trader.parties.conduct import SellerConduct
from trader.trade import Role, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from trader.chain import Chain
    from trader.package import SellerPackage

BIT_AT = 2 * 1024 + 77
"""A byte of a parameter in the third chunk."""


class TrustingSeller(SellerConduct):
    """One that takes its disk for what it was."""

    def check_deliverable(self, package: SellerPackage) -> None:
        pass


def damaged(package: SellerPackage) -> SellerPackage:
    artifact = bytearray(package.artifact)
    artifact[BIT_AT] ^= 1 << 3
    return replace(package, artifact=bytes(artifact))


@pytest.mark.slow
def test_a_seller_whose_chunks_lost_a_bit_locks_no_bond(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    trading = trade_on(chain)
    trade_id = trading.play_until(State.PURCHASED)
    whole = trading.package
    trading.package = damaged(whole)
    trading.seller = trading.new_seller()
    with pytest.raises(DamagedPackageError, match=r"chunk 2 in secret/chunks\.bin is not the listed one: .* slashed"):
        trading.seller.step(trade_id)
    assert trading.market.trade(trade_id).position.state is State.PURCHASED
    assert not any(step.name == "prove" for step in trading.steps)
    # Restored from a copy, it goes on where it was.
    trading.package = whole
    trading.seller = trading.new_seller()
    while not trading.market.trade(trade_id).position.final:
        assert trading.round(trade_id)
    assert trading.market.trade(trade_id).position.state is State.SETTLED


@pytest.mark.slow
def test_one_that_does_not_look_is_slashed(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    trading = trade_on(chain, seller_conduct=TrustingSeller())
    trading.package = damaged(trading.package)
    trading.seller = trading.new_seller()
    assert trading.play() is State.SLASHED
    assert trading.gains()[Role.SELLER] == FEE - BOND


@pytest.mark.slow
def test_a_seller_counts_the_proofs_that_stand_on_the_chain(chain: Chain, trade_on: Callable[..., Trading]) -> None:
    """List and kept proofs are older than the first trade's proof: the second one's prover finds it on the chain."""
    trading = trade_on(chain)
    first = trading.play_until(State.PROVEN)
    lost = trading.package.budget.path
    lost.write_bytes(b"")
    for kept in (lost.parent / "proofs").iterdir():
        kept.unlink()
    budget = trading.package.budget
    assert budget.published == 0
    listing = trading.market.listing(trading.listing_id)
    assert list(trading.market.find_proven(listing.seller, listing.terms.manifest_hash)) == [first]
    assert trading.market.find_proven(trading.accounts[Role.BUYER].address, listing.terms.manifest_hash) == {}
    assert trading.market.find_proven(listing.seller, bytes(32)) == {}
    trading.seller.package.budget.count(trading.seller.proving.proven_statements())
    assert budget.published == 1
    trading.seller.package.budget.count(trading.seller.proving.proven_statements())
    assert budget.published == 1
    assert ProofBudget(budget.path, 1).left == 0
