"""Whatever happens to orders, the kept counts are those of a recount."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.models import Seller
from monitoring.insights import counting, tally
from monitoring.models import CarrierOfDay, PaceOfDay, SalesOfDay, Tally
from orders import doors
from orders.documents import Address, DispatchDocument, Milestones, OrderDocument, Shipment, TrackingEventDocument
from orders.ingest import ingest
from orders.models import Order, SalesChannel
from orders.vocabulary import Logistics, ShipmentStatus
from tests.monitoring.insights.recount import kept, recounted
from tests.orders.factory import NOW, at, document, item, totals

pytestmark = pytest.mark.django_db

moments = st.one_of(st.none(), st.integers(0, 5000).map(at))
milestones = st.builds(Milestones, **dict.fromkeys(Milestones.model_fields, moments))


def shop(zone: str = "America/Sao_Paulo") -> SalesChannel:
    number = Seller.objects.count()
    seller = Seller.objects.create(name="S", slug=f"s{number}", time_zone=zone)
    return SalesChannel.objects.create(seller=seller, kind="toy", name="Shop")


@st.composite
def documents(draw: Callable[..., Any]) -> OrderDocument:
    skus = draw(st.lists(st.sampled_from(["", "A", "B"]), min_size=1, max_size=3))
    items = tuple(
        item(
            str(number),
            sku=sku,
            quantity=Decimal(quantity := draw(st.integers(1, 3))),
            cancelled=Decimal(draw(st.integers(0, quantity))),
            discount=Decimal(draw(st.sampled_from(["0", "0.1"]))),
        )
        for number, sku in enumerate(skus)
    )
    sale = draw(st.sampled_from("abcdef"))
    amounts = totals(items).model_copy(
        update={"fees": Decimal("1.1"), "freight_cost": draw(st.sampled_from([Decimal(0), Decimal("7.7")]))}
    )
    parcels = (
        Shipment(
            external_id="p",
            carrier=draw(st.sampled_from(["", "Correios", "Azul"])),
            status=draw(st.sampled_from(ShipmentStatus)),
            exception=draw(st.sampled_from(["", "Nobody at home"])),
            shipped_at=draw(moments),
            delivered_at=draw(moments),
            deliver_by=draw(moments),
        ),
    )
    return document(
        sale,
        version=draw(st.integers(0, 1000)),
        # One sale, one moment: see the test of a sale that moves to another day.
        placed_at=NOW - timedelta(hours=7 * "abcdef".index(sale)),
        items=items,
        totals=amounts,
        milestones=draw(milestones),
        shipments=parcels if draw(st.booleans()) else (),
        deliver_by=draw(moments),
        logistics=draw(st.sampled_from(Logistics)),
        currency=draw(st.sampled_from(["BRL", "BRL", "USD"])),
        ship_to=Address(state=draw(st.sampled_from(["SP", "RJ", ""]))),
    )


dispatches = st.builds(
    DispatchDocument,
    external_id=st.just("d"),
    carrier=st.sampled_from(["", "Jadlog"]),
    shipped_at=st.integers(0, 5000).map(at),
    delivered_at=moments,
)


@given(
    steps=st.lists(st.one_of(documents(), dispatches, st.just("exported"), st.just("counted")), max_size=14),
    zone=st.sampled_from(["America/Sao_Paulo", "America/Rio_Branco", "Asia/Tokyo"]),
)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_kept_counts_are_those_of_a_recount(db: None, steps: list[Any], zone: str) -> None:
    Order.objects.all().delete()
    SalesChannel.objects.all().delete()
    first, second = shop(zone), shop()
    now = NOW + timedelta(days=4)
    with time_machine.travel(now, tick=False) as clock:
        for number, step in enumerate(steps):
            clock.shift(timedelta(minutes=10))
            _do(step, (first, second)[number % 2])
        tally.tick()
        assert kept() == recounted()
        # From nothing, the same.
        Tally.objects.all().delete()
        for channel in (first, second):
            counting.forget(channel)
        tally.count_all()
        assert kept() == recounted()


def _do(step: Any, channel: SalesChannel) -> None:
    if step == "counted":
        tally.tick()
    elif isinstance(step, OrderDocument):
        ingest(channel, [step])
    elif (order := Order.objects.filter(channel=channel).order_by("pk").last()) is not None:
        if step == "exported":
            doors.mark_exported(order, "1", "ERP")
        else:
            doors.record_dispatch(order, step)


def test_only_what_changed_is_counted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    channel = shop()
    with time_machine.travel(NOW, tick=False) as clock:
        ingest(channel, [document("a", placed_at=NOW), document("b", placed_at=NOW - timedelta(days=9))])
        clock.shift(timedelta(hours=1))
        tally.count_all()
        counted: list[date] = []

        def noting(days: counting.Days, thorough: bool) -> int:
            counted.append(days.first)
            return 0

        monkeypatch.setattr(counting, "count", noting)
        clock.shift(timedelta(hours=1))
        tally.tick()
        assert counted == []
        doors.mark_exported(Order.objects.get(external_id="b"), "1", "ERP")
        clock.shift(timedelta(minutes=1))
        tally.tick()
        assert counted == [date(2026, 11, 10)]


def test_a_change_that_shows_late_is_not_missed() -> None:
    """Its transaction was open while the counting went by."""
    channel = shop()
    with time_machine.travel(NOW, tick=False) as clock:
        tally.count_all()
        clock.shift(timedelta(minutes=2))
        tally.tick()
        ingest(channel, [document("a", placed_at=NOW)])
        Order.objects.update(changed_at=NOW + timedelta(minutes=1))
        clock.shift(timedelta(minutes=1))
        tally.tick()
    assert SalesOfDay.objects.get().orders + SalesOfDay.objects.get().unpaid == 1


def test_an_evening_belongs_to_its_own_day() -> None:
    """Half past eleven in São Paulo is the next day in London, and its noon in Tokyo."""
    channel, far = shop(), shop("Asia/Tokyo")
    late = datetime(2026, 8, 1, 2, 30, tzinfo=UTC)
    with time_machine.travel(NOW, tick=False):
        for one in (channel, far):
            ingest(one, [document("a", placed_at=late, milestones=Milestones(approved_at=late))])
        tally.count_all()
    found = {row.channel_id: row.day for row in SalesOfDay.objects.all()}
    assert found == {channel.pk: date(2026, 7, 31), far.pk: date(2026, 8, 1)}
    assert PaceOfDay.objects.get(channel=channel).hours[23] == 1
    assert PaceOfDay.objects.get(channel=far).hours[11] == 1


def test_another_zone_means_counting_anew() -> None:
    channel = shop()
    late = datetime(2026, 8, 1, 2, 30, tzinfo=UTC)
    with time_machine.travel(NOW, tick=False):
        ingest(channel, [document("a", placed_at=late)])
        tally.count_all()
        Seller.objects.update(time_zone="Europe/Lisbon")
        tally.count_all()
        tally.count_all()
    assert [row.day for row in SalesOfDay.objects.all()] == [date(2026, 8, 1)]


def test_the_night_mends_what_left_no_trace() -> None:
    channel = shop()
    with time_machine.travel(NOW, tick=False) as clock:
        ingest(channel, [document("a", placed_at=NOW)])
        tally.count_all()
        clock.shift(timedelta(hours=1))
        # A document may move a sale to another day: where it stood before is not known any more.
        Order.objects.update(placed_at=NOW - timedelta(days=3))
        tally.tick()
        assert kept() != recounted()
        clock.shift(timedelta(days=1))
        assert tally.tick() > 0
        assert kept() == recounted()
        assert tally.tick() == 0


def test_the_past_comes_piece_by_piece_and_skips_what_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    channel = shop()
    with time_machine.travel(NOW, tick=False):
        old = [document(str(days), placed_at=NOW - timedelta(days=days)) for days in (0, 40, 900)]
        ingest(channel, old)
        Order.objects.update(changed_at=NOW - timedelta(days=800))
        for expected in (1, 2, 3):
            assert not Tally.objects.filter(complete=True).exists()
            tally.tick()
            assert SalesOfDay.objects.count() == expected
        tally.tick()
        assert Tally.objects.get().complete
        assert kept() == recounted()


def test_a_run_stops_when_its_time_is_over() -> None:
    channel = shop()
    ingest(channel, [document("a", placed_at=NOW)])
    assert tally.tick(stop=lambda: True) == 0
    assert not SalesOfDay.objects.exists()
    tally.tick()
    assert SalesOfDay.objects.exists()


def test_a_second_parcel_counts_although_the_order_stays_as_it_is() -> None:
    channel = shop()
    with time_machine.travel(NOW, tick=False) as clock:
        ingest(channel, [document("a", placed_at=NOW, milestones=Milestones(approved_at=NOW, shipped_at=NOW))])
        order = Order.objects.get()
        doors.record_dispatch(order, DispatchDocument(external_id="1", carrier="Correios", shipped_at=NOW))
        tally.count_all()
        clock.shift(timedelta(hours=1))
        parcel = doors.record_dispatch(order, DispatchDocument(external_id="2", carrier="Azul", shipped_at=NOW))
        tally.tick()
        assert kept() == recounted()
        clock.shift(timedelta(hours=1))
        scan = TrackingEventDocument(shipment_id="2", at=NOW, status=ShipmentStatus.DELIVERED, raw_status="BDE")
        doors.record_tracking(parcel, [scan])
        clock.shift(timedelta(hours=1))
        tally.tick()
        assert kept() == recounted()
    assert set(CarrierOfDay.objects.values_list("carrier", "delivered")) == {("Correios", 1), ("Azul", 1)}


@pytest.mark.parametrize(
    ("days", "expected"),
    [([], []), ([3], [(3, 3)]), ([5, 3, 4, 9], [(3, 5), (9, 9)]), (range(1, 32), [(1, 30), (31, 31)])],
)
def test_runs_of_days(days: Any, expected: list[tuple[int, int]]) -> None:
    found = tally.runs(date(2026, 8, day) for day in days)
    assert [(first.day, last.day) for first, last in found] == expected
