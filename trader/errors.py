"""The root of the trader's exceptions, and whose fault each one is.

Catch `TraderError` once, at the edge. Three kinds of blame say what to do next::

    TraderError
    ├── CallerError                  ours: wrong use of the API, a wrong password, a move that the protocol forbids now
    │   ├── AccountError               a key file or account that can't be used
    │   ├── IllegalMoveError           the event is not one that this role may cause in this state
    │   │   ├── TooLateError             it may, but a secret would leave with too little time to spare
    │   │   └── NotYetError              what other trades take up now is missing, and may come back
    │   ├── QuantityError              a text or a number is no exact amount of money, or no span of time
    │   ├── PolicyError                the listing is honest, but not what the buyer asked for
    │   │   └── PriceRaisedError         its price has risen since the buyer agreed to it
    │   ├── PartyFolderError           the party's folder is missing something, or belongs to another trade
    │   │   └── FolderTakenError       another process works in it
    │   └── TransactionRefusedError    the escrow refused the transaction; nothing has changed
    ├── PeerFaultError               the other side's: do not pay, do not deliver, do not trust
    │   ├── ListingError               a listing fails a numbered check (trader.verify.listing)
    │   ├── AnswerError                answers of a test, or proven ones, fail a numbered check (trader.verify.answers)
    │   ├── OfferError                 a price that a seller offered does not hold, or not for this buyer
    │   ├── TokenError                 a token is not what it should be to be paid in
    │   ├── DeliveryCheckError         a delivery fails a numbered check (trader.verify.delivery)
    │   └── RequestError               a request that the seller refuses before it parses it
    ├── EnvironmentFaultError        neither's: node, disk, time, memory
    │   ├── ChainUnavailableError      the node does not answer, or not in time
    │   └── SignerUnavailableError     the program that keeps an account's key does not answer
    ├── ModelError                   trader.model
    ├── HeError                      trader.he
    ├── DeliveryError                trader.delivery
    └── PackageError                 trader.package
"""


class TraderError(Exception):
    """Something in a trade went wrong; the message says what, and what to do next."""


class CallerError(TraderError):
    """Caller misuse: the arguments, the moment or the configuration are wrong; correct them and call again."""


class AccountError(CallerError):
    """An account or its key file can't be used: missing, malformed, or the password is wrong."""


class IllegalMoveError(CallerError):
    """The role may not cause the event in the trade's state; nothing has changed."""


class TooLateError(IllegalMoveError):
    """Too little time is left before the deadline for a secret to leave; nothing was sent, nothing is lost."""


class NotYetError(IllegalMoveError):
    """Other trades take up now what this move needs, and may give it back: ask again until the deadline."""


class QuantityError(CallerError):
    """A text or a number is no amount of money or span of time that can be said exactly; nothing has happened."""


class PolicyError(CallerError):
    """The listing does not meet the buyer's own policy; relax the policy or choose another listing."""


class PriceRaisedError(PolicyError):
    """A model costs more than what the buyer has agreed to; nothing was paid for it."""


class PartyFolderError(CallerError):
    """The folder with a party's secrets is missing something, or belongs to another trade."""


class FolderTakenError(PartyFolderError):
    """Another process works in the folder."""


class TransactionRefusedError(CallerError):
    """The escrow refused a transaction; the cause names the broken fact. Nothing has changed but the gas."""


class PeerFaultError(TraderError):
    """The other party broke the protocol: do not pay, do not deliver; the deadlines return what was locked."""


class ListingError(PeerFaultError):
    """A listing is not what its terms on the chain promise; one subclass per check in `trader.verify.listing`."""


class AnswerError(PeerFaultError):
    """Answers of a test, or the proven ones, are not what a buyer pays for; see `trader.verify.answers`.

    Attributes:
        finding: What the audit log says: the message has figures of what was decrypted, and a log may be shown.
    """

    finding = "the proven outputs can't be read"


class OfferError(PeerFaultError):
    """An offer or admission for one buyer is malformed, has expired, was cancelled, or is for somebody else."""


class TokenError(PeerFaultError):
    """A token keeps a part of what it moves, or says other things of itself than its user's settings."""


class DeliveryCheckError(PeerFaultError):
    """A delivery is not what was listed and proven; one subclass per check in `trader.verify.delivery`."""


class RequestError(PeerFaultError):
    """The seller refuses a request: size, digest or parameters are not those of the listing."""


class EnvironmentFaultError(TraderError):
    """Node, disk, memory or time failed: repeat when they are back; nothing is lost."""


class ChainUnavailableError(EnvironmentFaultError):
    """The node does not answer, answers too late, or not as a node does."""


class SignerUnavailableError(EnvironmentFaultError):
    """The program that keeps an account's key does not answer, or not in time; nothing was signed."""
