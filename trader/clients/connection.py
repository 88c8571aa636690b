"""From settings to a chain, its market, and the account that signs."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

from ledger import AuditLog
from trader.chain import Chain
from trader.chain.deployments import DEPLOYMENTS, recorded_first_block
from trader.chain.directory import Directory
from trader.chain.keystores import open_account
from trader.chain.market import Market
from trader.chain.tokens import Token
from trader.errors import TokenError
from trader.settings.fields import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trader.currencies import Currencies
    from trader.settings.buyer import ConnectionSettings
    from trader.signer import Signer


AUDIT_LOGS: Final = "audit"
"""A buyer's audit logs, one for each market: steps off the chain don't say in which they were."""
TRANSACTIONS: Final = "transactions"
"""What was sent and not seen to stand, in a party's folder (`trader.chain.journal`); it has no secrets."""


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
        return Chain.connect(
            self.settings.chain,
            confirmations=self.settings.confirmations,
            reveal_url=self.reveal_url,
            journal=self.settings.folder / TRANSACTIONS,
            highest_fee_wei=self.settings.max_gas_price,
        )

    @property
    def deployments(self) -> Path:
        """The record of `chain deploy`."""
        return self.settings.deployments or self.settings.folder / DEPLOYMENTS

    def open_market(self) -> Market:
        """Connect anew, to the chain's published market; raises as `open_chain` and `Market.at`.

        Its events are looked for from the block that the settings name, else from that which `chain deploy` recorded.
        """
        chain = self.open_chain()
        first_block = self.settings.first_block or recorded_first_block(self.deployments, chain)
        return Market.at(chain, self.settings.market, first_block)

    def deploy_market(self) -> None:
        """Bring the published market to the chain; where somebody did already, this costs nothing."""
        self.open_chain().deploy(self.account)

    @cached_property
    def market(self) -> Market:
        """The market, on a connection that is kept."""
        return self.open_market()

    @contextmanager
    def audit_log(self, progress: Callable[[int, int], None] = lambda _done, _total: None) -> Iterator[AuditLog]:
        """Open a buyer's audit log of the market, in which the market's events are found meanwhile.

        All purchases share it, and so do processes: what one of them has read of the chain, no other reads again.

        Args:
            progress: Told of blocks read and to read, where they are many.

        Raises:
            LedgerError: It can't be written, or is none.
        """
        folder = self.settings.folder / AUDIT_LOGS
        folder.mkdir(parents=True, exist_ok=True)
        with AuditLog.open(folder / f"{self.market.place}.sqlite") as log:
            before = self.market.index
            self.market.read_through(log, progress)
            try:
                yield log
            finally:
                self.market.index = before  # the log is closed

    @cached_property
    def currencies(self) -> Currencies:
        """The chain's own currency, and the tokens that the settings name on it."""
        return self.settings.currencies(self.market.chain.chain_id)

    def check_token(self, token: str) -> None:
        """Hold what the settings say of a token against what it says of itself, before anything is agreed in it.

        Raises:
            TokenError: It says that it has other decimals, or there is no token.
        """
        currency = self.currencies.of(token)
        if currency.is_ether or not currency.symbol:
            return
        said = Token(self.market, token).decimals()
        if said != currency.decimals:
            told = "no token says how many it has" if said is None else f"the token says {said}"
            raise TokenError(
                f"{currency.symbol} has {currency.decimals} decimals by your settings, and at {token} on chain "
                f"{self.market.chain.chain_id} {told}: an amount would mean another one. Correct "
                f"[tokens.{currency.symbol}] in the settings"
            )

    @cached_property
    def directory(self) -> Directory:
        """Where the market's sellers are reached."""
        return Directory(self.market)

    @cached_property
    def password(self) -> str:
        """What encrypts this side's own folder, and opens its keyfile and packages."""
        return self.ask(str(self.settings.folder))

    @cached_property
    def account(self) -> Signer:
        """The account.

        Raises:
            SettingsError: None is named.
            AccountError: There is none of this name, or the password is wrong.
            SignerUnavailableError: The external signer does not answer.
        """
        if self.settings.keyfile is None:
            raise SettingsError("no account is named: set `keyfile`, MODELSEAL_KEYFILE or --keyfile")
        return open_account(self.settings.keyfile, lambda _: self.password)
