"""The order as the ERP and the channel are told of it: a document again, built from rows."""

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.db.models import Prefetch, QuerySet

from orders import documents
from orders.documents import OrderDocument
from orders.lifecycle import MILESTONES
from orders.models import Order, OrderItem, Payment, Shipment
from orders.vocabulary import PaymentStatus, ShipmentStatus, Source

CENT = Decimal("0.01")
ZERO = Decimal(0)


class NothingLeft(ValueError):
    """Every line of the order is cancelled: there is nothing to write into an ERP."""


def for_export(orders: QuerySet[Order] | None = None) -> QuerySet[Order]:
    """Orders with everything `to_document` reads, in a fixed number of statements."""
    chosen = Order.objects.all() if orders is None else orders
    parcels = Shipment.objects.filter(source=Source.CHANNEL.value).order_by("pk")
    return chosen.select_related("channel", "seller").prefetch_related(
        "references", "items", "payments", Prefetch("shipments", parcels, to_attr="channel_shipments")
    )


def to_document(order: Order, *, whole: bool = False) -> OrderDocument:
    """What is left of the sale: lines without what was cancelled, totals less its share, closing as before.

    `whole`: as it was sold. Raises `NothingLeft`. Amounts are those of the channel, to the cent where they were.
    """
    items = sorted(order.items.all(), key=lambda item: item.pk)
    lines = [_line(item, whole=whole) for item in items if whole or item.left]
    if not lines:
        raise NothingLeft(f"Every line of {order.external_id} is cancelled.")
    # A line that the newest document does not hold is no part of that document's totals.
    listed = [] if whole else [item for item in items if item.last_seen_at is None and item.cancelled]
    return OrderDocument(
        external_id=order.external_id,
        external_ids=tuple(sorted(reference.value for reference in order.references.all())),
        updated_at=order.version_at,
        placed_at=order.placed_at,
        raw_status=order.raw_status,
        milestones=documents.Milestones(**{name: getattr(order, name) for name in MILESTONES}),
        items=tuple(lines),
        payments=tuple(_payment(row) for row in sorted(order.payments.all(), key=lambda row: row.pk)),
        shipments=tuple(_shipment(row) for row in channel_parcels(order)),
        totals=_totals(order, listed),
        tags=tuple(order.tags),
        **_plain(order),
    )


def _plain(order: Order) -> dict[str, Any]:
    return {
        "payment_status": order.payment_status,
        "logistics": order.logistics,
        "raw_logistics": order.raw_logistics,
        # A reckoned one is ours, not the channel's word.
        "ship_by": None if order.ship_by_reckoned else order.ship_by,
        "deliver_by": order.deliver_by,
        "buyer": documents.Buyer(**order.buyer),
        "ship_to": documents.Address(**order.ship_to) if order.ship_to else None,
        "bill_to": documents.Address(**order.bill_to) if order.bill_to else None,
        "currency": order.currency,
        "unknown": tuple(order.unknown),
        "notes": order.notes,
    }


def plain(amount: Decimal) -> Decimal:
    """Without the zeros that the column adds beyond cents."""
    cents = amount.quantize(CENT)
    return cents if cents == amount else amount


def _cancelled(item: OrderItem) -> Decimal:
    return min(item.cancelled, item.quantity)


def _share(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """The part's share, to the cent; all of it when the part is the whole, so that nothing is left over."""
    if part == whole:
        return amount
    return (amount * part / whole).quantize(CENT, ROUND_HALF_UP)


def _line(item: OrderItem, *, whole: bool) -> documents.Item:
    """As it was sold and as the channel calls it; otherwise what is left, as the ERP calls it."""
    cancelled = ZERO if whole else _cancelled(item)
    return documents.Item(
        external_id=item.external_id,
        order_id=item.order_reference,
        sku=item.sku if whole else item.erp_sku or item.sku,
        title=item.title,
        quantity=_count(item.quantity - cancelled),
        unit_price=plain(item.unit_price),
        discount=plain(item.discount - _share(item.discount, cancelled, item.quantity)),
        fee=plain(item.fee - _share(item.fee, cancelled, item.quantity)),
        cancelled=ZERO,
        refunded=_count(item.refunded),
        returned=_count(item.returned),
        image_url=item.image_url,
        gtin=item.gtin,
        shipment_id=item.shipment_reference,
    )


def _count(quantity: Decimal) -> Decimal:
    whole = quantity.to_integral_value()
    return whole if whole == quantity else quantity.normalize()


def _totals(order: Order, cancelled: Iterable[OrderItem]) -> documents.Totals:
    goods = discount = fees = ZERO
    for item in cancelled:
        part = _cancelled(item)
        goods += (part * item.unit_price).quantize(CENT, ROUND_HALF_UP)
        discount += _share(item.discount, part, item.quantity)
        fees += _share(item.fee, part, item.quantity)
    return documents.Totals(
        items=plain(order.items_total - goods),
        discount=plain(order.discount - discount),
        freight=plain(order.freight),
        interest=plain(order.interest),
        other=plain(order.other),
        subsidy=plain(order.subsidy),
        total=plain(order.total - goods + discount),
        fees=plain(max(order.fees - fees, ZERO)),
        freight_cost=plain(order.freight_cost),
    )


def _payment(row: Payment) -> documents.Payment:
    return documents.Payment(
        external_id=row.external_id,
        method=row.method,
        raw_status=row.raw_status,
        status=PaymentStatus(row.status),
        amount=plain(row.amount),
        refunded=plain(row.refunded),
        installments=row.installments,
        authorization=row.authorization,
        paid_at=row.paid_at,
    )


def channel_parcels(order: Order) -> list[Shipment]:
    """The sale's parcels as the channel lists them."""
    fetched: list[Shipment] | None = getattr(order, "channel_shipments", None)
    if fetched is not None:
        return fetched
    return list(order.shipments.filter(source=Source.CHANNEL.value).order_by("pk"))


def _shipment(row: Shipment) -> documents.Shipment:
    return documents.Shipment(
        external_id=row.external_id,
        raw_status=row.raw_status,
        status=ShipmentStatus(row.status),
        exception=row.exception,
        service=row.service,
        carrier=row.carrier,
        tracking_code=row.tracking_code,
        tracking_url=row.tracking_url,
        ship_by=row.ship_by,
        deliver_by=row.deliver_by,
        shipped_at=row.shipped_at,
        delivered_at=row.delivered_at,
    )
