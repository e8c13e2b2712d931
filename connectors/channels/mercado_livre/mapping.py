"""Mercado Livre's documents -> one canonical order per pack. Pure; `raw` is what `bundle.fetch` joins.

An order holds one listing, so a pack's orders become its lines. A line's price is the list price; `discount` is the
part of the reduction that the seller pays, the rest is the marketplace's subsidy. Freight is charged once per
shipment. `total` is what the payments say the buyer paid, so that the parts prove it.

Settings: `skus`, see `adapter`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from pydantic import ValidationError

from connectors.channels.mercado_livre import words
from connectors.failures import Refusal
from connectors.reading import Reader, digits, document_number
from orders.documents import (
    ZERO,
    Address,
    Buyer,
    Item,
    Milestones,
    OrderDocument,
    Payment,
    Shipment,
    Totals,
    earliest,
    latest,
)
from orders.vocabulary import Hold, Logistics, PaymentStatus, ShipmentStatus

_MASKED = re.compile(r"X{5,}")
FRAUD_TAG = "fraud_risk_detected"
_CENTS = Decimal("0.0001")


@dataclass
class Sale:
    """The parts of one pack, each with its place in the document."""

    raw: Reader
    settings: Mapping[str, Any]
    pack: Reader
    orders: list[Reader]
    shipments: list[Reader]
    states: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.states = [_state(order) for order in self.orders]

    @property
    def cancelled(self) -> bool:
        return all(state == words.CANCELLED for state in self.states)

    @property
    def paid(self) -> bool:
        """Nothing of the pack is waiting for money, and the pack itself is set free."""
        released = not self.pack.raw or self.pack.text("status", "released") == "released"
        return released and words.PAID in self.states and words.UNPAID not in self.states


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
    shipments = [_shipment(sale, one) for one in sale.shipments]
    mode, kind = _logistic(sale)
    ship_to, hidden = _ship_to(sale)
    return OrderDocument(
        external_id=external_id,
        external_ids=tuple(dict.fromkeys([external_id, *(order.text("id") for order in sale.orders)])),
        updated_at=_updated_at(sale),
        placed_at=min(order.when("date_created") for order in sale.orders),
        raw_status=_raw_status(sale),
        milestones=_milestones(sale, shipments),
        payment_status=_payment_status(sale),
        logistics=_logistics(sale, kind),
        raw_logistics=f"{mode}/{kind}" if sale.shipments else "",
        ship_by=earliest(*(one.ship_by for one in shipments)),
        deliver_by=earliest(*(one.deliver_by for one in shipments)),
        buyer=_buyer(sale),
        ship_to=ship_to,
        bill_to=_bill_to(sale),
        currency=first.text("currency_id", "BRL"),
        items=tuple(_items(sale)),
        payments=tuple(_payments(sale)),
        shipments=tuple(shipments),
        totals=_totals(sale),
        holds=tuple(_holds(sale, hidden)),
        tags=tuple(_tags(sale)),
        unknown=tuple(sale.raw.unknown),
    )


def _state(order: Reader) -> str:
    """A seller's feedback "not fulfilled" cancels an order whose status may still say confirmed."""
    state = order.word("status", words.ORDER, words.UNPAID)
    told = order.maybe("feedback").raw.get("sale") or order.maybe("feedback").raw.get("seller")
    if isinstance(told, Mapping) and told.get("fulfilled") is False:
        return words.CANCELLED
    if order.raw.get("status") == "confirmed" and order.raw.get("fulfilled") is False:
        return words.CANCELLED
    return state


def _updated_at(sale: Sale) -> datetime:
    parts = [*sale.orders, sale.pack, *(one.maybe("shipment") for one in sale.shipments)]
    newest = latest(*(part.moment("last_updated", None) for part in parts))
    if newest is None:
        raise sale.orders[0].refuse("last_updated", "is missing")
    return newest


def _raw_status(sale: Sale) -> str:
    orders = "+".join(dict.fromkeys(order.text("status", "") for order in sale.orders))
    parcels = [_parcel_status(one.maybe("shipment")) for one in sale.shipments]
    return " ".join(filter(None, [orders, *dict.fromkeys(parcels)]))[:120]


