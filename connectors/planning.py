"""Which work a change calls for. Called inside the transaction that makes the change."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet
from django.utils import timezone

from connectors import ledger
from connectors.contract import Capability, Change, Role
from connectors.ledger import Step
from connectors.models import Connection, InboxEntry, Job, Link
from connectors.registry import service
from orders.ingest import Ingested
from orders.models import Invoice, LineEvent, Order, Shipment
from orders.vocabulary import LineChange, Logistics, OrderStatus, Source

# A backfill must not starve today's orders; a person's press of a button goes first.
BACKFILL_PRIORITY = -10
URGENT_PRIORITY = 50
# A channel's news goes before what it is told: it may be a new sale, which nobody waits for longer than for its export,
# or a cancellation. Only what is late within hours goes first (`export_priority`).
NEWS_PRIORITY = 45
EXPORTABLE = (OrderStatus.APPROVED, OrderStatus.INVOICED, OrderStatus.SHIPPED, OrderStatus.DELIVERED)


def ask_fetches(
    connection: Connection, entries: Iterable[InboxEntry], changes: Iterable[Change], priority: int | None = None
) -> None:
    """One job per announced document; the newest announcement of a document is the one that counts."""
    newest = {entry.external_id: entry for entry in entries}
    patience = {change.external_id: timedelta(seconds=change.patience) for change in changes if change.patience}
    now = timezone.now()
    steps = [fetch_step(connection, key, priority, {"entry": entry.pk}) for key, entry in newest.items()]
    ledger.ask([replace(step, due_at=now + patience[step.key]) if step.key in patience else step for step in steps])


def fetch_step(
    connection: Connection, external_id: str, priority: int | None = None, given: dict[str, Any] | None = None
) -> Step:
    """Reading what was announced, by default at the usual priority of what the connection announces."""
    if priority is None:
        priority = NEWS_PRIORITY if connection.role == Role.CHANNEL else 0
    return Step(connection.pk, fetching(connection), external_id, priority=priority, input=given or {})


def ask_again(connection: Connection, changes: Sequence[Change], priority: int | None = None) -> None:
    """What has changed without its entry showing it, unless it has been asked for since."""
    moments = {change.external_id: change.changed_by for change in changes if change.changed_by}
    if not moments:
        return
    operation = fetching(connection)
    asked = Job.objects.filter(connection=connection, operation=operation, key__in=moments)
    for key, asked_at in asked.values_list("key", "asked_at"):
        if asked_at >= moments[key]:
            del moments[key]
    ledger.ask([fetch_step(connection, key, priority) for key in moments])


def fetching(connection: Connection) -> str:
    """The operation that reads a document of this connection."""
    return "fetch" if connection.role == Role.CHANNEL else "read_erp"


def erp_of(channel_connection: Connection) -> Connection | None:
    """The ERP that a channel's orders go to: the one chosen in its settings (`erp`), else the seller's first. None as
    long as it was never signed in to: orders wait for it without a job, and `sweep` finds them then."""
    erps = Connection.objects.filter(seller_id=channel_connection.seller_id, role=Role.ERP)
    ready = erps.exclude(state=Connection.State.NEW).order_by("pk")
    chosen = str(channel_connection.settings.get("erp") or "")
    return ready.filter(pk=int(chosen)).first() if chosen.isdecimal() else ready.first()


def may_export(order: Order) -> bool:
    """Paid, not held, not in the ERP yet."""
    return order.exported_at is None and not order.held and order.status in EXPORTABLE


def being_cancelled(order: Order) -> bool:
    """Whether its channel has been asked to cancel it and has not decided yet."""
    at_work = (Job.State.READY, Job.State.RUNNING, Job.State.UNKNOWN)
    return Job.objects.filter(order=order, operation="cancel_sale", state__in=at_work).exists()


def after_ingest(connection: Connection, results: Sequence[Ingested]) -> None:
    changed = [result for result in results if result.changed]
    if not changed:
        return
    erp = erp_of(connection)
    steps = []
    if erp is not None:
        steps += [export_step(erp, result.order) for result in changed if may_export(result.order)]
    known_orders = [result.order for result in changed if not result.created]
    steps += cancel_steps(known_orders) + change_steps(known_orders)
    ledger.ask(steps)
    settle_moot(known_orders)
    if known_orders:
        # What waited for the channel may go now that the channel has moved.
        Job.objects.filter(
            connection=connection, order__in=known_orders, state=Job.State.READY, operation__in=TELLING
        ).update(due_at=timezone.now())


TELLING = ("send_invoice", "send_dispatch", "send_delivery")


def export_step(erp: Connection, order: Order) -> Step:
    return Step(erp.pk, "export", f"order:{order.pk}", order.pk, priority=export_priority(order))


def export_priority(order: Order) -> int:
    """Nearest deadline first, and all before what only reads: 10 (no deadline, or a week away) to 49 (due)."""
    if order.ship_by is None:
        return 10
    hours = (order.ship_by - timezone.now()).total_seconds() / 3600
    return int(max(10, min(49, 49 - hours / 4)))


def cancel_steps(orders: Sequence[Order]) -> list[Step]:
    """In whichever ERP the order is: that may be another one than orders go to today."""
    cancelled = [order.pk for order in orders if order.status == OrderStatus.CANCELLED and order.exported_at]
    if not cancelled:
        return []
    links = Link.objects.filter(order__in=cancelled, cancelled=False)
    return [Step(link.connection_id, "cancel_erp", f"order:{link.order_id}", link.order_id, 45) for link in links]


def settle_moot(orders: Sequence[Order]) -> None:
    """What a person was asked to mend for the ERP or at the channel needs nobody any more: the sale is cancelled. What
    may have been written there is still looked up."""
    cancelled = [order.pk for order in orders if order.status == OrderStatus.CANCELLED]
    if cancelled:
        Job.objects.filter(order__in=cancelled, operation__in=MENDED, state=Job.State.REFUSED, uncertain=False).update(
            state=Job.State.DONE, finished_at=timezone.now()
        )


MENDED = ("export", "change_erp", "cancel_sale")


def change_steps(orders: Sequence[Order], since: datetime | None = None) -> list[Step]:
    """Lines cancelled after the order went to its ERP (or since a time): the ERP's order has too much."""
    exported = [order.pk for order in orders if order.exported_at and order.status != OrderStatus.CANCELLED]
    if not exported:
        return []
    later = LineEvent.objects.filter(
        item__order__in=exported, change=LineChange.CANCELLED, created_at__gt=since or F("item__order__exported_at")
    )
    newest = dict(later.values_list("item__order").annotate(Max("pk")))
    links = Link.objects.filter(order__in=newest, cancelled=False)
    return [
        # By the event: what a person has handled says nothing of the next one.
        Step(link.connection_id, "change_erp", f"order:{link.order_id}:{newest[link.order_id]}", link.order_id, 45)
        for link in links
    ]


