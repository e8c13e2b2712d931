"""The whole hub in one process: workers and clock as threads, on an in-process broker."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from celery.beat import Scheduler

from connectors import tasks
from hub.celery import app

WORKER_THREADS = 4


@contextmanager
def workers(threads: int = WORKER_THREADS) -> Iterator[None]:
    """Celery's worker in a thread pool, and its beat, until the block ends. Leases are given back at the end."""
    tasks.begin()
    worker = app.WorkController(
        app=app,
        pool_cls="threads",
        concurrency=threads,
        loglevel="WARNING",
        without_heartbeat=True,
        without_mingle=True,
        without_gossip=True,
    )
    running = threading.Thread(target=worker.start, name="worker", daemon=True)
    running.start()
    stopped = threading.Event()
    clock = threading.Thread(target=_tick, args=(stopped,), name="clock", daemon=True)
    clock.start()
    try:
        yield
    finally:
        stopped.set()
        tasks.end()
        worker.stop()
        running.join(timeout=15)
        clock.join(timeout=5)


def _tick(stopped: threading.Event) -> None:
    """Beat's own scheduler: it sends what is due and says how long nothing else will be."""
    scheduler = Scheduler(app=app, max_interval=1)
    while not stopped.is_set():
        stopped.wait(min(scheduler.tick(), 1.0))
