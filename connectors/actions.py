"""What people do: connect, pause, retry, close, read a period again. Each says who did it on the order's timeline."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from connectors import arrivals, hints, ledger, planning, registry, tokens, work
from connectors.contract import Capability, Role, Service
from connectors.failures import Failure, Refusal
from connectors.ledger import Step
from connectors.models import Backfill, Connection, InboxEntry, Job
from hub.models import Seller
from orders import doors
from orders.corrections import PEOPLE
from orders.documents import InvoiceDocument
from orders.models import Answer, Invoice, Order, SalesChannel, Shipment
from orders.vocabulary import Hold, Source


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
    """New secrets; the connection works again. Given ones join those that are there.

    `consented`: they come from the service's own page. Raises `Refusal` where they are of an account that this
    connection cannot be for.
    """
    with transaction.atomic():
        if consented:
            _take_account(connection, str(credentials.get(registry.service(connection.kind).account_key, "")))
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


def _take_account(connection: Connection, account: str) -> None:
    """Whose account was signed in to. Another's sales would mix with those that are here, and an account that is here
    twice would have each sale twice in the ERP."""
    if not account:
        return
    if connection.external_account not in ("", account):
        raise Refusal(
            f"You signed in to account {account}, but this connection is for {connection.external_account}. Sign out "
            "at the service and in again with that one, or add a new connection.",
            code="other_account",
        )
    same = Connection.objects.filter(seller=connection.seller_id, kind=connection.kind, external_account=account)
    if twin := same.exclude(pk=connection.pk).first():
        raise Refusal(f"Account {account} is connected already: {twin.name}.", code="account_twice")
    Connection.objects.filter(pk=connection.pk).update(external_account=account)


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
        told = [(job.order, {"operation": job.operation}) for job in rows if job.order is not None]
        doors.append_all(told, "retried", Source.PERSON, actor)
        for uncertain, state in ((True, Job.State.UNKNOWN), (False, Job.State.READY)):
            ids = [job.pk for job in rows if job.uncertain is uncertain]
            # Those that a worker has begun or ended meanwhile are left alone.
            Job.objects.filter(pk__in=ids, state__in=RETRIABLE).update(
                state=state, due_at=timezone.now(), attempts=0, priority=planning.URGENT_PRIORITY
            )
    hints.give(job.connection_id for job in rows)
    return len(rows)


def close(job: Job, actor: str, reason: str, reference: str = "") -> None:
    """Raises `Refusal` where it runs at this moment, or has ended."""
    if not close_all(Job.objects.filter(pk=job.pk), actor, reason, reference):
        raise Refusal("It is at work at this moment, or over already: look again.")


@transaction.atomic
def close_all(jobs: QuerySet[Job], actor: str, reason: str, reference: str = "") -> int:
    """Handled by hand: nothing more is tried. One that runs at this moment, or has ended, is left alone.

    `reference`: the number of what was made by hand; the order is found by it.
    """
    # The orders before their jobs, as whoever takes a document in.
    list(Order.objects.filter(pk__in=jobs.values("order")).order_by("pk").select_for_update().values_list("pk"))
    free = jobs.filter(state__in=RETRIABLE).order_by("pk").select_for_update(of=("self",)).select_related("order")
    rows = [job for job in free if job.state != Job.State.CLOSED]
    Job.objects.filter(pk__in=[job.pk for job in rows]).update(
        state=Job.State.CLOSED, finished_at=timezone.now(), error=reason[:2000]
    )
    data = {"reason": reason, **({"reference": reference} if reference else {})}
    told = [(job.order, {"operation": job.operation, **data}) for job in rows if job.order is not None]
    doors.append_all(told, "handled_with_reference" if reference else "handled_by_hand", Source.PERSON, actor)
    if reference:
        doors.refer({order.pk for order, _data in told}, reference)
    return len(rows)


# --- Corrected and sent again, in one step ---------------------------------------------------------------------------


def _locked(order: Order, jobs: QuerySet[Job]) -> QuerySet[Job]:
    """These jobs of the order, which nobody can begin meanwhile; the order is locked, too. Raises `Refusal` where one
    is at work, or a person has said that nothing more is to be sent."""
    Order.objects.select_for_update().get(pk=order.pk)
    states = {job.state for job in jobs.filter(order=order).order_by("pk").select_for_update(of=("self",))}
    if Job.State.RUNNING in states:
        raise Refusal("It is being sent at this moment. Look again in a minute.")
    if Job.State.CLOSED in states:
        raise Refusal("Somebody has handled this by hand: nothing more is sent. Try the step again to change that.")
    return jobs.filter(order=order)


@transaction.atomic
def correct_sale(order: Order, changes: Mapping[str, Mapping[str, str]], skus: Mapping[str, str], actor: str) -> None:
    """The buyer, the addresses (`doors.correct`) and what the ERP calls the SKUs, before the order is there."""
    exports = _locked(order, Job.objects.filter(operation="export"))
    order.refresh_from_db()
    if order.exported_at is not None:
        raise Refusal("The ERP has this order already: correct it there.")
    doors.correct(order, changes, actor)
    for sku, erp_sku in skus.items():
        doors.correct_sku(Order.objects.filter(pk=order.pk), sku, erp_sku, actor)
    if not retry_all(exports, actor):
        _go_on(order)


@transaction.atomic
def correct_dispatch(shipment: Shipment, carrier: str, tracking_code: str, actor: str) -> None:
    """What the channel refused of a parcel. It is told again, also where nothing differs."""
    telling = _locked(shipment.order, Job.objects.filter(operation__in=planning.TELLING, key=f"shipment:{shipment.pk}"))
    if shipment.answer in (Answer.ACCEPTED, Answer.NOT_NEEDED):
        raise Refusal("The channel has accepted this parcel already.")
    doors.correct_dispatch(shipment, carrier, tracking_code, actor)
    retry_all(telling, actor)


@transaction.atomic
def correct_invoice(order: Order, document: InvoiceDocument, wrong: Invoice | None, actor: str) -> None:
    """The right NF-e, told to the channel; of a `wrong` one nothing is tried any more."""
    telling = _locked(order, Job.objects.filter(operation="send_invoice").exclude(state=Job.State.CLOSED))
    try:
        right = doors.correct_invoice(order, document, actor, wrong)
    except doors.InvoiceRefused as failure:
        raise Refusal(failure.message) from None
    if wrong is not None and wrong.pk != right.pk:
        close_all(telling.filter(key=f"invoice:{wrong.pk}"), actor, f"Replaced by NF-e {right.short}.")
    retry_all(telling.filter(key=f"invoice:{right.pk}"), actor)
    planning.tell_channel([order])


@transaction.atomic
def restore(order: Order, part: str, name: str, actor: str) -> None:
    """Takes a correction back; see `orders.corrections`. Raises `Refusal` where somebody has been told of it."""
    order.refresh_from_db()
    was = order.corrections[f"{part}.{name}"]["was"]
    if part in PEOPLE:
        _locked(order, Job.objects.filter(operation="export"))
        if order.exported_at is not None:
            raise Refusal("The ERP has this order already: correct it there.")
        doors.correct(order, {part: {name: was}}, actor)
        return
    shipment = order.shipments.select_related("order").get(pk=part.removeprefix("parcel:"))
    _locked(order, Job.objects.filter(operation__in=planning.TELLING, key=f"shipment:{shipment.pk}"))
    if shipment.answer in (Answer.ACCEPTED, Answer.NOT_NEEDED):
        raise Refusal("The channel has accepted this parcel already.")
    columns = {"carrier": shipment.carrier, "tracking_code": shipment.tracking_code, name: was}
    doors.correct_dispatch(shipment, columns["carrier"], columns["tracking_code"], actor)


def replay(entry: InboxEntry, actor: str) -> bool:
    """Reads a stored document again, with today's code and settings. True if it could be read."""
    arrivals.read_entries(entry.connection, [entry])
    entry.refresh_from_db()
    hints.give(Connection.objects.filter(seller=entry.connection.seller).values_list("pk", flat=True))
    return entry.state in (InboxEntry.State.READ, InboxEntry.State.IGNORED)


def close_entry(entry: InboxEntry, actor: str, reason: str, reference: str = "") -> None:
    close_entries(InboxEntry.objects.filter(pk=entry.pk), actor, reason, reference)


def close_entries(entries: QuerySet[InboxEntry], actor: str, reason: str, reference: str = "") -> int:
    """There may be no order that could keep the reference: it stands with the reason."""
    said = f"{reason} [{reference}]" if reference else reason
    return entries.update(state=InboxEntry.State.CLOSED, error=f"{said} ({actor})"[:2000], read_at=timezone.now())


def release(order: Order, holds: list[str], actor: str) -> None:
    """A person overrules reasons to wait; the order goes on its way at once. Raises `Refusal` while its channel decides
    whether it is cancelled."""
    if Hold.PERSON in holds and planning.being_cancelled(order):
        raise Refusal("The channel is being asked to cancel this sale: wait for its answer.")
    doors.release(order, holds, actor)
    order.refresh_from_db()
    _go_on(order)


def _go_on(order: Order) -> None:
    """Into the ERP, if nothing stands in the way any more."""
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
