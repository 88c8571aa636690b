"""The queue of proofs: turns, leases, and what becomes of the jobs of killed provers."""

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import pytest

import zk
from tests.simulators.dense_model import CONTEXT
from zk.errors import JobLostError, WorkerError, WorkerKilledError
from zk.ezkl import queue
from zk.ezkl.queue import LONGEST_PAUSE_SECONDS, MAX_ATTEMPTS, ProofQueue
from zk.proofs import prover


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def jobs(tmp_path, clock):
    return ProofQueue(tmp_path / "queue.sqlite", lease_seconds=10, clock=clock)


class WouldWaitError(Exception):
    """What a waiter raises here where it would go on waiting."""


def give_up():
    raise WouldWaitError


def begin(jobs, statement):
    """Whether it is the statement's turn; nobody renews what was begun, as if its prover were killed."""
    return jobs._advance(statement, owner=os.urandom(4).hex())


def test_a_finished_job_leaves_nothing_behind(jobs):
    with jobs.turn("a"):
        assert [(job.statement, job.state, job.attempts) for job in jobs.jobs()] == [("a", "proving", 1)]
    assert jobs.jobs() == []


def test_others_wait_in_their_order(jobs):
    with jobs.turn("a"):
        assert not jobs._advance("b", "owner-b")
        assert not jobs._advance("c", "owner-c")
    assert not jobs._advance("c", "owner-c")
    assert jobs._advance("b", "owner-b")
    assert [job.statement for job in jobs.jobs()] == ["b", "c"]


def test_more_slots_prove_side_by_side(tmp_path):
    jobs = ProofQueue(tmp_path / "queue.sqlite", slots=2)
    with jobs.turn("a"), jobs.turn("b"):
        assert not begin(jobs, "c")


def test_the_same_statement_is_proven_by_one_at_a_time(jobs):
    with ExitStack() as stack:
        stack.enter_context(jobs.turn("a"))
        with pytest.raises(WouldWaitError), jobs.turn("a", give_up):
            pass
        assert [job.state for job in jobs.jobs()] == ["proving"]


def test_a_killed_provers_job_is_taken_up_when_its_lease_is_over(jobs, clock):
    assert begin(jobs, "a")
    clock.now += 9
    assert not begin(jobs, "a")
    clock.now += 2
    with jobs.turn("a", give_up):
        assert jobs.jobs()[0].attempts == 2


def test_a_waiter_that_is_gone_is_passed_by(jobs, clock):
    with jobs.turn("a") as lease:
        assert not jobs._advance("b", "gone")
        clock.now += 11
        lease.renew()
        assert not jobs._advance("c", "here")
    assert jobs._advance("c", "here")


def test_a_prover_that_stood_still_learns_that_it_lost_its_job(jobs, clock):
    with jobs.turn("a") as lease:
        clock.now += 11
        with jobs.turn("a", give_up), pytest.raises(JobLostError, match="taken up by another prover"):
            lease.renew()
    assert jobs.jobs() == []


def test_a_clock_that_was_put_back_blocks_nobody(jobs, clock):
    assert begin(jobs, "a")
    clock.now -= 3600
    assert begin(jobs, "a")


def kill_provers(jobs, clock, attempts):
    """Begin so many times; each prover is killed, and the next comes when its lease is over."""
    for _ in range(attempts):
        assert begin(jobs, "a")
        clock.now += 10.1


def test_a_job_that_kills_its_provers_is_begun_less_and_less_often(jobs, clock):
    """A proof that is due must get its chance however often the machine went down, at a cost that ends."""
    kill_provers(jobs, clock, MAX_ATTEMPTS)
    begun, last = [], clock.now
    while len(begun) < 12:
        try:
            assert begin(jobs, "a")
            begun.append(clock.now - last)
            last = clock.now
        except WorkerKilledError:
            pass
        clock.now += 10.1
    for before, after in itertools.pairwise(begun):
        assert after >= min(1.8 * before, LONGEST_PAUSE_SECONDS) or before < 20
    assert LONGEST_PAUSE_SECONDS <= begun[-1] < 1.1 * LONGEST_PAUSE_SECONDS


def test_a_job_that_pauses_is_begun_at_once_when_it_was_removed(jobs, clock):
    kill_provers(jobs, clock, MAX_ATTEMPTS + 1)
    with pytest.raises(WorkerKilledError, match=r"begun 4 times, .* begun again in 10 s"):
        begin(jobs, "a")
    assert jobs.remove("a")
    assert begin(jobs, "a")


def test_a_clock_that_was_put_back_ends_a_pause(jobs, clock):
    kill_provers(jobs, clock, MAX_ATTEMPTS + 1)
    clock.now -= 5000
    assert begin(jobs, "a")


def test_a_job_that_fails_says_why_and_may_be_asked_for_again(jobs):
    with pytest.raises(WorkerError, match="out of memory"), jobs.turn("a"):
        raise WorkerError("out of memory")
    (job,) = jobs.jobs()
    assert (job.state, job.error) == ("failed", "out of memory")
    with jobs.turn("b", give_up), pytest.raises(WouldWaitError), jobs.turn("a", give_up):
        pass
    with jobs.turn("a", give_up):
        assert jobs.jobs()[-1].attempts == 1


