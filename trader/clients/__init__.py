"""What users run: a seller's shop and service, a buyer's discovery and purchases; from settings to the end of a trade.

`connection` opens chain, market and account; `shop` lists models, `service` serves them; `discovery` finds listings,
`purchases` tests and buys. The commands of `trader.cli` and the programs in `scripts/` are thin layers over these.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trader.clients.connection import Connection
    from trader.clients.discovery import FoundListing, discover
    from trader.clients.purchases import Purchase, Purchases
    from trader.clients.service import SellerService
    from trader.clients.shop import Shop

__all__ = ["Connection", "FoundListing", "Purchase", "Purchases", "SellerService", "Shop", "discover"]

_MODULES = {
    "Connection": "trader.clients.connection",
    "FoundListing": "trader.clients.discovery",
    "Purchase": "trader.clients.purchases",
    "Purchases": "trader.clients.purchases",
    "SellerService": "trader.clients.service",
    "Shop": "trader.clients.shop",
    "discover": "trader.clients.discovery",
}
"""Where each public name lives; it is imported when first used: a buyer needs no web server."""

if not TYPE_CHECKING:  # a type checker knows the names above, and no others

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module 'trader.clients' has no attribute {name!r}")
        return getattr(import_module(_MODULES[name]), name)
