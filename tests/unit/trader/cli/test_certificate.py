"""`modelseal model certify`, `modelseal certificate` and `modelseal listing verify --certificate`."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from eth_account import Account

from contracts import Windows
from ledger import AuditLog
from tests.simulators.classifier import FEATURES, write_classifier
from trader.chain import Chain
from trader.chain.market import Market
from trader.exchange import FolderMailbox
from trader.model.manifest import ModelCard
from trader.package import PrepareOptions, SellerPackage, prepare
from trader.parties.actor import Equipment
from trader.parties.offer import Offer
from trader.parties.seller import Seller

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SAMPLES = 7
PASSWORD = "test"
SELLER = Account.create()


@dataclass(frozen=True)
class Files:
    package: Path
    data: Path
    labels: Path

    @property
    def public(self) -> Path:
        return self.package / "public"

    @property
    def dataset(self) -> tuple[object, ...]:
        return ("--data", self.data, "--labels", self.labels)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("prepared")
    options = PrepareOptions(card=ModelCard(name="classifier"), audit_samples=4, seller=SELLER.address, insist=True)
    prepare(write_classifier(folder / "model.onnx"), folder / "package", options, password=PASSWORD)
    np.savetxt(folder / "data.csv", np.random.default_rng(5).normal(0, 1, (SAMPLES, FEATURES)), delimiter=",")
    np.savetxt(folder / "labels.csv", np.zeros(SAMPLES), fmt="%d")
    return Files(folder / "package", folder / "data.csv", folder / "labels.csv")


@pytest.fixture
def files(prepared: Files, tmp_path: Path) -> Files:
    """A copy that a test may change."""
    return Files(*(shutil.copytree(prepared.package, tmp_path / "package"), prepared.data, prepared.labels))


def certify(files: Files, modelseal: Callable, *more: object) -> dict:
    ran = modelseal(
        "model", "certify", files.package, *files.dataset, "--dataset", "seven rows", "--insist", "--json", *more
    )
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


def test_certify_show_and_verify(files: Files, modelseal: Callable) -> None:
    made = certify(files, modelseal)
    assert (made["samples"], made["proofs"], made["padding"]) == (SAMPLES, 2, 1)
    assert made["accuracy"] == made["correct"] / SAMPLES
    (file,) = (files.public / "certificates").iterdir()
    assert str(file) == made["certificate"]

    shown = json.loads(modelseal("certificate", "show", file, "--json").out)
    assert shown == {"verified": False} | {name: made[name] for name in made if name != "certificate"}

    arguments = ("certificate", "verify", file, "--package", files.public, *files.dataset)
    refused = modelseal(*arguments)
    assert refused.code == 2
    assert "--development" in refused.err
    verified = modelseal(*arguments, "--development", "--json")
    assert verified.code == 0, verified.err
    assert json.loads(verified.out) == shown | {"verified": True}


def test_a_certificate_that_gives_the_model_away_takes_insistence(files: Files, modelseal: Callable) -> None:
    ran = modelseal("model", "certify", files.package, *files.dataset, "--dataset", "seven rows")
    assert ran.code == 2, ran.err
    assert "anyone could rebuild the model" in ran.err
    assert not (files.public / "certificates").exists()


def test_other_data_and_damaged_files_are_named(files: Files, tmp_path: Path, modelseal: Callable) -> None:
    file = tmp_path / "certificate.json"
    certify(files, modelseal, "--out", file)
    other = tmp_path / "other.csv"
    np.savetxt(other, np.zeros((SAMPLES, FEATURES)), delimiter=",")
    verify = ("certificate", "verify", file, "--package", files.public, "--development")
    ran = modelseal(*verify, "--data", other, "--labels", files.labels)
    assert ran.code == 3
    assert "data digest" in ran.err
    file.write_bytes(file.read_bytes()[:-1])
    ran = modelseal(*verify, *files.dataset)
    assert ran.code == 3
    assert "not valid" in ran.err
    assert modelseal("certificate", "show", tmp_path / "nowhere").code == 2


@pytest.mark.slow
@pytest.mark.anvil
def test_a_listing_shows_claimed_and_proven_accuracy(
    files: Files, anvil_url: str, tmp_path: Path, modelseal: Callable
) -> None:
    certificate = certify(files, modelseal)["certificate"]
    chain, account = Chain.connect(anvil_url), SELLER
    chain.fund(account.address, 10**19)
    market = Market(chain, chain.deploy(account))
    with AuditLog.open(tmp_path / "audit.sqlite") as log:
        seller = Seller(
            SellerPackage.read(files.package, PASSWORD),
            Equipment(market, account, FolderMailbox(tmp_path / "mailbox"), log, tmp_path / "seller", vault_key=None),
        )
        listing = seller.list_model(Offer(10**18, 10**17, replace(Windows(*[3600] * 6), dispute_seconds=24 * 3600)))
    verify = ("listing", "verify", listing, "--package", files.public, "--chain", anvil_url, "--development")
    verify = (*verify, "--market", market.deployment.market)
    claimed = modelseal(*verify)
    assert claimed.code == 0, claimed.err
    assert "not verified" in claimed.out
    assert "An audit lets outputs move by 0.000" in claimed.out
    dataset = ("--certificate-data", files.data, "--certificate-labels", files.labels)
    proven = modelseal(*verify, "--certificate", certificate, *dataset)
    assert proven.code == 0, proven.err
    assert "proven accuracy" in proven.out
    assert modelseal(*verify, "--certificate", certificate).code == 2
