"""The transition table and the contract are one protocol: each allows exactly what the other allows, deadlines too."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from contracts import MarketRevertedError, Terms
from tests.contracts.stage import Stage
from tests.simulators.trade_machine import TradeMachine
from trader.errors import IllegalMoveError
from trader.trade import (
    Accepted,
    Answered,
    Confirmed,
    Event,
    Expired,
    Position,
    Proven,
    Purchased,
    Refunded,
    Revealed,
    Role,
    SessionOpened,
    Settled,
    State,
)


def reveal(stage: Stage, sender: str) -> Any:
    """With the buyer's signed acceptance, which counts while the buyer has not accepted by a transaction."""
    return stage.reveal(sender=sender, acceptance=stage.acceptance())


# A dispute is legal where its evidence is sound: tests/contracts has those.
MOVES: dict[type[Event], tuple[Callable[..., Any], Callable[[int], Event]]] = {
    Answered: (Stage.respond, lambda at: Answered(at, bytes(32))),
    Purchased: (Stage.purchase, lambda at: Purchased(at, bytes(32), bytes(32), 0, 0)),
    Proven: (Stage.prove, lambda at: Proven(at, bytes(32), bytes(32), 0, 0)),
    Accepted: (Stage.accept, Accepted),
    Revealed: (reveal, lambda at: Revealed(at, bytes(32))),
    Confirmed: (Stage.confirm, Confirmed),
    Refunded: (lambda stage, sender: stage.refund(1, sender=sender), lambda at: Refunded(at, 1)),
    Settled: (Stage.settle, Settled),
    Expired: (Stage.expire, Expired),
}
HONEST = [
    (Role.SELLER, Answered),
    (Role.BUYER, Purchased),
    (Role.SELLER, Proven),
    (Role.BUYER, Accepted),
    (Role.SELLER, Revealed),
    (Role.BUYER, Confirmed),
]


class Both:
    """One trade on the chain, and the same trade in a machine of each role."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.accounts = {Role.SELLER: self.stage.seller, Role.BUYER: self.stage.buyer}
        windows = Terms.from_abi(self.stage.market.functions.listing(1).call()[-1]).windows
        self.stage.open_session()
        opened = SessionOpened(self.stage.now, 1, 16, bytes(32), 0)
        self.machines = {role: TradeMachine(role, windows) for role in Role}
        self.machines[Role.BUYER].send(opened)
        self.machines[Role.SELLER].receive(opened)

    @property
    def chain_position(self) -> Position:
        trade = self.stage.trade()
        state = State(trade["state"])
        return Position(state, trade["deadline"] if not Position(state).final else 0)

    def positions(self) -> set[Position]:
        return {self.chain_position, *(machine.position for machine in self.machines.values())}

    def attempt(self, role: Role, event: type[Event], *, late: bool) -> tuple[bool, bool]:
        """Whether chain and machine allow it; both are as before afterwards."""
        machine = self.machines[role]
        before = machine.position
        with self.stage.restored():
            at = before.deadline_seconds if late else self.stage.now + 1
            allowed = self._on_chain(role, event, at)
            try:
                machine.send(MOVES[event][1](at))
            except IllegalMoveError:
                return allowed, False
            if allowed:
                assert machine.position == self.chain_position
            machine.position = before
            return allowed, True

    def _on_chain(self, role: Role, event: type[Event], at: int) -> bool:
        self.stage.at(at)
        try:
            with self.stage.tried():
                MOVES[event][0](self.stage, sender=self.accounts[role])
        except MarketRevertedError:
            return False
        MOVES[event][0](self.stage, sender=self.accounts[role])
        return True

    def move(self, role: Role, event: type[Event]) -> None:
        MOVES[event][0](self.stage, sender=self.accounts[role])
        happened = MOVES[event][1](self.stage.now)
        for own, machine in self.machines.items():
            (machine.send if own is role else machine.receive)(happened)
        self.stage.tester.mine_block()  # eth-tester runs the newest block again whenever it goes back to it


def every_attempt(both: Both) -> Iterator[tuple[Role, type[Event], bool]]:
    waiting = not both.chain_position.final
    for role in Role:
        for event in MOVES:
            for late in (False, True) if waiting else (False,):
                yield role, event, late


@pytest.mark.slow
def test_contract_and_table_allow_the_same_moves_at_the_same_seconds() -> None:
    both = Both()
    legal = 0
    for move in [*HONEST, None]:
        assert len(both.positions()) == 1
        for role, event, late in every_attempt(both):
            on_chain, in_table = both.attempt(role, event, late=late)
            assert on_chain == in_table, f"{role.value} {event.__name__} {'late ' * late}in {both.chain_position.state}"
            legal += on_chain
        if move is not None:
            both.move(*move)
    assert both.chain_position.state is State.SETTLED
    # In each of six waiting states: one move in time, and its timeout by either role. And where a signature does: the
    # seller reveals what was accepted by one, the buyer takes a refund that the seller has signed.
    assert legal == 6 * 3 + 2
