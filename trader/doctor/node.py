"""The node: does it answer, is it up to date, does its time agree with ours, and is the market there?"""

from __future__ import annotations

import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import httpx

from contracts import UnexpectedCodeError, published_deployment, verify_deployment
from trader.chain import Chain
from trader.chain.development import DEVELOPMENT_CHAINS
from trader.chain.node import FINALIZED, SLOT_SECONDS
from trader.doctor.finding import Finding, bad, good, remark
from trader.errors import TraderError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trader.chain.node import Confirmations

OLD_HEAD_SECONDS = 10 * SLOT_SECONDS
SKEW_SECONDS = 15
"""A clock that is off by more counts against the margins of secrets; time servers keep it within a second."""
TIMEOUT_SECONDS = 10.0
SAFE_CONFIRMATIONS = 64


def examine_node(url: str | None, confirmations: Confirmations) -> Iterator[Finding]:
    """Ask the node at `url`; without one there is one finding alone."""
    if url is None:
        yield remark("node", "none is named", "Set ETH_RPC_URL, or give --chain, to trade on a chain.")
        return
    try:
        chain = Chain.connect(url, confirmations=1, timeout_seconds=TIMEOUT_SECONDS)
        yield from _answers(chain, confirmations)
        yield _clock(chain, url)
        yield _market(chain)
    except TraderError as error:
        yield bad("node", str(error), "Start it, or correct ETH_RPC_URL or --chain.")


def _answers(chain: Chain, confirmations: Confirmations) -> Iterator[Finding]:
    with chain.reachable():
        syncing = chain.web3.eth.syncing
    where = f"{chain.name} is on chain {chain.chain_id}, block {chain.block_number}"
    development = chain.chain_id in DEVELOPMENT_CHAINS
    if syncing:
        yield bad("node", f"{where}, and still synchronising", "Wait: what it says is old until it is done.")
    else:
        yield good("node", where + (", for development" if development else ""))
    if confirmations == FINALIZED or (confirmations is None and not development):
        depth = chain.finality_blocks()
        if depth is None:
            step = f"Give --confirmations to every command: {SAFE_CONFIRMATIONS} are final on Ethereum."
            yield remark("confirmations", "the chain names no finalized block, and may replace its newest ones", step)
        else:
            yield good("confirmations", f"the chain's finalized block counts, {depth} blocks back")
    elif not development and isinstance(confirmations, int) and confirmations < SAFE_CONFIRMATIONS:
        text = f"{confirmations} blocks; the newest {SAFE_CONFIRMATIONS} of Ethereum may be replaced"
        yield remark("confirmations", text, "Give as many as the chain's documentation calls final.")


def _clock(chain: Chain, url: str) -> Finding:
    """Compare this machine's clock with the node's, and with the newest block."""
    now, newest = time.time(), chain.time().newest
    told = _time_of_server(url)
    skew = 0.0 if told is None else told - now
    ahead = newest - now
    if abs(skew) > SKEW_SECONDS or ahead > SKEW_SECONDS:
        off = skew if abs(skew) > SKEW_SECONDS else ahead
        text = f"this machine's clock is {abs(off):.0f} seconds {'behind' if off > 0 else 'ahead of'} the node's"
        if chain.chain_id in DEVELOPMENT_CHAINS:
            return remark("clock", text, "A development chain's time may have been moved; else set the clock.")
        return bad("clock", text, "Set it by a time server: secrets leave by the later of clock and newest block.")
    text = f"the newest block is {max(0, -ahead):.0f} seconds old"
    if -ahead > OLD_HEAD_SECONDS and chain.chain_id not in DEVELOPMENT_CHAINS:
        return bad("clock", text, "The node is behind, or cut off from others: use another until it has caught up.")
    return good("clock", text)


def _time_of_server(url: str) -> float | None:
    """Return the Unix time of an HTTP server, to a second; None where it does not tell."""
    question = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    try:
        stated = httpx.post(url, json=question, timeout=TIMEOUT_SECONDS).headers.get("date")
        moment = None if stated is None else parsedate_to_datetime(stated)
    except (httpx.HTTPError, ValueError):
        return None
    return None if moment is None else (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _market(chain: Chain) -> Finding:
    published = published_deployment()
    try:
        with chain.reachable():
            verify_deployment(chain.web3, published.market)
    except UnexpectedCodeError:
        step = "Whoever sells there first deploys it; a buyer checks that the node is on the right chain."
        return remark("market", f"{published.market} is not deployed on this chain", step)
    return good("market", f"the published one, at {published.market}")
