"""Where sellers can be reached: announcements in the chain's directory (`contracts/src/Directory.sol`).

Anyone may announce anything there. An announcement counts if the account that made it is the listing's seller, and of
those the newest; where it leads is checked like any word of the other party: what a buyer fetches there is signed by
the seller and has the hashes of the listing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts import bind_directory
from trader.chain.scan import LogScan
from trader.errors import CallerError

if TYPE_CHECKING:
    from trader.chain.market import Market
    from trader.chain.receipts import Receipt
    from trader.signer import Signer

MAX_ENDPOINT_BYTES = 2048


class Directory:
    """The endpoints of the listings of one market."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._contract = bind_directory(market.chain.web3)
        address = f"0x{int(market.deployment.market, 16):064x}"
        self._scan = LogScan(market.chain, self._contract, (None, address), market.first_block)

    def announce(self, account: Signer, listing_id: int, endpoint: str) -> Receipt | None:
        """Say where buyers reach a listing; None, and nothing is sent, where the newest announcement says so already.

        Args:
            account: The listing's seller.
            listing_id: Its number.
            endpoint: A URL.

        Raises:
            CallerError: It is too long, or not printable.
            TransactionRefusedError: The account can't pay.
            ChainUnavailableError: The node does not answer.
        """
        data = endpoint.encode()
        if _read(data) != endpoint:
            raise CallerError(f"the endpoint {endpoint!r} is no URL of at most {MAX_ENDPOINT_BYTES} bytes")
        self._market.chain.deploy_directory(account)  # where somebody did already, this costs nothing
        if self._announced().get((listing_id, account.address)) == endpoint:
            return None
        function = self._contract.functions.announce(self._market.deployment.market, listing_id, data)
        return self._market.chain.send(function, account)

    def endpoint(self, listing_id: int, seller: str) -> str | None:
        """Return where the seller of a listing says that it can be reached; None where it says nothing."""
        return self._announced().get((listing_id, seller)) or None

    def _announced(self) -> dict[tuple[int, str], str]:
        """Return the newest announcement of each account about each listing."""
        return {
            (int(log.arguments["listingId"]), str(log.arguments["account"])): _read(log.arguments["endpoint"])
            for log in self._scan.read()
        }


def _read(endpoint: bytes) -> str:
    """Return an endpoint as text; empty where it is none that can be shown."""
    text = endpoint.decode(errors="replace") if len(endpoint) <= MAX_ENDPOINT_BYTES else ""
    return text if text.isprintable() and "\N{REPLACEMENT CHARACTER}" not in text else ""
