"""Orders to write into an ERP."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from connectors.contract import Reference
from orders.documents import Address, Buyer, Item, OrderDocument, Totals

HOME = Address(
    recipient="Beatriz Exemplo",
    street="Rua das Acácias",
    number="120",
    complement="ap 31",
    district="Centro",
    city="São Paulo",
    state="SP",
    postal_code="01001000",
)
BUYER = Buyer(name="Beatriz Exemplo", document="11144477735", email="beatriz@example.com", phone="11988887777")


def item(sku: str, quantity: str, price: str, discount: str = "0", **more: Any) -> Item:
    return Item(
        external_id=more.pop("external_id", sku),
        sku=sku,
        quantity=Decimal(quantity),
        unit_price=Decimal(price),
        discount=Decimal(discount),
        **more,
    )


def order(*items: Item, discount: str | None = None, **more: Any) -> OrderDocument:
    """Closes to the cent; `discount` is that of the whole sale where it is more than that of its lines."""
    lines = items or (item("CAN-325-AZUL", "2", "39.90"),)
    parts = {name: Decimal(more.pop(name, "0")) for name in ("freight", "interest", "other", "subsidy")}
    goods = sum((line.quantity * line.unit_price for line in lines), Decimal(0))
    off = sum((line.discount for line in lines), Decimal(0)) if discount is None else Decimal(discount)
    total = goods - off + parts["freight"] + parts["interest"] + parts["other"] - parts["subsidy"]
    values: dict[str, Any] = {
        "external_id": "2000001",
        "updated_at": datetime(2026, 11, 24, 12, tzinfo=UTC),
        "placed_at": datetime.now(UTC),
        "buyer": BUYER,
        "ship_to": HOME,
    }
    totals = Totals(items=goods, discount=off, total=total, **parts)
    return OrderDocument(**{**values, "items": lines, "totals": totals, **more})


def reference(number: str, channel: int = 3) -> Reference:
    return Reference(number, channel, "mercado_livre", "Mercado Livre", f"entreposto:{channel}:{number}")
