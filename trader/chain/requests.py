"""Bounties for models of a proven accuracy, in Python: typed reads, and one method per move (`ModelRequests.sol`).

Money that comes back is credited, and `withdraw` takes it out. Who may do what until when, the contract decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from contracts import ETH, Periphery, bind_periphery, offer_digest
from contracts.published import read_artifacts
from contracts.requests import Task, Wanted, proof_context
from trader.chain.scan import LogScan
from trader.errors import CallerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contracts import Statement
    from contracts.requests import AcceptedCircuit, PublicTestSet
    from trader.chain.market import Market
    from trader.chain.receipts import Receipt
    from trader.signer import Signer
    from zk import AuditCircuit, Proof


@dataclass(frozen=True)
class ModelRequest:
    """A request as the chain holds it.

    Attributes:
        request_id: Its number.
        buyer: Who asks.
        status: `open`, `claimed` or `ended`.
        seller: Whose listing has claimed it, if one has.
        released_at_seconds: When a claim may be paid; 0 before there is one.
        listing_id: The claim's.
        wanted: What is asked for.
    """

    request_id: int
    buyer: str
    status: str
    seller: str
    released_at_seconds: int
    listing_id: int
    wanted: Wanted


@dataclass(frozen=True)
class ProvenBatch:
    """A batch of the test set and the proof of what a model gives on it: what `prove` takes."""

    audit: tuple[Any, ...]
    """The Solidity struct `AuditProof`; answer and outputs digest mean nothing."""
    input_commitment: bytes
    labels: bytes
    path: Sequence[bytes]

    @classmethod
    def of(
        cls,
        proof: Proof,
        circuit: AuditCircuit,
        statement: Statement,
        context: bytes,
        test_set: PublicTestSet,
        accepted: AcceptedCircuit,
        index: int,
    ) -> Self:
        """Return what `prove` takes for a batch.

        Args:
            proof: Made for this context.
            circuit: The listing's.
            statement: The listing's.
            context: `ModelRequests.proof_context`.
            test_set: As the buyer has it.
            accepted: The circuit, among those that the buyer takes.
            index: Of the batch.

        Raises:
            KeyError: The buyer doesn't take the circuit.
        """
        instances = list(proof.public_instances(circuit, context))
        audit = (proof.data, instances, list(circuit.vka), statement.as_abi(), bytes(32), bytes(32))
        labels, path = test_set.labels(accepted, index), test_set.path(accepted, index)
        return cls(audit, accepted.input_commitments[index], labels, path)

    def as_abi(self) -> tuple[Any, ...]:
        """Return the Solidity struct `Batch`."""
        return (self.audit, self.input_commitment, self.labels, list(self.path))


class ModelRequests:
    """The requests of a chain; what they ask for is looked for in one market."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._chain = market.chain
        self._contract = bind_periphery(market.chain.web3, Periphery.MODEL_REQUESTS)
        self._posted = LogScan(
            market.chain, self._contract, (self._contract.events.Posted().topic,), market.first_block
        )

    @property
    def address(self) -> str:
        """Where the contract is on every chain."""
        return str(self._contract.address)

    def request(self, request_id: int) -> ModelRequest:
        """Return a request.

        Raises:
            CallerError: There is none of that number.
        """
        buyer, status, seller, released_at, listing_id, _, wanted = self._read("request", request_id)
        if not status:
            raise CallerError(f"there is no request {request_id} on this chain")
        name = read_artifacts().enums["RequestStatus"][status].lower()
        return ModelRequest(request_id, buyer, name, seller, released_at, listing_id, Wanted.from_abi(wanted))

    def open_requests(self) -> list[ModelRequest]:
        """Return the requests for this market that nobody has claimed, the oldest first; none where no contract is."""
        found = [self.request(int(log.arguments["requestId"])) for log in self._posted.read()]
        market = self._market.deployment.market
        return [request for request in found if request.status == "open" and request.wanted.market == market]

    def task(self, request_id: int) -> Task:
        """Return what the buyer says to people about its request.

        Raises:
            CallerError: There is none of that number.
        """
        for log in self._posted.read():
            if int(log.arguments["requestId"]) == request_id:
                task = log.arguments["task"]
                return Task(task["architecture"], task["testSet"], task["description"])
        raise CallerError(f"there is no request {request_id} on this chain")

    def progress(self, request_id: int, listing_id: int) -> tuple[int, int]:
        """Return how many batches a listing has proven, and how many samples of them were right."""
        batches, correct = self._read("progressOf", request_id, self.offer(listing_id))
        return int(batches), int(correct)

    def offer(self, listing_id: int) -> bytes:
        """Return the offer digest that proofs for a listing name."""
        listing = self._market.listing(listing_id)
        return offer_digest(listing.seller, listing.terms)

    def proof_context(self, request_id: int, listing_id: int, batch: int) -> bytes:
        """Return what the challenge of a batch's proof depends on, beside the statement; 32 bytes."""
        return proof_context(self._chain.chain_id, self.address, request_id, self.offer(listing_id), batch)

    def credit(self, account: str, token: str = ETH) -> int:
        """Return what `withdraw` would pay out."""
        return int(self._read("balanceOf", account, token))

    # ------------------------------------------------------------------------------------------------------ moves

    def post(self, account: Signer, wanted: Wanted, task: Task) -> Receipt:
        """Ask for a model and lock the bounty, ETH or tokens that the contract may take; `Posted` has the number."""
        self._chain.deploy_periphery(account, Periphery.MODEL_REQUESTS)
        value_wei = wanted.bounty if wanted.bounty_token == ETH else 0
        function = self._contract.functions.post(wanted.as_abi(), task.as_abi())
        return self._chain.send(function, account, value_wei=value_wei)

    def prove(self, account: Signer, request_id: int, listing_id: int, batch: ProvenBatch) -> Receipt:
        """Prove the next batch for a listing of the account's; `Claimed` follows if that is enough."""
        return self._chain.send(self._contract.functions.prove(request_id, listing_id, batch.as_abi()), account)

    def release(self, account: Signer, request_id: int) -> Receipt:
        """Have a claim paid whose time of holding is over."""
        return self._chain.send(self._contract.functions.release(request_id), account)

    def reclaim(self, account: Signer, request_id: int, trade_id: int) -> Receipt:
        """Give the bounty back since a trade of the claim's listing ended in `Slashed`."""
        return self._chain.send(self._contract.functions.reclaim(request_id, trade_id), account)

    def close(self, account: Signer, request_id: int) -> Receipt:
        """Give the bounty of a request that nobody claimed back, after its deadline."""
        return self._chain.send(self._contract.functions.close(request_id), account)

    def withdraw(self, account: Signer, token: str = ETH) -> Receipt:
        """Take out what is owed to the account."""
        return self._chain.send(self._contract.functions.withdraw(token), account)

    def _read(self, name: str, *arguments: Any) -> Any:
        return self._chain.call(self._contract.functions[name](*arguments))
