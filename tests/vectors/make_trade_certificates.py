"""Writes `trade_certificates/*.json`: certificates of trades that ended in each of the three ways.

    PYTHONPATH=. python tests/vectors/make_trade_certificates.py

Run it again when the contracts' bytecode, the manifest's form or the certificate's has changed. The parties' keys are
known, so that tests can sign what they have changed.
"""

import tempfile
from pathlib import Path

from eth_account import Account
from eth_utils.crypto import keccak
from rich.console import Console

from trader.chain import Chain
from trader.demo.cheats import CHEATS, HONEST
from trader.demo.run import TRADE_CERTIFICATE, Wallets, run_demo
from trader.demo.setup import FUNDS_WEI
from trader.report.timeline import Timeline

FOLDER = Path(__file__).parent / "trade_certificates"
SELLER = Account.from_key(keccak(b"the seller of the tests' certificates"))
BUYER = Account.from_key(keccak(b"the buyer of the tests' certificates"))
ENDINGS = {"settled": HONEST, "slashed": CHEATS["wrong-chunk"], "expired": CHEATS["silent-seller"]}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, played in ENDINGS.items():
        chain = Chain.embedded()
        for account in (SELLER, BUYER):
            chain.fund(account.address, FUNDS_WEI)
        with tempfile.TemporaryDirectory() as folder, Timeline(Console(stderr=True)) as timeline:
            out = Path(folder) / "demo"
            run_demo("breast-cancer", chain, out, timeline, played=played, wallets=Wallets(SELLER, BUYER))
            (FOLDER / f"{name}.json").write_bytes((out / TRADE_CERTIFICATE).read_bytes())


if __name__ == "__main__":
    main()
