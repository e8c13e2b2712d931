"""A Brazilian seller's Amazon: LWA, Orders 2026-01-01, confirmShipment v0, Delivery-by-Amazon and Shipment Invoicing.

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
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from connectors.simulation.catalogue import SKUS
from connectors.simulation.server import Request, Response, Simulator, route

MARKETPLACE = "A2Q3Y263D00KWC"
SEARCH = "/orders/2026-01-01/orders"
TOKEN_SECONDS = 3600
PAGE_TOKEN_LIFE = timedelta(hours=24)
MOST_EDITS = 5
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
STATUSES = (
    "PENDING_AVAILABILITY",
    "PENDING",
    "UNSHIPPED",
    "PARTIALLY_SHIPPED",
    "SHIPPED",
    "CANCELLED",
    "UNFULFILLABLE",
)
# Requests a second and burst, by operation.
LIMITS = {
    "searchOrders": (0.0056, 20),
    "getOrder": (0.5, 30),
    "confirmShipment": (2.0, 10),
    "submitInvoice": (1.133, 25),
    "getInvoiceStatus": (1.133, 25),
    "submitShipmentInvoice": (1.133, 25),
    "getShipmentInvoiceStatus": (1.133, 25),
}
PROGRAMS = ("SELF_SHIP", "SELF_SHIP", "SELF_SHIP", "DBA", "DBA", "FBA")
PEOPLE = (
    ("Ana Beatriz Souza", "Rua das Laranjeiras", "Laranjeiras", "Rio de Janeiro", "RJ", "22240-003"),
    ("Carlos Eduardo Lima", "Avenida Sete de Setembro", "Centro", "Manaus", "AM", "69005-140"),
    ("Fernanda Oliveira", "Rua Augusta", "Consolação", "São Paulo", "SP", "01305-000"),
    ("João Pedro Alves", "Rua da Bahia", "Lourdes", "Belo Horizonte", "MG", "30160-012"),
    ("Mariana Costa", "Rua XV de Novembro", "Centro", "Curitiba", "PR", "80020-310"),
    ("Rafael Nascimento", "Avenida Boa Viagem", "Boa Viagem", "Recife", "PE", "51011-000"),
)


class Refused(Exception):  # noqa: N818
    """An error answer in Amazon's own envelope."""

    def __init__(self, status: int, code: str, message: str, details: str = "") -> None:
        super().__init__(message)
        self.response = Response(status, {"errors": [{"code": code, "message": message, "details": details}]})


