"""Mercado Livre's documents -> one canonical order per pack. Pure; `raw` is what `bundle.fetch` joins.

An order holds one listing, so a pack's orders become its lines. A line's price is the list price; `discount` is the
part of the reduction that the seller pays, the rest is the marketplace's subsidy. Freight is charged once per
shipment. `total` is what the payments say the buyer paid, so that the parts prove it.

Settings: `skus`, see `adapter`.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from connectors.channels.mercado_livre import lines, money, parcels, people, words
from connectors.channels.mercado_livre.sale import Sale, back
from connectors.failures import Refusal
from connectors.reading import Reader
from orders.documents import Milestones, OrderDocument, Shipment, earliest, latest
from orders.vocabulary import Hold, PaymentStatus, ShipmentStatus

FRAUD_TAG = "fraud_risk_detected"


def order_document(raw: Mapping[str, Any], settings: Mapping[str, Any]) -> OrderDocument:
    """Raises `Refusal` with the path of what cannot be read."""
    root = Reader(raw)
    orders = list(root.list("orders"))
    if not orders:
        raise root.refuse("orders", "holds no order")
    sale = Sale(root, settings, root.maybe("pack"), orders, list(root.list("shipments")))
    try:
        return _document(sale)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Refusal(f"{first['msg']} ({place})", path=f"$.{place}") from None


def _document(sale: Sale) -> OrderDocument:
    first = sale.orders[0]
    external_id = first.text("pack_id", "") or first.text("id")
    shipments = [parcels.parcel(sale, one) for one in sale.shipments]
    mode, kind = parcels.carried_by(sale)
    ship_to, hidden = people.ship_to(sale)
    return OrderDocument(
        external_id=external_id,
        external_ids=tuple(dict.fromkeys([external_id, *(order.text("id") for order in sale.orders)])),
        updated_at=_updated_at(sale),
        placed_at=min(order.when("date_created") for order in sale.orders),
        raw_status=_raw_status(sale),
        milestones=_milestones(sale, shipments),
        payment_status=_payment_status(sale),
        logistics=parcels.logistics(sale, kind),
        raw_logistics=f"{mode}/{kind}" if sale.shipments else "",
        ship_by=earliest(*(one.ship_by for one in shipments)),
        deliver_by=earliest(*(one.deliver_by for one in shipments)),
        buyer=people.buyer(sale),
        ship_to=ship_to,
        bill_to=people.bill_to(sale),
        currency=first.text("currency_id", "BRL"),
        items=tuple(lines.items(sale)),
        payments=tuple(money.payments(sale)),
        shipments=tuple(shipments),
        totals=money.totals(sale),
        holds=tuple(_holds(sale, hidden)),
        tags=tuple(_tags(sale)),
        unknown=tuple(sale.raw.unknown),
    )


def _updated_at(sale: Sale) -> datetime:
    parts = [*sale.orders, sale.pack, *(one.maybe("shipment") for one in sale.shipments)]
    newest = latest(*(part.moment("last_updated", None) for part in parts))
    if newest is None:
        raise sale.orders[0].refuse("last_updated", "is missing")
    return newest


def _raw_status(sale: Sale) -> str:
    orders = "+".join(dict.fromkeys(order.text("status", "") for order in sale.orders))
    boxes = [parcels.raw_status(one.maybe("shipment")) for one in sale.shipments]
    return " ".join(filter(None, [orders, *dict.fromkeys(boxes)]))[:120]


def _milestones(sale: Sale, shipments: Sequence[Shipment]) -> Milestones:
    gone = latest(*(_cancelled_at(order) for order in sale.orders)) if sale.cancelled else None
    return Milestones(
        approved_at=_approved_at(sale) if sale.paid else None,
        shipped_at=earliest(*(one.shipped_at for one in shipments)),
        delivered_at=_when_all(shipments, ShipmentStatus.DELIVERED) or _agreed_delivery(sale),
        cancelled_at=gone,
        returned_at=_when_all(shipments, ShipmentStatus.RETURNED, sale) or _returned_at(sale),
    )


def _approved_at(sale: Sale) -> datetime | None:
    paid = [order for order, state in zip(sale.orders, sale.states, strict=True) if state == words.PAID]
    times = [order.moment("date_closed", None) for order in paid]
    times += [one.moment("date_approved", None) for order in paid for one in order.list("payments")]
    return earliest(*times) or latest(*(order.when("date_created") for order in paid))


def _cancelled_at(order: Reader) -> datetime | None:
    return order.moment("cancel_detail.date", None) or order.moment("last_updated", None)


def _when_all(shipments: Sequence[Shipment], status: ShipmentStatus, sale: Sale | None = None) -> datetime | None:
    """When the last parcel got there, once all that are alive have."""
    alive = [one for one in shipments if one.status != ShipmentStatus.CANCELLED]
    if not alive or any(one.status != status for one in alive):
        return None
    if sale is None:
        return latest(*(one.delivered_at for one in alive))
    return latest(*(one.moment("shipment.last_updated", None) for one in sale.shipments))


def _agreed_delivery(sale: Sale) -> datetime | None:
    """Without a shipment the seller's own word is all there is."""
    told = [order for order in sale.orders if order.raw.get("fulfilled") is True]
    if sale.shipments or len(told) < len(sale.orders):
        return None
    return latest(*(order.moment("last_updated", None) for order in told))


def _returned_at(sale: Sale) -> datetime | None:
    whole = [one for one in back(sale) if one.text("subtype", "") != "return_partial"]
    return latest(*(one.moment("last_updated", None) for one in whole)) if whole else None


def _payment_status(sale: Sale) -> PaymentStatus:
    raw = {order.text("status", "") for order in sale.orders}
    payments = [payment for order in sale.orders for payment in money.payments_of(order)]
    if sale.cancelled and payments and all(one.status == PaymentStatus.REFUNDED for one in payments):
        return PaymentStatus.REFUNDED
    if words.UNPAID in sale.states or (sale.cancelled and not payments):
        return PaymentStatus.PENDING
    if "partially_refunded" in raw or any(one.refunded > 0 for one in payments):
        return PaymentStatus.PARTIALLY_REFUNDED
    return PaymentStatus.PAID


def _holds(sale: Sale, hidden: bool) -> Iterator[Hold]:
    if any(FRAUD_TAG in order.words("tags") for order in sale.orders):
        yield Hold.FRAUD
    if hidden and not sale.cancelled:
        yield Hold.MASKED


def _tags(sale: Sale) -> Iterator[str]:
    found = [tag for order in sale.orders for tag in order.words("tags")]
    if any(order.text("cancel_detail.code", "") == "pack_splitted" for order in sale.orders):
        found.append("pack_splitted")
    if not sale.cancelled and words.CANCELLED in sale.states:
        found.append("partially_cancelled")
    if any(one.maybe("sla").text("status", "") == "delayed" for one in sale.shipments):
        found.append("late")
    yield from (tag[:120] for tag in dict.fromkeys(found) if tag.strip())
