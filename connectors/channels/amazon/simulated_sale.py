"""The sales of the simulated Amazon, in the shape of Orders 2026-01-01: invented buyers, real structure."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from connectors.simulation.catalogue import SKUS

MARKETPLACE = "A2Q3Y263D00KWC"
PEOPLE = (
    ("Ana Beatriz Souza", "Rua das Laranjeiras", "Laranjeiras", "Rio de Janeiro", "RJ", "22240-003"),
    ("Carlos Eduardo Lima", "Avenida Sete de Setembro", "Centro", "Manaus", "AM", "69005-140"),
    ("Fernanda Oliveira", "Rua Augusta", "Consolação", "São Paulo", "SP", "01305-000"),
    ("João Pedro Alves", "Rua da Bahia", "Lourdes", "Belo Horizonte", "MG", "30160-012"),
    ("Mariana Costa", "Rua XV de Novembro", "Centro", "Curitiba", "PR", "80020-310"),
    ("Rafael Nascimento", "Avenida Boa Viagem", "Boa Viagem", "Recife", "PE", "51011-000"),
)


@dataclass
class Invoice:
    key: str
    status: str
    decided_at: float
    verdict: str


@dataclass
class Sale:
    """An order as Amazon keeps it, whole; what a call shows of it depends on what was asked and on its status."""

    raw: dict[str, Any]
    program: str
    invoice: Invoice | None = None
    edits: int = 0

    @property
    def status(self) -> str:
        return str(self.raw["fulfillment"]["fulfillmentStatus"])

    @status.setter
    def status(self, value: str) -> None:
        self.raw["fulfillment"]["fulfillmentStatus"] = value

    @property
    def packages(self) -> list[dict[str, Any]]:
        packages: list[dict[str, Any]] = self.raw.setdefault("packages", [])
        return packages


def new(
    chance: random.Random,
    serial: int,
    program: str,
    status: str,
    *,
    business: bool,
    masked: bool,
    discount: bool | None,
) -> Sale:
    order_id = f"701-{serial:07d}-{digits(chance, 7)}"
    items = [_item(chance, serial, place, discount) for place in range(chance.choice((1, 1, 1, 2, 3)))]
    total = sum((Decimal(item["proceeds"]["proceedsTotal"]["amount"]) for item in items), Decimal(0))
    programs = [*(["DELIVERY_BY_AMAZON"] if program == "DBA" else []), *(["AMAZON_BUSINESS"] if business else [])]
    raw: dict[str, Any] = {
        "orderId": order_id,
        "programs": programs,
        "salesChannel": {
            "channelName": "AMAZON",
            "marketplaceId": MARKETPLACE,
            "marketplaceName": "Amazon.com.br",
        },
        **_person(chance, business, masked or program == "FBA"),
        "proceeds": {"grandTotal": money(total)},
        "payment": {"paymentExecutions": [_payment(chance, total)]},
        "fulfillment": _fulfillment(chance, program, status),
        "orderItems": items,
    }
    if program == "DBA":
        raw["tax"]["taxInvoicing"] = {"invoiceStatus": "NOT_FOUND"}
    return Sale(raw, program)


def _item(chance: random.Random, serial: int, place: int, discount: bool | None) -> dict[str, Any]:
    sku, title, price = chance.choice(SKUS)
    quantity = chance.choice((1, 1, 1, 2, 3))
    freight = Decimal(chance.choice((0, 0, 990, 1590))) / 100
    off = Decimal("5.00") if (chance.random() < 0.2 if discount is None else discount) else Decimal(0)
    parts: list[dict[str, Any]] = [{"type": "ITEM", "subtotal": money(price * quantity)}]
    parts += [{"type": "SHIPPING", "subtotal": money(freight)}] if freight else []
    if off:
        detail = [{"subtype": "ITEM", "value": money(off)}]
        parts.append({"type": "DISCOUNT", "subtotal": money(off), "detailedBreakdowns": detail})
    return {
        "orderItemId": f"701{serial:09d}{place:02d}",
        "quantityOrdered": quantity,
        "product": {
            "asin": f"B0{digits(chance, 8)}",
            "title": title,
            "sellerSku": sku,
            "condition": {"conditionType": "NEW"},
            "price": {"unitPrice": money(price)},
        },
        "proceeds": {"proceedsTotal": money(price * quantity + freight - off), "breakdowns": parts},
        **({"promotion": {"breakdowns": [{"promotionId": "CUPOM-5"}]}} if off else {}),
        "fulfillment": {"quantityFulfilled": 0, "quantityUnfulfilled": quantity},
    }


def _person(chance: random.Random, business: bool, masked: bool) -> dict[str, Any]:
    """Without the restricted roles there is no buyer, no street and no tax number, but still a city."""
    name, street, district, city, state, postal_code = chance.choice(PEOPLE)
    number, document = str(chance.randrange(1, 3000)), _cpf(chance)
    registrations: list[dict[str, Any]] = [
        {
            "entityType": "MARKETPLACE",
            "taxRegistrationType": "CNPJ",
            "taxRegistrationNumber": "11222333000181",
        },
        {"entityType": "MERCHANT", "legalName": "Loja Simulada"},
    ]
    if masked:
        place = {"city": city, "stateOrRegion": state, "countryCode": "BR"}
        return {"recipient": {"deliveryAddress": place}, "tax": {"taxRegistrations": registrations}}
    buyer: dict[str, Any] = {"entityType": "BUYER", "taxRegistrationType": "CPF", "taxRegistrationNumber": document}
    if business:
        buyer.update(
            legalName="Comércio Simulado Ltda",
            taxRegistrationType="VAT",
            taxRegistrationNumber="11.222.333/0001-81",
        )
    return {
        "buyer": {"buyerName": name, "buyerEmail": f"b{digits(chance, 8)}@marketplace.amazon.com.br"},
        "recipient": {
            "deliveryAddress": {
                "name": name,
                "addressLine1": f"{street}, {number}",
                "city": city,
                "stateOrRegion": state,
                "postalCode": postal_code,
                "countryCode": "BR",
                "phone": f"+55 11 9{digits(chance, 4)}-{digits(chance, 4)}",
                "addressType": "COMMERCIAL" if business else "RESIDENTIAL",
                "extendedFields": {"streetName": street, "streetNumber": number, "neighborhood": district},
            }
        },
        "tax": {"taxRegistrations": [buyer, *registrations]},
    }


def _payment(chance: random.Random, total: Decimal) -> dict[str, Any]:
    if chance.random() < 0.5:
        return {"paymentMethod": "Pix", "paymentAmount": money(total), "acquirerId": "11.222.333/0001-81"}
    return {
        "paymentMethod": "CreditCard",
        "paymentAmount": money(total),
        "acquirerId": "11.222.333/0001-81",
        "cardBrand": chance.choice(("Visa", "MasterCard", "Elo")),
        "authorizationCode": digits(chance, 6),
    }


def _fulfillment(chance: random.Random, program: str, status: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "fulfillmentStatus": status,
        "fulfilledBy": "AMAZON" if program == "FBA" else "MERCHANT",
        "fulfillmentServiceLevel": "STANDARD",
        "shipByWindow": {
            "earliestDateTime": stamp(now),
            "latestDateTime": stamp(now + timedelta(hours=chance.randrange(20, 72))),
        },
        "deliverByWindow": {
            "earliestDateTime": stamp(now + timedelta(days=4)),
            "latestDateTime": stamp(now + timedelta(days=chance.randrange(5, 12))),
        },
    }


def _cpf(chance: random.Random) -> str:
    numbers = [chance.randrange(10) for _ in range(9)]
    for _ in range(2):
        weighted = sum(number * weight for number, weight in zip(numbers, range(len(numbers) + 1, 1, -1), strict=True))
        numbers.append(0 if weighted % 11 < 2 else 11 - weighted % 11)
    return "".join(map(str, numbers))


def digits(chance: random.Random, length: int) -> str:
    return "".join(str(chance.randrange(10)) for _ in range(length))


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def money(value: Decimal) -> dict[str, str]:
    return {"amount": f"{value:.2f}", "currencyCode": "BRL"}


def summary(sale: Sale) -> dict[str, Any]:
    accepted = sale.invoice is not None and sale.invoice.verdict == "Accepted"
    codes: Iterable[str] = (one.get("trackingNumber", "") for one in sale.packages)
    return {
        "status": sale.status,
        "invoice_key": sale.invoice.key if sale.invoice and accepted else "",
        "dispatched": sale.status in ("SHIPPED", "PARTIALLY_SHIPPED"),
        "tracking_code": next(iter(codes), ""),
        "cancelled": sale.status == "CANCELLED",
    }
