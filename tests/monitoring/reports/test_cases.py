"""Every case of every report: made through the simulators, seen with its hours, gone when mended by its own button."""

import json
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest
from django.utils import timezone, translation

from connectors import actions, intake
from connectors.contract import Change
from connectors.models import Connection, InboxEntry, Job
from connectors.simulation.server import Fault, Response
from hub.models import Seller
from monitoring import story
from monitoring.reports.base import Row
from orders import doors
from orders.documents import TrackingEventDocument
from orders.models import Order, Shipment
from orders.vocabulary import ShipmentStatus
from tests.monitoring.reports import shop
from tests.monitoring.reports.shop import KEY, NOW, Toys, iso, order_of

pytestmark = pytest.mark.django_db(transaction=True)

MINUTES = timedelta(minutes=1)
HOURS = timedelta(hours=1)
HAND = "Handled by hand…"
REASON = {"reason": "typed it in myself"}


def hours(row: Row, later: timedelta = timedelta()) -> float:
    return round(row.hours(timezone.now() + later), 1)


# --- Announced, not created


def test_what_cannot_be_read_is_one_row_however_often_it_is_announced(toys: Toys) -> None:
    toys.shop.place("1", price="a lot")
    for _time in range(5):
        toys.poll()
    for version in (2, 3):
        toys.shop.orders["1"]["version"] = version
        toys.poll()
    assert InboxEntry.objects.count() == 3
    row = toys.one("rejected", "unreadable", 3 * HOURS)
    assert row.number == "1" and hours(row, 3 * HOURS) == 3 and "price" in str(row.cause) and row.order_id is None
    # Mended at its source.
    toys.shop.orders["1"]["price"] = "10.00"
    toys.press(row, "Fetch it now")
    assert toys.rows("rejected") == [] and Order.objects.count() == 1


def test_what_cannot_be_read_is_read_again_when_the_hub_has_learnt_it(toys: Toys) -> None:
    with patch.object(shop, "to_order", side_effect=ZeroDivisionError("a bug of ours")):
        toys.run("1")
    row = toys.one("rejected", "unreadable")
    toys.press(row, "Read again")
    assert toys.rows("rejected") == [] and Order.objects.count() == 1


def test_news_of_a_known_order_that_cannot_be_read_name_it(toys: Toys) -> None:
    toys.run("1")
    toys.change("1", price="a lot")
    row = toys.one("rejected", "unreadable")
    assert row.order_id == order_of("1").pk and "only this news" in str(row.cause)
    toys.press(row, HAND, **REASON)
    assert toys.rows("rejected") == []


def test_a_later_document_that_is_read_makes_the_unread_one_moot(toys: Toys) -> None:
    toys.shop.place("1", price="a lot")
    toys.poll()
    toys.change("1", price="10.00", placed=iso(NOW + MINUTES))
    assert toys.rows("rejected") == []


def test_an_order_the_channel_does_not_give(toys: Toys) -> None:
    with patch.object(shop.Shop, "handle", lambda self, request: Response(400, {"message": "bad"})):
        toys.push("1")
        toys.again()
    row = toys.one("rejected", "refused", 2 * HOURS)
    assert hours(row, 2 * HOURS) == 2
    toys.shop.place("1")
    toys.press(row, "Try again")
    assert toys.rows("rejected") == [] and Order.objects.count() == 1


def test_an_order_deleted_at_its_source_is_a_case_of_its_own(toys: Toys) -> None:
    toys.push("9")
    toys.again()
    row = toys.one("rejected", "deleted")
    assert "has it no longer" in str(row.cause)
    toys.press(row, HAND, **REASON)
    assert toys.rows("rejected") == []


def test_a_document_that_nobody_reads(toys: Toys) -> None:
    order = toys.shop.place("1")
    intake.store(toys.channel, [Change("1", json.dumps(order).encode())], "push")
    assert toys.rows("rejected") == []
    row = toys.one("rejected", "unread", 20 * MINUTES)
    toys.press(row, "Read again")
    assert toys.rows("rejected", 20 * MINUTES) == [] and Order.objects.count() == 1


