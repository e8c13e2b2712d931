"""Every sample with its exact canonical values, and every way in which Amazon's data surprises."""

from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.channels.amazon.mapping import order
from connectors.failures import Refusal
from orders.documents import Milestones
from orders.lifecycle import derive
from orders.vocabulary import Hold, Logistics, OrderStatus, PaymentStatus, ShipmentStatus
from tests.connectors.channels.amazon.wire import SAMPLES, sample

DBA = "order_dba_awaiting_invoice"
STATUS = {
    "order_dba_awaiting_invoice": OrderStatus.APPROVED,
    "order_partially_shipped_business": OrderStatus.SHIPPED,
    "order_pending": OrderStatus.PENDING,
    "order_cancelled": OrderStatus.CANCELLED,
    "order_delivered": OrderStatus.DELIVERED,
    "order_fba": OrderStatus.SHIPPED,
    "order_dba_returned": OrderStatus.RETURNED,
    "order_replacement": OrderStatus.APPROVED,
    "order_personal_data_withheld": OrderStatus.APPROVED,
    "order_unknown_words": OrderStatus.PENDING,
}


def changed(name: str, **parts: Any) -> dict[str, Any]:
    return {**sample(name), **parts}


def test_every_sample_has_its_status() -> None:
    assert {path.stem for path in SAMPLES.glob("*.json")} == set(STATUS)
    found = {name: derive(order(sample(name), {}).milestones) for name in STATUS}
    assert found == STATUS


@pytest.mark.parametrize("name", STATUS)
def test_money_adds_up(name: str) -> None:
    document = order(sample(name), {})
    assert document.totals.difference == 0
    assert sum(item.quantity * item.unit_price for item in document.items) == document.totals.items


def test_a_dba_order_that_waits_for_its_invoice() -> None:
    document = order(sample(DBA), {})
    assert document.external_id == "702-3310045-8812201"
    assert document.placed_at == datetime(2026, 11, 21, 13, 45, 12, 300_000, UTC)
    assert document.updated_at == datetime(2026, 11, 21, 14, 2, 40, 118_000, UTC)
    assert document.ship_by == datetime(2026, 11, 25, 2, 59, 59, tzinfo=UTC)
    assert document.deliver_by == datetime(2026, 12, 1, 2, 59, 59, tzinfo=UTC)
    assert (document.logistics, document.raw_logistics) == (Logistics.PICKUP, "MERCHANT DELIVERY_BY_AMAZON")
    assert document.payment_status == PaymentStatus.PAID
    assert document.milestones == Milestones(approved_at=document.updated_at)
    assert document.tags == ("DELIVERY_BY_AMAZON", "PRIME", "invoice:NOT_FOUND")
    assert not document.holds and not document.unknown
    assert "Intermediary CNPJ: 11444777000161" in document.notes


def test_the_line_and_the_totals_of_a_discount_on_the_freight() -> None:
    document = order(sample(DBA), {})
    (line,) = document.items
    assert (line.external_id, line.sku, line.quantity, line.unit_price, line.discount, line.cancelled) == (
        "70211000000017", "CAN-325-AZUL", 3, Decimal("39.90"), 0, 0,
    )  # fmt: skip
    totals = document.totals
    assert (totals.items, totals.freight, totals.discount, totals.total) == (
        Decimal("119.70"), Decimal("30.00"), 0, Decimal("149.70"),
    )  # fmt: skip


def test_the_buyer_the_address_and_the_payment() -> None:
    document = order(sample(DBA), {})
    assert (document.buyer.name, document.buyer.document) == ("Beatriz Amostra", "52998224725")
    address = document.ship_to
    assert address is not None
    assert (address.street, address.number, address.complement, address.district) == (
        "Rua do Ensaio", "410", "Apto 32", "Centro",
    )  # fmt: skip
    assert (address.city, address.state, address.postal_code, address.country) == (
        "Florianópolis", "SC", "88010400", "BR",
    )  # fmt: skip
    (payment,) = document.payments
    assert (payment.method, payment.amount, payment.authorization) == ("CreditCard", Decimal("149.70"), "884120")
    assert payment.status == PaymentStatus.PAID


def test_a_business_order_with_a_cancelled_line_and_a_discount_of_either_sign() -> None:
    document = order(sample("order_partially_shipped_business"), {})
    assert [(item.sku, item.quantity, item.unit_price, item.discount) for item in document.items] == [
        ("MOC-22-PRETA", 1, Decimal("189.00"), Decimal("10.00")),
        ("GAR-1L-VERDE", 3, Decimal("89.90"), Decimal("5.00")),
    ]
    assert document.totals.other == Decimal("4.70")
    assert (document.buyer.name, document.buyer.document) == ("Oficina Modelo Ltda", "11444777000161")
    assert document.ship_to is not None and document.ship_to.street == "Av. das Amostras"
    assert {"partially_shipped", "cancel_requested"} <= set(document.tags)
    (parcel,) = document.shipments
    assert (parcel.external_id, parcel.status, parcel.carrier) == ("1", ShipmentStatus.SHIPPED, "Transportadora Ensaio")
    assert parcel.shipped_at == datetime(2026, 11, 20, 9, tzinfo=UTC) == document.milestones.shipped_at
    assert [item.shipment_id for item in document.items] == ["1", ""]


