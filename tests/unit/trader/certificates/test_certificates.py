"""Certificates of accuracy: what an honest one proves, and every way to claim more than was proven.

Attacks forge as much as an attacker can: a field that the verifier could be satisfied with otherwise is forged too.
"""

from __future__ import annotations

import json
import secrets
import sys
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rfc8785
from eth_account import Account
from eth_utils.crypto import keccak

import zk
from contracts import ETH, Windows
from contracts.requests import Task, Wanted, matching_classes
from tests.simulators.classifier import CLASSES, FEATURES, write_classifier, write_dense
from tests.simulators.dense_model import CONTEXT, dense_architecture, random_inputs, random_parameters
from trader.certificates import (
    Certificate,
    CertificateCircuitError,
    CertificateClaimError,
    CertificateDatasetError,
    CertificateFormError,
    CertificateModelError,
    CertificateProofError,
    CertificationError,
    Dataset,
    PublicModel,
    accepted_circuit,
    certify,
    class_indices,
    parse_certificate,
    public_test_set,
    verify_certificate,
)
from trader.certificates.batches import batch_context
from trader.certificates.certificate import BatchProof
from trader.certificates.certify import prove_rows
from trader.chain.market import Market
from trader.chain.requests import ModelRequests, ProvenBatch
from trader.errors import CallerError, TransactionRefusedError
from trader.model import CanonicalModel, DataError, PostProcessing, PostProcessingKind, evaluate_exact, quantise_inputs
from trader.model.manifest import ModelCard
from trader.package import (
    PrepareOptions,
    ProofBudget,
    ProofBudgetError,
    QuotaError,
    open_circuit,
    prepare,
    statement_of,
)
from trader.parties.offer import Offer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trader.chain import Chain

AUDIT_SAMPLES = 4
SAMPLES = 10  # two full batches, and one with two rows of padding


@dataclass(frozen=True)
class Certified:
    model: PublicModel
    canonical: CanonicalModel
    budget: ProofBudget
    dataset: Dataset
    certificate: Certificate

    def forge(self, **fields: object) -> bytes:
        """The certificate with other values of some fields, in canonical form."""
        return forged(self.certificate, **fields)

    def forge_dataset(self, dataset: Dataset, **fields: object) -> bytes:
        """The certificate with the digests of another data set."""
        stated = self.certificate.dataset.model_copy(
            update={
                "samples": len(dataset),
                "data_digest": f"0x{dataset.data_digest.hex()}",
                "labels_digest": f"0x{dataset.labels_digest.hex()}",
            }
        )
        return self.forge(dataset=stated, **fields)

    def proofs_of(self, dataset: Dataset, canonical: CanonicalModel | None = None) -> tuple[BatchProof, ...]:
        """What an attacker proves about any data and parameters, who does not care for its budget."""
        budget = ProofBudget(
            self.budget.path.parent.with_name("attacker") / secrets.token_hex(8) / "proven", proofs=1000
        )
        budget.create()
        return certify(self.model, canonical or self.canonical, dataset, budget, insist=True).proofs


def forged(certificate: Certificate, **fields: object) -> bytes:
    return certificate.model_copy(update=fields).to_bytes()


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    folder = tmp_path_factory.mktemp("certified")
    options = PrepareOptions(card=ModelCard(name="classifier"), audit_samples=AUDIT_SAMPLES, insist=True)
    package = prepare(write_classifier(folder / "model.onnx"), folder / "package", options, password="test")
    srs = zk.development_srs(package.manifest.circuit.srs.logrows)
    model = PublicModel(package.manifest, package.canonical.graph, open_circuit(package.public, srs), srs)
    samples = np.random.default_rng(4).normal(0, 1, (SAMPLES, FEATURES))
    labels = predictions(model, package.canonical, samples)
    labels[[1, 6, 9]] = (labels[[1, 6, 9]] + 1) % CLASSES
    dataset = Dataset("ten rows", samples, labels)
    certificate = certify(model, package.canonical, dataset, package.budget, insist=True)
    return Certified(model, package.canonical, package.budget, dataset, certificate)


