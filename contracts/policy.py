"""What sellers sign and buyers show under `src/periphery/ListingPolicy.sol`, as Python values.

A listing that names the policy has rules of its seller's (`Rules`). A buyer shows *evidence* in `openSession` and
`purchase`: bytes in the `data` of these moves, or none. One byte says what they are, abi.encode of the fields follows.
Both signed documents are typed data of EIP-712, and name the listing by its offer digest (`offer_digest`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any, Self

from eth_abi.abi import encode

from contracts.periphery import Periphery, periphery_address
from contracts.standard_tree import StandardTree, root_of
from contracts.types import ETH


class Evidence(IntEnum):
    """What a buyer shows: the first byte."""

    MEMBER = 1
    ADMISSION = 2
    OFFER = 3
    UPGRADE = 4


@dataclass(frozen=True)
class Rules:
    """What a seller says about a listing: who is admitted, and what owners of the superseded model pay less."""

    admitted_root: bytes = bytes(32)
    """Of `AdmittedBuyers`; zero for none."""
    admitter: str = ETH
    """The account that signs admissions; zero for nobody."""
    upgrade_discount_wei: int = 0

    @property
    def is_restricted(self) -> bool:
        """Whether a buyer that shows nothing is refused."""
        return self.admitted_root != bytes(32) or self.admitter != ETH

    def as_abi(self) -> tuple[Any, ...]:
        """Return the Solidity struct `Rules`."""
        return (self.admitted_root, self.admitter, self.upgrade_discount_wei)

    @classmethod
    def from_abi(cls, values: Sequence[Any]) -> Self:
        """Read the tuple that a contract call or event returns."""
        return cls(*values)


@dataclass(frozen=True)
class _Signed:
    market: str
    listing: bytes
    """The listing's offer digest, 32 bytes."""
    buyer: str

    def typed_data(self, chain_id: int) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Return what is signed: domain, types and message, as `Signer.sign_typed_data` takes them."""
        domain = {
            "name": "ModelSeal policy",
            "version": "1",
            "chainId": chain_id,
            "verifyingContract": periphery_address(Periphery.LISTING_POLICY),
        }
        members = [{"name": name, "type": _TYPES.get(name, "uint256")} for name in asdict(self)]
        return domain, {type(self).__name__: members}, asdict(self)


@dataclass(frozen=True)
class Offer(_Signed):
    """A seller's price for one buyer. Holds before its expiry, unless the seller cancels the nonce."""

    price: int
    """In the smallest unit of the listing's currency; the market takes none above the listing's."""
    expiry: int
    """Seconds since 1970."""
    nonce: int

    def evidence(self, signature: bytes) -> bytes:
        """Return what the buyer shows, in `openSession` or `purchase`."""
        fields = encode(["uint256", "uint256", "uint256", "bytes"], [self.price, self.expiry, self.nonce, signature])
        return bytes([Evidence.OFFER]) + fields


@dataclass(frozen=True)
class Admission(_Signed):
    """An admitter's word that a buyer may test a listing."""

    expiry: int
    """Seconds since 1970."""
    nonce: int

    def evidence(self, signature: bytes) -> bytes:
        """Return what the buyer shows in `openSession`."""
        return bytes([Evidence.ADMISSION]) + encode(
            ["uint256", "uint256", "bytes"], [self.expiry, self.nonce, signature]
        )


_TYPES = {"market": "address", "listing": "bytes32", "buyer": "address"}


@dataclass(frozen=True)
class AdmittedBuyers:
    """A list of buyers, of which the chain knows the root alone."""

    buyers: frozenset[str]
    _tree: StandardTree = field(repr=False, compare=False)

    @classmethod
    def of(cls, buyers: Iterable[str]) -> Self:
        """Return the list of some accounts.

        Raises:
            ValueError: It is empty.
        """
        accounts = frozenset(buyers)
        return cls(accounts, StandardTree(encode(["address"], [account]) for account in accounts))

    @property
    def root(self) -> bytes:
        """What `Rules.admitted_root` holds."""
        return self._tree.root

    def evidence(self, buyer: str) -> bytes:
        """Return what a buyer of the list shows in `openSession`; raises as `path`."""
        return member_evidence(self.path(buyer))

    def path(self, buyer: str) -> tuple[bytes, ...]:
        """Return the siblings from a buyer's leaf up to the root, 32 bytes each.

        Raises:
            KeyError: It is not on the list.
        """
        return tuple(self._tree.path(encode(["address"], [buyer])))


def member_evidence(path: Sequence[bytes]) -> bytes:
    """Return what a buyer shows in `openSession` whose leaf has this path in the tree of those admitted."""
    return bytes([Evidence.MEMBER]) + encode(["bytes32[]"], [list(path)])


def is_admitted(root: bytes, buyer: str, path: Sequence[bytes]) -> bool:
    """Return whether a path leads from a buyer's leaf to a root."""
    return root_of(encode(["address"], [buyer]), path) == root


def upgrade_evidence(trade_id: int) -> bytes:
    """Return what an owner of the superseded listing's model shows in `purchase`: its settled trade."""
    return bytes([Evidence.UPGRADE]) + encode(["uint256"], [trade_id])
