"""Make a certificate: prove the model's outputs on every row of a public data set."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from eth_utils.crypto import keccak

from trader.certificates.batches import batches_of, check_labels, count_correct
from trader.certificates.certificate import BatchProof, Certificate, DatasetSection
from zk import prove

if TYPE_CHECKING:
    import numpy as np
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

    Raises:
        CertificationError: the model is no classifier, or the labels are of another type.
        ProofBudgetError: so many proofs would say something about the parameters; nothing was proven.
        DataError: a value is out of the model's input range.
        ZkError: a proof can't be made.
    """
    check_labels(dataset, model)
    batches = batches_of(dataset, model)
    budget.require([_statement(model, batch) for batch in batches])
    proofs = []
    for done, batch in enumerate(batches):
        on_batch(done, len(batches))
        make = partial(prove, model.circuit, batch, model.input_salt, canonical.tensors, model.srs)
        proofs.append(budget.publish(_statement(model, batch), make))
    on_batch(len(batches), len(batches))
    return Certificate(
        dataset=DatasetSection(
            name=dataset.name,
            samples=len(dataset),
            data_digest=f"0x{dataset.data_digest.hex()}",
            labels_digest=f"0x{dataset.labels_digest.hex()}",
        ),
        seller=model.manifest.seller,
        circuit_digest=model.manifest.circuit.circuit_digest,
        parameter_commitment=model.manifest.parameter_commitment,
        audit_samples=model.circuit.audit_samples,
        padding=batches.shape[0] * batches.shape[1] - len(dataset),
        correct=count_correct(proofs, dataset, model),
        proofs=tuple(BatchProof.of(proof) for proof in proofs),
    )


def _statement(model: PublicModel, batch: NDArray[np.int64]) -> bytes:
    """Digest of what a proof is about, for the budget."""
    return keccak(model.circuit.digest + model.manifest.parameter_commitment.encode() + batch.tobytes())