def predictions(model: PublicModel, canonical: CanonicalModel, samples: np.ndarray) -> np.ndarray:
    """Classes by the integer reference, without any proof."""
    outputs = evaluate_exact(canonical, quantise_inputs(samples, canonical.graph, canonical.scale_bits))
    return np.argmax(outputs.astype(np.float64), axis=1)


def test_an_honest_certificate_holds(certified: Certified) -> None:
    certificate = certified.certificate
    assert (certificate.correct, certificate.dataset.samples, certificate.padding) == (7, SAMPLES, 2)
    assert len(certificate.proofs) == 3
    progress: list[tuple[int, int]] = []
    data = certificate.to_bytes()
    verified = verify_certificate(
        data, certified.model, certified.dataset, lambda done, total: progress.append((done, total))
    )
    assert verified == certificate == parse_certificate(data)
    assert verified.accuracy == 0.7
    assert progress == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_verifier_needs_nothing_of_the_seller_but_public_files(certified: Certified) -> None:
    """The circuit is rebuilt from public parts; the data set is read from its source."""
    copy = Dataset("another name", certified.dataset.samples.copy(), certified.dataset.labels.astype(np.int64))
    verify_certificate(certified.certificate.to_bytes(), certified.model, copy)


# ------------------------------------------------------------------------------------------------------------ bounties


def test_a_bounty_counts_what_a_certificate_counts(certified: Certified) -> None:
    """A claim's proofs begin with what the buyer computed, and give the certificate's count (`ModelRequests.sol`)."""
    model, dataset = certified.model, certified.dataset
    circuit = accepted_circuit(model, dataset)
    proofs = [batch.decode() for batch in certified.certificate.proofs]
    columns = 64 * model.circuit.input_columns
    assert circuit.input_commitments == tuple(keccak(proof.data[:columns]) for proof in proofs)
    assert (circuit.circuit_digest, circuit.audit_samples) == (model.circuit.digest, AUDIT_SAMPLES)
    labels = class_indices(model, dataset)
    outputs = [output for proof in proofs for output in proof.outputs][: SAMPLES * CLASSES]
    assert matching_classes(outputs, labels) == certified.certificate.correct
    test_set = public_test_set(model, dataset, [circuit])
    assert [len(test_set.labels(circuit, index)) for index in range(3)] == [2 * AUDIT_SAMPLES] * 3
    with pytest.raises(KeyError):
        test_set.path(replace(circuit, circuit_digest=bytes(32)), 0)


def test_a_claims_proof_is_kept_for_its_place(certified: Certified, tmp_path: Path) -> None:
    """A claim that was interrupted goes on with the same proofs: another proof of the same would tell more."""
    batch = replace(
        certified.dataset,
        samples=certified.dataset.samples[:AUDIT_SAMPLES],
        labels=certified.dataset.labels[:AUDIT_SAMPLES],
    )
    budget = ProofBudget(tmp_path / "proven", proofs=2)
    budget.create()
    places = (CONTEXT, CONTEXT, certified.model.circuit.digest)
    first, again, elsewhere = (
        prove_rows(certified.model, certified.canonical, batch, budget, lambda _, at=place: at, insist=True)
        for place in places
    )
    assert first == again != elsewhere
    assert budget.published == 2


