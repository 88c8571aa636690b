"""The buyer's checks (1) to (8): each refuses what it is there for, with its own error."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import rfc8785
from eth_utils.crypto import keccak

from contracts import Periphery, Terms, UnexpectedCodeError, Windows, periphery_address
from tests.simulators.listing_verifier import Verifier
from tests.simulators.trading import AUDIT_SAMPLES, ETHER, POLICY, SELLER
from trader.currencies import Currencies, Currency
from trader.errors import ListingError, PolicyError
from trader.he import SecurityPolicy
from trader.verify import (
    BuyerPolicy,
    ListingBindingError,
    ListingCircuitError,
    ListingCodeError,
    ListingManifestError,
    ListingPlanError,
    ListingSetupError,
    TokenLimits,
)
from zk import Srs, development_srs

if TYPE_CHECKING:
    from trader.package import SellerPackage


@pytest.fixture
def verify(package: SellerPackage, package_srs: Srs) -> Verifier:
    return Verifier(package, package_srs)


def test_an_honest_listing_passes_and_gives_what_the_trade_needs(verify: Verifier, package: SellerPackage) -> None:
    verified = verify()
    assert (verified.listing_id, verified.seller, verified.terms) == (7, SELLER.address, verify.terms)
    assert verified.manifest == package.manifest
    assert verified.graph == package.canonical.graph
    assert verified.statement.digest == verify.terms.statement
    assert (verified.statement.circuit_digest, verified.statement.layout) == (verified.circuit.digest, verified.layout)
    assert verified.commitments.weights.root == verify.terms.weights_root
    assert verified.columns.chunk_count * 1024 == len(package.artifact)


# (1)


def test_1_commitments_that_contradict_their_digest_are_refused(verify: Verifier, package: SellerPackage) -> None:
    with pytest.raises(ListingManifestError):
        verify.listed(parameter_commitments=list(package.manifest.parameter_commitments)[::-1])


def test_1_another_manifest_is_refused_with_both_digests(verify: Verifier) -> None:
    other = verify.public.manifest.replace(b"for tests", b"for fools")
    assert other != verify.public.manifest
    with pytest.raises(ListingManifestError) as refused:
        verify(replace(verify.public, manifest=other))
    assert f"0x{verify.terms.manifest_hash.hex()}" in str(refused.value)
    assert f"0x{keccak(other).hex()}" in str(refused.value)


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b"[" * 100_000, b'{"version": 1e999}'])
def test_1_a_listed_manifest_that_is_none_is_refused(data: bytes, verify: Verifier) -> None:
    with pytest.raises(ListingManifestError):
        verify(replace(verify.public, manifest=data), replace(verify.terms, manifest_hash=keccak(data)))


@pytest.mark.parametrize(
    ("term", "value"),
    [
        ("statement", bytes(32)),
        ("weights_root", bytes(32)),
        ("sums_root", bytes(32)),
        ("audit_samples", 7),
        ("tolerance", 1),
        ("buyer_quota", 1),
        ("listing_quota", 1),
        ("fee_wei", 0),
    ],
)
def test_1_terms_that_the_manifest_contradicts_are_refused(term: str, value: object, verify: Verifier) -> None:
    with pytest.raises(ListingManifestError, match="the terms on the chain"):
        verify(terms=replace(verify.terms, **{term: value}))


def test_1_a_listing_that_another_account_copied_is_refused(verify: Verifier) -> None:
    """Word by word the honest listing, and the copier's account on the chain."""
    copier = "0x" + "c0" * 20
    with pytest.raises(
        ListingManifestError, match=f"the seller {SELLER.address.lower()}, the terms on the chain {copier}"
    ):
        verify(seller=copier)


# (2)


def test_2_other_code_is_refused(verify: Verifier) -> None:
    def other_code() -> None:
        raise UnexpectedCodeError("the market at 0x00 runs other code")

    with pytest.raises(ListingCodeError, match="Don't pay into this market"):
        verify(sources=replace(verify.sources, verify_code=other_code))


# (3)


def test_3_a_development_listing_is_refused_unless_asked_for(verify: Verifier) -> None:
    with pytest.raises(ListingSetupError, match="locally made reference string"):
        verify(policy=BuyerPolicy())


def test_3_another_reference_string_is_refused(verify: Verifier, package_srs: Srs) -> None:
    other = replace(package_srs, digest=bytes(32))
    with pytest.raises(ListingSetupError, match="expected digest"):
        verify(sources=replace(verify.sources, find_srs=lambda _: other))


def test_3_a_locally_made_string_passed_off_as_a_ceremonys_is_refused(verify: Verifier) -> None:
    with pytest.raises(ListingSetupError, match="a locally made one was found"):
        verify.listed(circuit__srs__development=False)


def test_3_a_missing_reference_string_is_refused(verify: Verifier, package_srs: Srs) -> None:
    with pytest.raises(ListingSetupError, match="no reference string"):
        verify(sources=replace(verify.sources, find_srs=lambda _: development_srs(99)))


# (4) and (5)


