"""What is usual is learnt from what was finished, and is what "stalled" and "no news" are measured by."""

from datetime import datetime, timedelta

import pytest

from monitoring.models import UsualTime
from monitoring.reports import usual
from orders import doors
from orders.documents import DispatchDocument, InvoiceDocument, TrackingEventDocument
from orders.invoices import key_digit
from orders.models import Order, Shipment
from orders.vocabulary import ShipmentStatus
from tests.monitoring.reports.shop import NOW, Toys, iso

pytestmark = pytest.mark.django_db(transaction=True)
HOURS = timedelta(hours=1)
DAYS = timedelta(days=1)


def nfe(serial: int) -> str:
    first = f"35261111222333000181{'55'}001{serial:09d}187654321"
    return first + str(key_digit(first))


def finish(toys: Toys, count: int, scans: int = 4) -> None:
    """So many orders of last week: in the ERP after one hour, invoiced two working hours later, the next day away."""
    begun = NOW - 8 * DAYS
    for number in range(count):
        name = f"old{number}"
        toys.shop.place(name, placed=iso(begun), uf="SP", parcel={"status": "pending", "carrier": "Rápido"})
    toys.poll()
    for serial, order in enumerate(Order.objects.order_by("pk")):
        doors.mark_exported(order, f"E{serial}", "ERP", now=begun + HOURS)
        invoice = InvoiceDocument(key=nfe(serial), issued_at=begun + 3 * HOURS)
        doors.record_invoice(order, invoice, seller_tax_ids=(), now=begun + 3 * HOURS)
        sent = DispatchDocument(external_id=f"D{serial}", shipped_at=begun + 24 * HOURS)
        doors.record_dispatch(order, sent, now=begun + 24 * HOURS)
        parcel = Shipment.objects.get(order=order, source="channel")
        steps = [begun + 24 * HOURS + step * 30 * HOURS for step in range(scans)]
        doors.record_tracking(parcel, [_scan(at, ShipmentStatus.SHIPPED) for at in steps[:-1]], now=steps[-1])
        doors.record_tracking(parcel, [_scan(steps[-1], ShipmentStatus.DELIVERED)], now=steps[-1])


def _scan(at: datetime, status: ShipmentStatus) -> TrackingEventDocument:
    return TrackingEventDocument(shipment_id="p", at=at, status=status, raw_status=str(at))


def test_each_step_of_each_channel_and_the_pauses_between_scans_are_learnt(toys: Toys) -> None:
    finish(toys, 20)
    assert usual.learn(NOW) == 6
    channel = str(toys.channel.channel_id)
    learnt = {(one.step, one.scope): round(one.hours, 2) for one in UsualTime.objects.all()}
    assert learnt == {
        ("export", channel): 1,
        ("invoice", channel): 2,
        # From noon on Tuesday to nine on Wednesday: what is left of the day, and the next morning.
        ("dispatch", channel): 7,
        ("delivery", channel): 90,
        ("scan", "Rápido|"): 30,
        ("scan", "Rápido|SP"): 30,
    }
    assert usual.learn(NOW) == 6 == UsualTime.objects.count()


def test_too_few_say_nothing(toys: Toys) -> None:
    finish(toys, 19, scans=2)
    assert usual.learn(NOW) == 0


def test_stalled_is_half_as_long_again_as_usual_here(toys: Toys) -> None:
    finish(toys, 20)
    usual.learn(NOW)
    toys.shop.place("1")
    toys.poll()
    assert toys.rows("stalled", 1.4 * HOURS) == []
    row = toys.one("stalled", "export", 1.6 * HOURS)
    assert "Nine of ten take at most 1 hour here" in str(row.cause)
    toys.again()
    assert toys.rows("stalled", 1.6 * HOURS) == []


def test_silence_is_measured_by_the_carrier_and_the_state(toys: Toys) -> None:
    finish(toys, 20)
    usual.learn(NOW)
    far = iso(NOW + 30 * DAYS)
    for number, carrier, state in (("known", "Rápido", "SP"), ("else", "Rápido", "BA"), ("new", "Lento", "SP")):
        parcel = {"status": "shipped", "shipped": iso(NOW), "carrier": carrier}
        toys.shop.place(number, uf=state, parcel=parcel, deliver_by=far)
    toys.poll()
    # Half as long again as 30 hours, rounded up: 48; for a carrier without history 72.
    assert toys.rows("in_transit", 47 * HOURS) == []
    rows = toys.rows("in_transit", 49 * HOURS)
    assert {row.number for row in rows} == {"known", "else"}
    assert "Nine of ten take at most 30 hours here; the limit is 48 hours." in str(rows[0].cause)
    assert {row.number for row in toys.rows("in_transit", 73 * HOURS)} == {"known", "else", "new"}