def _parcel_status(shipment: Reader) -> str:
    return "/".join(filter(None, (shipment.text("status", ""), shipment.text("substatus", ""))))[:120]


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


def _back(sale: Sale) -> Iterator[Reader]:
    """Returns whose goods are in the seller's own hands."""
    for one in sale.raw.list("returns"):
        parcels = [
            parcel for parcel in one.list("shipments") if parcel.text("destination.name", "") == "seller_address"
        ]
        arrived = all(parcel.text("status", "") == "delivered" for parcel in parcels)
        if one.text("status", "") == "delivered" and parcels and arrived:
            yield one


def _returned_at(sale: Sale) -> datetime | None:
    whole = [one for one in _back(sale) if one.text("subtype", "") != "return_partial"]
    return latest(*(one.moment("last_updated", None) for one in whole)) if whole else None


def _payment_status(sale: Sale) -> PaymentStatus:
    raw = {order.text("status", "") for order in sale.orders}
    payments = [payment for order in sale.orders for payment in _payments_of(order)]
    if sale.cancelled and payments and all(one.status == PaymentStatus.REFUNDED for one in payments):
        return PaymentStatus.REFUNDED
    if words.UNPAID in sale.states or (sale.cancelled and not payments):
        return PaymentStatus.PENDING
    if "partially_refunded" in raw or any(one.refunded > 0 for one in payments):
        return PaymentStatus.PARTIALLY_REFUNDED
    return PaymentStatus.PAID


def _logistic(sale: Sale) -> tuple[str, str]:
    """(mode, type) of the parcel that counts, in the new format or the old one."""
    for one in reversed(sale.shipments):
        shipment = one.maybe("shipment")
        if shipment.text("status", "") != "cancelled" or one is sale.shipments[0]:
            mode = shipment.text("logistic.mode", "") or shipment.text("mode", "")
            return mode[:40], (shipment.text("logistic.type", "") or shipment.text("logistic_type", ""))[:60]
    return "", ""


def _logistics(sale: Sale, kind: str) -> Logistics:
    if not sale.shipments:
        return (
            Logistics.NONE if any("no_shipping" in order.words("tags") for order in sale.orders) else Logistics.UNKNOWN
        )
    if kind and kind not in words.LOGISTICS:
        sale.raw.unknown.append(f"$.shipments.logistic.type: {kind}"[:250])
    return words.LOGISTICS.get(kind, Logistics.UNKNOWN)


# Parcels


def _shipment(sale: Sale, one: Reader) -> Shipment:
    shipment = one.object("shipment")
    status = _parcel(shipment)
    when = shipment.moment("last_updated", None)
    gone = status in (ShipmentStatus.SHIPPED, ShipmentStatus.DELIVERED, ShipmentStatus.RETURNED)
    return Shipment(
        external_id=shipment.text("id"),
        raw_status=_parcel_status(shipment),
        status=status,
        exception=_exception(sale, shipment),
        service=shipment.text("lead_time.shipping_method.name", "")[:120],
        carrier=(one.maybe("carrier").text("name", "") or shipment.text("tracking_method", ""))[:120],
        tracking_code=shipment.text("tracking_number", "")[:120],
        tracking_url=one.maybe("carrier").text("url", "")[:2000],
        ship_by=one.maybe("sla").moment("expected_date", None),
        deliver_by=shipment.moment("lead_time.estimated_delivery_time.date", None),
        # The document has no history: the first time it is seen in this state is the nearest there is.
        shipped_at=when if gone else None,
        delivered_at=when if status == ShipmentStatus.DELIVERED else None,
    )


def _parcel(shipment: Reader) -> ShipmentStatus:
    status = shipment.word("status", words.SHIPMENT, ShipmentStatus.UNKNOWN)
    substatus = shipment.text("substatus", "")
    if status == ShipmentStatus.READY and substatus in words.ON_THE_WAY:
        return ShipmentStatus.SHIPPED
    if shipment.text("status", "") == "not_delivered" and substatus in words.BACK:
        return ShipmentStatus.RETURNED
    return status


