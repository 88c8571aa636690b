"""Whatever ezkl does, the caller sees one of our errors."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import zk
from tests.simulators.dense_model import CONTEXT
from zk.errors import WorkerFailedError, WorkerKilledError, WorkerTimeoutError
from zk.ezkl import worker
from zk.ezkl.worker import WorkerLimits, run_job
from zk.storage import temporary_folder


def test_a_runtime_error_is_translated(tmp_path):
    missing = tmp_path / "missing"
    with pytest.raises(WorkerFailedError, match="could not verify: RuntimeError"):
        run_job("verify", {"proof": missing, "settings": missing, "vk": missing, "srs": missing})


def test_a_rust_panic_is_translated(tmp_path):
    """pyo3's PanicException is a BaseException: it would pass every `except Exception`."""
    tensors = tmp_path / "tensors.json"
    tensors.write_text('{"input_data": [["zz"]]}')
    with pytest.raises(WorkerFailedError, match="PanicException"):
        run_job("commit", {"tensors": tensors, "vk": "", "settings": "", "srs": ""})


def test_the_message_is_one_line(tmp_path):
    with pytest.raises(WorkerFailedError) as caught:
        run_job("make_settings", {"circuit": tmp_path, "folder": tmp_path, "run_args": [{}]})
    assert "\n" not in str(caught.value)


def test_time_is_limited(tmp_path):
    with pytest.raises(WorkerTimeoutError, match=r"stopped after 0\.2 s"):
        run_job("make_srs", {"srs": tmp_path / "srs", "logrows": 20}, WorkerLimits(seconds=0.2))


def test_a_busy_machine_does_not_lose_the_job(tmp_path, monkeypatch):
    """The first look may come before the process has read a byte."""
    monkeypatch.setattr(worker, "POLL_SECONDS", 0.0)
    run_job("make_srs", {"srs": tmp_path / "srs", "logrows": 6}, WorkerLimits(seconds=60))


def test_memory_is_limited(statement):
    with pytest.raises(WorkerKilledError, match=r"memory.* allow more memory"):
        zk.measure_cost(statement.circuit, statement.srs, WorkerLimits(memory_bytes=20 << 20))


def test_progress_is_reported_and_can_cancel(tmp_path):
    seen = []

    def on_progress(seconds):
        seen.append(seconds)
        if seconds > 0.25:
            raise InterruptedError

    target = tmp_path / "srs"
    with pytest.raises(InterruptedError):
        run_job("make_srs", {"srs": target, "logrows": 20}, on_progress=on_progress)
    assert seen == sorted(seen)
    assert len(seen) >= 2
    assert not target.exists()


def test_a_job_says_what_it_took(tmp_path):
    """Its own memory, that is, and not its parent's, which Linux hands down in ru_maxrss."""
    ballast = np.ones(1 << 26)
    result = run_job("make_srs", {"srs": tmp_path / "srs", "logrows": 6})
    assert result.seconds > 0
    assert 1 << 20 < result.peak_memory_bytes < ballast.nbytes


def test_nothing_is_left_behind(statement, tmp_path, monkeypatch):
    """Tensors on disk are secret: they live in a private folder that is removed."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    zk.prove(statement.circuit, -statement.inputs, statement.salt, statement.parameters, statement.srs, context=CONTEXT)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path, monkeypatch):
    """What a living one works in is not, and neither is a folder that somebody has just made."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    script = (
        f"import tempfile; tempfile.tempdir = {str(tmp_path)!r}; from zk.storage import temporary_folder\n"
        "with temporary_folder('prove') as ours: (ours / 'witness.json').touch(); print(ours, flush=True); input()"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    killed, alive = (Path(process.stdout.readline().strip()) for process in processes)
    processes[0].kill()
    processes[0].wait()
    with temporary_folder("job"):
        assert (killed / "witness.json").exists()  # as if it were being made
    for folder in (killed, alive):
        os.utime(folder, (0, 0))
    with temporary_folder("job") as ours:
        assert sorted(tmp_path.iterdir()) == sorted([alive, ours])
    processes[1].communicate("")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a process with its parent")
@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.5])
def test_the_process_dies_with_its_parent(tmp_path, seconds):
    """Also while it starts, when it can't have asked for that yet."""
    target = tmp_path / "srs"
    script = f"from zk.ezkl.worker import run_job; run_job('make_srs', {{'srs': {str(target)!r}, 'logrows': 20}})"
    parent = subprocess.Popen([sys.executable, "-c", script])
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    while not (found := children.read_text().split()):
        time.sleep(0.001)
    time.sleep(seconds)
    parent.kill()
    parent.wait()
    status = Path(f"/proc/{found[0]}/stat")
    for _ in range(600):
        try:
            ended = status.read_text().rpartition(")")[2].split()[0] == "Z"
        except (FileNotFoundError, ProcessLookupError):  # it was there, and is gone
            ended = True
        if ended:
            break
        time.sleep(0.05)
    else:
        pytest.fail("the prover outlived its parent")
