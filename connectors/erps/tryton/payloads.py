"""An order as Tryton wants to be told of it: values for `create`. Pure; money stays exact to the cent."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from stdnum.br import cnpj, cpf

from connectors.contract import Reference
from connectors.failures import Refusal
from connectors.reading import digits, document_number
from orders.documents import Address, Buyer, Item, OrderDocument

CENT = Decimal("0.01")
# The server refuses a unit price with more decimals.
PRICE_STEP = Decimal("0.0001")
NOBODY = "Consumidor"
# The hub's key stands in a line of its own of the sale's comment, so that people may write theirs around it.
_HUB_KEY = re.compile(r"^Hub:[ \t]*(\S.*?)[ \t]*$", re.MULTILINE)
SERVICE_SKUS = {"freight_sku": "FRETE", "interest_sku": "JUROS", "other_sku": "OUTROS", "adjustment_sku": "DESCONTO"}


@dataclass(frozen=True)
class SaleLine:
    """`path` is where in the order it comes from, for a refusal that names it."""

    sku: str
    quantity: Decimal
    unit_price: Decimal
    description: str
    path: str


def comment(hub_key: str) -> str:
    return f"Hub: {hub_key}"


def hub_key(text: str) -> str:
    found = _HUB_KEY.search(text)
    return found[1] if found else ""


def erp_total(order: OrderDocument) -> Decimal:
    """What the seller invoices: a marketplace's subsidy is paid to the seller and no reduction."""
    totals = order.totals
    return totals.items - totals.discount + totals.freight + totals.interest + totals.other


def sale_lines(order: OrderDocument, settings: Mapping[str, Any]) -> list[SaleLine]:
    """Goods net of their discount, then services; they add up to `erp_total` to the cent, or it is a `Refusal`."""
    _check_sums(order)
    lines = [_goods(place, item) for place, item in enumerate(order.items)]
    goods = order.totals.items - order.totals.discount
    # Discounts of the whole order, and of lines whose net price of one unit is no exact number.
    rest = goods - sum((cents(line.quantity * line.unit_price) for line in lines), Decimal(0))
    return [*lines, *_services(order, rest, settings)]


def _check_sums(order: OrderDocument) -> None:
    listed = sum((item.quantity * item.unit_price for item in order.items), Decimal(0))
    # A channel may round each line.
    if abs(listed - order.totals.items) > CENT * len(order.items):
        raise Refusal(
            f"The lines are worth {listed:f} at list price, but the order says {order.totals.items:f}.",
            path="$.totals.items",
        )
    if erp_total(order) != cents(erp_total(order)):
        raise Refusal(f"The total of {erp_total(order):f} is no whole number of cents.", path="$.totals")


def _goods(place: int, item: Item) -> SaleLine:
    path = f"$.items[{place}].sku"
    if not item.sku:
        raise Refusal("has no SKU, so Tryton's product cannot be told", path=path)
    return SaleLine(item.sku, item.quantity, _unit_price(item), item.title, path)


def _unit_price(item: Item) -> Decimal:
    """Net of the line's discount where that divides exactly, the list price otherwise."""
    net = item.quantity * item.unit_price - item.discount
    each = (net / item.quantity).quantize(PRICE_STEP)
    return each if each * item.quantity == net else item.unit_price


def _services(order: OrderDocument, rest: Decimal, settings: Mapping[str, Any]) -> Iterator[SaleLine]:
    totals = order.totals
    for amount, setting, text in (
        (rest, "adjustment_sku", "Desconto"),
        (totals.freight, "freight_sku", "Frete"),
        (totals.interest, "interest_sku", "Juros"),
        (totals.other, "other_sku", "Outros"),
    ):
        if amount:
            sku = str(settings.get(setting) or SERVICE_SKUS[setting])
            yield SaleLine(sku, Decimal(1), amount, text, f"$.settings.{setting}")


def cents(amount: Decimal) -> Decimal:
    """As Tryton rounds the amount of a line."""
    return amount.quantize(CENT, ROUND_HALF_EVEN)


def sale(
    order: OrderDocument,
    reference: Reference,
    lines: list[dict[str, Any]],
    buyer: Mapping[str, int],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Values of `sale.sale`. `buyer` has the ids `party`, `invoice_address` and `shipment_address`."""
    zone = ZoneInfo(str(settings.get("timezone") or "America/Sao_Paulo"))
    term = str(settings.get("payment_term") or "")
    return {
        **buyer,
        **({"payment_term": int(term)} if term.isdigit() else {}),
        "reference": reference.number,
        "description": reference.channel_label,
        "comment": comment(reference.hub_key),
        "sale_date": order.placed_at.astimezone(zone).date(),
        "shipment_method": "order",
        "invoice_method": "order",
        "lines": [["create", lines]],
    }


def line(one: SaleLine, product: Mapping[str, Any]) -> dict[str, Any]:
    """Values of `sale.line`. Quantities are floats in Tryton, prices decimals."""
    return {
        "product": product["id"],
        "unit": product["sale_uom"],
        "quantity": float(one.quantity),
        "unit_price": one.unit_price,
        "description": one.description,
    }


def identifier(buyer: Buyer) -> tuple[str, list[str]] | None:
    """(type, the number without and with mask), or None where the channel masks it or it is no real one.

    Tryton checks the digits, and 8.0 stores the masked form.
    """
    number = document_number(buyer.document)
    # One digit throughout passes the sum and is nobody's.
    if len(set(number)) < 2:
        return None
    if len(number) == 11 and cpf.is_valid(number):
        return "br_cpf", [number, cpf.format(number)]
    if len(number) == 14 and cnpj.is_valid(number):
        return "br_cnpj", [number, cnpj.format(number)]
    return None


def party(buyer: Buyer, name: str) -> dict[str, Any]:
    """Values of `party.party`, without addresses."""
    values: dict[str, Any] = {"name": name or NOBODY}
    if found := identifier(buyer):
        values["identifiers"] = [["create", [{"type": found[0], "code": found[1][0]}]]]
    if mechanisms := list(_mechanisms(buyer)):
        values["contact_mechanisms"] = [["create", mechanisms]]
    return values


def _mechanisms(buyer: Buyer) -> Iterator[dict[str, str]]:
    if buyer.email:
        yield {"type": "email", "value": buyer.email}
    if buyer.phone:
        # A server with phone checks refuses a `phone` it cannot parse; an order must not fail over that.
        kind = "phone" if len(digits(buyer.phone)) in (10, 11) else "other"
        yield {"type": kind, "value": f"+55{digits(buyer.phone)}" if kind == "phone" else buyer.phone}


def address(place: Address | None, name: str) -> dict[str, Any]:
    """Values of `party.address`, without party, country and subdivision, which are ids of the installation."""
    if place is None:
        return {"party_name": name, "street": "", "city": "", "postal_code": ""}
    return {
        "party_name": place.recipient or name,
        "street": street(place),
        "city": place.city,
        "postal_code": place.postal_code,
    }


def street(place: Address) -> str:
    """Street, number and complement in one line, the district below: Tryton has one field for all."""
    first = ", ".join(part for part in (place.street, place.number, place.complement) if part)
    return "\n".join(part for part in (first, place.district) if part)
