"""Mercado Livre as a `Channel`. Lists are in `listing`, a sale's documents in `bundle`, NF-e in `invoices`.

Settings of an account, all optional:

* `overlap_minutes` how far each poll looks back behind the last one (never less than 120: the search cuts to hours)
* `calls_per_second` in place of the hub's own choice of 20, shared by all connections of the application
* `skus` {"MLB1" or "MLB1/variation id": SKU} for listings without a SKU
* `pictures` "https://shop.example/{listing}.jpg" or with {sku}: where the seller's pictures are; orders name none
* `label_format` `pdf` (default) or `zpl2`
* `cancel_reason` one of Mercado Livre's words for a seller's cancellation (default `OUT_OF_STOCK`)
* `cancel_rating` `neutral` (default), `negative` or `positive`; `restock` false (default): offer the goods again

Not known of Mercado Livre, and therefore never relied on: its quota; how an error of the NF-e import carries its code
(all places are looked at); whether cancelled orders are found by a seller's search; whether a shipment's change moves
its order; whether fetching a label marks it as printed (so it is never fetched ahead).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.channels.mercado_livre import SERVICE, auth, bundle, census, invoices, listing
from connectors.contract import (
    Account,
    Announcement,
    CensusPage,
    Credentials,
    Cursor,
    Label,
    Outcome,
    Page,
    PushRequest,
    Receipt,
    ShipmentRef,
    Window,
)
from connectors.failures import Category, Failure, NotYet, Refusal
from connectors.http import Client
from connectors.reading import Reader, parse_json
from orders.documents import InvoiceDocument, OrderDocument

SITE = "MLB"
# Mercado Livre's number for parcels the seller's own carrier reports in Brazil.
OWN_CARRIER_SERVICE = 11
LABEL_PAUSE = timedelta(minutes=2)
LONGEST_MESSAGE = 159


def explain(body: Any) -> tuple[str, str]:
    """(code, message). Where the code sits is not documented for every call: a known one is taken from anywhere."""
    if not isinstance(body, dict):
        return "", ""
    message = str(body.get("message") or body.get("error_description") or "")
    said = [str(word) for word in _said(body)]
    known = next((word for word in said if word in SERVICE.failures.by_code), "")
    code = known or str(body.get("error_code") or body.get("error") or body.get("code") or "")
    return code[:80], message[:500]


def _said(body: Mapping[str, Any]) -> Iterator[Any]:
    causes = body.get("cause")
    for cause in causes if isinstance(causes, list) else ():
        yield from cause.values() if isinstance(cause, dict) else (cause,)
    yield from (body.get(name) for name in ("error_code", "code", "message", "error"))


class MercadoLivre:
    def __init__(self, account: Account, http: Client) -> None:
        self.account = account
        self.settings = account.settings
        self.http = http
        self.http.auth = auth.bearer
        self.http.explain = explain

    def consent_url(self, state: str) -> str:
        return auth.consent_url(self.account, state)

    def exchange(self, code: str, query: Mapping[str, str]) -> Credentials:
        return auth.exchange(self.http, code, query)

    def refresh(self) -> Credentials:
        return auth.refresh(self.http)

    def check(self) -> str:
        me = self.http.get("/users/me", operation="check").reader()
        if (site := me.text("site_id", "")) != SITE:
            raise Refusal(f"This is an account of site {site or '(none)'}; only {SITE}, Brazil, is supported.")
        return me.text("nickname", "") or me.text("id")

    def changes(self, cursor: Cursor, window: Window | None = None) -> Page:
        return listing.changes(self.account, self.http, cursor, window)

    def fetch(self, external_id: str, hint: bytes = b"", last: bytes = b"") -> bytes:
        return bundle.fetch(self.account, self.http, external_id, hint, last)

    def census(self, cursor: Cursor, window: Window) -> CensusPage:
        return census.census(self.account, self.http, cursor, window)

    def read_push(self, request: PushRequest) -> Sequence[Announcement]:
        """Mercado Livre signs nothing: the push only says where to look, and only for our own application."""
        push = Reader(parse_json(request.body, what="push"))
        ours = str(self.account.credentials.get("client_id") or "")
        said = push.text("application_id", "")
        if ours and said and said != ours:
            raise Refusal("This push is for another application.", path="$.application_id")
        topic = push.text("topic", "")
        external_id = listing.resource_id(topic, push.text("resource", ""))
        event_id = push.text("_id", "") or push.text("id", "")
        return [Announcement(external_id, topic, push.text("user_id", ""), event_id)]

    def send_invoice(self, order: OrderDocument, invoice: InvoiceDocument, shipment: ShipmentRef) -> Receipt:
        number = shipment_id(order, shipment)
        if not number:
            return invoices.attach(self.http, order.external_id, invoice)
        state = self._shipment(number)
        mode, kind = bundle.logistic(dict(state.raw))
        if kind == "fulfillment":
            return Receipt(Outcome.NOT_NEEDED, "Mercado Livre's own biller issues this sale's invoice.")
        if kind in invoices.IMPORTED:
            return invoices.send(self.http, number, state, invoice)
        return invoices.attach(self.http, order.external_id, invoice)

    def send_dispatch(self, order: OrderDocument, shipment: ShipmentRef) -> Receipt:
        return self._report(order, shipment, "shipped", shipment.shipped_at)

    def send_delivery(self, order: OrderDocument, shipment: ShipmentRef) -> Receipt:
        if not shipment_id(order, shipment):
            return self._close(order)
        return self._report(order, shipment, "delivered", shipment.delivered_at)

    def cancel(self, order: OrderDocument, reason: str, under_way: str = "") -> Receipt:
        """Each order of the pack once; a second feedback is refused, so what is there already is read then."""
        feedback = {
            "fulfilled": False,
            "rating": self.settings.get("cancel_rating") or "neutral",
            "message": reason[:LONGEST_MESSAGE],
            "reason": self.settings.get("cancel_reason") or "OUT_OF_STOCK",
            "restock_item": bool(self.settings.get("restock")),
        }
        return self._feedback(order, feedback)

    def label(self, order: OrderDocument, shipment: ShipmentRef) -> Label:
        number = shipment_id(order, shipment)
        if not number:
            raise Refusal("The sale has no shipment at Mercado Livre, so there is no label.")
        wanted = self.settings.get("label_format") or "pdf"
        try:
            answer = self.http.get(
                "/shipment_labels",
                operation="label",
                params={"shipment_ids": number, "response_type": wanted},
                headers={"Accept": "*/*"},
            )
        except Failure as failure:
            if failure.code == "not_printable_status":
                raise NotYet(failure.message, retry_at=datetime.now(UTC) + LABEL_PAUSE) from failure
            raise
        content_type, ending = _sniff(answer.content)
        return Label(answer.content, content_type, f"mercado-livre-{number}.{ending}")

    def _shipment(self, number: str) -> Reader:
        return self.http.get(f"/shipments/{number}", operation="shipment", headers=bundle.NEW_FORMAT).reader()

    def _report(self, order: OrderDocument, shipment: ShipmentRef, status: str, when: datetime | None) -> Receipt:
        number = shipment_id(order, shipment)
        if not number:
            return Receipt(Outcome.NOT_NEEDED, "The sale has no shipment at Mercado Livre.")
        if order.raw_logistics.startswith("me2"):
            return Receipt(Outcome.NOT_NEEDED, "Mercado Livre runs this parcel and knows where it is.")
        state = self._shipment(number)
        mode, _ = bundle.logistic(dict(state.raw))
        if mode == "me2":
            return Receipt(Outcome.NOT_NEEDED, "Mercado Livre runs this parcel and knows where it is.")
        if state.text("status", "") in (status, "delivered"):
            return Receipt(Outcome.ALREADY, f"Mercado Livre has the shipment as {state.text('status')}.")
        if mode == "me1":
            return self._notify(number, shipment, status, when)
        body = {"status": status, **({"tracking_number": shipment.tracking_code} if shipment.tracking_code else {})}
        self.http.put(f"/shipments/{number}", operation="report", json=body, effect=True)
        return Receipt(Outcome.ACCEPTED, external_id=number)

    def _notify(self, number: str, shipment: ShipmentRef, status: str, when: datetime | None) -> Receipt:
        moment = (when or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="milliseconds")
        body: dict[str, Any] = {
            "payload": {
                "service_id": OWN_CARRIER_SERVICE,
                "comment": shipment.carrier,
                "date": moment.replace("+00:00", "Z"),
            },
            "status": status,
            "substatus": None,
        }
        # Both or none of them.
        if shipment.tracking_code and shipment.tracking_url:
            body |= {"tracking_number": shipment.tracking_code, "tracking_url": shipment.tracking_url}
        self.http.post(f"/v2/shipments/{number}/seller_notifications", operation="report", json=body)
        return Receipt(Outcome.ACCEPTED, external_id=number)

    def _close(self, order: OrderDocument) -> Receipt:
        return self._feedback(order, {"fulfilled": True, "rating": "positive", "message": ""})

    def _feedback(self, order: OrderDocument, feedback: Mapping[str, Any]) -> Receipt:
        wanted = dict.fromkeys(
            item.order_id for item in order.items if item.order_id and item.cancelled < item.quantity
        )
        sent = [self._feedback_once(order_id, feedback) for order_id in wanted]
        return Receipt(Outcome.ACCEPTED if any(sent) else Outcome.ALREADY)

    def _feedback_once(self, order_id: str, feedback: Mapping[str, Any]) -> bool:
        """False when Mercado Livre has the same one from before."""
        try:
            self.http.post(f"/orders/{order_id}/feedback", operation="feedback", json=dict(feedback))
        except Failure as failure:
            if failure.status != 400 or failure.category is not Category.REJECTED:
                raise
            if self._told(order_id) is not feedback["fulfilled"]:
                raise
            return False
        return True

    def _told(self, order_id: str) -> bool | None:
        answer = self.http.get(f"/orders/{order_id}/feedback", operation="feedback", accept=(404,))
        sale = answer.reader().maybe("sale") if answer.status < 300 else None
        return sale.flag("fulfilled") if sale and sale.has("fulfilled") else None


def shipment_id(order: OrderDocument, shipment: ShipmentRef) -> str:
    """The channel's shipment that is meant: the one that is named, else the order's newest one that is alive."""
    known = [one.external_id for one in order.shipments]
    if shipment.external_id in known:
        return shipment.external_id
    alive = [one.external_id for one in order.shipments if one.status != "cancelled"]
    return (alive or known or [""])[-1]


def _sniff(content: bytes) -> tuple[str, str]:
    """What came, not what was asked for: ZPL is sometimes zipped."""
    if content.startswith(b"%PDF"):
        return "application/pdf", "pdf"
    if content.startswith(b"PK"):
        return "application/zip", "zip"
    if re.match(rb"\s*\^XA", content):
        return "application/zpl", "zpl"
    return "application/octet-stream", "bin"
