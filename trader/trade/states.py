"""Where a trade stands and who takes part. Numbers and names are those of the Solidity enum (parity is tested)."""

from enum import Enum, IntEnum


class State(IntEnum):
    """Where a trade stands. Waiting states (`TESTING` … `REVEALED`) end at a deadline; the last three are final."""

    NONE = 0
    """No such trade."""
    TESTING = 1
    """The buyer opened a session and paid its fee; the seller may answer."""
    ANSWERED = 2
    """The seller answered and earned the fee; the buyer may purchase."""
    PURCHASED = 3
    """The price is locked; the seller may prove."""
    PROVEN = 4
    """The audit proof stands and the bond is locked; the buyer may accept the delivered ciphertext."""
    ACCEPTED = 5
    """The buyer holds the ciphertext; the seller may reveal its key."""
    REVEALED = 6
    """The key is public; the buyer may confirm or dispute."""
    SETTLED = 7
    """Final: price and bond went to the seller."""
    EXPIRED = 8
    """Final: a deadline passed before the key was revealed; everybody got back what they had locked, but for the stake
    of the one who let a proof go to waste."""
    SLASHED = 9
    """Final: the buyer won a dispute and got price and bond."""


FINAL_STATES = frozenset({State.SETTLED, State.EXPIRED, State.SLASHED})


class Role(Enum):
    """The two sides of a trade. What anybody may do (settle, expire), both of them may."""

    SELLER = "seller"
    BUYER = "buyer"
