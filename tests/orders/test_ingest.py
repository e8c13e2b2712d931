import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest
from django.db import IntegrityError, close_old_connections, connection
from django.test.utils import CaptureQueriesContext

from orders import bulk, doors
from orders import ingest as door
from orders.documents import Buyer, Milestones, OrderDocument, Payment, Shipment
from orders.ingest import Ingested, Refused, ingest
from orders.models import LineEvent, Order, OrderEvent, OrderItem, OrderReference, SalesChannel
from orders.vocabulary import Hold, LineChange, OrderStatus, ShipmentStatus, Source
from tests.orders.factory import NOW, at, channel, document, item, taken, totals

pytestmark = pytest.mark.django_db


def page(count: int, version: int = 0, **columns: Any) -> list[OrderDocument]:
    return [document(f"S{number}", version, external_ids=(f"M{number}",), **columns) for number in range(count)]


def statements(into: SalesChannel, documents: list[OrderDocument]) -> list[str]:
    """The SQL of one ingest, without BEGIN, COMMIT and savepoints."""
    with CaptureQueriesContext(connection) as queries:
        ingest(into, documents, now=NOW)
    words = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")
    return [query["sql"] for query in queries if not query["sql"].startswith(words)]


def codes(order: Order) -> list[str]:
    return [event.code for event in order.events.all()]


def test_a_document_becomes_an_order_with_all_its_parts() -> None:
    order = Order.objects.get(pk=taken(channel(), document(external_ids=("S1", "M1"))).order.pk)

    assert (order.external_id, order.status, order.total) == ("S1", OrderStatus.APPROVED, Decimal("30.50"))
    assert (order.buyer_name, order.city, order.state) == ("Ana Paula", "São Paulo", "SP")
    assert order.buyer["document"] == "52998224725"
    assert not order.held
    assert {reference.value for reference in order.references.all()} == {"S1", "M1"}
    assert [(line.sku, line.quantity) for line in order.items.order_by("external_id")] == [("SKU-1", 2), ("SKU-2", 1)]
    assert order.payments.get().amount == Decimal("30.50")
    assert order.shipments.get().source == Source.CHANNEL
    assert codes(order) == ["received", "approved"]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite splits statements by its parameter limit")
def test_a_page_is_eight_statements_whatever_its_size() -> None:
    assert len(statements(channel(), page(3))) == 8
    assert len(statements(channel(), page(200))) == 8


def test_a_page_without_news_is_one_statement() -> None:
    into = channel()
    ingest(into, page(50), now=NOW)
    before = list(Order.objects.values_list("changed_at"))

    assert len(statements(into, page(50))) == 1
    assert list(Order.objects.values_list("changed_at")) == before


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite splits statements by its parameter limit")
def test_changed_orders_are_a_fixed_number_of_statements() -> None:
    into = channel()
    ingest(into, page(60), now=NOW)
    shipped = Milestones(approved_at=at(0), shipped_at=at(9))

    few = len(statements(into, page(2, version=1, milestones=shipped)))
    many = len(statements(into, page(60, version=2, milestones=shipped, raw_status="sent")))
    assert few == many <= 10


def test_results_stand_in_the_order_of_the_documents() -> None:
    into = channel()
    ingest(into, page(2), now=NOW)
    results = ingest(into, [*page(3), document("S1", 5, raw_status="new")], now=NOW)

    assert [result.document.external_id for result in results] == ["S0", "S1", "S2", "S1"]
    facts = [(result.created, result.changed) for result in results if isinstance(result, Ingested)]
    assert facts == [(False, False), (False, False), (True, True), (False, True)]


def test_one_sale_twice_in_a_page_is_one_order() -> None:
    results = ingest(channel(), [document(version=2, raw_status="new"), document(version=1)], now=NOW)

    assert Order.objects.get().raw_status == "new"
    assert [result.created for result in results if isinstance(result, Ingested)] == [True, False]


def test_a_member_id_leads_to_the_order_although_the_document_has_another_id() -> None:
    into = channel()
    first = taken(into, document("order-1")).order
    later = taken(into, document("pack-9", 1, external_ids=("order-1", "order-2")))

    assert (later.order.pk, later.created) == (first.pk, False)
    assert Order.objects.get().external_id == "order-1"
    assert {reference.value for reference in OrderReference.objects.all()} == {"order-1", "order-2", "pack-9"}


def test_a_document_whose_ids_belong_to_two_orders_is_refused_and_the_others_are_not() -> None:
    into = channel()
    ingest(into, [document("A"), document("B")], now=NOW)
    mixed = document("C", 1, external_ids=("A", "B"))
    refused, fine = ingest(into, [mixed, document("D")], now=NOW)

    assert isinstance(refused, Refused)
    assert (refused.error.first, refused.error.second, refused.document) == ("A", "B", mixed)
    assert isinstance(fine, Ingested)
    assert set(Order.objects.values_list("external_id", flat=True)) == {"A", "B", "D"}


