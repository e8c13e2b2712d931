"""Deadlines in real working time, and what the ingest door makes of them."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import translation

from orders import doors
from orders.calendar import BadCalendar, Calendar, of_channel
from orders.documents import TrackingEventDocument
from orders.models import Order, Shipment
from orders.vocabulary import ShipmentStatus
from tests.orders.factory import at, channel, document, taken
from tests.orders.factory import order as approved_order

SP = ZoneInfo("America/Sao_Paulo")


def here(day: str, time: str, zone: ZoneInfo = SP) -> datetime:
    return datetime.fromisoformat(f"{day} {time}").replace(tzinfo=zone)


@pytest.mark.parametrize(
    ("chosen", "ready", "due"),
    [
        # A Wednesday before and after the cut-off.
        ({}, here("2026-11-25", "13:59"), here("2026-11-26", "18:00")),
        ({}, here("2026-11-25", "14:01"), here("2026-11-27", "18:00")),
        # Friday after it: counts as Monday's, handled on Tuesday.
        ({}, here("2026-11-27", "16:10"), here("2026-12-01", "18:00")),
        ({}, here("2026-11-28", "09:00"), here("2026-12-01", "18:00")),
        # 20 November 2026, a Friday, is a holiday in the whole country.
        ({}, here("2026-11-19", "16:00"), here("2026-11-24", "18:00")),
        # 9 July 2026, a Thursday, is one in São Paulo alone.
        ({"state": "SP"}, here("2026-07-08", "10:00"), here("2026-07-10", "18:00")),
        ({"state": "RJ"}, here("2026-07-08", "10:00"), here("2026-07-09", "18:00")),
        # Over the year's end.
        ({}, here("2026-12-31", "15:00"), here("2027-01-05", "18:00")),
        ({"closed": ["2026-11-26"]}, here("2026-11-25", "10:00"), here("2026-11-27", "18:00")),
        ({"handling_days": 0, "closes": "20:00"}, here("2026-11-25", "10:00"), here("2026-11-25", "20:00")),
        ({"days": [0, 1, 2, 3, 4, 5]}, here("2026-11-27", "10:00"), here("2026-11-28", "18:00")),
        # Before the day begins it is that day's.
        ({}, here("2026-11-25", "03:00"), here("2026-11-26", "18:00")),
    ],
)
def test_ship_by(chosen: dict[str, object], ready: datetime, due: datetime) -> None:
    calendar = Calendar.of(chosen)
    assert calendar.ship_by(ready).at == calendar.due(ready.astimezone(UTC)) == due


def test_a_deadline_explains_itself() -> None:
    with translation.override("en"):
        because = Calendar().ship_by(here("2026-11-27", "16:10")).because
        assert because.startswith("Friday 16:10, after the cut-off 14:00; 1 working day to handle it; so Tuesday ")
        assert "is a holiday (National Day of Zumbi" in Calendar().ship_by(here("2026-11-19", "16:00")).because
        assert "no working day" in Calendar().ship_by(here("2026-11-28", "16:00")).because


@pytest.mark.parametrize(
    ("moment", "hours", "then"),
    [
        (here("2026-11-25", "10:00"), 4, here("2026-11-25", "14:00")),
        (here("2026-11-25", "17:00"), 4, here("2026-11-26", "11:00")),
        (here("2026-11-27", "17:00"), 4, here("2026-11-30", "11:00")),
        (here("2026-11-28", "12:00"), 4, here("2026-11-30", "12:00")),
        (here("2026-11-25", "22:00"), 4, here("2026-11-26", "12:00")),
        (here("2026-11-25", "05:00"), 1, here("2026-11-25", "09:00")),
        (here("2026-11-19", "17:30"), 1, here("2026-11-23", "08:30")),
        (here("2026-11-25", "08:00"), 25, here("2026-11-27", "13:00")),
        (here("2026-11-25", "10:00"), 10, here("2026-11-26", "10:00")),
    ],
)
def test_so_many_working_hours_later(moment: datetime, hours: float, then: datetime) -> None:
    calendar = Calendar()
    assert calendar.after(moment, hours) == then
    assert calendar.working_hours_between(moment, then) == hours
    assert calendar.working_hours_between(then, moment) == -hours
    back = calendar.before(then, hours)
    # The same moment, or an earlier one with no work between the two.
    assert calendar.working_hours_between(back, moment) == 0


def test_another_zone_and_its_change_of_clocks() -> None:
    """New York's clocks go forward on 8 March 2026 at 2 a.m.: the night's shift is an hour shorter."""
    zone = ZoneInfo("America/New_York")
    calendar = Calendar.of({"zone": zone.key, "days": list(range(7)), "opens": "00:00", "closes": "08:00"})
    start = here("2026-03-08", "00:00", zone)
    assert calendar.working_hours_between(start, here("2026-03-08", "08:00", zone)) == 7
    assert calendar.after(start, 7.5) == here("2026-03-09", "00:30", zone)
    # In November an hour comes twice.
    assert calendar.working_hours_between(here("2026-11-01", "00:00", zone), here("2026-11-01", "08:00", zone)) == 9
    assert calendar.after(datetime(2026, 11, 1, 4, tzinfo=UTC), 9) == here("2026-11-01", "08:00", zone)


def test_manaus_closes_an_hour_after_sao_paulo() -> None:
    assert Calendar.of({"zone": "America/Manaus"}).due(here("2026-11-25", "10:00")) == here("2026-11-26", "19:00")


@pytest.mark.parametrize(
    ("chosen", "key"),
    [
        ({"zone": "Nowhere/Else"}, "zone"), ({"zone": "../etc"}, "zone"), ({"days": [7]}, "days"),
        ({"days": "1"}, "days"), ({"days": []}, "days"), ({"opens": "25:00"}, "opens"),
        ({"opens": "19:00"}, "closes"), ({"cut_off": "noon"}, "cut_off"), ({"handling_days": -1}, "handling_days"),
        ({"handling_days": True}, "handling_days"), ({"state": "XX"}, "state"), ({"closed": ["tomorrow"]}, "closed"),
        ({"closed": 5}, "closed"), ({"risk_hours": "4"}, "risk_hours"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_by_name(chosen: dict[str, object], key: str) -> None:
    with pytest.raises(BadCalendar) as refused:
        Calendar.of(chosen)
    assert refused.value.key == key
    assert of_channel(chosen) == Calendar()


def test_a_shop_that_is_closed_for_ever_has_no_deadline() -> None:
    days = [(date(2026, 1, 1) + timedelta(days=day)).isoformat() for day in range(1000)]
    with pytest.raises(BadCalendar):
        Calendar.of({"closed": days}).due(here("2026-01-05", "10:00"))


# --- At the door ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_approved_order_without_a_deadline_gets_the_calendars() -> None:
    order = approved_order()
    # Approved on a Sunday; Monday, 2 November, is a holiday.
    assert order.ship_by == here("2026-11-04", "18:00") and order.ship_by_reckoned
    assert not order.events.filter(code="changed").exists()


@pytest.mark.django_db
def test_the_channels_own_deadline_wins_whenever_it_comes() -> None:
    into = channel()
    named = at(2000)
    assert taken(into, document(version=1)).order.ship_by_reckoned
    order = taken(into, document(version=2, ship_by=named)).order
    assert (order.ship_by, order.ship_by_reckoned) == (named, False)
    again = taken(into, document(version=3)).order
    assert again.ship_by_reckoned and again.ship_by == here("2026-11-04", "18:00")


@pytest.mark.django_db
def test_who_has_not_paid_has_no_deadline() -> None:
    from orders.documents import Milestones

    order = approved_order(milestones=Milestones())
    assert order.ship_by is None and not order.ship_by_reckoned


@pytest.mark.django_db
def test_a_new_calendar_moves_the_deadlines_it_gave_and_no_others() -> None:
    into = channel()
    reckoned = taken(into, document("A")).order
    named = taken(into, document("B", ship_by=at(2000))).order
    into.calendar = {"handling_days": 2}
    into.save()
    assert doors.reckon_deadlines(into) == 1
    reckoned.refresh_from_db()
    named.refresh_from_db()
    assert reckoned.ship_by == here("2026-11-05", "18:00")
    assert named.ship_by == at(2000)


@pytest.mark.django_db
def test_a_moved_promise_keeps_the_first() -> None:
    into = channel()
    taken(into, document(version=5, deliver_by=at(5000)))
    order = taken(into, document(version=6, deliver_by=at(9000))).order
    assert (order.first_deliver_by, order.deliver_by) == (at(5000), at(9000))
    # An older document that comes late knows an earlier promise.
    order = taken(into, document(version=2, deliver_by=at(4000))).order
    assert (order.first_deliver_by, order.deliver_by) == (at(4000), at(9000))


@pytest.mark.django_db
def test_news_of_a_parcel_are_kept_on_its_order() -> None:
    from orders.documents import Shipment as Parcel

    into = channel()
    order = taken(into, document(version=1)).order
    assert order.moved_at is None
    parcel = Parcel(external_id="s", status=ShipmentStatus.SHIPPED, shipped_at=at(3))
    order = taken(into, document(version=4, shipments=(parcel,))).order
    assert order.moved_at == at(4)
    scan = TrackingEventDocument(shipment_id="s", at=at(90), status=ShipmentStatus.SHIPPED, raw_status="BDE")
    doors.record_tracking(Shipment.objects.get(order=order), [scan])
    assert Order.objects.get().moved_at == at(90)
