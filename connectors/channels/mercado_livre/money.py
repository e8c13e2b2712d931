"""Money: an order's payments, and what the whole sale comes to."""

from collections.abc import Iterator
from decimal import Decimal

from connectors.channels.mercado_livre import words
from connectors.channels.mercado_livre.lines import coupon_of, given_by_seller, list_price, rounded
from connectors.channels.mercado_livre.sale import Sale, money_of
from connectors.reading import Reader
from orders.documents import ZERO, Payment, Totals
from orders.vocabulary import PaymentStatus


def payments(sale: Sale) -> Iterator[Payment]:
    """A payment for several orders of a pack is listed in each of them."""
    found = {one.external_id: one for order in sale.orders for one in payments_of(order)}
    yield from found.values()


def payments_of(order: Reader) -> list[Payment]:
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


def totals(sale: Sale) -> Totals:
    lines = [(order, line) for order in sale.orders for line in order.list("order_items")]
    items = sum((list_price(line, line.number("quantity")) * line.number("quantity") for _, line in lines), ZERO)
    net = sum((line.number("unit_price") * line.number("quantity") for _, line in lines), ZERO)
    given = sum((given_by_seller(line, line.number("quantity")) for _, line in lines), ZERO)
    coupons = [coupon_of(sale, order) for order in sale.orders]
    discount = given + sum((seller for _, seller in coupons), ZERO)
    coupon = sum((whole for whole, _ in coupons), ZERO)
    money = [one for order in sale.orders for one in money_of(order)]
    freight = _freight(sale)
    return Totals(
        items=rounded(items),
        discount=rounded(discount),
        freight=rounded(freight),
        interest=rounded(sum((_interest(one) for one in money), ZERO)),
        other=rounded(sum((one.number("taxes_amount", ZERO) for one in money), ZERO)),
        subsidy=rounded(items + coupon - net - discount),
        total=rounded(_paid(sale, freight)),
        fees=rounded(sum((one.number("sale_fee", ZERO) * one.number("quantity") for _, one in lines), ZERO)),
        freight_cost=rounded(_freight_cost(sale)),
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
    in_payments = sum((one.number("shipping_cost", ZERO) for order in sale.orders for one in money_of(order)), ZERO)
    return total if in_payments else total + freight


def _paid_of(order: Reader) -> Decimal:
    money = money_of(order)
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
