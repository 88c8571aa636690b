"""`modelseal audit index`: the events of markets into a log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from trader.cli.audit_options import DEFAULT_LOG, LogFile
from trader.cli.output import JsonFlag, print_json_line, progress_bar, results
from trader.errors import CallerError

if TYPE_CHECKING:
    from eth_typing import ChecksumAddress
    from web3 import Web3

    from ledger import Indexer

POLL_SECONDS = 12.0


def index(
    chain: Annotated[
        list[str], typer.Option(metavar="URL", help="JSON-RPC node of the next --market; may be repeated.")
    ],
    market: Annotated[list[str], typer.Option(metavar="0x…", help="The market's address; may be repeated.")],
    first_block: Annotated[
        list[int] | None, typer.Option(min=0, help="Block of its deployment; as often as --market, or not at all.")
    ] = None,
    second: Annotated[
        list[str] | None, typer.Option(metavar="URL", help="Another node of each chain, which must say the same.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on as blocks come, until interrupted.")] = False,
    heads: Annotated[
        str | None, typer.Option(metavar="ws://…", help="With --follow: node that tells new blocks; else every 12 s.")
    ] = None,
    log_file: LogFile = DEFAULT_LOG,
    as_json: JsonFlag = False,
) -> None:
    """Read all events of markets into the log, a new one if there is none; goes on where it was."""
    from contracts import bind_market
    from ledger import AuditLog, Indexer, Source

    chains, starts, seconds = _for_each(chain, market), first_block or [0] * len(market), second or []
    if len(starts) != len(market) or len(seconds) not in (0, len(market)):
        raise CallerError("give --first-block and --second as often as --market, or not at all")
    others: list[Web3 | None] = [_connect(url) for url in seconds] or [None] * len(market)
    contracts = [bind_market(_connect(url), _address(text)) for url, text in zip(chains, market, strict=True)]
    sources = [
        Source(contract, start, second=other) for contract, start, other in zip(contracts, starts, others, strict=True)
    ]
    with AuditLog.open(log_file) as log:
        with progress_bar("reading events") as update:
            added = len(Indexer(log, sources, on_progress=update).catch_up())
        if as_json:
            print_json_line({"added": added, "head": str(log.head())})
        else:
            results.print(f"{added} entries added; head {log.head()}", soft_wrap=True)
        if follow:
            _follow(Indexer(log, sources), heads)


def _follow(indexer: Indexer, heads: str | None) -> None:
    from ledger.indexing.heads import Polling, Subscription

    if heads is None:
        indexer.follow(Polling(), lambda: False, POLL_SECONDS)
        return
    with Subscription(heads) as subscription:
        indexer.follow(subscription, lambda: False, POLL_SECONDS)


def _for_each(chains: list[str], markets: list[str]) -> list[str]:
    """Return the node of each market: one for all, or one for each."""
    if len(chains) == 1:
        return chains * len(markets)
    if len(chains) != len(markets):
        raise CallerError("give --chain once, or as often as --market")
    return chains


def _address(text: str) -> ChecksumAddress:
    from eth_utils.address import is_address, to_checksum_address

    if not is_address(text):
        raise CallerError(f"{text!r} is no address of a market")
    return to_checksum_address(text)


def _connect(url: str) -> Web3:
    from trader.chain.node import Chain

    return Chain.connect(url, confirmations=1).web3
