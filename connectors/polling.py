"""Asks a connection what is new. The due-queue is the connection's own row: next poll, cursor, lease."""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from connectors import arrivals, health, ledger
from connectors.contract import Page, Service
from connectors.failures import Category, Failure, LeaseLost, unexpected
from connectors.models import Connection
from connectors.work import Desk

log = logging.getLogger(__name__)

# A poller that died is replaced after this; a page takes far less.
LEASE = timedelta(seconds=45)
# Then the rest waits for the next turn, at once: other connections poll too.
SLICE_SECONDS = 10.0
# A connection that sells and does not push is asked this many times as often.
BUSY = 3
# So long after a push the next one is waited for.
PUSHES = timedelta(minutes=10)


def claim(connection_id: int) -> Connection | None:
    """The connection, if it is due and nobody else polls it: decided by one conditional update."""
    now = timezone.now()
    free = Q(poll_lease_until=None) | Q(poll_lease_until__lt=now)
    taken = Connection.objects.filter(
        free, pk=connection_id, state=Connection.State.ACTIVE, next_poll_at__lte=now
    ).update(poll_lease_until=now + LEASE)
    if not taken:
        return None
    return Connection.objects.select_related("channel", "seller", "credential").get(pk=connection_id)


def poll(connection_id: int, stopping: Callable[[], bool]) -> int:
    """Reads page after page until nothing is left or the slice is over. Returns how many documents were new.

    The cursor is kept after a page is stored, never before: a death in between repeats a page, and loses none.
    """
    connection = claim(connection_id)
    if connection is None:
        return 0
    desk: Desk | None = None
    found = new = 0
    pause = LEASE
    outcome: dict[str, Any] = {}
    try:
        desk = Desk(connection)
        pause = _pause(connection, desk.service)
        more, ends = True, time.monotonic() + SLICE_SECONDS
        while more and not stopping() and time.monotonic() < ends:
            page = _page(desk)
            new += arrivals.arrived(connection, page.changes, "poll")
            found, more = found + len(page.changes), page.more
            _advance(connection, page)
        outcome = _went_well(connection, found, new, more, _pause(connection, desk.service, busy=bool(new)))
    except LeaseLost:
        log.warning("lost the poll of connection %s; another worker has it", connection.pk)
        return new
    except Failure as failure:
        outcome = _went_wrong(connection, desk, failure, pause)
    except Exception as error:  # noqa: BLE001 - a poll that dies silently is the worst failure of all
        log.exception("poll of connection %s failed", connection.pk)
        outcome = _went_wrong(connection, desk, unexpected(error), pause)
    finally:
        if desk is not None:
            desk.close()
        _held(connection).update(poll_lease_until=None, **outcome)
    return new


def _held(connection: Connection) -> QuerySet[Connection]:
    """The connection's row as long as this worker polls it: nobody else has its lease."""
    return Connection.objects.filter(pk=connection.pk, poll_lease_until=connection.poll_lease_until)


def _advance(connection: Connection, page: Page) -> None:
    """Who was too slow must not set the cursor of the next one back."""
    until = timezone.now() + LEASE
    if not _held(connection).update(cursor=page.cursor, poll_lease_until=until):
        raise LeaseLost
    connection.cursor, connection.poll_lease_until = page.cursor, until


def _page(desk: Desk) -> Page:
    desk.purse.begun = False
    page: Page = desk.adapter.changes(desk.connection.cursor)
    desk.save_exchanges()
    return page


def _pause(connection: Connection, service: Service, *, busy: bool = False) -> timedelta:
    """Until the next poll: what the seller chose, else the service's pause. `busy`: something came; if it came without
    being pushed, more is looked for sooner."""
    if chosen := connection.settings.get("poll_seconds"):
        return timedelta(seconds=float(chosen))
    pushed = connection.last_push_at is not None and timezone.now() - connection.last_push_at < PUSHES
    return timedelta(seconds=service.poll_seconds / (BUSY if busy and not pushed else 1))


def _went_well(connection: Connection, found: int, new: int, more: bool, pause: timedelta) -> dict[str, Any]:
    health.went_well(connection)
    now = timezone.now()
    return {
        "next_poll_at": now if more else now + pause,
        "poll_failures": 0,
        "last_poll_at": now,
        "last_poll_ok_at": now,
        "last_poll_found": found,
        "last_poll_new": new,
        "last_error": "",
    }


def _went_wrong(connection: Connection, desk: Desk | None, failure: Failure, pause: timedelta) -> dict[str, Any]:
    if desk is not None:
        desk.went_wrong(failure)
    now = timezone.now()
    wait = min(ledger.wait(connection.poll_failures + 1), max(pause, ledger.FIRST_WAIT))
    throttled = failure.category is Category.RATE_LIMITED
    return {
        "next_poll_at": max(failure.retry_at or now, now + wait),
        "poll_failures": connection.poll_failures + (not throttled),
        "last_poll_at": now,
        "last_error": "" if throttled else str(failure)[:500],
    }