def _exception(sale: Sale, shipment: Reader) -> str:
    status, substatus = shipment.text("status", ""), shipment.text("substatus", "")
    if status == "cancelled" and not sale.cancelled:
        return f"The shipment is cancelled and the sale is not: {substatus}"[:255]
    if status == "not_delivered" or substatus in words.TROUBLE:
        return (substatus or status)[:255]
    return ""


# Lines


def _items(sale: Sale) -> Iterator[Item]:
    seen: set[str] = set()
    for order, state in zip(sale.orders, sale.states, strict=True):
        for place, line in enumerate(order.list("order_items")):
            item = _item(sale, order, line, state)
            if item.external_id in seen:
                item = item.model_copy(update={"external_id": f"{item.external_id}#{place}"})
            seen.add(item.external_id)
            yield item


def _item(sale: Sale, order: Reader, line: Reader, state: str) -> Item:
    quantity = line.number("quantity")
    order_id = order.text("id")
    listing, variation = line.text("item.id", ""), line.text("item.variation_id", "")
    return Item(
        external_id="-".join(filter(None, (order_id, listing, variation))),
        order_id=order_id,
        sku=_sku(sale.settings, line, listing, variation)[:120],
        title=line.text("item.title", "")[:255],
        quantity=quantity,
        unit_price=_list_price(line, quantity),
        discount=_given_by_seller(line, quantity) + _coupon(sale, order)[1],
        fee=_rounded(line.number("sale_fee", ZERO) * quantity),
        cancelled=quantity if state == words.CANCELLED else ZERO,
        refunded=quantity if _wholly_refunded(order) else ZERO,
        returned=min(quantity, _returned(sale, order_id, listing)),
        shipment_id=order.text("shipping.id", "") or sale.pack.text("shipment.id", ""),
    )


def _sku(settings: Mapping[str, Any], line: Reader, listing: str, variation: str) -> str:
    table = settings.get("skus")
    table = table if isinstance(table, Mapping) else {}
    return (
        line.text("item.seller_sku", "")
        or line.text("item.seller_custom_field", "")
        or str(table.get(f"{listing}/{variation}") or table.get(listing) or "")
    )


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(_CENTS, ROUND_HALF_EVEN)


def _list_price(line: Reader, quantity: Decimal) -> Decimal:
    """One unit before any discount; old orders do not say the gross price."""
    if quantity <= 0:
        raise line.refuse("quantity", "must be above zero")
    gross = line.number("gross_price", None)  # type: ignore[arg-type]
    if gross is not None:
        return _rounded(gross / quantity)
    full = line.number("full_unit_price", ZERO)
    price = line.number("unit_price")
    return max(full, price)


def _given_by_seller(line: Reader, quantity: Decimal) -> Decimal:
    """Of a reduction that names no payer, all is the seller's."""
    named = list(line.list("discounts"))
    if named:
        return _rounded(sum((one.number("amounts.seller", ZERO) for one in named), ZERO) * quantity)
    return _rounded(_list_price(line, quantity) - line.number("unit_price")) * quantity


def _coupon(sale: Sale, order: Reader) -> tuple[Decimal, Decimal]:
    """(whole, seller's part) of the coupons used on this order: no part of the line's prices."""
    whole = sum((one.number("coupon_amount", ZERO) for one in _money(order)), ZERO)
    if whole <= 0:
        return ZERO, ZERO
    details = sale.raw.maybe("discounts").raw.get(order.text("id"))
    found = Reader(details or {}, "$.discounts", sale.raw.unknown).list("details")
    parts = [
        amounts.number("amounts.seller", ZERO)
        for one in found
        if one.text("type", "") == "coupon"
        for amounts in one.list("items")
    ]
    return whole, min(whole, sum(parts, ZERO))


def _wholly_refunded(order: Reader) -> bool:
    money = _money(order)
    back = sum((one.number("transaction_amount_refunded", ZERO) for one in money), ZERO)
    return bool(money) and 0 < sum((one.number("transaction_amount", ZERO) for one in money), ZERO) <= back


