"""Forged listings between real parties: refused before anything is paid, or lost to a dispute that the buyer wins.

The forger has an honest model's commitments, circuit and proofs, and everything that it may choose: chunks, running
sums, opening, circuit. What each kind of forgery meets first:

| forged | met by |
|---|---|
| other weights in the chunks, with their own sums | the opening, before payment |
| … with the proven model's last sum | the sum step, in a dispute |
| … with all of the proven model's sums | the sum step, in a dispute |
| wrong sums over the right weights | the sum step, in a dispute |
| the right weights in another order | as other weights |
| other weights in the proof | the escrow, which refuses the proof |
| a wrong opening | the pairing, before payment |
| a copy of an honest listing | its seller, or the pairing, before payment |
| a verifying key with an unlinked column | the check of each column's permutation, before payment |
| a verifying key artifact with foreign SRS points | the rebuild, before payment |
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import rfc8785
from eth_account import Account
from eth_utils.crypto import keccak

import zk
from contracts import bind_market
from tests.adversarial.test_cheats import payoff
from tests.simulators.trading import FEE, Trading
from trader.demo.cheats import Casting, other_model
from trader.errors import CallerError, TransactionRefusedError
from trader.model.architecture import architecture_bytes, parse_architecture
from trader.model.graph import INPUT, Graph, ParameterSpec, value_name
from trader.model.manifest import NOBODY
from trader.model.nodes import Linear
from trader.package import open_circuit
from trader.parties.conduct import SellerConduct
from trader.parties.goods import Goods
from trader.trade import Role, State
from trader.verify import ListingBindingError, ListingCircuitError, ListingColumnError, ListingManifestError
from zk.binding import ChunkCommitments, ColumnLayout, derive_challenge, running_sums, sums_tree, weights_tree
from zk.binding.chunks import encode_chunks, salt_of, split_columns, sum_salt, with_sums
from zk.binding.kzg import open_columns
from zk.circuits import batching
from zk.circuits.architecture import read_shapes
from zk.circuits.key_files import obtain_keys
from zk.circuits.keys import read_vka, vka_digest
from zk.circuits.planner import plan_circuit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from trader.chain import Chain
    from trader.model import CanonicalModel
    from trader.package import SellerPackage
    from zk import AuditCircuit, Srs

    Columns = list[NDArray[np.int32]]

SUM_STEP = 2
"""`Dispute.SumStep` of the escrow."""


@dataclass
class Forger:
    """Makes packages whose proofs are the honest model's, and whose delivered chunks are something else."""

    package: SellerPackage
    circuit: AuditCircuit
    srs: Srs

    @property
    def layout(self) -> ColumnLayout:
        return ColumnLayout(self.circuit.logrows, self.circuit.column_lengths)

    @property
    def proven(self) -> Columns:
        """The honest model's columns, to which its commitments open."""
        return split_columns(self.package.canonical.tensors, self.layout)

    def forge(self, columns: Columns, forge_sums: Callable[[list[int], list[int]], list[int]]) -> SellerPackage:
        """A package of these chunks; the sums are made of their own sums and the proven model's.

        The opening is the honest one at the challenge that the forged chunks give: nothing else would verify.
        """
        manifest = self.package.manifest
        rng = np.random.default_rng(1)
        blank = encode_chunks(columns, rng.bytes(32 * self.layout.chunk_count))
        weights = weights_tree(blank)
        commitment = bytes.fromhex(manifest.parameter_commitment[2:])
        challenge = derive_challenge(weights.root, commitment, bytes.fromhex(manifest.seller[2:]))
        true_sums = running_sums(self.proven, self.layout, challenge)
        artifact = with_sums(blank, forge_sums(running_sums(columns, self.layout, challenge), true_sums))
        opening = open_columns(
            self.proven,
            true_sums[-1],
            self.layout,
            challenge,
            self.srs,
            lambda elements: zk.commit_elements(self.circuit, elements, self.srs)[0],
        )
        last_sum_salt = sum_salt(salt_of(artifact, self.layout.chunk_count - 1))
        commitments = ChunkCommitments(weights, sums_tree(artifact), last_sum_salt)
        return replace(
            self.tampered(
                leaves=commitments.to_bytes(),
                weights_root=_hex(weights.root),
                sums_root=_hex(commitments.sums.root),
                binding={"value": _hex(opening.value.to_bytes(32, "big")), "proof": _hex(opening.proof)},
            ),
            artifact=artifact,
        )

    def tampered(self, *, circuit: dict[str, str] | None = None, **changes: Any) -> SellerPackage:
        """The honest package with other files, and a manifest that names them, whose hash the forger lists."""
        public = self.package.public
        files = {name: changes.pop(name) for name in ("leaves", "architecture", "settings") if name in changes}
        manifest = json.loads(public.manifest) | changes
        manifest["circuit"] |= circuit or {}
        if "architecture" in files:
            manifest["architecture_digest"] = _hex(keccak(files["architecture"]))
        return replace(self.package, public=replace(public, manifest=rfc8785.dumps(manifest), **files))


