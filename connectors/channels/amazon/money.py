"""Amazon's amounts: what each line is made of, and the parts of the total.

Amazon publishes no rule of whether a DISCOUNT contains its freight part, nor its sign; the line's own total decides.
"""

from dataclasses import dataclass
from decimal import Decimal

from connectors.failures import Refusal
from connectors.reading import Reader
from orders.documents import ZERO, Totals

LARGEST = Decimal(10) ** 10
UNIT = Decimal("0.0001")
# Everything else that is charged: no vocabulary of ours has a word for each.
OTHER = frozenset({"GIFT_WRAP", "COD_FEE", "TAX", "DELIVERY_TIP", "OTHER"})


@dataclass(frozen=True)
class Line:
    """One line's amounts: `gross` for all units, `discount` on the goods, `freight` after its own discount."""

    quantity: Decimal
    cancelled: Decimal
    unit_price: Decimal
    gross: Decimal
    discount: Decimal
    freight: Decimal
    other: Decimal

    @property
    def total(self) -> Decimal:
        return self.gross - self.discount + self.freight + self.other


def amount(reader: Reader, key: str, default: Decimal = ZERO) -> Decimal:
    """The amount of a money object; `default` where there is none."""
    value = reader.maybe(key).number("amount", default)
    if abs(value) >= LARGEST:
        raise reader.refuse(key, "is not a plausible amount")
    return value


def line(item: Reader, quantity: Decimal, cancelled: Decimal) -> Line:
    """`quantity` is at least 1."""
    sums, freight_discount, nested = _breakdowns(item)
    given = amount(item, "product.price.unitPrice")
    total = amount(item, "proceeds.proceedsTotal")
    if "ITEM" in sums:
        gross = sums["ITEM"]
    elif sums or not item.has("proceeds.proceedsTotal"):
        gross = given * quantity
    else:
        gross = total
    unit = given if given * quantity == gross else (gross / quantity).quantize(UNIT)
    charged = gross + sums.get("SHIPPING", ZERO) + sum((sums.get(name, ZERO) for name in OTHER), ZERO)
    discount = sums.get("DISCOUNT", ZERO)
    if item.has("proceeds.proceedsTotal") and charged - discount != total:
        # The one other reading of Amazon's words; the sum says which of the two it is.
        nested = charged - discount - freight_discount != total and nested
    return Line(
        quantity=quantity,
        cancelled=cancelled,
        unit_price=unit,
        gross=gross,
        discount=discount - freight_discount if nested else discount,
        freight=sums.get("SHIPPING", ZERO) - freight_discount,
        other=sum((sums.get(name, ZERO) for name in OTHER), ZERO),
    )


def _breakdowns(item: Reader) -> tuple[dict[str, Decimal], Decimal, bool]:
    """Sums by type, the freight part of the discount, and whether the discount is the sum that contains it."""
    sums: dict[str, Decimal] = {}
    freight = ZERO
    for part in item.maybe("proceeds").list("breakdowns"):
        kind, value = part.text("type", "OTHER"), amount(part, "subtotal")
        if kind == "DISCOUNT":
            value = abs(value)
            freight += sum(
                (abs(amount(detail, "value")) for detail in part.list("detailedBreakdowns") if _is_freight(detail)),
                ZERO,
            )
        elif kind not in OTHER and kind not in ("ITEM", "SHIPPING"):
            part.unknown.append(f"{part.path}.type: {kind}"[:250])
            kind = "OTHER"
        sums[kind] = sums.get(kind, ZERO) + value
    return sums, freight, freight <= sums.get("DISCOUNT", ZERO)


def _is_freight(detail: Reader) -> bool:
    return detail.text("subtype", "") == "SHIPPING"


def totals(order: Reader, lines: list[Line]) -> Totals:
    """The parts of all lines; what of them was cancelled and is out of the total, is taken off in `other`."""
    items = sum((line.gross for line in lines), ZERO)
    discount = sum((line.discount for line in lines), ZERO)
    freight = sum((line.freight for line in lines), ZERO)
    other = sum((line.other for line in lines), ZERO)
    parts = items - discount + freight + other
    total = amount(order, "proceeds.grandTotal", parts)
    gone = sum((line.total * line.cancelled / line.quantity for line in lines), ZERO).quantize(UNIT)
    if gone and total == parts - gone:
        other -= gone
    if max(abs(part) for part in (items, discount, freight, other, total)) >= LARGEST:
        raise Refusal("is not a plausible amount", path=f"{order.path}.proceeds")
    return Totals(items=items, discount=discount, freight=freight, other=other, total=total)
