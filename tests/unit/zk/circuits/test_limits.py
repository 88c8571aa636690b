"""Settings that ask for too much work are refused before any is done; so are circuits that the chain can't verify."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import zk
from zk.circuits import key_files, limits
from zk.circuits import settings as circuit_settings
from zk.circuits.limits import verify_chain_limits
from zk.errors import SettingsMismatchError, SrsError, UnsupportedArchitectureError

if TYPE_CHECKING:
    from collections.abc import Iterator


class WorkBegunError(Exception):
    """A process of ezkl would have been started."""


@contextmanager
def no_work() -> Iterator[None]:
    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise WorkBegunError

    with pytest.MonkeyPatch.context() as patch:
        for module in (circuit_settings, key_files):
            patch.setattr(module, "run_job", refuse)
        yield


def rebuild(statement, changes: dict[str, Any], *, rows: int | None = None, logrows: int | None = None) -> None:
    """What a buyer does with settings of the seller's making; the reference string is of the size they ask for."""
    document = json.loads(statement.circuit.settings)
    document["run_args"] |= changes
    if rows is not None:
        document["num_rows"] = rows
    size = document["run_args"]["logrows"] if logrows is None else logrows
    with no_work():
        zk.rebuild_audit_circuit(
            statement.architecture,
            json.dumps(document).encode(),
            audit_samples=statement.circuit.audit_samples,
            scale_bits=statement.circuit.scale_bits,
            srs=replace(statement.srs, logrows=size),
            expected_digest=statement.circuit.digest,
        )


def test_honest_settings_reach_ezkl(statement) -> None:
    with pytest.raises(WorkBegunError):
        rebuild(statement, {})


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({"logrows": 5, "decomp_base": 1 << 26}, "digits to the base"),
        ({"logrows": 5, "lookup_range": [-(1 << 26), 1 << 26]}, "tables of 134217728 values"),
        ({"logrows": 10, "decomp_base": 1 << 10}, "digits to the base"),
        ({"logrows": 10, "lookup_range": [-2049, 2049]}, "tables of 4098 values"),
        ({"num_inner_cols": 64}, "64 inner columns"),
        ({"decomp_base": 128, "decomp_legs": 19}, "19 digits"),
        ({"logrows": 26}, "67108864 rows"),
        ({"logrows": 16, "decomp_base": 128}, "65536 rows"),
    ],
)
def test_settings_that_ask_for_too_much_are_refused_at_once(statement, changes: dict[str, Any], asked: str) -> None:
    with pytest.raises(SettingsMismatchError, match=f"the settings ask for {asked}.*Choose another listing"):
        rebuild(statement, changes)


SIZES = st.one_of(st.integers(-2, 70), st.integers(0, 64).map(lambda bits: 1 << bits), st.integers(-(1 << 70), 1 << 70))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(["logrows", "decomp_base", "decomp_legs", "num_inner_cols", "input_scale", "param_scale"]),
        st.one_of(SIZES, st.none(), st.text(max_size=3), st.floats(), st.lists(SIZES, max_size=2)),
    ),
    st.one_of(st.none(), SIZES),
    st.one_of(st.none(), SIZES),
)
def test_whatever_the_settings_say_they_are_refused_or_cheap(
    statement, changes: dict[str, Any], bound: int | None, rows: int | None
) -> None:
    """What passes has few table columns, few digits, and no more rows than the layout asks for, times eight."""
    if bound is not None:
        changes = changes | {"lookup_range": [-bound, bound]}
    given_args = json.loads(statement.circuit.settings)["run_args"] | changes
    size = given_args["logrows"] if type(given_args["logrows"]) is int else 10
    try:
        rebuild(statement, changes, rows=rows, logrows=size)
    except (SettingsMismatchError, SrsError):
        return
    except WorkBegunError:
        pass
    all_rows, base = 1 << given_args["logrows"], given_args["decomp_base"]
    assert 2 * given_args["lookup_range"][1] <= 4 * all_rows
    assert base < all_rows
    assert base ** (given_args["decomp_legs"] - 1) < 1 << 126 + (base - 1).bit_length()
    assert given_args["num_inner_cols"] <= 8
    layout = json.loads(statement.circuit.settings)["num_rows"] if rows is None else rows
    assert all_rows <= 8 * max(layout, 256, 2 * base, given_args["lookup_range"][1], 1 << 12)


# ------------------------------------------------------------------------------------------------------- on the chain


def test_a_circuit_that_the_chain_verifies_passes(statement) -> None:
    verify_chain_limits(statement.circuit)


@pytest.mark.parametrize(
    ("changes", "beyond"),
    [
        ({"vka": (bytes(32),) * 2_048}, "a key of 2048 words"),
        ({"proof_bytes": 1 << 16}, "proofs of 65536 bytes"),
        ({"audit_samples": 5_000}, "gas to verify a proof"),
    ],
)
def test_what_the_chain_can_not_verify_is_refused(statement, changes: dict[str, Any], beyond: str) -> None:
    with pytest.raises(UnsupportedArchitectureError, match=f"{beyond}.*no sale could be proven"):
        verify_chain_limits(replace(statement.circuit, **changes))


def test_sellers_and_buyers_check_it(statement, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_VKA_WORDS", len(statement.circuit.vka) - 1)
    circuit = statement.circuit
    with pytest.raises(UnsupportedArchitectureError, match="no sale could be proven"):
        zk.build_audit_circuit(
            statement.architecture,
            audit_samples=circuit.audit_samples,
            scale_bits=circuit.scale_bits,
            srs=zk.development_srs,
        )
    with pytest.raises(UnsupportedArchitectureError, match="no sale could be proven"):
        zk.rebuild_audit_circuit(
            statement.architecture,
            circuit.settings,
            audit_samples=circuit.audit_samples,
            scale_bits=circuit.scale_bits,
            srs=statement.srs,
            expected_digest=circuit.digest,
        )