def test_a_channel_that_does_not_answer_for_an_order(toys: Toys) -> None:
    toys.shop.place("1")
    toys.shop.faults = [Fault("500", match="GET /orders/1")]
    toys.push("1")
    toys.drain(toys.channel)
    assert toys.rows("rejected") == []
    row = toys.one("rejected", "trying", 20 * MINUTES)
    toys.shop.faults = []
    toys.press(row, "Try again")
    assert toys.rows("rejected", 20 * MINUTES) == []


def test_an_order_that_nobody_fetches(toys: Toys) -> None:
    toys.run("1")
    toys.shop.place("2")
    toys.push("1")
    toys.push("2")
    assert toys.rows("rejected") == []
    row = toys.one("rejected", "unfetched", 20 * MINUTES)
    assert row.number == "2" and "waits for its turn" in str(row.cause)
    actions.pause(toys.channel, "ana")
    assert "Paused" in str(toys.one("rejected", "unfetched", 20 * MINUTES).cause)
    actions.resume(toys.channel, "ana")
    toys.press(row, "Try again")
    assert toys.rows("rejected", 20 * MINUTES) == [] and Order.objects.count() == 2


# --- Not in the ERP


def test_the_erp_refuses(toys: Toys) -> None:
    toys.erp.missing = {"MUG"}
    toys.run("1")
    row = toys.one("untransmitted", "refused")
    assert "MUG" in str(row.cause) and row.value == 10 and hours(row) < 0
    toys.erp.missing = set()
    toys.press(row, "Try again")
    assert toys.rows("untransmitted") == [] and len(toys.erp.orders) == 1


def test_the_erp_refuses_and_a_person_types_it_in(toys: Toys) -> None:
    toys.erp.missing = {"MUG"}
    toys.run("1")
    toys.press(toys.one("untransmitted", "refused"), HAND, **REASON)
    assert toys.rows("untransmitted") == []


def test_no_clear_answer_is_not_sent_again_blindly(toys: Toys) -> None:
    toys.shop.place("1")
    toys.erp.faults = [Fault("cut_after", match="POST /orders", times=1), Fault("500", match="GET /orders")]
    toys.poll()
    toys.drain(toys.books)
    row = toys.one("untransmitted", "unknown")
    assert "looked up" in str(row.cause)
    toys.erp.faults = []
    toys.press(row, "Try again")
    assert toys.rows("untransmitted") == [] and len(toys.erp.orders) == 1


def test_a_held_order_goes_when_it_is_released(toys: Toys) -> None:
    toys.run("1", total="99.00")
    row = toys.one("untransmitted", "held")
    assert "do not add up" in str(row.cause)
    toys.press(row, "Release it")
    assert toys.rows("untransmitted") == [] and len(toys.erp.orders) == 1


def test_an_erp_that_does_not_run_holds_all_of_its_orders(toys: Toys) -> None:
    actions.pause(toys.books, "ana")
    toys.run("1", "2")
    assert toys.rows("untransmitted") == []
    rows = toys.rows("untransmitted", 20 * MINUTES)
    assert [row.case for row in rows] == ["blocked", "blocked"] and "Paused" in str(rows[0].cause)
    page = shop.action_of(rows[0], "Open ERP")
    assert page.opens and toys.client.get(page.url).status_code == 200
    toys.client.post(f"{page.url}resume/")
    toys.again()
    assert toys.rows("untransmitted", 20 * MINUTES) == []


def test_no_erp_at_all(toys: Toys) -> None:
    Connection.objects.filter(pk=toys.books.pk).delete()
    toys.shop.place("1")
    toys.poll()
    row = toys.one("untransmitted", "blocked", 20 * MINUTES)
    assert "No ERP is connected" in str(row.cause)
    assert toys.client.get(shop.action_of(row, "Connect an ERP").url).status_code == 200


def test_an_erp_that_fails_is_tried_again_by_itself(toys: Toys) -> None:
    toys.erp.faults = [Fault("429", match="POST /orders")]
    toys.shop.place("1")
    toys.poll()
    toys.drain(toys.books)
    row = toys.one("untransmitted", "failing")
    assert "limit of calls" in str(row.cause) and "Next try" in str(row.cause)
    toys.erp.faults = []
    toys.press(row, "Try again")
    assert toys.rows("untransmitted") == []


