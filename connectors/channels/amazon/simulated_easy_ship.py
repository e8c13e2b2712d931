"""The simulated Amazon's restricted tokens (Tokens 2021-03-01), and planning a collection (Easy Ship 2022-03-23)."""

import time
from datetime import UTC, datetime
from typing import Any

from connectors.channels.amazon.simulated_quota import Refused, operation
from connectors.channels.amazon.simulated_requests import invalid, json_object
from connectors.channels.amazon.simulated_sale import MARKETPLACE, Sale, digits, stamp
from connectors.channels.amazon.simulated_store import Store
from connectors.channels.amazon.simulated_world import TOKEN_SECONDS
from connectors.simulation import paper
from connectors.simulation.server import Request, Response, route

BULK = "/easyShip/2022-03-23/packages/bulk"
MOST_AT_ONCE = 25


class EasyShip(Store):
    """`no_slots`: so many calls find that the times for collecting have changed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.no_slots = 0
        # Restricted token -> when it dies, and the calls it is for.
        self.restricted: dict[str, tuple[float, set[tuple[str, str]]]] = {}

    def open_labels_at(self, external_id: str, moment: datetime) -> None:
        with self.lock:
            sale = self.sales[external_id]
            sale.raw["fulfillment"]["labelPrintingWindow"] = {"earliestDateTime": stamp(moment)}
            self._touch(sale)

    @route("POST", "/tokens/2021-03-01/restrictedDataToken")
    @operation("createRestrictedDataToken")
    def restrict(self, request: Request) -> Response:
        resources = json_object(request).get("restrictedResources")
        if not isinstance(resources, list) or not 1 <= len(resources) <= 50:
            raise invalid("restrictedResources must have between 1 and 50 entries.")
        if any(not one.get("path") or one.get("method") not in ("GET", "PUT", "POST", "DELETE") for one in resources):
            raise invalid("restrictedResources has invalid entries.")
        token = f"Atz.sprdt|{digits(self.random, 24)}"
        allowed = {(str(one["method"]), str(one["path"])) for one in resources}
        self.restricted[token] = time.monotonic() + TOKEN_SECONDS, allowed
        return Response(body={"restrictedDataToken": token, "expiresIn": TOKEN_SECONDS})

    def restricted_for(self, request: Request) -> bool:
        """Whether the call's token is a restricted one that is for it."""
        dies, allowed = self.restricted.get(request.headers.get("x-amz-access-token", ""), (0.0, set()))
        return dies > time.monotonic() and (request.method, request.path) in allowed

    @route("POST", BULK)
    @operation("createScheduledPackageBulk")
    def plan_collections(self, request: Request) -> Response:
        if not self.restricted_for(request):
            raise Refused(403, "Unauthorized", "Access to requested resource is denied.")
        body = json_object(request)
        wanted, form = body.get("orderScheduleDetailsList"), body.get("labelFormat")
        if body.get("marketplaceId") != MARKETPLACE or form not in ("PDF", "ZPL"):
            raise invalid("Missing or invalid request parameters: [marketplaceId, labelFormat]")
        if not isinstance(wanted, list) or not 1 <= len(wanted) <= MOST_AT_ONCE:
            raise invalid("orderScheduleDetailsList has an invalid length.")
        if self.no_slots:
            self.no_slots -= 1
            raise Refused(400, "RetryableAfterGettingNewSlots", "The time slot is no longer available.")
        planned, rejected = list[dict[str, Any]](), list[dict[str, Any]]()
        for one in wanted:
            order_id = str(one.get("amazonOrderId"))
            if (error := self._obstacle(self.sales.get(order_id))) is not None:
                rejected.append({"amazonOrderId": order_id, "error": {"code": error[0], "message": error[1]}})
            else:
                planned.append(self._planned(order_id))
        answer: dict[str, Any] = {"scheduledPackages": planned, "rejectedOrders": rejected}
        if planned:
            answer["printableDocumentsUrl"] = self._labels(request, planned, form)
        return Response(body=answer)

    def _obstacle(self, sale: Sale | None) -> tuple[str, str] | None:
        if sale is None or sale.program != "DBA":
            return "InvalidInput", "The order is not an Easy Ship order."
        if sale.packages:
            return "ScheduledPackageAlreadyExists", "The package has been scheduled already."
        opens = sale.raw["fulfillment"].get("labelPrintingWindow", {}).get("earliestDateTime")
        accepted = sale.raw["tax"]["taxInvoicing"]["invoiceStatus"] in ("ACCEPTED", "NOT_REQUIRED")
        early = opens is not None and datetime.fromisoformat(opens) > datetime.now(UTC)
        if sale.status != "UNSHIPPED" or early or not accepted:
            return "InvalidOrderState", "The order cannot be scheduled in its present state."
        return None

    def _planned(self, order_id: str) -> dict[str, Any]:
        sale = self.sales[order_id]
        package = self._plan(sale)
        self._touch(sale)
        return {
            "scheduledPackageId": {"amazonOrderId": order_id, "packageId": digits(self.random, 8)},
            "packageStatus": "ReadyForPickup",
            "trackingDetails": {"trackingId": package["trackingNumber"]},
        }

    def _labels(self, request: Request, planned: list[dict[str, Any]], form: str) -> str:
        words = "Amazon " + " ".join(one["scheduledPackageId"]["amazonOrderId"] for one in planned)
        content = paper.pdf(words) if form == "PDF" else paper.zpl(words)
        return self.hand_out(request, "GET", "application/zip", paper.zipped(f"labels.{form.lower()}", content))
