"""Sell models from Python: what `modelseal seller serve` does, for programs of your own.

    modelseal keys new seller.json
    modelseal model prepare model.onnx --out package --calibration samples.csv --seller seller.json
    modelseal seller init seller.toml --price "1 ether"
    python scripts/sell_model.py seller.toml --trades 1

The password comes from MODELSEAL_PASSWORD. Kill it at any time: started again, it goes on where the chain stands.
"""

import argparse
import os
from pathlib import Path

from trader.clients import Connection, SellerService
from trader.settings import read_seller_settings


def main() -> None:
    """List what the settings name, and serve buyers until enough trades have ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", type=Path, help="what `modelseal seller init` wrote")
    parser.add_argument("--trades", type=int, help="stop when so many answered trades have ended")
    arguments = parser.parse_args()

    settings = read_seller_settings(arguments.settings)
    connection = Connection(settings, lambda _purpose: os.environ["MODELSEAL_PASSWORD"], settings.reveal_url)
    with SellerService(settings, connection, say=print, observe=print) as service:
        print(f"market {service.shop.market.deployment.market} listing {max(service.desk.listings)}", flush=True)
        service.run(lambda: service.has_ended(arguments.trades))


if __name__ == "__main__":
    main()