def test_an_order_that_nobody_sends(toys: Toys) -> None:
    toys.shop.place("1")
    toys.poll()
    assert toys.rows("untransmitted", 10 * MINUTES) == []
    row = toys.one("untransmitted", "waiting", 20 * MINUTES)
    toys.press(row, "Try again")
    assert toys.rows("untransmitted", 20 * MINUTES) == []


# --- Awaiting invoice, awaiting dispatch


def until(moment: datetime) -> timedelta:
    return moment - timezone.now().replace(microsecond=0)


def test_without_an_invoice_it_is_in_time_then_at_risk_then_late(toys: Toys) -> None:
    toys.run("1")
    # Approved on Wednesday at nine, so by Thursday, 18 o'clock; at risk four working hours before.
    due = order_of("1").ship_by
    assert due is not None and due == NOW + 33 * HOURS
    row = toys.one("awaiting_invoice", "waiting")
    assert hours(row) == -33 and "Deadline by the channel's calendar" in str(row.cause)
    assert toys.one("awaiting_invoice", "waiting", 28.9 * HOURS)
    row = toys.one("awaiting_invoice", "at_risk", 29.5 * HOURS)
    assert hours(row, 29.5 * HOURS) == -3.5
    row = toys.one("awaiting_invoice", "late", 43 * HOURS)
    assert hours(row, 43 * HOURS) == 10
    number = next(iter(toys.erp.orders))
    toys.erp.orders[number]["invoices"] = [{"key": KEY}]
    toys.press(row, "Fetch it now")
    assert toys.rows("awaiting_invoice", 43 * HOURS) == [] and toys.shop.invoices == {"1": KEY}


def test_risk_is_measured_in_working_hours(toys: Toys) -> None:
    """Due on Monday at 10: one working hour before is Monday at 9, and four are on Friday at 16."""
    toys.run("1", ship_by="2026-11-30T13:00:00Z")
    friday = datetime(2026, 11, 27, 18, 59, tzinfo=UTC)
    assert toys.one("awaiting_invoice", "waiting", until(friday))
    assert toys.one("awaiting_invoice", "at_risk", until(friday + 2 * MINUTES))
    assert toys.one("awaiting_invoice", "at_risk", until(friday + 24 * HOURS))
    channel = order_of("1").channel
    channel.calendar = {"risk_hours": 1}
    channel.save()
    assert toys.one("awaiting_invoice", "waiting", until(friday + 24 * HOURS))


def test_a_seller_chooses_the_hours_of_risk(toys: Toys) -> None:
    toys.run("1")
    Seller.objects.update(risk_hours=20)
    assert toys.one("awaiting_invoice", "at_risk")


def test_an_invoice_the_channel_does_not_take_is_not_the_sellers_lateness(toys: Toys) -> None:
    toys.run("1")
    toys.shop.deaf = True
    toys.in_the_erp("1", invoices=[{"key": KEY}])
    row = toys.one("awaiting_invoice", "not_returned", 40 * HOURS)
    assert "Done on your side" in str(row.cause) and hours(row, 40 * HOURS) == 7
    toys.shop.deaf = False
    toys.press(row, "Try again")
    assert toys.rows("awaiting_invoice", 40 * HOURS) == []


def test_an_invoice_the_hub_does_not_take_is_said_to_be_there(toys: Toys) -> None:
    toys.run("1")
    toys.in_the_erp("1", invoices=[{"key": KEY[:-1] + str((int(KEY[-1]) + 1) % 10)}])
    row = toys.one("awaiting_invoice", "waiting")
    assert "The ERP's invoice was not accepted: The access key's check digit is wrong." in str(row.cause)
    order = Order.objects.get()
    with translation.override("en"):
        move = story.next_move(story.Facts(order, list(order.jobs.all()), [toys.books]))
    assert move is not None and (move.party, move.expected) == (
        "seller",
        "correct the invoice: The access key's check digit is wrong.",
    )
    toys.in_the_erp("1", invoices=[{"key": KEY}])
    assert toys.rows("awaiting_invoice") == []


