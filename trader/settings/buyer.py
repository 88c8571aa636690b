"""A buyer's settings: chain, account, folder, and what it asks of a listing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from contracts import ETH
from trader.amounts import MAX_DECIMALS
from trader.currencies import Currencies, Currency
from trader.errors import QuantityError
from trader.he import SecurityPolicy
from trader.settings.fields import Account, Address, Depth, LocalPath, Prices, Seconds, Settings, Share, Wei
from trader.verify import BuyerPolicy, TokenLimits

if TYPE_CHECKING:
    from collections.abc import Mapping


class TokenSettings(Settings):
    """A token that amounts may be in. Nobody else says what it is called, its contract least of all.

    Attributes:
        decimals: How many it has; a token that says otherwise is refused.
        addresses: Where it is, by the chain's id: `{ 1 = "0x…" }`.
    """

    decimals: int = Field(ge=0, le=MAX_DECIMALS)
    addresses: dict[int, Address]


class ConnectionSettings(Settings):
    """Which chain, and whose account; of buyers and sellers.

    Attributes:
        chain: URL of a JSON-RPC node.
        confirmations: Blocks that must stand before anything counts, or `"finalized"` for what the chain calls final:
            that is what counts on a public chain if nothing is said, where it has such blocks.
        max_gas_price: Most that is offered for a unit of gas; 1000 gwei if not given.
        market: Address of the market, to be checked; it has the same on all chains.
        first_block: The block of the market's deployment, or an earlier one; what `modelseal chain deploy` has written
            down, if not given.
        deployments: Where `modelseal chain deploy` writes down, for each chain, since when the market stands;
            `deployments.json` in the folder, if not given.
        keyfile: The account: a keyfile, the name or address of one in a keystore, or the URL of an external signer.
        password_file: Its first line is the password; otherwise MODELSEAL_PASSWORD, or a prompt.
        folder: The party's own.
        tokens: The tokens that amounts may be in, by what they are called.
    """

    chain: str | None = None
    confirmations: Depth | None = None
    max_gas_price: Wei | None = Field(default=None, gt=0)
    market: str | None = None
    first_block: int = Field(default=0, ge=0)
    deployments: LocalPath | None = None
    keyfile: Account | None = None
    password_file: LocalPath | None = None
    folder: LocalPath = Path("modelseal")
    tokens: dict[str, TokenSettings] = Field(default_factory=dict)

    @field_validator("tokens")
    @classmethod
    def _can_be_written(cls, tokens: dict[str, TokenSettings]) -> dict[str, TokenSettings]:
        try:
            for chain_id in {number for token in tokens.values() for number in token.addresses}:
                named_on(tokens, chain_id)
        except QuantityError as error:
            raise ValueError(str(error)) from error
        return tokens

    def currencies(self, chain_id: int) -> Currencies:
        """Return the currencies of a chain, by its EIP-155 id."""
        return named_on(self.tokens, chain_id)


def named_on(tokens: Mapping[str, TokenSettings], chain_id: int) -> Currencies:
    """Return the tokens that have an address on a chain, and its own currency.

    Raises:
        QuantityError: One can't be called so, or two are the same.
    """
    there = {symbol: token for symbol, token in tokens.items() if chain_id in token.addresses}
    return Currencies(
        *(Currency.named(token.addresses[chain_id], symbol, token.decimals) for symbol, token in there.items())
    )


class PolicySettings(Settings):
    """What a buyer asks of a listing, of its test and of its proof; what is left out is `BuyerPolicy`'s own default.

    Attributes:
        max_price: Most that it pays for a model: `"2 ether"`; in several currencies: `["2 ether", "200 USDC"]`. Where
            one is given, no others are accepted; else ether in any amount.
        max_fee: Most that it pays for a test, in the same form.
        policy_contracts: Contracts that it lets decide on a listing's buyers and prices, beside the published one.
        min_accuracy: Least share of right classes in its own test, from 0 to 1: below, `buy` doesn't.
        max_error: For values: largest root mean square error in its own test, in the outputs' unit.
        min_security: Least bits of the encryption.
        min_bond: Least bond, in percent of the price.
        min_k: Least number of audit samples.
        max_flips: Most audit samples whose proven class may be another than the one seen.
        max_changeable: Largest share of test samples whose class could be another one within the tolerance.
        max_proof_fee: Most that is left to the seller for a proof that isn't accepted, in percent of the price.
        min_sold: Least number of models that the seller has sold before.
        max_lost_disputes: Most disputes that the seller has lost; a new account has lost none.
        min_proven_accuracy: Least accuracy on public data that is proven of the model, from 0 to 1: a certificate that
            `buyer verify` has verified here.
        reveal_patience: How much of the time to accept the seller has to use a signed acceptance, in percent; then the
            buyer accepts by a transaction. 0 for no signature at all.
        min_decision: Least time to decide: `"10m"`.
        min_acceptance: Least time to accept.
        min_dispute: Least time to dispute.
        rounded_circuits: Accept proofs of rounded computations.
        development: Accept a reference string that the seller made.
    """

    max_price: Prices = ()
    max_fee: Prices = ()
    policy_contracts: tuple[Address, ...] = ()
    min_accuracy: Share | None = None
    max_error: float | None = Field(default=None, ge=0)
    min_security: int | None = Field(default=None, ge=0)
    min_bond: int | None = Field(default=None, ge=0)
    min_k: int | None = Field(default=None, ge=1)
    max_flips: int | None = Field(default=None, ge=0)
    max_changeable: Share | None = None
    max_proof_fee: int | None = Field(default=None, ge=0, le=100)
    min_sold: int | None = Field(default=None, ge=0)
    max_lost_disputes: int | None = Field(default=None, ge=0)
    min_proven_accuracy: Share | None = None
    reveal_patience: int | None = Field(default=None, ge=0, le=80)
    min_decision: Seconds | None = None
    min_acceptance: Seconds | None = None
    min_dispute: Seconds | None = None
    rounded_circuits: bool = False
    development: bool = False

    def policy(self, currencies: Currencies | None = None) -> BuyerPolicy:
        """Return the policy that listings, answers and proofs are held against.

        Args:
            currencies: Of the chain: prices in tokens that it does not have accept nothing there. Ether alone if None.
        """
        currencies = currencies or Currencies()
        addresses = {one.symbol: one.token for one in currencies}
        prices, fees = (
            {addresses[money.symbol]: money.amount for money in amounts if money.symbol in addresses}
            for amounts in (self.max_price, self.max_fee)
        )
        named: dict[str, Any] = {
            "maximum_price_wei": prices.get(ETH),
            "maximum_fee_wei": fees.get(ETH),
            "ether": ETH in prices or not self.max_price,
            "tokens": tuple(
                TokenLimits(token, price, fees.get(token)) for token, price in prices.items() if token != ETH
            ),
            "policies": frozenset(self.policy_contracts),
            "currencies": currencies,
            "minimum_bond_percent": self.min_bond,
            "minimum_audit_samples": self.min_k,
            "maximum_changed_answers": self.max_flips,
            "maximum_changeable_share": self.max_changeable,
            "maximum_proof_fee_percent": self.max_proof_fee,
            "minimum_sold": self.min_sold,
            "maximum_lost_disputes": self.max_lost_disputes,
            "minimum_proven_accuracy": self.min_proven_accuracy,
            "reveal_patience_percent": self.reveal_patience,
            "minimum_window_seconds": self.min_decision,
            "minimum_acceptance_seconds": self.min_acceptance,
            "minimum_dispute_seconds": self.min_dispute,
            "encryption": None if self.min_security is None else SecurityPolicy(security_bits=self.min_security),
        }
        given = {name: value for name, value in named.items() if value is not None}
        return BuyerPolicy(rounded_circuits=self.rounded_circuits, development=self.development, **given)


class BuyerSettings(ConnectionSettings):
    """Everything that a buyer writes down once.

    Attributes:
        exchange: Where sellers are reached, if not where their listings say: a URL.
        policy: What it asks.
    """

    exchange: str | None = None
    policy: PolicySettings = PolicySettings()
