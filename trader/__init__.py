"""The protocol and its people: seller, buyer, and what they exchange.

    chain = Chain.connect("http://127.0.0.1:8545")
    market = Market.at(chain, "0x…")
    seller = Seller(SellerPackage.read(folder, password), Equipment(market, account, mailbox, log, folder))
    seller.list_model(Offer(price_wei, bond_wei, windows))
    buyer = Buyer(listing_id, BuyerPolicy(), Equipment(market, account, mailbox, log, folder))
    while not buyer.is_over:
        buyer.step(samples)

`scripts/` holds whole programs. To read the code, begin with `trade/machine.py` (the protocol as a table), then
`seller.py` and `buyer.py` (who does what), `verify/` (what a buyer checks) and `market.py` (the escrow in Python).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trader.accounts import create_account as create_account
    from trader.accounts import load_account as load_account
    from trader.buyer import Buyer as Buyer
    from trader.buyer import TestResult as TestResult
    from trader.chain import Chain as Chain
    from trader.delivery import Mailbox as Mailbox
    from trader.errors import TraderError as TraderError
    from trader.market import Market as Market
    from trader.package import PrepareOptions as PrepareOptions
    from trader.package import SellerPackage as SellerPackage
    from trader.package import prepare as prepare
    from trader.party import Equipment as Equipment
    from trader.seller import Offer as Offer
    from trader.seller import Seller as Seller
    from trader.verify import BuyerPolicy as BuyerPolicy

_MODULES = {
    "Buyer": "trader.buyer",
    "BuyerPolicy": "trader.verify",
    "Chain": "trader.chain",
    "Equipment": "trader.party",
    "Mailbox": "trader.delivery",
    "Market": "trader.market",
    "Offer": "trader.seller",
    "PrepareOptions": "trader.package",
    "Seller": "trader.seller",
    "SellerPackage": "trader.package",
    "TestResult": "trader.buyer",
    "TraderError": "trader.errors",
    "create_account": "trader.accounts",
    "load_account": "trader.accounts",
    "prepare": "trader.package",
}
"""Where each public name lives. They are imported when first used: the sandboxes that open hostile files import
`trader.model` many times, and must not pay for SEAL, ezkl and web3 each time."""

__all__ = [*_MODULES]  # noqa: PLE0604 - strings all the same


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'trader' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
