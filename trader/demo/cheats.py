"""Parties that cheat: each is the honest driver with one thing done differently, so that a cheat meets the real rules.

`CHEATS` says who plays which cheat and how the trade must end. None gains more than the query fee and the fee of a
proof, none costs the honest side more than these and its gas. The adversarial tests assert it for each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from trader import he
from trader.delivery import generate_key
from trader.demo.stranger import Squatter
from trader.errors import TransactionRefusedError
from trader.package.prepare import committed_fields
from trader.parties.buyer import Buyer
from trader.parties.seller import Seller
from trader.tolerance import needed_tolerance
from trader.trade import Role, State
from zk import parameter_commitment
from zk.binding import bind_parameters
from zk.binding.chunks import CHUNK_BYTES, encode_chunks, salt_of, split_columns, stored_sums, with_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trader.chain.market import Trade
    from trader.he.request import RequestParts
    from trader.model import CanonicalModel
    from trader.package import SellerPackage
    from trader.parties.party import Equipment
    from zk import AuditCircuit, Srs


def other_model(model: CanonicalModel) -> CanonicalModel:
    """A model of the same architecture that computes something else: every parameter with the opposite sign."""
    return replace(model, tensors=tuple(-tensor for tensor in model.tensors))


class WrongAnswersSeller(Seller):
    """Answers the encrypted test with another model; what is proven later is not what the buyer saw."""

    def _tested_model(self) -> CanonicalModel:
        return other_model(self.package.canonical)


class WrongModelSeller(Seller):
    """Delivers the parameters of another model, with the right model's salts and running sums."""

    def _delivered_artifact(self) -> bytes:
        honest = self.package.artifact
        salts = b"".join(salt_of(honest, index) for index in range(len(honest) // CHUNK_BYTES))
        columns = split_columns(other_model(self.package.canonical).tensors, self.columns)
        return with_sums(encode_chunks(columns, salts), stored_sums(honest))


class WrongChunkSeller(Seller):
    """Delivers the right model but for one bit of its last chunk's first parameter."""

    def _delivered_artifact(self) -> bytes:
        artifact = bytearray(self.package.artifact)
        artifact[len(artifact) - CHUNK_BYTES + 64 + 3] ^= 1
        return bytes(artifact)


class WrongKeySeller(Seller):
    """Reveals another key than the proven one; the market refuses it, and the seller has no other move."""

    def reveal(self, trade_id: int) -> None:
        """Try the wrong key."""
        try:
            super().reveal(trade_id)
        except TransactionRefusedError as error:
            self._refuse(self.market.trade(trade_id), error)

    def _revealed_key(self, trade_id: int) -> bytes:  # noqa: ARG002 - the honest seller's key depends on the trade
        return generate_key()


class WithheldKeySeller(Seller):
    """Never reveals the key."""

    def _advance(self, trade: Trade) -> bool:
        return trade.position.state is not State.ACCEPTED and super()._advance(trade)


class LateSeller(Seller):
    """Looks again a minute before its deadline, and keeps the key: one that comes late is public, and unpaid."""

    SPARE_SECONDS = 60

    def reveal(self, trade_id: int) -> None:
        """Sleep, on a development chain, and try to reveal."""
        chain, deadline = self.market.chain, self.market.trade(trade_id).position.deadline_seconds
        chain.advance_time(max(0, deadline - self.SPARE_SECONDS - chain.time().newest))
        super().reveal(trade_id)


class SilentSeller(Seller):
    """Takes the fee's session and never answers."""

    def _advance(self, trade: Trade) -> bool:
        return trade.position.state is not State.TESTING and super()._advance(trade)


def scaled_outputs(model: CanonicalModel, factor: float) -> CanonicalModel:
    """The model with its last layer, and so its outputs, times a factor, as far as its grid allows."""
    last, spec = model.tensors[-1].copy(), model.graph.parameters[-1]
    used = slice(spec.inputs + 1)  # weights and bias; salt rows follow
    last[used] = np.rint(last[used] * factor).astype(last.dtype)
    return replace(model, tensors=(*model.tensors[:-1], last))


def listed_with(
    package: SellerPackage, model: CanonicalModel, stated_error: float, circuit: AuditCircuit, srs: Srs
) -> SellerPackage:
    """The package with other parameters of the same architecture, and a plan that states another error.

    Everything that a listing is checked for is right: commitments, opening, a tolerance that derives from that error.
    """
    points = parameter_commitment(circuit, model.tensors, srs)
    bound = bind_parameters(circuit, model.tensors, points, srs, seller=bytes.fromhex(package.manifest.seller[2:]))
    plan = he.parse_plan(package.manifest.plan).model_copy(update={"expected_error": stated_error})
    tolerance = hex(needed_tolerance(plan, circuit.output_scale_bits))
    manifest = package.manifest.model_copy(
        update=committed_fields(points, bound)
        | {
            "plan": plan.model_dump(mode="json"),
            "circuit": package.manifest.circuit.model_copy(update={"tolerance": tolerance}),
        }
    )
    public = replace(package.public, manifest=manifest.to_bytes(), leaves=bound.commitments.to_bytes())
    return replace(package, public=public, canonical=model, artifact=bound.artifact)


class ScaledModelSeller(Seller):
    """Shows a model and sells its opposite, both with outputs so small that no audit tells them apart.

    The listed model is the honest one divided by `DIVISOR`, the signs reversed; the encrypted test is answered with the
    right signs. The plan states an error, hence a tolerance, that hides the difference.
    """

    DIVISOR = 1024
    STATED_ERROR = 0.05

    def __init__(self, package: SellerPackage, equipment: Equipment, device: str = "cpu") -> None:
        super().__init__(package, equipment, device)
        listed = scaled_outputs(package.canonical, -1 / self.DIVISOR)
        forged = listed_with(package, listed, self.STATED_ERROR, self.circuit, self.srs)
        super().__init__(forged, equipment, device)

    def _tested_model(self) -> CanonicalModel:
        return scaled_outputs(self.package.canonical, -1)


class LyingBuyer(Buyer):
    """Commits to outputs that it did not see, to have a reason not to accept the proof."""

    def _committed_outputs(self, seen: NDArray[np.int64]) -> NDArray[np.int64]:
        return seen + (1 << self.listing.manifest.circuit.commit_scale_bits)


class HostileSession(he.ClientSession):
    """Sends a public key whose first component it chose, so that responses would show what the seller adds to them.

    With p0 = special prime · Q/4 an encryption of zero has u·Q/4 and a little noise in its first component: the
    seller's u is read off, and nothing hides the weights any more. The proof is an honest one, of an honest key.
    """

    def _write_keys(self, request: RequestParts, nonce: bytes, context: bytes) -> None:
        super()._write_keys(request, nonce, context)
        parameters = request.parameters
        chosen = math.prod(parameters.primes) // 4 * parameters.special_prime
        request.parts[0][:] = [[chosen % prime] for prime in parameters.all_primes]  # a constant, in NTT form


class HostileRequestBuyer(Buyer):
    """Asks for an encrypted test under a public key that is none."""

    def _new_session(self) -> he.ClientSession:
        return HostileSession(self.listing.plan, self.policy.encryption)


class SilentBuyer(Buyer):
    """Takes the key and never confirms."""

    def _advance(self, trade: Trade) -> bool:
        return trade.position.state is not State.REVEALED and super()._advance(trade)


class RefundedProofBuyer(Buyer):
    """Reads the exact outputs off the proof and never accepts it, for the price comes back."""

    def _advance(self, trade: Trade) -> bool:
        return trade.position.state is not State.PROVEN and super()._advance(trade)


@dataclass(frozen=True, slots=True)
class Casting:
    """Who plays, and how the trade must end.

    Attributes:
        seller: The seller's driver.
        buyer: The buyer's driver.
        ends: The final state.
        cheat: What was done that the protocol does not foresee, as a sentence goes on after "the seller"; empty if
            nothing.
        fee_to_seller: Whether the seller ends with the query fee.
        leaves_proof_fee: Who did not accept a proof, or did not reveal the key to an accepted one, and pays for it.
        stranger: Who else is about, in the shared folder; then it is the stranger that cheats.
    """

    seller: type[Seller]
    buyer: type[Buyer]
    ends: State
    cheat: str = ""
    fee_to_seller: bool = True
    leaves_proof_fee: Role | None = None
    stranger: type[Squatter] | None = None

    @property
    def cheater(self) -> Role:
        """Which side cheats, unless a stranger does."""
        return Role.SELLER if self.buyer is Buyer else Role.BUYER

    @property
    def story(self) -> str:
        """Who cheated, and how; empty where nobody did."""
        who = "a stranger" if self.stranger else f"the {self.cheater.value}"
        return f"{who} {self.cheat}" if self.cheat else ""


HONEST = Casting(Seller, Buyer, State.SETTLED)
"""Nobody cheats."""

CHEATS = {
    "wrong-answers": Casting(
        WrongAnswersSeller,
        Buyer,
        State.EXPIRED,
        "answered the test with another model than the proven one",
        leaves_proof_fee=Role.BUYER,
    ),
    "wrong-model": Casting(WrongModelSeller, Buyer, State.SLASHED, "delivered another model than the proven one"),
    "wrong-chunk": Casting(WrongChunkSeller, Buyer, State.SLASHED, "delivered the proven model but for one bit"),
    "wrong-key": Casting(
        WrongKeySeller,
        Buyer,
        State.EXPIRED,
        "revealed another key, which the market refused",
        leaves_proof_fee=Role.SELLER,
    ),
    "withheld-key": Casting(
        WithheldKeySeller, Buyer, State.EXPIRED, "never revealed the key", leaves_proof_fee=Role.SELLER
    ),
    "late-reveal": Casting(
        LateSeller,
        Buyer,
        State.EXPIRED,
        "came a minute before its deadline, and kept the key",
        leaves_proof_fee=Role.SELLER,
    ),
    "silent-seller": Casting(SilentSeller, Buyer, State.EXPIRED, "never answered the test", fee_to_seller=False),
    "scaled-model": Casting(
        ScaledModelSeller, Buyer, State.EXPIRED, "listed the opposite model, with outputs below the tolerance"
    ),
    "hostile-request": Casting(
        Seller, HostileRequestBuyer, State.EXPIRED, "asked under a public key that is none", fee_to_seller=False
    ),
    "lying-buyer": Casting(
        Seller,
        LyingBuyer,
        State.EXPIRED,
        "committed to outputs that it did not see",
        leaves_proof_fee=Role.BUYER,
    ),
    "refunded-proof": Casting(
        Seller,
        RefundedProofBuyer,
        State.EXPIRED,
        "read exact outputs off the proof and did not accept it",
        leaves_proof_fee=Role.BUYER,
    ),
    "silent-buyer": Casting(Seller, SilentBuyer, State.SETTLED, "took the key and never confirmed"),
    "squatter": Casting(
        Seller,
        Buyer,
        State.SETTLED,
        "flooded the shared folder and put every message aside once",
        stranger=Squatter,
    ),
}
"""Every kind of cheat by name."""
