"""The seller's service over HTTP: what buyers send and take, what is sold, and how the seller is.

`create_app` makes it of its settings, the seller's mailbox, the chain's facts and the seller's status;
`trader.service.server.make_server` serves it. Buyers speak to it through `trader.exchange.http`.
"""

from trader.service.app import create_app
from trader.service.book import ChainTradeBook, Limits, OpenedSession, TradeBook
from trader.service.errors import IndexFaultError, RefusedError, ServiceError
from trader.service.index import Index
from trader.service.server import Listening, make_server
from trader.service.settings import AccessRole, Rate, ServiceSettings
from trader.service.status import OfferedListing, Status, TradeProgress
from trader.service.store import StoreMailbox

__all__ = [
    "AccessRole",
    "ChainTradeBook",
    "Index",
    "IndexFaultError",
    "Limits",
    "Listening",
    "OfferedListing",
    "OpenedSession",
    "Rate",
    "RefusedError",
    "ServiceError",
    "ServiceSettings",
    "Status",
    "StoreMailbox",
    "TradeBook",
    "TradeProgress",
    "create_app",
    "make_server",
]
