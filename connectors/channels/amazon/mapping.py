"""Amazon's order (Orders API 2026-01-01) -> the canonical one. Pure.

Amazon has no status "delivered", "returned" or "invoiced": those come from packages and the state of the invoice. It
gives no times for its steps either, so a step's time is that of the first document that shows it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from connectors.channels.amazon import money, people
from connectors.failures import Refusal
from connectors.reading import Reader
from orders.documents import ZERO, Item, Milestones, OrderDocument, Payment, Shipment, earliest
from orders.vocabulary import Hold, Logistics, PaymentStatus, ShipmentStatus

MARKETPLACE = "A2Q3Y263D00KWC"
STATUSES = {
    "PENDING_AVAILABILITY": "pending",
    "PENDING": "pending",
    "UNSHIPPED": "approved",
    "PARTIALLY_SHIPPED": "shipped",
    "SHIPPED": "shipped",
    "INVOICE_UNCONFIRMED": "shipped",
    "CANCELLED": "cancelled",
    "UNFULFILLABLE": "cancelled",
}
PROGRAMS = frozenset(
    {
        "AMAZON_BAZAAR", "AMAZON_BUSINESS", "AMAZON_EASY_SHIP", "AMAZON_HAUL", "DELIVERY_BY_AMAZON", "FBM_SHIP_PLUS",
        "INVOICE_BY_AMAZON", "IN_STORE_PICK_UP", "PREMIUM", "PREORDER", "PRIME",
    }
)  # fmt: skip
INVOICE_STATES = frozenset({"NOT_REQUIRED", "NOT_FOUND", "PROCESSING", "ERRORED", "ACCEPTED"})
PACKAGE_STATES = {
    "PENDING": ShipmentStatus.PENDING,
    "IN_TRANSIT": ShipmentStatus.SHIPPED,
    "SHIPPED": ShipmentStatus.SHIPPED,
    "DELIVERED": ShipmentStatus.DELIVERED,
    "CANCELLED": ShipmentStatus.CANCELLED,
    "UNDELIVERABLE": ShipmentStatus.SHIPPED,
}
DETAILED_STATES = {
    "PENDING_SCHEDULE": ShipmentStatus.PENDING,
    "PENDING_PICK_UP": ShipmentStatus.READY,
    "PENDING_DROP_OFF": ShipmentStatus.READY,
    "LABEL_CANCELLED": ShipmentStatus.CANCELLED,
    "PICKED_UP": ShipmentStatus.SHIPPED,
    "DROPPED_OFF": ShipmentStatus.SHIPPED,
    "AT_ORIGIN_FC": ShipmentStatus.SHIPPED,
    "AT_DESTINATION_FC": ShipmentStatus.SHIPPED,
    "OUT_FOR_DELIVERY": ShipmentStatus.SHIPPED,
    "DELIVERED": ShipmentStatus.DELIVERED,
    "REJECTED_BY_BUYER": ShipmentStatus.SHIPPED,
    "UNDELIVERABLE": ShipmentStatus.SHIPPED,
    "RETURNING_TO_SELLER": ShipmentStatus.SHIPPED,
    "RETURNED_TO_SELLER": ShipmentStatus.RETURNED,
    "LOST": ShipmentStatus.SHIPPED,
    "DAMAGED": ShipmentStatus.SHIPPED,
}
LEFT = frozenset({ShipmentStatus.SHIPPED, ShipmentStatus.DELIVERED, ShipmentStatus.RETURNED})
PAYMENTS = {"pending": PaymentStatus.PENDING, "approved": PaymentStatus.PAID, "shipped": PaymentStatus.PAID}
# Amazon's partner fetches it from the seller; the first name is Brazil's, the second that of other countries.
COLLECTED = frozenset({"DELIVERY_BY_AMAZON", "AMAZON_EASY_SHIP"})
MOST_UNITS = 10**7
PROBLEMS = {
    "REJECTED_BY_BUYER": "Rejected by the buyer",
    "UNDELIVERABLE": "Undeliverable",
    "RETURNING_TO_SELLER": "On its way back to the seller",
    "LOST": "Lost",
    "DAMAGED": "Damaged",
}


def order(raw: Any, settings: Mapping[str, Any]) -> OrderDocument:
    """Raises `Refusal`, with the path of what cannot be read; also for orders that are not of this marketplace."""
    reader = Reader(raw)
    _refuse_foreign(reader, str(settings.get("marketplace_id") or MARKETPLACE))
    try:
        return _document(reader, settings)
    except ValidationError as error:
        first = error.errors()[0]
        raise Refusal(first["msg"], path=".".join(str(part) for part in first["loc"])) from error


def _refuse_foreign(reader: Reader, marketplace: str) -> None:
    channel = reader.maybe("salesChannel")
    if channel.text("channelName", "") == "NON_AMAZON":
        raise channel.refuse("channelName", "is NON_AMAZON: sold elsewhere and only shipped by Amazon")
    if channel.text("marketplaceId", marketplace) != marketplace:
        raise channel.refuse("marketplaceId", f"is another marketplace than this connection's {marketplace}")


def _document(reader: Reader, settings: Mapping[str, Any]) -> OrderDocument:
    fulfillment = reader.maybe("fulfillment")
    if not fulfillment.raw:
        reader.unknown.append("$.fulfillment: missing")
    step = fulfillment.word("fulfillmentStatus", STATUSES, "")
    shipments = tuple(_shipment(package) for package in reader.list("packages"))
    lines = list(_lines(reader, step))
    logistics, raw_logistics = _logistics(reader, settings)
    document = OrderDocument(
        external_id=reader.text("orderId"),
        updated_at=reader.when("lastUpdatedTime"),
        placed_at=reader.when("createdTime"),
        raw_status=people.clipped(fulfillment, "fulfillmentStatus", 120),
        milestones=_milestones(reader, step, shipments, [line for _, line in lines]),
        payment_status=PAYMENTS.get(step, PaymentStatus.UNKNOWN),
        logistics=logistics,
        raw_logistics=raw_logistics,
        ship_by=_moment(fulfillment, "shipByWindow.latestDateTime"),
        deliver_by=_moment(fulfillment, "deliverByWindow.latestDateTime"),
        currency=_currency(reader),
        items=tuple(_item(item, line, reader) for item, line in lines),
        payments=tuple(_payments(reader, step)),
        shipments=shipments,
        totals=money.totals(reader, [line for _, line in lines]),
        tags=tuple(_tags(reader, shipments)),
        notes=_notes(reader),
        **_people(reader),
    )
    # Last, when everything has been read.
    return OrderDocument(
        **{
            **dict(document),
            "holds": tuple(_holds(document)),
            "unknown": tuple(dict.fromkeys(text[:255] for text in reader.unknown)),
        }
    )


def _people(reader: Reader) -> dict[str, Any]:
    registration = _registration(reader, "BUYER")
    return {
        "buyer": people.buyer(reader, registration),
        "ship_to": people.address(reader.maybe("recipient.deliveryAddress")),
        "bill_to": people.address(registration.maybe("taxRegistrationAddress")),
    }


def _registration(reader: Reader, entity: str) -> Reader:
    """The tax registration of BUYER, MARKETPLACE or MERCHANT; an empty one where Amazon gives none."""
    found = (one for one in reader.maybe("tax").list("taxRegistrations") if one.text("entityType", "") == entity)
    return next(found, Reader({}, "$.tax", reader.unknown))


# --- Lines ---------------------------------------------------------------------------------------------------------


def _lines(reader: Reader, step: str) -> Iterable[tuple[Reader, money.Line]]:
    """Lines with something in them. A line cancelled to zero is left out, unless the order has no other."""
    items = list(reader.list("orderItems"))
    kept = [item for item in items if _ordered(item) > 0] or items
    for item in kept:
        ordered = _ordered(item)
        quantity = max(ordered, Decimal(1))
        cancelled = quantity if not ordered else min(_cancelled(item, quantity, step), quantity)
        yield item, money.line(item, quantity, cancelled)


def _ordered(item: Reader) -> Decimal:
    ordered = item.integer("quantityOrdered")
    if not 0 <= ordered < MOST_UNITS:
        raise item.refuse("quantityOrdered", "is not a plausible quantity")
    return Decimal(ordered)


def _cancelled(item: Reader, quantity: Decimal, step: str) -> Decimal:
    """What will not be shipped any more. A mere request of the buyer cancels nothing."""
    fulfillment = item.maybe("fulfillment")
    shipped = Decimal(fulfillment.integer("quantityFulfilled", 0))
    left = Decimal(fulfillment.integer("quantityUnfulfilled", 0))
    if step == "cancelled":
        return max(quantity - max(shipped, ZERO), ZERO)
    if item.has("cancellation.cancellationExecution"):
        return max(quantity - max(shipped, ZERO) - max(left, ZERO), ZERO)
    return ZERO


def _item(item: Reader, line: money.Line, reader: Reader) -> Item:
    external_id = item.text("orderItemId")
    return Item(
        external_id=external_id,
        order_id=reader.text("orderId"),
        sku=item.text("product.sellerSku", ""),
        title=people.clipped(item, "product.title"),
        quantity=line.quantity,
        unit_price=line.unit_price,
        discount=line.discount,
        cancelled=line.cancelled,
        shipment_id=_parcel(reader, external_id),
    )


def _parcel(reader: Reader, item_id: str) -> str:
    for package in reader.list("packages"):
        if any(one.text("orderItemId", "") == item_id for one in package.list("packageItems")):
            return package.text("packageReferenceId", "")
    return ""


# --- Parcels and progress ------------------------------------------------------------------------------------------


def _shipment(package: Reader) -> Shipment:
    """`detailedStatus` says more, but is missing for some sellers."""
    state = package.maybe("packageStatus")
    coarse = state.word("status", PACKAGE_STATES, ShipmentStatus.UNKNOWN)
    status = state.word("detailedStatus", DETAILED_STATES, coarse)
    words = (state.text("status", ""), state.text("detailedStatus", ""))
    return Shipment(
        external_id=package.text("packageReferenceId"),
        raw_status=" ".join(filter(None, words))[:120],
        status=status,
        exception=PROBLEMS.get(words[1], PROBLEMS.get(words[0], "")),
        service=people.clipped(package, "shippingService", 120),
        carrier=people.clipped(package, "carrier", 120),
        tracking_code=people.clipped(package, "trackingNumber", 120),
        shipped_at=_moment(package, "shipTime") if status in LEFT else None,
    )


def _milestones(reader: Reader, step: str, shipments: Sequence[Shipment], lines: Sequence[money.Line]) -> Milestones:
    """Every step this document shows, at the time of its version: Amazon itself gives none."""
    now = reader.when("lastUpdatedTime")
    live = [shipment for shipment in shipments if shipment.status is not ShipmentStatus.CANCELLED]
    merchant = reader.maybe("fulfillment").text("fulfilledBy", "") == "MERCHANT"
    cancelled = step == "cancelled" or all(line.cancelled == line.quantity for line in lines)
    left = step == "shipped" or any(shipment.status in LEFT for shipment in live)
    back = bool(live) and all(shipment.status is ShipmentStatus.RETURNED for shipment in live)
    delivered = merchant and bool(live) and all(shipment.status is ShipmentStatus.DELIVERED for shipment in live)
    accepted = reader.maybe("tax.taxInvoicing").text("invoiceStatus", "") == "ACCEPTED"
    return Milestones(
        approved_at=now if step in ("approved", "shipped") and not cancelled else None,
        invoiced_at=now if accepted else None,
        shipped_at=(earliest(*(shipment.shipped_at for shipment in live)) or now) if left else None,
        delivered_at=now if delivered and reader.text("fulfillment.fulfillmentStatus", "") == "SHIPPED" else None,
        cancelled_at=now if cancelled else None,
        returned_at=now if back else None,
    )


def _logistics(reader: Reader, settings: Mapping[str, Any]) -> tuple[Logistics, str]:
    """Who runs the parcel, and Amazon's own words for it."""
    programs = reader.words("programs")
    by = reader.maybe("fulfillment").word(
        "fulfilledBy", {"AMAZON": Logistics.FULFILLED, "MERCHANT": Logistics.SELLER}, Logistics.UNKNOWN
    )
    words = [reader.text("fulfillment.fulfilledBy", ""), *(name for name in programs if name in COLLECTED)]
    if by is Logistics.FULFILLED and str(settings.get("fba_onsite") or "no").lower() in ("yes", "true", "1"):
        by, words = Logistics.PICKUP, [*words, "ONSITE"]
    elif by is Logistics.SELLER and COLLECTED.intersection(programs):
        by = Logistics.PICKUP
    elif by is Logistics.SELLER and "IN_STORE_PICK_UP" in programs:
        by = Logistics.NONE
    return by, " ".join(filter(None, words))[:120]


