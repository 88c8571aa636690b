"""Buy a model from Python: what `modelseal buyer buy` does, with a decision of your own.

    modelseal keys new buyer.json
    python scripts/buy_model.py 1 --data test.csv --labels labels.csv --least-accuracy 0.9 --out bought.onnx

Chain, account and policy come from `modelseal.toml`, the environment (ETH_RPC_URL, MODELSEAL_KEYFILE) or both, the
password from MODELSEAL_PASSWORD. Kill it at any time: started again, it goes on where the chain stands.
"""

import argparse
import os
import sys
from pathlib import Path

import numpy as np

from trader import TestResult
from trader.clients import Connection, Purchases
from trader.errors import AnswerError
from trader.model import read_labels, read_samples
from trader.parties.driving import buy
from trader.settings import read_buyer_settings
from trader.verify import UncertainTestError


def main() -> None:
    """Step the trade to its end and write the bought model."""
    arguments = parse_arguments()
    settings = read_buyer_settings(arguments.settings)
    connection = Connection(settings, lambda _purpose: os.environ["MODELSEAL_PASSWORD"])
    purchases = Purchases(settings, connection, observe=print)
    with purchases.opened(arguments.listing, lambda test: is_good(test, arguments)) as purchase:
        listing = purchase.buyer.verify_listing()
        samples = read_samples(arguments.data, listing.graph.features, listing.manifest.input.columns)
        purchase.remember_labels(read_labels(arguments.labels, len(samples)))
        try:
            buy(purchase.buyer, samples)
        except (AnswerError, UncertainTestError) as refusal:
            sys.exit(f"{refusal} Start again after the deadline: what was locked comes back.")
        if not purchase.buyer.has_model():
            sys.exit("no model was bought")
        arguments.out.write_bytes(purchase.buyer.delivered_onnx())
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
    """Return what is bought, and when it is good enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("listing", type=int, help="number of the listing")
    parser.add_argument("--settings", type=Path, help="a TOML file; modelseal.toml here or above, if not given")
    parser.add_argument("--data", type=Path, required=True, help="test samples: .csv, .npy or .npz")
    parser.add_argument("--labels", type=Path, required=True, help="their true classes")
    parser.add_argument("--least-accuracy", type=float, default=0.9, help="buy from this accuracy on")
    parser.add_argument("--out", type=Path, default=Path("bought.onnx"), help="where the model goes")
    return parser.parse_args()


if __name__ == "__main__":
    main()