def tell_channel(orders: Sequence[Order], dispatch_at: datetime | None = None) -> None:
    """The channel hears of each invoice and parcel of these orders it has not answered yet. Safe to call at any time.

    `dispatch_at`: not before then of a parcel that is new, so that a person can take back what was a slip.
    """
    told = {order.pk: order for order in orders if order.logistics != Logistics.FULFILLED}
    if not told:
        return
    channels = {order.channel_id for order in told.values()}
    connections = {row.channel_id: row for row in Connection.objects.filter(channel__in=channels)}
    steps = []
    for capability, row in _unsaid(told):
        order = told[row.order_id]
        connection = connections.get(order.channel_id)
        if connection is not None and capability in service(connection.kind).capabilities:
            due_at = dispatch_at if capability is Capability.SEND_DISPATCH else None
            steps.append(_telling(connection, order, capability, row, due_at))
    if not steps:
        return
    asked = Job.objects.filter(order__in=told, operation__in=TELLING)
    have = set(asked.values_list("connection_id", "operation", "key"))
    ledger.ask([step for step in steps if (step.connection_id, step.operation, step.key) not in have])


def _unsaid(orders: Iterable[int]) -> Iterator[tuple[Capability, Invoice | Shipment]]:
    """What the channels have not answered yet, with what tells it to them."""
    for invoice in Invoice.objects.filter(order__in=orders, answer="", cancelled=False, problem="").only("order_id"):
        yield Capability.SEND_INVOICE, invoice
    for parcel in Shipment.objects.filter(order__in=orders, source__in=(Source.ERP, Source.PERSON)):
        if not parcel.answer:
            yield Capability.SEND_DISPATCH, parcel
        elif parcel.delivered_at:
            yield Capability.SEND_DELIVERY, parcel


def _telling(
    connection: Connection, order: Order, capability: Capability, row: Invoice | Shipment, due_at: datetime | None
) -> Step:
    key = f"{'invoice' if isinstance(row, Invoice) else 'shipment'}:{row.pk}"
    return Step(connection.pk, capability.value, key, order.pk, export_priority(order), due_at=due_at)


def watch(connection: Connection) -> int:
    """Open sales of a channel whose list of changes may miss some are read again, each at its interval."""
    seconds = service(connection.kind).watch_seconds
    if seconds is None:
        return 0
    since = timezone.now() - timedelta(seconds=seconds)
    # One that is under way, or refused and with its person, must not stand in front of the others.
    looked_at = Job.objects.filter(connection=connection, operation="fetch", key=OuterRef("external_id")).filter(
        ~Q(state=Job.State.DONE) | Q(finished_at__gte=since)
    )
    quiet = Order.objects.filter(channel_id=connection.channel_id, status__in=MOVING, changed_at__lt=since).exclude(
        Exists(looked_at)
    )
    ids = quiet.values_list("external_id", flat=True)[:500]
    ledger.ask([Step(connection.pk, "fetch", external_id, priority=BACKFILL_PRIORITY) for external_id in ids])
    return len(ids)


MOVING = (OrderStatus.PENDING, OrderStatus.APPROVED, OrderStatus.INVOICED, OrderStatus.SHIPPED)


def sweep() -> int:
    """Orders that should be on their way to the ERP and have no job: released holds, an ERP connected later."""
    orders = Order.objects.filter(exported_at=None, held=False, status__in=EXPORTABLE, approved_at__isnull=False)
    steps: list[Step] = []
    # By channel: one whose seller has no ERP must not stand in front of those whose seller has.
    for channel in Connection.objects.filter(pk__in=orders.values("channel__connection").distinct()):
        if (erp := erp_of(channel)) is not None:
            waiting = orders.filter(~Exists(_planned(erp)), channel=channel.channel_id)
            steps += [export_step(erp, order) for order in waiting[:SWEPT]]
    ledger.ask(steps)
    return len(steps)


def _planned(erp: Connection) -> QuerySet[Job]:
    """Exports that stand in the way of another: all but those that ended, or have not begun at an ERP that the seller
    has left."""
    left = Q(state=Job.State.READY, uncertain=False) & ~Q(connection=erp)
    exports = Job.objects.filter(order=OuterRef("pk"), operation="export")
    return exports.exclude(Q(state=Job.State.DONE) | left)


# Of one channel in one turn; the next comes in seconds.
SWEPT = 500
