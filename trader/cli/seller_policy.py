"""What `modelseal seller offer | admit | cancel-offer | rules` do; imported when they run."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from eth_utils.address import is_address, to_checksum_address
from rich.markup import escape

from contracts import offer_digest
from contracts.policy import Admission, AdmittedBuyers, Offer, Rules
from trader.amounts import read_duration
from trader.chain.admissions import Membership
from trader.chain.offers import ListingRules, SignedOffer
from trader.cli.output import JsonFlag, print_json_line, results
from trader.cli.settings import open_connection, seller_command
from trader.cli.times import clock
from trader.errors import CallerError
from trader.files import write_file

if TYPE_CHECKING:
    from trader.chain.records import Listing
    from trader.clients.connection import Connection
    from trader.settings.seller import SellerSettings

NONCE_BITS = 64

ListingNumber = Annotated[int, typer.Argument(metavar="LISTING", help="Its number.", min=1)]
Buyer = Annotated[str, typer.Argument(metavar="BUYER", help="The buyer's account.")]
Lasting = Annotated[str, typer.Option("--for", metavar="DURATION", help="How long it holds: 12h, 7d.")]
Nonce = Annotated[
    int | None, typer.Option(min=0, help="What `cancel-offer` names; several offers may share one. Default: random.")
]


@seller_command()
def offer(
    settings: SellerSettings,
    listing: ListingNumber,
    buyer: Buyer,
    price: Annotated[
        str, typer.Option(metavar="AMOUNT", help='For this buyer, in the listing\'s currency: "0.8 ether".')
    ],
    lasting: Lasting = "7d",
    nonce: Nonce = None,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="For the buyer: `modelseal buyer buy --offer FILE`.")
    ] = Path("offer.json"),
    as_json: JsonFlag = False,
) -> None:
    """Sign a price for one BUYER, at most the listing's; it also admits to a test. Nothing is sent to the chain."""
    connection = open_connection(settings)
    terms = _own(connection, listing).terms
    currency = connection.currencies.of(terms.token)
    price_wei = currency.read(price)
    if price_wei > terms.price_wei:
        listed = currency.format(terms.price_wei)
        raise CallerError(f"{price} is more than the listing's {listed}: name less, or list anew")
    named = _named(connection, listing, buyer)
    document = Offer(*named, price_wei, *_holding(connection, lasting, nonce))
    _hand_over(connection, document, out, as_json)


@seller_command()
def admit(
    settings: SellerSettings,
    listing: ListingNumber,
    buyer: Buyer,
    buyers: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The list of `rules --buyers`: gives BUYER its place in it, unsigned."),
    ] = None,
    lasting: Lasting = "7d",
    nonce: Nonce = None,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="For the buyer: `modelseal buyer test --offer FILE`.")
    ] = Path("admission.json"),
    as_json: JsonFlag = False,
) -> None:
    """Sign that one BUYER may test a listing whose `rules` name your account. Nothing is sent to the chain."""
    connection = open_connection(settings)
    _with_policy(connection, listing)
    named = _named(connection, listing, buyer)
    if buyers is not None:
        _hand_over_place(connection, named, buyers, out, as_json)
        return
    _hand_over(connection, Admission(*named, *_holding(connection, lasting, nonce)), out, as_json)


@seller_command()
def cancel_offer(
    settings: SellerSettings,
    nonce: Annotated[int, typer.Argument(metavar="NONCE", min=0, help="It stands in the offer's file.")],
    as_json: JsonFlag = False,
) -> None:
    """Take back all offers and admissions of yours with a NONCE; a buyer may be faster."""
    connection = open_connection(settings)
    ListingRules(connection.market).cancel(connection.account, nonce)
    if as_json:
        print_json_line({"cancelled": nonce})
    else:
        results.print(f"cancelled: what you signed with the nonce {nonce}", highlight=False)


