"""The JSON of the simulated Mercado Livre: invented buyers and carts in the shape of the real documents."""

import random
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from connectors.simulation.catalogue import SKUS

Raw = dict[str, Any]
ML_ZONE = timezone(timedelta(hours=-4))
CITIES = (
    ("SP", "São Paulo", "São Paulo", "01310100"),
    ("RJ", "Rio de Janeiro", "Rio de Janeiro", "20040002"),
    ("MG", "Minas Gerais", "Belo Horizonte", "30130010"),
    ("PR", "Paraná", "Curitiba", "80010000"),
    ("BA", "Bahia", "Salvador", "40010000"),
    ("PE", "Pernambuco", "Recife", "50010000"),
    ("RS", "Rio Grande do Sul", "Porto Alegre", "90010000"),
)
NAMES = ("Ana", "Bruno", "Carla", "Davi", "Elisa", "Fábio", "Gabriela", "Heitor", "Inês", "João")
FAMILIES = ("Almeida", "Barbosa", "Cardoso", "Duarte", "Esteves", "Ferreira", "Gomes", "Lacerda")
# (mode, type) and how many of ten sales go that way.
LOGISTICS = {
    "cross_docking": ("me2", "cross_docking", 6),
    "self_service": ("me2", "self_service", 2),
    "default": ("me1", "default", 1),
    "fulfillment": ("me2", "fulfillment", 1),
}


def written(moment: datetime) -> str:
    """As orders and shipments write a time."""
    return moment.astimezone(ML_ZONE).isoformat(timespec="milliseconds")


def written_utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def cpf(chance: random.Random) -> str:
    digits = [chance.randrange(10) for _ in range(9)]
    for length in (10, 11):
        rest = sum(digit * weight for digit, weight in zip(digits, range(length, 1, -1), strict=True)) * 10 % 11
        digits.append(rest % 10)
    return "".join(map(str, digits))


def order(
    chance: random.Random,
    ids: Raw,
    now: datetime,
    *,
    status: str = "paid",
    discounted: bool = False,
    tags: tuple[str, ...] = (),
) -> Raw:
    """One listing. `ids`: order, pack, shipment, buyer, billing, seller, payment; money adds up to the cent."""
    place = chance.randrange(len(SKUS))
    sku, title, price = SKUS[place]
    quantity = chance.choice((1, 1, 1, 2, 3))
    full = Decimal("10.00") if discounted else Decimal(0)
    seller = Decimal("6.00") if discounted else Decimal(0)
    unit = price - full
    total = unit * quantity
    interest = Decimal("3.60") if chance.random() < 0.2 else Decimal(0)
    fee = (unit * Decimal("0.12")).quantize(Decimal("0.01"))
    paid = status in ("paid", "partially_refunded")
    made = written(now)
    return {
        "id": ids["order"], "date_created": made, "date_closed": made, "last_updated": made,
        "date_last_updated": written_utc(now), "pack_id": ids["pack"], "pickup_id": None, "fulfilled": None,
        "order_request": {"return": None, "change": None}, "mediations": [], "total_amount": float(total),
        "paid_amount": float(total + interest) if paid else 0, "coupon": {"id": None, "amount": 0},
        "shipping_cost": None, "currency_id": "BRL",
        "order_items": [{
            "item": {
                "id": f"MLB{4_000_000_001 + place}", "title": title, "category_id": "MLB1000",
                "variation_id": 170_000_000_001 + place, "seller_custom_field": None, "seller_sku": sku,
                "condition": "new", "variation_attributes": [],
            },
            "quantity": quantity, "requested_quantity": {"value": quantity, "measure": "unit"},
            "unit_price": float(unit), "full_unit_price": float(price), "gross_price": float(price * quantity),
            "discounts": [{"amounts": {"full": float(full), "seller": float(seller)}}] if discounted else [],
            "sale_fee": float(fee), "listing_type_id": "gold_special", "currency_id": "BRL",
            "manufacturing_days": None, "element_id": 1,
        }],
        "payments": [{
            "id": ids["payment"], "order_id": ids["order"], "payer_id": ids["buyer"],
            "collector": {"id": ids["seller"]}, "site_id": "MLB",
            "payment_method_id": "visa" if interest else "pix",
            "payment_type": "credit_card" if interest else "bank_transfer", "operation_type": "regular_payment",
            "installments": 3 if interest else 1, "status": "approved" if paid else "pending",
            "status_detail": "accredited" if paid else "pending_waiting_transfer",
            "transaction_amount": float(total), "transaction_amount_refunded": 0,
            "total_paid_amount": float(total + interest), "shipping_cost": 0, "taxes_amount": 0, "coupon_amount": 0,
            "authorization_code": str(chance.randrange(100_000, 999_999)) if interest else None,
            "date_created": made, "date_approved": made if paid else None, "date_last_modified": made,
        }],
        "shipping": {"id": ids["shipment"]}, "status": status, "status_detail": None, "cancel_detail": None,
        "tags": [*(["pack_order"] if ids["pack"] else []), *(["order_has_discount"] if discounted else []),
                 "paid" if paid else "not_paid", "not_delivered", *tags],
        "feedback": {"buyer": None, "seller": None},
        "context": {"channel": "marketplace", "site": "MLB", "flows": []},
        "buyer": {"id": ids["buyer"], "billing_info": {"id": str(ids["billing"])}}, "seller": {"id": ids["seller"]},
        "taxes": {"amount": None, "currency_id": None, "id": None},
    }  # fmt: skip


