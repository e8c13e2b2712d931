"""Lines: what was sold, at which price, and who gave how much of it away."""

from collections.abc import Iterator, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from urllib.parse import quote

from connectors.channels.mercado_livre import words
from connectors.channels.mercado_livre.sale import Sale, back, money_of
from connectors.reading import Reader
from orders.documents import ZERO, Item

_CENTS = Decimal("0.0001")


def items(sale: Sale) -> Iterator[Item]:
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
    order_id, settings = order.text("id"), sale.settings
    listing, variation = line.text("item.id", ""), line.text("item.variation_id", "")
    sku = _sku(settings, line, listing, variation)[:120]
    return Item(
        external_id="-".join(filter(None, (order_id, listing, variation))),
        order_id=order_id,
        sku=sku,
        title=line.text("item.title", "")[:255],
        quantity=quantity,
        unit_price=list_price(line, quantity),
        discount=given_by_seller(line, quantity) + coupon_of(sale, order)[1],
        fee=rounded(line.number("sale_fee", ZERO) * quantity),
        cancelled=quantity if state == words.CANCELLED else ZERO,
        refunded=quantity if _wholly_refunded(order) else ZERO,
        returned=min(quantity, _returned(sale, order_id, listing)),
        image_url=_picture(settings, listing, sku),
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


def _picture(settings: Mapping[str, Any], listing: str, sku: str) -> str:
    """Mercado Livre's orders name none; the seller may say where theirs are."""
    address = str(settings.get("pictures") or "")
    for name, value in (("{listing}", listing), ("{sku}", sku)):
        address = address.replace(name, quote(value, safe="", errors="replace"))
    return address


def rounded(amount: Decimal) -> Decimal:
    return amount.quantize(_CENTS, ROUND_HALF_EVEN)


def list_price(line: Reader, quantity: Decimal) -> Decimal:
    """One unit before any discount; old orders do not say the gross price."""
    if quantity <= 0:
        raise line.refuse("quantity", "must be above zero")
    gross = line.number("gross_price", None)  # type: ignore[arg-type]
    if gross is not None:
        return rounded(gross / quantity)
    full = line.number("full_unit_price", ZERO)
    price = line.number("unit_price")
    return max(full, price)


def given_by_seller(line: Reader, quantity: Decimal) -> Decimal:
    """Of a reduction that names no payer, all is the seller's."""
    named = list(line.list("discounts"))
    if named:
        return rounded(sum((one.number("amounts.seller", ZERO) for one in named), ZERO) * quantity)
    return rounded(list_price(line, quantity) - line.number("unit_price")) * quantity


def coupon_of(sale: Sale, order: Reader) -> tuple[Decimal, Decimal]:
    """(whole, seller's part) of the coupons used on this order: no part of the line's prices."""
    whole = sum((one.number("coupon_amount", ZERO) for one in money_of(order)), ZERO)
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
    money = money_of(order)
    back = sum((one.number("transaction_amount_refunded", ZERO) for one in money), ZERO)
    return bool(money) and 0 < sum((one.number("transaction_amount", ZERO) for one in money), ZERO) <= back


def _returned(sale: Sale, order_id: str, listing: str) -> Decimal:
    lines = (line for one in back(sale) for line in one.list("orders"))
    mine = (
        line.number("return_quantity", ZERO)
        for line in lines
        if line.text("order_id", "") == order_id and line.text("item_id", listing) == listing
    )
    return max(ZERO, sum(mine, ZERO))
