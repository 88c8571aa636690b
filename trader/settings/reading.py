"""Reads a side's settings: a file and its profile, under the environment, under what a caller gives (flags)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from trader.settings.buyer import BuyerSettings
from trader.settings.fields import parse
from trader.settings.files import find_file, merge, read_document, read_environment
from trader.settings.seller import SellerSettings
from trader.variables import CONFIG_VARIABLE, PROFILE_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

S = TypeVar("S", BuyerSettings, SellerSettings)
_PATHS = ("keyfile", "password_file", "folder", "deployments")
_TABLES = frozenset({"policy", "tokens", "service", "jobs", "listings"})


def read_buyer_settings(
    path: Path | None = None,
    profile: str | None = None,
    given: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> BuyerSettings:
    """Read a buyer's settings.

    Args:
        path: The file; if None, what MODELSEAL_CONFIG names, else `modelseal.toml` or `pyproject.toml` here or above.
        profile: Of the file; if None, what MODELSEAL_PROFILE names, if anything.
        given: What goes before everything else; relative paths in it start at the working directory.
        environment: MODELSEAL_CHAIN and the like; ETH_RPC_URL names the chain as well.

    Raises:
        SettingsError: Names what is wrong.
    """
    if path is None:
        named = environment.get(CONFIG_VARIABLE)
        path = Path(named) if named else find_file(Path.cwd())
    document = {} if path is None else read_document(path, profile or environment.get(PROFILE_VARIABLE))
    return _read(BuyerSettings, document, path, given or {}, environment)


def read_seller_settings(
    path: Path, given: Mapping[str, Any] | None = None, environment: Mapping[str, str] = os.environ
) -> SellerSettings:
    """Read a seller's settings; arguments and errors as `read_buyer_settings`."""
    return _read(SellerSettings, read_document(path), path, given or {}, environment)


def _read(
    kind: type[S], document: dict[str, Any], path: Path | None, given: Mapping[str, Any], environment: Mapping[str, str]
) -> S:
    over = read_environment(environment, frozenset(kind.model_fields) - _TABLES) | dict(given)
    here = Path.cwd()
    for name in _PATHS:
        # What is not in the file is relative to where the user is; the name of an account in a keystore stays one.
        if name in over and (name != "keyfile" or (here / over[name]).exists()):
            over[name] = str(here / Path(over[name]).expanduser())
    folder = here if path is None else path.resolve().parent
    return parse(kind, merge(document, over), "the settings" if path is None else path, folder)
