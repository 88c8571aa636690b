"""`modelseal model`: a package from an ONNX file, tried and proven; and everything that a user gets wrong."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from trader.he import parse_plan
from trader.model import parse_manifest
from trader.package import parameter_bits, read_canonical

FEATURES, HIDDEN, CLASSES = 6, 4, 3


def make_model(path: Path, activation: str = "square") -> Path:
    rng = np.random.default_rng(7)
    weights = {
        "w1": rng.normal(0, 0.3, (FEATURES, HIDDEN)),
        "b1": rng.normal(0, 0.1, HIDDEN),
        "w2": rng.normal(0, 0.3, (HIDDEN, CLASSES)),
        "b2": rng.normal(0, 0.1, CLASSES),
    }
    activate = (
        helper.make_node("Mul", ["h", "h"], ["a"], name="square")
        if activation == "square"
        else helper.make_node(activation, ["h"], ["a"], name="troublemaker")
    )
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], name="first"),
        activate,
        helper.make_node("Gemm", ["a", "w2", "b2"], ["y"], name="second"),
        helper.make_node("Softmax", ["y"], ["p"], name="softmax"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", FEATURES])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["N", CLASSES])],
        initializer=[numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSEAL_PASSWORD", "correct horse")


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    path = tmp_path / "samples.csv"
    np.savetxt(path, np.random.default_rng(8).normal(0, 1, (20, FEATURES)), delimiter=",")
    return path


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept") / "package"


@pytest.fixture
def package(kept: Path, tmp_path: Path, samples: Path, modelseal: Callable) -> Path:
    """What the command prepared, once; each test has a copy."""
    if not kept.exists():
        prepare = ["model", "prepare", make_model(tmp_path / "m.onnx"), "--out", kept, "--calibration", samples]
        ran = modelseal(*prepare, "--insist")  # so small a model is given away by any test
        assert ran.code == 0, ran.err
    return Path(shutil.copytree(kept, tmp_path / "package"))


def test_prepare_try_and_prove(package: Path, samples: Path, tmp_path: Path, modelseal: Callable) -> None:
    manifest = parse_manifest((package / "public" / "manifest.json").read_bytes())
    assert manifest.card.name == "m"
    assert manifest.circuit.srs.development
    assert {path.name for path in (package / "secret").iterdir()} >= {"parameters.npz", "chunks.bin", "model.onnx"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in (package / "secret").iterdir())

    labels, predictions = tmp_path / "labels.csv", tmp_path / "predictions.csv"
    np.savetxt(labels, np.zeros(20, dtype=int), fmt="%d")
    tried = modelseal("model", "try", package, "--data", samples, "--labels", labels, "--out", predictions, "--json")
    assert tried.code == 0, tried.err
    report = json.loads(tried.out)
    assert report["samples"] == 20
    assert report["max_output_error"] < 0.01
    assert report["max_output_error"] + 2**-12 <= report["distance"] < 0.001
    assert report["changeable"] == 0
    assert 0 < report["score_error"] < 0.1
    assert "will refuse" not in tried.err
    assert report["accuracy_encrypted"] == report["accuracy_plain"]
    classes = np.loadtxt(predictions, dtype=int)
    assert classes.shape == (20,)
    assert report["accuracy_encrypted"] == np.mean(classes == 0)

    proven = modelseal("model", "prove", package, "--data", samples, "--json")
    assert proven.code == 0, proven.err
    report = json.loads(proven.out)
    assert report["verified"]
    assert report["verifier_gas"] > 500_000
    assert report["audit_samples"] == 8


@pytest.mark.slow
def test_a_package_is_one_sellers(tmp_path: Path, samples: Path, modelseal: Callable) -> None:
    """Named by its keyfile or its address; without one the package can be tried, and says that it can't be listed."""
    model, keyfile = make_model(tmp_path / "m.onnx"), tmp_path / "seller.json"
    prepare = ["model", "prepare", model, "--insist", "--no-trial", "--audit-samples", 1, "--calibration", samples]
    address = json.loads(modelseal("keys", "new", keyfile, "--json").out)["address"]
    for number, given in enumerate((keyfile, address, address.lower())):
        out = tmp_path / f"package-{number}"
        ran = modelseal(*prepare, "--out", out, "--seller", given, "--json")
        assert ran.code == 0, ran.err
        assert json.loads(ran.out)["seller"] == address
        assert "names no seller" not in ran.err
        assert parse_manifest((out / "public" / "manifest.json").read_bytes()).seller == address.lower()
    wrong = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD"  # an example of EIP-55, but for its last letter's case
    for given in (wrong, "0x1234", tmp_path / "nobody.json"):
        refuses(modelseal("model", "prepare", model, "--out", tmp_path / "other", "--seller", given), 2, str(given))
    assert not (tmp_path / "other").exists()
    ran = modelseal(*prepare, "--out", tmp_path / "nobodys")
    assert (ran.code, "names no seller" in ran.err) == (0, True)