def test_invoiced_and_not_dispatched(toys: Toys) -> None:
    toys.run("1")
    toys.in_the_erp("1", invoices=[{"key": KEY}])
    assert toys.one("awaiting_dispatch", "waiting")
    assert toys.one("awaiting_dispatch", "at_risk", 30 * HOURS)
    row = toys.one("awaiting_dispatch", "late", 34 * HOURS)
    assert hours(row, 34 * HOURS) == 1
    number = next(iter(toys.erp.orders))
    toys.erp.orders[number]["dispatches"] = [{"id": "AA1", "shipped": iso(NOW)}]
    toys.press(row, "Fetch it now")
    assert toys.rows("awaiting_dispatch", 34 * HOURS) == [] and toys.shop.dispatched == {"1": "AA1"}


def test_a_dispatch_the_channel_does_not_take(toys: Toys) -> None:
    toys.run("1")
    toys.in_the_erp("1", invoices=[{"key": KEY}])
    toys.shop.deaf = True
    toys.in_the_erp("1", dispatches=[{"id": "AA1", "shipped": iso(NOW)}])
    row = toys.one("awaiting_dispatch", "not_returned")
    toys.press(row, HAND, **REASON)
    assert toys.rows("awaiting_dispatch") == []


# --- On the way


def ship(toys: Toys, **changes: object) -> None:
    parcel = {"status": "shipped", "shipped": iso(NOW), "carrier": "Rápido"}
    toys.run("1", uf="SP", parcel=parcel, deliver_by=iso(NOW + 10 * 24 * HOURS), **changes)


def scan(at: datetime) -> None:
    news = TrackingEventDocument(shipment_id="p", at=at, status=ShipmentStatus.SHIPPED, raw_status=iso(at))
    doors.record_tracking(Shipment.objects.get(order__external_id="1", source="channel"), [news], now=at)


def arrive(toys: Toys) -> None:
    toys.change("1", parcel={**toys.shop.orders["1"]["parcel"], "status": "delivered", "delivered": iso(NOW)})


def test_due_then_late(toys: Toys) -> None:
    ship(toys)
    assert toys.rows("in_transit", 24 * HOURS) == []
    scan(NOW + 9 * 24 * HOURS)
    row = toys.one("in_transit", "due", 9 * 24 * HOURS)
    assert hours(row, 9 * 24 * HOURS) == -24 and "Promised for" in str(row.cause)
    row = toys.one("in_transit", "late", 11 * 24 * HOURS)
    assert hours(row, 11 * 24 * HOURS) == 24
    toys.shop.orders["1"].update(version=5, parcel={"status": "delivered", "shipped": iso(NOW), "delivered": iso(NOW)})
    toys.press(row, "Fetch it now")
    assert toys.rows("in_transit", 11 * 24 * HOURS) == []


def test_a_promise_that_moved_shows_both(toys: Toys) -> None:
    ship(toys)
    toys.change("1", deliver_by=iso(NOW + 12 * 24 * HOURS))
    scan(NOW + 13 * 24 * HOURS)
    assert [row.case for row in toys.rows("in_transit", 11 * 24 * HOURS)] == ["due"]
    row = toys.one("in_transit", "late", 13 * 24 * HOURS)
    assert "The first promise was" in str(row.cause)


def test_a_problem_on_the_way(toys: Toys) -> None:
    ship(toys)
    toys.change("1", parcel={**toys.shop.orders["1"]["parcel"], "problem": "Nobody was at home."})
    row = toys.one("in_transit", "trouble")
    assert "Nobody was at home." in str(row.cause)
    assert "Nobody was at home." in str(toys.one("in_transit", "late", 11 * 24 * HOURS).cause)
    toys.shop.orders["1"].update(version=9, parcel={**toys.shop.orders["1"]["parcel"], "problem": ""})
    toys.press(row, "Fetch it now")
    assert toys.rows("in_transit") == []