def test_a_pending_order_has_no_price_and_no_hold() -> None:
    document = order(sample("order_pending"), {})
    assert document.payment_status == PaymentStatus.PENDING
    assert (document.totals.total, document.holds, document.ship_to) == (0, (), None)


def test_a_cancelled_order_keeps_its_lines_and_closes_at_zero() -> None:
    document = order(sample("order_cancelled"), {})
    assert [(item.quantity, item.cancelled) for item in document.items] == [(3, 3)]
    assert (document.totals.total, document.totals.other) == (0, Decimal("-149.70"))


def test_an_order_whose_every_line_was_reduced_to_nothing_is_cancelled() -> None:
    raw = sample("order_cancelled")
    raw["fulfillment"]["fulfillmentStatus"] = "UNSHIPPED"
    raw["orderItems"][0].update(quantityOrdered=0)
    raw["orderItems"][0].pop("proceeds")
    document = order(raw, {})
    assert derive(document.milestones) == OrderStatus.CANCELLED
    assert [(item.quantity, item.cancelled) for item in document.items] == [(1, 1)]


def test_a_parcel_that_came_back() -> None:
    document = order(sample("order_dba_returned"), {})
    assert document.shipments[0].status == ShipmentStatus.RETURNED
    assert document.milestones.invoiced_at and document.milestones.returned_at


def test_data_withheld_holds_what_the_seller_ships_but_not_what_amazon_ships() -> None:
    assert order(sample("order_personal_data_withheld"), {}).holds == (Hold.MASKED,)
    assert order(sample("order_fba"), {}).holds == ()
    assert Hold.MASKED in order(changed(DBA, recipient=None), {}).holds
    assert Hold.MASKED in order(changed(DBA, tax=None), {}).holds


@pytest.mark.parametrize(("setting", "logistics"), [("no", Logistics.FULFILLED), ("yes", Logistics.PICKUP)])
def test_only_the_setting_tells_onsite_from_fba(setting: str, logistics: Logistics) -> None:
    document = order(sample("order_fba"), {"fba_onsite": setting})
    assert document.logistics == logistics and document.raw_logistics.startswith("AMAZON")


def test_a_replacement_and_a_wish_to_cancel_wait_for_a_person() -> None:
    assert order(sample("order_replacement"), {}).holds == (Hold.PERSON,)
    raw = sample(DBA)
    raw["orderItems"][0]["cancellation"] = {"cancellationRequest": {"requester": "BUYER"}}
    document = order(raw, {})
    assert document.holds == (Hold.PERSON,) and document.items[0].cancelled == 0


def test_unknown_words_are_kept_and_move_nothing() -> None:
    document = order(sample("order_unknown_words"), {})
    assert document.raw_status == "UPCOMING" and document.milestones == Milestones()
    assert document.ship_by is None
    assert "$.fulfillment.fulfillmentStatus: UPCOMING" in document.unknown
    assert "$.programs: AMAZON_DRONE" in document.unknown
    assert "$.tax.taxInvoicing.invoiceStatus: QUEUED" in document.unknown


def test_without_the_fulfillment_block_nothing_moves() -> None:
    document = order(changed(DBA, fulfillment=None), {})
    assert document.milestones == Milestones() and document.unknown == ("$.fulfillment: missing",)


@pytest.mark.parametrize(
    ("channel", "word"),
    [({"channelName": "NON_AMAZON"}, "sold elsewhere"), ({"channelName": "AMAZON", "marketplaceId": "X"}, "another")],
)
def test_orders_of_elsewhere_are_refused(channel: dict[str, str], word: str) -> None:
    with pytest.raises(Refusal, match=word):
        order(changed(DBA, salesChannel=channel), {})


@pytest.mark.parametrize(
    ("given_number", "document"),
    [
        ("529.982.247-25", "52998224725"),
        ("11.444.777/0001-61", "11444777000161"),
        ("12.ABC.345/01DE-35", "12ABC34501DE35"),
        ("9010410000", "9010410000"),
        ("604416500", "604416500"),
        ("1444777000161", "1444777000161"),
    ],
)
def test_documents_are_known_by_their_length(given_number: str, document: str) -> None:
    raw = sample(DBA)
    raw["tax"]["taxRegistrations"][0]["taxRegistrationNumber"] = given_number
    assert order(raw, {}).buyer.document == document


def test_a_lost_leading_zero_comes_back() -> None:
    raw = sample(DBA)
    raw["tax"]["taxRegistrations"][0]["taxRegistrationNumber"] = "1234567890"
    assert order(raw, {}).buyer.document == "01234567890"


