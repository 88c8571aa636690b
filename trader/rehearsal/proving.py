"""An audit with both roles in one process: what `modelseal model prove` runs.

The proof is made as for a sale, checked off the chain, and then by the verifier contract on a fresh embedded chain.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from eth_account import Account

from contracts import bind_verifier, register_vka
from trader.chain import Chain
from trader.errors import PeerFaultError, TransactionRefusedError
from zk import AuditCircuit, Proof, Srs, draw_input_salt, input_commitment, parameter_commitment, prove, verify

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trader.model import CanonicalModel

FUNDS_WEI = 10**18
TRIAL_CONTEXT = bytes(32)
"""A proof that is never used."""


def prove_and_verify(
    circuit: AuditCircuit, srs: Srs, model: CanonicalModel, inputs: NDArray[np.int64]
) -> dict[str, Any]:
    """Prove the model's answers on quantised inputs [k, F], verify the proof twice, and say what it cost.

    Raises:
        ZkError: the proof can't be made or does not hold.
        PeerFaultError: the verifier contract refuses it.
    """
    salt = draw_input_salt(circuit)
    started = time.perf_counter()
    proof = prove(circuit, inputs, salt, model.tensors, srs, context=TRIAL_CONTEXT)
    proven = time.perf_counter()
    verify(
        circuit,
        proof,
        srs,
        input_points=input_commitment(circuit, inputs, salt, srs),
        parameter_points=parameter_commitment(circuit, model.tensors, srs),
        context=TRIAL_CONTEXT,
    )
    verified = time.perf_counter()
    return {
        "audit_samples": circuit.audit_samples,
        "logrows": circuit.logrows,
        "proof_bytes": len(proof.data),
        "prove_seconds": round(proven - started, 3),
        "verify_seconds": round(verified - proven, 3),
        "verifier_gas": verify_in_contract(circuit, proof, TRIAL_CONTEXT),
        "verified": True,
    }


def verify_in_contract(circuit: AuditCircuit, proof: Proof, context: bytes) -> int:
    """Verify a proof in the verifier contract, on a fresh embedded chain; the gas that it takes.

    Args:
        circuit: the circuit of the statement.
        proof: the proof.
        context: what its challenge was made for, 32 bytes.

    Raises:
        PeerFaultError: the contract refuses the proof, or takes it for another circuit.
    """
    chain = Chain.embedded()
    account = Account.create()
    chain.fund(account.address, FUNDS_WEI)
    verifier = chain.deploy(account).verifier
    chain.send(register_vka(chain.web3, verifier, circuit.vka), account)
    call = bind_verifier(chain.web3, verifier).functions.verifyProof(
        proof.data, proof.public_instances(circuit, context), circuit.vka
    )
    try:
        accepted, digest = chain.call(call)
    except TransactionRefusedError as error:
        raise PeerFaultError("the verifier contract refuses the proof: it does not hold in this context.") from error
    if not accepted or digest != circuit.digest:
        raise PeerFaultError("the verifier contract refuses the proof. Don't list this model; report it.")
    return chain.send(call, account).gas_used
