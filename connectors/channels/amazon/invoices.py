"""The NF-e, by logistic program.

| Program | Who ships | NF-e goes to |
|---|---|---|
| Self Ship | the seller's carrier | Delivery-by-Amazon API, `SelfShip` |
| DBA (Delivery by Amazon) | Amazon's partners | Delivery-by-Amazon API, `EasyShip`; no pickup without it |
| FBA Onsite | Amazon, from the seller's warehouse | Shipment Invoicing API where Amazon's shipment id is known, |
| | | else Delivery-by-Amazon API, `FbaOnSite` |
| FBA | Amazon's warehouse | nothing: Amazon issues it |

Amazon answers "received", then validates: `Processing`, then `Accepted` or `Errored`, without a reason.
Settings: `self_ship_invoice` (send or skip), `fba_onsite`, `md5_format` (base64 or hex).
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from connectors.channels.amazon import auth
from connectors.contract import Outcome, Receipt, ShipmentRef
from connectors.failures import Failure, NotYet, Refusal
from connectors.http import Answer
from orders.documents import InvoiceDocument, OrderDocument
from orders.vocabulary import Logistics

if TYPE_CHECKING:
    from connectors.channels.amazon.adapter import Amazon

DELIVERY = "/delivery/2022-07-01/invoice"
ONSITE = "/fba/outbound/brazil/v0/shipments"
VALIDATION_WAIT = timedelta(minutes=2)
NOT_ENABLED = (
    "Amazon denies sending the NF-e by API: the application needs the role Tax Invoicing, and Amazon must have enabled "
    "the Delivery-by-Amazon API for it. Until then, upload the XML in Seller Central and mark this as handled."
)
ERRORED = "Amazon refused the NF-e after validating it. Seller Central shows the reason; correct it and send it again."


def send(adapter: "Amazon", order: OrderDocument, invoice: InvoiceDocument, shipment: ShipmentRef) -> Receipt:
    """Looks first: a try whose answer was lost may have arrived."""
    door = _door(adapter, order, invoice, shipment)
    if isinstance(door, Receipt):
        return door
    if not invoice.xml:
        raise Refusal("Amazon takes the NF-e as its XML, and the ERP gave none.", code="no_xml")
    before = door.status()
    if before == "Accepted":
        return Receipt(Outcome.ALREADY, "Amazon has accepted an NF-e for this order.")
    if before == "Processing":
        raise NotYet("Amazon is validating an NF-e for this order.", retry_at=datetime.now(UTC) + VALIDATION_WAIT)
    door.submit(_content(invoice.xml, str(adapter.account.settings.get("md5_format") or "base64")))
    if before != "Errored" and _verdict(door) == "Errored":
        raise Refusal(ERRORED, code="errored")
    return Receipt(Outcome.ACCEPTED, "Received by Amazon, which now validates it.")


class Door(Protocol):
    def status(self) -> str:
        """Processing, Accepted, Errored or NotFound."""

    def submit(self, content: tuple[str, str]) -> None:
        """(the file in Base64, its digest)."""


def _door(adapter: "Amazon", order: OrderDocument, invoice: InvoiceDocument, shipment: ShipmentRef) -> "Door | Receipt":
    if order.logistics == Logistics.FULFILLED:
        return Receipt(Outcome.NOT_NEEDED, "Amazon issues the invoice of orders from its own warehouse.")
    if "invoice:NOT_REQUIRED" in order.tags:
        return Receipt(Outcome.NOT_NEEDED, "Amazon does not require the NF-e of this order.")
    if order.raw_logistics.startswith("AMAZON"):
        if shipment_id := invoice.shipment_id or shipment.external_id:
            return _Onsite(adapter, shipment_id)
        return _Delivery(adapter, order.external_id, "FbaOnSite")
    if order.logistics == Logistics.PICKUP:
        return _Delivery(adapter, order.external_id, "EasyShip")
    if adapter.account.settings.get("self_ship_invoice") == "skip":
        return Receipt(Outcome.NOT_NEEDED, "This connection does not send the NF-e of Self Ship orders.")
    return _Delivery(adapter, order.external_id, "SelfShip")


@dataclass
class _Delivery:
    adapter: "Amazon"
    order_id: str
    program: str

    def status(self) -> str:
        query = {
            "marketplaceId": self.adapter.marketplace,
            "invoiceType": "Outbound",
            "programType": self.program,
            "orderId": self.order_id,
        }
        answer = _called(self.adapter, "GET", f"{DELIVERY}/status", "getInvoiceStatus", params=query)
        return answer.reader().text("invoiceStatus", "NotFound") if answer is not None else "NotFound"

    def submit(self, content: tuple[str, str]) -> None:
        body = {
            "invoiceContent": content[0],
            "contentMD5Value": content[1],
            "invoiceType": "Outbound",
            "programType": self.program,
            "marketplaceId": self.adapter.marketplace,
        }
        _called(self.adapter, "POST", DELIVERY, "submitInvoice", params={"orderId": self.order_id}, json=body)


@dataclass
class _Onsite:
    adapter: "Amazon"
    shipment_id: str

    @property
    def address(self) -> str:
        return f"{ONSITE}/{quote(self.shipment_id, safe='')}/invoice"

    def status(self) -> str:
        answer = _called(self.adapter, "GET", f"{self.address}/status", "getShipmentInvoiceStatus")
        if answer is None:
            return "NotFound"
        return answer.reader().maybe("payload").maybe("Shipments").text("InvoiceStatus", "NotFound")

    def submit(self, content: tuple[str, str]) -> None:
        body = {
            "InvoiceContent": content[0],
            "ContentMD5Value": content[1],
            "MarketplaceId": self.adapter.marketplace,
        }
        _called(self.adapter, "POST", self.address, "submitShipmentInvoice", json=body)


def _called(
    adapter: "Amazon",
    method: str,
    path: str,
    operation: str,
    *,
    params: Mapping[str, str] | None = None,
    json: Any = None,
) -> Answer | None:
    """The answer; None when Amazon knows no invoice there, which it says as 404 or as 400 EntityNotFound."""
    try:
        with auth.not_enabled(NOT_ENABLED):
            return adapter.call(
                lambda: adapter.http.request(
                    method, path, operation=operation, params=params, json=json, effect=method == "POST"
                ),
                operation,
            )
    except Failure as failure:
        if method == "GET" and (failure.status == 404 or failure.code == "EntityNotFound"):
            return None
        raise


def _verdict(door: Door) -> str:
    """What Amazon says right after receiving; not knowing it yet is no failure of the sending."""
    try:
        return door.status()
    except Failure:
        return ""


def _content(xml: bytes, md5_format: str) -> tuple[str, str]:
    """The exact bytes of the file in Base64, and the digest of those same bytes."""
    digest = hashlib.md5(xml, usedforsecurity=False)
    text = digest.hexdigest() if md5_format == "hex" else base64.b64encode(digest.digest()).decode()
    return base64.b64encode(xml).decode(), text
