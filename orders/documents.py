"""The canonical documents: what a channel's order, an invoice and a dispatch are once they are understood.

Money is `Decimal` in units of the currency, as the channel gave it. Times are aware. A document that breaks a
rule here cannot be built: pydantic's `ValidationError` names the path.
"""

import re
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from orders.vocabulary import Hold, Logistics, OrderStatus, PaymentStatus, ShipmentStatus


def storable(text: str) -> str:
    """NUL bytes and lone surrogates cannot be stored as text anywhere: they become U+FFFD, visibly."""
    return _UNSTORABLE.sub("\ufffd", text)


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def _storable(value: Any) -> Any:
    return storable(value) if isinstance(value, str) else value


def _limits(longest: int, least: int = 0) -> StringConstraints:
    return StringConstraints(strip_whitespace=True, min_length=least, max_length=longest)


_clean = BeforeValidator(_storable)
Key = Annotated[str, _clean, _limits(120, 1)]
Short = Annotated[str, _clean, _limits(120)]
Line = Annotated[str, _clean, _limits(255)]
Long = Annotated[str, _clean, _limits(2000)]
State = Annotated[str, _clean, _limits(2)]
Currency = Annotated[str, _clean, _limits(3, 3)]
Money = Annotated[Decimal, Field(max_digits=14, decimal_places=4, allow_inf_nan=False)]
Quantity = Annotated[Decimal, Field(max_digits=12, decimal_places=4, allow_inf_nan=False)]
ZERO = Decimal(0)


class Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Buyer(Document):
    """A snapshot, as the channel gave it at the time. `document` is CPF or CNPJ without mask, upper case."""

    name: Line = ""
    document: Short = ""
    state_registration: Short = ""
    email: Line = ""
    phone: Short = ""


class Address(Document):
    recipient: Line = ""
    street: Line = ""
    number: Short = ""
    complement: Line = ""
    district: Line = ""
    city: Line = ""
    state: Annotated[State, Field(description="UF, two letters")] = ""
    postal_code: Annotated[str, _clean, _limits(10), Field(description="CEP, eight digits without mask")] = ""
    country: State = "BR"
    ibge_code: Annotated[str, _clean, _limits(7), Field(description="IBGE city code where the channel gives it")] = ""
    phone: Short = ""
    notes: Line = ""


class Item(Document):
    """One line. `cancelled`, `refunded` and `returned` are the channel's running totals, by quantity."""

    external_id: Annotated[Key, Field(description="Unique within the order and stable over time")]
    order_id: Annotated[Short, Field(description="The channel's own order this line came from")] = ""
    sku: Short = ""
    title: Line = ""
    quantity: Annotated[Quantity, Field(gt=0)]
    unit_price: Annotated[Money, Field(description="List price of one unit, before `discount`")]
    discount: Annotated[Money, Field(description="Seller-funded, for the whole line")] = ZERO
    fee: Annotated[Money, Field(description="The channel's commission, for the whole line")] = ZERO
    cancelled: Annotated[Quantity, Field(ge=0)] = ZERO
    refunded: Annotated[Quantity, Field(ge=0)] = ZERO
    returned: Annotated[Quantity, Field(ge=0)] = ZERO
    image_url: Long = ""
    gtin: Short = ""
    shipment_id: Annotated[Short, Field(description="External id of the shipment it travels in")] = ""


class Payment(Document):
    external_id: Key
    method: Short = ""
    raw_status: Short = ""
    status: PaymentStatus = PaymentStatus.UNKNOWN
    amount: Money
    refunded: Money = ZERO
    installments: int = 1
    authorization: Short = ""
    paid_at: AwareDatetime | None = None


class Shipment(Document):
    external_id: Key
    raw_status: Short = ""
    status: ShipmentStatus = ShipmentStatus.UNKNOWN
    exception: Annotated[Line, Field(description="What went wrong on the way; empty when nothing did")] = ""
    service: Short = ""
    carrier: Short = ""
    tracking_code: Short = ""
    tracking_url: Long = ""
    ship_by: AwareDatetime | None = None
    deliver_by: AwareDatetime | None = None
    shipped_at: AwareDatetime | None = None
    delivered_at: AwareDatetime | None = None


