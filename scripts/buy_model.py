"""Buy a model: check its listing, test it on encrypted data, pay, check what arrives.

    modelseal keys new buyer.json
    python scripts/buy_model.py 1 --chain http://127.0.0.1:8545 --keyfile buyer.json \
        --exchange file:///srv/exchange --data test.csv --labels labels.csv --least-accuracy 0.9 --out bought.onnx

The password comes from MODELSEAL_PASSWORD, and also opens the secrets in --folder. Kill it at any time: started again,
it goes on where the chain stands.
"""

import argparse
import os
import sys
from pathlib import Path

import numpy as np

from ledger import AuditLog
from trader import Buyer, BuyerPolicy, Chain, Equipment, Mailbox, Market, TestResult, open_account, unlock_vault
from trader.errors import AnswerError
from trader.model import read_labels, read_samples
from trader.parties.driving import buy
from trader.verify import UncertainTestError


def main() -> None:
    """Step the trade to its end and write the bought model."""
    arguments = parse_arguments()
    password = os.environ["MODELSEAL_PASSWORD"]
    account = open_account(arguments.keyfile, lambda _: password)
    chain = Chain.connect(arguments.chain, confirmations=arguments.confirmations)
    market = Market.at(chain, arguments.market, arguments.first_block)

    arguments.folder.mkdir(parents=True, exist_ok=True)
    with AuditLog.open(arguments.folder / "audit.sqlite") as log:
        mailbox, key = Mailbox.at(arguments.exchange), unlock_vault(arguments.folder, password)
        equipment = Equipment(market, account, mailbox, log, arguments.folder, observe=print, vault_key=key)
        policy = BuyerPolicy(rounded_circuits=arguments.rounded_circuits, development=arguments.development)
        buyer = Buyer(arguments.listing, policy, equipment, decide=lambda test: is_good(test, arguments))
        listing = buyer.verify_listing()
        samples = read_samples(arguments.data, listing.graph.features, listing.manifest.input.columns)
        buyer.labels = read_labels(arguments.labels, len(samples))
        try:
            buy(buyer, samples)
        except (AnswerError, UncertainTestError) as refusal:
            sys.exit(f"{refusal} Start again after the deadline: what was locked comes back.")
        if not buyer.has_model():
            sys.exit("no model was bought")
        arguments.out.write_bytes(buyer.delivered_onnx())
        print(f"bought: {arguments.out}")


def is_good(test: TestResult, arguments: argparse.Namespace) -> bool:
    """Whether the encrypted test was good enough to buy."""
    labels = read_labels(arguments.labels, len(test.predictions))
    accuracy, checked = float(np.mean(test.predictions == labels)), test.assessment
    print(f"accuracy {accuracy:.1%} on {len(labels)} encrypted samples, {checked.changeable} could change")
    if len(test.outside):
        print(f"{len(test.outside)} samples left the range of the seller's data: rows {test.outside.tolist()} (from 0)")
    return accuracy >= float(arguments.least_accuracy)


def parse_arguments() -> argparse.Namespace:
    """Return what is bought, where, and when it is good enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("listing", type=int, help="number of the listing")
    parser.add_argument("--chain", default=os.environ.get("ETH_RPC_URL"), help="JSON-RPC node (ETH_RPC_URL)")
    parser.add_argument("--confirmations", type=int, help="blocks that must stand; needed on public chains")
    parser.add_argument("--market", help="address of the market, to be checked; it has one on all chains")
    parser.add_argument(
        "--first-block", type=int, default=0, help="block of the market's deployment, or an earlier one"
    )
    parser.add_argument("--keyfile", required=True, help="the buyer's account: a keyfile, or a signer's URL")
    parser.add_argument("--exchange", required=True, help="URL of the folder shared with the seller: file://…")
    parser.add_argument("--folder", type=Path, default=Path("buyer"), help="the buyer's own folder")
    parser.add_argument("--data", type=Path, required=True, help="test samples: .csv, .npy or .npz")
    parser.add_argument("--labels", type=Path, required=True, help="their true classes")
    parser.add_argument("--least-accuracy", type=float, default=0.9, help="buy from this accuracy on")
    parser.add_argument("--rounded-circuits", action="store_true", help="accept proofs of rounded computations")
    parser.add_argument("--development", action="store_true", help="accept a reference string that the seller made")
    parser.add_argument("--out", type=Path, default=Path("bought.onnx"), help="where the model goes")
    return parser.parse_args()


if __name__ == "__main__":
    main()