def _returned(sale: Sale, order_id: str, listing: str) -> Decimal:
    lines = (line for one in _back(sale) for line in one.list("orders"))
    mine = (
        line.number("return_quantity", ZERO)
        for line in lines
        if line.text("order_id", "") == order_id and line.text("item_id", listing) == listing
    )
    return max(ZERO, sum(mine, ZERO))


# Money


def _money(order: Reader) -> list[Reader]:
    """The order's payments that brought money, whether or not it went back since."""
    return [one for one in order.list("payments") if one.text("status", "") in words.MONEY_CAME]


def _payments(sale: Sale) -> Iterator[Payment]:
    """A payment for several orders of a pack is listed in each of them."""
    found = {one.external_id: one for order in sale.orders for one in _payments_of(order)}
    yield from found.values()


def _payments_of(order: Reader) -> list[Payment]:
    return [_payment(one) for one in order.list("payments")]


def _payment(one: Reader) -> Payment:
    status = one.word("status", words.PAYMENT, PaymentStatus.UNKNOWN)
    refunded = one.number("transaction_amount_refunded", ZERO)
    if status == PaymentStatus.PAID and refunded > 0:
        status = PaymentStatus.PARTIALLY_REFUNDED
    return Payment(
        external_id=one.text("id"),
        method=(one.text("payment_type", "") or one.text("payment_method_id", ""))[:120],
        raw_status=one.text("status", "")[:120],
        status=status,
        amount=one.number("total_paid_amount", one.number("transaction_amount", ZERO)),
        refunded=refunded,
        installments=max(1, min(one.integer("installments", 1), 999)),
        authorization=one.text("authorization_code", "")[:120],
        paid_at=one.moment("date_approved", None),
    )


def _totals(sale: Sale) -> Totals:
    lines = [(order, line) for order in sale.orders for line in order.list("order_items")]
    items = sum((_list_price(line, line.number("quantity")) * line.number("quantity") for _, line in lines), ZERO)
    net = sum((line.number("unit_price") * line.number("quantity") for _, line in lines), ZERO)
    given = sum((_given_by_seller(line, line.number("quantity")) for _, line in lines), ZERO)
    coupons = [_coupon(sale, order) for order in sale.orders]
    discount = given + sum((seller for _, seller in coupons), ZERO)
    coupon = sum((whole for whole, _ in coupons), ZERO)
    money = [one for order in sale.orders for one in _money(order)]
    freight = _freight(sale)
    return Totals(
        items=_rounded(items),
        discount=_rounded(discount),
        freight=_rounded(freight),
        interest=_rounded(sum((_interest(one) for one in money), ZERO)),
        other=_rounded(sum((one.number("taxes_amount", ZERO) for one in money), ZERO)),
        subsidy=_rounded(items + coupon - net - discount),
        total=_rounded(_paid(sale, freight)),
        fees=_rounded(sum((one.number("sale_fee", ZERO) * one.number("quantity") for _, one in lines), ZERO)),
        freight_cost=_rounded(_freight_cost(sale)),
    )


def _interest(one: Reader) -> Decimal:
    """What the buyer pays for paying in instalments; it belongs on the NF-e."""
    if not one.has("total_paid_amount"):
        return ZERO
    parts = ("transaction_amount", "taxes_amount", "shipping_cost")
    known = sum((one.number(part, ZERO) for part in parts), ZERO)
    return one.number("total_paid_amount") + one.number("coupon_amount", ZERO) - known


def _paid(sale: Sale, freight: Decimal) -> Decimal:
    """What the buyer pays. A pack's freight is paid apart from its orders and then is in no order's payment."""
    total = sum((_paid_of(order) for order in sale.orders), ZERO)
    in_payments = sum((one.number("shipping_cost", ZERO) for order in sale.orders for one in _money(order)), ZERO)
    return total if in_payments else total + freight


def _paid_of(order: Reader) -> Decimal:
    money = _money(order)
    if not money:
        return order.number("total_amount", order.number("paid_amount", ZERO))
    return sum((one.number("total_paid_amount", one.number("transaction_amount", ZERO)) for one in money), ZERO)


def _freight(sale: Sale) -> Decimal:
    """One charge per parcel, however many orders are in it."""
    if not sale.shipments:
        return sum((order.number("shipping_cost", ZERO) for order in sale.orders), ZERO)
    return sum((_freight_of(one) for one in sale.shipments), ZERO)


