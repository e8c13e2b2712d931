"""Every way a fact enters an order, besides the channel's documents (`ingest`).

Each door locks the order, may be used again with the same fact without effect, writes the timeline in the same
transaction and names the source. The order that was passed in holds the new state afterwards.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from orders import bulk, calendar, invoices, lifecycle
from orders.documents import DispatchDocument, InvoiceDocument, Milestones, TrackingEventDocument, latest, storable
from orders.invoices import InvoiceRefused
from orders.models import Answer, Invoice, Order, OrderEvent, OrderItem, SalesChannel, Shipment, TrackingEvent
from orders.snapshot import settled
from orders.tags import LOST
from orders.vocabulary import Hold, OrderStatus, ShipmentStatus, Source

__all__ = [
    "InvoiceRefused",
    "append",
    "append_all",
    "called",
    "correct_sku",
    "declare_lost",
    "hold",
    "invoice_document",
    "mark_exported",
    "note",
    "reckon_deadlines",
    "record_answer",
    "record_dispatch",
    "record_invoice",
    "record_tracking",
    "release",
    "tag",
    "take_back_dispatch",
    "together",
    "untag",
]

LOCKED = Order.objects.select_related("channel", "seller").select_for_update(of=("self",))


@dataclass
class _Together:
    orders: dict[int, Order]
    moved: dict[int, Order] = field(default_factory=dict)
    events: list[OrderEvent] = field(default_factory=list)


_together: ContextVar[_Together | None] = ContextVar("together", default=None)


@contextmanager
def together(ids: Iterable[int]) -> Iterator[dict[int, Order]]:
    """Facts for many orders, inside a transaction of the caller: all are locked in one statement, and what the doors
    write on them and their timelines goes out in one statement each when the block ends. Gives id -> order, those that
    exist; the doors must be used with these inside the block, and read nothing of the orders from the database.
    """
    orders = {order.pk: order for order in LOCKED.filter(pk__in=set(ids)).order_by("pk")}
    opened = _Together(orders)
    token = _together.set(opened)
    try:
        yield orders
    finally:
        _together.reset(token)
    bulk.update(Order, list(opened.moved.values()), (*MOVED, "changed_at"))
    bulk.insert(OrderEvent, opened.events)


def _joined(order: Order) -> _Together | None:
    opened = _together.get()
    if opened is None or order.pk not in opened.orders:
        return None
    if opened.orders[order.pk] is not order:
        raise RuntimeError("Another copy of this order is being written: use the one that `together` gave.")
    return opened


def _lock(order: Order) -> None:
    """The row is the caller's until the transaction ends, and `order` shows what it holds now."""
    if _joined(order) is None:
        order.refresh_from_db(from_queryset=LOCKED.all())


def _write(order: Order, columns: Sequence[str], events: Sequence[OrderEvent], now: datetime) -> None:
    """What a door has changed of the order (some of `MOVED`, or nothing), and the lines of its timeline."""
    if (opened := _joined(order)) is not None:
        opened.events += events
        if columns:
            order.changed_at = now
            opened.moved[order.pk] = order
        return
    if columns:
        order.save(update_fields=[*columns, "changed_at"])
    OrderEvent.objects.bulk_create(events)


# What doors move on an order; all else is the channel's, or a person's.
MOVED = (*lifecycle.COLUMNS, "exported_at")


def _advance(
    order: Order, milestones: Milestones, source: Source, now: datetime, told: Sequence[OrderEvent] = ()
) -> None:
    """`told`: lines of the timeline that go before those of the milestones. Where something is told, the order has
    changed, be it in its parts alone.
    """
    before = [getattr(order, name) for name in lifecycle.COLUMNS]
    events = lifecycle.advance(order, milestones, source=source, now=now)
    moved = told or before != [getattr(order, name) for name in lifecycle.COLUMNS]
    _write(order, lifecycle.COLUMNS if moved else (), [*told, *events], now)


def _assign(row: Invoice | Order | Shipment, columns: dict[str, Any]) -> bool:
    """Writes what differs; whether anything did."""
    changed = [name for name, value in columns.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, columns[name])
    if changed:
        row.save(update_fields=changed)
    return bool(changed)


