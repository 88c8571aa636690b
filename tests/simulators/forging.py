"""A prover that proves under a listed circuit's keys what other graphs compute.

halo2's prover fills the cells of the listed layout with whatever values it is given. A graph of the same layout that
takes some value from elsewhere (`Concat` and `Gather` assign no cells) therefore gives a witness of the forger's choice
at that place; whether the proof of it holds is what the listed constraints say.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

from zk.binding.tensors import write_tensors
from zk.circuits.key_files import keys_of
from zk.field import element_from_hex
from zk.proofs.proof import Proof
from zk.storage import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zk import AuditCircuit, Srs

ASSIGNING = {
    *("Abs", "Add", "Clip", "Elu", "Erf", "Exp", "HardSigmoid", "LeakyRelu", "Log", "MatMul", "Mul", "Neg"),
    *("ReduceSum", "Relu", "Sigmoid", "Sub", "Tanh"),
}
"""Operators that put values into cells; the others only say which cells are meant."""

INPUT = "Identity"
"""Marks committed tensors; circuits have no such operator of their own."""

MOST_SECONDS = 600
"""For one graph; one takes seconds of a core, and on a busy machine many share it."""

IDLE_SECONDS = 1
"""ezkl's prover waits forever for a value that is in no table: one that has wanted no CPU for so long is ended."""

_FORGER = """
import json, os, signal, sys, time
import ezkl

job = json.load(sys.stdin)

def forge(name):
    here = {kind: os.path.join(job["folder"], name + "." + kind) for kind in ("onnx", "compiled", "witness", "proof")}
    ezkl.compile_circuit(here["onnx"], here["compiled"], job["settings"])
    ezkl.gen_witness(job["tensors"], here["compiled"], here["witness"], job["vk"], job["srs"])
    try:
        ezkl.prove(here["witness"], here["compiled"], job["pk"], here["proof"], job["srs"])
    except BaseException:
        pass  # ezkl writes a proof before it finds that the proof does not hold
    accepted = ezkl.verify(here["proof"], job["settings"], job["vk"], job["srs"], False)
    open(here["proof"] + ".accepted", "w").write(str(accepted))

def start(name):
    child = os.fork()
    if child:
        return child
    signal.alarm(job["seconds"])
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        forge(name)
    except BaseException:
        pass
    os._exit(0)

def used(child):
    # CPU time so far, or the time now while a thread waits for its turn: on a busy machine that is not idleness.
    ticks = 0
    for thread in os.listdir("/proc/%d/task" % child):
        try:
            with open("/proc/%d/task/%s/stat" % (child, thread)) as stat:
                state, *fields = stat.read().rpartition(")")[2].split()
        except OSError:  # it has just ended
            return time.monotonic()
        if state in "RD":
            return time.monotonic()
        ticks += int(fields[10]) + int(fields[11])
    return ticks

os.nice(10)  # so many would take the cores from tests beside them, some of which have deadlines
waiting, running = job["names"][::-1], {}
while waiting or running:
    while waiting and len(running) < job["at_once"]:
        running[start(waiting.pop())] = (0, time.monotonic())
    time.sleep(0.02)
    for child, (ticks, since) in list(running.items()):
        if os.waitpid(child, os.WNOHANG)[0]:
            del running[child]
            continue
        now = used(child) if os.path.exists("/proc") else time.monotonic()
        if now != ticks:
            running[child] = (now, time.monotonic())
        elif time.monotonic() - since > job["idle_seconds"]:
            os.kill(child, signal.SIGKILL)
os._exit(0)
"""


@dataclass(frozen=True)
class Forgery:
    """What became of a graph.

    Attributes:
        proof: The proof, if one was made; its instances are the outputs.
        instances: All of its instances.
        accepted: Whether ezkl's verifier accepts it with these, under the listed keys.
    """

    proof: Proof | None
    instances: tuple[int, ...]
    accepted: bool


