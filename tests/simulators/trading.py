"""One trade between two real parties on a real chain, for integration and adversarial tests.

`Trading` sets the table (contracts, funded accounts, mailbox, audit log), `play` steps both drivers to the end, and
`gains` says who ends with what, gas left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from eth_account import Account
from eth_utils.crypto import keccak

from ledger import AuditLog
from tests.simulators.remembered import remember
from trader.chain.market import Market
from trader.demo.setup import (
    ANSWER_FEE_WEI,
    BOND_WEI,
    FUNDS_WEI,
    MAILBOX,
    PRICE_WEI,
    PROOF_FEE_WEI,
    WEI_PER_ETHER,
    WINDOWS,
    open_market,
)
from trader.errors import TraderError
from trader.exchange import FolderMailbox, NotDeliveredError
from trader.model.manifest import ModelCard
from trader.package import PrepareOptions, prepare
from trader.parties.actor import Equipment, Step
from trader.parties.buyer import Buyer
from trader.parties.conduct import HONEST_BUYER, HONEST_SELLER, BuyerConduct, SellerConduct
from trader.parties.folder import AUDIT_LOG
from trader.parties.margins import SellerPolicy
from trader.parties.offer import Offer
from trader.parties.seller import Seller
from trader.parties.vault_key import VaultKey
from trader.trade import Role, State
from trader.verify import BuyerPolicy
from zk.binding import kzg

if TYPE_CHECKING:
    from pathlib import Path

    from eth_account.signers.local import LocalAccount

    from trader.chain import Chain
    from trader.demo.stranger import Squatter
    from trader.demo.training import DemoModel
    from trader.package import SellerPackage
    from trader.verify import VerifiedListing

remember(kzg, "multiply", "pairing", "final_exponentiate")  # every table's buyer verifies the same listing

ETHER = WEI_PER_ETHER
PRICE, BOND, ANSWER_FEE, PROOF_FEE = PRICE_WEI, BOND_WEI, ANSWER_FEE_WEI, PROOF_FEE_WEI
AUDIT_SAMPLES = 4
"""As many prove as much as the default's eight, in half the rows: what a sale costs a test is its proof."""
FEE = 256 * ANSWER_FEE
"""Of the session that tests the whole test set, of 142 samples: it is charged as 256."""
POLICY = BuyerPolicy(maximum_price_wei=PRICE, development=True)
BY_TRANSACTION = replace(POLICY, reveal_patience_percent=0)
"""A buyer that signs nothing: it accepts on the chain, as a contract would."""
SELLER: LocalAccount = Account.from_key(keccak(b"the seller of the tests' package"))
"""A package is one account's."""
OFFER = Offer(PRICE, BOND, WINDOWS, PROOF_FEE)


def make_package(model: DemoModel, folder: Path) -> SellerPackage:
    """Prepare a model for sale; its quota covers its whole test set twice."""
    (folder / "model.onnx").write_bytes(model.onnx_bytes)
    np.save(folder / "calibration.npy", model.training_samples)
    options = PrepareOptions(
        card=ModelCard(name="for tests"),
        audit_samples=AUDIT_SAMPLES,
        buyer_quota_samples=300,
        listing_quota_samples=600,
        fee_wei=ANSWER_FEE,
        seller=SELLER.address,
        insist=True,
    )
    calibration = folder / "calibration.npy"
    return prepare(folder / "model.onnx", folder / "out", options, password="test", calibration=calibration)