@dataclass
class Bucket:
    """A token bucket that fills at `rate` up to `burst`."""

    rate: float
    burst: int
    level: float = field(init=False)
    at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.level = float(self.burst)

    def take(self) -> bool:
        now = time.monotonic()
        self.level = min(self.burst, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level < 1:
            return False
        self.level -= 1
        return True


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


def operation(name: str) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Around an endpoint: token, quota, Amazon's own errors, and the headers every answer has."""

    def mark(function: Callable[..., Response]) -> Callable[..., Response]:
        def guarded(self: "AmazonSimulator", request: Request) -> Response:
            self.serial += 1
            headers = {"x-amzn-RequestId": f"00000000-0000-4000-8000-{self.serial:012d}"}
            try:
                self.authorise(request)
                self.spend(name)
                response = function(self, request)
            except Refused as refused:
                response = refused.response
            if response.status < 300 or response.status in (400, 404):
                headers["x-amzn-RateLimit-Limit"] = str(LIMITS[name][0])
            return Response(response.status, response.body, {**response.headers, **headers})

        return guarded

    return mark


class AmazonSimulator(Simulator):
    """Options: `limits` enforces the quotas; `validate_after` seconds until an NF-e is accepted; `collect_after`
    seconds until Amazon's partner has fetched an invoiced DBA order (None: never); `onsite` makes FBA orders Onsite.
    """

    kind = "amazon"
    push_url = ""

    def __init__(
        self,
        *,
        seed: int = 1,
        delay: float = 0.0,
        limits: bool = False,
        validate_after: float = 0.0,
        collect_after: float | None = None,
        onsite: bool = False,
    ) -> None:
        super().__init__(seed=seed, delay=delay)
        self.limits = limits
        self.validate_after = validate_after
        self.collect_after = collect_after
        self.onsite = onsite
        self.redirect_uri = ""
        self.serial = 0
        self.sales: dict[str, Sale] = {}
        # Append-only and sorted, since time only moves on: (time, order id). An older entry of an order is stale.
        self.updates: list[tuple[str, str]] = []
        self.creations: list[tuple[str, str]] = []
        self.last_time = datetime.now(UTC) - timedelta(seconds=1)
        self.buckets = {name: Bucket(*limit) for name, limit in LIMITS.items()}
        self.later: list[tuple[float, str]] = []
        self.client = {"client_id": "amzn1.application-oa2-client.simulated", "client_secret": "amzn1.oa2-cs.v1.sim"}
        self.refresh_token = "Atzr|simulated"
        self.codes: set[str] = set()
        self.tokens: dict[str, float] = {}
        self.first_token = self._issue()

    # --- For the demo, benches and tests

    def account_credentials(self) -> dict[str, Any]:
        dies = datetime.now(UTC) + timedelta(seconds=TOKEN_SECONDS)
        return {
            **self.client,
            "access_token": self.first_token,
            "refresh_token": self.refresh_token,
            "expires_at": dies.isoformat(),
        }

    def account_settings(self) -> dict[str, Any]:
        return {
            "marketplace_id": MARKETPLACE,
            "external_account": "A1SIMULATEDSELLER",
            "fba_onsite": "yes" if self.onsite else "no",
            "default_carrier": "Jadlog",
        }

    def place(
        self,
        count: int = 1,
        *,
        program: str = "",
        status: str = "UNSHIPPED",
        business: bool = False,
        masked: bool = False,
        discount: bool | None = None,
        fulfilled: bool = True,
    ) -> list[str]:
        """`program`: SELF_SHIP, DBA or FBA, else a mix, in which FBA has no part unless `fulfilled`. `masked`: without
        the roles for personal data.
        """
        with self.lock:
            if not fulfilled:
                mix = [program for program in PROGRAMS if program != "FBA"]
                return [
                    self._place(program or self.random.choice(mix), status, business, masked, discount)
                    for _ in range(count)
                ]
            return [self._place(program, status, business, masked, discount) for _ in range(count)]

    def snapshot(self) -> dict[str, dict[str, Any]]:
        with self.lock:
            return {order_id: _summary(sale) for order_id, sale in self.sales.items()}

    def cancel(self, external_id: str) -> None:
        """By the buyer or Amazon, as a whole."""
        with self.lock:
            sale = self.sales[external_id]
            sale.status = "CANCELLED"
            for item in sale.raw["orderItems"]:
                item["cancellation"] = {
                    "cancellationExecution": {"cancelledBy": "BUYER", "cancelReason": "Comprado por engano"}
                }
                item["fulfillment"] = {"quantityFulfilled": 0, "quantityUnfulfilled": 0}
            self._touch(sale)

    def cancel_line(self, external_id: str) -> None:
        """The seller cancels the first line: nothing of it is left to ship, its amounts leave the total."""
        with self.lock:
            sale = self.sales[external_id]
            item = sale.raw["orderItems"][0]
            left = Decimal(sale.raw["proceeds"]["grandTotal"]["amount"])
            left -= Decimal(item["proceeds"]["proceedsTotal"]["amount"])
            sale.raw["proceeds"]["grandTotal"] = _money(left)
            item.update(quantityOrdered=0, fulfillment={"quantityFulfilled": 0, "quantityUnfulfilled": 0})
            item.pop("proceeds")
            item["cancellation"] = {"cancellationExecution": {"cancelledBy": "MERCHANT", "cancelReason": "NoInventory"}}
            self._touch(sale)

    def request_cancel(self, external_id: str) -> None:
        """The buyer asks; the order goes on until the seller decides."""
        with self.lock:
            sale = self.sales[external_id]
            request = {"requester": "BUYER", "cancelReason": "Não quero mais"}
            sale.raw["orderItems"][0]["cancellation"] = {"cancellationRequest": request}
            self._touch(sale)

    def pay(self, external_id: str) -> None:
        """A pending order's payment is authorised."""
        with self.lock:
            sale = self.sales[external_id]
            sale.status = "UNSHIPPED"
            self._touch(sale)

    def deliver(self, external_id: str) -> None:
        with self.lock:
            sale = self.sales[external_id]
            for package in sale.packages:
                package["packageStatus"] = {"status": "DELIVERED", "detailedStatus": "DELIVERED"}
            self._touch(sale)

    def sim_place(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"ids": self.place(**body)}

    def sim_snapshot(self, body: dict[str, Any]) -> dict[str, Any]:
        return self.snapshot()

    def sim_cancel(self, body: dict[str, Any]) -> dict[str, Any]:
        self.cancel(body["external_id"])
        return {}

    def sim_deliver(self, body: dict[str, Any]) -> dict[str, Any]:
        self.deliver(body["external_id"])
        return {}

    # --- Login with Amazon

    @route("GET", "/apps/authorize/consent")
    def consent(self, request: Request) -> Response:
        code = f"SPAPI{self._number(10)}"
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

    def _issue(self) -> str:
        token = f"Atza|{self._number(24)}"
        self.tokens[token] = time.monotonic() + TOKEN_SECONDS
        return token

    def authorise(self, request: Request) -> None:
        dies = self.tokens.get(request.headers.get("x-amz-access-token", ""))
        if "x-amz-access-token" not in request.headers:
            raise Refused(401, "Unauthorized", "Access to requested resource is denied.")
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
        family, after, before = _period(known)
        size = _page_size(known)
        included = _included(known)
        log = self.updates if family == "lastUpdated" else self.creations
        place = self._place_of(known) if "paginationToken" in known else bisect_left(log, (after, ""))
        end = bisect_right(log, (before, "\x7f")) if before else len(log)
        listed: list[dict[str, Any]] = []
        while place < end and len(listed) < size:
            moment, order_id = log[place]
            sale = self.sales[order_id]
            place += 1
            if family == "created" or sale.raw["lastUpdatedTime"] == moment:
                listed += [_shown(sale, included)] if _wanted(sale, known) else []
        answer: dict[str, Any] = {"orders": listed, f"{family}Before": before or self._now()}
        if place < end:
            answer["pagination"] = {"nextToken": _page_token(place, known)}
        return Response(body=answer)

    def _place_of(self, known: Mapping[str, str]) -> int:
        try:
            token = json.loads(base64.b64decode(known["paginationToken"], validate=True))
            issued = datetime.fromisoformat(token["at"])
        except (ValueError, KeyError, TypeError, binascii.Error):
            raise _invalid("The pagination token is invalid.") from None
        if datetime.now(UTC) - issued > PAGE_TOKEN_LIFE:
            raise _invalid("The pagination token has expired.")
        if token["query"] != _identity(known):
            raise _invalid("Parameters must not change while paging.")
        return int(token["place"])

    @route("GET", SEARCH + "/{order_id}")
    @operation("getOrder")
    def read(self, request: Request) -> Response:
        sale = self._sale(request)
        known = {name: values[0] for name, values in request.query.items()}
        return Response(body={"order": _shown(sale, _included(known))})

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
        sale, body = self._sale(request), _object(request)
        if body.get("marketplaceId") != MARKETPLACE:
            raise _invalid("Invalid marketplaceId")
        detail = body.get("packageDetail")
        if not isinstance(detail, dict):
            raise _invalid("Missing or invalid request parameters: [packageDetail]")
        _check_package(detail)
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
            raise _no_package("NonexistentOrderItem")
        if "FBM_SHIP_PLUS" in sale.raw["programs"] or sale.program != "SELF_SHIP":
            raise _invalid("Shipment confirmation is not allowed for this order.")
        if sale.status == "PENDING":
            raise _invalid("The order is not ready to be shipped.")

    def _edit(self, sale: Sale, package: dict[str, Any], detail: Mapping[str, Any]) -> None:
        sale.edits += 1
        if sale.edits > MOST_EDITS:
            raise _invalid("ErrorMessage(errorCode=InvalidPackageVersion): maximum number of allowed updates reached")
        package.update(_package(detail))

    def _add_package(self, sale: Sale, detail: Mapping[str, Any]) -> None:
        items = {item["orderItemId"]: item["fulfillment"] for item in sale.raw["orderItems"]}
        if any(items[one["orderItemId"]]["quantityUnfulfilled"] < one["quantity"] for one in detail["orderItems"]):
            raise _no_package("PackageToUpdateNotFound")
        for one in detail["orderItems"]:
            items[one["orderItemId"]]["quantityUnfulfilled"] -= one["quantity"]
            items[one["orderItemId"]]["quantityFulfilled"] += one["quantity"]
        sale.packages.append({**_package(detail), "createdTime": self._now()})
        left = any(item["quantityUnfulfilled"] for item in items.values())
        sale.status = "PARTIALLY_SHIPPED" if left else "SHIPPED"

    # --- Delivery by Amazon 2022-07-01

    @route("POST", "/delivery/2022-07-01/invoice")
    @operation("submitInvoice")
    def submit_invoice(self, request: Request) -> Response:
        body = _object(request)
        required = ("invoiceContent", "contentMD5Value", "invoiceType", "programType", "marketplaceId")
        if missing := [name for name in required if not body.get(name)]:
            raise _invalid(f"Missing required parameters: {missing}")
        sale = self._invoiced(request, str(body["programType"]))
        self._receive(sale, str(body["invoiceContent"]), str(body["contentMD5Value"]))
        return Response(body={})

    @route("GET", "/delivery/2022-07-01/invoice/status")
    @operation("getInvoiceStatus")
    def invoice_status(self, request: Request) -> Response:
        if missing := [name for name in ("marketplaceId", "invoiceType", "programType") if not request.param(name)]:
            raise _invalid(f"Missing required parameters: {missing}")
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
            raise _invalid(f"The order is not of program {program}.")
        return sale

    def _receive(self, sale: Sale, content: str, digest: str) -> None:
        try:
            xml = base64.b64decode(content, validate=True)
        except binascii.Error:
            raise _invalid("invoiceContent is not Base64.") from None
        if base64.b64encode(hashlib.md5(xml, usedforsecurity=False).digest()).decode() != digest:
            raise _invalid("contentMD5Value does not match the content.")
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
        body = _object(request)
        if not body.get("InvoiceContent") or not body.get("ContentMD5Value"):
            raise _invalid("InvoiceContent and ContentMD5Value are required.")
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

    # --- Time

    def tick(self) -> None:
        """Amazon's own steps that have come due: an NF-e validated, a DBA parcel fetched."""
        while self.later and self.later[0][0] <= time.monotonic():
            at, order_id = heapq.heappop(self.later)
            sale = self.sales[order_id]
            invoice = sale.invoice
            if invoice is not None and invoice.status == "Processing" and invoice.decided_at <= at:
                self._decide(sale, invoice)
            elif sale.program == "DBA" and sale.status == "UNSHIPPED":
                self._collect(sale)

    def _decide(self, sale: Sale, invoice: Invoice) -> None:
        invoice.status = invoice.verdict
        sale.raw["tax"]["taxInvoicing"] = {"invoiceStatus": invoice.verdict.upper()}
        self._touch(sale)
        if invoice.status == "Accepted" and sale.program == "DBA" and self.collect_after is not None:
            heapq.heappush(self.later, (time.monotonic() + self.collect_after, str(sale.raw["orderId"])))

    def _collect(self, sale: Sale) -> None:
        items = [
            {"orderItemId": item["orderItemId"], "quantity": item["fulfillment"]["quantityUnfulfilled"]}
            for item in sale.raw["orderItems"]
        ]
        for item in sale.raw["orderItems"]:
            count = item["fulfillment"]["quantityUnfulfilled"]
            item["fulfillment"] = {"quantityFulfilled": count, "quantityUnfulfilled": 0}
        sale.packages.append(
            {
                "packageReferenceId": "1",
                "createdTime": self._now(),
                "packageStatus": {"status": "IN_TRANSIT", "detailedStatus": "PICKED_UP"},
                "carrier": "Amazon Logistics",
                "trackingNumber": f"TBR{self._number(9)}",
                "shipTime": self._now(),
                "packageItems": items,
            }
        )
        sale.status = "SHIPPED"
        self._touch(sale)

    def _now(self) -> str:
        return _stamp(datetime.now(UTC))

    def _touch(self, sale: Sale) -> None:
        """A later time for every change: the log stays sorted and every entry unique."""
        self.last_time = max(datetime.now(UTC), self.last_time + timedelta(milliseconds=1))
        moment = _stamp(self.last_time)
        sale.raw["lastUpdatedTime"] = moment
        self.updates.append((moment, str(sale.raw["orderId"])))

    # --- New orders

    def _number(self, length: int) -> str:
        return "".join(str(self.random.randrange(10)) for _ in range(length))

    def _place(self, program: str, status: str, business: bool, masked: bool, discount: bool | None) -> str:
        program = program or self.random.choice(PROGRAMS)
        order_id = f"701-{len(self.sales) + 1:07d}-{self._number(7)}"
        items = [self._item(place, discount) for place in range(self.random.choice((1, 1, 1, 2, 3)))]
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
            **self._person(business, masked or program == "FBA"),
            "proceeds": {"grandTotal": _money(total)},
            "payment": {"paymentExecutions": [self._payment(total)]},
            "fulfillment": self._fulfillment(program, status),
            "orderItems": items,
        }
        sale = self.sales[order_id] = Sale(raw, program)
        if program == "DBA":
            raw["tax"]["taxInvoicing"] = {"invoiceStatus": "NOT_FOUND"}
        self._touch(sale)
        raw["createdTime"] = raw["lastUpdatedTime"]
        self.creations.append((raw["createdTime"], order_id))
        return order_id

    def _item(self, place: int, discount: bool | None) -> dict[str, Any]:
        sku, title, price = self.random.choice(SKUS)
        quantity = self.random.choice((1, 1, 1, 2, 3))
        freight = Decimal(self.random.choice((0, 0, 990, 1590))) / 100
        off = Decimal("5.00") if (self.random.random() < 0.2 if discount is None else discount) else Decimal(0)
        parts: list[dict[str, Any]] = [{"type": "ITEM", "subtotal": _money(price * quantity)}]
        parts += [{"type": "SHIPPING", "subtotal": _money(freight)}] if freight else []
        if off:
            detail = [{"subtype": "ITEM", "value": _money(off)}]
            parts.append({"type": "DISCOUNT", "subtotal": _money(off), "detailedBreakdowns": detail})
        return {
            "orderItemId": f"701{len(self.sales) + 1:09d}{place:02d}",
            "quantityOrdered": quantity,
            "product": {
                "asin": f"B0{self._number(8)}",
                "title": title,
                "sellerSku": sku,
                "condition": {"conditionType": "NEW"},
                "price": {"unitPrice": _money(price)},
            },
            "proceeds": {"proceedsTotal": _money(price * quantity + freight - off), "breakdowns": parts},
            **({"promotion": {"breakdowns": [{"promotionId": "CUPOM-5"}]}} if off else {}),
            "fulfillment": {"quantityFulfilled": 0, "quantityUnfulfilled": quantity},
        }

    def _person(self, business: bool, masked: bool) -> dict[str, Any]:
        """Without the restricted roles there is no buyer, no street and no tax number, but still a city."""
        name, street, district, city, state, postal_code = self.random.choice(PEOPLE)
        number, document = str(self.random.randrange(1, 3000)), self._cpf()
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
            "buyer": {"buyerName": name, "buyerEmail": f"b{self._number(8)}@marketplace.amazon.com.br"},
            "recipient": {
                "deliveryAddress": {
                    "name": name,
                    "addressLine1": f"{street}, {number}",
                    "city": city,
                    "stateOrRegion": state,
                    "postalCode": postal_code,
                    "countryCode": "BR",
                    "phone": f"+55 11 9{self._number(4)}-{self._number(4)}",
                    "addressType": "COMMERCIAL" if business else "RESIDENTIAL",
                    "extendedFields": {"streetName": street, "streetNumber": number, "neighborhood": district},
                }
            },
            "tax": {"taxRegistrations": [buyer, *registrations]},
        }

    def _payment(self, total: Decimal) -> dict[str, Any]:
        if self.random.random() < 0.5:
            return {"paymentMethod": "Pix", "paymentAmount": _money(total), "acquirerId": "11.222.333/0001-81"}
        return {
            "paymentMethod": "CreditCard",
            "paymentAmount": _money(total),
            "acquirerId": "11.222.333/0001-81",
            "cardBrand": self.random.choice(("Visa", "MasterCard", "Elo")),
            "authorizationCode": self._number(6),
        }

    def _fulfillment(self, program: str, status: str) -> dict[str, Any]:
        now = datetime.now(UTC)
        return {
            "fulfillmentStatus": status,
            "fulfilledBy": "AMAZON" if program == "FBA" else "MERCHANT",
            "fulfillmentServiceLevel": "STANDARD",
            "shipByWindow": {
                "earliestDateTime": _stamp(now),
                "latestDateTime": _stamp(now + timedelta(hours=self.random.randrange(20, 72))),
            },
            "deliverByWindow": {
                "earliestDateTime": _stamp(now + timedelta(days=4)),
                "latestDateTime": _stamp(now + timedelta(days=self.random.randrange(5, 12))),
            },
        }

    def _cpf(self) -> str:
        numbers = [self.random.randrange(10) for _ in range(9)]
        for _ in range(2):
            weighted = sum(
                number * weight for number, weight in zip(numbers, range(len(numbers) + 1, 1, -1), strict=True)
            )
            numbers.append(0 if weighted % 11 < 2 else 11 - weighted % 11)
        return "".join(map(str, numbers))


