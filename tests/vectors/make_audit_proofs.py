"""Makes `audit_proofs.json`: real ezkl proofs of a tiny linear model, for the tests of the market.

Run `python tests/vectors/make_audit_proofs.py` from the repository's root. Four statements about one circuit
(k = 8 samples of 3 features, 2 outputs each, one salted parameter tensor):

- `first`: what a trade proves;
- `second`: the same parameters on other inputs, a proof that belongs to another trade;
- `other_model`: other parameters on the first inputs;
- `foreign_srs`: the first statement under keys made with another SRS, hence with a vka of its own.

Proofs are not deterministic, so a new run gives other bytes of the same meaning.
"""

import asyncio
import contextlib
import json
import os
import tempfile
from pathlib import Path

import ezkl
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SAMPLES, FEATURES, OUTPUTS, SALT, LOGROWS, SCALE_BITS, COMMIT_SCALE_BITS = 8, 3, 2, 12, 10, 13, 12
ROWS = FEATURES + 1 + SALT
TARGET = Path(__file__).with_name("audit_proofs.json").resolve()


def audit_circuit() -> onnx.ModelProto:
    """Slice and reshape the salted inputs, pad them with a one for the bias, multiply by the parameters."""
    one = np.zeros((1, ROWS), np.float32)
    one[0, FEATURES] = 1
    constants = {
        "start": np.array([0]),
        "end": np.array([SAMPLES * FEATURES]),
        "axis": np.array([1]),
        "shape": np.array([SAMPLES, FEATURES]),
        "pads": np.array([0, 0, 0, 1 + SALT]),
        "one": one,
    }
    nodes = [
        helper.make_node("Slice", ["input", "start", "end", "axis"], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["samples"]),
        helper.make_node("Pad", ["samples", "pads"], ["padded"]),
        helper.make_node("Add", ["padded", "one"], ["extended"]),
        helper.make_node("MatMul", ["extended", "parameters"], ["output"]),
    ]
    inputs = [
        helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, SAMPLES * FEATURES + SALT]),
        helper.make_tensor_value_info("parameters", TensorProto.FLOAT, [ROWS, OUTPUTS]),
    ]
    outputs = [helper.make_tensor_value_info("output", TensorProto.FLOAT, [SAMPLES, OUTPUTS])]
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "audit", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def run_arguments() -> ezkl.PyRunArgs:
    """Parameters as committed inputs; no rescaling, so instances are exact integers."""
    arguments = ezkl.PyRunArgs()
    arguments.input_visibility, arguments.param_visibility, arguments.output_visibility = (
        "polycommit",
        "fixed",
        "public",
    )
    arguments.ignore_range_check_inputs_outputs = True
    arguments.input_scale = arguments.param_scale = SCALE_BITS
    arguments.logrows, arguments.decomp_base, arguments.decomp_legs = LOGROWS, 512, 3
    arguments.scale_rebase_multiplier = 10
    arguments.disable_freivalds = True
    return arguments


def make_keys(srs: str, prefix: str) -> list[str]:
    """Keys for one SRS; returns the words of the vka in hex."""
    ezkl.gen_srs(srs, LOGROWS)
    ezkl.setup("circuit", f"{prefix}.vk", f"{prefix}.pk", srs)

    async def write_vka() -> None:
        await ezkl.create_evm_vka(f"{prefix}.vk", "settings.json", f"{prefix}.vka", srs, 0)

    asyncio.run(write_vka())
    encoded = Path(f"{prefix}.vka").read_bytes()[8:]  # after the number of words
    return [encoded[start : start + 32].hex() for start in range(0, len(encoded), 32)]


def make_proof(inputs: np.ndarray, parameters: np.ndarray, srs: str, prefix: str) -> dict[str, object]:
    """One verified proof."""
    values = [(tensor / 2**SCALE_BITS).ravel().tolist() for tensor in (inputs, parameters)]
    Path("input.json").write_text(json.dumps({"input_data": values}))
    ezkl.gen_witness("input.json", "circuit", "witness.json", f"{prefix}.vk", srs)
    ezkl.prove("witness.json", "circuit", f"{prefix}.pk", "proof.json", srs)
    if not ezkl.verify("proof.json", "settings.json", f"{prefix}.vk", srs):
        raise RuntimeError("ezkl made a proof that does not verify")
    proof = json.loads(Path("proof.json").read_text())
    instances = [int.from_bytes(bytes.fromhex(element), "little") for element in proof["instances"][0]]
    return {"proof": bytes(proof["proof"]).hex(), "instances": [str(instance) for instance in instances]}


def make_vectors() -> dict[str, object]:
    """All statements, in the current directory."""
    onnx.save(audit_circuit(), "audit.onnx")
    ezkl.gen_settings("audit.onnx", "settings.json", run_arguments())
    ezkl.compile_circuit("audit.onnx", "circuit", "settings.json")
    generator = np.random.default_rng(0)
    inputs, other_inputs = generator.integers(-8192, 8192, (2, SAMPLES * FEATURES + SALT))
    parameters, other_parameters = generator.integers(-(2**15), 2**15, (2, ROWS, OUTPUTS))
    vka, foreign_vka = make_keys("srs", "own"), make_keys("other_srs", "foreign")
    return {
        "audit_samples": SAMPLES,
        "outputs": OUTPUTS,
        "output_shift_bits": 2 * SCALE_BITS - COMMIT_SCALE_BITS,
        "logrows": LOGROWS,
        "column_lengths": [ROWS * OUTPUTS],
        "vka": vka,
        "foreign_vka": foreign_vka,
        "first": make_proof(inputs, parameters, "srs", "own"),
        "second": make_proof(other_inputs, parameters, "srs", "own"),
        "other_model": make_proof(inputs, other_parameters, "srs", "own"),
        "foreign_srs": make_proof(inputs, parameters, "other_srs", "foreign"),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory, contextlib.chdir(directory):
        os.environ["HOME"] = directory  # ezkl keeps files there
        TARGET.write_text(json.dumps(make_vectors(), indent=1) + "\n")
