"""`modelseal request`: bounties for models of a proven accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from eth_utils.crypto import keccak
from rich.markup import escape

from contracts import ETH
from contracts.requests import Task, Wanted
from trader.amounts import format_amount, read_amount, read_duration
from trader.certificates import Dataset, accepted_circuit, public_test_set, published_proofs
from trader.certificates.certify import prove_rows
from trader.chain.requests import ModelRequests, ProvenBatch
from trader.cli.certificate import DataFile, LabelsFile, open_public_model
from trader.cli.options import PackageFolder  # noqa: TC001 - typer reads the annotations
from trader.cli.output import JsonFlag, print_json_line, progress_bar, results
from trader.cli.settings import buyer_command, open_connection, seller_command
from trader.cli.times import clock
from trader.errors import CallerError
from trader.package import PUBLIC, proof_budget, read_canonical, statement_of

if TYPE_CHECKING:
    from contracts.requests import AcceptedCircuit, PublicTestSet
    from trader.certificates import PublicModel
    from trader.chain.requests import ModelRequest
    from trader.settings.buyer import BuyerSettings
    from trader.settings.seller import SellerSettings

app = typer.Typer(help="Bounties for models of a proven accuracy.", no_args_is_help=True)

RequestNumber = Annotated[int, typer.Argument(metavar="REQUEST", help="Its number.", min=1)]
ArchitecturePackages = Annotated[
    list[Path],
    typer.Option(
        "--architecture",
        metavar="DIR",
        help="Public folder of a package with an architecture that you take; its parameters don't matter. Repeat it.",
    ),
]


@dataclass(frozen=True)
class _Tested:
    """A data set under the circuits that a buyer takes."""

    dataset: Dataset
    circuits: tuple[AcceptedCircuit, ...]
    test_set: PublicTestSet

    @classmethod
    def of(cls, models: list[PublicModel], data: Path, labels: Path) -> _Tested:
        first = models[0]
        dataset = Dataset.read("the test set", data, labels, first.graph.features, first.manifest.input.columns)
        circuits = []
        for model in models:
            with progress_bar("committing to the test set") as update:
                circuits.append(accepted_circuit(model, dataset, update))
        return cls(dataset, tuple(circuits), public_test_set(first, dataset, circuits))

    @property
    def digest(self) -> bytes:
        """What `Task.test_set` holds."""
        return keccak(self.dataset.data_digest + self.dataset.labels_digest)


@app.command()
@buyer_command()
def post(
    settings: BuyerSettings,
    architecture: ArchitecturePackages,
    data: DataFile,
    labels: LabelsFile,
    bounty: Annotated[str, typer.Option(metavar="AMOUNT", help='For the first claim: "0.5 ether".')],
    correct: Annotated[int, typer.Option(min=1, help="Samples of the test set that have to be right.")],
    highest_price: Annotated[str, typer.Option(metavar="AMOUNT", help="What the listing may cost at most.")],
    lowest_bond: Annotated[str, typer.Option(metavar="AMOUNT", help="The bond it must have at least.")] = "0 wei",
    lasting: Annotated[str, typer.Option("--for", metavar="DURATION", help="Until you take the bounty back.")] = "30d",
    hold: Annotated[str, typer.Option(metavar="DURATION", help="How long a claim is held before it is paid.")] = "14d",
    description: Annotated[str, typer.Option(help="For people: the task, where the test set is.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Ask for a model: lock a bounty for the first listing that is proven to be so accurate on a public test set."""
    tested = _Tested.of([open_public_model(folder) for folder in architecture], data, labels)
    connection = open_connection(settings)
    wanted = Wanted(
        market=connection.market.deployment.market,
        deadline=connection.market.chain.time().latest + read_duration(lasting),
        hold_seconds=read_duration(hold),
        bounty_token=ETH,
        bounty=read_amount(bounty),
        price_token=ETH,
        highest_price=read_amount(highest_price),
        lowest_bond=read_amount(lowest_bond),
        samples=len(tested.dataset),
        minimum_correct=correct,
        test_root=tested.test_set.root,
    )
    architectures = keccak(b"".join(sorted(circuit.digest for circuit in tested.circuits)))
    requests = ModelRequests(connection.market)
    requests.post(connection.account, wanted, Task(architectures, tested.digest, description))
    mine = [request for request in requests.open_requests() if request.buyer == connection.account.address]
    _print(max(mine, key=lambda request: request.request_id), description, as_json)


@app.command(name="list")
@buyer_command()
def list_command(settings: BuyerSettings, as_json: JsonFlag = False) -> None:
    """Show the requests that nobody has claimed yet."""
    requests = ModelRequests(open_connection(settings).market)
    for request in requests.open_requests():
        _print(request, requests.task(request.request_id).description, as_json)


