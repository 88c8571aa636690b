"""Audit proofs: time, memory, sizes and gas, against ezkl with its own settings; binding and checking of deliveries.

- `zk.per_sample`: seconds of one proof about 16 samples of the 784-64-10 network, divided by 16: from field elements to
  a proof that was verified, the integer evaluation and all commitments included. The peer proves one sample
  (`ezkl_defaults`); only its witness and its proof are counted. Keys are made before the clock starts, on both sides.
- `zk.per_sample.processor`: the same in seconds of processor time, which other work on the machine disturbs less.
- `zk.marginal_sample`: what one more sample costs, from proofs about 1 and about 16.
- `zk.trees.20`, `zk.trees.50`: seconds of one proof about 4 rows of so many trees of depth 4 over 30 columns of 32
  bins, and `.processor`, the same on all cores together. Trees are random, and what is proven is compared with what
  they give.
- `zk.bind`, `zk.verify_binding`, `zk.check_delivery`: see `binding`; 10⁶ parameters.

A quick run takes a 49-16-10 network and 10⁴ parameters. Keys and reference strings stay in the user's cache, some
gigabytes of them after a full run; the first run makes them and takes longer.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from benchmarks.binding import measure_binding
from benchmarks.ezkl_defaults import PeerCost, measure_defaults
from benchmarks.gas import MODEL_SIZES
from benchmarks.he import IMAGE_NETWORK
from benchmarks.rows import Row, Series, Sweep, Timing, at_least, at_most
from benchmarks.statement import CONTEXT, Statement
from trader.model import evaluate_exact
from trader.rehearsal.networks import random_network
from trader.rehearsal.proving import verify_in_contract
from zk.circuits.key_files import keys_of

if TYPE_CHECKING:
    from collections.abc import Iterator

QUICK_NETWORK = (49, 16, 10)
AUDIT_SAMPLES = 16
SAMPLES = (1, 4, 16, 64, 256)
WIDTHS = (16, 64, 256)
WIDTHS_SAMPLES = 4
QUICK_PARAMETERS = 10**4
TREES, TREE_DEPTH, TREE_COLUMNS, TREE_EDGES, TREE_SAMPLES = (20, 50), 4, 30, 31, 4
QUICK_TREES = (2,)
PER_SAMPLE_BAR, DELIVERY_BAR_SECONDS = 5, 30
PEER = "ezkl's own settings"


def rows(quick: bool = False) -> Iterator[Row]:
    """Everything that `modelseal bench zk` prints."""
    network, runs = (QUICK_NETWORK, 1) if quick else (IMAGE_NETWORK, 3)
    many = measure_proof(network, AUDIT_SAMPLES, runs)
    yield from _per_sample(network, many, measure_peer(network, 1))
    one = measure_proof(network, 1, 1)
    marginal = (many.seconds.median - one.seconds.median) / (AUDIT_SAMPLES - 1)
    yield Row("zk.marginal_sample", marginal, "s", "the first sample", one.seconds.median)
    yield Row("zk.peak_memory", many.peak_memory_bytes, "bytes", runs=runs)
    yield Row("zk.rows", many.rows, "rows")
    yield Row("zk.proof_bytes", many.proof_bytes, "bytes")
    yield Row("zk.verification_gas", many.verification_gas, "gas")
    for trees in QUICK_TREES if quick else TREES:
        yield from _tree_rows(trees, runs)
    yield from _binding_rows(network, QUICK_PARAMETERS if quick else MODEL_SIZES[-1])


def _per_sample(network: tuple[int, ...], cost: AuditCost, peer: PeerCost) -> Iterator[Row]:
    against = f"{PEER}, {'-'.join(map(str, network))}"
    seconds, runs = cost.seconds.median / AUDIT_SAMPLES, len(cost.seconds.seconds)
    ratio = peer.seconds.median / seconds
    bar, holds = at_least(ratio, PER_SAMPLE_BAR)
    yield Row("zk.per_sample", seconds, "s", against, peer.seconds.median, ratio, bar, holds, runs, cost.seconds.spread)
    seconds = cost.processor_seconds / AUDIT_SAMPLES
    ratio = peer.processor_seconds / seconds
    yield Row("zk.per_sample.processor", seconds, "s", against, peer.processor_seconds, ratio, runs=runs)


def _tree_rows(trees: int, runs: int) -> Iterator[Row]:
    statement = Statement.trees((TREE_EDGES,) * TREE_COLUMNS, trees, TREE_DEPTH, TREE_SAMPLES)
    cost = _measure(statement, runs)
    yield Row(f"zk.trees.{trees}", cost.seconds.median, "s", runs=runs, spread=cost.seconds.spread)
    yield Row(f"zk.trees.{trees}.processor", cost.processor_seconds, "s", runs=runs)
    yield Row(f"zk.trees.{trees}.rows", cost.rows, "rows")


def _binding_rows(network: tuple[int, ...], parameters: int) -> Iterator[Row]:
    cost = measure_binding(_statement(network, WIDTHS_SAMPLES), parameters)
    yield Row("zk.bind", cost.bind_seconds, "s")
    yield Row("zk.verify_binding", cost.verify_seconds, "s")
    bar, holds = at_most(cost.delivery_seconds, DELIVERY_BAR_SECONDS)
    yield Row("zk.check_delivery", cost.delivery_seconds, "s", bar=bar, holds=holds)


@dataclass(frozen=True)
class AuditCost:
    """What proofs of one circuit take.

    Attributes:
        seconds: Proof, verification, commitments.
        processor_seconds: The same on all cores together, mean of the runs.
        peak_memory_bytes: Of the proving process.
        proving_key_bytes: Size of the proving key.
        proof_bytes: Size of a proof.
        rows: Of the circuit.
        verification_gas: Of a bare transaction that calls the verifier.
    """

    seconds: Timing
    processor_seconds: float
    peak_memory_bytes: int
    proving_key_bytes: int
    proof_bytes: int
    rows: int
    verification_gas: int


@cache
def _statement(network: tuple[int, ...], audit_samples: int) -> Statement:
    return Statement.random(network, audit_samples)


@cache
def measure_peer(network: tuple[int, ...], runs: int) -> PeerCost:
    """Return what ezkl takes for one sample."""
    return measure_defaults(random_network(*network), runs)


@cache
def measure_proof(network: tuple[int, ...], audit_samples: int, runs: int) -> AuditCost:
    """Prove, some times, and have the contract verify the last proof."""
    return _measure(_statement(network, audit_samples), runs)


def _measure(statement: Statement, runs: int) -> AuditCost:
    processor_before = _processor_seconds_of_children()
    made = [statement.prove() for _ in range(runs)]
    if list(made[-1].proof.outputs) != evaluate_exact(statement.model, statement.inputs).ravel().tolist():
        raise AssertionError("a proof has other outputs than the model")
    return AuditCost(
        seconds=Timing(tuple(run.took.seconds for run in made)),
        processor_seconds=(_processor_seconds_of_children() - processor_before) / runs,
        peak_memory_bytes=max(run.took.peak_memory_bytes for run in made),
        proving_key_bytes=keys_of(statement.circuit, statement.srs).proving_key.stat().st_size,
        proof_bytes=statement.circuit.proof_bytes,
        rows=1 << statement.circuit.logrows,
        verification_gas=verify_in_contract(statement.circuit, made[-1].proof, CONTEXT),
    )


def _processor_seconds_of_children() -> float:
    """Of all processes that have ended: ezkl runs in one of its own."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def sweeps() -> Iterator[Sweep]:
    """Sweep samples in a proof, width of the hidden layer, size of the model."""
    peer = measure_peer(IMAGE_NETWORK, 1)
    costs = [measure_proof(IMAGE_NETWORK, samples, 1) for samples in SAMPLES]
    yield _sweep(
        "samples", "audited samples (k)", SAMPLES, costs, [samples * peer.seconds.median for samples in SAMPLES]
    )
    networks = [(IMAGE_NETWORK[0], width, IMAGE_NETWORK[-1]) for width in WIDTHS]
    costs = [measure_proof(network, WIDTHS_SAMPLES, 1) for network in networks]
    peers = [WIDTHS_SAMPLES * measure_peer(network, 1).seconds.median for network in networks]
    yield _sweep("widths", f"hidden neurons, k = {WIDTHS_SAMPLES}", WIDTHS, costs, peers)
    yield _binding_sweep()