def append(
    order: Order,
    code: str,
    source: Source,
    data: dict[str, Any] | None = None,
    actor: str = "",
    now: datetime | None = None,
) -> OrderEvent:
    """One line of the timeline. Its sentence is in `timeline.SENTENCES`."""
    now = now or timezone.now()
    event = lifecycle.entry(order, code, source, now, data or {}, actor)
    _write(order, (), [event], now)
    return event


def append_all(
    rows: Iterable[tuple[Order, dict[str, Any]]],
    code: str,
    source: Source,
    actor: str = "",
    now: datetime | None = None,
) -> None:
    """The same for many orders, each with its data, in one statement."""
    now = now or timezone.now()
    bulk.insert(OrderEvent, [lifecycle.entry(order, code, source, now, data, actor) for order, data in rows])


# --- Invoices


def record_invoice(
    order: Order,
    document: InvoiceDocument,
    source: Source = Source.ERP,
    seller_tax_ids: Sequence[str] | None = None,
    now: datetime | None = None,
) -> Invoice | None:
    """The NF-e, if it is new or something of it is; None if all of it was known.

    `seller_tax_ids`: the CNPJs it may be issued by, by default the seller's; with none, any.
    Raises `InvoiceRefused`, after the timeline got its line (once for each key and reason).
    """
    now = now or timezone.now()
    with transaction.atomic(savepoint=False):
        _lock(order)
        try:
            invoices.check(document, order.seller.tax_ids if seller_tax_ids is None else seller_tax_ids)
            invoice, created = _invoice(order, document)
        except InvoiceRefused as caught:
            refusal = caught
            _tell_refusal(order, document, refusal, source, now)
        else:
            return _record_invoice(order, invoice, created, document, source, now)
    # Outside: an error would undo what the timeline says of it.
    raise refusal


def _record_invoice(
    order: Order, invoice: Invoice, created: bool, document: InvoiceDocument, source: Source, now: datetime
) -> Invoice | None:
    was_cancelled = invoice.cancelled
    changed = not created and _assign(invoice, _news(invoice, document))
    number = {"number": invoice.number or invoice.key[25:34].lstrip("0"), "key": invoice.key}
    codes = ["invoice_received"] if created else []
    if document.cancelled and (created or not was_cancelled):
        codes.append("invoice_cancelled")
    invoiced_at = None if document.cancelled else document.issued_at or invoice.issued_at or now
    told = [lifecycle.entry(order, code, source, now, number) for code in codes]
    _advance(order, Milestones(invoiced_at=invoiced_at), source, now, told)
    return invoice if created or changed else None


def _invoice(order: Order, document: InvoiceDocument) -> tuple[Invoice, bool]:
    invoice = Invoice(
        order=order,
        seller_id=order.seller_id,
        key=document.key,
        number=document.number,
        series=document.series,
        issued_at=document.issued_at,
        amount=document.amount,
        cancelled=document.cancelled,
        sealed_xml=invoices.seal(document.xml),
        shipment_reference=document.shipment_id,
        external_id=document.external_id,
    )
    if bulk.insert_absent(invoice):
        return invoice, True
    known = Invoice.objects.get(seller=order.seller_id, key=document.key)
    if known.order_id != order.pk:
        raise InvoiceRefused(_("The NF-e belongs to another order already."))
    return known, False


def _news(invoice: Invoice, document: InvoiceDocument) -> dict[str, Any]:
    """What the document adds to what is known: an NF-e never changes, it only gets known better, or cancelled."""
    given: dict[str, Any] = {
        "number": document.number,
        "series": document.series,
        "issued_at": document.issued_at,
        "amount": document.amount,
        "shipment_reference": document.shipment_id,
        "external_id": document.external_id,
    }
    news: dict[str, Any] = {name: value for name, value in given.items() if value and not getattr(invoice, name)}
    if document.xml and not invoice.sealed_xml:
        news["sealed_xml"] = invoices.seal(document.xml)
    if document.cancelled:
        news["cancelled"] = True
    return news


def _tell_refusal(
    order: Order, document: InvoiceDocument, refusal: InvoiceRefused, source: Source, now: datetime
) -> None:
    data = {"key": document.key, "message": refusal.message}
    if not OrderEvent.objects.filter(order=order, code="invoice_refused", data=data).exists():
        append(order, "invoice_refused", source, data, now=now)


