"""The proof that an order can be trusted with an ERP, and the reasons to hold it when it cannot."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from stdnum.br import cnpj, cpf

from orders.documents import OrderDocument
from orders.models import SalesChannel
from orders.vocabulary import Hold

# No ERP connected here books a Brazilian seller's sale in anything else.
CURRENCIES = frozenset({"BRL"})
# Clocks differ by seconds, zones by hours; a day ahead is a mistake.
AHEAD = timedelta(days=1)
# The largest amount a column holds.
LARGEST = Decimal("9999999999.9999")
ZERO = Decimal(0)


def difference(document: OrderDocument) -> Decimal:
    """What the total misses the sum of its parts by, as far as the column can hold it."""
    return max(min(document.totals.difference, LARGEST), -LARGEST)


def closes(document: OrderDocument, tolerance: Decimal) -> bool:
    """Parts and total, lines and items, line discounts and discount agree; `tolerance` is per line."""
    allowed = tolerance * len(document.items)
    lines = sum((item.quantity * item.unit_price for item in document.items), ZERO)
    discounts = sum((item.discount for item in document.items), ZERO)
    return (
        abs(document.totals.difference) <= allowed
        and abs(lines - document.totals.items) <= allowed
        and discounts - document.totals.discount <= allowed
        and min(_amounts(document)) >= 0
    )


def _amounts(document: OrderDocument) -> Iterable[Decimal]:
    """The amounts that are never negative. `other` may be, and so may corrections of the seller's own costs."""
    totals = document.totals
    yield from (totals.items, totals.discount, totals.freight, totals.interest, totals.subsidy, totals.total)
    for item in document.items:
        yield from (item.unit_price, item.discount)
    for payment in document.payments:
        yield from (payment.amount, payment.refunded)


def buyer_is_valid(number: str) -> bool:
    """A CPF or CNPJ (letters allowed since 2026) with right check digits; absent or masked ones are not judged.

    Whether a withheld document is a reason to wait is the channel's to say (`Hold.MASKED`).
    """
    if not number or "*" in number or "XXX" in number.upper():
        return True
    # Eleven equal digits pass the arithmetic, and are nobody's.
    return len(set(number)) > 1 and (cpf.is_valid(number) or cnpj.is_valid(number))


def holds(document: OrderDocument, channel: SalesChannel, now: datetime) -> list[str]:
    """Every reason to wait that this document gives, in the vocabulary's order."""
    found = set(document.holds)
    if not closes(document, channel.tolerance):
        found.add(Hold.MONEY)
    if document.currency not in CURRENCIES:
        found.add(Hold.CURRENCY)
    if not buyer_is_valid(document.buyer.document):
        found.add(Hold.BUYER)
    if max(document.placed_at, document.updated_at) > now + AHEAD:
        found.add(Hold.DATES)
    return [hold.value for hold in Hold if hold in found]