# --- The rest ------------------------------------------------------------------------------------------------------


def _payments(reader: Reader, step: str) -> Iterable[Payment]:
    for place, execution in enumerate(reader.maybe("payment").list("paymentExecutions"), start=1):
        yield Payment(
            external_id=str(place),
            method=people.clipped(execution, "paymentMethod", 120),
            status=PAYMENTS.get(step, PaymentStatus.UNKNOWN),
            amount=money.amount(execution, "paymentAmount"),
            authorization=people.clipped(execution, "authorizationCode", 120),
        )


def _currency(reader: Reader) -> str:
    """Of the total, else of the first price; an order still pending has neither."""
    given = reader.text("proceeds.grandTotal.currencyCode", "")
    prices = (item.text("product.price.unitPrice.currencyCode", "") for item in reader.list("orderItems"))
    return given or next(filter(None, prices), "BRL")


def _moment(reader: Reader, key: str) -> datetime | None:
    """A time that is good to know; one that cannot be read is noted and does not cost the order."""
    try:
        return reader.moment(key, None)
    except Refusal as refusal:
        reader.unknown.append(str(refusal)[:250])
        return None


def _holds(document: OrderDocument) -> Iterable[Hold]:
    """What the seller ships needs the buyer's data for its NF-e. Amazon withholds it while an order is pending."""
    ahead = document.milestones.approved_at is not None and document.milestones.cancelled_at is None
    withheld = document.ship_to is None or not document.buyer.document
    if ahead and withheld and document.logistics is not Logistics.FULFILLED:
        yield Hold.MASKED
    if ahead and document.milestones.shipped_at is None and {"replacement", "cancel_requested"} & set(document.tags):
        yield Hold.PERSON


