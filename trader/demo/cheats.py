"""Parties that cheat: real drivers, whose conduct is honest but for one thing, so that a cheat meets the real rules.

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
from trader.he.planning.request_order import Part
from trader.package.prepare import committed_fields
from trader.parties.conduct import HONEST_BUYER, HONEST_SELLER, BuyerConduct, SellerConduct
from trader.tolerance import needed_tolerance
from trader.trade import Accepted, Answered, Confirmed, Revealed, Role, State
from zk import parameter_commitment
from zk.binding import bind_parameters
from zk.binding.chunks import CHUNK_BYTES, encode_chunks, salt_of, split_columns, stored_sums, with_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trader.chain.market import Market, Trade
    from trader.he.request import RequestParts
    from trader.model import CanonicalModel
    from trader.package import SellerPackage
    from trader.parties.goods import Goods
    from trader.trade import Event
    from zk import AuditCircuit, Srs


def other_model(model: CanonicalModel) -> CanonicalModel:
    """Return a model of the same architecture that computes something else: each parameter has the opposite sign."""
    return replace(model, tensors=tuple(-tensor for tensor in model.tensors))


class WrongAnswersSeller(SellerConduct):
    """Answers the encrypted test with another model; what is proven later is not what the buyer saw."""

    def tested_model(self, package: SellerPackage) -> CanonicalModel:
        """Return another model."""
        return other_model(package.canonical)


class WrongModelSeller(SellerConduct):
    """Delivers the parameters of another model, with the right model's salts and running sums."""

    def delivered_artifact(self, goods: Goods) -> bytes:
        """Return the chunks of another model."""
        honest = goods.package.artifact
        salts = b"".join(salt_of(honest, index) for index in range(len(honest) // CHUNK_BYTES))
        columns = split_columns(other_model(goods.package.canonical).tensors, goods.columns)
        return with_sums(encode_chunks(columns, salts), stored_sums(honest))


class WrongChunkSeller(SellerConduct):
    """Delivers the right model but for one bit of its last chunk's first parameter."""

    def delivered_artifact(self, goods: Goods) -> bytes:
        """Return the chunks but for one bit."""
        artifact = bytearray(goods.package.artifact)
        artifact[len(artifact) - CHUNK_BYTES + 64 + 3] ^= 1
        return bytes(artifact)


class WrongKeySeller(SellerConduct):
    """Reveals another key than the proven one; the market refuses it, and the seller has no other move."""

    def revealed_key(self, key: bytes) -> bytes:  # noqa: ARG002 - the honest one is kept back
        """Return another key."""
        return generate_key()


class WithheldKeySeller(SellerConduct):
    """Never reveals the key."""

    def makes(self, event: type[Event], trade: Trade, market: Market) -> bool:  # noqa: ARG002 - in any trade
        """Make all moves but this one."""
        return event is not Revealed


class LateSeller(SellerConduct):
    """Looks again a minute before its deadline, and keeps the key: one that comes late is public, and unpaid."""

    SPARE_SECONDS = 60

    def makes(self, event: type[Event], trade: Trade, market: Market) -> bool:
        """Sleep, on a development chain, before it reveals."""
        if event is Revealed:
            left = trade.position.deadline_seconds - market.chain.time().newest
            market.chain.advance_time(max(0, left - self.SPARE_SECONDS))
        return True


class SilentSeller(SellerConduct):
    """Takes the fee's session and never answers."""

    def makes(self, event: type[Event], trade: Trade, market: Market) -> bool:  # noqa: ARG002 - in any trade
        """Make all moves but this one."""
        return event is not Answered


def scaled_outputs(model: CanonicalModel, factor: float) -> CanonicalModel:
    """Return the model with its last layer, and so its outputs, times a factor, as far as its grid allows."""
    last, spec = model.tensors[-1].copy(), model.graph.parameters[-1]
    used = slice(spec.inputs + 1)  # weights and bias; salt rows follow
    last[used] = np.rint(last[used] * factor).astype(last.dtype)
    return replace(model, tensors=(*model.tensors[:-1], last))


def listed_with(
    package: SellerPackage, model: CanonicalModel, stated_error: float, circuit: AuditCircuit, srs: Srs
) -> SellerPackage:
    """Return the package with other parameters of the same architecture, and a plan that states another error.

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


class ScaledModelSeller(SellerConduct):
    """Shows a model and sells its opposite, both with outputs so small that no audit tells them apart.

    The listed model is the honest one divided by `DIVISOR`, the signs reversed; the encrypted test is answered with the
    right signs. The plan states an error, hence a tolerance, that hides the difference.
    """

    DIVISOR = 1024
    STATED_ERROR = 0.05

    def listed_goods(self, goods: Goods) -> Goods:
        """Return the opposite model, scaled."""
        listed = scaled_outputs(goods.package.canonical, -1 / self.DIVISOR)
        return replace(goods, package=listed_with(goods.package, listed, self.STATED_ERROR, goods.circuit, goods.srs))

    def tested_model(self, package: SellerPackage) -> CanonicalModel:
        """Return the listed model with the right signs."""
        return scaled_outputs(package.canonical, -1)


class LyingBuyer(BuyerConduct):
    """Commits to outputs that it did not see, to have a reason not to accept the proof."""

    def committed_outputs(self, seen: NDArray[np.int64], commit_scale_bits: int) -> NDArray[np.int64]:
        """Return each output, and one more."""
        return seen + (1 << commit_scale_bits)


class HostileSession(he.ClientSession):
    """Sends a public key whose first component it chose, so that responses would show what the seller adds to them.

    With p0 = special prime · Q/4 an encryption of zero has u·Q/4 and a little noise in its first component: the
    seller's u is read off, and nothing hides the weights any more. The proof is an honest one, of an honest key.
    """

    def _write_keys(self, request: RequestParts, nonce: bytes, context: bytes) -> None:
        super()._write_keys(request, nonce, context)
        parameters = request.parameters
        chosen = math.prod(parameters.primes) // 4 * parameters.special_prime
        request.parts[Part.PUBLIC_KEY][:] = [
            [chosen % prime] for prime in parameters.all_primes
        ]  # a constant, in NTT form


class HostileRequestBuyer(BuyerConduct):
    """Asks for an encrypted test under a public key that is none."""

    def new_session(self, plan: he.HePlan, policy: he.SecurityPolicy) -> he.ClientSession:
        """Return a session with another public key."""
        return HostileSession(plan, policy)


class SilentBuyer(BuyerConduct):
    """Takes the key and never confirms."""

    def makes(self, event: type[Event], trade: Trade, market: Market) -> bool:  # noqa: ARG002 - in any trade
        """Make all moves but this one."""
        return event is not Confirmed


class RefundedProofBuyer(BuyerConduct):
    """Reads the exact outputs off the proof and never accepts it, for the price comes back."""

    def makes(self, event: type[Event], trade: Trade, market: Market) -> bool:  # noqa: ARG002 - in any trade
        """Make all moves but this one."""
        return event is not Accepted


@dataclass(frozen=True, slots=True)
class Casting:
    """Who plays, and how the trade must end.

    Attributes:
        ends: The final state.
        cheat: What was done that the protocol does not foresee, as a sentence goes on after "the seller"; empty if
            nothing.
        seller: How the seller behaves.
        buyer: How the buyer behaves.
        fee_to_seller: Whether the seller ends with the query fee.
        leaves_proof_fee: Who did not accept a proof, or did not reveal the key to an accepted one, and pays for it.
        stranger: Who else is about, in the shared folder; then it is the stranger that cheats.
    """

    ends: State
    cheat: str = ""
    seller: SellerConduct = HONEST_SELLER
    buyer: BuyerConduct = HONEST_BUYER
    fee_to_seller: bool = True
    leaves_proof_fee: Role | None = None
    stranger: type[Squatter] | None = None

    @property
    def cheater(self) -> Role:
        """Which side cheats, unless a stranger does."""
        return Role.SELLER if self.buyer is HONEST_BUYER else Role.BUYER

    @property
    def story(self) -> str:
        """Who cheated, and how; empty where nobody did."""
        who = "a stranger" if self.stranger else f"the {self.cheater.value}"
        return f"{who} {self.cheat}" if self.cheat else ""


HONEST = Casting(State.SETTLED)
"""Nobody cheats."""

CHEATS = {
    "wrong-answers": Casting(
        State.EXPIRED,
        "answered the test with another model than the proven one",
        seller=WrongAnswersSeller(),
        leaves_proof_fee=Role.BUYER,
    ),
    "wrong-model": Casting(State.SLASHED, "delivered another model than the proven one", seller=WrongModelSeller()),
    "wrong-chunk": Casting(State.SLASHED, "delivered the proven model but for one bit", seller=WrongChunkSeller()),
    "wrong-key": Casting(
        State.EXPIRED,
        "revealed another key, which the market refused",
        seller=WrongKeySeller(),
        leaves_proof_fee=Role.SELLER,
    ),
    "withheld-key": Casting(
        State.EXPIRED, "never revealed the key", seller=WithheldKeySeller(), leaves_proof_fee=Role.SELLER
    ),
    "late-reveal": Casting(
        State.EXPIRED,
        "came a minute before its deadline, and kept the key",
        seller=LateSeller(),
        leaves_proof_fee=Role.SELLER,
    ),
    "silent-seller": Casting(State.EXPIRED, "never answered the test", seller=SilentSeller(), fee_to_seller=False),
    "scaled-model": Casting(
        State.EXPIRED, "listed the opposite model, with outputs below the tolerance", seller=ScaledModelSeller()
    ),
    "hostile-request": Casting(
        State.EXPIRED, "asked under a public key that is none", buyer=HostileRequestBuyer(), fee_to_seller=False
    ),
    "lying-buyer": Casting(
        State.EXPIRED,
        "committed to outputs that it did not see",
        buyer=LyingBuyer(),
        leaves_proof_fee=Role.BUYER,
    ),
    "refunded-proof": Casting(
        State.EXPIRED,
        "read exact outputs off the proof and did not accept it",
        buyer=RefundedProofBuyer(),
        leaves_proof_fee=Role.BUYER,
    ),
    "silent-buyer": Casting(State.SETTLED, "took the key and never confirmed", buyer=SilentBuyer()),
    "squatter": Casting(State.SETTLED, "flooded the shared folder and put every message aside once", stranger=Squatter),
}
"""Every kind of cheat by name."""
