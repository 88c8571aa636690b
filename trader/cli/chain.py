"""`modelseal chain`: which of our contracts stand on a chain, and bringing them there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from trader.cli.output import JsonFlag, messages, print_figures, print_json_line, print_rows
from trader.cli.settings import buyer_command, open_connection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trader.chain.deployments import Found
    from trader.chain.node import Chain
    from trader.settings.buyer import BuyerSettings

app = typer.Typer(help="The contracts: where they stand, and bringing them to a chain.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """The contracts: where they stand, and bringing them to a chain."""  # noqa: D401 - what the commands are about


@app.command()
def addresses(as_json: JsonFlag = False) -> None:
    """Print where our contracts stand on every chain that has them; no node is asked."""
    from contracts.create2 import DEPLOYER
    from contracts.deployments import published_contracts

    rows = [{"contract": contract.name, "address": contract.address} for contract in published_contracts()]
    if as_json:
        print_json_line({"contracts": rows, "deployer": DEPLOYER})
        return
    print_rows(rows)
    messages.print(f"They follow from the contracts' code, and from the deployer {DEPLOYER} (CREATE2).", style="dim")


@app.command()
@buyer_command()
def status(settings: BuyerSettings, as_json: JsonFlag = False) -> None:
    """Show a chain: its node, its newest and finalized block, what gas costs, our contracts, your balance."""
    from trader.chain.deployments import find_contracts

    chain = open_connection(settings).open_chain()
    figures = _figures(chain) | _balance(chain, settings.keyfile)
    _show(figures, find_contracts(chain), as_json=as_json)


@app.command()
@buyer_command()
def deploy(settings: BuyerSettings, as_json: JsonFlag = False) -> None:
    """Bring the contracts that are missing to a chain, and write down since when the market stands; repeat at will."""
    from trader.chain.deployments import deploy_missing, find_contracts, record_deployment

    connection = open_connection(settings)
    chain = connection.open_chain()
    account = connection.account
    with messages.status("deploying"):
        deployed = deploy_missing(chain, account)
        first_block = record_deployment(connection.deployments, chain)
    figures: dict[str, Any] = {
        "chain_id": chain.chain_id,
        "deployed": [found.name for found in deployed],
        "first_block": first_block,
        "record": str(connection.deployments),
    }
    _show(figures, find_contracts(chain), as_json=as_json)


def _figures(chain: Chain) -> dict[str, Any]:
    with chain.reachable():
        newest = chain.web3.eth.get_block("latest")
        client = chain.web3.client_version
    depth = chain.finality_blocks()
    return {
        "client": client,
        "chain_id": chain.chain_id,
        "head": int(newest["number"]),
        "finalized": None if depth is None else int(newest["number"]) - depth + 1,
        "confirmed": chain.confirmed_block().number,
        "base_fee_wei": int(newest.get("baseFeePerGas", 0)),
    }


def _balance(chain: Chain, keyfile: str | None) -> dict[str, Any]:
    """Return whose the named account is, and what it has; no password is asked for."""
    from trader.chain.accounts import read_address
    from trader.chain.keystores import find_keyfile

    if keyfile is None:
        return {}
    address = keyfile.partition("#")[2] if "://" in keyfile else read_address(find_keyfile(keyfile))
    return {"account": address, "balance_wei": chain.balance(address)} if address else {}


def _show(figures: dict[str, Any], found: Sequence[Found], *, as_json: bool) -> None:
    rows = [
        {"contract": contract.name, "address": contract.address, "standing": contract.standing.value}
        for contract in found
    ]
    if as_json:
        print_json_line(figures | {"contracts": rows})
        return
    print_figures({name: value for name, value in figures.items() if value is not None}, as_json=False)
    print_rows(rows)