def _tags(reader: Reader, shipments: Sequence[Shipment]) -> Iterable[str]:
    for program in reader.words("programs"):
        if program not in PROGRAMS:
            reader.unknown.append(f"$.programs: {program}"[:250])
        yield program[:120]
    invoice = reader.maybe("tax.taxInvoicing").text("invoiceStatus", "")
    if invoice:
        reader.maybe("tax.taxInvoicing").word("invoiceStatus", dict.fromkeys(INVOICE_STATES), None)
        yield f"invoice:{invoice}"[:120]
    if reader.text("fulfillment.fulfillmentStatus", "") == "PARTIALLY_SHIPPED":
        yield "partially_shipped"
    if any("REPLACEMENT" in one.text("associationType", "") for one in reader.list("associatedOrders")):
        yield "replacement"
    if any(_asked_to_cancel(item) for item in reader.list("orderItems")):
        yield "cancel_requested"
    if any("RETURNING_TO_SELLER" in one.raw_status or "REJECTED" in one.raw_status for one in shipments):
        yield "return_in_transit"
    if any(one.exception for one in shipments):
        yield "problem"


def _asked_to_cancel(item: Reader) -> bool:
    """Asked, and neither done nor overtaken by the parcel."""
    left = item.maybe("fulfillment").integer("quantityUnfulfilled", 1)
    return (
        left > 0 and item.has("cancellation.cancellationRequest") and not item.has("cancellation.cancellationExecution")
    )


def _notes(reader: Reader) -> str:
    """What the ERP needs for the NF-e and the canonical order has no place for."""
    lines = [
        ("Purchase order", reader.text("buyer.buyerPurchaseOrderNumber", "")),
        ("Delivery", reader.text("recipient.deliveryPreference.addressInstruction", "")),
        ("Intermediary CNPJ", _registration(reader, "MARKETPLACE").text("taxRegistrationNumber", "")),
        ("Seller at the intermediary", _registration(reader, "MERCHANT").text("legalName", "")),
    ]
    for execution in reader.maybe("payment").list("paymentExecutions"):
        card, acquirer = execution.text("cardBrand", ""), execution.text("acquirerId", "")
        lines.append(("Paid by", " ".join(filter(None, (execution.text("paymentMethod", ""), card, acquirer)))))
    return "\n".join(f"{name}: {value}" for name, value in lines if value)[:2000]
