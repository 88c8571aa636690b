"""The chain as the trade needs it: signed transactions, receipts, events, time.

`Chain.embedded` runs a chain in this process (eth-tester with py-evm), `Chain.connect` talks to a node over
JSON-RPC; everything after that is the same. Accounts sign locally; the node never sees a key. What the contracts say is
read and sent through `trader.chain.market.Market`. The only package of `trader` that imports web3: `node.py` reads,
`transactions.py` sends, `receipts.py` says what came of it; `history.py` finds events, and what development nodes alone
can do is in `development.py`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trader.chain.node import Block, Chain, ChainTime
    from trader.chain.receipts import LogEvent, Receipt
    from trader.chain.scan import LogScan
    from trader.chain.transactions import Ways

__all__ = ["Block", "Chain", "ChainTime", "LogEvent", "LogScan", "Receipt", "Ways"]

_MODULES = {
    "Block": "trader.chain.node",
    "Chain": "trader.chain.node",
    "ChainTime": "trader.chain.node",
    "LogEvent": "trader.chain.receipts",
    "LogScan": "trader.chain.scan",
    "Receipt": "trader.chain.receipts",
    "Ways": "trader.chain.transactions",
}
"""Where each public name lives; it is imported when first used: who needs a keyfile does not pay for a chain."""

if not TYPE_CHECKING:  # a type checker knows the names above, and no others

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module 'trader.chain' has no attribute {name!r}")
        return getattr(import_module(_MODULES[name]), name)