# --- Reading requests


def _invalid(message: str) -> Refused:
    return Refused(400, "InvalidInput", message)


def _no_package(metric: str) -> Refused:
    return _invalid(
        "Failed to create package due to not finding a matching package or order already fulfilled. "
        f"ErrorMessage(errorCode=GeneralError, errorMetric={metric}, packageIndex=null)"
    )


def _lwa_error(status: int, error: str, description: str) -> Response:
    return Response(status, {"error": error, "error_description": description})


def _object(request: Request) -> dict[str, Any]:
    body = request.json()
    if not isinstance(body, dict):
        raise _invalid("The body is not a JSON object.")
    return body


def _period(known: Mapping[str, str]) -> tuple[str, str, str]:
    """(family, after, before), both in the log's form."""
    families = [name for name in ("created", "lastUpdated") if f"{name}After" in known]
    if len(families) != 1:
        raise _invalid("Exactly one of createdAfter and lastUpdatedAfter is required.")
    family = families[0]
    other = "lastUpdatedBefore" if family == "created" else "createdBefore"
    if other in known:
        raise _invalid(f"{other} does not go with {family}After.")
    after, before = _moment(known[f"{family}After"]), _moment(known.get(f"{family}Before", ""))
    if before is None:
        return family, _stamp(after or datetime.now(UTC)), ""
    if after is None or before < after or before > datetime.now(UTC) - timedelta(minutes=2):
        raise _invalid("The request has invalid parameters.")
    return family, _stamp(after), _stamp(before)


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC) if text else None
    except ValueError:
        raise _invalid(f"{text} is not a valid date-time.") from None