def test_a_parcel_that_is_lost_is_awaited_by_nobody_until_it_turns_up(toys: Toys) -> None:
    ship(toys)
    late = toys.one("in_transit", "late", 11 * 24 * HOURS)
    toys.press(late, "Declare it lost")
    assert toys.rows("in_transit", 11 * 24 * HOURS) == []
    order = Order.objects.get()
    assert "the parcel is lost" in str(story._delivery(story.Facts(order, [], [])))
    # The channel goes on telling of it.
    toys.change("1", deliver_by=iso(NOW + 10 * 24 * HOURS), parcel={**toys.shop.orders["1"]["parcel"], "service": "x"})
    order.refresh_from_db()
    assert order.tags == ["lost"] and toys.rows("in_transit", 11 * 24 * HOURS) == []
    arrive(toys)
    order.refresh_from_db()
    assert order.status == "delivered"


def test_a_new_carrier_is_silent_for_longer_than_the_fixed_limit(toys: Toys) -> None:
    ship(toys)
    assert toys.rows("in_transit", 71 * HOURS) == []
    row = toys.one("in_transit", "at_risk", 73 * HOURS)
    assert "fixed limit of 72 hours" in str(row.cause) and "Last news" in str(row.cause)
    scan(NOW + 72 * HOURS)
    assert toys.rows("in_transit", 73 * HOURS) == []


def test_said_to_have_left_but_never_scanned(toys: Toys) -> None:
    toys.run("1", deliver_by=iso(NOW + 10 * 24 * HOURS))
    toys.in_the_erp("1", invoices=[{"key": KEY}], dispatches=[{"id": "AA1", "shipped": iso(NOW)}])
    assert toys.rows("in_transit", 47 * HOURS) == []
    row = toys.one("in_transit", "unseen", 49 * HOURS)
    assert "no carrier has scanned it" in str(row.cause)
    doors.record_tracking(
        Shipment.objects.get(source="erp"),
        [TrackingEventDocument(shipment_id="AA1", at=NOW + 48 * HOURS, status=ShipmentStatus.SHIPPED)],
    )
    assert toys.rows("in_transit", 49 * HOURS) == []


def test_what_comes_back_is_promised_to_nobody(toys: Toys) -> None:
    ship(toys)
    toys.change("1", status="cancelled")
    assert toys.rows("in_transit", 20 * 24 * HOURS) == []
    assert toys.rows("stalled", 479 * HOURS) == []
    row = toys.one("stalled", "return", 481 * HOURS)
    assert "has not come back" in str(row.cause)
    toys.change("1", parcel={"status": "returned", "shipped": iso(NOW), "returned": iso(NOW)})
    assert toys.rows("stalled", 481 * HOURS) == []


# --- Standing still


def test_stalled_before_each_step_by_fixed_limits_while_nothing_is_learnt(toys: Toys) -> None:
    toys.shop.place("1")
    toys.poll()
    assert toys.rows("stalled", HOURS) == []
    row = toys.one("stalled", "export", 3 * HOURS)
    assert hours(row, 3 * HOURS) == 3 and "fixed limit of 2 hours" in str(row.cause)
    toys.press(row, "Try again")
    # Ten working hours from Wednesday at nine end on Thursday at nine.
    assert toys.rows("stalled", 23 * HOURS) == []
    row = toys.one("stalled", "invoice", 25 * HOURS)
    assert "10 working hours" in str(row.cause)
    toys.erp.orders[next(iter(toys.erp.orders))]["invoices"] = [{"key": KEY}]
    toys.press(row, "Fetch it now")
    assert toys.rows("stalled", 47 * HOURS) == []
    assert toys.one("stalled", "dispatch", 49 * HOURS)
    toys.in_the_erp("1", dispatches=[{"id": "AA1", "shipped": iso(NOW)}])
    assert toys.rows("stalled", 239 * HOURS) == []
    row = toys.one("stalled", "delivery", 241 * HOURS)
    arrived = {"status": "delivered", "shipped": iso(NOW), "delivered": iso(NOW)}
    toys.shop.orders["1"].update(version=9, parcel=arrived)
    toys.press(row, "Fetch it now")
    assert toys.rows("stalled", 999 * HOURS) == []


# --- Who sees and does what


def test_jobs_closed_and_opened_elsewhere_leave_no_row_behind(toys: Toys) -> None:
    toys.run("1", "2", "3")
    for name in ("rejected", "untransmitted", "in_transit", "stalled"):
        assert toys.rows(name) == []
    assert not Job.objects.exclude(state=Job.State.DONE).exists()
