"""Hints through the broker: this connection has something due. The database knows it anyway, and the dispatcher finds
it within a second; a hint makes it a matter of milliseconds. Giving one never fails.
"""

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)

# A hint that is this old says nothing that the dispatcher has not seen since.
STALE_SECONDS = 60

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
    _local.gathered = set()
    try:
        yield
    finally:
        ids, _local.gathered = _local.gathered, None
        send("connectors.drain", sorted(ids - {own}), STALE_SECONDS)


def send(task: str, connection_ids: Iterable[int], expires: int) -> None:
    try:
        for connection_id in connection_ids:
            current_app.send_task(task, (connection_id,), expires=expires, ignore_result=True)
    except (OperationalError, OSError):
        log.warning("the broker is away; the dispatcher will find the work")