def test_a_cancelled_job_is_lost_to_its_prover(jobs):
    with jobs.turn("a") as lease:
        assert jobs.remove("a")
        with pytest.raises(JobLostError, match="was cancelled"):
            lease.renew()
    assert not jobs.remove("a")


def test_an_interrupted_prover_leaves_its_place(jobs):
    with pytest.raises(KeyboardInterrupt), jobs.turn("a"):
        raise KeyboardInterrupt
    assert jobs.jobs() == []


@pytest.mark.parametrize("damage", [b"not a database at all, but long enough to be looked at", b""])
def test_a_damaged_file_is_put_aside(jobs, damage):
    with jobs.turn("a"):
        pass
    jobs.path.write_bytes(damage)
    with jobs.turn("a", give_up):
        assert len(jobs.jobs()) == 1


def test_a_file_of_another_form_is_put_aside(jobs):
    with sqlite3.connect(jobs.path) as connection:
        connection.execute("CREATE TABLE jobs (other TEXT)")
    connection.close()
    with jobs.turn("a", give_up):
        assert len(jobs.jobs()) == 1
    assert len(list(jobs.path.parent.glob("*.damaged-*"))) == 1


def test_threads_take_turns(tmp_path):
    jobs, running, most = ProofQueue(tmp_path / "queue.sqlite"), [], []

    def work(name):
        with jobs.turn(name):
            running.append(name)
            most.append(len(running))
            time.sleep(0.01)
            running.remove(name)

    threads = [threading.Thread(target=work, args=(f"s{index % 4}",)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8
    assert jobs.jobs() == []


HOLD = """
import sys
from pathlib import Path
from zk.ezkl.queue import ProofQueue
now = [float(sys.stdin.readline())]
with ProofQueue(Path(sys.argv[1]), lease_seconds=10, clock=lambda: now[0]).turn("a") as lease:
    print("proving", flush=True)
    for line in sys.stdin:
        now[0] = float(line)
        lease.queue.renew(lease.statement, lease.owner)
        print("renewed", flush=True)
"""


def test_the_job_of_a_killed_process_is_taken_up(jobs, clock):
    """The process is told the time, so that it makes no difference how long anything takes."""
    command, pipe = [sys.executable, "-c", HOLD, str(jobs.path)], subprocess.PIPE

    def tell_the_time():
        process.stdin.write(f"{clock.now}\n")
        process.stdin.flush()
        return process.stdout.readline()

    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert tell_the_time() == "proving\n"
        for _ in range(3):
            clock.now += 9
            assert tell_the_time() == "renewed\n"
            assert not begin(jobs, "a")
        process.send_signal(signal.SIGKILL)
        process.wait()
        waited = []

        def wait():
            waited.append(clock.now)
            clock.now += 4

        with jobs.turn("a", wait):
            assert jobs.jobs()[0].attempts == 2
        assert len(waited) == 3


# ------------------------------------------------------------------------------------------------ with real proofs


@pytest.fixture
def own_queue(tmp_path, monkeypatch):
    """A queue and a cache of proofs of this test alone."""
    jobs = ProofQueue(tmp_path / "queue.sqlite")
    monkeypatch.setattr(ProofQueue, "of_user", lambda: jobs)
    monkeypatch.setattr(prover, "cache_folder", lambda *names: tmp_path.joinpath(*names))
    return jobs


def _prove(statement, **options):
    return zk.prove(
        statement.circuit,
        statement.inputs,
        statement.salt,
        statement.parameters,
        statement.srs,
        **options,
        context=CONTEXT,
    )


def test_two_provers_of_a_statement_make_one_proof(statement, own_queue, monkeypatch):
    made, whole = [], prover.prove_tensors

    def count(*arguments):
        made.append(1)
        return whole(*arguments)

    monkeypatch.setattr(prover, "prove_tensors", count)
    proofs = []
    threads = [threading.Thread(target=lambda: proofs.append(_prove(statement))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len({proof.data for proof in proofs}) == 1
    assert own_queue.jobs() == []


def test_cancelling_a_job_stops_its_proof(statement, own_queue):
    own_queue.lease_seconds = 0.1

    def cancel(seconds):
        if seconds > 0:
            for job in own_queue.jobs():
                own_queue.remove(job.statement)

    with pytest.raises(JobLostError):
        _prove(statement, on_progress=cancel)


def test_a_proof_that_fails_is_kept_as_such(statement, own_queue):
    with pytest.raises(WorkerError):
        _prove(statement, limits=zk.WorkerLimits(seconds=0.01))
    assert [job.state for job in own_queue.jobs()] == ["failed"]
    assert _prove(statement).outputs == statement.proof.outputs
    assert own_queue.jobs() == []


def test_defaults_leave_a_busy_machine_time_to_renew():
    assert queue.LEASE_SECONDS > 5
