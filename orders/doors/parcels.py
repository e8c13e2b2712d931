"""An order's parcels: dispatched, taken back, seen on the way."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from orders import bulk, corrections, lifecycle
from orders.documents import DispatchDocument, Milestones, TrackingEventDocument, latest
from orders.doors.writing import advance, append, assign, lock
from orders.models import Order, Shipment, TrackingEvent
from orders.snapshot import settled
from orders.vocabulary import ShipmentStatus, Source


@transaction.atomic(savepoint=False)
def record_dispatch(
    order: Order,
    document: DispatchDocument,
    source: Source = Source.ERP,
    now: datetime | None = None,
    actor: str = "",
) -> Shipment:
    """The parcel as the ERP, or a person, knows it; later documents fill in what earlier ones left out."""
    (parcel,) = record_dispatches([(order, document)], source, now, actor)
    return parcel


def record_dispatches(
    given: Sequence[tuple[Order, DispatchDocument]], source: Source, now: datetime | None = None, actor: str = ""
) -> list[Shipment]:
    """`record_dispatch` for many, inside a transaction of the caller."""
    now = now or timezone.now()
    for order, _document in given:
        lock(order)
    known: dict[int, list[Shipment]] = {order.pk: [] for order, _document in given}
    for row in Shipment.objects.filter(order__in=known, source__in=(source.value, Source.PERSON.value)):
        known[row.order_id].append(row)
    parcels = []
    for order, document in given:
        parcel, code = _shipment(order, known[order.pk], document, source)
        data = {"carrier": parcel.carrier, "code": parcel.tracking_code}
        told = [lifecycle.entry(order, code, source, now, data, actor)] if code else []
        reached = Milestones(shipped_at=document.shipped_at, delivered_at=document.delivered_at)
        advance(order, reached, source, now, told)
        parcels.append(parcel)
    bulk.insert(Shipment, list({id(row): row for row in parcels if row.pk is None}.values()))
    return parcels


def _shipment(order: Order, rows: list[Shipment], document: DispatchDocument, source: Source) -> tuple[Shipment, str]:
    """The parcel, one of `rows` or new among them, and what became of it, as the timeline says it."""
    known = next((row for row in rows if (row.source, row.external_id) == (source.value, document.external_id)), None)
    if known is None and source == Source.ERP:
        known = _reported_by_hand(rows, document)
    if known is not None:
        given = {name: value for name, value in _parcel(document).items() if value}
        given = _corrected(order, known, given, source)
        changed = assign(known, {**given, **settled(known, document.shipped_at, document.delivered_at)})
        return known, "dispatch_changed" if changed else ""
    # Nobody else can be making it: the order is locked.
    new = Shipment(order=order, source=source.value, external_id=document.external_id, **_parcel(document))
    for name, value in settled(new, document.shipped_at, document.delivered_at).items():
        setattr(new, name, value)
    rows.append(new)
    return new, "dispatched"


def _corrected(order: Order, parcel: Shipment, said: dict[str, Any], source: Source) -> dict[str, Any]:
    """What a person corrected of the parcel stays; where its source changes its mind, the timeline says so."""
    part = corrections.parcel(parcel.pk)
    before, after = order.corrections, corrections.followed(order.corrections, part, said)
    if before != after:
        order.corrections = after
        order.save(update_fields=["corrections"])
    if fields := corrections.other_words(before, after):
        append(order, "correction_stands", source, {"fields": fields})
    return corrections.corrected(said, part, after)


def _reported_by_hand(rows: Iterable[Shipment], document: DispatchDocument) -> Shipment | None:
    """The parcel that a person was quicker to report is the ERP's from now on: the channel hears of one, not of two."""
    by_hand = [row for row in rows if row.source == Source.PERSON]
    for parcel in sorted(by_hand, key=lambda one: (one.tracking_code != document.tracking_code, one.pk))[:1]:
        assign(parcel, {"source": Source.ERP.value, "external_id": document.external_id})
        return parcel
    return None


@transaction.atomic(savepoint=False)
def take_back_dispatch(shipment: Shipment, actor: str, now: datetime | None = None) -> bool:
    """A person reported this parcel by mistake. False where somebody else has said since that it left, or the channel
    knows of it. Whoever calls sees to it that no message to the channel is under way."""
    order = shipment.order
    lock(order)
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
    lock(order)
    known = set(shipment.events.values_list("at", "raw_status"))
    scans = {(event.at, event.raw_status): event for event in events}
    new = [_scan(shipment, scan) for key, scan in sorted(scans.items()) if key not in known]
    if not new:
        return []
    TrackingEvent.objects.bulk_create(new)
    shipment.refresh_from_db()
    times = {status: min((scan.at for scan in new if scan.status == status), default=None) for status in ON_THE_WAY}
    shipped_at, delivered_at = times[ShipmentStatus.SHIPPED], times[ShipmentStatus.DELIVERED]
    assign(shipment, settled(shipment, shipped_at, delivered_at))
    assign(order, {"moved_at": latest(order.moved_at, max(scan.at for scan in new)), "changed_at": now})
    for scan in new:
        data = {"code": str(shipment), "text": scan.description or scan.raw_status, "place": scan.place}
        append(order, "tracked", source, data, now=scan.at)
    advance(order, Milestones(shipped_at=shipped_at, delivered_at=delivered_at), source, now)
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