def test_a_claim_is_paid_by_the_chain(certified: Certified, chain: Chain, tmp_path: Path) -> None:
    """A real listing, a real proof, and nobody who looks at them but the contract."""
    seller, buyer = Account.create(), Account.create()
    for account in (seller, buyer):
        chain.fund(account.address, 10**19)
    market = Market(chain, chain.deploy(seller))
    market.register_vka(seller, certified.model.circuit.vka)
    market.list(seller, Offer(10**18, 10**17, Windows(*[600] * 6)).terms(certified.model.manifest))
    rows = Dataset("four rows", certified.dataset.samples[:AUDIT_SAMPLES], certified.dataset.labels[:AUDIT_SAMPLES])
    circuit = accepted_circuit(certified.model, rows)
    test_set = public_test_set(certified.model, rows, [circuit])
    requests, now = ModelRequests(market), chain.time().latest
    place, limits = (market.deployment.market, now + 1000, 50), (ETH, 10**18, 10**17)
    wanted = Wanted(*place, ETH, 10**16, *limits, samples=4, minimum_correct=3, test_root=test_set.root)
    requests.post(buyer, wanted, Task(bytes(32), bytes(32), "four rows"))
    assert [found.wanted for found in requests.open_requests()] == [wanted]
    assert requests.task(1).description == "four rows"
    budget = ProofBudget(tmp_path / "proven", proofs=1)
    budget.create()
    context = partial(requests.proof_context, 1, 1)
    (proof,) = prove_rows(certified.model, certified.canonical, rows, budget, context, insist=True)
    statement = statement_of(certified.model.manifest)
    batch = ProvenBatch.of(proof, certified.model.circuit, statement, context(0), test_set, circuit, 0)
    requests.prove(seller, 1, 1, batch)
    assert (requests.request(1).status, requests.progress(1, 1), requests.open_requests()) == ("claimed", (1, 3), [])
    chain.advance_time(50)
    requests.release(buyer, 1)
    assert requests.credit(seller.address) == 10**16
    requests.withdraw(seller)
    assert (requests.request(1).status, requests.credit(seller.address)) == ("ended", 0)
    requests.post(buyer, replace(wanted, deadline=chain.time().latest + 50), Task(bytes(32), bytes(32), ""))
    with pytest.raises(TransactionRefusedError, match="UnexpectedStatus"):
        requests.reclaim(buyer, 2, 1)
    chain.advance_time(60)
    requests.close(buyer, 2)
    assert requests.credit(buyer.address) == 10**16
    with pytest.raises(CallerError, match="no request 3"):
        requests.request(3)


def test_labels_that_the_model_does_not_know_are_no_bounty(certified: Certified) -> None:
    labels = certified.dataset.labels.copy()
    labels[0] = CLASSES
    with pytest.raises(CertificationError, match=f"no class {CLASSES}"):
        class_indices(certified.model, replace(certified.dataset, labels=labels))


@pytest.mark.parametrize(
    ("kind", "outputs", "reason"),
    [
        (PostProcessingKind.ONE_VS_ONE_SCORES, CLASSES, "lets pairs of classes vote"),
        (PostProcessingKind.ONE_VS_ONE, 1, "decides at zero otherwise"),
        (PostProcessingKind.NOT_NEGATIVE, 1, "decides at zero otherwise"),
    ],
)
def test_classes_that_the_chain_reads_otherwise_are_no_bounty(
    certified: Certified, kind: PostProcessingKind, outputs: int, reason: str
) -> None:
    """The chain takes the largest output, or whether the only one is above zero; pairs say class 1 at zero, too."""
    output, circuit = certified.model.manifest.output, replace(certified.model.circuit, outputs=outputs)
    post = output.post_processing.model_copy(update={"kind": kind})
    manifest = certified.model.manifest.model_copy(
        update={"output": output.model_copy(update={"post_processing": post})}
    )
    model = replace(certified.model, manifest=manifest, circuit=circuit)
    with pytest.raises(CertificationError, match=reason):
        class_indices(model, certified.dataset)


# ----------------------------------------------------------------------------------------------- attacks on the claim


def test_claiming_more_correct_answers(certified: Certified) -> None:
    with pytest.raises(CertificateClaimError, match="claims 8 of 10 correct, its proofs show 7"):
        verify_certificate(certified.forge(correct=8), certified.model, certified.dataset)


def test_changed_labels(certified: Certified) -> None:
    """Labels that flatter the model: another data set; and with the true labels' digest, another count."""
    labels = predictions(certified.model, certified.canonical, certified.dataset.samples)
    flattering = replace(certified.dataset, labels=labels)
    with pytest.raises(CertificateDatasetError, match="labels digest"):
        verify_certificate(certified.forge_dataset(flattering, correct=10), certified.model, certified.dataset)
    with pytest.raises(CertificateClaimError, match="claims 10 of 10"):
        verify_certificate(certified.forge_dataset(certified.dataset, correct=10), certified.model, certified.dataset)


