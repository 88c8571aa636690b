"""The game tree as a page: `python -m tests.contracts.game_page` writes `docs/reference/game.md`."""

# ruff: noqa: E501 - text

from pathlib import Path

from tests.contracts.game_refusals import REFUSED
from tests.contracts.game_tree import BUYER, HONEST, SELLER, Conduct, Leaf, stage_with_listings, walk
from tests.contracts.stage import BOND, FEE, PRICE, PROOF_FEE
from trader.trade import Role

PAGE_PATH = Path(__file__).parents[2] / "docs" / "reference" / "game.md"
AMOUNTS = {"price": PRICE, "bond": BOND, "fee": FEE, "proof fee": PROOF_FEE}


def as_amounts(wei: int) -> str:
    """Write wei as a sum of the listing's amounts.

    Raises:
        ValueError: It is none.
    """
    terms, rest = [], wei
    for name, amount in sorted(AMOUNTS.items(), key=lambda item: -item[1]):
        count = round(rest / amount)
        rest -= count * amount
        if abs(count) > 1:
            raise ValueError(f"{wei} wei is no sum of the listing's amounts")
        terms += [f"{'+' if count > 0 else '-'} {name}"] * abs(count)
    if rest:
        raise ValueError(f"{wei} wei is no sum of the listing's amounts")
    return " ".join(terms) or "0"


def page(leaves: list[Leaf]) -> str:
    """Return the page of the documentation."""
    honest = honest_path(leaves)
    parts = [_HEAD.format(leaves=len(leaves))]
    for title, deviating in _GROUPS.items():
        rows = "\n".join(_row(leaf, honest) for leaf in leaves if leaf.deviating == deviating)
        parts.append(f"## {title}\n\n{_COLUMNS}\n{rows}\n")
    refused = "\n".join(
        f"| {refusal.state} | {refusal.side.name.lower()} {refusal.name} | `{refusal.error}` |" for refusal in REFUSED
    )
    parts.append(f"{_REFUSED_HEAD}\n\n| state | cheat | error |\n|---|---|---|\n{refused}\n")
    return "\n".join(parts)


def honest_path(leaves: list[Leaf]) -> Leaf:
    """Return the one path on which everybody does what is due."""
    (honest,) = (leaf for leaf in leaves if not leaf.deviating and not leaf.agreed)
    return honest


def _row(leaf: Leaf, honest: Leaf) -> str:
    gains = {role: as_amounts(leaf.wei[role]) for role in Role}
    if leaf.goods:
        gains[BUYER] += " + the model"
    gas = (f"{leaf.gas[role]:,} ({leaf.gas[role] - honest.gas[role]:+,})" for role in (BUYER, SELLER))
    return f"| {_told(leaf)} | {leaf.end.state} | {gains[BUYER]} | {gains[SELLER]} | {' | '.join(gas)} |"


def _told(leaf: Leaf) -> str:
    """The path from the first move on that was not honest."""
    names = [(move.conduct, f"{move.side.name.lower()} {move.name}") for move in leaf.path]
    if leaf.end.listing != HONEST:
        return "; ".join([f"seller lists {leaf.end.listing}", *_from_deviation(names, whole=True)])
    return "; ".join(_from_deviation(names)) or "everybody does what was agreed on"


def _from_deviation(names: list[tuple[Conduct, str]], whole: bool = False) -> list[str]:
    deviations = [at for at, (conduct, _) in enumerate(names) if conduct is not Conduct.HONEST]
    if not deviations:
        return [names[-1][1]] if whole else []
    return [name for at, (conduct, name) in enumerate(names) if at >= deviations[0] and _tells(at, conduct, names)]


def _tells(at: int, conduct: Conduct, names: list[tuple[Conduct, str]]) -> bool:
    return conduct is not Conduct.HONEST or at == len(names) - 1


_GROUPS: dict[str, set[Role]] = {
    "Nobody deviates": set(),
    "The buyer deviates, the seller is honest": {BUYER},
    "The seller deviates, the buyer is honest": {SELLER},
    "Both deviate": {BUYER, SELLER},
}
_COLUMNS = (
    "| path | ends | buyer | seller | buyer's gas (against the honest path) | seller's gas (against the honest path) |\n"
    "|---|---|---|---|---|---|"
)
_HEAD = """<!-- Made by `python -m tests.contracts.game_page`; do not edit. -->

# Game tree

One trade, and all that two sides may make of it: at each position the side whose turn it is does what was agreed on, lets its
deadline pass, or cheats; a buyer may also be careless, and not look, or take a part of the price back with the seller's signature. All {leaves} ways to the end were played on the embedded chain,
by `tests/contracts/game_tree.py`; two ways to a position that the contract can't tell apart go on as one. Amounts are those of the listing; what was locked and came back is not shown. Gas is
what a side pays for its transactions, whatever else it wins or loses; `list`, which serves many trades, and `withdraw` are left
out, and who is waiting pays for `expire` or `settle`. A row tells the moves that were not honest, and the last one.

What `tests/contracts/test_game_tree.py` finds in it:

- An honest side gets back whatever it has locked, and is paid for its work: a seller the fee for its answer and the proof fee for
  its proof, a buyer the bond for a wrong delivery and the proof fee for a key that never came.
- No buyer has the model without having paid for it to an honest seller.
- A seller that keeps a signed acceptance to itself earns no proof fee by it: the buyer accepts by itself, and is where it would
  be without a signature.
- A cheat gains nothing, but for two that no contract can see: an answer of no use earns the fee; a proof whose ciphertext was
  withheld, or that isn't of the outputs that were seen, earns the proof fee. Either is less than honesty earns from there on, and no
  more than the buyer's policy lets it risk ([known limits](../security.md#known-limits)).
"""
_REFUSED_HEAD = """## Cheats that the contract refuses

Each was tried in an honest trade. It changes nothing, and costs whoever tries it the gas of a transaction that fails. Beyond these, every
function was called from every state by either side and by a stranger, before the deadline and at it: none is allowed but those of the
tree."""


def main() -> None:
    """Write the page."""
    PAGE_PATH.write_text(page(list(walk(stage_with_listings()))))


if __name__ == "__main__":
    main()