def _freight_of(one: Reader) -> Decimal:
    return one.maybe("costs").number("receiver.cost", one.maybe("shipment").number("lead_time.cost", ZERO))


def _freight_cost(sale: Sale) -> Decimal:
    seller = sale.orders[0].text("seller.id", "")
    senders = [sender for one in sale.shipments for sender in one.maybe("costs").list("senders")]
    mine = [one for one in senders if not seller or one.text("user_id", seller) == seller]
    return sum((one.number("cost", ZERO) for one in mine), ZERO)


# People


def _billing(sale: Sale) -> Reader:
    return sale.raw.maybe("billing").maybe("buyer").maybe("billing_info")


def _buyer(sale: Sale) -> Buyer:
    billing = _billing(sale)
    name = " ".join(filter(None, (billing.text("name", ""), billing.text("last_name", ""))))
    number = billing.text("identification.number", "")
    # An RG is no fiscal document.
    fiscal = billing.text("identification.type", "CPF").upper() in ("CPF", "CNPJ")
    phones = (one.maybe("shipment").text("destination.receiver_phone", "") for one in sale.shipments)
    return Buyer(
        name=name[:255],
        document=document_number(number)[:120] if fiscal and not _hidden(number) else "",
        state_registration=billing.text("taxes.inscriptions.state_registration", "")[:120],
        phone=next((digits(phone)[:120] for phone in phones if phone and not _hidden(phone)), ""),
    )


def _hidden(text: str) -> bool:
    return bool(_MASKED.search(text.upper()))


def _ship_to(sale: Sale) -> tuple[Address | None, bool]:
    """(address, whether Mercado Livre still hides it). A hidden one is never passed on."""
    for one in reversed(sale.shipments):
        destination = one.maybe("shipment").maybe("destination")
        where = destination.maybe("shipping_address")
        if not where.raw:
            continue
        texts = [destination.raw.get("receiver_name"), *(where.raw.get(name) for name in _MASKABLE)]
        if any(isinstance(text, str) and _hidden(text) for text in texts):
            return None, True
        return _address(destination, where), False
    return None, False


_MASKABLE = ("address_line", "street_name", "street_number", "zip_code", "comment")


def _address(destination: Reader, where: Reader) -> Address:
    phone = destination.text("receiver_phone", "")
    return Address(
        recipient=destination.text("receiver_name", "")[:255],
        street=(where.text("street_name", "") or where.text("address_line", ""))[:255],
        number=where.text("street_number", "")[:120],
        complement=where.text("comment", "")[:255],
        district=(where.text("neighborhood.name", "") or where.text("municipality.name", ""))[:255],
        city=where.text("city.name", "")[:255],
        state=_state_code(where.text("state.id", "").rpartition("-")[2], where.text("state.name", "")),
        postal_code=digits(where.text("zip_code", ""))[:10],
        country=_country(where.text("country.id", "")),
        phone=digits(phone)[:120],
        notes=destination.text("comments", "")[:255],
    )


def _bill_to(sale: Sale) -> Address | None:
    billing = _billing(sale)
    where = billing.maybe("address")
    if not where.raw or any(isinstance(text, str) and _hidden(text) for text in where.raw.values()):
        return None
    number = where.text("street_number", "")
    return Address(
        recipient=_buyer(sale).name,
        street=where.text("street_name", "")[:255],
        number="S/N" if number.upper() == "SN" else number[:120],
        complement=where.text("comment", "")[:255],
        district=where.text("neighborhood", "")[:255],
        city=where.text("city_name", "")[:255],
        state=_state_code(where.text("state.code", ""), where.text("state.name", "")),
        postal_code=digits(where.text("zip_code", ""))[:10],
        country=_country(where.text("country_id", "")),
    )


def _state_code(code: str, name: str) -> str:
    code = code.rpartition("-")[2].upper()
    return code if code in words.STATES.values() else words.STATES.get(name.strip().lower(), "")


def _country(code: str) -> str:
    return code.upper() if len(code) == 2 else "BR"


# What the reader of the order should know


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
