"""Bounties for proven accuracy: a public data set as the chain knows it, batch by batch.

As a certificate's, a batch is k rows as the listing's audit circuit takes them, without salt. Classes are numbered as
the model's outputs are. The chain compares exact integers and counts no ties (`contracts/src/libraries/Classes.sol`):
it counts at most what a certificate does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from contracts.requests import AcceptedCircuit, PublicTestSet
from trader.certificates.batches import batches_of, check_exact, check_labels
from trader.certificates.errors import CertificationError
from trader.model import PostProcessingKind
from trader.package import layout_of
from zk import commitment_digest, input_commitment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trader.certificates.batches import PublicModel
    from trader.certificates.certify import OnBatch
    from trader.certificates.dataset import Dataset


def accepted_circuit(
    model: PublicModel, dataset: Dataset, on_batch: OnBatch = lambda _done, _all: None
) -> AcceptedCircuit:
    """Return a model's circuit with the commitments to a data set's batches: the same for everybody.

    Args:
        model: Of which the circuit and the scales of inputs matter, not the parameters.
        dataset: Public.
        on_batch: Called with the progress.

    Raises:
        CertificationError: The circuit is rounded, or takes one sample per proof: such proofs claim nothing.
        DataError: A value is out of the model's input range.
        WorkerError: A commitment could not be made.
    """
    check_exact(model)
    if not model.circuit.hidden_columns:
        raise CertificationError(
            "proofs of this circuit hold in anybody's hands, since it has no random check: prepare with two audit "
            "samples or more"
        )
    batches, commitments = batches_of(dataset, model), []
    for index, batch in enumerate(batches):
        on_batch(index, len(batches))
        commitments.append(commitment_digest(input_commitment(model.circuit, batch, model.input_salt, model.srs)))
    on_batch(len(batches), len(batches))
    layout, k = layout_of(model.manifest), model.circuit.audit_samples
    return AcceptedCircuit(model.circuit.digest, layout, k, tuple(commitments))


def class_indices(model: PublicModel, dataset: Dataset) -> list[int]:
    """Return the labels of a data set as the numbers of the model's classes.

    Raises:
        CertificationError: The model does not predict classes as the chain reads them, or a label is none of them.
    """
    check_labels(dataset, model)
    post_processing, outputs = model.manifest.output.post_processing, model.circuit.outputs
    pairs = post_processing.kind.is_one_vs_one
    if pairs and outputs > 1:
        raise CertificationError(
            "the chain says the class of the largest output: this model lets pairs of classes vote"
        )
    if pairs or post_processing.kind in (PostProcessingKind.NOT_NEGATIVE, PostProcessingKind.SIGN):
        raise CertificationError("the chain says class 1 above zero: this model decides at zero otherwise")
    scores = np.eye(outputs) if outputs > 1 else np.array([[-1.0], [1.0]])
    numbers = {name: number for number, name in enumerate(post_processing.classify(scores).tolist())}
    unknown = [label for label in dataset.labels.tolist() if label not in numbers]
    if unknown:
        raise CertificationError(f"the model has no class {unknown[0]!r}: it has {', '.join(map(repr, numbers))[:200]}")
    return [numbers[label] for label in dataset.labels.tolist()]


def public_test_set(model: PublicModel, dataset: Dataset, circuits: Sequence[AcceptedCircuit]) -> PublicTestSet:
    """Return the batches of a data set under each circuit that a buyer takes; the tree's root is what it posts.

    Raises:
        CertificationError: A label is no class of the model's.
    """
    return PublicTestSet(class_indices(model, dataset), circuits)
