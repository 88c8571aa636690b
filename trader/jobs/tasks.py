"""The work itself, as a worker process does it: what it needs it reads from the seller's package, without a password.

A task takes the bytes that describe it, which `encode_*` beside it makes, and returns bytes.
"""

from __future__ import annotations

import io
import json
import secrets
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trader import he
from trader.files import staged_file
from trader.model import parse_manifest
from trader.package import PUBLIC, PublicPackage, open_circuit, read_canonical
from trader.parties.goods import open_srs
from trader.parties.vault import Vault
from zk import prove

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trader.he import HePlan
    from trader.model import CanonicalModel
    from trader.parties.engine import EvaluationJob, ProofJob
    from zk import AuditCircuit, Srs

EVALUATE, PROVE = "evaluate", "prove"


def encode_evaluation(job: EvaluationJob) -> bytes:
    """Return the description of an evaluation."""
    fields = {
        "package": str(job.package),
        "request": str(job.request),
        "response": str(job.response),
        "samples": job.samples,
        "context": job.context.hex(),
        "device": job.device,
    }
    return json.dumps(fields).encode()


def evaluate(description: bytes) -> bytes:
    """Evaluate an encrypted test; return the path of the response's file, beside the place where it is to be.

    Not in that place itself: a worker that was thought lost may finish when another one's response was answered with.

    Raises:
        WireError: The request is malformed.
        DamagedPackageError: The package is not what was written.
        EnvironmentFaultError: The file can't be written.
    """
    fields = json.loads(description)
    plan, model = _tested(fields["package"])
    response = Path(fields["response"])
    target = response.with_name(f".{response.name}.{secrets.token_hex(4)}")  # a vault sweeps away such names
    with staged_file(target) as path:
        he.evaluate(
            plan,
            model,
            Vault(Path(fields["request"]).parent, None).map(Path(fields["request"]).name),
            fields["samples"],
            None,
            path,
            device=fields["device"],
            context=bytes.fromhex(fields["context"]),
        )
    return str(target).encode()


def encode_proof_job(job: ProofJob) -> bytes:
    """Return the description of a proof."""
    buffer = io.BytesIO()
    salt = ",".join(map(str, job.salt))
    texts = np.array([str(job.package), str(job.folder), job.context.hex(), salt])
    np.savez(buffer, samples=job.samples, texts=texts)
    return buffer.getvalue()


def prove_samples(description: bytes) -> bytes:
    """Prove audit samples; return the proof (`Proof.to_bytes`).

    Raises:
        DamagedPackageError: The package is not what was written.
        ZkError: As `zk.prove`.
    """
    with np.load(io.BytesIO(description), allow_pickle=False) as archive:
        samples, (package, folder, context, salt) = archive["samples"], map(str, archive["texts"])
    circuit, srs, model = _proven(package, folder)
    numbers = [int(number) for number in salt.split(",") if number]
    return prove(circuit, samples, numbers, model.tensors, srs, context=bytes.fromhex(context)).to_bytes()


@lru_cache(maxsize=2)
def _tested(package: str) -> tuple[HePlan, CanonicalModel]:
    public = PublicPackage.read(Path(package) / PUBLIC)
    return he.parse_plan(parse_manifest(public.manifest).plan), read_canonical(Path(package))


@lru_cache(maxsize=2)
def _proven(package: str, folder: str) -> tuple[AuditCircuit, Srs, CanonicalModel]:
    public = PublicPackage.read(Path(package) / PUBLIC)
    srs = open_srs(public, parse_manifest(public.manifest).circuit.srs.logrows, Vault(Path(folder), None))
    return open_circuit(public, srs), srs, read_canonical(Path(package))


TASKS: Mapping[str, Callable[[bytes], bytes]] = {EVALUATE: evaluate, PROVE: prove_samples}