def _sweep(name: str, axis: str, points: tuple[int, ...], costs: list[AuditCost], peer_seconds: list[float]) -> Sweep:
    series = (
        Series("proof", "s", tuple(cost.seconds.median for cost in costs)),
        Series(PEER, "s", tuple(peer_seconds)),
        Series("peak memory", "bytes", tuple(cost.peak_memory_bytes for cost in costs)),
        Series("proving key", "bytes", tuple(cost.proving_key_bytes for cost in costs)),
        Series("circuit", "rows", tuple(cost.rows for cost in costs)),
        Series("proof size", "bytes", tuple(cost.proof_bytes for cost in costs)),
        Series("verification", "gas", tuple(cost.verification_gas for cost in costs)),
    )
    return Sweep(f"zk.{name}", axis, points, series)


def _binding_sweep() -> Sweep:
    """Binding and delivery; what disputes cost stands in `gas.parameters`."""
    costs = [measure_binding(_statement(IMAGE_NETWORK, WIDTHS_SAMPLES), size) for size in MODEL_SIZES]
    series = (
        Series("bind", "s", tuple(cost.bind_seconds for cost in costs)),
        Series("verify binding", "s", tuple(cost.verify_seconds for cost in costs)),
        Series("check delivery", "s", tuple(cost.delivery_seconds for cost in costs)),
    )
    return Sweep("zk.binding", "parameters", MODEL_SIZES, series)
