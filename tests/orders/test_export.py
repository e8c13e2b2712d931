from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders import doors
from orders.documents import DispatchDocument, Milestones, OrderDocument
from orders.export import NothingLeft, for_export, to_document
from orders.models import Order
from tests.orders.factory import NOW, at, channel, document, item, taken, totals

pytestmark = pytest.mark.django_db


def exported(*documents: OrderDocument) -> OrderDocument:
    return to_document(taken(channel(), *documents).order)


def test_an_order_without_losses_comes_back_as_it_was() -> None:
    told = document(external_ids=("M1", "S1"), milestones=Milestones(approved_at=at(0)), tags=("gift",), notes="Hi")
    assert exported(told) == told


def test_what_an_erp_reads_has_cents_and_whole_pieces() -> None:
    found = exported(document(items=(item(unit_price=Decimal("9.9950"), quantity=Decimal("1.5")),)))
    assert str(found.totals.freight) == "5.00"
    assert (str(found.items[0].unit_price), str(found.items[0].quantity)) == ("9.9950", "1.5")
    assert str(exported(document(items=(item(quantity=Decimal(100)),))).items[0].quantity) == "100"


def test_cancelled_pieces_are_gone_with_their_share_of_the_discount() -> None:
    line = item("1", quantity=Decimal(3), discount=Decimal("1.00"), fee=Decimal("3.00"), cancelled=Decimal(1))
    found = exported(document(items=(line, item("2"))))

    assert [(left.quantity, left.discount, left.fee) for left in found.items] == [
        (2, Decimal("0.67"), Decimal("2.00")),
        (2, 0, 0),
    ]
    assert (found.totals.items, found.totals.discount, found.totals.total) == (40, Decimal("0.67"), Decimal("44.33"))
    assert found.totals.difference == 0


def test_a_cancelled_line_is_no_line() -> None:
    found = exported(document(items=(item("1", cancelled=Decimal(2), discount=Decimal("0.50")), item("2"))))
    assert [left.external_id for left in found.items] == ["2"]
    assert (found.totals.items, found.totals.discount, found.totals.total) == (20, 0, 25)


def test_a_line_the_newest_document_left_out_is_no_part_of_its_totals() -> None:
    found = exported(document(items=(item("1"), item("2"))), document(version=1, items=(item("2"),)))
    assert [left.external_id for left in found.items] == ["2"]
    assert (found.totals.items, found.totals.total) == (20, 25)


def test_with_nothing_left_there_is_nothing_to_export() -> None:
    order = taken(channel(), document(items=(item(cancelled=Decimal(2)),))).order
    with pytest.raises(NothingLeft):
        to_document(order)
    assert to_document(order, whole=True).items[0].quantity == 2


def test_the_erps_own_parcels_are_not_told_to_it() -> None:
    order = taken(channel(), document()).order
    doors.record_dispatch(order, DispatchDocument(external_id="d", shipped_at=at(5)))
    assert [parcel.external_id for parcel in to_document(order).shipments] == ["s"]
    assert to_document(for_export().get()) == to_document(order)


def test_many_orders_are_read_in_a_fixed_number_of_statements() -> None:
    into = channel()
    for number in range(5):
        taken(into, document(f"S{number}"))
    with CaptureQueriesContext(connection) as queries:
        documents = [to_document(order) for order in for_export(Order.objects.filter(channel=into))]
    assert len(documents) == 5
    assert len(queries) == 5


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99999), st.integers(0, 999)),
        min_size=1,
        max_size=5,
    )
)
def test_what_is_left_closes_like_the_whole(lines: list[tuple[int, int, int, int]]) -> None:
    items = tuple(
        item(
            str(number),
            quantity=Decimal(quantity),
            cancelled=Decimal(min(cancelled, quantity)),
            unit_price=Decimal(price) / 100,
            discount=Decimal(discount) / 100,
        )
        for number, (quantity, cancelled, price, discount) in enumerate(lines)
    )
    order = taken(channel(), document(items=items, totals=totals(items))).order
    left = sum(line.quantity - line.cancelled for line in items)
    if not left:
        return
    found = to_document(order)
    assert found.totals.difference == 0
    assert sum(line.quantity * line.unit_price for line in found.items) == found.totals.items
    assert sum(line.discount for line in found.items) == found.totals.discount
    assert sum(line.quantity for line in found.items) == left
    assert found.updated_at < NOW