def invoice_document(invoice: Invoice) -> InvoiceDocument:
    """The NF-e as it came, its XML byte for byte. Raises `hub.vault.VaultLocked` when its key is gone."""
    return InvoiceDocument(
        key=invoice.key,
        number=invoice.number,
        series=invoice.series,
        issued_at=invoice.issued_at,
        amount=invoice.amount,
        cancelled=invoice.cancelled,
        xml=invoices.unseal(invoice.sealed_xml),
        shipment_id=invoice.shipment_reference,
    )


# --- Parcels


@transaction.atomic(savepoint=False)
def record_dispatch(
    order: Order,
    document: DispatchDocument,
    source: Source = Source.ERP,
    now: datetime | None = None,
    actor: str = "",
) -> Shipment:
    """The parcel as the ERP, or a person, knows it; later documents fill in what earlier ones left out."""
    now = now or timezone.now()
    _lock(order)
    shipment, code = _shipment(order, document, source)
    data = {"carrier": shipment.carrier, "code": shipment.tracking_code}
    told = [lifecycle.entry(order, code, source, now, data, actor)] if code else []
    _advance(order, Milestones(shipped_at=document.shipped_at, delivered_at=document.delivered_at), source, now, told)
    return shipment


def _shipment(order: Order, document: DispatchDocument, source: Source) -> tuple[Shipment, str]:
    """The parcel's row and what became of it, as the timeline says it."""
    rows = list(Shipment.objects.filter(order=order, source__in=(source.value, Source.PERSON.value)))
    known = next((row for row in rows if (row.source, row.external_id) == (source.value, document.external_id)), None)
    if known is None and source == Source.ERP:
        known = _reported_by_hand(rows, document)
    if known is not None:
        given = {name: value for name, value in _parcel(document).items() if value}
        changed = _assign(known, {**given, **settled(known, document.shipped_at, document.delivered_at)})
        return known, "dispatch_changed" if changed else ""
    # Nobody else can be making it: the order is locked.
    new = Shipment(order=order, source=source.value, external_id=document.external_id, **_parcel(document))
    for name, value in settled(new, document.shipped_at, document.delivered_at).items():
        setattr(new, name, value)
    new.save(force_insert=True)
    return new, "dispatched"


def _reported_by_hand(rows: Iterable[Shipment], document: DispatchDocument) -> Shipment | None:
    """The parcel that a person was quicker to report is the ERP's from now on: the channel hears of one, not of two."""
    by_hand = [row for row in rows if row.source == Source.PERSON]
    for parcel in sorted(by_hand, key=lambda one: (one.tracking_code != document.tracking_code, one.pk))[:1]:
        _assign(parcel, {"source": Source.ERP.value, "external_id": document.external_id})
        return parcel
    return None


@transaction.atomic(savepoint=False)
def take_back_dispatch(shipment: Shipment, actor: str, now: datetime | None = None) -> bool:
    """A person reported this parcel by mistake. False where somebody else has said since that it left, or the channel
    knows of it. Whoever calls sees to it that no message to the channel is under way."""
    order = shipment.order
    _lock(order)
    others = Shipment.objects.filter(order=order, shipped_at__isnull=False).exclude(pk=shipment.pk)
    mine = Shipment.objects.filter(pk=shipment.pk, source=Source.PERSON.value, answer="")
    final = order.delivered_at or order.cancelled_at or order.returned_at or order.shipped_at != shipment.shipped_at
    if final or others.exists() or not mine.delete()[0]:
        return False
    order.shipped_at = None
    lifecycle.advance(order, Milestones())
    order.save(update_fields=["shipped_at", "status", "changed_at"])
    append(order, "dispatch_taken_back", Source.PERSON, actor=actor, now=now)
    return True


def _parcel(document: DispatchDocument) -> dict[str, Any]:
    return {
        "carrier": document.carrier,
        "service": document.service,
        "tracking_code": document.tracking_code,
        "tracking_url": document.tracking_url,
    }


