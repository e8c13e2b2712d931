"""A Mercado Livre to play against: orders in packs, parcels that move, single-use refresh tokens, unsigned pushes.

What it does as the real one: the search cuts dates to the hour, sorts by `date_closed`, hides cancelled orders unless
they are asked for and looks no deeper than 10,000; an NF-e is imported once per shipment; a refresh token works once.
"""

import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo

from connectors.channels.mercado_livre import simulated_sale as documents
from connectors.channels.mercado_livre.auth import challenge
from connectors.channels.mercado_livre.simulated_world import TOKEN_SECONDS, MercadoLivreWorld, Raw
from connectors.simulation import paper
from connectors.simulation.server import Request, Response, route

DEPTH = 10_000
LARGEST_PAGE = 51
CALLS_PER_SECOND = 50
IMPORTED = ("drop_off", "xd_drop_off", "cross_docking", "xd_same_day")
_KEY = re.compile(rb"<chNFe>(\w{44})</chNFe>|Id=[\"']NFe(\w{44})[\"']")


def error(status: int, code: str, message: str = "") -> Response:
    return Response(status, {"message": message or code, "error": code, "status": status, "cause": []})


class MercadoLivreSimulator(MercadoLivreWorld):
    """The endpoints; its options are the world's."""

    # Who may call

    def limited(self, request: Request) -> Response:
        return error(429, "local_rate_limited", "Too many requests")

    def unauthorised(self, request: Request) -> Response:
        return error(401, "unauthorized", "invalid access token")

    def not_found(self, request: Request) -> Response:
        return error(404, "not_found", "resource not found")

    def handle(self, request: Request) -> Response:
        if self.limits and self._over_limit():
            return self.limited(request)
        if request.path not in ("/oauth/token", "/authorization") and not request.path.startswith("/pictures/"):
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            if scheme != "Bearer" or self.access_tokens.get(token, 0) < time.time():
                return self.unauthorised(request)
        return super().handle(request)

    def _over_limit(self) -> bool:
        with self.lock:
            now = time.monotonic()
            while self.calls and self.calls[0] < now - 1:
                self.calls.popleft()
            self.calls.append(now)
            return len(self.calls) > CALLS_PER_SECOND

    @route("GET", "/authorization")
    def authorize(self, request: Request) -> Response:
        """Gives the consent at once."""
        code = f"TG-code-{next(self.numbers)}-{self.seller}"
        self.codes[code] = request.param("code_challenge")
        target = f"{request.param('redirect_uri')}?code={code}&state={request.param('state')}"
        return Response(302, b"", {"Location": target})

    @route("POST", "/oauth/token")
    def token(self, request: Request) -> Response:
        form = request.form()
        if (form.get("client_id"), form.get("client_secret")) != (self.application, self.secret):
            return error(400, "invalid_client", "invalid client_id or client_secret")
        if not self._grant(form):
            return error(400, "invalid_grant", "the code or refresh token is expired or was already used")
        number = next(self.numbers)
        self.refresh_token = f"TG-{number}-{self.seller}"
        token = f"APP_USR-{number}-{self.seller}"
        self.access_tokens[token] = time.time() + TOKEN_SECONDS
        return Response(body={
            "access_token": token, "token_type": "bearer", "expires_in": TOKEN_SECONDS, "user_id": self.seller,
            "scope": "offline_access read write", "refresh_token": self.refresh_token,
        })  # fmt: skip

    def _grant(self, form: dict[str, str]) -> bool:
        if form.get("grant_type") == "refresh_token":
            return form.get("refresh_token") == self.refresh_token
        asked = self.codes.pop(form.get("code", ""), None)
        return asked is not None and (not asked or asked == challenge(form.get("code_verifier", "")))

    @route("GET", "/users/me")
    def me(self, request: Request) -> Response:
        return Response(body={"id": self.seller, "nickname": "LOJA_SIMULADA", "site_id": self.site})

    # Orders

    @route("GET", "/orders/search")
    def listed(self, request: Request) -> Response:
        # Routes are tried by the names of their methods: this one before `order`.
        offset, limit = int(request.param("offset", "0")), int(request.param("limit", "50"))
        if limit > LARGEST_PAGE:
            return error(400, "limit.maximum_exceeded", "Limit must be a lower or equal than 51")
        if offset + limit > DEPTH:
            return error(400, "limit.maximum_exceeded", f"Limit must be a lower or equal than {DEPTH}")
        if request.param("seller") != str(self.seller):
            return error(403, "forbidden", "not the caller's orders")
        if request.param("search_type") == "scan":
            return self._scanned(request)
        found = self._found(request)
        page = found[offset : offset + limit]
        return Response(body={
            "query": "", "results": page, "paging": {"total": len(found), "offset": offset, "limit": limit},
            "sort": {"id": "date_asc", "name": "Date ascending"}, "available_sorts": [], "filters": [],
            "display": "complete",
        })  # fmt: skip

    def _scanned(self, request: Request) -> Response:
        """A scan goes on with what there was when it began, however long that is."""
        if "offset" in request.query:
            return error(400, "invalid_params", "scan takes no offset")
        mark = request.param("scroll_id")
        if mark and mark not in self.scans:
            return self.limited(request)
        rest = self.scans.pop(mark) if mark else self._found(request)
        following = f"scroll-{next(self.numbers)}"
        self.scans[following] = rest[50:]
        return Response(body={"results": rest[:50], "paging": {"total": len(rest), "scroll_id": following}})

    def _found(self, request: Request) -> list[Raw]:
        asked = (self.version, tuple(sorted((name, *values) for name, values in request.query.items()
                                            if name not in ("offset", "limit"))))  # fmt: skip
        if self.cached[0] != asked:
            self.cached = (asked, _matching(self.orders.values(), request))
        return self.cached[1]

    @route("GET", "/orders/{id}")
    def order(self, request: Request) -> Response:
        order = self.orders.get(request.args["id"])
        if order is None:
            return error(404, "order_not_found", "Order do not exists")
        return Response(body={name: value for name, value in order.items() if name != "date_last_updated"})

    @route("GET", "/orders/billing-info/MLB/{id}")
    def billing(self, request: Request) -> Response:
        found = self.billings.get(request.args["id"])
        return Response(body=found) if found else error(404, "not_found")

    @route("GET", "/orders/{id}/discounts")
    def discounts(self, request: Request) -> Response:
        return Response(body=documents.discounts(self.orders[request.args["id"]]))

    @route("GET", "/packs/{id}")
    def pack(self, request: Request) -> Response:
        found = self.packs.get(request.args["id"])
        return Response(body=found) if found else error(404, "not_found", "pack not found")

    @route("GET", "/orders/{id}/feedback")
    def feedback(self, request: Request) -> Response:
        found = self.feedbacks.get(request.args["id"])
        return Response(body={"sale": found, "purchase": None}) if found else error(404, "feedback_not_found")

    @route("POST", "/orders/{id}/feedback")
    def give_feedback(self, request: Request) -> Response:
        name, body = request.args["id"], request.json()
        if name not in self.orders:
            return error(404, "order_not_found")
        if name in self.feedbacks:
            return error(400, "feedback_already_exists", "The order already has a feedback")
        if not isinstance(body.get("fulfilled"), bool):
            return error(400, "invalid_fulfilled")
        self.feedbacks[name] = {"id": next(self.numbers), **body}
        order = self.orders[name]
        order["fulfilled"] = body["fulfilled"]
        if not body["fulfilled"]:
            self.cancel(str(order["pack_id"] or name), order=name, by="seller")
        return Response(201, self.feedbacks[name])

    @route("GET", "/missed_feeds")
    def missed_feeds(self, request: Request) -> Response:
        offset, limit = int(request.param("offset", "0")), int(request.param("limit", "10"))
        return Response(body={"messages": self.missed[offset : offset + limit]})

    @route("GET", "/pictures/{listing}")
    def picture(self, request: Request) -> Response:
        """The seller's own shop, for once: see the setting `pictures`."""
        return Response(body=paper.png(request.args["listing"]), headers={"Content-Type": "image/png"})

    # Shipments

    def _parcel(self, request: Request) -> Raw | None:
        return self.shipments.get(request.args["id"])

    @route("GET", "/shipments/{id}")
    def shipment(self, request: Request) -> Response:
        found = self._parcel(request)
        if found is None:
            return error(404, "not_found", "shipment not found")
        if request.headers.get("x-format-new") == "true":
            return Response(body=found)
        old = {name: value for name, value in found.items() if name != "logistic"}
        return Response(body={**old, "mode": found["logistic"]["mode"], "logistic_type": found["logistic"]["type"]})

    @route("GET", "/shipments/{id}/orders")
    def shipment_orders(self, request: Request) -> Response:
        orders = [self.orders[name] for name in self.orders_of.get(request.args["id"], ())]
        if not orders:
            return Response(204)
        return Response(body=[
            {"order_id": str(one["id"]), "pack_id": str(one["pack_id"]) if one["pack_id"] else None,
             "item_id": one["order_items"][0]["item"]["id"], "seller_id": str(self.seller)}
            for one in orders
        ])  # fmt: skip

    @route("GET", "/shipments/{id}/sla")
    def sla(self, request: Request) -> Response:
        found = self._parcel(request)
        if found is None or found["status"] == "cancelled" or found["logistic"]["type"] == "fulfillment":
            return error(404, "not_found", "failed to retrieve data")
        return Response(body=documents.sla(found))

    @route("GET", "/shipments/{id}/costs")
    def costs(self, request: Request) -> Response:
        found = self._parcel(request)
        return Response(body=documents.costs(found)) if found else error(404, "not_found")

    @route("GET", "/shipments/{id}/carrier")
    def carrier(self, request: Request) -> Response:
        number = request.args["id"]
        return Response(body={"name": "Transportadora Simulada", "url": f"https://rastreio.example/{number}"})

    # Invoices

    @route("POST", "/shipments/{id}/invoice_data/")
    def import_invoice(self, request: Request) -> Response:
        number, parcel, key = request.args["id"], self._parcel(request), _key_in(request.body)
        refusal = self._import_refusal(number, parcel, key, request)
        if refusal:
            return error(*refusal)
        self.keys[key] = number
        now = documents.written(datetime.now(UTC))
        self.invoices[number] = {
            "id": next(self.numbers), "sender_id": self.seller, "shipment_id": int(number), "fiscal_key": key,
            "invoice_serie": str(int(key[22:25])), "invoice_number": str(int(key[25:34])), "status": "approved",
            "date_created": now, "last_updated": now,
        }  # fmt: skip
        self.move(number, "ready_to_ship/ready_to_print")
        return Response(201, {"id": self.invoices[number]["id"]})

    def _import_refusal(self, number: str, parcel: Raw | None, key: str, request: Request) -> tuple[int, str] | None:
        """The first rule that is broken."""
        rules = (
            (parcel is None, (404, "not_found")),
            (request.param("siteId") != "MLB", (400, "invalid_operation_for_site_id")),
            (b"nfeProc" not in request.body or not key, (400, "invalid_nfe")),
            (b"<tpAmb>2<" in request.body, (400, "invalid_nfe_cstat")),
            (number in self.invoices, (400, "shipment_invoice_already_saved")),
            (key in self.keys, (400, "duplicated_fiscal_key")),
            (parcel and parcel["logistic"]["type"] not in IMPORTED, (400, "invalid_shipment")),
            (parcel and parcel["substatus"] != "invoice_pending", (400, "invalid_shipment")),
        )
        return next((answer for broken, answer in rules if broken), None)

    @route("GET", "/shipments/{id}/invoice_data")
    def invoice(self, request: Request) -> Response:
        found = self.invoices.get(request.args["id"])
        return Response(body=found) if found else error(404, "not_found")

    @route("POST", "/packs/{id}/fiscal_documents")
    def attach(self, request: Request) -> Response:
        name = request.args["id"]
        order = self.orders.get(name)
        if name not in self.packs and order is None:
            return error(404, "not_found")
        if order and order["pack_id"]:
            return error(400, "bad_request", "The order belong to a pack/purchase")
        number = str(self.orders[self.names_of(name)[0]]["shipping"]["id"])
        if self.shipments[number]["logistic"]["type"] in ("fulfillment", "cross_docking", "xd_drop_off"):
            return error(403, "forbidden", "Access denied, you must use the biller of MercadoLibre")
        if self.attached.get(name):
            return error(409, "conflict", "a file of this type already exists")
        if b'name="fiscal_document"' not in request.body:
            return error(400, "bad_request", "empty file")
        filename = re.search(rb'filename="([^"]+)"', request.body)
        file = {"id": f"{self.seller}_{next(self.numbers)}", "file_type": "application/xml",
                "filename": filename[1].decode() if filename else "", "key": _key_in(request.body)}  # fmt: skip
        self.attached[name] = [file]
        if self.shipments[number]["logistic"]["mode"] == "me2":
            self._later(self.carrier_after, number, "ready_to_ship/picked_up")
        return Response(201, {"ids": [file["id"]]})

    @route("GET", "/packs/{id}/fiscal_documents")
    def attachments(self, request: Request) -> Response:
        name = request.args["id"]
        if not self.attached.get(name):
            return error(404, "not_found")
        return Response(body={"pack_id": name, "fiscal_documents": self.attached[name]})

    # Parcels that the seller reports, and labels

    @route("POST", "/v2/shipments/{id}/seller_notifications")
    def notify(self, request: Request) -> Response:
        parcel, body = self._parcel(request), request.json()
        if parcel is None or parcel["logistic"]["mode"] != "me1":
            return _refused_report("shipment_mode_is_not_me1")
        paired = ("tracking_number" in body) == ("tracking_url" in body)
        if "substatus" not in body or not paired or body["payload"]["service_id"] != 11:
            return _refused_report("invalid_seller_json_format")
        if datetime.fromisoformat(body["payload"]["date"]) < datetime.fromisoformat(parcel["date_created"]):
            return _refused_report("event_date_before_shipment_creation_date")
        self._report(request.args["id"], body)
        return Response(body={"status": "OK"})

    @route("PUT", "/shipments/{id}")
    def put_shipment(self, request: Request) -> Response:
        self._report(request.args["id"], request.json())
        return Response(body=self._parcel(request))

    def _report(self, number: str, body: Raw) -> None:
        self.reported[number] = {**self.reported.get(number, {}), **body}
        self.move(number, body["status"])

    @route("GET", "/shipment_labels")
    def shipment_labels(self, request: Request) -> Response:
        numbers = request.param("shipment_ids").split(",")
        for number in numbers:
            parcel = self.shipments.get(number)
            if parcel is None:
                return error(404, "not_found", "Missing a valid shipment id value")
            if parcel["logistic"]["type"] == "fulfillment":
                return error(400, "invalid_shipment_ff_public")
            if parcel["logistic"]["mode"] != "me2":
                return error(400, "invalid_shipment_mode")
            if parcel["substatus"] not in ("ready_to_print", "printed"):
                return error(400, "not_printable_status")
        self.labels += numbers
        words = f"Mercado Livre {' '.join(numbers)}"
        if request.param("response_type") == "pdf":
            return Response(200, paper.pdf(words), {"Content-Type": "application/pdf"})
        return Response(200, paper.zipped("etiquetas.txt", paper.zpl(words)), {"Content-Type": "application/zip"})


def _matching(orders: Iterable[Raw], request: Request) -> list[Raw]:
    """Cancelled orders only when asked for; dates cut to the hour."""
    wanted = request.param("order.status").split(",") if request.param("order.status") else []
    found = [one for one in orders if (one["status"] in wanted if wanted else one["status"] != "cancelled")]
    for field, zone in (("date_created", documents.ML_ZONE), ("date_last_updated", UTC)):
        if since := _hour(request.param(f"order.{field}.from"), zone):
            found = [one for one in found if one[field][:13] >= since]
        if until := _hour(request.param(f"order.{field}.to"), zone):
            found = [one for one in found if one[field][:13] <= until]
    return found


def _hour(text: str, zone: tzinfo) -> str:
    """The first 13 characters of the time as the field writes it: all that counts."""
    return datetime.fromisoformat(text).astimezone(zone).isoformat()[:13] if text else ""


def _key_in(xml: bytes) -> str:
    found = _KEY.search(xml)
    return next(filter(None, found.groups()), b"").decode() if found else ""


def _refused_report(code: str) -> Response:
    return Response(400, {"status_code": 400, "error_code": code, "message": code,
                          "timestamp": documents.written_utc(datetime.now(UTC)), "request_id": "sim"})  # fmt: skip
