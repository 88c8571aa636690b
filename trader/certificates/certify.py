"""Make a certificate: prove the model's outputs on every row of a public data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
    from zk import Proof

OnBatch = Callable[[int, int], None]
"""Called with the number of batches that are done, and of all."""


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

    A call that was interrupted can be repeated: proofs are kept with the package, and a row that was proven before gets
    its old proof again.

    Args:
        model: The public half of a package.
        canonical: The package's secret parameters.
        dataset: Public; everybody who verifies the certificate needs it.
        budget: The package's; every batch is a published proof.
        on_batch: Called with the progress; a proof takes as long as one of a trade.
        insist: Publish exact outputs from which the model could be rebuilt.

    Raises:
        CertificationError: The model is no classifier or its proofs are rounded, or the labels are of another type.
        QuotaError: The outputs would give the model away, and the seller doesn't insist; nothing was proven.
        ProofBudgetError: This would be more proofs than the package's salt hides; nothing was proven.
        DataError: A value is out of the model's input range.
        ZkError: A proof can't be made.
    """
    context = partial(batch_context, dataset, model)
    return _certificate(model, dataset, prove_rows(model, canonical, dataset, budget, context, on_batch, insist=insist))


def prove_rows(
    model: PublicModel,
    canonical: CanonicalModel,
    dataset: Dataset,
    budget: ProofBudget,
    context: Callable[[int], bytes],
    on_batch: OnBatch = lambda _done, _all: None,
    *,
    insist: bool = False,
) -> list[Proof]:
    """Prove the model's outputs on all rows of a data set, a proof for each batch; arguments and errors as `certify`.

    Args:
        model: The public half of a package.
        canonical: The package's secret parameters.
        dataset: Public.
        budget: The package's.
        context: What the challenge of a batch's proof depends on, beside the statement, by the batch's index: 32 bytes.
        on_batch: Called with the progress.
        insist: Publish exact outputs from which the model could be rebuilt.
    """
    check_exact(model)
    check_labels(dataset, model)
    batches = _batches(dataset, model, context)
    statements = [batch.statement for batch in batches]
    budget.require(statements)
    new = set(budget.unproven(statements))
    if new and not insist:
        rows = [batch.inputs for batch in batches if batch.statement in new]
        _check_leakage(canonical, np.concatenate(rows), budget.published * model.circuit.audit_samples)
    return _prove_batches(model, canonical, batches, budget, on_batch)


@dataclass(frozen=True, slots=True)
class _Batch:
    """What one proof is about.

    Attributes:
        inputs: Quantised rows [k, F].
        context: Bound into the proof's challenge, 32 bytes.
        statement: Digest of all that the proof depends on but its randomness, for the budget.
    """

    inputs: NDArray[np.int64]
    context: bytes
    statement: bytes


def _batches(dataset: Dataset, model: PublicModel, context_of: Callable[[int], bytes]) -> list[_Batch]:
    about_model = model.circuit.digest + model.manifest.parameter_commitment.encode()
    batches = []
    for index, inputs in enumerate(batches_of(dataset, model)):
        context = context_of(index)
        batches.append(_Batch(inputs, context, keccak(about_model + context + inputs.tobytes())))
    return batches


def _prove_batches(
    model: PublicModel, canonical: CanonicalModel, batches: Sequence[_Batch], budget: ProofBudget, on_batch: OnBatch
) -> list[Proof]:
    """Return the proof of each batch, the kept one where there is one."""
    proofs = []
    for done, batch in enumerate(batches):
        on_batch(done, len(batches))
        make = partial(
            prove,
            model.circuit,
            batch.inputs,
            model.input_salt,
            canonical.tensors,
            model.srs,
            context=batch.context,
        )
        proofs.append(budget.publish(batch.statement, make))
    on_batch(len(batches), len(batches))
    return proofs


def _certificate(model: PublicModel, dataset: Dataset, proofs: Sequence[Proof]) -> Certificate:
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
        padding=len(proofs) * model.circuit.audit_samples - len(dataset),
        correct=count_correct(proofs, dataset, model),
        proofs=tuple(BatchProof.of(proof) for proof in proofs),
    )


def _check_leakage(canonical: CanonicalModel, inputs: NDArray[np.int64], earlier: int) -> None:
    """Check that the rows' outputs, and those of `earlier` rows, may be public without giving the model away.

    Raises:
        QuotaError: They would give it away.
    """
    distinct = np.unique(inputs, axis=0)
    largest = max(abs(int(output)) for output in evaluate_exact(canonical, distinct).ravel())
    check_published(canonical, earlier + len(distinct), largest.bit_length() + 1)
