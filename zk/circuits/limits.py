"""What a circuit may ask of those who rebuild it, prove it and verify its proofs: checked before any work is done.

Settings come from the seller, and ezkl does what they say: a table of 2^26 integers at 2^5 rows has millions of
columns, and 2^26 rows take a terabyte. An honest circuit has the smallest number of rows that holds its layout, and its
tables fit into a few columns (`zk.circuits.planner`).

At the other end stands the verifier contract. It addresses key and proof by 16-bit pointers, and a transaction may take
no more gas than EIP-7825 allows: a listing beyond that could be bought and never proven.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from zk.circuits.bounds import MAX_DECOMPOSED_BITS
from zk.circuits.keys import WORD_BYTES, count_evaluations
from zk.circuits.planner import MAX_TABLE_COLUMNS, MIN_LOGROWS, UNSALTED_COLUMN
from zk.errors import SettingsMismatchError, UnsupportedArchitectureError

if TYPE_CHECKING:
    from zk.circuits.audit import AuditCircuit
    from zk.circuits.settings import CircuitSettings

MAX_INNER_COLUMNS = 8
SPARE_ROWS_FACTOR = 8
"""Rows may be so many times what the layout needs. An honest circuit has less than four times as many: the next power
of two, or one more where a tensor would leave an empty column."""

MAX_PROOF_BYTES = 60_000
MAX_VKA_WORDS = 1_900
"""The verifier loads the key at 0xa0 and works behind it, below 2^16; calldata before the proof has a few words."""
MAX_TRANSACTION_GAS = 1 << 24
"""EIP-7825."""
GAS_BASE, GAS_PER_POINT, GAS_PER_WORD, GAS_PER_INSTANCE = 27_300, 10_800, 2_600, 1_700
"""Least-squares fit to nine circuits on py-evm (19 to 45 points, 133 to 294 words), within 0.5 % of each."""
ESCROW_GAS_SHARE = 1.2
"""`prove` may cost so many times the bare verifier call."""
_POINT_BYTES = 64


def verify_settings_limits(settings: CircuitSettings) -> None:
    """Check that a circuit of these settings can be built with little more work than it needs; silent on success.

    What the settings say of the layout (its rows, the lengths of tensors) is believed here: ezkl derives it again
    before keys are made, which costs no more than the architecture asks for.

    Raises:
        SettingsMismatchError: They ask for more.
    """
    arguments = settings.run_arguments
    rows, tables = 1 << arguments.logrows, 2 * arguments.lookup_bound
    base_bits = (arguments.decomp_base - 1).bit_length()
    if arguments.num_inner_cols > MAX_INNER_COLUMNS:
        raise _too_much(f"{arguments.num_inner_cols} inner columns", f"{MAX_INNER_COLUMNS}")
    if tables > MAX_TABLE_COLUMNS * rows:
        raise _too_much(f"tables of {tables} values", f"{MAX_TABLE_COLUMNS} columns of {rows} rows")
    if 2 * arguments.decomp_base > rows:
        raise _too_much(f"digits to the base {arguments.decomp_base}", f"half of {rows} rows")
    if (arguments.decomp_legs - 1) * base_bits >= MAX_DECOMPOSED_BITS:
        raise _too_much(f"{arguments.decomp_legs} digits of {base_bits} bits", f"{MAX_DECOMPOSED_BITS} bits")
    needed = max(
        1 << MIN_LOGROWS,
        json.loads(settings.canonical)["num_rows"],
        settings.instances,
        min(max(settings.tensor_lengths), UNSALTED_COLUMN),
        2 * arguments.decomp_base,
        tables // MAX_TABLE_COLUMNS,
    )
    if rows > SPARE_ROWS_FACTOR * needed:
        raise _too_much(f"{rows} rows where {needed} are needed", f"{SPARE_ROWS_FACTOR} times as many")


def verify_chain_limits(circuit: AuditCircuit) -> None:
    """Check that proofs of a circuit can be verified in a transaction; silent on success.

    Raises:
        UnsupportedArchitectureError: They can't.
    """
    gas = int(ESCROW_GAS_SHARE * estimate_verification_gas(circuit))
    for what, found, most in (
        ("a key of {} words", len(circuit.vka), MAX_VKA_WORDS),
        ("proofs of {} bytes", circuit.proof_bytes, MAX_PROOF_BYTES),
        ("about {} gas to verify a proof", gas, MAX_TRANSACTION_GAS),
    ):
        if found > most:
            raise UnsupportedArchitectureError(
                f"this circuit has {what.format(found)}, the chain takes {most}: no sale could be proven. "
                "Audit fewer samples, or sell a model with fewer outputs or layers"
            )


def estimate_verification_gas(circuit: AuditCircuit) -> int:
    """Gas of verifying a proof with the reusable verifier, calldata included; see `GAS_BASE`."""
    points = (circuit.proof_bytes - WORD_BYTES * count_evaluations(circuit.vka)) // _POINT_BYTES
    instances = circuit.output_count + 2 * (circuit.hidden is not None)
    return GAS_BASE + GAS_PER_POINT * points + GAS_PER_WORD * len(circuit.vka) + GAS_PER_INSTANCE * instances


def _too_much(asked: str, allowed: str) -> SettingsMismatchError:
    return SettingsMismatchError(
        f"the settings ask for {asked}, an honest circuit has at most {allowed}: building it would cost you more than "
        "it is worth. Choose another listing"
    )
