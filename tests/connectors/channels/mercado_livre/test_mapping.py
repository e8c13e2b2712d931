"""What each sample means, to the cent, and that nothing but a refusal escapes."""

import contextlib
import copy
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.channels.mercado_livre.mapping import order_document
from connectors.failures import Refusal
from orders.vocabulary import Hold, Logistics, PaymentStatus, ShipmentStatus

from .wire import SAMPLES, document, sample

BUNDLES = sorted(path.stem for path in SAMPLES.glob("*.json") if not path.stem.startswith(("push", "search")))


def at(hour: int, minute: int, second: int = 0) -> datetime:
    return datetime(2026, 11, 19, hour, minute, second, tzinfo=UTC)


@pytest.mark.parametrize("name", BUNDLES)
def test_money_of_every_sample_adds_up(name: str) -> None:
    order = document(name)
    assert order.totals.difference == 0
    assert order.unknown == ()
    assert sum(item.discount for item in order.items) == order.totals.discount
    assert sum(item.unit_price * item.quantity for item in order.items) == order.totals.items


def test_a_pack_is_one_sale() -> None:
    order = document("paid_pack")
    assert order.external_id == "2000008880000005"
    assert order.external_ids == ("2000008880000005", "2000018880000101", "2000018880000102")
    assert order.raw_status == "paid ready_to_ship/invoice_pending"
    assert order.placed_at == at(18, 20, 5)
    assert order.updated_at == at(19, 0)
    assert order.milestones.approved_at == at(18, 20, 8)
    assert order.payment_status == PaymentStatus.PAID
    assert (order.logistics, order.raw_logistics) == (Logistics.PICKUP, "me2/cross_docking")
    assert order.ship_by == datetime(2026, 11, 22, 2, 59, 59, tzinfo=UTC)
    assert order.deliver_by == datetime(2026, 11, 24, 3, tzinfo=UTC)
    assert [payment.authorization for payment in order.payments] == ["774411", ""]


def test_the_money_of_a_pack() -> None:
    totals = document("paid_pack").totals
    assert totals.items == Decimal("268.80")  # 2 x 39.90 + 189.00
    assert totals.discount == Decimal("6.00")
    assert totals.subsidy == Decimal("4.00")
    assert totals.freight == Decimal("12.90")
    assert totals.interest == Decimal("2.50")
    assert totals.total == Decimal("274.20")
    assert totals.fees == Decimal("31.06")  # the fee is per unit
    assert totals.freight_cost == Decimal("15.75")


def test_lines_buyer_and_addresses() -> None:
    order = document("paid_pack")
    cup, bag = order.items
    assert (cup.sku, cup.quantity, cup.unit_price) == ("CAN-325-AZUL", 2, Decimal("39.90"))
    assert cup.external_id == "2000018880000101-MLB4100000007-181000000004"
    assert (bag.order_id, bag.shipment_id) == ("2000018880000102", "46911000001")
    assert (order.buyer.name, order.buyer.document) == ("Rita Prado", "39053344705")
    assert order.ship_to is not None and order.bill_to is not None
    assert (order.ship_to.state, order.ship_to.postal_code, order.ship_to.number) == ("PR", "80020100", "42")
    assert order.ship_to.notes == "Portaria 24 h"
    assert (order.bill_to.state, order.bill_to.number) == ("PR", "S/N")


def test_a_company_buys() -> None:
    order = document("paid_single")
    assert order.external_ids == ("2000018880000101",)
    assert (order.buyer.name, order.buyer.document) == ("Papelaria Modelo Ltda", "11444777000161")
    assert order.buyer.state_registration == "9012345678"


def test_one_order_of_a_pack_is_cancelled() -> None:
    order = document("pack_partly_cancelled")
    assert [item.cancelled for item in order.items] == [0, 1]
    assert [item.refunded for item in order.items] == [0, 1]
    assert order.milestones.cancelled_at is None
    assert order.milestones.approved_at is not None
    assert order.payment_status == PaymentStatus.PARTIALLY_REFUNDED
    assert "partially_cancelled" in order.tags


def test_a_cancelled_sale() -> None:
    order = document("cancelled")
    assert order.milestones.cancelled_at == at(20, 10)
    assert order.payment_status == PaymentStatus.REFUNDED
    assert order.items[0].cancelled == 1
    assert order.shipments[0].exception == ""
    assert order.updated_at == at(20, 10, 3)


def test_a_partial_refund_is_money_not_goods() -> None:
    order = document("partially_refunded")
    assert order.payments[0].refunded == 20
    assert order.items[0].refunded == 0
    assert order.payment_status == PaymentStatus.PARTIALLY_REFUNDED


def test_a_coupon_is_shared_between_seller_and_marketplace() -> None:
    totals = document("coupon").totals
    assert (totals.discount, totals.subsidy, totals.total) == (4, 6, Decimal("119.50"))


