"""Whatever ezkl does, the caller sees one of our errors."""

import pytest

import zk
from zk.errors import WorkerFailed, WorkerKilled, WorkerTimeout
from zk.proofs.worker import WorkerLimits, run_job


def test_a_runtime_error_is_translated(tmp_path):
    missing = str(tmp_path / "missing")
    with pytest.raises(WorkerFailed, match="could not verify: RuntimeError"):
        run_job("verify", {"proof": missing, "settings": missing, "vk": missing, "srs": missing})


def test_a_rust_panic_is_translated(tmp_path):
    """pyo3's PanicException is a BaseException: it would pass every ``except Exception``."""
    tensors = tmp_path / "tensors.json"
    tensors.write_text('{"input_data": [["zz"]]}')
    with pytest.raises(WorkerFailed, match="PanicException"):
        run_job("commit", {"tensors": str(tensors), "vk": "", "settings": "", "srs": ""})


def test_the_message_is_one_line(tmp_path):
    with pytest.raises(WorkerFailed) as caught:
        run_job("make_settings", {"circuit": str(tmp_path), "settings": str(tmp_path), "run_args": {}})
    assert "\n" not in str(caught.value)


def test_time_is_limited(tmp_path):
    with pytest.raises(WorkerTimeout, match=r"stopped after 0\.2 s"):
        run_job("make_srs", {"srs": str(tmp_path / "srs"), "logrows": 20}, WorkerLimits(seconds=0.2))


def test_memory_is_limited(statement):
    with pytest.raises(WorkerKilled, match="memory.* allow more memory"):
        zk.prove(
            statement.circuit,
            statement.inputs,
            statement.salt,
            statement.parameters,
            statement.srs,
            WorkerLimits(memory_bytes=20 << 20),
        )


def test_nothing_is_left_behind(statement, tmp_path, monkeypatch):
    """Tensors on disk are secret: they live in a private folder that is removed."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    zk.prove(statement.circuit, statement.inputs, statement.salt, statement.parameters, statement.srs)
    assert list(tmp_path.iterdir()) == []
