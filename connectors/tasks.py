"""Celery tasks, all thin: arguments are ids, the work is elsewhere, every one may run twice or not at all.

What travels through the broker are hints. When one is lost the dispatcher gives it again within a second.
"""

import contextlib
import logging
import threading
import time
from datetime import timedelta
from typing import Any

from celery import shared_task
from celery.signals import worker_process_init, worker_shutting_down
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from connectors import arrivals, health, hints, ledger, operations, planning, polling, work
from connectors.contract import Role
from connectors.failures import Category, Failure, unexpected
from connectors.models import Connection, Credential, Exchange, InboxEntry
from hub import commits

log = logging.getLogger(__name__)

# Recorded calls hold redacted personal data: kept for as long as somebody may ask what happened.
EXCHANGE_DAYS = 60
# Rows deleted in one statement: never years at once.
PRUNE_BATCH = 2000
# Documents that were stored but whose reader died are read again after this.
UNREAD_AFTER = timedelta(seconds=15)
# A hint that has waited this long came to a worker that was needed elsewhere.
LATE_SECONDS = 1.0
# So long one hint's worker may look after others before it goes on with its own.
TURN_SECONDS = 1.0

_stop = threading.Event()
stopping = _stop.is_set


def begin(**_signal: Any) -> None:
    _stop.clear()


def end(**_signal: Any) -> None:
    """A graceful stop: nothing new is begun, and leases are given back instead of being left to run out."""
    _stop.set()


worker_process_init.connect(begin, weak=False)
worker_shutting_down.connect(end, weak=False)


@shared_task(name="connectors.drain")
@commits.repeatable()
def drain(connection_id: int, given_at: float = 0.0, **_later: Any) -> None:
    late = time.time() - given_at > LATE_SECONDS
    connection = Connection.objects.select_related("seller", "channel", "credential").filter(pk=connection_id).first()
    if connection is None:
        return
    more = _slice(connection)
    # Who waits is asked of the ledger: in the broker's line the hints of a big seller may stand in front.
    ends, seen = time.monotonic() + TURN_SECONDS, {connection_id}
    while more and time.monotonic() < ends and not stopping() and (other := ledger.neglected(seen)):
        # Once each: what is due there may be of a flow that rests.
        seen.add(other.pk)
        if _slice(other):
            hints.give([other.pk])
    # To the back of the line. Where hints wait too long there are more of them than workers: some end here.
    if more and not stopping() and not (late and ledger.busy(connection_id)):
        hints.give([connection_id])


def _slice(connection: Connection) -> bool:
    return work.drain(connection, operations.OPERATIONS, operations.refused, stopping)


@shared_task(name="connectors.poll")
@commits.repeatable()
def poll(connection_id: int, **_later: Any) -> None:
    polling.poll(connection_id, stopping)


@shared_task(name="connectors.dispatch")
def dispatch(**_later: Any) -> None:
    """Every second: connections with due jobs, and those whose poll is due."""
    now = timezone.now()
    hints.give(ledger.due(now))
    due = Connection.objects.filter(state=Connection.State.ACTIVE, next_poll_at__lte=now)
    free = due.exclude(poll_lease_until__gt=now).exclude(rest_until__gt=now)
    polls = [connection.pk for connection in free if "poll" not in connection.paused_flows]
    hints.send("connectors.poll", polls, expires=30)


@shared_task(name="connectors.recover")
def recover(**_later: Any) -> None:
    """Every five seconds: jobs of dead workers, documents of dead readers, orders that nobody planned for."""
    ledger.recover()
    unread = InboxEntry.objects.filter(
        state=InboxEntry.State.WAITING, received_at__lt=timezone.now() - UNREAD_AFTER
    ).select_related("connection__channel", "connection__seller")[:200]
    for entry in unread:
        arrivals.read_entries(entry.connection, [entry])
    planning.sweep()


@shared_task(name="connectors.watch")
def watch(**_later: Any) -> None:
    for connection in Connection.objects.filter(role=Role.CHANNEL, state=Connection.State.ACTIVE):
        try:
            planning.watch(connection)
        except Failure as failure:
            health.went_wrong(connection, failure)


@shared_task(name="connectors.refresh_tokens")
def refresh_tokens(**_later: Any) -> None:
    """Before they die, whether or not anything happens on the connection."""
    soon = timezone.now() + timedelta(minutes=10)
    for row in Credential.objects.filter(expires_at__lt=soon, connection__state=Connection.State.ACTIVE).select_related(
        "connection__seller"
    ):
        _renew(row.connection)


def _renew(connection: Connection) -> None:
    """One connection that is in trouble must not cost the others their tokens."""
    try:
        with contextlib.closing(work.Desk(connection)) as desk:
            desk.tokens.current()
    except Failure as failure:
        health.went_wrong(connection, failure)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        log.exception("token of connection %s", connection.pk)
        health.went_wrong(connection, unexpected(error, Category.TRANSIENT))


@shared_task(name="connectors.prune")
def prune(**_later: Any) -> None:
    old = Exchange.objects.filter(started_at__lt=timezone.now() - timedelta(days=EXCHANGE_DAYS))
    while ids := list(old.values_list("pk", flat=True)[:PRUNE_BATCH]):
        Exchange.objects.filter(pk__in=ids).delete()
