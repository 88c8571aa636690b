"""Engines end to end: a real evaluation and a real proof by worker processes, and by a Dask cluster."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pytest
from cryptography.fernet import Fernet

from trader import he
from trader.errors import EnvironmentFaultError, NotYetError, RequestError
from trader.jobs import JobQueue, QueueEngine, Workers
from trader.jobs import cluster as cluster_module
from trader.jobs.cluster import DaskEngine
from trader.jobs.worker import work
from trader.model.bounds import evaluate_values
from trader.parties.engine import Engine, EvaluationJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trader.demo.training import DemoModel
    from trader.package import SellerPackage

T = TypeVar("T")
SECRET = Fernet.generate_key()
CONTEXT = b"a context"


@pytest.fixture
def queue(tmp_path: Path) -> JobQueue:
    return JobQueue(tmp_path / "jobs.sqlite", SECRET)


@pytest.fixture(scope="module")
def asked(package: SellerPackage, trained_model: DemoModel, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An encrypted test, and the session that opens its answer."""
    folder = tmp_path_factory.mktemp("asked")
    plan = he.parse_plan(package.manifest.plan)
    session = he.ClientSession(plan)
    inputs = package.manifest.quantise(trained_model.test_samples[:8], package.canonical.graph)
    session.generate_keys(len(inputs))
    session.encrypt(inputs, None, folder / "request", context=CONTEXT)
    return session, folder / "request", inputs


def evaluation(package: SellerPackage, request: Path, folder: Path, key: int = 1) -> EvaluationJob:
    response = folder / "response"
    return EvaluationJob(bytes([key] * 32), "0xa", package.folder, request, response, 8, CONTEXT, "cpu")


def until(asked_for: Callable[[], T], seconds: float = 240) -> T:
    """What is asked for again and again, as a seller's steps do."""
    end = time.monotonic() + seconds
    while True:
        try:
            return asked_for()
        except NotYetError:
            assert time.monotonic() < end
            time.sleep(0.1)


def here() -> Any:
    raise AssertionError("nothing is done in this process")


def check(engine: Engine, asked: Any, package: SellerPackage, folder: Path) -> None:
    session, request, inputs = asked
    job = evaluation(package, request, folder)
    until(lambda: engine.evaluate(job, here))
    response = job.response.read_bytes()
    reader = he.ClientSession(he.parse_plan(package.manifest.plan), kept=session.export_secret())
    reader.expect_response(he.digest(response))
    seen = reader.decrypt(response)
    exact = evaluate_values(package.canonical, inputs)[package.canonical.graph.nodes[-1].name]
    assert np.abs(seen - exact).max() < 1e-3
    assert [file.name for file in folder.iterdir() if file.name.startswith(".response")] == []


@pytest.mark.slow
def test_worker_processes_evaluate(queue: JobQueue, asked: Any, package: SellerPackage, tmp_path: Path) -> None:
    folder = tmp_path / "trade"
    folder.mkdir()
    with Workers(queue.path, SECRET, 1):
        check(QueueEngine(queue), asked, package, folder)
    assert queue.count() == {}


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced(queue: JobQueue) -> None:
    with Workers(queue.path, SECRET, 1) as workers:
        end = time.monotonic() + 120
        while not workers.pids():
            assert time.monotonic() < end
            time.sleep(0.05)
        (first,) = workers.pids()
        os.kill(first, signal.SIGKILL)
        while workers.pids() in ([], [first]):
            assert time.monotonic() < end
            time.sleep(0.05)
    assert workers.pids() == []


@pytest.fixture
def cluster() -> Iterator[str]:
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as made:
        yield made.scheduler_address


@pytest.mark.slow
def test_a_dask_cluster_of_two_evaluates(cluster: str, asked: Any, package: SellerPackage, tmp_path: Path) -> None:
    folder = tmp_path / "trade"
    folder.mkdir()
    engine = DaskEngine(cluster)
    try:
        assert engine.workers == 2
        check(engine, asked, package, folder)
        damaged = tmp_path / "request"
        damaged.write_bytes(b"no request at all")
        with pytest.raises(RequestError):
            until(lambda: engine.evaluate(evaluation(package, damaged, folder, 2), here))
    finally:
        engine.close()


def test_no_scheduler_is_an_accident(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 0.5)
    with pytest.raises(EnvironmentFaultError, match="no Dask scheduler answers"):
        DaskEngine("tcp://127.0.0.1:9")


def one_job(queue: JobQueue) -> None:
    """A worker's loop in this process, until its queue is empty."""
    looks = iter([True, True, False])
    work(queue.path, SECRET, lambda: next(looks))


def test_a_malformed_request_is_its_senders_fault(queue: JobQueue, package: SellerPackage, tmp_path: Path) -> None:
    (tmp_path / "request").write_bytes(b"no request at all")
    engine, job = QueueEngine(queue), evaluation(package, tmp_path / "request", tmp_path)
    with pytest.raises(NotYetError, match="waits for a worker"):
        engine.evaluate(job, here)
    one_job(queue)
    with pytest.raises(RequestError):
        engine.evaluate(job, here)


def test_what_a_worker_cannot_do_is_tried_again(queue: JobQueue, package: SellerPackage, tmp_path: Path) -> None:
    engine, job = QueueEngine(queue), evaluation(package, tmp_path / "missing" / "request", tmp_path)
    with pytest.raises(NotYetError):
        engine.evaluate(job, here)
    one_job(queue)
    with pytest.raises(EnvironmentFaultError, match="a worker could not evaluate"):
        engine.evaluate(job, here)
    with pytest.raises(NotYetError):
        engine.evaluate(job, here)
