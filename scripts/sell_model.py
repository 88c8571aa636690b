"""Sell a model: list a package and serve buyers until enough trades have ended.

    modelseal keys new seller.json
    modelseal model prepare model.onnx --out package --calibration samples.csv --seller seller.json \
        --endpoint file:///srv/exchange
    python scripts/sell_model.py package --chain http://127.0.0.1:8545 --keyfile seller.json --price 1.0

The listing's number is printed: buyers need it. The market has one address on all chains, and is deployed where it is
missing. Passwords come from MODELSEAL_PASSWORD, which also opens the secrets in --folder. Kill it at any time: started
again, it goes on where the chain stands.
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path

from contracts import Windows
from ledger import AuditLog
from trader import Chain, Equipment, Mailbox, Market, Offer, Seller, SellerPackage, open_account, unlock_vault
from trader.parties.driving import serve

ETHER = 10**18
HOUR = 3600


def main() -> None:
    """List, then step every trade of the listing in turn."""
    arguments = parse_arguments()
    password = os.environ["MODELSEAL_PASSWORD"]
    account = open_account(arguments.keyfile, lambda _: password)
    chain = Chain.connect(arguments.chain, confirmations=arguments.confirmations, reveal_url=arguments.reveal_url)
    if arguments.market is None:
        chain.deploy(account)  # where somebody did already, this costs nothing
    market = Market.at(chain, arguments.market, arguments.first_block)
    package = SellerPackage.read(arguments.package, password)

    arguments.folder.mkdir(parents=True, exist_ok=True)
    with AuditLog.open(arguments.folder / "audit.sqlite") as log:
        mailbox = Mailbox.at(package.manifest.endpoint)
        key = unlock_vault(arguments.folder, password)
        equipment = Equipment(market, account, mailbox, log, arguments.folder, observe=print, vault_key=key)
        seller = Seller(package, equipment)
        listing_id = seller.list_model(
            Offer(
                price_wei=int(arguments.price * ETHER),
                bond_wei=int(arguments.bond * ETHER),
                windows=replace(Windows(*[HOUR] * 6), dispute_seconds=24 * HOUR),
                proof_fee_wei=int(arguments.price * ETHER) * arguments.proof_fee_percent // 100,
            )
        )
        print(f"market {market.deployment.market} listing {listing_id}", flush=True)
        serve(seller, listing_id, arguments.trades)


def parse_arguments() -> argparse.Namespace:
    """Return what is sold, where, for how much."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, help="folder that `modelseal model prepare` made, with an --endpoint")
    parser.add_argument("--chain", default=os.environ.get("ETH_RPC_URL"), help="JSON-RPC node (ETH_RPC_URL)")
    parser.add_argument("--confirmations", type=int, help="blocks that must stand; needed on public chains")
    parser.add_argument("--reveal-url", help="node that hands the key to block producers alone (a private relay)")
    parser.add_argument("--market", help="address of the market, to be checked; else it is deployed if need be")
    parser.add_argument(
        "--first-block", type=int, default=0, help="block of the market's deployment, or an earlier one"
    )
    parser.add_argument("--keyfile", required=True, help="the seller's account: a keyfile, or a signer's URL")
    parser.add_argument("--folder", type=Path, default=Path("seller"), help="the seller's own folder")
    parser.add_argument("--price", type=float, default=1.0, help="in ether")
    parser.add_argument(
        "--proof-fee-percent", type=int, default=1, help="of the price; what a buyer leaves that doesn't accept a proof"
    )
    parser.add_argument("--bond", type=float, default=0.2, help="in ether; what you lose if you cheat")
    parser.add_argument("--trades", type=int, default=1, help="stop when so many answered trades have ended")
    return parser.parse_args()


if __name__ == "__main__":
    main()
