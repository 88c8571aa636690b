"""Evaluations and proofs in worker processes of this machine (`Workers`), or on a Dask cluster (`DaskEngine`).

`queue` says who does what, `tasks` does it, `worker` is the loop of a process, `engines` is what a seller asks.
"""

from trader.jobs.engines import QueueEngine
from trader.jobs.queue import JobQueue
from trader.jobs.workers import Workers

__all__ = ["JobQueue", "QueueEngine", "Workers"]
