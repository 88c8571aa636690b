"""Settings of a command: a file and its profile, the environment, and the flags that many commands share.

`@buyer_command()` and `@seller_command()` give a command the flags and, as its first argument, the settings that come
of them; what reads settings is imported when the command runs.
"""

from __future__ import annotations

import inspect
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from trader.cli.options import CONFIRMATIONS, CONFIRMATIONS_HELP, read_confirmations
from trader.variables import CONFIG_VARIABLE, PROFILE_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from trader.clients.connection import Connection
    from trader.settings.buyer import BuyerSettings
    from trader.settings.seller import SellerSettings

_CONFIG: dict[str, Any] = {
    "config": Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", envvar=CONFIG_VARIABLE, help="Settings; modelseal.toml here or above, if not given."
        ),
    ],
    "profile": Annotated[
        str | None, typer.Option(metavar="NAME", envvar=PROFILE_VARIABLE, help="A profile of the settings.")
    ],
}
_CONNECTION: dict[str, Any] = {
    "chain": Annotated[str | None, typer.Option(metavar="URL", help="JSON-RPC node. [env var: ETH_RPC_URL]")],
    "confirmations": Annotated[
        Any, typer.Option(parser=read_confirmations, metavar=CONFIRMATIONS, help=CONFIRMATIONS_HELP)
    ],
    "keyfile": Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Your account: a keyfile, the name of one in a keystore, or a signer's URL."),
    ],
    "password_file": Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="First line is the password; else MODELSEAL_PASSWORD, or a prompt."),
    ],
    "folder": Annotated[Path | None, typer.Option(metavar="DIR", help="Your own folder.")],
}
_EXCHANGE: dict[str, Any] = {
    "exchange": Annotated[
        str | None, typer.Option(metavar="URL", help="Where the seller is reached, if not where its listing says.")
    ],
}
_POLICY: dict[str, Any] = {
    "max_price": Annotated[str | None, typer.Option(metavar="AMOUNT", help='Most that you pay: "1.5 ether".')],
    "max_fee": Annotated[str | None, typer.Option(metavar="AMOUNT", help="Most that you pay for a test.")],
    "min_accuracy": Annotated[float | None, typer.Option(help="Least accuracy in your test, 0 to 1.")],
    "max_error": Annotated[float | None, typer.Option(help="For values: largest root mean square error in your test.")],
    "min_security": Annotated[int | None, typer.Option(help="Least bits of the encryption.")],
    "min_bond": Annotated[int | None, typer.Option(help="Least bond, in percent of the price.")],
    "min_k": Annotated[int | None, typer.Option(help="Least number of audit samples.")],
    "min_sold": Annotated[int | None, typer.Option(help="Least number of models that the seller has sold before.")],
    "max_lost_disputes": Annotated[int | None, typer.Option(help="Most disputes that the seller has lost.")],
    "min_proven_accuracy": Annotated[
        float | None, typer.Option(help="Least accuracy that a certificate, verified here, proves on public data.")
    ],
    "max_flips": Annotated[int | None, typer.Option(help="Most audit samples whose proven class may differ.")],
    "rounded_circuits": Annotated[
        bool | None, typer.Option("--rounded-circuits", help="Accept proofs of rounded computations.")
    ],
    "development": Annotated[
        bool | None, typer.Option("--development", help="Accept a reference string that the seller made.")
    ],
}


def buyer_command(*, policy: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator: the command's first argument becomes the buyer's settings, and it gets their flags.

    Args:
        policy: Whether it has the flags of the policy.
    """
    flags = _CONFIG | _CONNECTION | _EXCHANGE | (_POLICY if policy else {})
    return lambda command: _with_flags(command, flags, _buyer_settings)


def seller_command(*, again: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator: the command's first argument becomes the seller's settings, and it gets their flags.

    Args:
        again: Whether its second argument becomes a function that reads the settings again.
    """
    return lambda command: _with_flags(command, _CONNECTION, _seller_settings, first=_SELLER_FILE, again=again)


_SELLER_FILE: dict[str, Any] = {
    "config": Annotated[
        Path, typer.Argument(metavar="CONFIG", envvar=CONFIG_VARIABLE, help="Settings that `seller init` wrote.")
    ]
}


def open_connection(settings: BuyerSettings | SellerSettings) -> Connection:
    """Return the way to the market that settings name; passwords are asked for when they are needed."""
    from trader.cli.passwords import ask_password
    from trader.clients.connection import Connection
    from trader.settings.seller import SellerSettings

    reveal_url = settings.reveal_url if isinstance(settings, SellerSettings) else None
    return Connection(settings, lambda purpose: ask_password(settings.password_file, purpose), reveal_url)


def _buyer_settings(config: Path | None, profile: str | None, **flags: Any) -> BuyerSettings:
    from trader.settings.reading import read_buyer_settings

    given = {name: value for name, value in flags.items() if value is not None}
    policy = {name: given.pop(name) for name in _POLICY if name in given}
    return read_buyer_settings(config, profile, given | ({"policy": policy} if policy else {}))


def _seller_settings(config: Path, **flags: Any) -> SellerSettings:
    from trader.settings.reading import read_seller_settings

    return read_seller_settings(config, {name: value for name, value in flags.items() if value is not None})


def _with_flags(
    command: Callable[..., None],
    flags: dict[str, Any],
    read: Callable[..., Any],
    first: dict[str, Any] | None = None,
    again: bool = False,
) -> Callable[..., None]:
    before, names = first or {}, {*flags, *(first or {})}

    @wraps(command)
    def run(**arguments: Any) -> None:
        given = {name: arguments.pop(name) for name in names}
        settings = read(**given)
        command(settings, *([partial(read, **given)] if again else []), **arguments)

    settings, *own = inspect.signature(command).parameters.values()
    own = own[1:] if again else own
    # The kind of the settings means nothing to typer, and importing it here would slow every `--help` down.
    hints = get_type_hints(command, localns={str(settings.annotation): Any}, include_extras=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        *(inspect.Parameter(name, keyword, annotation=hint) for name, hint in before.items()),
        *(value.replace(kind=keyword, annotation=hints[value.name]) for value in own),
        *(inspect.Parameter(name, keyword, default=None, annotation=hint) for name, hint in flags.items()),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
    run.__annotations__ = {value.name: value.annotation for value in parameters}
    del run.__wrapped__  # else the command's own signature is found behind it
    return run