@dataclass
class Trading:
    """A table with two parties at it.

    Attributes:
        steps: What both parties did.
        refusals: Errors that ended a party's step.
    """

    chain: Chain
    package: SellerPackage
    model: DemoModel
    folder: Path
    seller_conduct: SellerConduct = HONEST_SELLER
    buyer_conduct: BuyerConduct = HONEST_BUYER
    seller_account: LocalAccount = SELLER
    seller_policy: SellerPolicy = SellerPolicy()  # noqa: RUF009 - frozen
    policy: BuyerPolicy = POLICY
    offer: Offer = OFFER
    stranger_type: type[Squatter] | None = None
    mailbox_type: type[FolderMailbox] = FolderMailbox
    steps: list[Step] = field(default_factory=list)
    refusals: list[TraderError] = field(default_factory=list)
    vault_keys: dict[Role, VaultKey] = field(default_factory=lambda: {role: VaultKey.generate() for role in Role})

    def __post_init__(self) -> None:
        self.folder.mkdir()
        # Each table has its own list of published proofs: the package is shared by many tests.
        self.package = replace(self.package, folder=self.folder / "package")
        self.package.budget.create()
        deployer = Account.create()
        self.accounts: dict[Role, LocalAccount] = {Role.SELLER: self.seller_account, Role.BUYER: Account.create()}
        for account in (deployer, *self.accounts.values()):
            self.chain.fund(account.address, FUNDS_WEI)
        # A market of the table's own: tests share a node.
        self.market = open_market(self.chain, deployer, keccak(str(self.folder).encode()))
        self.mailbox = self.mailbox_type(self.folder / MAILBOX)
        self.log = AuditLog.open(self.folder / AUDIT_LOG)
        self.before = {role: self.chain.balance(account.address) for role, account in self.accounts.items()}
        self.first_block = self.chain.web3.eth.block_number + 1
        self.seller = self.new_seller()
        self.listing_id = self.seller.list_model(self.offer)
        self.buyer = self.new_buyer()
        self.stranger = self.stranger_type and self.stranger_type(self.market, self.mailbox)

    def wait_for(self, chain: Chain) -> None:
        """Both parties, started anew, read and send through another view of the same chain."""
        self.chain, self.market = chain, Market(chain, self.market.deployment, self.market.first_block)
        verified = self.buyer.verify_listing()
        self.seller, self.buyer = self.new_seller(), self.new_buyer(verified)

    def close(self) -> None:
        self.log.close()

    def new_seller(self) -> Seller:
        """The seller, as a fresh process would make it from its folder."""
        equipment = self.equipment(Role.SELLER)
        return Seller(self.package, equipment, policy=self.seller_policy, conduct=self.seller_conduct)

    def new_buyer(self, verified: VerifiedListing | None = None) -> Buyer:
        """The buyer, as a fresh process would make it from its folder; verifying again is most of a test's time."""
        return Buyer(
            self.listing_id,
            self.policy,
            self.equipment(Role.BUYER),
            labels=self.model.test_labels,
            verified=verified,
            conduct=self.buyer_conduct,
        )

    def open(self) -> int:
        self.disturb()
        try:
            return self.buyer.open_session(self.model.test_samples)
        except NotDeliveredError:
            self.seller.publish()  # as its loop does
            return self.buyer.open_session(self.model.test_samples)

    def disturb(self, trade_id: int | None = None) -> None:
        """The stranger's move, if there is one."""
        if self.stranger:
            self.stranger.act(self.listing_id, trade_id)

    def play(self) -> State:
        """Step both parties until the trade has ended and everything is withdrawn; time passes when nobody moves."""
        trade_id = self.open()
        while True:
            if self.round(trade_id):
                continue
            position = self.market.trade(trade_id).position
            if position.final:
                return position.state
            self.chain.advance_time(max(0, self.buyer.waits_until() - self.chain.time().newest))

    def play_until(self, state: State) -> int:
        """Step both parties until the trade is in a state; returns its number.

        A buyer accepts by a transaction only if it must: in ACCEPTED it was made to.
        """
        if state is State.ACCEPTED:
            trade_id = self.play_until(State.PROVEN)
            while self.market.trade(trade_id).position.state is not state:
                self.buyer.accept()
            return trade_id
        trade_id = self.open()
        while self.market.trade(trade_id).position.state is not state:
            assert (
                self.seller.step(trade_id) or self.market.trade(trade_id).position.state is state or self.buyer.step()
            )
        return trade_id

    def round(self, trade_id: int) -> bool:
        """One step of each side; whether either did something."""
        self.disturb(trade_id)
        seller_moved = self._attempt(lambda: self.seller.step(trade_id))
        self.disturb(trade_id)
        return self._attempt(self.buyer.step) or seller_moved

    def _attempt(self, step) -> bool:
        try:
            return step()
        except TraderError as error:
            self.refusals.append(error)
            return False

    def gains(self) -> dict[Role, int]:
        """Change of each party's ether since before the listing, gas left out."""
        return {
            role: self.chain.balance(account.address) - self.before[role] + self._gas_paid(account.address)
            for role, account in self.accounts.items()
        }

    def _gas_paid(self, address: str) -> int:
        """What an account has paid for gas since the table was set, whether or not its driver lived to tell."""
        eth = self.chain.web3.eth
        blocks = (eth.get_block(number, True) for number in range(self.first_block, eth.block_number + 1))
        own = (t["hash"] for block in blocks for t in block["transactions"] if t["from"] == address)
        receipts = map(eth.get_transaction_receipt, own)
        return sum(receipt["gasUsed"] * receipt["effectiveGasPrice"] for receipt in receipts)

    def equipment(self, role: Role) -> Equipment:
        account = self.accounts[role]
        folder, key = self.folder / role.value, self.vault_keys[role]
        return Equipment(self.market, account, self.mailbox, self.log, folder, self.steps.append, vault_key=key)