@pytest.fixture(scope="module")
def forger(package: SellerPackage, package_srs: Srs) -> Forger:
    return Forger(package, open_circuit(package.public, package_srs), package_srs)


@pytest.fixture
def play_forged(chain: Chain, trade_on: Callable[..., Trading]) -> Callable[..., Trading]:
    """Lists a forged package with real parties."""

    def list_it(forged: SellerPackage, seller: type[SellerConduct] = SellerConduct, **table: Any) -> Trading:
        class ForgingSeller(seller):
            def check_deliverable(self, package: SellerPackage) -> None:
                """It knows that its package is not whole."""

        return trade_on(chain, listed=forged, seller_conduct=ForgingSeller(), **table)

    return list_it


def other_weights(forger: Forger) -> Columns:
    return split_columns(other_model(forger.package.canonical).tensors, forger.layout)


def one_weight_off(forger: Forger) -> Columns:
    columns = [column.copy() for column in forger.proven]
    columns[0][0] += 1
    return columns


def another_order(forger: Forger) -> Columns:
    """Two different parameters of the first column in each other's place."""
    columns = [column.copy() for column in forger.proven]
    first = columns[0]
    other = int(np.flatnonzero(first != first[0])[0])
    first[[0, other]] = first[[other, 0]]
    return columns


FORGED_WEIGHTS = [other_weights, one_weight_off, another_order]


def last_of_the_proven(own: list[int], proven: list[int]) -> list[int]:
    return [*own[:-1], proven[-1]]


def all_of_the_proven(_own: list[int], proven: list[int]) -> list[int]:
    return proven


# -------------------------------------------------------------------------------------------------- before payment


