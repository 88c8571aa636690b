"""ezkl's settings: the canonical artifact from which anyone rebuilds a circuit.

Settings are a function of the circuit's ONNX and of ezkl's *run arguments*. The seller chooses the run arguments;
whoever rebuilds lets ezkl derive the settings again from these arguments (`regenerate`) and compares, so that
nothing else in the file needs trust. The canonical bytes are JSON (RFC 8785) with a timestamp of 0 and
sorted sets, and with at most as many assignments as one block of columns holds: ezkl counts the cells of inputs
several times (each operation that reads an input counts it as unassigned; when keys are made it is not), and would add
blocks that stay empty. A layout that needs more has no keys, so the number is no claim.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rfc8785

from zk.errors import SettingsMismatchError, UnsupportedArchitectureError, WorkerFailedError
from zk.ezkl.worker import run_job
from zk.setup.srs import MAX_LOGROWS
from zk.storage import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_SETTINGS_BYTES = 1 << 20
MAX_NESTING = 16

UNUSED_ROWS = 8
"""Rows at the end of each column that no assignment goes to: blinding factors, and what ezkl keeps for duplicates."""

_SETS = ("required_lookups", "required_range_checks")
"""Lists that ezkl writes in hash-map order: another one in every process."""

_BOUNDS = {
    "input_scale": (0, 24),
    "param_scale": (0, 24),
    "scale_rebase_multiplier": (1, 64),
    "logrows": (5, MAX_LOGROWS),
    "num_inner_cols": (1, 64),
    "decomp_base": (2, 1 << MAX_LOGROWS),
    "decomp_legs": (1, 64),
    "lookup_bound": (2, 1 << MAX_LOGROWS),
}


@dataclass(frozen=True)
class RunArguments:
    """The choices that make a circuit, under ezkl's names for them.

    Attributes:
        input_scale: Bits of the fixed-point inputs; 0 in exact circuits, which compute on integers.
        logrows: log2 of the number of rows.
        num_inner_cols: Columns that an operation is laid out over.
        decomp_base: Base of the decompositions behind range checks; polynomial models have none.
        decomp_legs: Digits of a decomposition.
        scale_rebase_multiplier: ezkl rescales once a scale exceeds this many times `input_scale`; never, at 64.
        lookup_bound: Tables of functions hold the integers from -lookup_bound to lookup_bound.
    """

    input_scale: int
    logrows: int
    num_inner_cols: int = 2
    decomp_base: int = 256
    decomp_legs: int = 4
    scale_rebase_multiplier: int = 64
    lookup_bound: int = 2

    def as_json(self) -> dict[str, Any]:
        """Ezkl's run arguments; parameters have the inputs' scale.

        Freivalds' check is off: ezkl 23 makes it on a copy of a product's result, so that whatever reads the result
        reads values of the prover's choice.
        """
        return {
            "input_scale": self.input_scale,
            "param_scale": self.input_scale,
            "scale_rebase_multiplier": self.scale_rebase_multiplier,
            "logrows": self.logrows,
            "num_inner_cols": self.num_inner_cols,
            "decomp_base": self.decomp_base,
            "decomp_legs": self.decomp_legs,
            "lookup_range": [-self.lookup_bound, self.lookup_bound],
            "disable_freivalds": True,
        }


@dataclass(frozen=True)
class CircuitSettings:
    """What the project reads from settings.

    Attributes:
        canonical: The canonical bytes.
        run_arguments: The choices.
        tensor_lengths: Elements of each committed tensor: tensor 0, then the parameters.
        output_shapes: Shapes of the instances: the model's output, first dimension k, and what a random check adds.
        output_scale_bits: ezkl's scale of the instances; 0 in exact circuits.
        decomposes: Some values are decomposed into limbs.
        lookups: Tables that functions are looked up in, as JSON.
        counted_assignments: Cells as ezkl counts them, where it was asked: more than there are.
    """

    canonical: bytes
    run_arguments: RunArguments
    tensor_lengths: tuple[int, ...]
    output_shapes: tuple[tuple[int, ...], ...]
    output_scale_bits: int
    decomposes: bool
    lookups: tuple[str, ...]
    counted_assignments: int = 0

    @property
    def instances(self) -> int:
        """Number of public instances."""
        return sum(math.prod(shape) for shape in self.output_shapes)


def generate(circuit: bytes, choices: Sequence[RunArguments]) -> list[CircuitSettings]:
    """Let ezkl derive the settings of a circuit, with each of some run arguments; one process does them all.

    Raises:
        UnsupportedArchitectureError: ezkl has no circuit for the graph.
    """
    with temporary_folder("settings") as folder:
        onnx = Path(folder, "circuit.onnx")
        onnx.write_bytes(circuit)
        job = {"circuit": onnx, "folder": folder, "run_args": [arguments.as_json() for arguments in choices]}
        try:
            run_job("make_settings", job)
        except WorkerFailedError as error:
            raise UnsupportedArchitectureError(f"no circuit for this architecture: {error}") from error
        made = [Path(folder, f"{index}.json").read_bytes() for index in range(len(choices))]
    return [_read_derived(data, arguments) for data, arguments in zip(made, choices, strict=True)]


def _read_derived(data: bytes, run_arguments: RunArguments) -> CircuitSettings:
    made = json.loads(data)
    counted = made["total_assignments"]
    rows = (1 << run_arguments.logrows) - UNUSED_ROWS
    made["total_assignments"] = min(counted, run_arguments.num_inner_cols * rows)
    made["num_rows"] = min(made["num_rows"], rows)
    return replace(read_settings(json.dumps(made).encode()), counted_assignments=counted)


def regenerate(circuit: bytes, given: CircuitSettings) -> CircuitSettings:
    """Check that settings belong to a circuit: ezkl derives them again, from their run arguments.

    Raises:
        SettingsMismatchError: ezkl derives others.
    """
    (derived,) = generate(circuit, [given.run_arguments])
    if derived.canonical != given.canonical:
        raise SettingsMismatchError(
            "the settings are not those of this architecture: "
            f"{_first_difference(derived.canonical, given.canonical)}. "
            "Ask the seller for the architecture.onnx and settings.json that were listed"
        )
    return derived


def read_settings(data: bytes) -> CircuitSettings:
    """Read settings that may come from the other party.

    Raises:
        SettingsMismatchError: They are too long, not JSON, or a value is missing or out of range.
    """
    if len(data) > MAX_SETTINGS_BYTES:
        raise SettingsMismatchError(f"settings of {len(data)} bytes: at most {MAX_SETTINGS_BYTES} are read")
    try:
        settings = json.loads(_flat(data))
        settings["timestamp"] = 0
        for name in _SETS:
            settings[name] = sorted(settings[name], key=json.dumps)
        run_args = settings["run_args"] | {"lookup_bound": settings["run_args"]["lookup_range"][1]}
        _require_constrained_products(settings)
        for name, (low, high) in _BOUNDS.items():
            if not low <= _integer(run_args[name]) <= high:
                raise ValueError(f"{name} is {run_args[name]}, not in {low}…{high}")
        return CircuitSettings(
            canonical=rfc8785.dumps(settings),
            run_arguments=RunArguments(
                **{name: _integer(run_args[name]) for name in RunArguments.__dataclass_fields__}
            ),
            tensor_lengths=tuple(_integer(n) for n in settings["module_sizes"]["polycommit"]),
            output_shapes=tuple(tuple(_integer(n) for n in shape) for shape in settings["model_instance_shapes"]),
            output_scale_bits=_integer(settings["model_output_scales"][0]),
            decomposes=bool(settings["required_range_checks"]),
            lookups=tuple(rfc8785.dumps(table).decode() for table in settings["required_lookups"]),
        )
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise SettingsMismatchError(
            f"malformed settings: {type(error).__name__} {error}; ask the seller for the listed file"
        ) from error


def _flat(data: bytes) -> bytes:
    """Refuse deep nesting before json sees it: py_ecc raises the recursion limit, and json overflows the stack."""
    depth = 0
    for bracket in re.finditer(rb"[\[\]{}]", data):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > MAX_NESTING:
            raise ValueError(f"nested deeper than {MAX_NESTING}")
    return data


def _require_constrained_products(settings: dict[str, Any]) -> None:
    """Refuse circuits in which ezkl leaves the results of matrix products to the prover (Freivalds' check)."""
    if settings["run_args"]["disable_freivalds"] is not True or settings["einsum_params"]["total_einsum_col_size"]:
        raise SettingsMismatchError(
            "the circuit leaves matrix products to the prover (Freivalds' check is on), so its proofs prove nothing: "
            "the package must be prepared again with this release"
        )


def _integer(value: object) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r} is not an integer")
    return value


def _first_difference(derived: bytes, given: bytes) -> str:
    ours, theirs = json.loads(derived), json.loads(given)
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            return f"{name} is {str(theirs.get(name))[:80]}, ezkl derives {str(ours.get(name))[:80]}"
    return "equal values, other bytes"
