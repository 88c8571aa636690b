"""What the chain is paid: gas of a trade, of a proof and of disputes, on the embedded chain (py-evm).

All of it is gas of whole transactions, the 21,000 that each one costs included:

- `gas.trade`: purchase, prove, reveal with the buyer's signature and confirm, less what the verifier takes: a bare
  transaction that calls the verifier with the same proof, instances and vka, without the 21,000. Listing and encrypted
  test come before it. `gas.trade_with_accept` is the buyer's way out where the seller leaves its signature unused: a
  transaction of the buyer's, `accept`, and a `reveal` that shows nothing;
- `gas.prove`: the prove transaction over that bare transaction. Beyond the verifier's calldata it carries the layout
  and six hashes;
- `gas.chunk_dispute`: the dearer of the two chunk disputes on a model of 10⁶ parameters; `gas.sum_step` beside it.

The statement is that of `modelseal demo`: 8 audited samples of the 30-16-2 network, so 16 outputs. Gas varies
between runs by some hundreds, for zero bytes in salted commitments and proofs, so nothing is repeated. Peers are
published figures of protocols that sell data without a proof: FDE (Tas et al., Atomic and Fair Data Exchange via
Blockchain, CCS 2024) and FairSwap (Dziembowski, Eckey, Faust, CCS 2018). What they cover: `benchmarks/README.md`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.disputes import disputes
from benchmarks.escrow import KEY, TRANSACTION_GAS, Escrow
from benchmarks.rows import Row, Series, Sweep, at_most
from benchmarks.statement import Statement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DATASET, AUDIT_SAMPLES = "breast-cancer", 8
PARAMETERS = 10**6
FDE_TRADE_GAS = 265_000
FAIRSWAP_DISPUTE_GAS = 169_000
TRADE_BAR, CHUNK_DISPUTE_BAR, PROVE_BAR = 200_000, 170_000, 1.12
TRADE_MOVES = ("purchase", "prove", "accept", "reveal", "confirm")
"""From the price on; `accept` where the buyer's signature is not used."""

OUTPUTS = {16: (DATASET, 8), 80: ("digits", 8), 160: ("digits", 16)}
"""Proven outputs, and the demo's data set and number of samples that have so many."""
MODEL_SIZES = (10**4, 10**5, 10**6)


def rows(quick: bool = False) -> Iterator[Row]:  # noqa: ARG001 - every benchmark takes it; this one is always quick
    """Everything that `modelseal bench gas` prints."""
    escrow = Escrow(Statement.demo(DATASET, AUDIT_SAMPLES))
    gas, verifier = escrow.trade(), escrow.verify()
    by_transaction = escrow.trade(signed=False)
    yield _against("gas.trade", trade_gas(gas, verifier), "FDE, published", FDE_TRADE_GAS, TRADE_BAR)
    yield Row("gas.trade_with_accept", trade_gas(by_transaction, verifier), "gas")
    ratio = gas["prove"] / verifier
    yield Row("gas.prove", gas["prove"], "gas", "bare verifier call", verifier, ratio, *at_most(ratio, PROVE_BAR))
    yield from _disputes(escrow)
    for move, used in (by_transaction | gas).items():
        yield Row(f"gas.{move}_move", used, "gas")


def trade_gas(gas: Mapping[str, int], verifier: int) -> int:
    """Purchase … confirm without the verifier call and its calldata."""
    return sum(used for move, used in gas.items() if move in TRADE_MOVES) - (verifier - TRANSACTION_GAS)


def _disputes(escrow: Escrow) -> Iterator[Row]:
    used = dispute_gas(escrow, PARAMETERS)
    step = used.pop("disputeSumStep")
    yield _against(
        "gas.chunk_dispute", max(used.values()), "FairSwap, published", FAIRSWAP_DISPUTE_GAS, CHUNK_DISPUTE_BAR
    )
    yield Row("gas.sum_step", step, "gas")


def dispute_gas(escrow: Escrow, parameters: int) -> dict[str, int]:
    """Gas of each kind of dispute on a model of so many parameters."""
    found = disputes(parameters, escrow.listed, KEY)
    return {dispute.function: escrow.dispute(dispute) for dispute in found}


def _against(name: str, value: int, peer: str, peer_value: int, bar: int) -> Row:
    """Return a row whose bar is a number of gas."""
    words, holds = at_most(value, bar)
    return Row(name, value, "gas", peer, peer_value, value / peer_value, words, holds)


def sweeps() -> Iterator[Sweep]:
    """Proven outputs, and size of the model."""
    yield _outputs()
    yield _model_size()


def _outputs() -> Sweep:
    """Return the one size that a trade's gas depends on."""
    trades, proofs, verifiers = [], [], []
    for dataset, samples in OUTPUTS.values():
        statement = Statement.demo(dataset, samples)
        escrow = Escrow(statement)
        gas, verifier = escrow.trade(), escrow.verify()
        trades.append(trade_gas(gas, verifier))
        proofs.append(gas["prove"])
        verifiers.append(verifier)
    series = (
        Series("trade without verifier", "gas", tuple(trades)),
        Series("prove", "gas", tuple(proofs)),
        Series("bare verifier call", "gas", tuple(verifiers)),
    )
    return Sweep("gas.outputs", "proven outputs (k · O)", tuple(OUTPUTS), series)


def _model_size() -> Sweep:
    """Disputes against the model's parameters."""
    escrow = Escrow(Statement.demo(DATASET, AUDIT_SAMPLES))
    found = [dispute_gas(escrow, size) for size in MODEL_SIZES]
    series = tuple(Series(function, "gas", tuple(gas[function] for gas in found)) for function in found[0])
    return Sweep("gas.parameters", "parameters", MODEL_SIZES, series)
