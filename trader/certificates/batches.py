"""What maker and verifier of a certificate compute alike: the model, its batches, and the count of correct answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from eth_utils.crypto import keccak
from eth_utils.hexadecimal import decode_hex

from trader.certificates.errors import CertificationError
from trader.model import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trader.certificates.dataset import Dataset
    from trader.model import Graph, Manifest
    from zk import AuditCircuit, Proof, Srs


CERTIFICATE_DOMAIN = b"modelseal/certificate"


@dataclass(frozen=True, slots=True)
class PublicModel:
    """What is public about a model, as far as a certificate needs it.

    Attributes:
        manifest: says how samples become integers, and outputs classes.
        graph: the architecture.
        circuit: the audit circuit, rebuilt by whoever uses this.
        srs: the circuit's structured reference string.
    """

    manifest: Manifest = field(repr=False)
    graph: Graph = field(repr=False)
    circuit: AuditCircuit = field(repr=False)
    srs: Srs

    @property
    def parameter_points(self) -> tuple[bytes, ...]:
        """The commitment to the parameters, one point per column."""
        return tuple(decode_hex(point) for point in self.manifest.parameter_commitments)

    @property
    def input_salt(self) -> tuple[int, ...]:
        """The salt of public samples: none, so that anyone can commit to them."""
        return (0,) * self.circuit.salt_elements


def batches_of(dataset: Dataset, model: PublicModel) -> NDArray[np.int64]:
    """Return the data set as the circuit takes it: int [batches, k, F], rows in order, the last batch filled with 0.

    Raises:
        DataError: a value is out of the model's input range.
    """
    manifest, k = model.manifest, model.circuit.audit_samples
    inputs = manifest.quantise(dataset.samples, model.graph)
    padded = np.pad(inputs, ((0, -len(inputs) % k), (0, 0)))
    return padded.reshape(-1, k, model.circuit.features)


def batch_context(dataset: Dataset, model: PublicModel, index: int) -> bytes:
    """Return what the challenge of a batch's proof depends on, beside the statement; 32 bytes."""
    digests = dataset.data_digest + dataset.labels_digest
    return keccak(CERTIFICATE_DOMAIN + decode_hex(model.manifest.seller) + digests + index.to_bytes(32, "big"))


def count_correct(proofs: Sequence[Proof], dataset: Dataset, model: PublicModel) -> int:
    """How many samples the proven outputs classify as their labels say.

    Exact integers are rounded to float64 before the largest is looked for; that is the same on every machine.
    """
    raw = [np.ldexp(float(output), -model.circuit.output_scale_bits) for proof in proofs for output in proof.outputs]
    outputs = np.array(raw).reshape(-1, model.circuit.outputs)[: len(dataset)]
    predictions = model.manifest.output.post_processing.classify(outputs)
    return int(np.count_nonzero(predictions == dataset.labels))


def check_exact(model: PublicModel) -> None:
    """Check that proofs of the model leave its outputs no play; silent on success.

    Raises:
        CertificationError: they are of a rounded computation, in which the prover chooses between floor and ceiling.
    """
    if not model.circuit.is_exact:
        raise CertificationError(
            "this model's proofs are of a rounded computation, whose outputs their maker may shift: they prove no "
            "accuracy. Certify a model of polynomial activations or ReLU."
        )


def check_labels(dataset: Dataset, model: PublicModel) -> None:
    """Check that the model predicts classes of the kind that the labels are; silent on success.

    Raises:
        CertificationError: it predicts numbers, or classes of another type.
    """
    post_processing = model.manifest.output.post_processing
    try:
        kind = post_processing.classify(np.zeros((1, model.circuit.outputs))).dtype.kind
    except DataError as error:
        raise CertificationError(
            "this model predicts a number, not classes: there is no accuracy to certify. Certify a classifier."
        ) from error
    if dataset.labels.dtype.kind != kind:
        raise CertificationError(
            f"the labels are of another type (such as {dataset.labels[0]!r}) than the classes that the model names. "
            "Give one class per sample, as the model predicts it."
        )