@app.command()
@seller_command()
def claim(
    settings: SellerSettings,
    request: RequestNumber,
    listing: Annotated[int, typer.Argument(metavar="LISTING", help="Your listing.", min=1)],
    package: PackageFolder,
    data: DataFile,
    labels: LabelsFile,
    architecture: ArchitecturePackages = [],  # noqa: B006 - typer copies it
    insist: Annotated[
        bool, typer.Option("--insist", help="Publish outputs from which the model could be rebuilt.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Prove a listing's accuracy on the test set of a REQUEST, batch by batch; what was proven stays proven.

    Where the buyer takes several architectures, name them all (--architecture), yours too.
    """
    connection = open_connection(settings)
    requests, model = ModelRequests(connection.market), open_public_model(package / PUBLIC)
    tested = _Tested.of([open_public_model(each) for each in architecture] or [model], data, labels)
    if tested.test_set.root != requests.request(request).wanted.test_root:
        raise CallerError(
            f"request {request} is about another test set, or other architectures: get the data from where its "
            "description says, and name all architectures that it takes (--architecture)"
        )
    circuit = accepted_circuit(model, tested.dataset)
    budget = proof_budget(package, model.graph)
    budget.count_proofs(published_proofs(package / PUBLIC, model.manifest))
    context = partial(requests.proof_context, request, listing)
    with progress_bar("proving") as update:
        canonical = read_canonical(package)
        proofs = prove_rows(model, canonical, tested.dataset, budget, context, update, insist=insist)
    done, _ = requests.progress(request, listing)
    if not done:  # whether the verifier knows the circuit already can't be asked, and twice changes nothing
        connection.market.register_vka(connection.account, model.circuit.vka)
    for index in range(done, len(proofs)):
        batch = ProvenBatch.of(
            proofs[index], model.circuit, statement_of(model.manifest), context(index), tested.test_set, circuit, index
        )
        requests.prove(connection.account, request, listing, batch)
        if requests.request(request).status != "open":
            break
    _print(requests.request(request), "", as_json)


@app.command()
@buyer_command()
def close(settings: BuyerSettings, request: RequestNumber, as_json: JsonFlag = False) -> None:
    """Take a bounty back that nobody has claimed before its deadline."""
    connection = open_connection(settings)
    requests = ModelRequests(connection.market)
    requests.close(connection.account, request)
    _take_out(requests, connection, request, as_json)


@app.command()
@buyer_command()
def reclaim(
    settings: BuyerSettings,
    request: RequestNumber,
    trade: Annotated[int, typer.Argument(metavar="TRADE", help="The trade whose seller was slashed.", min=1)],
    as_json: JsonFlag = False,
) -> None:
    """Take a bounty back whose claim was a fraud: a dispute has convicted the listing."""
    connection = open_connection(settings)
    requests = ModelRequests(connection.market)
    requests.reclaim(connection.account, request, trade)
    _take_out(requests, connection, request, as_json)


@app.command()
@seller_command()
def release(settings: SellerSettings, request: RequestNumber, as_json: JsonFlag = False) -> None:
    """Be paid for a claim, once it was held."""
    connection = open_connection(settings)
    requests = ModelRequests(connection.market)
    requests.release(connection.account, request)
    _take_out(requests, connection, request, as_json)


def _take_out(requests: ModelRequests, connection: Any, request: int, as_json: bool) -> None:
    """Withdraw what is owed after a request has ended; the bounty may be the other side's."""
    owed = requests.credit(str(connection.account.address))
    if owed:
        requests.withdraw(connection.account)
    if as_json:
        print_json_line({"request": request, "withdrawn_wei": owed})
    else:
        results.print(f"request {request} has ended; withdrawn: {format_amount(owed)}", highlight=False)


def _print(request: ModelRequest, description: str, as_json: bool) -> None:
    wanted = request.wanted
    facts = {
        "request": request.request_id,
        "status": request.status,
        "buyer": request.buyer,
        "bounty_wei": wanted.bounty,
        "minimum_correct": wanted.minimum_correct,
        "samples": wanted.samples,
        "highest_price_wei": wanted.highest_price,
        "lowest_bond_wei": wanted.lowest_bond,
        "deadline_seconds": wanted.deadline,
        "hold_seconds": wanted.hold_seconds,
        "released_at_seconds": request.released_at_seconds,
        "test_root": f"0x{wanted.test_root.hex()}",
        "description": description,
    }
    if as_json:
        print_json_line(facts)
        return
    by = request.released_at_seconds or wanted.deadline
    until = f"{'paid from' if request.released_at_seconds else 'until'} {clock(by)}"
    share = f"{wanted.minimum_correct} of {wanted.samples} right"
    results.print(
        f"[bold]{request.request_id}[/]  {request.status}: {format_amount(wanted.bounty)} for {share}, at most "
        f"{format_amount(wanted.highest_price)}, {until}  {escape(description)}",
        highlight=False,
        soft_wrap=True,
    )
