import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from trader.he import parallel
from trader.he.parallel import run_ahead


def test_results_come_in_order_and_few_are_made_before_they_are_asked_for():
    made = []

    def square(value):
        made.append(value)
        return value * value

    with run_ahead(square, range(10), 3) as squares:
        found = []
        for index in range(10):
            found.append(squares.take())
            assert len(made) <= index + 4
    assert found == [value * value for value in range(10)]


def test_errors_reach_the_one_who_asks():
    def fail(value):
        raise ValueError(f"no {value}")

    with run_ahead(fail, range(2), 2) as results, pytest.raises(ValueError, match="no 0"):
        results.take()


def test_what_nobody_asks_for_is_not_made(monkeypatch):
    started, go_on, made = threading.Event(), threading.Event(), []

    class Pool(ThreadPoolExecutor):
        """Lets the task that runs go on once the others are cancelled."""

        def shutdown(self, wait=True, *, cancel_futures=False):
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            go_on.set()
            super().shutdown(wait)

    monkeypatch.setattr(parallel, "ThreadPoolExecutor", Pool)

    def wait(value):
        started.set()
        go_on.wait(60)
        made.append(value)

    with run_ahead(wait, range(100), 50) as results:
        assert not started.wait(0.05)
        results.begin()
        assert started.wait(60)
    assert len(made) == 1