def _page_size(known: Mapping[str, str]) -> int:
    text = known.get("maxResultsPerPage", "100")
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise _invalid("maxResultsPerPage must be between 1 and 100.")
    return int(text)


def _included(known: Mapping[str, str]) -> frozenset[str]:
    names = [name for name in known.get("includedData", "").split(",") if name]
    if wrong := [name for name in names if name not in INCLUDED]:
        raise _invalid(f"includedData has invalid values: {wrong}")
    return frozenset(key for name in names for key in INCLUDED[name])


def _identity(known: Mapping[str, str]) -> str:
    """What may not change while paging."""
    free = ("paginationToken", "maxResultsPerPage", "includedData")
    return urlencode(sorted((name, value) for name, value in known.items() if name not in free))


def _page_token(place: int, known: Mapping[str, str]) -> str:
    token = {"place": place, "at": datetime.now(UTC).isoformat(), "query": _identity(known)}
    return base64.b64encode(json.dumps(token).encode()).decode()


def _wanted(sale: Sale, known: Mapping[str, str]) -> bool:
    fulfillment = sale.raw["fulfillment"]
    return all(
        not known.get(name) or value in known[name].split(",")
        for name, value in (
            ("fulfillmentStatuses", fulfillment["fulfillmentStatus"]),
            ("fulfilledBy", fulfillment["fulfilledBy"]),
            ("marketplaceIds", sale.raw["salesChannel"].get("marketplaceId")),
        )
    )


