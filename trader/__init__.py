"""The protocol and its people: seller, buyer, and what they exchange.

    market = Market.at(Chain.connect("http://127.0.0.1:8545"), "0x…")
    key = unlock_vault(folder, password)
    equipment = Equipment(market, account, mailbox, log, folder, vault_key=key)
    seller = Seller(SellerPackage.read(package_folder, password), equipment)
    seller.list_model(Offer(price_wei, bond_wei, windows))
    buyer = Buyer(listing_id, BuyerPolicy(), equipment)
    while not buyer.is_over():
        buyer.step(samples)

`scripts/` holds whole programs. To read the code, begin with `trade` (the protocol as a table) and `verify` (what a
buyer checks), then `seller` and `buyer` (who does what), `market` and `chain` (how they reach the contracts); the other
packages are the parts that they are made of.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trader.chain import Chain
    from trader.chain.accounts import create_account, load_account, save_account
    from trader.chain.keystores import open_account
    from trader.chain.market import Market
    from trader.errors import TraderError
    from trader.exchange import Mailbox, open_mailbox
    from trader.package import PrepareOptions, SellerPackage, prepare
    from trader.parties.actor import Equipment, Step
    from trader.parties.buyer import Buyer
    from trader.parties.offer import Offer
    from trader.parties.seller import Seller
    from trader.parties.testing import TestResult
    from trader.parties.vault_key import VaultKey, unlock_vault
    from trader.trade import Role, State
    from trader.verify import BuyerPolicy

__all__ = [
    "Buyer",
    "BuyerPolicy",
    "Chain",
    "Equipment",
    "Mailbox",
    "Market",
    "Offer",
    "PrepareOptions",
    "Role",
    "Seller",
    "SellerPackage",
    "State",
    "Step",
    "TestResult",
    "TraderError",
    "VaultKey",
    "create_account",
    "load_account",
    "open_account",
    "open_mailbox",
    "prepare",
    "save_account",
    "unlock_vault",
]

_MODULES = {
    "Buyer": "trader.parties.buyer",
    "BuyerPolicy": "trader.verify",
    "Chain": "trader.chain",
    "Equipment": "trader.parties.actor",
    "Mailbox": "trader.exchange",
    "open_mailbox": "trader.exchange",
    "Market": "trader.chain.market",
    "Offer": "trader.parties.offer",
    "PrepareOptions": "trader.package",
    "Role": "trader.trade",
    "Seller": "trader.parties.seller",
    "SellerPackage": "trader.package",
    "State": "trader.trade",
    "Step": "trader.parties.actor",
    "TestResult": "trader.parties.testing",
    "TraderError": "trader.errors",
    "VaultKey": "trader.parties.vault_key",
    "create_account": "trader.chain.accounts",
    "load_account": "trader.chain.accounts",
    "open_account": "trader.chain.keystores",
    "prepare": "trader.package",
    "save_account": "trader.chain.accounts",
    "unlock_vault": "trader.parties.vault_key",
}
"""Where each public name lives; it is imported when first used. The sandboxes that open hostile files start afresh each
time and import `trader.model` alone: they must not pay for SEAL, ezkl and web3 as well."""

if not TYPE_CHECKING:  # a type checker knows the names above, and no others

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module 'trader' has no attribute {name!r}")
        return getattr(import_module(_MODULES[name]), name)
