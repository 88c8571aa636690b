"""The trade as a game: every path of honest, aborting and cheating moves, played to its end on the embedded chain.

Start at `walk`. `game_page.py` writes what each path pays to the documentation; `test_game_tree.py` says what nobody
may lose or gain.

A position is what the next moves depend on: where the trade stands, and what the seller has done so far that the
contract can't see. A move is honest, an abort (the deadline passes), a cheat, careless (a buyer that doesn't look), or
what both sides have agreed on.
Cheats that the contract refuses lead nowhere: they stand in `game_refusals.py`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache, partial
from typing import Any

from contracts import ChunkEvidence, RangeEvidence, SumStepEvidence
from tests.contracts.reference import Model, Tree, delivered_tree, word
from tests.contracts.stage import FIRST, KEY, MODEL, PRICE, Stage, model_of, terms_of
from trader.trade import Role

BUYER, SELLER = Role.BUYER, Role.SELLER


class Conduct(Enum):
    """How a move is meant."""

    HONEST = "honest"
    AGREED = "agreed"
    ABORT = "abort"
    CHEAT = "cheat"
    CARELESS = "careless"


# ------------------------------------------------------------------------------------------------ what a seller does

HONEST = "as listed"
OTHER_WEIGHTS, OTHER_SUM = "another weights chunk", "another sum"
UNSEEN = "no ciphertext, or other outputs than were seen"
"""What the buyer notices before it accepts, and nobody can show to the contract."""
FALSE_SUMS, OUT_OF_RANGE = "sums that do not follow", "a parameter out of range"
DELIVERIES = (HONEST, OTHER_WEIGHTS, OTHER_SUM, UNSEEN)
LISTINGS = (HONEST, FALSE_SUMS, OUT_OF_RANGE)
CONVICTING = {
    OTHER_WEIGHTS: "disputeWeightsChunk",
    OTHER_SUM: "disputeSumChunk",
    FALSE_SUMS: "disputeSumStep",
    OUT_OF_RANGE: "disputeRange",
}
"""The dispute that convicts of each fraud."""


@dataclass(frozen=True)
class Position:
    """What the next moves depend on.

    Attributes:
        state: Where the trade stands, by the contract.
        listing: What the seller has listed, one of `LISTINGS`.
        useless: Whether the answer was made by no model.
        delivery: What the seller has proven and sent, one of `DELIVERIES`.
        signed: Whether the seller has the buyer's signed acceptance.
        kept: Whether it does nothing with it.
    """

    state: str = "None"
    listing: str = HONEST
    useless: bool = False
    delivery: str = HONEST
    signed: bool = False
    kept: bool = False

    @property
    def number(self) -> int:
        """Of the listing on the chain."""
        return 1 + LISTINGS.index(self.listing)

    @property
    def fraud(self) -> str | None:
        """What a dispute can show once the key is known."""
        found = [fraud for fraud in (self.delivery, self.listing) if fraud in CONVICTING]
        return found[0] if found else None

    @property
    def has_model(self) -> bool:
        """Whether the buyer holds what it tested, once the key is known."""
        return self.fraud is None and self.delivery != UNSEEN


@cache
def listed_model(listing: str) -> Model:
    return model_of(FIRST, [[2**24, *range(-15, 16)]]) if listing == OUT_OF_RANGE else MODEL


@cache
def listed_sums(listing: str) -> list[int]:
    honest = listed_model(listing).sums
    return [honest[0] + 1] if listing == FALSE_SUMS else honest


@cache
def delivered(listing: str, delivery: str) -> tuple[bytes, Tree]:
    """The ciphertext of the one chunk, and the tree over it."""
    model, (total,) = listed_model(listing), listed_sums(listing)
    total += delivery == OTHER_SUM
    parameters = bytearray(model.parameters(0))
    parameters[3] ^= delivery == OTHER_WEIGHTS
    (ciphertext,), tree = delivered_tree(KEY, [word(total) + model.salt(0) + bytes(parameters)])
    return ciphertext, tree


def evidence(position: Position, dispute: str) -> Any:
    """What a buyer has for a dispute: all of it authentic, whether it convicts or not."""
    model, (total,) = listed_model(position.listing), listed_sums(position.listing)
    salt, parameters = model.salt(0), model.parameters(0)
    if dispute == "disputeRange":
        return RangeEvidence(0, 0, salt, parameters, [], FIRST.statement)
    if dispute == "disputeSumStep":
        return SumStepEvidence(0, 0, bytes(32), [], total, salt, [], parameters, [], FIRST.statement)
    ciphertext, tree = delivered(position.listing, position.delivery)
    committed = model.weights_tree if dispute == "disputeWeightsChunk" else model.sums_tree([total])
    return ChunkEvidence(tree.root, KEY, 0, ciphertext, [], committed.root, [], FIRST.statement)


# ---------------------------------------------------------------------------------------------------------- the game


@dataclass(frozen=True)
class Move:
    """One edge of the tree.

    Attributes:
        side: Who decides.
        conduct: How it is meant.
        name: For readers.
        send: Sends the transaction, if there is one; for an abort, the other side's after the deadline.
        sender: Who pays its gas.
        after: The position that it leads to.
    """

    side: Role
    conduct: Conduct
    name: str
    send: Callable[[Stage], Any]
    after: Position
    sender: Role


def moves(position: Position) -> Iterator[Move]:
    """Yield every move of the side whose turn it is."""
    return _MOVES[position.state](position)


def _move(side: Role, conduct: Conduct, name: str, send: Callable[[Stage], Any], after: Position) -> Move:
    return Move(side, conduct, name, send, after, side)


def _abort(side: Role, name: str, position: Position, conduct: Conduct = Conduct.ABORT) -> Move:
    """The side lets its deadline pass; the other one ends the trade."""
    other = SELLER if side is BUYER else BUYER
    end = Stage.settle if position.state == "Revealed" else Stage.expire

    def wait(stage: Stage) -> Any:
        stage.at(stage.deadline())
        return end(stage, sender=_account(stage, other))

    ended = "Settled" if position.state == "Revealed" else "Expired"
    return Move(side, conduct, name, wait, replace(position, state=ended), other)


def _unlisted(position: Position) -> Iterator[Move]:
    for listing in LISTINGS:
        opened = replace(position, state="Testing", listing=listing)
        yield _move(
            BUYER, Conduct.HONEST, "opens a session", partial(Stage.open_session, listing=opened.number), opened
        )


def _testing(position: Position) -> Iterator[Move]:
    answered = replace(position, state="Answered")
    yield _move(SELLER, Conduct.HONEST, "answers", Stage.respond, answered)
    yield _move(SELLER, Conduct.CHEAT, "answers with nothing of use", Stage.respond, replace(answered, useless=True))
    yield _abort(SELLER, "does not answer", position)


def _answered(position: Position) -> Iterator[Move]:
    fair = Conduct.HONEST if not position.useless else Conduct.CARELESS
    yield _move(BUYER, fair, "purchases", Stage.purchase, replace(position, state="Purchased", useless=False))
    yield _abort(BUYER, "does not purchase", position, Conduct.HONEST if position.useless else Conduct.ABORT)


def _purchased(position: Position) -> Iterator[Move]:
    for delivery in DELIVERIES:
        conduct = Conduct.HONEST if delivery == HONEST else Conduct.CHEAT
        name = "proves" if delivery == HONEST else f"proves, with {delivery}"
        send = partial(Stage.prove, root=delivered(position.listing, delivery)[1].root)
        yield _move(SELLER, conduct, name, send, replace(position, state="Proven", delivery=delivery))
    yield _abort(SELLER, "does not prove", position)


def _proven(position: Position) -> Iterator[Move]:
    if position.signed and not position.kept:
        yield from _holding_the_acceptance(position)
        return
    unseen = position.delivery == UNSEEN
    conduct = Conduct.CARELESS if unseen else Conduct.HONEST
    if not position.signed:
        yield _move(BUYER, conduct, "signs its acceptance", _nothing, replace(position, signed=True))
    yield _move(BUYER, conduct, "accepts", Stage.accept, replace(position, state="Accepted", signed=False))
    yield _abort(BUYER, "does not accept", position, Conduct.HONEST if unseen else Conduct.ABORT)


def _holding_the_acceptance(position: Position) -> Iterator[Move]:
    root = delivered(position.listing, position.delivery)[1].root
    revealed = replace(position, state="Revealed", signed=False)

    def reveal(stage: Stage) -> Any:
        return stage.reveal(root=root, acceptance=stage.acceptance())

    yield _move(SELLER, Conduct.HONEST, "reveals the key", reveal, revealed)
    yield _move(SELLER, Conduct.CHEAT, "keeps the acceptance", _nothing, replace(position, kept=True))


def _nothing(stage: Stage) -> None:
    """What happens off the chain costs no gas."""


def _accepted(position: Position) -> Iterator[Move]:
    send = partial(Stage.reveal, root=delivered(position.listing, position.delivery)[1].root)
    yield _move(SELLER, Conduct.HONEST, "reveals the key", send, replace(position, state="Revealed", kept=False))
    yield _abort(SELLER, "does not reveal", position)


def _revealed(position: Position) -> Iterator[Move]:
    if fraud := position.fraud:
        name = CONVICTING[fraud]
        send = partial(Stage.dispute, name=name, evidence=evidence(position, name))
        yield _move(BUYER, Conduct.HONEST, f"`{name}`", send, replace(position, state="Slashed"))
    content = Conduct.HONEST if position.has_model else Conduct.CARELESS
    yield _move(BUYER, content, "confirms", Stage.confirm, replace(position, state="Settled"))
    yield _abort(BUYER, "says nothing", position, Conduct.ABORT if position.has_model else Conduct.CARELESS)
    settled = replace(position, state="Settled")
    yield _move(BUYER, Conduct.AGREED, "`refund` of the price, signed by the seller", _refund, settled)


def _refund(stage: Stage) -> Any:
    return stage.refund(PRICE)


_MOVES: dict[str, Callable[[Position], Iterator[Move]]] = {
    "None": _unlisted,
    "Testing": _testing,
    "Answered": _answered,
    "Purchased": _purchased,
    "Proven": _proven,
    "Accepted": _accepted,
    "Revealed": _revealed,
}


# ----------------------------------------------------------------------------------------------------------- the walk


@dataclass(frozen=True)
class Leaf:
    """A path that has ended.

    Attributes:
        path: Its moves.
        end: Where it ended.
        wei: What each side has gained, gas left out.
        gas: What each side has spent on its transactions.
        revealed: Whether the key became public.
    """

    path: tuple[Move, ...]
    end: Position
    wei: dict[Role, int] = field(hash=False)
    gas: dict[Role, int] = field(hash=False)
    revealed: bool

    @property
    def goods(self) -> bool:
        """Whether the buyer has the model that it tested."""
        return self.revealed and self.end.has_model

    @property
    def deviating(self) -> set[Role]:
        """Who did not play honestly; a listing that is a fraud is the seller's."""
        honest = (Conduct.HONEST, Conduct.AGREED)
        sides = {move.side for move in self.path if move.conduct not in honest}
        return sides if self.end.listing == HONEST else sides | {SELLER}

    @property
    def agreed(self) -> bool:
        """Whether both sides have signed how it ended."""
        return self.path[-1].conduct is Conduct.AGREED

    @property
    def cheats(self) -> list[str]:
        names = [move.name for move in self.path if move.conduct is Conduct.CHEAT]
        return names if self.end.listing == HONEST else [f"lists {self.end.listing}", *names]

    def passed(self, *names: str) -> bool:
        """Whether one of these moves was made."""
        return any(move.name in names for move in self.path)