def discounts(order_raw: Raw) -> Raw:
    """What `/orders/{id}/discounts` says of a reduced price."""
    line = order_raw["order_items"][0]
    amounts = [
        {"total": one["amounts"]["full"] * line["quantity"], "seller": one["amounts"]["seller"] * line["quantity"]}
        for one in line["discounts"]
    ]
    return {
        "details": [
            {"type": "discount", "items": [{"id": line["item"]["id"], "amounts": amount}]} for amount in amounts
        ]
    }


def shipment(chance: random.Random, ids: Raw, now: datetime, kind: str, *, masked: bool = False) -> Raw:
    """The parcel as the new format shows it, waiting for its invoice where that is how it goes."""
    mode, type_, _ = LOGISTICS[kind]
    state, state_name, city, zip_code = chance.choice(CITIES)
    name = f"{chance.choice(NAMES)} {chance.choice(FAMILIES)}"
    street, number = "Rua das Amostras", str(chance.randrange(1, 2000))
    if masked:
        street = number = zip_code = name = "XXXXXXX"
    status, substatus = first_state(kind)
    freight = float(chance.choice((0, 0, Decimal("12.90"), Decimal("24.50"))))
    promise = now + timedelta(days=5)
    return {
        "id": ids["shipment"], "status": status, "substatus": substatus, "date_created": written(now),
        "last_updated": written(now), "declared_value": 100.0,
        "tracking_number": f"MEL{ids['shipment']}LMXDF01" if mode == "me2" else None,
        "tracking_method": "MEL Distribution" if mode == "me2" else None,
        "logistic": {"mode": mode, "type": type_, "direction": "forward"},
        "dimensions": {"height": 12, "width": 12, "length": 32, "weight": 900},
        "origin": {"type": "selling_address", "sender_id": ids["seller"], "node": None},
        "destination": {
            "type": "buying_address", "receiver_id": ids["buyer"], "receiver_name": name,
            "receiver_phone": "11912345678" if mode == "me1" else None, "comments": None,
            "shipping_address": {
                "address_line": f"{street} {number}", "street_name": street, "street_number": number,
                "comment": None, "zip_code": zip_code, "city": {"id": f"BR-{state}-01", "name": city},
                "state": {"id": f"BR-{state}", "name": state_name}, "country": {"id": "BR", "name": "Brasil"},
                "neighborhood": {"id": None, "name": "Centro"}, "delivery_preference": "residential",
            },
        },
        "lead_time": {
            "option_id": 1, "cost": freight, "list_cost": 38.9, "cost_type": "charged" if freight else "free",
            "currency_id": "BRL", "service_id": 22,
            "shipping_method": {"id": 100009, "name": "Normal", "type": "standard", "deliver_to": "address"},
            "buffering": {"date": None},
            "estimated_delivery_time": {"type": "known", "date": written(promise), "unit": "hour"},
        },
        "source": {"site_id": "MLB", "market_place": "MELI", "customer_id": None, "application_id": None},
        "sibling": {"sibling_id": None, "reason": None}, "tags": [],
    }  # fmt: skip


def first_state(kind: str) -> tuple[str, str | None]:
    if kind == "fulfillment":
        return "handling", None
    return ("ready_to_ship", "invoice_pending" if kind == "cross_docking" else "ready_to_print")


def sla(raw: Raw) -> Raw:
    made = datetime.fromisoformat(raw["date_created"])
    due = (made + timedelta(days=2)).astimezone(timezone(timedelta(hours=-3))).replace(
        hour=23, minute=59, second=59, microsecond=0
    )  # fmt: skip
    return {"status": "on_time", "service": None, "expected_date": due.isoformat(), "last_updated": written_utc(made)}


def costs(raw: Raw) -> Raw:
    sender = {"user_id": raw["origin"]["sender_id"], "cost": 19.45, "compensation": 0, "discounts": []}
    receiver = {"user_id": raw["destination"]["receiver_id"], "cost": raw["lead_time"]["cost"], "discounts": []}
    return {"gross_amount": 38.9, "receiver": receiver, "senders": [sender]}


def billing(chance: random.Random, ids: Raw) -> Raw:
    _, state_name, city, zip_code = chance.choice(CITIES)
    return {
        "site_id": "MLB",
        "buyer": {
            "cust_id": ids["buyer"],
            "billing_info": {
                "name": chance.choice(NAMES), "last_name": chance.choice(FAMILIES),
                "identification": {"type": "CPF", "number": cpf(chance)}, "taxes": {},
                "address": {
                    "street_name": "Avenida Modelo", "street_number": "SN", "city_name": city, "comment": None,
                    "neighborhood": "Centro", "state": {"name": state_name}, "zip_code": zip_code, "country_id": "BR",
                },
                "attributes": {"is_normalized": True, "cust_type": "CO"},
            },
        },
        "seller": {"cust_id": ids["seller"]},
    }  # fmt: skip
