"""A seller's shop and what buyers find of it, on a real node."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from typer.testing import CliRunner

from ledger import AuditLog, EntryKind, read_by_kind
from tests.simulators.companies import PASSWORD, Companies
from tests.simulators.proxy import Proxy
from tests.simulators.trading import AUDIT_SAMPLES
from trader.chain import Chain
from trader.cli.app import app
from trader.clients import Connection, Purchases, Shop, discover
from trader.clients.discovery import ask_claims
from trader.clients.proven import Proven
from trader.clients.purchases import is_reachable_by_all
from trader.clients.service import SellerService
from trader.errors import CallerError, FolderTakenError, PartyFolderError, PolicyError
from trader.exchange import Kind, MessageError
from trader.parties.claims import verify_claim
from trader.settings import SettingsError, read_buyer_settings, read_seller_settings
from trader.settings.buyer import PolicySettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trader.demo.training import DemoModel
    from trader.settings.seller import SellerSettings

PRICE = 10**18


@pytest.fixture
def companies(tmp_path: Path, trained_model: DemoModel, anvil_url: str) -> Companies:
    made = Companies(tmp_path, trained_model)
    made.prepare()
    made.fund(Chain.connect(anvil_url), "seller")
    return made


def read_settings(companies: Companies, url: str, price: str = "1 ether") -> SellerSettings:
    path = companies.folder / "seller.toml"
    path.write_text(
        f'chain = "{url}"\nexchange = "{companies.exchange}"\nkeyfile = "seller.json"\nfolder = "seller"\n'
        f'[[listings]]\npackage = "package"\nprice = "{price}"\nbond = "0.3 ether"\n'
    )
    return read_seller_settings(path, environment={})


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    with AuditLog.open(tmp_path / "audit.sqlite") as opened:
        yield opened


@pytest.mark.anvil
def test_models_are_listed_found_listed_anew_and_delisted(companies: Companies, anvil_url: str, log: AuditLog) -> None:
    settings = read_settings(companies, anvil_url)
    connection = Connection(settings, lambda _: PASSWORD)
    connection.deploy_market()
    shop, said = Shop(settings, connection, log), list[str]()
    (first,) = shop.list_models(said.append)
    assert list(shop.list_models()) == [first]  # nothing is listed twice

    found = {listing.listing_id: listing for listing in discover(connection)}[first]
    assert (found.terms.price_wei, found.endpoint, found.seller) == (PRICE, companies.exchange, shop.seller_address)
    assert found.record.words == "no trades yet"

    with pytest.raises(PartyFolderError, match="belongs to the shop"):
        Shop(settings, _other(companies, anvil_url), log)

    dearer = Shop(read_settings(companies, anvil_url, "1.5 ether"), connection, log)
    served = dearer.list_models(said.append)
    second = max(served)
    assert set(served) == {first, second}  # trades of the first may be under way
    assert f"listing {first}: closed, as its terms were others" in said
    open_now = {listing.listing_id: listing.terms.price_wei for listing in discover(connection)}
    assert first not in open_now
    assert open_now[second] == PRICE * 3 // 2

    dearer.close_listing(second)
    with pytest.raises(CallerError, match="closed already"):
        dearer.close_listing(second)
    assert second not in {listing.listing_id for listing in discover(connection)}


@pytest.mark.anvil
def test_what_one_has_read_of_the_market_no_other_reads_again(
    companies: Companies, anvil_url: str, log: AuditLog
) -> None:
    """Discovery, purchases and processes share one log of a market, and ask the node for what is new alone."""
    connection = Connection(read_settings(companies, anvil_url), lambda _: PASSWORD)
    connection.deploy_market()
    (listing_id,) = Shop(connection.settings, connection, log).list_models()
    proxy, logs = Proxy(anvil_url), set[str]()
    with proxy.running() as url:
        discover(_other(companies, url))
        read = proxy.methods["eth_getTransactionReceipt"]
        for _ in range(2):
            buying = _other(companies, url)
            assert listing_id in {found.listing_id for found in discover(buying)}
            settings = buying.settings.model_copy(update={"exchange": companies.exchange})
            purchases = Purchases(settings, buying)
            with purchases.opened(listing_id) as purchase:
                assert purchase.status().state == "checking"
                logs.add(str(purchase.log.path))
            assert buying.market.index is None
    assert logs == {str(buying.settings.folder / "audit" / f"{purchases.place}.sqlite")}
    assert read > 0
    assert proxy.methods["eth_getTransactionReceipt"] == read


@pytest.mark.anvil
def test_an_accuracy_is_claimed_verified_and_remembered(
    companies: Companies, anvil_url: str, log: AuditLog, tmp_path: Path
) -> None:
    data, labels = companies.model.test_samples[:AUDIT_SAMPLES], companies.model.test_labels[:AUDIT_SAMPLES]
    np.save(tmp_path / "public.npy", data)
    np.savetxt(tmp_path / "public.csv", labels, fmt="%d")
    arguments = ["--dataset", "tumours", "--data", tmp_path / "public.npy", "--labels", tmp_path / "public.csv"]
    command = ["model", "certify", companies.folder / "package", *arguments, "--insist"]
    certified = CliRunner().invoke(app, [str(argument) for argument in command])
    assert certified.exit_code == 0, certified.output

    connection = Connection(read_settings(companies, anvil_url), lambda _: PASSWORD)
    connection.deploy_market()
    shop = Shop(connection.settings, connection, log)
    (listing_id,) = shop.list_models()
    buying = _other(companies, anvil_url)
    found = {listing.listing_id: listing for listing in ask_claims(buying, discover(buying))}[listing_id]
    (claim,) = found.claims
    assert (claim.dataset.name, claim.dataset.samples) == ("tumours", AUDIT_SAMPLES)
    # Where the buyer says that sellers are reached, it asks them there, as it buys there.
    lost = replace(found, endpoint=None, claims=None)
    assert [listing.claims for listing in ask_claims(buying, [lost])] == [None]
    assert ask_claims(buying, [lost], companies.exchange)[0].claims == found.claims
    proven, manifest_hash = Proven(companies.folder / "other"), found.terms.manifest_hash
    assert not proven.has(manifest_hash, claim)

    settings = buying.settings.model_copy(
        update={"folder": companies.folder / "other", "policy": PolicySettings(development=True)}
    )
    with Purchases(settings, buying).opened(listing_id) as purchase:
        actor, verified = purchase.buyer.actor, purchase.buyer.verify_listing()
        with pytest.raises(CallerError, match=r"no certificate about the given data set. It claims: .* on 'tumours'"):
            verify_claim(actor, verified, companies.folder / "test.csv", companies.folder / "labels.csv")
        certificate = verify_claim(actor, verified, tmp_path / "public.npy", tmp_path / "public.csv")
        assert (certificate.correct, certificate.digest.hex()) == (claim.correct, claim.certificate[2:])
        (told,) = read_by_kind(purchase.log, EntryKind.ACCURACY_VERIFIED)
        shop.publish_claims()  # again
        (claimed,) = read_by_kind(log, EntryKind.ACCURACY_CLAIMED)
        assert told.record.details == claimed.record.details
        assert (told.record.listing_id, claimed.record.listing_id) == (listing_id, listing_id)
        demanding = Purchases(
            settings.model_copy(update={"policy": PolicySettings(development=True, min_proven_accuracy=0.5)}), buying
        )
        with pytest.raises(PolicyError, match="no accuracy of its model proven"):
            demanding.check_accuracy(verified)
        proven.remember(manifest_hash, certificate)
        demanding.check_accuracy(verified)
        assert proven.has(manifest_hash, claim)
        assert not proven.has(bytes(32), claim)  # another seller may claim to have the same certificate
        assert not proven.has(manifest_hash, claim.model_copy(update={"correct": claim.correct - 1}))

        # Another certificate lies where the claimed one should.
        forged = certificate.model_copy(update={"correct": 0}).to_bytes()
        label = actor.label(Kind.CERTIFICATE, certificate.digest)
        shop.mailbox.put(label, forged, connection.account)
        with pytest.raises(MessageError, match="another than the seller claims"):
            verify_claim(actor, verified, tmp_path / "public.npy", tmp_path / "public.csv")

    # A seller that is gone, or speaks nonsense, hides no other.
    shop.mailbox.put(actor.label(Kind.CLAIMS, manifest_hash), b"[]", connection.account)
    gone = replace(found, endpoint="http://127.0.0.1:9")
    assert [listing.claims for listing in ask_claims(buying, [found, gone])] == [None, None]


def _other(companies: Companies, url: str) -> Connection:
    """Another account, in the same settings."""
    if not (companies.folder / "other.json").exists():
        companies.new_account("other")
    path = companies.folder / "other.toml"
    path.write_text(f'chain = "{url}"\nkeyfile = "other.json"\nfolder = "other"\n')
    return Connection(read_buyer_settings(path, environment={}), lambda _: PASSWORD)


@pytest.mark.anvil
def test_a_service_reads_its_settings_again(companies: Companies, anvil_url: str) -> None:
    def settings(price: str, listings: bool = True) -> SellerSettings:
        read = read_settings(companies, anvil_url, price)
        jobs = read.jobs.model_copy(update={"engine": "here"})
        return read.model_copy(update={"jobs": jobs} if listings else {"listings": ()})

    said = list[str]()
    waiting: list[SellerSettings | Exception] = []
    rounds = iter(range(20))

    def reread() -> SellerSettings | None:
        if not waiting:
            return None
        read = waiting.pop(0)
        if isinstance(read, Exception):
            raise read
        return read

    first_settings = settings("1 ether")
    connection = Connection(first_settings, lambda _: PASSWORD)
    with SellerService(first_settings, connection, say=said.append) as service:
        (first,) = service.desk.listings
        market = service.shop.market
        # What can't be followed changes nothing: a file with a mistake in it, or without any model.
        waiting += [SettingsError("1 eter is no amount"), settings("1 ether", listings=False), settings("2 ether")]
        service.run(lambda: next(rounds) >= 4, sleep=lambda _: None, reread=reread)
        refused = [line.partition("can't be followed: ")[2][:24] for line in said if "can't be followed" in line]
        assert refused == ["1 eter is no amount", "the settings name no mod"]
        second = max(service.desk.listings)
        assert set(service.desk.listings) == {first, second}
        assert (market.listing(first).open, market.listing(second).open) == (False, True)
        assert market.listing(second).terms.price_wei == 2 * PRICE
        with pytest.raises(FolderTakenError):
            other_process_claims(service.shop.folder)


def other_process_claims(folder: Path) -> None:
    """Claim the folder as another process would."""
    code = "import sys, pathlib; from trader.parties.folder import lock_folder; lock_folder(pathlib.Path(sys.argv[1]))"
    ran = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False)
    if "FolderTakenError" in ran.stderr:
        raise FolderTakenError(ran.stderr)


@pytest.mark.anvil
def test_a_package_that_is_named_no_more_is_sold_no_more(
    companies: Companies, anvil_url: str, log: AuditLog, tmp_path: Path
) -> None:
    settings = read_settings(companies, anvil_url)
    connection = Connection(settings, lambda _: PASSWORD)
    connection.deploy_market()
    shop, said = Shop(settings, connection, log), list[str]()
    (listing_id,) = shop.list_models()
    shop.settings = settings.model_copy(update={"listings": ()})
    shop.close_dropped(said.append)
    assert said == [f"listing {listing_id}: closed, as the settings name its package no more"]
    shop.close_dropped(said.append)
    assert len(said) == 1


@pytest.mark.anvil
def test_settings_without_models_or_a_place_are_refused(companies: Companies, anvil_url: str, log: AuditLog) -> None:
    settings = read_settings(companies, anvil_url)
    connection = Connection(settings, lambda _: PASSWORD)
    connection.deploy_market()
    with pytest.raises(SettingsError, match="name no model"):
        Shop(settings.model_copy(update={"listings": ()}), connection, log).list_models()
    with pytest.raises(SettingsError, match="nothing says where buyers reach you"):
        Shop(settings.model_copy(update={"exchange": None}), connection, log).list_models()


@pytest.mark.parametrize(
    ("endpoint", "reachable"),
    [
        ("https://models.example/shop", True),
        ("https://8.8.8.8:8443", True),
        ("http://models.example", False),
        ("file:///srv/exchange", False),
        ("https://localhost", False),
        ("https://127.0.0.1", False),
        ("https://10.1.2.3", False),
        ("https://169.254.169.254/latest", False),
        ("https://[::1]", False),
        ("https://[fd00::1]", False),
        ("https://intranet", False),
        ("https://db.internal", False),
        ("https://", False),
        ("", False),
    ],
)
def test_what_a_stranger_announces_leads_to_nothing_here(endpoint: str, reachable: bool) -> None:
    assert is_reachable_by_all(endpoint) is reachable


def test_purchases_have_folders_of_their_own(tmp_path: Path) -> None:
    settings = read_buyer_settings(_empty(tmp_path), given={"folder": str(tmp_path)}, environment={})
    connection = Connection(settings, lambda _: PASSWORD)
    connection.__dict__["market"] = SimpleNamespace(place="31337-0xab")
    purchases = Purchases(settings, connection)
    assert purchases.known() == []
    names = ["31337-0xab-listing-7", "31337-0xab-listing-7-2", "31337-0xab-listing-7-10", "31337-0xab-listing-12"]
    for name in [*names, "1-0xab-listing-7", "31337-0xab-listing-07", "31337-0xab-listing-7-x"]:
        (purchases.folder / name).mkdir(parents=True)
    assert [(number, folder.name) for number, folder in purchases.known()] == [
        (7, names[0]),
        (7, names[1]),
        (7, names[2]),
        (12, names[3]),
    ]
    assert purchases.newest(7) == purchases.folder / names[2]
    assert purchases.newest(8) is None


def _empty(folder: Path) -> Path:
    path = folder / "modelseal.toml"
    path.write_text("")
    return path