def test_dropped_rows(certified: Certified) -> None:
    """The rows that the model gets wrong are left out: other digests, and with the true ones too few proofs."""
    kept = np.delete(np.arange(SAMPLES), [1, 6, 9])
    picked = Dataset("ten rows", certified.dataset.samples[kept], certified.dataset.labels[kept])
    proofs = certified.proofs_of(picked)
    honest_about_it = certified.forge_dataset(picked, proofs=proofs, padding=1, correct=7)
    with pytest.raises(CertificateDatasetError, match="samples: 7, given: 10"):
        verify_certificate(honest_about_it, certified.model, certified.dataset)
    with pytest.raises(CertificateFormError, match="2 proofs of 4 samples are not 10 rows"):
        verify_certificate(certified.forge(proofs=proofs), certified.model, certified.dataset)
    repeated = certified.forge(proofs=(*proofs, proofs[0]))
    with pytest.raises(CertificateProofError, match=r"proof 0, of rows 0 to 3: .*other inputs"):
        verify_certificate(repeated, certified.model, certified.dataset)


def test_reordered_rows(certified: Certified) -> None:
    order = np.arange(SAMPLES)[::-1]
    reordered = Dataset("ten rows", certified.dataset.samples[order], certified.dataset.labels[order])
    with pytest.raises(CertificateDatasetError, match="data digest"):
        verify_certificate(certified.forge_dataset(reordered), certified.model, certified.dataset)
    first, second, third = certified.certificate.proofs
    with pytest.raises(CertificateProofError, match="proof 0, of rows 0 to 3"):
        verify_certificate(certified.forge(proofs=(second, first, third)), certified.model, certified.dataset)


def test_one_batch_proven_twice(certified: Certified) -> None:
    first, second, _ = certified.certificate.proofs
    with pytest.raises(CertificateProofError, match=r"proof 2, of rows 8 to 11: .*other inputs"):
        verify_certificate(certified.forge(proofs=(first, second, first)), certified.model, certified.dataset)