def stage_with_listings() -> Stage:
    """The market with one listing of each kind."""
    stage = Stage()
    for listing in LISTINGS[1:]:
        stage.offer(terms_of(FIRST, listed_model(listing), listed_sums(listing)))
    return stage


def walk(stage: Stage) -> Iterator[Leaf]:
    """Yield every way in which the game may end."""
    owned = {role: stage.web3.eth.get_balance(_account(stage, role)) for role in Role}
    yield from _walk(stage, Position(), {}, owned, set())


def _walk(
    stage: Stage, position: Position, path: dict[Move, Any], owned: dict[Role, int], known: set[Position]
) -> Iterator[Leaf]:
    """Go on from a position, unless it is known: the contract could not tell the two ways to it apart.

    Args:
        path: The moves so far, and their receipts.
        owned: What each side had before the game.
    """
    if position.state not in _MOVES:
        yield _leaf(stage, position, path, owned)
        return
    if position in known:
        return
    known.add(position)
    stage.tester.mine_block()  # eth-tester runs the last block's transactions again when it goes back to it
    for move in moves(position):
        with stage.restored():
            receipt = move.send(stage)
            assert stage.state() == move.after.state
            yield from _walk(stage, move.after, path | {move: receipt}, owned, known)


def _leaf(stage: Stage, end: Position, path: dict[Move, Any], owned: dict[Role, int]) -> Leaf:
    gas, fees_wei = dict.fromkeys(Role, 0), dict.fromkeys(Role, 0)
    for move, receipt in path.items():
        if receipt is None:
            continue
        gas[move.sender] += receipt["gasUsed"]
        fees_wei[move.sender] += receipt["gasUsed"] * receipt["effectiveGasPrice"]
    owed = {role: stage.credit(_account(stage, role)) for role in Role}
    held = stage.web3.eth.get_balance(stage.deployment.market)
    assert sum(owed.values()) == held, "the escrow keeps something, or owes more than it has"
    own = {role: stage.web3.eth.get_balance(_account(stage, role)) for role in Role}
    gains = {role: own[role] + owed[role] + fees_wei[role] - owned[role] for role in Role}
    return Leaf(tuple(path), end, gains, gas, any(move.after.state == "Revealed" for move in path))


def _account(stage: Stage, role: Role) -> str:
    return str(stage.buyer if role is BUYER else stage.seller)
