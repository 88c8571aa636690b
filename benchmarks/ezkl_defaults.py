"""The peer of `zk`: ezkl as its documentation uses it, one sample per proof, inputs hashed.

Settings are ezkl's own: `gen_settings` with default run arguments but for `input_visibility="hashed"`, then
`calibrate_settings` for resources. Weights stand in the circuit as constants, which is the default too, so that such a
proof hides them no better than the verifying key does, and says nothing about a commitment: it proves less than ours.
Without calibration the circuit would have 2^17 rows and take several times as long.

Settings, keys and proofs are made in processes of their own: ezkl keeps what it allocates, and its peak is measured.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.rows import Timing, measure, peak_bytes
from zk import development_srs
from zk.storage import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from trader.model import CanonicalModel


@dataclass(frozen=True)
class PeerCost:
    """What ezkl takes for one sample.

    Attributes:
        seconds: Witness and proof.
        processor_seconds: The same on all cores together, mean of the runs.
        peak_memory_bytes: Of the proving process.
        proving_key_bytes: Size of the proving key.
    """

    seconds: Timing
    processor_seconds: float
    peak_memory_bytes: int
    proving_key_bytes: int


def measure_defaults(model: CanonicalModel, runs: int) -> PeerCost:
    """Prove a dense network's output for one sample in [0, 1] with ezkl's own settings."""
    sample = np.random.default_rng(1).random(model.graph.features)
    with temporary_folder("peer") as path:
        folder = str(path)
        onnx.save(_plain_network(model), Path(folder, "model.onnx"))
        Path(folder, "input.json").write_text(json.dumps({"input_data": [sample.tolist()]}))
        _in_fresh_process(_make_keys, folder)
        seconds, processor_seconds, peak = _in_fresh_process(_prove, folder, runs)
        return PeerCost(Timing(seconds), processor_seconds, peak, Path(folder, "pk").stat().st_size)


def _in_fresh_process(work: Callable[..., Any], *arguments: Any) -> Any:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=_silence) as pool:
        return pool.submit(work, *arguments).result()


def _silence() -> None:
    """Send what ezkl reports away from standard output, which belongs to the results; its errors are exceptions."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _make_keys(folder: str) -> None:
    ezkl = _import_ezkl()
    os.chdir(folder)
    arguments = ezkl.PyRunArgs()
    arguments.input_visibility = "hashed"
    ezkl.gen_settings("model.onnx", "settings.json", py_run_args=arguments)
    ezkl.calibrate_settings("input.json", "model.onnx", "settings.json", "resources")
    ezkl.compile_circuit("model.onnx", "compiled", "settings.json")
    ezkl.setup("compiled", "vk", "pk", _srs())


def _prove(folder: str, runs: int) -> tuple[tuple[float, ...], float, int]:
    ezkl = _import_ezkl()
    os.chdir(folder)
    srs = _srs()

    def prove() -> None:
        ezkl.gen_witness("input.json", "compiled", "witness.json", "vk", srs)
        ezkl.prove("witness.json", "compiled", "pk", "proof.json", srs)

    processor_before = time.process_time()
    seconds = measure(prove, runs, warm_up=False).seconds
    return seconds, (time.process_time() - processor_before) / runs, peak_bytes()


def _import_ezkl() -> Any:
    """Its stub makes optional arguments required."""
    import ezkl

    return ezkl


def _srs() -> str:
    """Return an SRS of the size that ezkl has chosen."""
    settings = json.loads(Path("settings.json").read_text())
    return str(development_srs(settings["run_args"]["logrows"]).path)


def _plain_network(model: CanonicalModel) -> onnx.ModelProto:
    """Return the network for one sample, with its weights as constants."""
    nodes, constants, value = [], [], "input"
    layers = len(model.tensors)
    for index in range(layers):
        for name, tensor in (("weights", model.weights(index)), ("bias", model.bias(index))):
            real = np.ldexp(tensor.astype(np.float32), -model.scale_bits)
            constants.append(numpy_helper.from_array(real, f"{name}{index}"))
        nodes.append(helper.make_node("Gemm", [value, f"weights{index}", f"bias{index}"], [f"linear{index}"]))
        value = f"linear{index}"
        if index < layers - 1:
            nodes.append(helper.make_node("Mul", [value, value], [f"square{index}"]))
            value = f"square{index}"
    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, model.graph.features])]
    outputs = [helper.make_tensor_value_info(value, TensorProto.FLOAT, [1, model.graph.outputs])]
    graph = helper.make_graph(nodes, "model", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
