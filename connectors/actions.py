"""What people do: connect, pause, retry, close, read a period again. Each says who did it on the order's timeline."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from connectors import arrivals, hints, ledger, planning, registry, tokens, work
from connectors.contract import Capability, Role, Service
from connectors.failures import Failure
from connectors.ledger import Step
from connectors.models import Backfill, Connection, InboxEntry, Job
from hub.models import Seller
from orders import doors
from orders.models import Order, SalesChannel
from orders.vocabulary import Source


@transaction.atomic
def connect(
    seller: Seller, kind: str, name: str, settings: Mapping[str, Any], credentials: Mapping[str, Any]
) -> Connection:
    """A new connection, active as soon as it has what it needs to sign in."""
    service = registry.service(kind)
    channel = None
    if service.role is Role.CHANNEL:
        working = {"zone": seller.time_zone}
        channel = SalesChannel.objects.create(seller=seller, kind=kind, name=name, calendar=working)
    connection = Connection.objects.create(
        seller=seller,
        kind=kind,
        role=service.role.value,
        name=name,
        channel=channel,
        settings=dict(settings),
        external_account=str(settings.get("external_account", "")),
        state=Connection.State.NEW,
    )
    if credentials and _signed_in(service, credentials):
        store_credentials(connection, credentials)
    elif credentials:
        # Its owner must still sign in at the service; until then nobody works on it.
        tokens.store(connection, credentials)
    return connection


def _signed_in(service: Service, credentials: Mapping[str, Any]) -> bool:
    if Capability.CONSENT not in service.capabilities:
        return True
    return bool(credentials.get("access_token") or credentials.get("refresh_token"))


def correct_credentials(connection: Connection, credentials: Mapping[str, Any]) -> None:
    """What a person corrected. One that somebody paused stays paused, one never signed in waits for that."""
    known = tokens.secrets_of(connection)
    whole = {**known, **credentials}
    if whole == known:
        return
    if connection.state != Connection.State.PAUSED and _signed_in(registry.service(connection.kind), whole):
        store_credentials(connection, credentials)
    else:
        tokens.store(connection, whole)


def store_credentials(connection: Connection, credentials: Mapping[str, Any], *, consented: bool = False) -> None:
    """New secrets; the connection works again. Given ones join those that are there."""
    with transaction.atomic():
        tokens.store(connection, {**tokens.secrets_of(connection), **credentials}, consented=consented)
        Connection.objects.filter(pk=connection.pk).update(
            state=Connection.State.ACTIVE,
            state_reason="",
            failures=0,
            rest_until=None,
            throttled_until=None,
            throttles=0,
            next_poll_at=timezone.now(),
        )
    connection.refresh_from_db()
    hints.give([connection.pk])


def check(connection: Connection) -> tuple[bool, str]:
    """A real call: (whether it works, the account's name or what went wrong)."""
    desk = work.Desk(connection)
    try:
        return True, str(desk.adapter.check())
    except Failure as failure:
        return False, str(failure)
    finally:
        desk.close()


RETRIABLE = (Job.State.REFUSED, Job.State.READY, Job.State.UNKNOWN, Job.State.CLOSED)


def retry(job: Job, actor: str) -> None:
    retry_all(Job.objects.filter(pk=job.pk), actor)


def retry_all(jobs: QuerySet[Job], actor: str) -> int:
    """A normal run, at once and first in line; what is uncertain is still looked up first. Safe to press twice."""
    chosen = jobs.filter(state__in=RETRIABLE)
    rows = list(chosen.select_related("order").only("uncertain", "operation", "connection", "order__external_id"))
    with transaction.atomic():
        for uncertain, state in ((True, Job.State.UNKNOWN), (False, Job.State.READY)):
            ids = [job.pk for job in rows if job.uncertain is uncertain]
            # Those that a worker has begun or ended meanwhile are left alone.
            Job.objects.filter(pk__in=ids, state__in=RETRIABLE).update(
                state=state, due_at=timezone.now(), attempts=0, priority=planning.URGENT_PRIORITY
            )
        told = [(job.order, {"operation": job.operation}) for job in rows if job.order is not None]
        doors.append_all(told, "retried", Source.PERSON, actor)
    hints.give(job.connection_id for job in rows)
    return len(rows)


def close(job: Job, actor: str, reason: str) -> None:
    close_all(Job.objects.filter(pk=job.pk), actor, reason)


@transaction.atomic
def close_all(jobs: QuerySet[Job], actor: str, reason: str) -> int:
    """Handled by hand: nothing more is tried. One that runs at this moment, or has ended, is left alone."""
    free = jobs.filter(state__in=RETRIABLE).order_by("pk").select_for_update(of=("self",)).select_related("order")
    rows = [job for job in free if job.state != Job.State.CLOSED]
    Job.objects.filter(pk__in=[job.pk for job in rows]).update(
        state=Job.State.CLOSED, finished_at=timezone.now(), error=reason[:2000]
    )
    told = [(job.order, {"operation": job.operation, "reason": reason}) for job in rows if job.order is not None]
    doors.append_all(told, "handled_by_hand", Source.PERSON, actor)
    return len(rows)


def replay(entry: InboxEntry, actor: str) -> bool:
    """Reads a stored document again, with today's code and settings. True if it could be read."""
    arrivals.read_entries(entry.connection, [entry])
    entry.refresh_from_db()
    hints.give(Connection.objects.filter(seller=entry.connection.seller).values_list("pk", flat=True))
    return entry.state in (InboxEntry.State.READ, InboxEntry.State.IGNORED)


def close_entry(entry: InboxEntry, actor: str, reason: str) -> None:
    InboxEntry.objects.filter(pk=entry.pk).update(
        state=InboxEntry.State.CLOSED, error=f"{reason} ({actor})"[:2000], read_at=timezone.now()
    )


def release(order: Order, holds: list[str], actor: str) -> None:
    """A person overrules reasons to wait; the order goes on its way at once."""
    doors.release(order, holds, actor)
    order.refresh_from_db()
    erp = planning.erp_of(order.channel.connection)
    if erp is not None and planning.may_export(order):
        ledger.ask([planning.export_step(erp, order)])
        hints.give([erp.pk])


def pause(connection: Connection, actor: str, flow: str = "") -> None:
    """The whole connection, or one flow of it ("poll", "export", "send_invoice", …)."""
    if flow:
        _set_flows(connection, {*connection.paused_flows, flow})
    else:
        Connection.objects.filter(pk=connection.pk).update(state=Connection.State.PAUSED, state_reason=actor)
    connection.refresh_from_db()


def resume(connection: Connection, actor: str, flow: str = "") -> None:
    if flow:
        _set_flows(connection, {*connection.paused_flows} - {flow})
    else:
        Connection.objects.filter(pk=connection.pk).update(
            state=Connection.State.ACTIVE,
            state_reason="",
            failures=0,
            rest_until=None,
            throttled_until=None,
            throttles=0,
            next_poll_at=timezone.now(),
        )
    connection.refresh_from_db()
    hints.give([connection.pk])


def _set_flows(connection: Connection, flows: set[str]) -> None:
    Connection.objects.filter(pk=connection.pk).update(paused_flows=sorted(flows))


def sync_now(connection: Connection) -> None:
    Connection.objects.filter(pk=connection.pk).update(next_poll_at=timezone.now(), rest_until=None)
    transaction.on_commit(lambda: hints.send("connectors.poll", [connection.pk], expires=30))
    hints.give([connection.pk])


def fetch_one(connection: Connection, external_id: str, actor: str) -> None:
    """This one document, now."""
    operation = "fetch" if connection.role == Role.CHANNEL else "read_erp"
    ledger.ask([Step(connection.pk, operation, external_id, priority=planning.URGENT_PRIORITY)])
    hints.give([connection.pk])


@transaction.atomic
def backfill(connection: Connection, since: datetime, until: datetime, actor: str) -> Backfill:
    row = Backfill.objects.create(connection=connection, since=since, until=until, asked_by=actor)
    step = Step(
        connection.pk,
        "backfill",
        f"backfill:{row.pk}",
        priority=planning.BACKFILL_PRIORITY,
        input={"backfill": row.pk},
    )
    ledger.ask([step])
    hints.give([connection.pk])
    return row
