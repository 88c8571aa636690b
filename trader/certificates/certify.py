"""Make a certificate: prove the model's outputs on every row of a public data set."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from eth_utils.crypto import keccak
from eth_utils.hexadecimal import encode_hex

from trader.certificates.batches import batch_context, batches_of, check_exact, check_labels, count_correct
from trader.certificates.certificate import BatchProof, Certificate, DatasetSection
from trader.model import evaluate_exact
from trader.package import check_published
from zk import prove

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trader.certificates.batches import PublicModel
    from trader.certificates.dataset import Dataset
    from trader.model import CanonicalModel
    from trader.package import ProofBudget

OnBatch = Callable[[int, int], None]
"""Called with the batches that are done, and all."""


def certify(
    model: PublicModel,
    canonical: CanonicalModel,
    dataset: Dataset,
    budget: ProofBudget,
    on_batch: OnBatch = lambda _done, _all: None,
    *,
    insist: bool = False,
) -> Certificate:
    """Prove the model's outputs on all rows of a data set, and count the correct ones.

    Interrupted, it goes on where it was when it is called again, and rows that were proven before get their old proofs:
    proofs are kept with the package.

    Args:
        model: the public half of a package.
        canonical: the package's secret parameters.
        dataset: public; everybody who verifies the certificate needs it.
        budget: the package's; every batch is a published proof.
        on_batch: sees the progress; a proof takes as long as one of a trade.
        insist: publish exact outputs from which the model could be rebuilt.

    Raises:
        CertificationError: the model is no classifier or its proofs are rounded, or the labels are of another type.
        QuotaError: the outputs would give the model away, and the seller doesn't insist; nothing was proven.
        ProofBudgetError: so many proofs would say something about the parameters; nothing was proven.
        DataError: a value is out of the model's input range.
        ZkError: a proof can't be made.
    """
    check_exact(model)
    check_labels(dataset, model)
    batches = batches_of(dataset, model)
    statements = [_statement(model, batch, batch_context(dataset, model, index)) for index, batch in enumerate(batches)]
    budget.require(statements)
    new = set(budget.unproven(statements))
    if new and not insist:
        rows = [batch for batch, statement in zip(batches, statements, strict=True) if statement in new]
        _check_leakage(canonical, np.concatenate(rows), budget.published * model.circuit.audit_samples)
    proofs = []
    for done, (batch, statement) in enumerate(zip(batches, statements, strict=True)):
        on_batch(done, len(batches))
        make = partial(
            prove,
            model.circuit,
            batch,
            model.input_salt,
            canonical.tensors,
            model.srs,
            context=batch_context(dataset, model, done),
        )
        proofs.append(budget.publish(statement, make))
    on_batch(len(batches), len(batches))
    return Certificate(
        dataset=DatasetSection(
            name=dataset.name,
            samples=len(dataset),
            data_digest=encode_hex(dataset.data_digest),
            labels_digest=encode_hex(dataset.labels_digest),
        ),
        seller=model.manifest.seller,
        circuit_digest=model.manifest.circuit.circuit_digest,
        parameter_commitment=model.manifest.parameter_commitment,
        audit_samples=model.circuit.audit_samples,
        padding=batches.shape[0] * batches.shape[1] - len(dataset),
        correct=count_correct(proofs, dataset, model),
        proofs=tuple(BatchProof.of(proof) for proof in proofs),
    )


def _check_leakage(canonical: CanonicalModel, inputs: NDArray[np.int64], earlier: int) -> None:
    """What will be public once these rows are proven, after so many earlier ones, must not give the model away."""
    distinct = np.unique(inputs, axis=0)
    largest = max(abs(int(output)) for output in evaluate_exact(canonical, distinct).ravel())
    check_published(canonical, earlier + len(distinct), largest.bit_length() + 1)


def _statement(model: PublicModel, batch: NDArray[np.int64], context: bytes) -> bytes:
    """Digest of what a proof is about, for the budget."""
    return keccak(model.circuit.digest + model.manifest.parameter_commitment.encode() + context + batch.tobytes())