def refuses(ran: object, code: int, *words: str) -> None:
    """One line that names the cause, and no traceback."""
    assert ran.code == code, (ran.code, ran.err)
    diagnosis = [line for line in ran.err.splitlines() if line.startswith("error:")]
    assert len(diagnosis) == 1, ran.err
    assert "Traceback" not in ran.err
    for word in words:
        assert word in diagnosis[0], diagnosis[0]


def test_a_seller_learns_what_buyers_will_refuse(package: Path, tmp_path: Path, modelseal: Callable) -> None:
    """Twenty samples that are one and the same: nothing tells their scores apart."""
    np.savetxt(tmp_path / "same.csv", np.zeros((20, FEATURES)), delimiter=",")
    tried = modelseal("model", "try", package, "--data", tmp_path / "same.csv", "--json")
    assert tried.code == 0
    assert "Buyers with the default policy will refuse: a model whose scores differ by" in " ".join(tried.err.split())
    assert json.loads(tried.out)["score_error"] > 0.25


@pytest.mark.parametrize("missing", ["nowhere.onnx", "a-folder"])
def test_missing_model_is_named_and_nothing_is_written(missing: str, tmp_path: Path, modelseal: Callable) -> None:
    (tmp_path / "a-folder").mkdir()
    refuses(modelseal("model", "prepare", tmp_path / missing, "--out", tmp_path / "p"), 2, missing)
    assert not (tmp_path / "p").exists()


def test_unsupported_operator_is_named_with_its_node(tmp_path: Path, modelseal: Callable) -> None:
    model = make_model(tmp_path / "m.onnx", activation="Sin")
    refuses(modelseal("model", "prepare", model, "--out", tmp_path / "p"), 2, "Sin", "troublemaker")
    assert not (tmp_path / "p").exists()


def test_not_an_onnx_file(tmp_path: Path, modelseal: Callable) -> None:
    (tmp_path / "m.onnx").write_text("PK these are not the bytes you are looking for")
    refuses(modelseal("model", "prepare", tmp_path / "m.onnx", "--out", tmp_path / "p"), 2)


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        (np.ones((3, FEATURES + 1)), str(FEATURES)),
        (np.array([[1.0] * FEATURES, [1.0, np.nan, 1.0, 1.0, 1.0, 1.0]]), "nan"),
        (np.array([[1.0, np.inf, 1.0, 1.0, 1.0, 1.0]]), "inf"),
    ],
    ids=["wrong shape", "nan", "infinity"],
)
def test_bad_calibration_data(
    rows: np.ndarray, word: str, tmp_path: Path, modelseal: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savetxt(tmp_path / "bad.csv", rows, delimiter=",")
    model = make_model(tmp_path / "m.onnx")
    ran = modelseal("model", "prepare", model, "--out", tmp_path / "p", "--calibration", tmp_path / "bad.csv")
    refuses(ran, 2)
    assert word in ran.err.lower()
    assert not (tmp_path / "p").exists()


def test_existing_folder_is_left_alone(tmp_path: Path, modelseal: Callable) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "precious").write_text("x")
    refuses(modelseal("model", "prepare", make_model(tmp_path / "m.onnx"), "--out", tmp_path / "p"), 2, "not empty")
    assert (tmp_path / "p" / "precious").read_text() == "x"


