"""`modelseal proofs` on queues in all states."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from zk import ProofQueue
from zk.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProofQueue:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return ProofQueue.of_user()


def test_an_empty_queue_says_so(queue: ProofQueue, modelseal: Callable) -> None:
    ran = modelseal("proofs", "list")
    assert ran.code == 0
    assert "nothing is being proven" in ran.err
    assert json.loads(modelseal("proofs", "list", "--json").out) == {"jobs": []}


def test_jobs_are_listed_with_their_state(queue: ProofQueue, modelseal: Callable) -> None:
    with pytest.raises(WorkerError), queue.turn("aa11"):
        raise WorkerError("ran out of memory")
    with queue.turn("bb22"):
        text = modelseal("proofs", "list").out
        jobs = json.loads(modelseal("proofs", "list", "--json").out)["jobs"]
    assert [(job["statement"], job["state"], job["error"]) for job in jobs] == [
        ("aa11", "failed", "ran out of memory"),
        ("bb22", "proving", ""),
    ]
    assert all("owner" not in job for job in jobs)
    for word in ("aa11", "failed", "ran out of memory", "bb22", "proving"):
        assert word in text


def test_a_job_is_cancelled_once(queue: ProofQueue, modelseal: Callable) -> None:
    with queue.turn("cc33"):
        assert modelseal("proofs", "cancel", "cc33").code == 0
        assert queue.jobs() == []
    ran = modelseal("proofs", "cancel", "cc33")
    assert ran.code == 2
    assert "there is no job cc33. See `modelseal proofs list`." in ran.err
