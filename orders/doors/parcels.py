"""An order's parcels: dispatched, taken back, seen on the way."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from orders import lifecycle
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
    now = now or timezone.now()
    lock(order)
    shipment, code = _shipment(order, document, source)
    data = {"carrier": shipment.carrier, "code": shipment.tracking_code}
    told = [lifecycle.entry(order, code, source, now, data, actor)] if code else []
    advance(order, Milestones(shipped_at=document.shipped_at, delivered_at=document.delivered_at), source, now, told)
    return shipment


def _shipment(order: Order, document: DispatchDocument, source: Source) -> tuple[Shipment, str]:
    """The parcel's row and what became of it, as the timeline says it."""
    rows = list(Shipment.objects.filter(order=order, source__in=(source.value, Source.PERSON.value)))
    known = next((row for row in rows if (row.source, row.external_id) == (source.value, document.external_id)), None)
    if known is None and source == Source.ERP:
        known = _reported_by_hand(rows, document)
    if known is not None:
        given = {name: value for name, value in _parcel(document).items() if value}
        changed = assign(known, {**given, **settled(known, document.shipped_at, document.delivered_at)})
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