def test_two_channels_may_use_the_same_number() -> None:
    assert taken(channel(), document()).order.pk != taken(channel(), document()).order.pk


def test_a_newer_document_replaces_and_an_older_one_adds_only_what_it_alone_knows() -> None:
    into = channel()
    taken(into, document(version=5, raw_status="sent", milestones=Milestones(shipped_at=at(9))))
    older = document(version=1, raw_status="paid", milestones=Milestones(approved_at=at(1)))
    assert taken(into, older).changed
    assert not taken(into, older).changed

    order = Order.objects.get()
    assert (order.raw_status, order.status, order.approved_at) == ("sent", OrderStatus.SHIPPED, at(1))


def test_a_version_from_the_far_future_does_not_shut_out_the_documents_after_it() -> None:
    into = channel()
    wrong = document(updated_at=NOW + timedelta(days=4000), raw_status="wrong")
    assert Hold.DATES in taken(into, wrong).order.holds
    later = NOW + timedelta(days=2)
    ingest(into, [document(updated_at=later, raw_status="right")], now=later)

    order = Order.objects.get()
    assert (order.raw_status, order.held) == ("right", False)


# --- Lines


def test_running_totals_of_a_line_become_entries_of_its_ledger() -> None:
    into = channel()
    ingest(into, [document(version=0, items=(item(),))], now=NOW)
    ingest(into, [document(version=1, items=(item(cancelled=Decimal(2)),))], now=NOW)
    ingest(into, [document(version=2, items=(item(cancelled=Decimal(1), refunded=Decimal(1)),))], now=NOW)

    line = OrderItem.objects.get()
    assert (line.quantity, line.cancelled, line.refunded, line.left) == (2, 1, 1, 1)
    told = [event.data for event in OrderEvent.objects.filter(code="lines_changed")]
    assert [(data["change"], data["lines"]) for data in told] == [
        ("cancelled", "2 × SKU-1"),
        ("cancelled", "-1 × SKU-1"),
        ("refunded", "1 × SKU-1"),
    ]
    entries = LineEvent.objects.order_by("id").values_list("change", "quantity")
    assert list(entries) == [("cancelled", 2), ("cancelled", -1), ("refunded", 1)]


def test_a_line_that_disappears_is_cancelled_and_one_that_comes_back_is_not() -> None:
    into = channel()
    both = (item("1"), item("2"))
    ingest(into, [document(version=0, items=both), document(version=1, items=both[:1])], now=NOW)
    gone = OrderItem.objects.get(external_id="2")
    assert (gone.cancelled, gone.left) == (2, 0)
    assert LineEvent.objects.get(item=gone).reason

    ingest(into, [document(version=2, items=both)], now=NOW)
    assert OrderItem.objects.get(external_id="2").left == 2


def test_a_line_only_an_older_document_knows_is_kept_as_cancelled() -> None:
    into = channel()
    ingest(into, [document(version=5, items=(item("1"),))], now=NOW)
    ingest(into, [document(version=1, items=(item("1"), item("2")))], now=NOW)
    assert {line.external_id: line.left for line in OrderItem.objects.all()} == {"1": 2, "2": 0}
    assert LineEvent.objects.get().change == LineChange.CANCELLED


def test_an_id_used_twice_within_an_order_loses_no_line() -> None:
    ingest(channel(), [document(items=(item("1", sku="A"), item("1", sku="B")))], now=NOW)
    assert {line.external_id: line.sku for line in OrderItem.objects.all()} == {"1": "A", "1#2": "B"}


def test_an_order_of_ten_thousand_lines() -> None:
    into = channel()
    lines = tuple(item(str(number)) for number in range(10_000))
    ingest(into, [document(items=lines)], now=NOW)
    ingest(into, [document(version=1, items=lines[1:])], now=NOW)
    assert OrderItem.objects.count() == 10_000
    assert OrderItem.objects.get(external_id="0").left == 0


def test_unchanged_lines_are_not_written_again() -> None:
    into = channel()
    ingest(into, [document()], now=NOW)
    changed = statements(into, [document(version=1, raw_status="new")])
    assert not [sql for sql in changed if "orders_orderitem" in sql and not sql.startswith("SELECT")]


def test_odd_numbers_of_installments_are_kept_within_what_a_column_holds() -> None:
    order = taken(
        channel(), document(payments=(Payment(external_id="p", amount=Decimal(1), installments=10**9),))
    ).order
    assert order.payments.get().installments == 32767


