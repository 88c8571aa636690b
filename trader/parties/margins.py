"""How much time a seller leaves itself: a secret that leaves too late is given away for nothing.

A transaction that is mined at its deadline or later fails, but what it carried is public. So nothing that must not be
known before it counts is sent without time to spare, and no windows are offered that leave none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trader.errors import CallerError

if TYPE_CHECKING:
    from contracts import Windows


@dataclass(frozen=True, slots=True)
class SellerPolicy:
    """A seller's margins. The defaults suit a public chain with a block every twelve seconds.

    Attributes:
        margin_seconds: Least time between sending a secret (the key; a proof with the bond) and its deadline.
        margin_blocks: Blocks that a transaction may wait to be mined, beside its confirmations.
        block_seconds: Time between two blocks.
        working_seconds: Time that the seller takes at most to answer a test, and to prove.
    """

    margin_seconds: int = 600
    margin_blocks: int = 5
    block_seconds: int = 12
    working_seconds: int = 600

    def margin(self, confirmations: int) -> int:
        """Return the time that must be left before a deadline when a secret is sent, in seconds."""
        return max(self.margin_seconds, self.least_margin(confirmations))

    def least_margin(self, confirmations: int) -> int:
        """Return the `margin` of what may be known already: time for a place in a block, and no more, in seconds."""
        return (self.margin_blocks + confirmations) * self.block_seconds

    def public_margin(self, confirmations: int) -> int:
        """Return the seconds before its deadline from which a key that a relay has not had mined goes to everybody.

        Earlier than the margin, by what a place in a block takes: whatever the confirmations, there is time for it.
        """
        return self.margin(confirmations) + self.least_margin(confirmations)

    def check_windows(self, windows: Windows, confirmations: int) -> None:
        """Refuse windows that a seller with so many confirmations could not keep.

        Each of its windows begins when the buyer's move is mined, and is seen some confirmations later; from then on
        there must be time to work, and the margin.

        Raises:
            CallerError: Names the first that is too short.
        """
        seen = confirmations * self.block_seconds + self.margin(confirmations)
        for name, offered, needed in (
            ("answer", windows.answer_seconds, seen + self.working_seconds),
            ("prove", windows.proof_seconds, seen + self.working_seconds),
            ("reveal", windows.reveal_seconds, seen + self.least_margin(confirmations)),
        ):
            if offered <= needed:
                raise CallerError(
                    f"{offered} seconds to {name} are too short for you: {confirmations} confirmations, your work and "
                    f"your margin take {needed}. Offer more, or choose another policy."
                )


DEVELOPMENT = SellerPolicy(margin_seconds=1, margin_blocks=0, block_seconds=0, working_seconds=0)
"""For development chains whose windows are short, or whose time jumps: no secret there is worth anything."""