@transaction.atomic(savepoint=False)
def record_tracking(
    shipment: Shipment,
    events: Iterable[TrackingEventDocument],
    source: Source = Source.CARRIER,
    now: datetime | None = None,
) -> list[TrackingEvent]:
    """The scans that were not known yet. The first one in transit and the first delivery are the order's milestones."""
    now = now or timezone.now()
    order = shipment.order
    _lock(order)
    known = set(shipment.events.values_list("at", "raw_status"))
    scans = {(event.at, event.raw_status): event for event in events}
    new = [_scan(shipment, scan) for key, scan in sorted(scans.items()) if key not in known]
    if not new:
        return []
    TrackingEvent.objects.bulk_create(new)
    shipment.refresh_from_db()
    times = {status: min((scan.at for scan in new if scan.status == status), default=None) for status in ON_THE_WAY}
    shipped_at, delivered_at = times[ShipmentStatus.SHIPPED], times[ShipmentStatus.DELIVERED]
    _assign(shipment, settled(shipment, shipped_at, delivered_at))
    _assign(order, {"moved_at": latest(order.moved_at, max(scan.at for scan in new)), "changed_at": now})
    for scan in new:
        data = {"code": str(shipment), "text": scan.description or scan.raw_status, "place": scan.place}
        append(order, "tracked", source, data, now=scan.at)
    _advance(order, Milestones(shipped_at=shipped_at, delivered_at=delivered_at), source, now)
    return new


ON_THE_WAY = (ShipmentStatus.SHIPPED, ShipmentStatus.DELIVERED)


def _scan(shipment: Shipment, document: TrackingEventDocument) -> TrackingEvent:
    return TrackingEvent(
        shipment=shipment,
        at=document.at,
        status=document.status.value,
        raw_status=document.raw_status,
        description=document.description,
        place=document.place,
    )


# --- What others said and did


@transaction.atomic(savepoint=False)
def record_answer(
    subject: Invoice | Shipment, answer: Answer, text: str = "", now: datetime | None = None
) -> OrderEvent | None:
    """What the channel said to this NF-e or parcel; None if it had said so before."""
    now = now or timezone.now()
    order = subject.order
    _lock(order)
    columns = {"answer": answer.value, "answer_text": storable(text)}
    rows: QuerySet[Any] = type(subject)._default_manager.filter(pk=subject.pk)
    if not rows.exclude(**columns).update(**columns, answered_at=now):
        return None
    subject.answer, subject.answer_text, subject.answered_at = answer.value, columns["answer_text"], now
    return append(order, ANSWERS[answer], Source.CHANNEL, _about(subject, subject.answer_text), now=now)


ANSWERS = {
    Answer.NONE: "answer_taken_back",
    Answer.ACCEPTED: "sent_to_channel",
    Answer.NOT_NEEDED: "not_needed_by_channel",
    Answer.REFUSED: "refused_by_channel",
}


def _about(subject: Invoice | Shipment, text: str) -> dict[str, Any]:
    kind = "invoice" if isinstance(subject, Invoice) else "shipment"
    return {"what": kind, "number": str(subject), "message": text}


@transaction.atomic(savepoint=False)
def mark_exported(order: Order, number: str, erp_label: str, now: datetime | None = None) -> bool:
    """The ERP has the order, under this number. False if that was known."""
    now = now or timezone.now()
    _lock(order)
    if order.exported_at is not None:
        return False
    order.exported_at = now
    event = lifecycle.entry(order, "exported", Source.HUB, now, {"number": number, "erp": erp_label})
    _write(order, ("exported_at",), [event], now)
    return True


@transaction.atomic(savepoint=False)
def hold(order: Order, actor: str, now: datetime | None = None) -> bool:
    """A person stops the order from going on. False if one had."""
    _lock(order)
    if Hold.PERSON in order.active_holds:
        return False
    order.holds = [*(hold for hold in order.holds if hold != Hold.PERSON), Hold.PERSON.value]
    order.released_holds = [hold for hold in order.released_holds if hold != Hold.PERSON]
    _save_holds(order)
    append(order, "held", Source.PERSON, {"hold": Hold.PERSON.value}, actor, now)
    return True


