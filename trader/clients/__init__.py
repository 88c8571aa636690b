"""What users run: a seller's shop and service, a buyer's discovery and purchases; from settings to the end of a trade.

`connection` opens chain, market and account; `shop` lists models, `service` serves them; `discovery` finds listings,
`purchases` tests and buys. The commands of `trader.cli` and the programs in `scripts/` are thin layers over these.
"""

from trader.clients.connection import Connection
from trader.clients.discovery import FoundListing, discover
from trader.clients.purchases import Purchase, Purchases
from trader.clients.service import SellerService
from trader.clients.shop import Shop

__all__ = ["Connection", "FoundListing", "Purchase", "Purchases", "SellerService", "Shop", "discover"]