@seller_command()
def rules(
    settings: SellerSettings,
    listing: ListingNumber,
    buyers: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Admit these alone: an account per line.", dir_okay=False)
    ] = None,
    admitter: Annotated[
        str | None, typer.Option(metavar="ACCOUNT", help="Admit whom this account signs for (`seller admit`).")
    ] = None,
    upgrade_discount: Annotated[
        str | None,
        typer.Option(
            metavar="AMOUNT", help="What owners of the superseded listing's model pay less; nothing if not given."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Set who may test a listing that has the policy, and its upgrade price; what was set before is replaced."""
    connection = open_connection(settings)
    listed = _own(connection, listing)
    currency = connection.currencies.of(listed.terms.token)
    admitted = AdmittedBuyers.of(_read_accounts(buyers)) if buyers is not None else None
    new = Rules(
        admitted.root if admitted else bytes(32),
        _account(admitter) if admitter else Rules().admitter,
        0 if upgrade_discount is None else currency.read(upgrade_discount),
    )
    ListingRules(connection.market).set(connection.account, offer_digest(listed.seller, listed.terms), new)
    facts = {
        "listing": listing,
        "admitted": len(admitted.buyers) if admitted else None,
        "admitted_root": f"0x{new.admitted_root.hex()}" if admitted else None,
        "admitter": admitter,
        "upgrade_discount_wei": new.upgrade_discount_wei,
    }
    if as_json:
        print_json_line(facts)
        return
    who = [f"{len(admitted.buyers)} accounts of {escape(str(buyers))}"] if admitted else []
    who += [f"whom {admitter} signs for"] if admitter else []
    results.print(f"listing {listing} admits {' and '.join(who) or 'anybody'}", highlight=False)


def _named(connection: Connection, listing: int, buyer: str) -> tuple[str, bytes, str]:
    """Return what each document begins with: market, listing and buyer."""
    listed = connection.market.listing(listing)
    return connection.market.deployment.market, offer_digest(listed.seller, listed.terms), _account(buyer)


def _with_policy(connection: Connection, listing: int) -> Listing:
    """Return a listing that names the published policy.

    Raises:
        CallerError: It names none, or another: nobody would ask what is said here.
    """
    listed = connection.market.listing(listing)
    if listed.terms.policy != ListingRules(connection.market).address:
        raise CallerError(
            f"listing {listing} does not name the published policy, which reads rules and offers: list the model with "
            '`policy = "rules"` in [[listings]] (`seller update`)'
        )
    return listed


def _own(connection: Connection, listing: int) -> Listing:
    """Return a listing of the account's that names the published policy.

    Raises:
        CallerError: It is another account's, or as `_with_policy`: what is said here would bind nobody.
    """
    listed = _with_policy(connection, listing)
    if listed.seller != connection.account.address:
        raise CallerError(f"listing {listing} is the account {listed.seller}'s, you are another")
    return listed


def _holding(connection: Connection, lasting: str, nonce: int | None) -> tuple[int, int]:
    """Return expiry and nonce."""
    expiry = connection.market.chain.time().latest + read_duration(lasting)
    return expiry, secrets.randbits(NONCE_BITS) if nonce is None else nonce


def _hand_over(connection: Connection, document: Offer | Admission, out: Path, as_json: bool) -> None:
    signed = SignedOffer.sign(connection.account, connection.market.chain.chain_id, document)
    write_file(out, signed.to_bytes())
    facts: dict[str, Any] = {
        "file": str(out),
        "buyer": document.buyer,
        "expiry_seconds": document.expiry,
        "nonce": document.nonce,
    }
    if as_json:
        print_json_line(facts)
        return
    results.print(
        f"{escape(str(out))}: for {document.buyer}, until {clock(document.expiry)}, nonce {document.nonce}",
        highlight=False,
        soft_wrap=True,
    )


def _hand_over_place(
    connection: Connection, named: tuple[str, bytes, str], buyers: Path, out: Path, as_json: bool
) -> None:
    """Write down the place of a buyer in a list of admitted ones."""
    market, listing, buyer = named
    try:
        path = AdmittedBuyers.of(_read_accounts(buyers)).path(buyer)
    except KeyError as error:
        raise CallerError(f"{buyer} is not in {buyers}: add it, and set the `rules` again") from error
    write_file(out, Membership(market, listing, buyer, connection.market.chain.chain_id, path).to_bytes())
    if as_json:
        print_json_line({"file": str(out), "buyer": buyer})
    else:
        results.print(f"{escape(str(out))}: for {buyer}, as long as the list holds", highlight=False, soft_wrap=True)


def _account(text: str) -> str:
    if not is_address(text):
        raise CallerError(f"{text[:60]!r} is no account: give 0x and 40 hex digits")
    return str(to_checksum_address(text))


def _read_accounts(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8").split()
    except (OSError, UnicodeError) as error:
        raise CallerError(f"{file} can't be read: {error}") from error
    if not lines:
        raise CallerError(f"{file} names nobody: to admit nobody, delist")
    return [_account(line) for line in lines]
