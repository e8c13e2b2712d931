"""A Brazilian seller's Amazon: LWA, Orders 2026-01-01, confirmShipment v0, Delivery-by-Amazon and Shipment Invoicing.
Easy Ship and feeds are in rooms of their own.

Built from the service's documentation alone. Pushes do not exist here: Amazon delivers to SQS only.
"""

import base64
import binascii
import hashlib
import heapq
import json
import re
import time
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from connectors.channels.amazon.simulated_easy_ship import EasyShip
from connectors.channels.amazon.simulated_feeds import Feeds
from connectors.channels.amazon.simulated_quota import Refused, operation
from connectors.channels.amazon.simulated_requests import (
    check_package,
    identity_of,
    included_in,
    invalid,
    is_wanted,
    json_object,
    no_package,
    package_of,
    page_size_of,
    page_token,
    period_of,
    shown,
)
from connectors.channels.amazon.simulated_sale import MARKETPLACE, Invoice, Sale, digits
from connectors.channels.amazon.simulated_world import TOKEN_SECONDS
from connectors.simulation.server import Request, Response, route

SEARCH = "/orders/2026-01-01/orders"
PAGE_TOKEN_LIFE = timedelta(hours=24)
MOST_EDITS = 5


class AmazonSimulator(EasyShip, Feeds):
    """The endpoints; its options are the world's."""

    # --- Login with Amazon

    @route("GET", "/apps/authorize/consent")
    def consent(self, request: Request) -> Response:
        code = f"SPAPI{digits(self.random, 10)}"
        self.codes.add(code)
        query = {
            "state": request.param("state"),
            "selling_partner_id": "A1SIMULATEDSELLER",
            "spapi_oauth_code": code,
        }
        if self.redirect_uri:
            return Response(302, b"", {"Location": f"{self.redirect_uri}?{urlencode(query)}"})
        return Response(body=query)

    @route("POST", "/auth/o2/token")
    def token(self, request: Request) -> Response:
        form = request.form()
        if any(form.get(name) != value for name, value in self.client.items()):
            return _lwa_error(401, "invalid_client", "Client authentication failed")
        match form.get("grant_type"):
            case "refresh_token" if form.get("refresh_token") == self.refresh_token:
                pass
            case "authorization_code" if form.get("code") in self.codes:
                self.codes.discard(form["code"])
            case "refresh_token" | "authorization_code":
                return _lwa_error(400, "invalid_grant", "The request has an invalid grant parameter")
            case _:
                return _lwa_error(400, "unauthorized_client", "Not authorized for this grant type")
        return Response(
            body={
                "access_token": self._issue(),
                "token_type": "bearer",
                "expires_in": TOKEN_SECONDS,
                "refresh_token": self.refresh_token,
            }
        )

    def authorise(self, request: Request) -> None:
        dies = self.tokens.get(request.headers.get("x-amz-access-token", ""))
        if "x-amz-access-token" not in request.headers:
            raise Refused(401, "Unauthorized", "Access to requested resource is denied.")
        if self.restricted_for(request):
            return
        if dies is None or dies < time.monotonic():
            raise Refused(403, "Unauthorized", "The access token you provided has expired.")

    def unauthorised(self, request: Request) -> Response:
        """Amazon says 403 to an expired token, not 401."""
        return Refused(403, "Unauthorized", "The access token you provided has expired.").response

    def spend(self, name: str) -> None:
        if self.limits and not self.buckets[name].take():
            raise Refused(429, "QuotaExceeded", "You exceeded your quota for the requested resource.")

    def limited(self, request: Request) -> Response:
        return Refused(429, "QuotaExceeded", "You exceeded your quota for the requested resource.").response

    def not_found(self, request: Request) -> Response:
        return Refused(404, "NotFound", f"The resource {request.path} does not exist.").response

    # --- Orders 2026-01-01

    @route("GET", SEARCH)
    @operation("searchOrders")
    def search(self, request: Request) -> Response:
        known = {name: values[0] for name, values in request.query.items() if values[0]}
        family, after, before = period_of(known)
        size = page_size_of(known)
        included = included_in(known)
        log = self.updates if family == "lastUpdated" else self.creations
        place = self._place_of(known) if "paginationToken" in known else bisect_left(log, (after, ""))
        end = bisect_right(log, (before, "\x7f")) if before else len(log)
        listed: list[dict[str, Any]] = []
        while place < end and len(listed) < size:
            moment, order_id = log[place]
            sale = self.sales[order_id]
            place += 1
            if family == "created" or sale.raw["lastUpdatedTime"] == moment:
                listed += [shown(sale, included)] if is_wanted(sale, known) else []
        answer: dict[str, Any] = {"orders": listed, f"{family}Before": before or self._now()}
        if place < end:
            answer["pagination"] = {"nextToken": page_token(place, known)}
        return Response(body=answer)

    def _place_of(self, known: Mapping[str, str]) -> int:
        try:
            token = json.loads(base64.b64decode(known["paginationToken"], validate=True))
            issued = datetime.fromisoformat(token["at"])
        except (ValueError, KeyError, TypeError, binascii.Error):
            raise invalid("The pagination token is invalid.") from None
        if datetime.now(UTC) - issued > PAGE_TOKEN_LIFE:
            raise invalid("The pagination token has expired.")
        if token["query"] != identity_of(known):
            raise invalid("Parameters must not change while paging.")
        return int(token["place"])

    @route("GET", SEARCH + "/{order_id}")
    @operation("getOrder")
    def read(self, request: Request) -> Response:
        sale = self._sale(request)
        known = {name: values[0] for name, values in request.query.items()}
        return Response(body={"order": shown(sale, included_in(known))})

    def _sale(self, request: Request) -> Sale:
        return self._known(request.args["order_id"])

    def _known(self, order_id: str) -> Sale:
        if (sale := self.sales.get(order_id)) is None:
            raise Refused(404, "NotFound", f"Order {order_id} was not found.")
        return sale

    # --- Shipment confirmation, v0

    @route("POST", "/orders/v0/orders/{order_id}/shipmentConfirmation")
    @operation("confirmShipment")
    def confirm(self, request: Request) -> Response:
        sale, body = self._sale(request), json_object(request)
        if body.get("marketplaceId") != MARKETPLACE:
            raise invalid("Invalid marketplaceId")
        detail = body.get("packageDetail")
        if not isinstance(detail, dict):
            raise invalid("Missing or invalid request parameters: [packageDetail]")
        check_package(detail)
        self._check_order(sale, detail)
        known = [one for one in sale.packages if one["packageReferenceId"] == detail["packageReferenceId"]]
        if known:
            self._edit(sale, known[0], detail)
        else:
            self._add_package(sale, detail)
        self._touch(sale)
        return Response(204)

    def _check_order(self, sale: Sale, detail: Mapping[str, Any]) -> None:
        items = {item["orderItemId"] for item in sale.raw["orderItems"]}
        if sale.status == "CANCELLED" or any(one["orderItemId"] not in items for one in detail["orderItems"]):
            raise no_package("NonexistentOrderItem")
        if "FBM_SHIP_PLUS" in sale.raw["programs"] or sale.program != "SELF_SHIP":
            raise invalid("Shipment confirmation is not allowed for this order.")
        if sale.status == "PENDING":
            raise invalid("The order is not ready to be shipped.")

    def _edit(self, sale: Sale, package: dict[str, Any], detail: Mapping[str, Any]) -> None:
        sale.edits += 1
        if sale.edits > MOST_EDITS:
            raise invalid("ErrorMessage(errorCode=InvalidPackageVersion): maximum number of allowed updates reached")
        package.update(package_of(detail))

    def _add_package(self, sale: Sale, detail: Mapping[str, Any]) -> None:
        items = {item["orderItemId"]: item["fulfillment"] for item in sale.raw["orderItems"]}
        if any(items[one["orderItemId"]]["quantityUnfulfilled"] < one["quantity"] for one in detail["orderItems"]):
            raise no_package("PackageToUpdateNotFound")
        for one in detail["orderItems"]:
            items[one["orderItemId"]]["quantityUnfulfilled"] -= one["quantity"]
            items[one["orderItemId"]]["quantityFulfilled"] += one["quantity"]
        sale.packages.append({**package_of(detail), "createdTime": self._now()})
        left = any(item["quantityUnfulfilled"] for item in items.values())
        sale.status = "PARTIALLY_SHIPPED" if left else "SHIPPED"

    # --- Delivery by Amazon 2022-07-01

    @route("POST", "/delivery/2022-07-01/invoice")
    @operation("submitInvoice")
    def submit_invoice(self, request: Request) -> Response:
        body = json_object(request)
        required = ("invoiceContent", "contentMD5Value", "invoiceType", "programType", "marketplaceId")
        if missing := [name for name in required if not body.get(name)]:
            raise invalid(f"Missing required parameters: {missing}")
        sale = self._invoiced(request, str(body["programType"]))
        self._receive(sale, str(body["invoiceContent"]), str(body["contentMD5Value"]))
        return Response(body={})

    @route("GET", "/delivery/2022-07-01/invoice/status")
    @operation("getInvoiceStatus")
    def invoice_status(self, request: Request) -> Response:
        if missing := [name for name in ("marketplaceId", "invoiceType", "programType") if not request.param(name)]:
            raise invalid(f"Missing required parameters: {missing}")
        sale = self._invoiced(request, request.param("programType"))
        order_id = str(sale.raw["orderId"])
        return Response(
            body={
                "amazonOrderId": order_id,
                "amazonShipmentId": _shipment_id(order_id),
                "invoiceStatus": _invoice_word(sale),
            }
        )

    def _invoiced(self, request: Request, program: str) -> Sale:
        order_id = request.param("orderId") or _order_id(request.param("shipmentId"))
        if (sale := self.sales.get(order_id)) is None:
            raise Refused(400, "EntityNotFound", "The order or shipment was not found.")
        expected = {"SELF_SHIP": "SelfShip", "DBA": "EasyShip", "FBA": "FbaOnSite" if self.onsite else ""}
        if expected[sale.program] != program:
            raise invalid(f"The order is not of program {program}.")
        return sale

    def _receive(self, sale: Sale, content: str, digest: str) -> None:
        try:
            xml = base64.b64decode(content, validate=True)
        except binascii.Error:
            raise invalid("invoiceContent is not Base64.") from None
        if base64.b64encode(hashlib.md5(xml, usedforsecurity=False).digest()).decode() != digest:
            raise invalid("contentMD5Value does not match the content.")
        if sale.invoice is not None and sale.invoice.status == "Accepted":
            raise Refused(409, "Conflict", "An invoice was accepted for this order.")
        key = re.search(rb'Id="NFe(\w{44})"', xml)
        verdict = "Accepted" if key and b"<nfeProc" in xml else "Errored"
        at = time.monotonic() + self.validate_after
        sale.invoice = Invoice(key[1].decode() if key else "", "Processing", at, verdict)
        sale.raw["tax"]["taxInvoicing"] = {"invoiceStatus": "PROCESSING"}
        self._touch(sale)
        heapq.heappush(self.later, (at, str(sale.raw["orderId"])))

    # --- Shipment Invoicing v0 (FBA Onsite)

    @route("POST", "/fba/outbound/brazil/v0/shipments/{shipment_id}/invoice")
    @operation("submitShipmentInvoice")
    def submit_shipment_invoice(self, request: Request) -> Response:
        body = json_object(request)
        if not body.get("InvoiceContent") or not body.get("ContentMD5Value"):
            raise invalid("InvoiceContent and ContentMD5Value are required.")
        sale = self._onsite(request)
        self._receive(sale, str(body["InvoiceContent"]), str(body["ContentMD5Value"]))
        return Response(body={})

    @route("GET", "/fba/outbound/brazil/v0/shipments/{shipment_id}/invoice/status")
    @operation("getShipmentInvoiceStatus")
    def shipment_invoice_status(self, request: Request) -> Response:
        sale = self._onsite(request)
        word = _invoice_word(sale)
        shipment = {"AmazonShipmentId": request.args["shipment_id"], "InvoiceStatus": word}
        return Response(body={"payload": {"Shipments": shipment}})

    def _onsite(self, request: Request) -> Sale:
        sale = self.sales.get(_order_id(request.args["shipment_id"]))
        if sale is None or sale.program != "FBA" or not self.onsite:
            raise Refused(404, "EntityNotFound", "The shipment was not found.")
        return sale


def _lwa_error(status: int, error: str, description: str) -> Response:
    return Response(status, {"error": error, "error_description": description})


def _invoice_word(sale: Sale) -> str:
    return sale.invoice.status if sale.invoice else "NotFound"


def _shipment_id(order_id: str) -> str:
    return "S" + order_id.replace("-", "")


def _order_id(shipment_id: str) -> str:
    """The order of a shipment: an FBA Onsite shipment's id is its order's id without dashes, after an S."""
    return f"{shipment_id[1:4]}-{shipment_id[4:11]}-{shipment_id[11:]}"
