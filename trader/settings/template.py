"""The settings file that `modelseal seller init` writes: everything that can be set, with what it means."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trader.amounts import format_amount, read_amount
from trader.files import create_file
from trader.settings.fields import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

BOND_PERCENT = 20
PROOF_FEE_PERCENT = 1
_TEMPLATE = """\
# What this seller sells, and how. Relative paths start at this file. See docs/configuration.md.

# JSON-RPC node; ETH_RPC_URL and --chain go before it.
chain = {chain}
# Blocks that must stand before anything counts: "finalized" takes the chain's own word, which is what counts on a
# public chain if you say nothing; where it has none, say a number.
# confirmations = 64
# Most that you offer for a unit of gas.
# max_gas_price = "1000 gwei"
# A private relay, which hands delivery keys to block producers alone.
# reveal_url = "https://relay.example"

# Your account: a keyfile that `modelseal keys new` made. The password comes from MODELSEAL_PASSWORD, from
# password_file, or from a prompt.
keyfile = {keyfile}
# password_file = "password.txt"
# Or a program that keeps the key and signs (clef, or what speaks like it):
# keyfile = "http://127.0.0.1:8550#0x…"

# Your own folder: secrets of trades, messages, the audit log. Back it up.
folder = "seller"

# What is written of the work: "text" for people, "json" for programs.
log = "text"

# Tokens that amounts may be in, by what you call them; addresses by the chain's id.
# [tokens.USDC]
# decimals = 6
# addresses = {{ 1 = "0x…" }}

[service]
# Where this machine listens, and the URL that buyers know, which is announced on the chain. To others than this machine
# it must be https: let a proxy in front speak TLS.
host = "127.0.0.1"
port = {port}
url = {url}
# Encrypted tests and models lie in `folder`, or in what fsspec names: "s3://bucket/prefix".
# artifacts = "s3://bucket/prefix"
# Buyers that are served; all, if there are none here.
# allow = ["0x…"]
# Who may see metrics and trades: owners all of it, operators metrics and storage, auditors trades.
# owners = ["0x…"]
# operators = ["0x…"]
# auditors = ["0x…"]
# Prometheus can't sign: it reads /metrics with the first line of this file as its bearer token.
# metrics_token_file = "metrics-token.txt"
# TLS without a proxy in front.
# certificate = "chain.pem"
# certificate_key = "key.pem"
# What one account may ask for, and how much room messages may take.
# requests_per_second = 20
# account_storage = "4 GiB"
# total_storage = "64 GiB"

[jobs]
# Who evaluates and proves: "processes" of this machine, "here" in the service itself, or a Dask cluster whose workers
# reach the same paths: "dask://host:8786".
engine = "processes"
workers = 1
# Where tests are computed: "cpu", or "cuda" (extra `gpu`).
device = "cpu"

# One table for each model on sale.
[[listings]]
package = {package}
# In ether, or in one of your tokens: "200 USDC"; bond and proof_fee are then in it too, and so is the test's fee
# (`model prepare --fee`).
price = {price}
# What you lose if you cheat; buyers ask for 10 % of the price at least.
bond = {bond}
# What a buyer leaves that doesn't accept a proof: about what one costs to make.
proof_fee = {proof_fee}
# Who may test, and who pays less: "rules" for what `seller rules`, `admit` and `offer` say.
# policy = "rules"
# Your listing that this model improves on: its owners may pay less (`seller rules --upgrade-discount`).
# supersedes = 7

# How long each state of a trade may last.
[listings.windows]
answer = "1h"
decision = "1h"
proof = "1h"
acceptance = "1h"
reveal = "1h"
dispute = "24h"
"""


def write_template(path: Path, *, package: Path, price: str, keyfile: Path, url: str, chain: str) -> None:
    """Write a settings file for one model; raises where one is there already.

    Raises:
        SettingsError: The file exists.
        QuantityError: The price is no amount.
        EnvironmentFaultError: The file can't be written.
    """
    price_wei = read_amount(price)
    text = _TEMPLATE.format(
        chain=_quoted(chain),
        keyfile=_quoted(str(keyfile)),
        url=_quoted(url),
        port=_port(url),
        package=_quoted(str(package)),
        price=_quoted(format_amount(price_wei)),
        bond=_quoted(format_amount(price_wei * BOND_PERCENT // 100)),
        proof_fee=_quoted(format_amount(price_wei * PROOF_FEE_PERCENT // 100)),
    )
    try:
        create_file(path, text.encode())
    except FileExistsError as error:
        raise SettingsError(f"{path} exists already: change it, or name another file") from error


def _quoted(text: str) -> str:
    """Return a basic string of TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _port(url: str) -> int:
    """Return the port to listen on: the URL's own, where it names one; else the usual one, behind a proxy."""
    return urlsplit(url).port or 8420
