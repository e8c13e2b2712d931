"""A document's content as columns: pure functions, no database."""

from collections.abc import Collection, Iterable
from datetime import datetime
from hashlib import sha256
from typing import Any, Protocol, TypeVar

from orders import documents, money
from orders.documents import OrderDocument, earliest
from orders.lifecycle import MILESTONES
from orders.models import Order, OrderItem, Shipment
from orders.tags import RETURN_FLOW
from orders.vocabulary import ShipmentStatus

SEARCH_LENGTH = 4000
# Changes of these alone are no news for the timeline.
INVISIBLE = frozenset(
    {
        "version_at", "content_hash", "holds", "unknown", "ship_by_reckoned", "buyer_key", "worth", "corrections",
        *MILESTONES,
    }
)  # fmt: skip
MOST_INSTALLMENTS = 32767
KEY_LENGTH = 120


class Keyed(Protocol):
    @property
    def external_id(self) -> str: ...


K = TypeVar("K", bound=Keyed)


def keyed(parts: Iterable[K]) -> dict[str, K]:
    """By external id. A channel that uses one twice within an order loses nothing: the second gets a number."""
    found: dict[str, K] = {}
    for part in parts:
        key, copy = part.external_id, 1
        while key in found:
            copy += 1
            suffix = f"#{copy}"
            key = part.external_id[: KEY_LENGTH - len(suffix)] + suffix
        found[key] = part
    return found


def version(document: OrderDocument, now: datetime) -> datetime:
    """The document's version. One from the far future may not shut out all that come after it."""
    return min(document.updated_at, now + money.AHEAD)


def columns(document: OrderDocument, digest: str, now: datetime) -> dict[str, Any]:
    """The order's columns that follow its newest document; milestones, tags and holds are merged elsewhere."""
    return {
        "version_at": version(document, now),
        "content_hash": digest,
        "raw_status": document.raw_status,
        "payment_status": document.payment_status.value,
        "logistics": document.logistics.value,
        "raw_logistics": document.raw_logistics,
        "unknown": list(document.unknown),
        "notes": document.notes,
        "placed_at": document.placed_at,
        "ship_by": document.ship_by,
        "deliver_by": document.deliver_by,
        "currency": document.currency,
        **people(document.buyer, document.ship_to, document.bill_to),
        **_totals(document),
    }


def people(
    buyer: documents.Buyer, ship_to: documents.Address | None, bill_to: documents.Address | None
) -> dict[str, Any]:
    """Who bought and where it goes, and what follows from that."""
    return {
        "buyer": buyer.model_dump(),
        "ship_to": ship_to.model_dump() if ship_to else {},
        "bill_to": bill_to.model_dump() if bill_to else {},
        "buyer_name": buyer.name or (ship_to.recipient if ship_to else ""),
        "city": ship_to.city if ship_to else "",
        "state": ship_to.state.upper()[:2] if ship_to else "",
        "buyer_key": buyer_key(buyer.document),
        "worth": None,
    }


def buyer_key(number: str) -> str:
    """Tells one buyer from another by the document, not who they are."""
    return sha256(number.encode()).hexdigest()[:16] if number else ""


def _totals(document: OrderDocument) -> dict[str, Any]:
    totals = document.totals
    return {
        "items_total": totals.items,
        "discount": totals.discount,
        "freight": totals.freight,
        "interest": totals.interest,
        "other": totals.other,
        "subsidy": totals.subsidy,
        "total": totals.total,
        "fees": totals.fees,
        "freight_cost": totals.freight_cost,
        "difference": money.difference(document),
    }


def promise(order: Order, document: OrderDocument, now: datetime) -> dict[str, Any]:
    """The promise of the oldest document that made one, if that is this document."""
    given_at = version(document, now)
    if document.deliver_by is None or (order.first_promised_at and order.first_promised_at <= given_at):
        return {}
    return {"first_deliver_by": document.deliver_by, "first_promised_at": given_at}


def moved(document: OrderDocument, now: datetime) -> datetime | None:
    """News of a parcel on its way, as far as the channel shows them: that the document changed while it was."""
    on_the_way = any(parcel.status == ShipmentStatus.SHIPPED for parcel in document.shipments)
    return version(document, now) if on_the_way else None


def tags(document: OrderDocument, order: Order) -> list[str]:
    kept = [RETURN_FLOW] if RETURN_FLOW in order.tags else []
    return list(dict.fromkeys((*document.tags, *kept, *order.own_tags)))


def line(item: documents.Item) -> dict[str, Any]:
    return {
        "order_reference": item.order_id,
        "sku": item.sku,
        "title": item.title,
        "quantity": item.quantity,
        "unit_price": item.unit_price,
        "discount": item.discount,
        "fee": item.fee,
        "gtin": item.gtin,
        "image_url": item.image_url,
        "shipment_reference": item.shipment_id,
    }


def payment(payment: documents.Payment) -> dict[str, Any]:
    return {
        "method": payment.method,
        "raw_status": payment.raw_status,
        "status": payment.status.value,
        "amount": payment.amount,
        "refunded": payment.refunded,
        "installments": min(max(payment.installments, 1), MOST_INSTALLMENTS),
        "authorization": payment.authorization,
        "paid_at": payment.paid_at,
    }


def shipment(shipment: documents.Shipment) -> dict[str, Any]:
    """Without its two times, which keep the earliest of all that is known (`settled`)."""
    return {
        "raw_status": shipment.raw_status,
        "status": shipment.status.value,
        "exception": shipment.exception,
        "carrier": shipment.carrier,
        "service": shipment.service,
        "tracking_code": shipment.tracking_code,
        "tracking_url": shipment.tracking_url,
        "ship_by": shipment.ship_by,
        "deliver_by": shipment.deliver_by,
    }


def settled(row: Shipment, shipped_at: datetime | None, delivered_at: datetime | None) -> dict[str, Any]:
    """A parcel's times, each the earliest known, and a status that is never behind them."""
    shipped_at = earliest(row.shipped_at, shipped_at)
    delivered_at = earliest(row.delivered_at, delivered_at)
    status = row.status
    if delivered_at and status in BEFORE_DELIVERY:
        status = ShipmentStatus.DELIVERED.value
    elif shipped_at and status in BEFORE_SHIPPING:
        status = ShipmentStatus.SHIPPED.value
    return {"shipped_at": shipped_at, "delivered_at": delivered_at, "status": status}


BEFORE_SHIPPING = frozenset({ShipmentStatus.UNKNOWN, ShipmentStatus.PENDING, ShipmentStatus.READY})
BEFORE_DELIVERY = BEFORE_SHIPPING | {ShipmentStatus.SHIPPED}


def search(order: Order, references: Collection[str], items: Iterable[OrderItem]) -> str:
    """What the search page looks in: ids, buyer's name and document, SKUs, people's own numbers; lower case."""
    skus = sorted({item.sku for item in items if item.sku})
    words = (*sorted(references), order.buyer_name, order.buyer.get("document", ""), *skus, *order.own_references)
    return " ".join(word for word in words if word).lower()[:SEARCH_LENGTH]
