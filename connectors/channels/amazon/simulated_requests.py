"""What a request to the simulated Amazon asks for, what is wrong with it, and what it is shown of an order."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from connectors.channels.amazon.simulated_quota import Refused
from connectors.channels.amazon.simulated_sale import Sale, stamp
from connectors.simulation.server import Request

INCLUDED = {
    "BUYER": ("buyer",),
    "RECIPIENT": ("recipient",),
    "PROCEEDS": ("proceeds",),
    "EXPENSE": ("expense",),
    "PROMOTION": ("promotion",),
    "CANCELLATION": ("cancellation",),
    "FULFILLMENT": ("fulfillment",),
    "PACKAGES": ("packages",),
    "TAX": ("tax",),
    "PAYMENT": ("payment",),
    "FULFILLMENT_ORDERS": ("fulfillmentOrders",),
}
ALWAYS = frozenset({"orderId", "createdTime", "lastUpdatedTime", "programs", "salesChannel", "associatedOrders"})
ALWAYS_OF_ITEMS = frozenset({"orderItemId", "quantityOrdered", "product", "programs"})


def invalid(message: str) -> Refused:
    return Refused(400, "InvalidInput", message)


def no_package(metric: str) -> Refused:
    return invalid(
        "Failed to create package due to not finding a matching package or order already fulfilled. "
        f"ErrorMessage(errorCode=GeneralError, errorMetric={metric}, packageIndex=null)"
    )


def json_object(request: Request) -> dict[str, Any]:
    body = request.json()
    if not isinstance(body, dict):
        raise invalid("The body is not a JSON object.")
    return body


def period_of(known: Mapping[str, str]) -> tuple[str, str, str]:
    """(family, after, before), both in the log's form."""
    families = [name for name in ("created", "lastUpdated") if f"{name}After" in known]
    if len(families) != 1:
        raise invalid("Exactly one of createdAfter and lastUpdatedAfter is required.")
    family = families[0]
    other = "lastUpdatedBefore" if family == "created" else "createdBefore"
    if other in known:
        raise invalid(f"{other} does not go with {family}After.")
    after, before = _moment(known[f"{family}After"]), _moment(known.get(f"{family}Before", ""))
    if before is None:
        return family, stamp(after or datetime.now(UTC)), ""
    if after is None or before < after or before > datetime.now(UTC) - timedelta(minutes=2):
        raise invalid("The request has invalid parameters.")
    return family, stamp(after), stamp(before)


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC) if text else None
    except ValueError:
        raise invalid(f"{text} is not a valid date-time.") from None


def page_size_of(known: Mapping[str, str]) -> int:
    text = known.get("maxResultsPerPage", "100")
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise invalid("maxResultsPerPage must be between 1 and 100.")
    return int(text)


def included_in(known: Mapping[str, str]) -> frozenset[str]:
    names = [name for name in known.get("includedData", "").split(",") if name]
    if wrong := [name for name in names if name not in INCLUDED]:
        raise invalid(f"includedData has invalid values: {wrong}")
    return frozenset(key for name in names for key in INCLUDED[name])


def identity_of(known: Mapping[str, str]) -> str:
    """What may not change while paging."""
    free = ("paginationToken", "maxResultsPerPage", "includedData")
    return urlencode(sorted((name, value) for name, value in known.items() if name not in free))


def page_token(place: int, known: Mapping[str, str]) -> str:
    token = {"place": place, "at": datetime.now(UTC).isoformat(), "query": identity_of(known)}
    return base64.b64encode(json.dumps(token).encode()).decode()


def is_wanted(sale: Sale, known: Mapping[str, str]) -> bool:
    fulfillment = sale.raw["fulfillment"]
    return all(
        not known.get(name) or value in known[name].split(",")
        for name, value in (
            ("fulfillmentStatuses", fulfillment["fulfillmentStatus"]),
            ("fulfilledBy", fulfillment["fulfilledBy"]),
            ("marketplaceIds", sale.raw["salesChannel"].get("marketplaceId")),
        )
    )


def shown(sale: Sale, included: frozenset[str]) -> dict[str, Any]:
    """What the call asked for; of a pending order neither people nor prices."""
    if sale.status == "PENDING":
        included -= {"buyer", "recipient", "proceeds", "payment", "promotion"}
    shown = {key: value for key, value in sale.raw.items() if key in ALWAYS or key in included}
    shown["orderItems"] = [_shown_item(sale, item, included) for item in sale.raw["orderItems"]]
    return shown


def _shown_item(sale: Sale, item: Mapping[str, Any], included: frozenset[str]) -> dict[str, Any]:
    shown = {key: value for key, value in item.items() if key in ALWAYS_OF_ITEMS or key in included}
    if sale.status == "PENDING":
        shown["product"] = {key: value for key, value in item["product"].items() if key != "price"}
    return shown


def check_package(detail: Mapping[str, Any]) -> None:
    reference = detail.get("packageReferenceId")
    if not isinstance(reference, str):
        raise invalid("invalid type [packageDetail.packageReferenceId]")
    if not reference.isdecimal() or int(reference) < 1:
        raise invalid("PackageReferenceId: is invalid")
    required = ("carrierCode", "trackingNumber", "shipDate", "orderItems")
    if missing := [name for name in required if not detail.get(name)]:
        raise invalid(f"Missing or invalid request parameters: {missing}")
    if detail["carrierCode"] == "Other" and not detail.get("carrierName"):
        raise invalid("carrierName is required when carrierCode is Other")
    if _moment(str(detail["shipDate"])) is None:
        raise invalid("shipDate is invalid")
    if any(not isinstance(one, dict) or not isinstance(one.get("quantity"), int) for one in detail["orderItems"]):
        raise invalid("orderItems is invalid")


def package_of(detail: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "packageReferenceId": detail["packageReferenceId"],
        "packageStatus": {"status": "SHIPPED"},
        "carrier": detail.get("carrierName") or detail["carrierCode"],
        "shipTime": detail["shipDate"],
        "trackingNumber": detail["trackingNumber"],
        "packageItems": [
            {"orderItemId": one["orderItemId"], "quantity": one["quantity"]} for one in detail["orderItems"]
        ],
        **({"shippingService": detail["shippingMethod"]} if detail.get("shippingMethod") else {}),
    }
