"""Hints through the broker: this connection has something due. The database knows it anyway, and the dispatcher finds
it within a second; a hint makes it a matter of milliseconds. Giving one never fails.
"""

import logging
from collections.abc import Iterable

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)

# A hint that is this old says nothing that the dispatcher has not seen since.
STALE_SECONDS = 60


def give(connection_ids: Iterable[int]) -> None:
    """After the commit of the change that made the work due."""
    ids = sorted(set(connection_ids))
    if ids:
        transaction.on_commit(lambda: send("connectors.drain", ids, STALE_SECONDS))


def send(task: str, connection_ids: Iterable[int], expires: int) -> None:
    try:
        for connection_id in connection_ids:
            current_app.send_task(task, (connection_id,), expires=expires, ignore_result=True)
    except (OperationalError, OSError):
        log.warning("the broker is away; the dispatcher will find the work")