def test_4_another_architecture_is_refused(verify: Verifier) -> None:
    with pytest.raises(ListingCircuitError, match=r"architecture\.onnx is not the listed architecture"):
        verify(replace(verify.public, architecture=verify.public.architecture + b"\0"))


def test_4_a_listed_file_that_is_no_architecture_is_refused(verify: Verifier) -> None:
    hostile = b"\x08\x01" * 100
    verify.public = replace(verify.public, architecture=hostile)
    with pytest.raises(ListingCircuitError):
        verify.listed(architecture_digest=f"0x{keccak(hostile).hex()}")


def test_4_other_settings_are_refused(verify: Verifier) -> None:
    with pytest.raises(ListingCircuitError, match=r"settings\.json is not the listed settings"):
        verify(replace(verify.public, settings=verify.public.settings + b" "))


@pytest.mark.slow
def test_4_a_circuit_that_the_architecture_does_not_give_is_refused(verify: Verifier) -> None:
    digest = bytes(31) + b"\1"
    with pytest.raises(ListingCircuitError, match="Choose another listing"):
        verify.listed(circuit__circuit_digest=f"0x{digest.hex()}")


def test_4_another_layout_is_refused(verify: Verifier) -> None:
    with pytest.raises(ListingCircuitError, match="layout"):
        verify.listed(circuit__layout__proof_bytes=verify().layout.proof_bytes + 32)


def test_4_another_output_scale_is_refused(verify: Verifier, package: SellerPackage) -> None:
    with pytest.raises(ListingError):
        verify.listed(circuit__commit_scale_bits=package.manifest.circuit.commit_scale_bits - 1)


# (6)


def test_6_other_leaves_are_refused(verify: Verifier) -> None:
    leaves = bytearray(verify.public.leaves)
    leaves[-1] ^= 1
    with pytest.raises(ListingBindingError):
        verify(replace(verify.public, leaves=bytes(leaves)))


@pytest.mark.parametrize("leaves", [b"", b"\0" * 31, b"\0" * 10_000])
def test_6_leaves_of_another_length_are_refused(leaves: bytes, verify: Verifier) -> None:
    with pytest.raises(ListingBindingError):
        verify(replace(verify.public, leaves=leaves))


def test_6_a_listing_without_an_opening_is_refused(verify: Verifier) -> None:
    with pytest.raises(ListingError):
        verify.listed(binding=None)


def test_6_a_false_opening_is_refused(verify: Verifier) -> None:
    with pytest.raises(ListingBindingError):
        verify.listed(binding__value="0x" + "00" * 31 + "01")


def test_6_an_opening_under_another_sellers_name_is_refused(verify: Verifier) -> None:
    """The copier writes its own account into the manifest: the opening is not valid for it, and it can't make one."""
    copier = "0x" + "c0" * 20
    manifest = rfc8785.dumps(json.loads(verify.public.manifest) | {"seller": copier})
    terms = replace(verify.terms, manifest_hash=keccak(manifest))
    with pytest.raises(ListingBindingError, match="opening of the parameter commitments is false"):
        verify(replace(verify.public, manifest=manifest), terms, seller=copier)


def test_6_commitments_in_another_order_are_refused(verify: Verifier, package: SellerPackage) -> None:
    swapped = list(package.manifest.parameter_commitments)[::-1]
    digest = keccak(b"".join(bytes.fromhex(point[2:]) for point in swapped))
    with pytest.raises(ListingBindingError):
        verify.listed(
            parameter_commitments=swapped,
            parameter_commitment=f"0x{digest.hex()}",
        )


# (7)


def test_7_a_plan_below_the_buyers_security_is_refused(verify: Verifier) -> None:
    with pytest.raises(ListingPlanError, match="No key was made"):
        verify(policy=replace(POLICY, encryption=SecurityPolicy(security_bits=256)))


def test_7_a_plan_that_overstates_its_security_is_refused(verify: Verifier, package: SellerPackage) -> None:
    with pytest.raises(ListingPlanError):
        verify.listed(plan__ring_degree=1024)


def test_7_a_plan_for_another_model_is_refused(verify: Verifier, package: SellerPackage) -> None:
    alone = {"plan__few_samples": None, "plan__few_samples_limit": 0, "plan__many_samples": None}
    with pytest.raises(ListingPlanError, match="the model has"):
        verify.listed(plan__features=package.manifest.plan["features"] + 1, **alone)


def test_7_a_plan_for_bits_of_a_model_that_reads_numbers_is_refused(verify: Verifier, package: SellerPackage) -> None:
    with pytest.raises(ListingPlanError, match="other bins"):
        verify.listed(plan__edges=[package.manifest.plan["features"]], plan__few_samples=None, plan__many_samples=None)


@pytest.mark.parametrize("plan", [{}, {"ring_degree": "many"}])
def test_7_a_malformed_plan_is_refused(plan: dict[str, Any], verify: Verifier) -> None:
    with pytest.raises(ListingPlanError):
        verify.listed(plan=plan)


