"""A worker ends with its service, whenever that ends."""

import multiprocessing
import os
from pathlib import Path

from cryptography.fernet import Fernet

from trader.jobs.worker import work_for


def test_a_worker_whose_service_ended_while_it_started_ends(tmp_path: Path) -> None:
    """Its parent is another process than the one that it is to work for."""
    arguments = (os.getpid() + 1, f"sqlite:///{tmp_path / 'jobs.sqlite'}", Fernet.generate_key())
    worker = multiprocessing.get_context("spawn").Process(target=work_for, args=arguments)
    worker.start()
    worker.join(timeout=120)
    assert worker.exitcode == 1