def test_quota_that_gives_the_model_away(tmp_path: Path, modelseal: Callable) -> None:
    model = make_model(tmp_path / "m.onnx")
    refuses(modelseal("model", "prepare", model, "--out", tmp_path / "p", "--quota", 1000), 2, "1000", "insist")
    refuses(modelseal("model", "prepare", model, "--out", tmp_path / "p"), 2, "bits", "smallest test", "insist")
    assert not (tmp_path / "p").exists()
    ran = modelseal("model", "prepare", model, "--out", tmp_path / "p", "--quota", 1000, "--insist", "--json")
    assert (ran.code, json.loads(ran.out)["listing_quota_samples"]) == (0, 10_000)
    assert "10 buyers' worth" in " ".join(ran.err.split())
    assert "Buyers who collude" in " ".join(ran.err.split())


def test_a_plan_says_what_quotas_add_up_to(tmp_path: Path, samples: Path, modelseal: Callable) -> None:
    model, folder, quotas = make_model(tmp_path / "m.onnx"), tmp_path / "p", ["--quota", 32, "--listing-quota", 16]
    prepare = ["model", "prepare", model, "--out", folder, "--calibration", samples, "--insist"]
    refuses(modelseal(*prepare, "--quota", 32, "--listing-quota", 15), 2, "15 answers", "16")
    assert modelseal(*prepare, *quotas).code == 0
    shown = modelseal("model", "plan", folder, "--samples", 20, "--json")
    assert shown.code == 0, shown.err
    report = json.loads(shown.out)
    answer_bits = parse_plan(report["plan"]).answer_bits
    canonical = read_canonical(folder)
    assert report["quotas"] == {
        "parameter_bits": parameter_bits(canonical),
        "buyer_quota_bits": 32 * answer_bits,
        "listing_quota_bits": 16 * answer_bits,
    }
    assert str(32 * answer_bits) in modelseal("model", "plan", folder, "--samples", 20).out


def test_corrupt_manifest(package: Path, samples: Path, modelseal: Callable) -> None:
    manifest = package / "public" / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:-7])
    refuses(modelseal("model", "try", package, "--data", samples), 3, "manifest")


def test_too_few_samples_for_an_audit(package: Path, tmp_path: Path, modelseal: Callable) -> None:
    np.savetxt(tmp_path / "few.csv", np.zeros((3, FEATURES)), delimiter=",")
    refuses(modelseal("model", "prove", package, "--data", tmp_path / "few.csv"), 2, "3 samples")


def test_no_package(tmp_path: Path, samples: Path, modelseal: Callable) -> None:
    refuses(modelseal("model", "try", tmp_path / "nothing", "--data", samples), 2, "nothing")


def test_hostile_words_are_shown_as_text(tmp_path: Path, modelseal: Callable) -> None:
    """What a file or the other party says is no markup for the terminal."""
    refuses(modelseal("model", "prepare", "[/bold]\x1b[31mmodel.onnx", "--out", tmp_path / "p"), 2, "[/bold]?[31mmodel")


def test_a_made_up_password_never_replaces_another(
    tmp_path: Path, modelseal: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MODELSEAL_PASSWORD", raising=False)
    refuses(modelseal("model", "prepare", tmp_path / "missing.onnx", "--out", tmp_path / "p"), 2, "missing.onnx")
    assert not list(tmp_path.iterdir())
    (tmp_path / "p.password").write_text("precious")
    model = make_model(tmp_path / "m.onnx")
    refuses(modelseal("model", "prepare", model, "--out", tmp_path / "p"), 2, "password of an earlier package")
    assert (tmp_path / "p.password").read_text() == "precious"