# (8)


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        ({"maximum_price_wei": ETHER - 1}, "price"),
        ({"maximum_fee_wei": 0}, "fee"),
        ({"minimum_bond_percent": 21}, "bond"),
        ({"minimum_audit_samples": AUDIT_SAMPLES + 1}, "number of audit samples"),
        ({"minimum_degree_per_output": 4096 // AUDIT_SAMPLES + 1}, "number of committed outputs"),
        ({"minimum_window_seconds": 3601}, "seconds to decide"),
        ({"minimum_acceptance_seconds": 3601}, "seconds to accept"),
        ({"minimum_dispute_seconds": 24 * 3600 + 1}, "seconds to dispute"),
        ({"minimum_acceptance_seconds": 0, "checking_seconds": 3000}, "seconds to accept"),
        ({"maximum_window_seconds": 3599}, "seconds for the seller to answer"),
    ],
)
def test_8_terms_below_the_buyers_policy_are_refused(policy: dict[str, Any], name: str, verify: Verifier) -> None:
    with pytest.raises(PolicyError, match=f"the listing's {name}.*: .* your policy asks for at "):
        verify(policy=replace(POLICY, **policy))


def test_8_terms_exactly_at_the_policy_are_good_enough() -> None:
    terms = replace(TERMS_AT_THE_EDGE, bond_wei=100)
    BuyerPolicy(maximum_price_wei=999, minimum_bond_percent=10).check_terms(terms)
    with pytest.raises(PolicyError, match="bond: 99 wei, your policy asks for at least 100 wei"):
        BuyerPolicy(minimum_bond_percent=10).check_terms(replace(terms, bond_wei=99))
    with pytest.raises(PolicyError, match="seconds to decide: 612, your policy asks for at least 1368"):
        BuyerPolicy().check_terms(terms, confirmations=64)
    for short in ({"decision_seconds": 611}, {"acceptance_seconds": 3599}, {"dispute_seconds": 24 * 3600 - 1}):
        with pytest.raises(PolicyError, match="seconds to"):
            BuyerPolicy().check_terms(replace(terms, windows=replace(terms.windows, **short)))


TOKEN = "0x" + "11" * 20
STRANGE = "0x" + "22" * 20


def test_8_tokens_and_contracts_that_the_buyer_has_not_named_are_refused() -> None:
    lenient, in_token = BuyerPolicy(minimum_bond_percent=0), replace(TERMS_AT_THE_EDGE, token=TOKEN)
    with pytest.raises(PolicyError, match=f"asks for the token {TOKEN}, and your policy names no price in it"):
        lenient.check_terms(in_token)
    named = replace(lenient, tokens=(TokenLimits(TOKEN, 999),))
    named.check_terms(in_token)
    with pytest.raises(PolicyError, match=f"the token {STRANGE}"):
        named.check_terms(replace(TERMS_AT_THE_EDGE, token=STRANGE))
    with pytest.raises(PolicyError, match="asks for ether"):
        replace(named, ether=False).check_terms(TERMS_AT_THE_EDGE)
    with pytest.raises(PolicyError, match=f"a contract of the seller's, {STRANGE}"):
        lenient.check_terms(replace(TERMS_AT_THE_EDGE, policy=STRANGE))
    replace(lenient, policies=frozenset({STRANGE.upper().replace("X", "x")})).check_terms(
        replace(TERMS_AT_THE_EDGE, policy=STRANGE)
    )
    lenient.check_terms(replace(TERMS_AT_THE_EDGE, policy=periphery_address(Periphery.LISTING_POLICY)))


def test_8_limits_of_one_currency_are_no_limits_of_another() -> None:
    """A price of 2 ether must not pass as 2 · 10^18 of a token with six decimals, nor the other way round."""
    usdx = Currency.named(TOKEN, "USDX", 6)
    policy = BuyerPolicy(
        minimum_bond_percent=0,
        maximum_price_wei=10**18,
        tokens=(TokenLimits(TOKEN, usdx.read("200 USDX"), usdx.read("1 USDX")),),
        currencies=Currencies(usdx),
    )
    listed = replace(TERMS_AT_THE_EDGE, token=TOKEN, price_wei=usdx.read("200 USDX"))
    policy.check_terms(listed)
    with pytest.raises(PolicyError, match=r"price: 200\.000001 USDX, your policy asks for at most 200 USDX"):
        policy.check_terms(replace(listed, price_wei=listed.price_wei + 1))
    with pytest.raises(PolicyError, match=r"fee: 1\.25 USDX, your policy asks for at most 1 USDX"):
        policy.check_terms(replace(listed, fee_wei=312_500))
    policy.check_terms(replace(listed, price_wei=listed.price_wei * 2), price_wei=listed.price_wei)  # an offer


TERMS_AT_THE_EDGE = Terms(
    *[bytes(32)] * 4,
    price_wei=999,
    bond_wei=0,
    fee_wei=0,
    tolerance=0,
    audit_samples=4,
    proof_fee_wei=0,
    buyer_quota=1,
    listing_quota=1,
    windows=Windows(
        answer_seconds=1,
        decision_seconds=612,
        proof_seconds=1,
        acceptance_seconds=3600,
        reveal_seconds=1,
        dispute_seconds=24 * 3600,
    ),
)
