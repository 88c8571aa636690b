"""What a trade on a development chain needs before it begins: a market, accounts with ether, prices, names of files.

The demo, the benchmarks of gas and the tests' trades share it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from eth_account import Account

from contracts import PUBLISHED_SALT, Windows
from trader.chain.market import Market

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from trader.chain import Chain
    from trader.signer import Signer

WEI_PER_ETHER = 10**18
PRICE_WEI = WEI_PER_ETHER
BOND_WEI = WEI_PER_ETHER // 5
PROOF_FEE_WEI = WEI_PER_ETHER // 200
ANSWER_FEE_WEI = WEI_PER_ETHER // 256_000
"""Of an answer; a test of 142 samples has 256."""
FUNDS_WEI = 10 * WEI_PER_ETHER
"""What an account begins with: a trade and its gas several times over."""
WINDOW_SECONDS = 3600
WINDOWS = replace(Windows(*[WINDOW_SECONDS] * 6), dispute_seconds=24 * WINDOW_SECONDS)
MAILBOX = "mailbox"
"""Where the messages and the audit log lie in the folder of a trade."""


def funded_account(chain: Chain, amount_wei: int = FUNDS_WEI) -> LocalAccount:
    """Make an account and give it ether, on a development chain.

    Raises:
        CallerError: The chain has nobody who would pay: it is a real one.
    """
    account: LocalAccount = Account.create()
    chain.fund(account.address, amount_wei)
    return account


def open_market(chain: Chain, deployer: Signer, salt: bytes = PUBLISHED_SALT) -> Market:
    """Deploy the market, unless it stands there; its events are looked for from this block on.

    Args:
        chain: Where it is to be.
        deployer: Pays for it.
        salt: Names another market than the published one, where several trade on one chain.
    """
    first_block = chain.block_number
    return Market(chain, chain.deploy(deployer, salt), first_block)
