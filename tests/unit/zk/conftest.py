"""One small circuit, built once, in a cache of the tests' own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

import zk
from tests.simulators.dense_model import CONTEXT, SCALE_BITS, dense_architecture, random_inputs, random_parameters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import onnx
    from numpy.typing import NDArray

WIDTHS = (6, 4, 2)
AUDIT_SAMPLES = 3


@dataclass(frozen=True)
class Statement:
    architecture: onnx.ModelProto
    circuit: zk.AuditCircuit
    srs: zk.Srs
    inputs: NDArray[np.int64]
    salt: tuple[int, ...]
    parameters: list[NDArray[np.int32]]
    proof: zk.Proof
    input_points: tuple[bytes, ...]
    parameter_points: tuple[bytes, ...]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))


@pytest.fixture(scope="session")
def statement(cache: Path) -> Iterator[Statement]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        rng = np.random.default_rng(0)
        architecture = dense_architecture(*WIDTHS)
        circuit = zk.build_audit_circuit(
            architecture, audit_samples=AUDIT_SAMPLES, scale_bits=SCALE_BITS, srs=zk.development_srs
        )
        srs = zk.development_srs(circuit.logrows)
        inputs = random_inputs(rng, AUDIT_SAMPLES, WIDTHS[0])
        salt, parameters = zk.draw_input_salt(circuit), random_parameters(rng, *WIDTHS)
        yield Statement(
            architecture=architecture,
            circuit=circuit,
            srs=srs,
            inputs=inputs,
            salt=salt,
            parameters=parameters,
            proof=zk.prove(circuit, inputs, salt, parameters, srs, context=CONTEXT),
            input_points=zk.input_commitment(circuit, inputs, salt, srs),
            parameter_points=zk.parameter_commitment(circuit, parameters, srs),
        )