class Totals(Document):
    """items - discount + freight + interest + other - subsidy = total, each as the channel gave it.

    `discount` is what the seller gives away, `subsidy` what the marketplace pays for the buyer; `total` is what
    the buyer pays. `fees` and `freight_cost` are the seller's costs and no part of the proof.
    """

    items: Money
    discount: Money = ZERO
    freight: Money = ZERO
    interest: Money = ZERO
    other: Money = ZERO
    subsidy: Money = ZERO
    total: Money
    fees: Money = ZERO
    freight_cost: Money = ZERO

    @property
    def difference(self) -> Decimal:
        """Zero when the parts add up."""
        parts = self.items - self.discount + self.freight + self.interest + self.other - self.subsidy
        return self.total - parts


class Milestones(Document):
    """When each step of a sale's life happened, as far as this document knows. Status is derived from them."""

    approved_at: AwareDatetime | None = None
    invoiced_at: AwareDatetime | None = None
    shipped_at: AwareDatetime | None = None
    delivered_at: AwareDatetime | None = None
    cancelled_at: AwareDatetime | None = None
    returned_at: AwareDatetime | None = None


class OrderDocument(Document):
    """One sale as the ERP must see it: what is paid, invoiced and shipped together."""

    external_id: Annotated[Key, Field(description="The grain's own id: Mercado Livre's pack, Amazon's order")]
    external_ids: Annotated[tuple[Key, ...], Field(description="Every channel id the sale is made of")] = ()
    updated_at: Annotated[AwareDatetime, Field(description="The newest change of any part: the version")]
    placed_at: AwareDatetime
    raw_status: Short = ""
    milestones: Milestones = Milestones()
    payment_status: PaymentStatus = PaymentStatus.UNKNOWN
    logistics: Logistics = Logistics.UNKNOWN
    raw_logistics: Short = ""
    ship_by: AwareDatetime | None = None
    deliver_by: AwareDatetime | None = None
    buyer: Buyer = Buyer()
    ship_to: Address | None = None
    bill_to: Address | None = None
    currency: Currency = "BRL"
    items: Annotated[tuple[Item, ...], Field(min_length=1)]
    payments: tuple[Payment, ...] = ()
    shipments: tuple[Shipment, ...] = ()
    totals: Totals
    holds: Annotated[tuple[Hold, ...], Field(description="Reasons the channel itself gives to wait")] = ()
    unknown: Annotated[tuple[Line, ...], Field(description="'path: value' of words outside the known vocabulary")] = ()
    tags: tuple[Short, ...] = ()
    notes: Long = ""

    @property
    def ids(self) -> tuple[str, ...]:
        """The grain's id first, then every other id once."""
        return tuple(dict.fromkeys((self.external_id, *self.external_ids)))

    @property
    def content_hash(self) -> str:
        return sha256(self.model_dump_json().encode()).hexdigest()


class InvoiceDocument(Document):
    """An NF-e. `key` is the 44-character access key (letters since 2026); `xml` the whole `nfeProc` as issued.

    `external_id` is what its source calls it, where that announces invoices by an id of its own.
    """

    key: Annotated[str, _limits(44, 44)]
    number: Short = ""
    series: Short = ""
    issued_at: AwareDatetime | None = None
    amount: Money | None = None
    cancelled: bool = False
    xml: bytes = b""
    shipment_id: Short = ""
    external_id: Short = ""


class DispatchDocument(Document):
    """A parcel that left, as the ERP or a carrier knows it."""

    external_id: Key
    carrier: Short = ""
    service: Short = ""
    tracking_code: Short = ""
    tracking_url: Long = ""
    shipped_at: AwareDatetime
    delivered_at: AwareDatetime | None = None


class TrackingEventDocument(Document):
    shipment_id: Key
    at: AwareDatetime
    status: ShipmentStatus = ShipmentStatus.UNKNOWN
    raw_status: Short = ""
    description: Line = ""
    place: Line = ""


def earliest(*times: datetime | None) -> datetime | None:
    """The earliest of those that are known."""
    known = [time for time in times if time is not None]
    return min(known) if known else None


def latest(*times: datetime | None) -> datetime | None:
    known = [time for time in times if time is not None]
    return max(known) if known else None


__all__ = [
    "Address",
    "Buyer",
    "DispatchDocument",
    "Document",
    "InvoiceDocument",
    "Item",
    "Milestones",
    "OrderDocument",
    "OrderStatus",
    "Payment",
    "Shipment",
    "Totals",
    "TrackingEventDocument",
    "earliest",
    "latest",
    "storable",
]