@transaction.atomic(savepoint=False)
def release(order: Order, holds: Sequence[str], actor: str, now: datetime | None = None) -> list[str]:
    """A person overrules these reasons to wait, for good. Returns those that were active."""
    _lock(order)
    released = [hold for hold in order.active_holds if hold in holds]
    if not released:
        return []
    order.released_holds = [*order.released_holds, *released]
    _save_holds(order)
    for reason in released:
        append(order, "released", Source.PERSON, {"hold": reason}, actor, now)
    return released


def called(sku: str) -> Q:
    """Lines that go to the ERP under this SKU."""
    return Q(erp_sku=sku) | Q(erp_sku="", sku=sku)


@transaction.atomic(savepoint=False)
def correct_sku(orders: QuerySet[Order], sku: str, erp_sku: str, actor: str, now: datetime | None = None) -> int:
    """A person says what the ERP calls this SKU, for the lines that would go to it under `sku` now, of those of these
    orders that are not there yet. What the channel calls it stays. Returns how many orders have changed.
    """
    locked = orders.filter(exported_at=None).order_by("pk").select_for_update(of=("self",))
    known = {order.pk: order for order in locked}
    lines = list(OrderItem.objects.filter(called(sku), order__in=known))
    changed = sorted({line.order_id for line in lines})
    OrderItem.objects.filter(pk__in=[line.pk for line in lines]).update(erp_sku=storable(erp_sku))
    data = {"sku": sku, "erp_sku": erp_sku}
    append_all([(known[pk], data) for pk in changed], "sku_corrected", Source.PERSON, actor, now)
    return len(changed)


@transaction.atomic(savepoint=False)
def tag(order: Order, name: str, actor: str, code: str = "tagged", now: datetime | None = None) -> bool:
    """A person's word for the order. False if it had it."""
    _lock(order)
    return _retag(order, name, [*(one for one in order.own_tags if one != name), name], code, actor, now)


@transaction.atomic(savepoint=False)
def untag(order: Order, name: str, actor: str, now: datetime | None = None) -> bool:
    """Takes a word away, the channel's too; that comes back with the channel's next document. False if it had none."""
    _lock(order)
    return _retag(order, name, [one for one in order.own_tags if one != name], "untagged", actor, now)


def _retag(order: Order, name: str, own: list[str], code: str, actor: str, now: datetime | None) -> bool:
    given = name in own
    before = order.tags
    order.own_tags, order.tags = own, [*(one for one in before if one != name), *([name] if given else [])]
    if given == (name in before):
        order.save(update_fields=["own_tags"])
        return False
    # An important customer counts in the priority.
    order.worth = None
    order.save(update_fields=["own_tags", "tags", "worth", "changed_at"])
    append(order, code, Source.PERSON, {"tag": name}, actor, now)
    return True


def declare_lost(order: Order, actor: str, now: datetime | None = None) -> bool:
    """A person says that the parcel will not arrive: nothing is expected of it any more. False if that was known."""
    return tag(order, LOST, actor, "declared_lost", now)


def _save_holds(order: Order) -> None:
    order.held = bool(order.active_holds)
    order.save(update_fields=["holds", "released_holds", "held", "changed_at"])


def note(order: Order, text: str, actor: str, now: datetime | None = None) -> OrderEvent:
    """A person's remark."""
    return append(order, "note", Source.PERSON, {"text": text}, actor, now)


# Orders written in one transaction: a channel's pages must not wait long for them.
RECKONED_AT_ONCE = 500


def reckon_deadlines(channel: SalesChannel) -> int:
    """The channel's calendar has changed: deadlines that it gave to orders which have not left. Returns how many."""
    working = calendar.of_channel(channel.calendar)
    open_orders = Order.objects.filter(
        channel=channel,
        status__in=(OrderStatus.APPROVED, OrderStatus.INVOICED),
        ship_by_reckoned=True,
        approved_at__isnull=False,
    )
    count = last = 0
    while True:
        with transaction.atomic():
            some = list(
                open_orders.filter(pk__gt=last).order_by("pk").select_for_update(of=("self",))[:RECKONED_AT_ONCE]
            )
            for order in some:
                order.ship_by = working.due(order.approved_at or order.placed_at)
            Order.objects.bulk_update(some, ["ship_by"])
        if not some:
            return count
        count, last = count + len(some), some[-1].pk