def assert_refused_unpaid(trading: Trading, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        trading.open()
    assert trading.gains() == dict.fromkeys(Role, 0)
    assert bind_market(trading.chain.web3, trading.market.deployment.market).functions.tradeCount().call() == 0


@pytest.mark.parametrize("weights", FORGED_WEIGHTS)
def test_other_chunks_with_their_own_sums_are_not_bought(forger: Forger, play_forged, weights) -> None:
    trading = play_forged(forger.forge(weights(forger), lambda own, _proven: own))
    assert_refused_unpaid(trading, ListingBindingError, "the sums tree ends in")


@pytest.mark.parametrize("field", ["value", "proof"])
def test_a_wrong_opening_is_not_bought(forger: Forger, play_forged, field: str) -> None:
    """That of a model with other weights: a point of the curve and a field element, as they should be."""
    other = forger.forge(forger.proven, lambda own, _proven: own).manifest.binding.model_dump()
    honest = json.loads(forger.package.public.manifest)["binding"]
    trading = play_forged(forger.tampered(binding=honest | {field: other[field]}))
    assert_refused_unpaid(trading, ListingBindingError, "the opening of the parameter commitments is false")


class Copier(SellerConduct):
    """Lists somebody's model again from an account of its own, for the test fees of buyers that it can't serve."""

    def check_owner(self, package: SellerPackage, address: str) -> None:
        """It knows that the package is not its own."""


@pytest.mark.parametrize("renamed", [False, True])
def test_a_copied_listing_is_not_bought(forger: Forger, play_forged, renamed: bool) -> None:
    """The honest package word by word, or with the copier's account in the manifest: it has no opening for that."""
    copier = Account.create()
    package = forger.tampered(seller=copier.address.lower()) if renamed else forger.package
    trading = play_forged(package, Copier, seller_account=copier)
    if renamed:
        assert_refused_unpaid(trading, ListingBindingError, "the opening of the parameter commitments is false")
    else:
        assert_refused_unpaid(trading, ListingManifestError, "the seller 0x")


@pytest.mark.parametrize("whose", ["another's", "nobody's"])
def test_an_honest_seller_lists_no_package_but_its_own(forger: Forger, play_forged, whose: str) -> None:
    seller = NOBODY if whose == "nobody's" else "0x" + "c0" * 20
    with pytest.raises(CallerError, match="Prepare it again with your account as --seller"):
        play_forged(forger.tampered(seller=seller))


def listing_of(forger: Forger, vka: Sequence[bytes]) -> type[SellerConduct]:
    """A seller that registers this artifact, as an honest one registers its own."""
    registered = replace(forger.circuit, vka=tuple(vka), digest=vka_digest(tuple(vka)))

    class RegisteredGoods(Goods):
        circuit = registered

    class Registrar(SellerConduct):
        def listed_goods(self, goods: Goods) -> Goods:
            return RegisteredGoods(goods.package, goods.folder)

    return Registrar


def test_a_key_with_an_unlinked_column_is_not_bought(
    forger: Forger, play_forged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Architecture, settings and key fit each other, but no output depends on the second committed column.

    A random check would tie it to results that nothing reads; left out of the check, it is tied to nothing.
    """
    graph = with_dead_layer(parse_architecture(forger.package.public.architecture))
    *_, dead, _ = graph.parameters
    found = batching.find_products
    monkeypatch.setattr(
        "zk.circuits.audit_graph.find_products",
        lambda *given, **least: [product for product in found(*given, **least) if product.right != dead.name],
    )
    data = architecture_bytes(graph)
    model = onnx.load_from_string(data)
    audit, settings = plan_circuit(
        model,
        read_shapes(model),
        audit_samples=forger.circuit.audit_samples,
        scale_bits=forger.circuit.scale_bits,
        activation_magnitude=8.0,
    )
    vka = read_vka(obtain_keys(audit.onnx, settings.canonical, forger.srs).vka.read_bytes())
    circuit = {"circuit_digest": _hex(vka_digest(vka)), "settings_digest": _hex(keccak(settings.canonical))}
    forged = forger.tampered(architecture=data, settings=settings.canonical, circuit=circuit)
    assert_refused_unpaid(play_forged(forged, listing_of(forger, vka)), ListingColumnError, "not tied")


def with_dead_layer(graph: Graph) -> Graph:
    """The graph with one more layer before its last, which nothing reads."""
    *nodes, last = graph.nodes
    *specs, last_spec = graph.parameters
    dead = Linear(value_name("linear", len(nodes)), (INPUT,), (2,), len(specs))
    last = replace(last, name=value_name("linear", len(nodes) + 1), parameter=len(specs) + 1)
    dead_spec = ParameterSpec(last_spec.name, graph.features, 2, last_spec.salt_rows)
    last_spec = replace(last_spec, name=f"parameter_{len(specs) + 1}")
    return replace(graph, nodes=(*nodes, dead, last), output=last.name, parameters=(*specs, dead_spec, last_spec))


@pytest.mark.slow
def test_a_key_with_foreign_points_is_not_bought(forger: Forger, play_forged, monkeypatch: pytest.MonkeyPatch) -> None:
    """The forger knows the trapdoor of [τ]G2 in its own artifact, and could prove anything to it."""
    monkeypatch.setattr("zk.circuits.key_files.MAX_BUILDS", 2)
    vka = list(forger.circuit.vka)
    vka[20:24] = vka[16:20]  # τ = -1, which everyone knows
    forged = forger.tampered(circuit={"circuit_digest": _hex(vka_digest(tuple(vka)))})
    trading = play_forged(forged, listing_of(forger, vka))
    assert_refused_unpaid(trading, ListingCircuitError, "do not give the listed circuit digest")


# ------------------------------------------------------------------------------------------------------ by a dispute


def slashed_by(trading: Trading) -> list[int]:
    """Kinds of the disputes that were won."""
    market = bind_market(trading.chain.web3, trading.market.deployment.market)
    return [log["args"]["dispute"] for log in market.events.Slashed.get_logs(from_block=0)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weights", "forge_sums"),
    [
        (other_weights, last_of_the_proven),
        (one_weight_off, all_of_the_proven),
        (another_order, last_of_the_proven),
    ],
)
def test_other_chunks_under_the_proven_sum_lose_price_and_bond(forger, play_forged, weights, forge_sums) -> None:
    """Listing, test and proof are faultless: the listed bytes alone are others, and they are delivered as listed."""
    trading = play_forged(forger.forge(weights(forger), forge_sums))
    assert trading.play() is State.SLASHED
    assert slashed_by(trading) == [SUM_STEP]
    assert trading.gains() == payoff(Casting(State.SLASHED))


@pytest.mark.slow
def test_wrong_sums_over_the_right_weights_lose_price_and_bond(forger: Forger, play_forged) -> None:
    def forge_sum(own: list[int], _proven: list[int]) -> list[int]:
        return [own[0] + 1, *own[1:]]

    trading = play_forged(forger.forge(forger.proven, forge_sum))
    assert trading.play() is State.SLASHED
    assert slashed_by(trading) == [SUM_STEP]


class OtherProofSeller(SellerConduct):
    """Tests and lists with the honest model, and proves with another one."""

    honest: CanonicalModel

    def tested_model(self, package: SellerPackage) -> CanonicalModel:
        return self.honest


@pytest.mark.slow
def test_other_weights_in_the_proof_earn_no_price(forger: Forger, play_forged) -> None:
    class ProvingSeller(OtherProofSeller):
        honest = forger.package.canonical

    trading = play_forged(replace(forger.package, canonical=other_model(forger.package.canonical)), ProvingSeller)
    assert trading.play() is State.EXPIRED
    assert trading.gains() == {Role.SELLER: FEE, Role.BUYER: -FEE}
    refused = [error for error in trading.refusals if isinstance(error, TransactionRefusedError)]
    assert any("Commitment" in str(error) for error in refused)


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
