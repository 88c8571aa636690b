"""Models whose proofs are rounded: who is told, who refuses them, and that it is these models and no others."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.simulators.classifier import CLASSES, FEATURES, HIDDEN, write_classifier
from tests.simulators.listing_verifier import Verifier
from tests.simulators.trading import POLICY, SELLER
from trader.certificates import CertificationError, Dataset, PublicModel, certify, verify_certificate
from trader.certificates.certificate import BatchProof, Certificate, DatasetSection
from trader.errors import PolicyError
from trader.model import Graph, Linear, ParameterSpec
from trader.model.architecture import architecture_bytes
from trader.model.functions import ActivationKind
from trader.model.manifest import ModelCard
from trader.model.nodes import Activation
from trader.package import PrepareOptions, SellerPackage, open_circuit, prepare
from zk import development_srs
from zk.circuits.scales import is_exact

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def write_leaky_classifier(path: Path) -> Path:
    """The classifier of the other tests with LeakyReLU, whose proof is rounded, in place of the square."""
    model = onnx.load(write_classifier(path))
    (square,) = (node for node in model.graph.node if node.op_type == "Mul")
    square.CopyFrom(helper.make_node("LeakyRelu", ["h"], ["a"], alpha=0.25))
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def rounded(tmp_path_factory: pytest.TempPathFactory) -> SellerPackage:
    folder = tmp_path_factory.mktemp("rounded")
    samples = folder / "samples.npy"
    np.save(samples, np.random.default_rng(2).normal(0, 1, (200, FEATURES)))
    options = PrepareOptions(
        card=ModelCard(name="leaky"),
        audit_samples=4,
        buyer_quota_samples=300,
        listing_quota_samples=600,
        seller=SELLER.address,
        insist=True,
    )
    model = write_leaky_classifier(folder / "model.onnx")
    return prepare(model, folder / "package", options, password="test", calibration=samples)


@pytest.mark.parametrize("kind", ActivationKind)
def test_a_graph_says_which_of_its_activations_are_rounded(kind: ActivationKind) -> None:
    """By the operators that the audit circuit is made of."""
    graph = Graph(
        (FEATURES,),
        (
            Linear("linear_0", ("input",), (HIDDEN,), 0),
            Activation("activation_1", ("linear_0",), (HIDDEN,), kind, 0.25, 0.5),
            Linear("linear_2", ("activation_1",), (CLASSES,), 1),
        ),
        "linear_2",
        (ParameterSpec("parameter_0", FEATURES, HIDDEN, 12), ParameterSpec("parameter_1", HIDDEN, CLASSES, 12)),
    )
    nodes = onnx.load_from_string(architecture_bytes(graph)).graph.node
    assert graph.rounded_activations == (() if is_exact(nodes) else (kind,))


def test_buyers_refuse_rounded_proofs_unless_they_ask_for_them(rounded: SellerPackage) -> None:
    verify = Verifier(rounded, development_srs(rounded.manifest.circuit.srs.logrows))
    with pytest.raises(PolicyError, match=r"proofs are of a rounded computation.*rounded_circuits"):
        verify(policy=POLICY)
    # The seller insisted: polynomials stand for this activation, and change more than the default policy takes.
    policy = replace(POLICY, rounded_circuits=True, maximum_stated_error=1.0, minimum_stated_classes=0.0)
    assert not verify(policy=policy).circuit.is_exact


def test_no_certificate_is_made_or_accepted(rounded: SellerPackage) -> None:
    srs = development_srs(rounded.manifest.circuit.srs.logrows)
    model = PublicModel(rounded.manifest, rounded.canonical.graph, open_circuit(rounded.public, srs), srs)
    dataset = Dataset("four rows", np.zeros((4, FEATURES)), np.zeros(4, dtype=np.int64))
    with pytest.raises(CertificationError, match="rounded computation"):
        certify(model, rounded.canonical, dataset, rounded.budget, insist=True)
    assert rounded.budget.published == 0
    certificate = Certificate(
        dataset=DatasetSection(
            name=dataset.name,
            samples=4,
            data_digest=f"0x{dataset.data_digest.hex()}",
            labels_digest=f"0x{dataset.labels_digest.hex()}",
        ),
        seller=rounded.manifest.seller,
        circuit_digest=rounded.manifest.circuit.circuit_digest,
        parameter_commitment=rounded.manifest.parameter_commitment,
        audit_samples=4,
        padding=0,
        correct=4,
        proofs=(BatchProof(proof="0x00", instances="0x" + "00" * 32),),
    )
    with pytest.raises(CertificationError, match="rounded computation"):
        verify_certificate(certificate.to_bytes(), model, dataset)


def test_prepare_names_the_activation(tmp_path: Path, modelseal: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSEAL_PASSWORD", "correct horse")
    samples = tmp_path / "samples.npy"
    np.save(samples, np.random.default_rng(2).normal(0, 1, (200, FEATURES)))
    prepared = ("--calibration", samples, "--no-trial", "--insist", "--json")
    leaky = write_leaky_classifier(tmp_path / "leaky.onnx")
    ran = modelseal("model", "prepare", leaky, "--out", tmp_path / "leaky", *prepared)
    assert ran.code == 0, ran.err
    warning = " ".join(ran.err.split())
    assert "because of leaky_relu" in warning
    assert "Squares, products and ReLU are proven exactly" in warning
    square = write_classifier(tmp_path / "square.onnx")
    ran = modelseal("model", "prepare", square, "--out", tmp_path / "square", *prepared)
    assert ran.code == 0, ran.err
    assert "rounded" not in ran.err
    assert json.loads(ran.out)["seller"] == "none"