def forge_all(
    circuit: AuditCircuit, graphs: Mapping[str, onnx.ModelProto], tensors: Sequence[Sequence[int]], srs: Srs
) -> dict[str, Forgery]:
    """Prove under the circuit's keys what each graph computes from the tensors (all of the circuit's inputs)."""
    keys = keys_of(circuit, srs)
    with temporary_folder("forge") as path:
        folder = str(path)
        files = {name: f"{index}" for index, name in enumerate(graphs)}
        for name, graph in graphs.items():
            Path(folder, f"{files[name]}.onnx").write_bytes(graph.SerializeToString())
        job = {
            "folder": folder,
            "names": list(files.values()),
            "seconds": MOST_SECONDS,
            "idle_seconds": IDLE_SECONDS,
            "at_once": 8 * (os.cpu_count() or 1),  # most of them wait, and take no CPU
            "settings": str(keys.settings),
            "tensors": str(write_tensors(Path(folder), tensors)),
            "vk": str(keys.verifying_key),
            "pk": str(keys.proving_key),
            "srs": str(srs.path),
        }
        command = [sys.executable, "-I", "-c", _FORGER]
        # A panic's backtrace takes longer than a proof.
        environment = os.environ | {"RAYON_NUM_THREADS": "1", "RUST_BACKTRACE": "0"}
        subprocess.run(command, input=json.dumps(job).encode(), stderr=subprocess.DEVNULL, check=True, env=environment)
        return {name: _read(circuit, Path(folder, f"{file}.proof")) for name, file in files.items()}


def _read(circuit: AuditCircuit, path: Path) -> Forgery:
    if not path.is_file():
        return Forgery(None, (), accepted=False)
    content = json.loads(path.read_text())
    instances = tuple(element_from_hex(element) for (*column,) in content["instances"] for element in column)
    verdict = path.with_name(path.name + ".accepted")
    accepted = verdict.is_file() and verdict.read_text() == "True"
    return Forgery(Proof(bytes(content["proof"]), instances[: circuit.output_count]), instances, accepted)


@dataclass(frozen=True)
class Mutation:
    """A value of a circuit that is taken another way.

    Attributes:
        control: A graph in which it goes another way, unchanged. If its proof holds, that way has the listed layout,
            and a false graph is refused for its values.
        false: By kind, graphs in which the value is another one.
    """

    control: onnx.ModelProto
    false: dict[str, onnx.ModelProto]


def mutations(circuit: AuditCircuit) -> dict[str, Mutation]:
    """A mutation of every value that the circuit assigns, by what it is."""
    plain = _with_input_nodes(onnx.load_from_string(circuit.onnx))
    shapes = _shapes(plain)
    made = {}
    for index, node in enumerate(plain.graph.node):
        shape = shapes.get(node.output[0])
        if node.op_type not in {*ASSIGNING, INPUT} or not shape:
            continue
        axis = max(range(len(shape)), key=lambda dimension: shape[dimension])
        kept = np.arange(shape[axis])
        constant = np.concatenate([[shape[axis]], kept[1:]])
        false = {"constant": constant}
        if shape[axis] > 1:
            # Its own elements, elsewhere: both ways for every operator, over the values and circuits that it is in.
            false["permuted"] = np.roll(kept, 1) if index % 2 else kept[::-1]
        made[f"{index} {node.op_type} {list(shape)}"] = Mutation(
            _picked(plain, index, shape, axis, kept),
            {kind: _picked(plain, index, shape, axis, picked) for kind, picked in false.items()},
        )
    return made


def _with_input_nodes(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph in which each committed tensor goes through a node, so that it can be mutated like any value."""
    names = [value.name for value in graph.graph.input]
    for node in graph.graph.node:
        node.input[:] = [f"{name}/read" if name in names else name for name in node.input]
    for name in reversed(names):
        graph.graph.node.insert(0, helper.make_node(INPUT, [name], [f"{name}/read"]))
    return graph


def _picked(
    plain: onnx.ModelProto, index: int, shape: tuple[int, ...], axis: int, picked: np.ndarray
) -> onnx.ModelProto:
    """A node's result becomes a choice from its true result and, one position behind it, a constant."""
    graph = onnx.ModelProto()
    graph.CopyFrom(plain)
    node = graph.graph.node[index]
    name, node.output[0] = node.output[0], "forged/true"
    constant = np.full([1 if dimension == axis else size for dimension, size in enumerate(shape)], 3, np.float32)
    graph.graph.initializer.append(numpy_helper.from_array(constant, "forged/constant"))
    graph.graph.initializer.append(numpy_helper.from_array(picked.astype(np.int64), "forged/picked"))
    both = helper.make_node("Concat", ["forged/true", "forged/constant"], ["forged/both"], axis=axis)
    choice = helper.make_node("Gather", ["forged/both", "forged/picked"], [name], axis=axis)
    graph.graph.node.insert(index + 1, both)
    graph.graph.node.insert(index + 2, choice)
    return graph


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    inferred = shape_inference.infer_shapes(model, data_prop=True).graph
    return {
        value.name: tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)
        for value in [*inferred.value_info, *inferred.output]
    }