def test_padding_is_zeros_and_counts_for_nothing(certified: Certified, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of the seller's choice in the padding are other inputs than the agreed ones, even in the right context."""
    module = sys.modules["trader.certificates.certify"]  # the package exports a function of this name
    monkeypatch.setattr(module, "batch_context", partial(_context_of, certified.dataset))
    extra = np.concatenate([certified.dataset.samples, certified.dataset.samples[:2]])
    longer = Dataset("ten rows", extra, np.zeros(len(extra), dtype=np.int64))
    with pytest.raises(CertificateProofError, match="proof 2"):
        verify_certificate(certified.forge(proofs=certified.proofs_of(longer)), certified.model, certified.dataset)


def _context_of(dataset: Dataset, _other: Dataset, model: PublicModel, index: int) -> bytes:
    return batch_context(dataset, model, index)


def test_replayed_proofs_of_another_dataset(certified: Certified) -> None:
    easier = replace(certified.dataset, samples=certified.dataset.samples / 2)
    with pytest.raises(CertificateProofError, match="other inputs"):
        verify_certificate(certified.forge(proofs=certified.proofs_of(easier)), certified.model, certified.dataset)


# ----------------------------------------------------------------------------------------------- attacks on the model


def test_proofs_about_other_parameters(certified: Certified) -> None:
    """A better model with the same architecture makes the certificate, the listed one would be delivered."""
    better = replace(certified.canonical, tensors=tuple(np.flip(tensor, 1) for tensor in certified.canonical.tensors))
    proofs = certified.proofs_of(certified.dataset, better)
    with pytest.raises(CertificateModelError, match="another model"):
        verify_certificate(
            certified.forge(proofs=proofs, parameter_commitment="0x" + 64 * "7"), certified.model, certified.dataset
        )
    with pytest.raises(CertificateProofError, match="other parameters"):
        verify_certificate(certified.forge(proofs=proofs), certified.model, certified.dataset)


def test_another_sellers_certificate(certified: Certified) -> None:
    """A certificate that was copied together with the listing it refers to."""
    copied = certified.model.manifest.model_copy(update={"seller": "0x" + "c0" * 20})
    with pytest.raises(CertificateModelError, match=f"the certificate is {certified.certificate.seller}'s"):
        verify_certificate(certified.forge(), replace(certified.model, manifest=copied), certified.dataset)


def test_other_number_of_samples_per_proof(certified: Certified) -> None:
    data = certified.forge(audit_samples=5, padding=0, proofs=certified.certificate.proofs[:2])
    with pytest.raises(CertificateCircuitError, match="5 samples each, the listed circuit 4"):
        verify_certificate(data, certified.model, certified.dataset)


def test_foreign_circuit(certified: Certified) -> None:
    """A circuit of the seller's own, in which the parameters may mean anything."""
    with pytest.raises(CertificateCircuitError, match="the listing has 0x"):
        verify_certificate(certified.forge(circuit_digest="0x" + 64 * "5"), certified.model, certified.dataset)
    rng = np.random.default_rng(0)
    widths = (FEATURES, CLASSES)
    circuit = zk.build_audit_circuit(
        dense_architecture(*widths), audit_samples=AUDIT_SAMPLES, scale_bits=13, srs=zk.development_srs
    )
    inputs = random_inputs(rng, AUDIT_SAMPLES, FEATURES)
    srs = zk.development_srs(circuit.logrows)
    proof = zk.prove(
        circuit, inputs, zk.draw_input_salt(circuit), random_parameters(rng, *widths), srs, context=CONTEXT
    )
    with pytest.raises(CertificateProofError, match="proof 0"):
        verify_certificate(certified.forge(proofs=(BatchProof.of(proof),) * 3), certified.model, certified.dataset)


@pytest.mark.parametrize("place", ["instances", "proof"])
def test_changed_proof(place: str, certified: Certified) -> None:
    first, *others = certified.certificate.proofs
    changed = bytearray.fromhex(getattr(first, place)[2:])
    changed[-1] ^= 1
    proofs = (first.model_copy(update={place: f"0x{changed.hex()}"}), *others)
    with pytest.raises(CertificateProofError, match="does not hold"):
        verify_certificate(certified.forge(proofs=proofs), certified.model, certified.dataset)


def test_instances_outside_the_field(certified: Certified) -> None:
    """p more is the same field element, but another number of correct answers could be read from it."""
    first, *others = certified.certificate.proofs
    proof = first.decode()
    alias = BatchProof.of(replace(proof, instances=(proof.instances[0] + zk.field.MODULUS, *proof.instances[1:])))
    with pytest.raises(CertificateProofError, match="modulus"):
        verify_certificate(certified.forge(proofs=(alias, *others)), certified.model, certified.dataset)


# ------------------------------------------------------------------------------------------------ attacks on the form


def rewrite(change: Callable[[dict], object]) -> Callable[[bytes], bytes]:
    def apply(data: bytes) -> bytes:
        content = json.loads(data)
        change(content)
        return rfc8785.dumps(content)

    return apply


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda data: b"", "not valid"),
        (lambda data: data[:-9], "not valid"),
        (lambda data: data + b" ", "canonical"),
        (lambda data: data.replace(b'"version":1', b'"version": 1'), "canonical"),
        (lambda data: b"[" * 100_000, "not valid"),
        (rewrite(lambda c: c.update(version=2)), "version"),
        (rewrite(lambda c: c.update(accuracy=1)), "accuracy"),
        (rewrite(lambda c: c.pop("padding")), "padding"),
        (rewrite(lambda c: c.update(padding=3)), "3 of padding"),
        (rewrite(lambda c: c.update(padding=-2)), "padding"),
        (rewrite(lambda c: c.update(correct=11)), "11 of 10"),
        (lambda data: data.replace(b'"correct":7', b'"correct":7.0'), "correct"),
        (rewrite(lambda c: c.update(proofs=[])), "0 proofs"),
        (rewrite(lambda c: c["proofs"][0].update(proof="0xAA")), "proofs.0.proof"),
        (rewrite(lambda c: c["proofs"][0].update(instances="0x00")), "proofs.0.instances"),
        (rewrite(lambda c: c["dataset"].update(samples=0)), "dataset.samples"),
        (rewrite(lambda c: c["dataset"].update(name="ten\x1b[2Jrows")), "dataset.name"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_malformed_certificates(change: Callable[[bytes], bytes], word: str, certified: Certified) -> None:
    with pytest.raises(CertificateFormError, match=word):
        parse_certificate(change(certified.certificate.to_bytes()))


# --------------------------------------------------------------------------------------------------- data sets


def test_digests_depend_on_values_and_order_not_on_files(tmp_path: Path) -> None:
    samples = np.array([[0.1, -0.0], [2.5, 1e-9]])
    labels = np.array([1, 0])
    np.save(tmp_path / "x.npy", samples)
    np.savez(tmp_path / "xy.npz", x=samples, y=labels)
    (tmp_path / "x.csv").write_text("a,b\n0.1,0\n2.50,1e-9\n")
    (tmp_path / "y.csv").write_text("label\n1\n0\n")
    pairs = (("x.npy", "xy.npz"), ("xy.npz", "y.csv"), ("x.csv", "y.csv"))
    read = [Dataset.read("d", tmp_path / x, tmp_path / y, 2) for x, y in pairs]
    assert len({dataset.data_digest for dataset in read}) == 1
    assert len({dataset.labels_digest for dataset in read}) == 1
    swapped = Dataset("d", samples[::-1], labels[::-1])
    assert swapped.data_digest != read[0].data_digest
    assert swapped.labels_digest != read[0].labels_digest
    flat = Dataset("d", samples.reshape(1, 4), labels)
    assert flat.data_digest != read[0].data_digest
    assert Dataset("d", samples, np.array(["1", "0"])).labels_digest != read[0].labels_digest


def test_a_model_that_returns_scores_has_an_accuracy(certified: Certified) -> None:
    """Most models of PyTorch end without a softmax."""
    output = certified.model.manifest.output.model_copy(update={"post_processing": PostProcessing()})
    scores = replace(certified.model, manifest=certified.model.manifest.model_copy(update={"output": output}))
    certificate = certify(scores, certified.canonical, certified.dataset, certified.budget)
    assert certificate.correct == certified.certificate.correct
    assert verify_certificate(certificate.to_bytes(), scores, certified.dataset) == certificate


def test_what_cannot_be_certified(certified: Certified) -> None:
    texts = replace(certified.dataset, labels=np.array(["a"] * SAMPLES))
    with pytest.raises(CertificationError, match="labels are of another type"):
        certify(certified.model, certified.canonical, texts, certified.budget)
    far = replace(certified.dataset, samples=certified.dataset.samples * 1e6)
    with pytest.raises(DataError, match="input range"):
        certify(certified.model, certified.canonical, far, certified.budget)
    with pytest.raises(CertificationError, match="canonical form"):
        _ = replace(certified.dataset, labels=np.array([1 << 60])).labels_digest


def test_a_budget_that_the_proofs_exceed(certified: Certified, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The salt hides so many proofs; nothing is proven beyond, and who asks again gets the proofs that are public.

    Also where the user's cache was removed: another proof of the same statement would be another equation.
    """
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert certified.budget.left == certified.budget.proofs - 3
    again = certify(certified.model, certified.canonical, certified.dataset, certified.budget)
    assert again == certified.certificate
    assert certified.budget.left == certified.budget.proofs - 3
    assert {path.suffix for path in (certified.budget.path.parent / "proofs").iterdir()} == {".json"}
    many = np.random.default_rng(6).normal(0, 1, (AUDIT_SAMPLES * certified.budget.left + 1, FEATURES))
    with pytest.raises(ProofBudgetError, match=f"the salt of this package hides {certified.budget.proofs}"):
        certify(
            certified.model,
            certified.canonical,
            Dataset("many", many, np.zeros(len(many), int)),
            certified.budget,
            insist=True,
        )
    assert certified.budget.left == certified.budget.proofs - 3


# ------------------------------------------------------------------------------------------ what certificates give away


def certified_model(folder: Path, *widths: int, audit_samples: int) -> tuple[PublicModel, CanonicalModel, ProofBudget]:
    """A package of dense layers with squares between them."""
    model = write_dense(folder / "model.onnx", *widths)
    options = PrepareOptions(card=ModelCard(name="dense"), audit_samples=audit_samples, insist=True)
    package = prepare(model, folder / "package", options, password="test")
    srs = zk.development_srs(package.manifest.circuit.srs.logrows)
    return (
        PublicModel(package.manifest, package.canonical.graph, open_circuit(package.public, srs), srs),
        package.canonical,
        package.budget,
    )


def test_a_linear_model_is_solved_from_its_certificate(tmp_path: Path) -> None:
    """Anyone who has the certificate and its data set has weights and biases: F + 1 equations for F + 1 unknowns."""
    model, canonical, budget = certified_model(tmp_path, FEATURES, CLASSES, audit_samples=3)
    samples = np.random.default_rng(8).normal(0, 1, (FEATURES + 1, FEATURES))
    dataset = Dataset("as many rows as unknowns", samples, np.zeros(len(samples), dtype=np.int64))
    with pytest.raises(QuotaError, match="anyone could rebuild the model"):
        certify(model, canonical, dataset, budget)
    assert budget.published == 0

    certificate = certify(model, canonical, dataset, budget, insist=True)
    outputs = [output for proof in certificate.proofs for output in proof.decode().outputs]
    inputs = quantise_inputs(samples, model.graph, model.manifest.scale_bits).astype(np.float64)
    unknowns = np.hstack([inputs, np.full((len(inputs), 1), 2.0**model.manifest.scale_bits)])
    solved = np.rint(np.linalg.solve(unknowns, np.array(outputs, dtype=np.float64).reshape(-1, CLASSES)))
    np.testing.assert_array_equal(solved[:FEATURES], canonical.weights(0))
    np.testing.assert_array_equal(solved[FEATURES], canonical.bias(0))


def test_certificates_are_counted_together(tmp_path: Path) -> None:
    """Rows that are safe one certificate at a time are not safe when all certificates are read."""
    model, canonical, budget = certified_model(tmp_path, 12, 2, audit_samples=2)
    rng = np.random.default_rng(9)
    first, second, third = (
        Dataset(name, rng.normal(0, 1, (rows, 12)), np.zeros(rows, dtype=np.int64))
        for name, rows in (("first", 2), ("second", 2), ("third", 4))
    )
    made = certify(model, canonical, first, budget)
    certify(model, canonical, second, budget)
    with pytest.raises(QuotaError, match=r"exact outputs on 8 public samples .*all published proofs together"):
        certify(model, canonical, third, budget)
    assert certify(model, canonical, first, budget) == made  # nothing new is published


@pytest.mark.slow
def test_a_network_of_many_parameters_may_be_certified(tmp_path: Path) -> None:
    """2,307 parameters: a few rows say little about them."""
    model, canonical, budget = certified_model(tmp_path, 32, 64, 3, audit_samples=4)
    samples = np.random.default_rng(10).normal(0, 1, (12, 32))
    certificate = certify(model, canonical, Dataset("few rows", samples, np.zeros(12, dtype=np.int64)), budget)
    assert len(certificate.proofs) == 3
    more = np.random.default_rng(11).normal(0, 1, (36, 32))
    with pytest.raises(QuotaError, match="exact outputs on 48 public samples"):
        certify(model, canonical, Dataset("more rows", more, np.zeros(36, dtype=np.int64)), budget)