def _shown(sale: Sale, included: frozenset[str]) -> dict[str, Any]:
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


def _check_package(detail: Mapping[str, Any]) -> None:
    reference = detail.get("packageReferenceId")
    if not isinstance(reference, str):
        raise _invalid("invalid type [packageDetail.packageReferenceId]")
    if not reference.isdecimal() or int(reference) < 1:
        raise _invalid("PackageReferenceId: is invalid")
    required = ("carrierCode", "trackingNumber", "shipDate", "orderItems")
    if missing := [name for name in required if not detail.get(name)]:
        raise _invalid(f"Missing or invalid request parameters: {missing}")
    if detail["carrierCode"] == "Other" and not detail.get("carrierName"):
        raise _invalid("carrierName is required when carrierCode is Other")
    if _moment(str(detail["shipDate"])) is None:
        raise _invalid("shipDate is invalid")
    if any(not isinstance(one, dict) or not isinstance(one.get("quantity"), int) for one in detail["orderItems"]):
        raise _invalid("orderItems is invalid")


def _package(detail: Mapping[str, Any]) -> dict[str, Any]:
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


# --- Writing answers


def _invoice_word(sale: Sale) -> str:
    return sale.invoice.status if sale.invoice else "NotFound"


def _shipment_id(order_id: str) -> str:
    return "S" + order_id.replace("-", "")


def _order_id(shipment_id: str) -> str:
    """The order of a shipment: an FBA Onsite shipment's id is its order's id without dashes, after an S."""
    return f"{shipment_id[1:4]}-{shipment_id[4:11]}-{shipment_id[11:]}"


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _money(value: Decimal) -> dict[str, str]:
    return {"amount": f"{value:.2f}", "currencyCode": "BRL"}


def _summary(sale: Sale) -> dict[str, Any]:
    accepted = sale.invoice is not None and sale.invoice.verdict == "Accepted"
    codes: Iterable[str] = (one.get("trackingNumber", "") for one in sale.packages)
    return {
        "status": sale.status,
        "invoice_key": sale.invoice.key if sale.invoice and accepted else "",
        "dispatched": sale.status in ("SHIPPED", "PARTIALLY_SHIPPED"),
        "tracking_code": next(iter(codes), ""),
        "cancelled": sale.status == "CANCELLED",
    }
