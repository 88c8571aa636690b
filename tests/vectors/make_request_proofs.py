"""Makes `request_proofs.json`: proofs of a tiny classifier on a public test set, for the tests of the bounties.

Run `python -m tests.vectors.make_request_proofs` from the repository's root. Three features, three classes, k = 4
samples per proof; six samples, so that the second proof has two rows of padding. The proofs' challenges depend on where
they are used: the chain and the first contract of the account that `tests/contracts/test_model_requests.py` uses, its
first request, and a listing's offer.

Proofs are not deterministic, so a new run gives other bytes of the same meaning.
"""

import json
from pathlib import Path

import numpy as np
from eth_utils.crypto import keccak

import zk
from contracts.requests import proof_context
from tests.simulators.dense_model import SCALE_BITS, dense_architecture, random_inputs, random_parameters

CHAIN_ID, CONTRACT = 131277322940537, "0x48c078E40EB579de197F291E128C632aFDa2EF21"
OFFER = keccak(b"offer of the listing")
SAMPLES, AUDIT_SAMPLES, WIDTHS = 6, 4, (3, 3)
TARGET = Path(__file__).with_name("request_proofs.json").resolve()


def make_vectors() -> dict[str, object]:
    """The circuit, and a proof of each batch."""
    circuit = zk.build_audit_circuit(
        dense_architecture(*WIDTHS), audit_samples=AUDIT_SAMPLES, scale_bits=SCALE_BITS, srs=zk.development_srs
    )
    srs, generator = zk.development_srs(circuit.logrows), np.random.default_rng(0)
    parameters = random_parameters(generator, *WIDTHS)
    inputs = np.pad(random_inputs(generator, SAMPLES, WIDTHS[0]), ((0, -SAMPLES % AUDIT_SAMPLES), (0, 0)))
    salt = (0,) * circuit.salt_elements
    proofs = []
    for index, batch in enumerate(inputs.reshape(-1, AUDIT_SAMPLES, WIDTHS[0])):
        context = proof_context(CHAIN_ID, CONTRACT, 1, OFFER, index)
        proof = zk.prove(circuit, batch, salt, parameters, srs, context=context)
        points = zk.input_commitment(circuit, batch, salt, srs)
        if not proof.data.startswith(b"".join(points)):
            raise RuntimeError("the proof does not begin with what anyone can compute")
        proofs.append({"proof": proof.data.hex(), "outputs": [str(instance) for instance in proof.instances]})
    return {
        "audit_samples": circuit.audit_samples,
        "samples": SAMPLES,
        "input_columns": circuit.input_columns,
        "parameter_columns": circuit.parameter_columns,
        "hidden_columns": circuit.hidden_columns,
        "outputs": circuit.outputs,
        "logrows": circuit.logrows,
        "column_lengths": list(circuit.column_lengths),
        "vka": [word.hex() for word in circuit.vka],
        "proofs": proofs,
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(make_vectors(), indent=1) + "\n")
