"""Which work a change calls for. Called inside the transaction that makes the change."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from connectors import ledger
from connectors.contract import Capability, Role
from connectors.ledger import Step
from connectors.models import Connection, InboxEntry, Job
from connectors.registry import service
from orders.ingest import Ingested
from orders.models import Invoice, Order, Shipment
from orders.vocabulary import Logistics, OrderStatus, Source

# A backfill must not starve today's orders; a person's press of a button goes first.
BACKFILL_PRIORITY = -10
URGENT_PRIORITY = 50
EXPORTABLE = (OrderStatus.APPROVED, OrderStatus.INVOICED, OrderStatus.SHIPPED, OrderStatus.DELIVERED)


def ask_fetches(connection: Connection, entries: Iterable[InboxEntry], priority: int = 0) -> None:
    """One job per announced document; the newest announcement of a document is the one that counts."""
    operation = "fetch" if connection.role == Role.CHANNEL else "read_erp"
    newest = {entry.external_id: entry for entry in entries}
    ledger.ask(
        [
            Step(connection.pk, operation, external_id, priority=priority, input={"entry": entry.pk})
            for external_id, entry in newest.items()
        ]
    )


def erp_of(channel_connection: Connection) -> Connection | None:
    """The ERP that a channel's orders go to: the one chosen in its settings (`erp`), else the seller's first."""
    erps = Connection.objects.filter(seller_id=channel_connection.seller_id, role=Role.ERP).order_by("pk")
    chosen = channel_connection.settings.get("erp")
    return (erps.filter(pk=chosen).first() if chosen else None) or erps.first()


def may_export(order: Order) -> bool:
    """Paid, not held, not in the ERP yet."""
    return order.exported_at is None and not order.held and order.status in EXPORTABLE


def after_ingest(connection: Connection, results: Sequence[Ingested]) -> None:
    changed = [result for result in results if result.changed]
    if not changed:
        return
    erp = erp_of(connection)
    steps = []
    if erp is not None:
        steps += [export_step(erp, result.order) for result in changed if may_export(result.order)]
        steps += cancel_steps(erp, [result.order for result in changed if not result.created])
    ledger.ask(steps)
    known = [result.order.pk for result in changed if not result.created]
    if known:
        # What waited for the channel may go now that the channel has moved.
        Job.objects.filter(
            connection=connection, order_id__in=known, state=Job.State.READY, operation__in=TELLING
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


def cancel_steps(erp: Connection, orders: Sequence[Order]) -> list[Step]:
    cancelled = [order for order in orders if order.status == OrderStatus.CANCELLED and order.exported_at]
    return [Step(erp.pk, "cancel_erp", f"order:{order.pk}", order.pk, priority=45) for order in cancelled]


def tell_channel(order: Order) -> None:
    """The channel hears of each invoice and parcel it has not answered yet. Safe to call at any time."""
    connection = Connection.objects.filter(channel_id=order.channel_id).first()
    if connection is None or order.logistics == Logistics.FULFILLED:
        return
    invoices = Invoice.objects.filter(order=order, answer="", cancelled=False, problem="")
    parcels = Shipment.objects.filter(order=order, source=Source.ERP)
    told = parcels.filter(delivered_at__isnull=False).exclude(answer="")
    steps = [
        *_telling(connection, order, Capability.SEND_INVOICE, "invoice", invoices),
        *_telling(connection, order, Capability.SEND_DISPATCH, "shipment", parcels.filter(answer="")),
        *_telling(connection, order, Capability.SEND_DELIVERY, "shipment", told),
    ]
    have = set(
        Job.objects.filter(connection=connection, order=order, operation__in=TELLING).values_list("operation", "key")
    )
    ledger.ask([step for step in steps if (step.operation, step.key) not in have])


def _telling(
    connection: Connection, order: Order, capability: Capability, noun: str, rows: QuerySet[Any]
) -> list[Step]:
    if capability not in service(connection.kind).capabilities:
        return []
    priority = export_priority(order)
    return [Step(connection.pk, capability.value, f"{noun}:{row.pk}", order.pk, priority) for row in rows]


def watch(connection: Connection) -> int:
    """Open sales of a channel whose list of changes may miss some are read again, each at its interval."""
    seconds = service(connection.kind).watch_seconds
    if seconds is None:
        return 0
    since = timezone.now() - timedelta(seconds=seconds)
    lately = Job.objects.filter(
        connection=connection, operation="fetch", key=OuterRef("external_id"), finished_at__gte=since
    )
    quiet = Order.objects.filter(channel_id=connection.channel_id, status__in=MOVING, changed_at__lt=since).exclude(
        Exists(lately)
    )
    ids = quiet.values_list("external_id", flat=True)[:500]
    ledger.ask([Step(connection.pk, "fetch", external_id, priority=BACKFILL_PRIORITY) for external_id in ids])
    return len(ids)


MOVING = (OrderStatus.PENDING, OrderStatus.APPROVED, OrderStatus.INVOICED, OrderStatus.SHIPPED)


def sweep() -> int:
    """Orders that should be on their way to the ERP and have no job: released holds, an ERP connected later."""
    orders = (
        Order.objects.filter(exported_at=None, held=False, status__in=EXPORTABLE, approved_at__isnull=False)
        .exclude(jobs__operation="export", jobs__state__in=["ready", "running", "unknown", "refused", "closed"])
        .select_related("channel__connection")[:500]
    )
    steps = []
    for order in orders:
        erp = erp_of(order.channel.connection) if hasattr(order.channel, "connection") else None
        if erp is not None:
            steps.append(export_step(erp, order))
    ledger.ask(steps)
    return len(steps)