# --- Parcels


def test_a_parcel_keeps_its_earliest_times_and_never_moves_back() -> None:
    into = channel()
    ingest(into, [document(shipments=(Shipment(external_id="s", delivered_at=at(9)),))], now=NOW)
    waiting = Shipment(external_id="s", status=ShipmentStatus.READY, raw_status="ready")
    ingest(into, [document(version=1, shipments=(waiting,))], now=NOW)
    parcel = Order.objects.get().shipments.get()
    assert (parcel.status, parcel.delivered_at, parcel.raw_status) == ("delivered", at(9), "ready")


def test_a_problem_on_the_way_is_told_once() -> None:
    into = channel()
    lost = Shipment(external_id="s", exception="Address not found")
    ingest(into, [document(shipments=(lost,)), document(version=1, shipments=(lost,), raw_status="x")], now=NOW)
    assert codes(Order.objects.get()).count("parcel_problem") == 1


# --- Holds


def test_a_document_that_closes_again_ends_the_hold_it_caused() -> None:
    into = channel()
    lines = (item(),)
    wrong = totals(lines).model_copy(update={"total": Decimal("99.00")})
    held = taken(into, document(items=lines, totals=wrong)).order
    assert (held.holds, held.held, held.difference) == (["money"], True, Decimal("74.00"))

    right = taken(into, document(version=1, items=lines)).order
    assert (right.holds, right.held, right.difference) == ([], False, 0)
    assert codes(right) == ["received", "approved", "held", "changed", "hold_cleared"]


def test_what_a_person_decided_survives_every_document() -> None:
    into = channel()
    bad = Buyer(name="Ana", document="11111111111")
    order = taken(into, document(buyer=bad)).order
    assert doors.release(order, [Hold.BUYER], "maria") == ["buyer"]
    again = taken(into, document(version=1, buyer=bad, raw_status="new")).order
    assert (again.holds, again.held) == (["buyer"], False)

    doors.hold(again, "maria")
    stopped = taken(into, document(version=2)).order
    assert (stopped.holds, stopped.held) == (["person"], True)


# --- One transaction


def test_what_follows_commits_with_the_orders_or_not_at_all() -> None:
    def fail(results: list[Any]) -> None:
        assert [result.order.pk for result in results] == [Order.objects.get().pk]
        raise RuntimeError("planning failed")

    with pytest.raises(RuntimeError):
        ingest(channel(), [document()], then=fail, now=NOW)
    assert not Order.objects.exists()


def test_who_comes_second_finds_what_the_first_wrote() -> None:
    into = channel()
    ingest(into, [document(version=1)], now=NOW)
    # The first look came before the other worker's commit.
    known = mock.Mock(side_effect=[{}, door._known(into, [document()])])

    with mock.patch.object(door, "_known", known):
        result = ingest(into, [document(version=2, raw_status="new")], now=NOW)[0]
    assert isinstance(result, Ingested)
    assert (result.created, Order.objects.get().raw_status) == (False, "new")


def test_a_conflict_that_does_not_end_is_raised_after_three_tries() -> None:
    with mock.patch.object(bulk, "insert", side_effect=IntegrityError) as insert, pytest.raises(IntegrityError):
        ingest(channel(), [document()], now=NOW)
    assert insert.call_count == door.TRIES


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
@pytest.mark.django_db(transaction=True)
def test_workers_with_the_same_new_page_make_each_order_once() -> None:
    into = channel()
    barrier = threading.Barrier(4)
    results: list[Any] = []
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            barrier.wait()
            documents = page(30, version=number)
            results.extend(ingest(into, documents if number % 2 else documents[::-1], now=NOW))
        except BaseException as error:  # noqa: BLE001 - shown by the main thread
            errors.append(error)
        finally:
            close_old_connections()
            connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not errors
    assert Order.objects.count() == 30
    assert sum(result.created for result in results) == 30
    assert set(Order.objects.values_list("version_at", flat=True)) == {at(3)}
    assert OrderEvent.objects.filter(code="received").count() == 30


# --- Search


def test_search_holds_ids_buyer_and_skus_in_lower_case() -> None:
    order = taken(channel(), document("ABC-1", external_ids=("M-9",))).order
    assert order.search == "abc-1 m-9 ana paula 52998224725 sku-1 sku-2"


@pytest.mark.skipif(connection.vendor != "postgresql", reason="trigrams are PostgreSQL's")
def test_search_has_a_trigram_index() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'order_search'")
        assert "gin_trgm_ops" in cursor.fetchone()[0]


def test_the_timeline_is_append_only() -> None:
    event = taken(channel(), document()).order.events.all()[0]
    with pytest.raises(TypeError):
        event.save()
