"""Telling Amazon that a parcel of a Self Ship order has left (`confirmShipment`, Orders v0).

Settings: `carrier_codes` (object: the ERP's carrier name -> Amazon's code; no list for Brazil is published, so any
other goes as `Other` with its name) and `default_carrier`.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from connectors.contract import Outcome, Receipt, ShipmentRef
from connectors.failures import Failure, Refusal
from connectors.reading import Reader
from orders.documents import OrderDocument
from orders.vocabulary import Logistics

if TYPE_CHECKING:
    from connectors.channels.amazon.adapter import Amazon

NEEDED = "FULFILLMENT,PACKAGES,CANCELLATION"
NOTHING_LEFT = ("PackageToUpdateNotFound", "already fulfilled")
# Edited so often that Amazon takes no more: what it has is what we said.
DONE = ("InvalidPackageVersion", "maximum number of allowed updates")


def send(adapter: "Amazon", order: OrderDocument, shipment: ShipmentRef) -> Receipt:
    """Reads the order first: the parcel may be there already, from a lost answer or from Seller Central."""
    if reason := _not_needed(order):
        return Receipt(Outcome.NOT_NEEDED, reason)
    if not shipment.tracking_code:
        raise Refusal("Amazon requires a tracking code with every shipment, and the ERP gave none.", code="no_tracking")
    now = adapter.read(order.external_id, NEEDED)
    if said := _already(now, shipment.tracking_code):
        return said
    body = {"marketplaceId": adapter.marketplace, "packageDetail": _package(adapter, now, shipment)}
    return _confirm(adapter, order.external_id, body)


def _not_needed(order: OrderDocument) -> str:
    if order.raw_logistics.startswith("AMAZON"):
        return "Amazon ships this order itself."
    if order.logistics == Logistics.PICKUP:
        return "Amazon's partner collects this order and reports it."
    if "FBM_SHIP_PLUS" in order.tags:
        return "Amazon confirms orders of this program by itself."
    return ""


def _already(now: Reader, tracking_code: str) -> Receipt | None:
    packages = [package for package in now.list("packages") if not _cancelled(package)]
    if any(package.text("trackingNumber", "") == tracking_code for package in packages):
        return Receipt(Outcome.ALREADY, "Amazon has this parcel.")
    status = now.maybe("fulfillment").text("fulfillmentStatus", "")
    if status == "CANCELLED":
        raise Refusal("Amazon has cancelled this order. Stop the parcel.", code="cancelled")
    if status == "SHIPPED":
        codes = ", ".join(filter(None, (package.text("trackingNumber", "") for package in packages)))
        return Receipt(Outcome.ALREADY, f"Amazon shows this order as shipped already ({codes or 'no tracking code'}).")
    return None


def _cancelled(package: Reader) -> bool:
    return package.maybe("packageStatus").text("status", "") == "CANCELLED"


def _package(adapter: "Amazon", now: Reader, shipment: ShipmentRef) -> dict[str, Any]:
    items = list(_left(now.list("orderItems")))
    if not items:
        raise Refusal("Amazon shows nothing of this order that is left to ship.", code="nothing_left")
    package = {
        "packageReferenceId": _next_reference(now.list("packages")),
        **_carrier(adapter, shipment.carrier),
        "trackingNumber": shipment.tracking_code,
        "shipDate": (shipment.shipped_at or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "orderItems": items,
    }
    return {**package, "shippingMethod": shipment.service} if shipment.service else package


def _left(items: Iterable[Reader]) -> Iterable[dict[str, Any]]:
    """What Amazon itself still waits for."""
    for item in items:
        left = unfulfilled(item)
        if left <= 0 or (not item.has("fulfillment") and item.has("cancellation.cancellationExecution")):
            continue
        if "TRANSPARENCY" in item.words("programs"):
            raise Refusal(
                "An item of this order needs Transparency codes, which the ERP does not give. Confirm it in Seller "
                "Central and mark this as handled.",
                code="transparency",
            )
        yield {"orderItemId": item.text("orderItemId"), "quantity": left}


def unfulfilled(item: Reader) -> int:
    """How many of a line Amazon itself still waits for."""
    ordered, fulfillment = item.integer("quantityOrdered"), item.maybe("fulfillment")
    return fulfillment.integer("quantityUnfulfilled", ordered - fulfillment.integer("quantityFulfilled", 0))


def _next_reference(packages: Iterable[Reader]) -> str:
    """A number that no package has, as text; a lost answer that is not listed yet gets the same one: an edit."""
    numbers = [package.text("packageReferenceId", "") for package in packages]
    return str(max((int(number) for number in numbers if number.isdecimal() and len(number) < 9), default=0) + 1)


def _carrier(adapter: "Amazon", name: str) -> dict[str, str]:
    settings = adapter.account.settings
    name = name or str(settings.get("default_carrier") or "")
    if not name:
        raise Refusal(
            "Amazon requires the carrier's name, and the ERP gave none. Choose a default carrier for this connection.",
            code="no_carrier",
        )
    codes = settings.get("carrier_codes")
    code = codes.get(name) if isinstance(codes, dict) else None
    return {"carrierCode": str(code)} if code else {"carrierCode": "Other", "carrierName": name}


def _confirm(adapter: "Amazon", order_id: str, body: dict[str, Any]) -> Receipt:
    address = f"/orders/v0/orders/{quote(order_id, safe='')}/shipmentConfirmation"
    try:
        adapter.call(lambda: adapter.http.post(address, operation="confirmShipment", json=body), "confirmShipment")
    except Failure as failure:
        if failure.status != 400:
            raise
        return _refused(adapter, order_id, failure)
    return Receipt(Outcome.ACCEPTED, external_id=str(body["packageDetail"]["packageReferenceId"]))


def _refused(adapter: "Amazon", order_id: str, failure: Failure) -> Receipt:
    """Amazon's reason is in the text alone; every one has the same code."""
    if any(words in failure.message for words in DONE):
        return Receipt(Outcome.ALREADY, "Amazon takes no more changes of this parcel.")
    if any(words in failure.message for words in NOTHING_LEFT):
        status = adapter.read(order_id, NEEDED).maybe("fulfillment").text("fulfillmentStatus", "")
        if status == "SHIPPED":
            return Receipt(Outcome.ALREADY, "Amazon shows this order as shipped already.")
    if "NonexistentOrderItem" in failure.message:
        raise Refusal("An item of this order is cancelled at Amazon. Stop the parcel.", code="cancelled") from failure
    raise failure
