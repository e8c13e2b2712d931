"""Documents and rows for the tests of this layer."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hub.models import Seller
from orders.documents import (
    Address,
    Buyer,
    InvoiceDocument,
    Item,
    Milestones,
    OrderDocument,
    Payment,
    Shipment,
    Totals,
)
from orders.ingest import Ingested, ingest
from orders.invoices import key_digit
from orders.models import Order, SalesChannel

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
NOW = datetime(2026, 11, 20, tzinfo=UTC)
CNPJ = "11222333000181"


def at(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def channel() -> SalesChannel:
    seller = Seller.objects.create(name="Loja", slug=f"loja-{Seller.objects.count()}")
    return SalesChannel.objects.create(seller=seller, kind="shop", name="Shop")


def item(external_id: str = "1", **columns: Any) -> Item:
    values = {"sku": f"SKU-{external_id}", "title": "Caneca", "quantity": Decimal(2), "unit_price": Decimal("10.00")}
    return Item(external_id=external_id, **{**values, **columns})


def totals(items: tuple[Item, ...], freight: str = "5.00") -> Totals:
    """Totals that close."""
    goods = sum((line.quantity * line.unit_price for line in items), Decimal(0))
    discount = sum((line.discount for line in items), Decimal(0))
    return Totals(items=goods, discount=discount, freight=Decimal(freight), total=goods - discount + Decimal(freight))


def document(external_id: str = "S1", version: int = 0, **columns: Any) -> OrderDocument:
    """An approved order of a valid buyer that closes."""
    items = columns.pop("items", (item("1"), item("2", quantity=Decimal(1), unit_price=Decimal("5.50"))))
    amounts = columns.pop("totals", totals(items))
    values: dict[str, Any] = {
        "updated_at": at(version),
        "placed_at": START,
        "raw_status": "paid",
        "milestones": Milestones(approved_at=START),
        "buyer": Buyer(name="Ana Paula", document="52998224725"),
        "ship_to": Address(recipient="Ana", street="Rua A", city="São Paulo", state="SP", postal_code="01001000"),
        "payments": (Payment(external_id="p", amount=amounts.total, method="pix"),),
        "shipments": (Shipment(external_id="s"),),
    }
    return OrderDocument(external_id=external_id, items=items, totals=amounts, **{**values, **columns})


def taken(into: SalesChannel, *documents: OrderDocument) -> Ingested:
    """Ingests and gives the last result."""
    result = ingest(into, documents, now=NOW)[-1]
    assert isinstance(result, Ingested)
    return result


def order(**columns: Any) -> Order:
    return taken(channel(), document(**columns)).order


def key(serial: int = 12345, cnpj: str = CNPJ, model: str = "55") -> str:
    first = f"352611{cnpj}{model}001{serial:09d}187654321"
    return first + str(key_digit(first))


def invoice(serial: int = 12345, **columns: Any) -> InvoiceDocument:
    code = columns.pop("key", key(serial))
    xml = f'<nfeProc versao="4.00"><NFe><infNFe Id="NFe{code}"/></NFe></nfeProc>\r\n'.encode()
    return InvoiceDocument(key=code, **{"number": str(serial), "issued_at": at(60), "xml": xml, **columns})