@pytest.mark.parametrize(
    ("name", "status", "shipped", "delivered", "returned"),
    [
        ("paid_single", ShipmentStatus.READY, None, None, None),
        ("picked_up", ShipmentStatus.SHIPPED, at(21, 5), None, None),
        ("shipped", ShipmentStatus.SHIPPED, at(22, 30), None, None),
        ("delivered", ShipmentStatus.DELIVERED, at(23, 0), at(23, 0), None),
        ("not_delivered", ShipmentStatus.SHIPPED, at(23, 0), None, None),
        ("returned", ShipmentStatus.RETURNED, datetime(2026, 11, 20, tzinfo=UTC), None, "same"),
    ],
)
def test_the_parcels_way(name: str, status: str, shipped: Any, delivered: Any, returned: Any) -> None:
    order = document(name)
    assert order.shipments[0].status == status
    assert (order.milestones.shipped_at, order.milestones.delivered_at) == (shipped, delivered)
    assert order.milestones.returned_at == (shipped if returned else None)


def test_the_carrier_is_known_once_it_has_the_parcel() -> None:
    parcel = document("shipped").shipments[0]
    assert (parcel.carrier, parcel.tracking_url) == ("Loggi", "https://rastreio.example/46911000001")
    assert document("not_delivered").shipments[0].exception == "returning_to_sender"


def test_a_part_of_the_goods_comes_back() -> None:
    order = document("partly_returned")
    assert order.items[0].returned == 1
    assert order.milestones.returned_at is None
    on_the_way = sample("partly_returned")
    on_the_way["returns"][0]["shipments"][0]["status"] = "pending"
    assert order_document(on_the_way, {}).items[0].returned == 0


def test_holds() -> None:
    assert document("fraud").holds == (Hold.FRAUD,)
    assert document("masked").holds == (Hold.MASKED,)
    assert document("masked").ship_to is None


def test_unpaid_is_not_approved() -> None:
    order = document("unpaid")
    assert order.milestones.approved_at is None
    assert order.payment_status == PaymentStatus.PENDING


def test_a_pack_waits_for_its_release_and_for_each_order() -> None:
    raw = sample("paid_pack")
    raw["pack"]["status"] = "error"
    assert order_document(raw, {}).milestones.approved_at is None
    raw = sample("paid_pack")
    raw["orders"][1]["status"] = "payment_in_process"
    assert order_document(raw, {}).milestones.approved_at is None


def test_who_runs_the_parcel() -> None:
    assert document("fulfillment").logistics == Logistics.FULFILLED
    assert document("own_carrier").logistics == Logistics.SELLER
    assert document("own_carrier").buyer.phone == "41998887766"
    assert document("agreed_with_seller").logistics == Logistics.NONE


def test_the_old_formats_logistic_type_is_read_too() -> None:
    raw = sample("paid_single")
    parcel = raw["shipments"][0]["shipment"]
    parcel |= {"mode": "me2", "logistic_type": "drop_off"}
    del parcel["logistic"]
    assert order_document(raw, {}).raw_logistics == "me2/drop_off"


def test_unknown_words_are_kept() -> None:
    raw = sample("paid_single")
    raw["orders"][0]["status"] = "dreaming"
    raw["shipments"][0]["shipment"]["status"] = "flying"
    order = order_document(raw, {})
    assert {"$.orders[0].status: dreaming", "$.shipments[0].shipment.status: flying"} <= set(order.unknown)
    assert order.milestones.approved_at is None
    assert order.raw_status.startswith("dreaming flying")


def test_a_sellers_feedback_cancels_whatever_the_status_says() -> None:
    raw = sample("paid_single")
    raw["orders"][0] |= {"status": "confirmed", "fulfilled": False, "feedback": {"seller": {"fulfilled": False}}}
    assert order_document(raw, {}).milestones.cancelled_at is not None


def test_without_a_parcel_the_sellers_word_is_the_delivery() -> None:
    raw = sample("agreed_with_seller")
    raw["orders"][0]["fulfilled"] = True
    assert order_document(raw, {}).milestones.delivered_at is not None


def test_a_listing_without_sku_uses_the_persons_table() -> None:
    raw = sample("paid_single")
    raw["orders"][0]["order_items"][0]["item"]["seller_sku"] = None
    assert order_document(raw, {}).items[0].sku == ""
    assert order_document(raw, {"skus": {"MLB4100000009": "LUM"}}).items[0].sku == "LUM"
    table = {"MLB4100000009": "LUM", "MLB4100000009/181000000004": "LUM-V"}
    assert order_document(raw, {"skus": table}).items[0].sku == "LUM-V"


def test_a_missing_price_is_refused_with_its_place() -> None:
    raw = sample("paid_single")
    del raw["orders"][0]["order_items"][0]["unit_price"]
    with pytest.raises(Refusal) as caught:
        order_document(raw, {})
    assert caught.value.path == "$.orders[0].order_items[0].unit_price"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.decimals(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for name, inner in pairs for found in _places(inner, (*path, name)))]


WHOLE = [(name, path) for name in ("paid_pack", "partly_returned", "coupon") for path in _places(sample(name)) if path]


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(WHOLE), JSON)
def test_anything_anywhere_is_read_or_refused(place: tuple[str, tuple[Any, ...]], junk: Any) -> None:
    name, path = place
    raw = copy.deepcopy(sample(name))
    inner = raw
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = junk
    with contextlib.suppress(Refusal):
        order_document(raw, {})


@settings(deadline=None, max_examples=300)
@given(JSON)
def test_any_document_is_read_or_refused(raw: Any) -> None:
    with contextlib.suppress(Refusal):
        order_document(raw, {})