@pytest.mark.parametrize(
    ("line", "street", "number"),
    [
        ("Rua A, 12", "Rua A", "12"),
        ("Rua A, nº 12-B", "Rua A", "12-B"),
        ("Av. B, s/n", "Av. B", "s/n"),
        ("Rodovia BR 101 km 4", "Rodovia BR 101 km 4", "S/N"),
        ("Rua C, Bloco 2, 55", "Rua C, Bloco 2", "55"),
    ],
)
def test_the_number_is_found_in_the_first_line(line: str, street: str, number: str) -> None:
    raw = sample(DBA)
    address = raw["recipient"]["deliveryAddress"]
    address["addressLine1"] = line
    del address["extendedFields"]
    ship_to = order(raw, {}).ship_to
    assert ship_to is not None and (ship_to.street, ship_to.number) == (street, number)


def _priced(*parts: tuple[str, str], total: str, freight_off: str = "") -> dict[str, Any]:
    """The DBA sample's line with these breakdowns and this total."""
    raw = sample(DBA)
    breakdowns: list[dict[str, Any]] = [{"type": kind, "subtotal": _money(value)} for kind, value in parts]
    if freight_off:
        breakdowns[-1]["detailedBreakdowns"] = [{"subtype": "SHIPPING", "value": _money(freight_off)}]
    raw["orderItems"][0]["proceeds"] = {"proceedsTotal": _money(total), "breakdowns": breakdowns}
    raw["proceeds"] = {"grandTotal": _money(total)}
    return raw


def _money(value: str) -> dict[str, str]:
    return {"amount": value, "currencyCode": "BRL"}


def test_the_line_total_says_whether_the_discount_contains_the_freight_part() -> None:
    parts = [("ITEM", "119.70"), ("SHIPPING", "20.00"), ("DISCOUNT", "12.00")]
    within = order(_priced(*parts, total="127.70", freight_off="2.00"), {}).totals
    beside = order(_priced(*parts, total="125.70", freight_off="2.00"), {}).totals
    assert (within.discount, within.freight, within.difference) == (Decimal("10.00"), Decimal("18.00"), 0)
    assert (beside.discount, beside.freight, beside.difference) == (Decimal("12.00"), Decimal("18.00"), 0)


def test_parts_that_do_not_add_up_are_shown_not_smoothed() -> None:
    document = order(_priced(("ITEM", "119.70"), total="100.00"), {})
    assert document.totals.difference == Decimal("-19.70")


def test_a_line_without_price_takes_it_from_its_total() -> None:
    raw = _priced(total="90.00")
    del raw["orderItems"][0]["product"]["price"]
    document = order(raw, {})
    assert (document.items[0].unit_price, document.totals.difference) == (Decimal("30"), 0)


def test_an_unknown_kind_of_charge_counts_and_is_noted() -> None:
    document = order(_priced(("ITEM", "119.70"), ("DRONE_FEE", "3.00"), total="122.70"), {})
    assert (document.totals.other, document.totals.difference) == (Decimal("3.00"), 0)
    assert any("DRONE_FEE" in text for text in document.unknown)


def test_a_line_partly_cancelled_by_quantity() -> None:
    raw = sample(DBA)
    raw["orderItems"][0]["cancellation"] = {"cancellationExecution": {"cancelledBy": "MERCHANT"}}
    raw["orderItems"][0]["fulfillment"] = {"quantityFulfilled": 0, "quantityUnfulfilled": 2}
    raw["proceeds"] = {"grandTotal": _money("99.80")}
    document = order(raw, {})
    assert (document.items[0].cancelled, document.totals.difference) == (1, 0)
    assert derive(document.milestones) == OrderStatus.APPROVED


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("orderId",), None, "$.orderId: is missing"),
        (("lastUpdatedTime",), "ontem", "$.lastUpdatedTime: is not a date and time"),
        (("orderItems",), {}, "$.orderItems: expected a list"),
        (("orderItems", 0, "quantityOrdered"), "x", "$.orderItems[0].quantityOrdered: expected a number"),
        (("orderItems", 0, "quantityOrdered"), -1, "$.orderItems[0].quantityOrdered: is not a plausible quantity"),
        (("proceeds", "grandTotal", "amount"), "9" * 20, "$.proceeds.grandTotal: is not a plausible amount"),
        (("orderItems", 0, "orderItemId"), "", "$.orderItems[0].orderItemId: is missing"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_path(path: tuple[Any, ...], value: Any, said: str) -> None:
    raw = sample(DBA)
    place: Any = raw
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(Refusal) as refusal:
        order(raw, {})
    assert str(refusal.value).startswith(said)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300) | st.decimals(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for step, inner in steps for found in _paths(inner, (*path, step)))]


BASES = [sample(name) for name in STATUS]
PLACES = [(number, path) for number, base in enumerate(BASES) for path in _paths(base)[1:]]


@given(place=st.sampled_from(PLACES), value=JSON)
def test_no_value_anywhere_makes_the_mapping_crash(place: tuple[int, tuple[Any, ...]], value: Any) -> None:
    raw = deepcopy(BASES[place[0]])
    inner: Any = raw
    for step in place[1][:-1]:
        inner = inner[step]
    inner[place[1][-1]] = value
    try:
        order(raw, {})
    except Refusal as refusal:
        assert refusal.message
