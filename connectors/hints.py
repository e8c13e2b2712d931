"""Hints through the broker: this connection has something due. The database knows it anyway, and the dispatcher finds
it within a second; a hint makes it a matter of milliseconds. Giving one never fails.
"""

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from celery import current_app
from django.db import transaction

log = logging.getLogger(__name__)

# A hint that is this old says nothing that the dispatcher has not seen since.
STALE_SECONDS = 60
# A burst of pushes becomes one hint; nobody notices a hundredth of a second.
PAUSE_SECONDS = 0.01

_local = threading.local()


def give(connection_ids: Iterable[int]) -> None:
    """After the commit of the change that made the work due."""
    ids = sorted(set(connection_ids))
    if ids:
        transaction.on_commit(lambda: _give(ids))


def _give(ids: Iterable[int]) -> None:
    gathered: set[int] | None = getattr(_local, "gathered", None)
    if gathered is None:
        send("connectors.drain", ids, STALE_SECONDS)
    else:
        gathered.update(ids)


@contextmanager
def gathered(own: int) -> Iterator[None]:
    """What this thread gives inside the block goes out at its end, each hint once; none for the connection that it is
    working off anyway. A hint costs a worker a look into the ledger, found or not."""
    with _gathering() as ids:
        yield
    send("connectors.drain", sorted(ids - {own}), STALE_SECONDS)


@contextmanager
def behind() -> Iterator[None]:
    """What this thread gives inside the block goes out behind its back: somebody waits for its answer."""
    with _gathering() as ids:
        yield
    if ids:
        _courier.take(ids)


@contextmanager
def _gathering() -> Iterator[set[int]]:
    ids: set[int] = set()
    _local.gathered = ids
    try:
        yield ids
    finally:
        _local.gathered = None


class _Courier:
    """A thread that sends hints; those given while it is busy or pauses go out once."""

    def __init__(self) -> None:
        self._ids: set[int] = set()
        self._given = threading.Condition()
        self._thread: threading.Thread | None = None

    def take(self, ids: set[int]) -> None:
        with self._given:
            # Checked each time: the thread does not survive a fork.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="hints", daemon=True)
                self._thread.start()
            self._ids |= ids
            self._given.notify()

    def _run(self) -> None:
        while True:
            with self._given:
                self._given.wait_for(lambda: self._ids)
                ids, self._ids = sorted(self._ids), set()
            send("connectors.drain", ids, STALE_SECONDS)
            time.sleep(PAUSE_SECONDS)


_courier = _Courier()


def send(task: str, connection_ids: Iterable[int], expires: int) -> None:
    try:
        for connection_id in connection_ids:
            current_app.send_task(
                task, (connection_id,), {"given_at": time.time()}, expires=expires, ignore_result=True
            )
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the broker, the work is in the database
        log.warning("the broker is away (%s); the dispatcher will find the work", type(error).__name__)
