"""A seller's settings: what it sells for how much, and how its service runs."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from contracts import NO_POLICY, Periphery, Windows, periphery_address
from trader.currencies import Currencies, Money
from trader.parties.offer import Offer
from trader.settings.buyer import ConnectionSettings
from trader.settings.fields import Address, Amount, LocalPath, Seconds, Settings, Size, parse

RULES: Final = "rules"
"""Names the published policy."""
HOUR: Final = 3600
GIBIBYTE: Final = 1 << 30


class WindowSettings(Settings):
    """How long each state of a trade may last.

    Attributes:
        answer: For the seller, from a test's session to its answer.
        decision: For the buyer, from the answer to the purchase.
        proof: For the seller, from the purchase to the verified proof.
        acceptance: For the buyer, from the proof to its acceptance of the delivery.
        reveal: For the seller, from the acceptance to its key.
        dispute: For the buyer, from the key to the end, if it neither confirms nor disputes.
    """

    answer: Seconds = HOUR
    decision: Seconds = HOUR
    proof: Seconds = HOUR
    acceptance: Seconds = HOUR
    reveal: Seconds = HOUR
    dispute: Seconds = 24 * HOUR

    def windows(self) -> Windows:
        """Return them as the market takes them."""
        return Windows(self.answer, self.decision, self.proof, self.acceptance, self.reveal, self.dispute)


class ListingSettings(Settings):
    """One model on sale.

    Attributes:
        package: Folder that `model prepare` made.
        price: Of the model: `"1.5 ether"`, or in a token of `[tokens]`, `"200 USDC"`.
        bond: What the seller loses if it cheats; in the price's currency, as everything of the listing.
        proof_fee: What a buyer leaves that doesn't accept a proof: about what one costs to make.
        policy: Who may test, and who pays less: `rules` for the published policy, with which `seller rules`, `admit`
            and `offer` work, or the address of another contract. None if everybody may, at this price.
        supersedes: Your listing that this model improves on: `seller rules --upgrade-discount` is for its owners.
        windows: How long each state of a trade may last.
    """

    package: LocalPath
    price: Amount
    bond: Amount
    proof_fee: Amount = Money(0)
    policy: Literal["rules"] | Address | None = None
    supersedes: int = Field(default=0, ge=0, lt=1 << 32)
    windows: WindowSettings = WindowSettings()

    @model_validator(mode="after")
    def _is_in_one_currency(self) -> Self:
        symbols = {money.symbol for money in (self.price, self.bond, self.proof_fee) if money.amount}
        if len(symbols) > 1:
            raise ValueError(f"price, bond and proof_fee are in one currency, not in {' and '.join(sorted(symbols))}")
        return self

    def offer(self, currencies: Currencies | None = None) -> Offer:
        """Return what is asked for the model.

        Args:
            currencies: Of the chain; ether alone if None.

        Raises:
            QuantityError: The token of the price has no address on the chain.
        """
        policy = NO_POLICY if self.policy is None else self.policy
        if policy == RULES:
            policy = periphery_address(Periphery.LISTING_POLICY)
        return Offer(
            self.price.amount,
            self.bond.amount,
            self.windows.windows(),
            self.proof_fee.amount,
            (currencies or Currencies()).called(self.price.symbol).token,
            policy,
            self.supersedes,
        )


class HttpSettings(Settings):
    """The service that buyers reach.

    Attributes:
        host: Address to listen on.
        port: Port to listen on.
        url: Where buyers reach it: what is announced, and what their requests are signed for. Behind a proxy it is the
            proxy's.
        artifacts: Where messages lie: a folder of the seller's own if None, or what fsspec names, `s3://bucket/prefix`.
        allow: Accounts that may use it; empty for all.
        owners: Accounts that may use all administrative routes.
        operators: Accounts that may read metrics and clean up.
        auditors: Accounts that may see trades.
        metrics_token_file: Its first line is the bearer token with which a Prometheus, which can't sign, may read
            `/metrics`.
        certificate: TLS certificate chain (PEM), where no proxy in front speaks TLS.
        certificate_key: Its private key (PEM), without a password.
        requests_per_second: Of one account, on the average.
        account_storage: Room for the messages of one account: `"4 GiB"`.
        total_storage: Room for those of all.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8420, ge=0, le=65535)
    url: str
    artifacts: str | None = None
    allow: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    auditors: tuple[str, ...] = ()
    metrics_token_file: LocalPath | None = None
    certificate: LocalPath | None = None
    certificate_key: LocalPath | None = None
    requests_per_second: float = Field(default=20.0, gt=0)
    account_storage: Size = 4 * GIBIBYTE
    total_storage: Size = 64 * GIBIBYTE


class JobSettings(Settings):
    """Who evaluates and proves.

    Attributes:
        engine: `processes` of this machine, `here` in the service itself, or a Dask cluster: `dask://host:port`.
        workers: Number of processes.
        device: Where tests are computed: the CPU, or one of PyTorch's devices.
    """

    engine: str = Field(default="processes", pattern=r"^(processes|here|dask(\+tls)?://.+)$")
    workers: int = Field(default=1, ge=1, le=64)
    device: str = "cpu"


class SellerSettings(ConnectionSettings):
    """Everything that a seller writes down once.

    Attributes:
        reveal_url: A node that hands keys to block producers alone (a private relay).
        exchange: A shared folder that buyers reach, instead of a service: `file:///srv/exchange`.
        service: The service that buyers reach, instead of a shared folder.
        jobs: Who evaluates and proves.
        listings: What is sold.
        log: What is written of the service's work: `text` for people, `json` for programs.
    """

    reveal_url: str | None = None
    exchange: str | None = None
    service: HttpSettings | None = None
    jobs: JobSettings = JobSettings()
    listings: tuple[ListingSettings, ...] = ()
    log: Literal["text", "json"] = "text"

    @property
    def endpoint(self) -> str | None:
        """Where buyers reach this seller."""
        return self.exchange if self.service is None else self.service.url

    def with_engine(self, engine: str | None) -> Self:
        """Return these settings with another engine; as they are, if None.

        Raises:
            SettingsError: There is no such engine.
        """
        if engine is None:
            return self
        jobs = parse(JobSettings, self.jobs.model_dump() | {"engine": engine}, "--engine", Path())
        return self.model_copy(update={"jobs": jobs})
