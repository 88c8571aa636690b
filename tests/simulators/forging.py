"""A prover that proves under a listed circuit's keys what another graph computes.

halo2's prover fills the cells of the listed layout with whatever values it is given. A graph of the same layout that
takes some value from elsewhere (a `Gather` assigns no cells) therefore gives a witness of the forger's choice at that
place; whether the proof of it holds is what the listed constraints say.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from zk.circuits.key_files import keys_of
from zk.proofs.commitment import write_tensors
from zk.proofs.proof import Proof, read_ezkl_proof

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

    from zk import AuditCircuit, Srs

FORGER = """
import json, os, sys
import ezkl
job = json.load(sys.stdin)
try:
    ezkl.compile_circuit(job["circuit"], job["compiled"], job["settings"])
    ezkl.gen_witness(job["tensors"], job["compiled"], job["witness"], job["vk"], job["srs"])
    ezkl.prove(job["witness"], job["compiled"], job["pk"], job["proof"], job["srs"])
except BaseException as error:
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
os._exit(0)
"""


def forge(
    circuit: AuditCircuit, graph: onnx.ModelProto, tensors: Sequence[Sequence[int]], srs: Srs, seconds: float = 60
) -> Proof | None:
    """A proof under the circuit's keys of what `graph` computes from the tensors; None where ezkl makes none."""
    keys = keys_of(circuit, srs)
    with tempfile.TemporaryDirectory(prefix="modelseal-forge-") as folder:
        paths = {name: str(Path(folder, name)) for name in ("circuit", "compiled", "witness", "proof")}
        Path(paths["circuit"]).write_bytes(graph.SerializeToString())
        paths |= {
            "settings": str(keys.settings),
            "tensors": str(write_tensors(Path(folder), tensors)),
            "vk": str(keys.verifying_key),
            "pk": str(keys.proving_key),
            "srs": str(srs.path),
        }
        command = [sys.executable, "-I", "-c", FORGER]
        try:
            subprocess.run(command, input=json.dumps(paths).encode(), stderr=subprocess.DEVNULL, timeout=seconds)
        except subprocess.TimeoutExpired:
            return None
        # ezkl writes a proof before it finds that the proof does not hold.
        proof = Path(paths["proof"])
        return read_ezkl_proof(proof.read_text()) if proof.is_file() else None
