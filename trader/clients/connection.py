"""From settings to a chain, its market, and the account that signs."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from trader.amounts import format_amount
from trader.chain import Chain
from trader.chain.accounts import load_account
from trader.chain.directory import Directory
from trader.chain.external import ExternalAccount
from trader.chain.market import Market
from trader.errors import CallerError
from trader.settings.fields import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from trader.settings.buyer import ConnectionSettings
    from trader.signer import Signer


@dataclass(frozen=True)
class Connection:
    """One side's way to its market; each part is opened when it is first used.

    Attributes:
        settings: Of this side.
        ask: Finds the password, given what it is for.
        reveal_url: A seller's private relay.
    """

    settings: ConnectionSettings
    ask: Callable[[str], str] = field(repr=False)
    reveal_url: str | None = None

    def open_chain(self) -> Chain:
        """Connect anew: a thread of its own needs a connection of its own.

        Raises:
            SettingsError: No chain is named.
            CallerError: A public chain, and no number of confirmations.
            ChainUnavailableError: Nobody answers there.
        """
        if self.settings.chain is None:
            raise SettingsError("no chain is named: set `chain`, ETH_RPC_URL or --chain to the URL of a JSON-RPC node")
        return Chain.connect(self.settings.chain, confirmations=self.settings.confirmations, reveal_url=self.reveal_url)

    def open_market(self) -> Market:
        """Connect anew, to the chain's published market; raises as `open_chain` and `Market.at`."""
        return Market.at(self.open_chain(), self.settings.market, self.settings.first_block)

    def deploy_market(self) -> None:
        """Bring the published market to the chain; where somebody did already, this costs nothing."""
        self.open_chain().deploy(self.account)

    @cached_property
    def market(self) -> Market:
        """The market, on a connection that is kept."""
        return self.open_market()

    @cached_property
    def directory(self) -> Directory:
        """Where the market's sellers are reached."""
        return Directory(self.market)

    @cached_property
    def password(self) -> str:
        """What opens the account and encrypts what this side keeps."""
        of = self.settings.keyfile or self.settings.folder
        return self.ask(str(of))

    @cached_property
    def account(self) -> Signer:
        """The account.

        Raises:
            SettingsError: None is named.
            AccountError: The keyfile can't be used, or the password is wrong.
        """
        if self.settings.signer is not None:
            return ExternalAccount.connect(self.settings.signer, self.settings.account)
        if self.settings.keyfile is None:
            raise SettingsError("no account is named: set `keyfile` (or --keyfile), or `signer` to an external signer")
        return load_account(self.settings.keyfile, self.password)

    def require_funds(self, least_wei: int, purpose: str) -> None:
        """Look whether the account has at least an amount, before work is done in vain.

        Raises:
            CallerError: It hasn't.
        """
        address = str(self.account.address)
        balance = self.market.chain.balance(address)
        if balance < least_wei:
            raise CallerError(
                f"{purpose} takes {format_amount(least_wei)} and gas, the account {address} has "
                f"{format_amount(balance)}: fund it."
            )
