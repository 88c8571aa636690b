"""Event logs of any range of blocks, whatever a node refuses to search at once.

Public nodes limit the blocks that one `eth_getLogs` may search, or what it may return; each has its own limits, and its
own words for them. So a refused range is halved, and one that was answered is followed by a larger one. What comes back
is complete, or there is an error.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from web3 import Web3
from web3.exceptions import TooManyRequests, Web3RPCError
from web3.types import LogReceipt

FIRST_RANGE_BLOCKS: Final = 10_000
LARGEST_RANGE_BLOCKS: Final = 1_000_000


def read_logs(web3: Web3, query: Mapping[str, Any], first_block: int, last_block: int) -> Iterator[LogReceipt]:
    """Return the logs from `first_block` to `last_block`, both included, in chain order.

    Args:
        web3: The chain.
        query: `address` and `topics`, as `eth_getLogs` takes them.
        first_block: Number of the first block.
        last_block: Number of the last block; the caller makes sure that it stands (see `Chain.logs`).

    Raises:
        Web3Exception, OSError: The node can't be read, or refuses to search a single block.
    """
    start, size = first_block, FIRST_RANGE_BLOCKS
    while start <= last_block:
        stop = min(start + size - 1, last_block)
        parameters: Any = {**query, "fromBlock": start, "toBlock": stop}
        try:
            found = web3.eth.get_logs(parameters)
        except Exception as error:
            if stop == start or not may_be_too_large(error):
                raise
            size = (stop - start + 1) // 2
            continue
        # A node that gives more than it was asked for would tell some events twice.
        asked = [log for log in found if start <= log["blockNumber"] <= stop]
        yield from sorted(asked, key=lambda log: (log["blockNumber"], log["logIndex"]))
        start, size = stop + 1, min(2 * size, LARGEST_RANGE_BLOCKS)


def may_be_too_large(error: Exception) -> bool:
    """Return whether a smaller question may be answered: nodes say so by an RPC error, gateways by a status or silence.

    Not where nobody listens, or where there were too many requests: more of them would not help.
    """
    if isinstance(error, TooManyRequests):
        return False
    if isinstance(error, Web3RPCError):
        return True
    response = getattr(error, "response", None)  # of requests' HTTPError, which web3 passes on
    status = getattr(response, "status_code", None)
    return type(error).__name__ == "ReadTimeout" or (status is not None and status not in (401, 403, 404, 429))
