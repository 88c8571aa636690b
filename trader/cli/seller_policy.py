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
from trader.amounts import format_amount, read_amount, read_duration
from trader.chain.offers import ListingRules, SignedOffer
from trader.cli.output import JsonFlag, print_json_line, results
from trader.cli.settings import open_connection, seller_command
from trader.cli.times import clock
from trader.errors import CallerError
from trader.files import write_file

if TYPE_CHECKING:
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
    price: Annotated[str, typer.Option(metavar="AMOUNT", help='For this buyer: "0.8 ether".')],
    lasting: Lasting = "7d",
    nonce: Nonce = None,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="For the buyer, whose own program shows it: `buyer` does not yet.")
    ] = Path("offer.json"),
    as_json: JsonFlag = False,
) -> None:
    """Sign a price for one BUYER, at most the listing's; it also admits to a test. Nothing is sent to the chain."""
    connection = open_connection(settings)
    listed = connection.market.listing(listing)
    price_wei, highest_wei = read_amount(price), listed.terms.price_wei
    if price_wei > highest_wei:
        raise CallerError(f"{price} is more than the listing's {format_amount(highest_wei)}: name less, or list anew")
    named = _named(connection, listing, buyer)
    document = Offer(*named, price_wei, *_holding(connection, lasting, nonce))
    _hand_over(connection, document, out, as_json)


@seller_command()
def admit(
    settings: SellerSettings,
    listing: ListingNumber,
    buyer: Buyer,
    lasting: Lasting = "7d",
    nonce: Nonce = None,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="For the buyer, whose own program shows it: `buyer` does not yet.")
    ] = Path("admission.json"),
    as_json: JsonFlag = False,
) -> None:
    """Sign that one BUYER may test a listing whose `rules` name your account. Nothing is sent to the chain."""
    connection = open_connection(settings)
    named = _named(connection, listing, buyer)
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
        str, typer.Option(metavar="AMOUNT", help="What owners of the superseded listing's model pay less.")
    ] = "0 wei",
    as_json: JsonFlag = False,
) -> None:
    """Set who may test a listing that has the policy, and its upgrade price; what was set before is replaced."""
    connection = open_connection(settings)
    listed = connection.market.listing(listing)
    admitted = AdmittedBuyers.of(_read_accounts(buyers)) if buyers is not None else None
    new = Rules(
        admitted.root if admitted else bytes(32),
        _account(admitter) if admitter else Rules().admitter,
        read_amount(upgrade_discount),
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
