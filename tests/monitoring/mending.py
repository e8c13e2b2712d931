"""The toys with an ERP that wants a street and a valid document, and a channel that refuses some NF-es and carriers."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from connectors import actions
from connectors.contract import Capability, ErpOrder, Outcome, Receipt, Reference, SaleState, ShipmentRef
from connectors.models import Link
from connectors.reading import Reader
from connectors.simulation.server import Request, Response, route
from orders.documents import Address, DispatchDocument, InvoiceDocument, OrderDocument
from orders.models import Order
from tests.support import toy

DOCUMENT, STREET = "52998224725", "Rua das Laranjeiras"


class Shop(toy.ToyShop):
    def __init__(self) -> None:
        super().__init__()
        self.refused: set[str] = set()
        self.parcels: dict[str, str] = {}

    @route("PUT", "/orders/{id}/invoice")
    def invoice(self, request: Request) -> Response:
        body = request.json()
        if body["key"] in self.refused or body["xml"] not in ("", "whole"):
            return Response(422, {"error": "invoice", "message": "This NF-e is not of this sale"})
        self.invoices[request.args["id"]] = body["key"] + body["xml"]
        return Response(body={})

    @route("PUT", "/orders/{id}/dispatch")
    def dispatch(self, request: Request) -> Response:
        body = request.json()
        if body["carrier"] in self.refused:
            return Response(422, {"error": "carrier", "message": f"No carrier {body['carrier']!r}"})
        self.parcels[request.args["id"]] = f"{body['carrier']} {body['code']} {body['url']}"
        return Response(body={})


class ShopAdapter(toy.ShopAdapter):
    def send_invoice(self, order: OrderDocument, invoice: InvoiceDocument, shipment: ShipmentRef) -> Receipt:
        state = "whole" if b"nfeProc" in invoice.xml else "torn"
        body = {"key": invoice.key, "xml": state if invoice.xml else ""}
        self.http.put(f"/orders/{order.external_id}/invoice", operation="invoice", json=body)
        return Receipt(Outcome.ACCEPTED)

    def send_dispatch(self, order: OrderDocument, shipment: ShipmentRef) -> Receipt:
        body = {"carrier": shipment.carrier, "code": shipment.tracking_code, "url": shipment.tracking_url}
        self.http.put(f"/orders/{order.external_id}/dispatch", operation="dispatch", json=body)
        return Receipt(Outcome.ACCEPTED)


class Erp(toy.ToyErp):
    @route("POST", "/orders")
    def create(self, request: Request) -> Response:
        body = request.json()
        if not body["street"] or body["document"] != DOCUMENT:
            return Response(422, {"error": "address", "message": "The address or the CPF is not right"})
        return Response(201, self.type(**body))


class ErpAdapter(toy.ErpAdapter):
    def create(self, order: OrderDocument, reference: Reference) -> ErpOrder:
        where = order.ship_to or Address()
        body = {
            "reference": reference.number, "key": reference.hub_key, "sku": order.items[0].sku,
            "document": order.buyer.document, "street": where.street, "city": where.city, "cep": where.postal_code,
        }  # fmt: skip
        made = self.http.post("/orders", operation="create", json=body).reader()
        return ErpOrder(made.text("id"), made.text("id"), reference.number)


def to_order(raw: Mapping[str, Any], settings: Mapping[str, Any]) -> OrderDocument:
    place = {name: raw[name] for name in ("street", "city", "state", "postal_code") if name in raw}
    where = Address(recipient="Fulana", **place) if place else None
    return toy.to_order(raw, settings).model_copy(update={"ship_to": where, "bill_to": where})


def to_state(raw: Mapping[str, Any], settings: Mapping[str, Any]) -> SaleState:
    parcels = [
        DispatchDocument(
            external_id="1",
            carrier=one.text("carrier"),
            tracking_code=one.text("code"),
            tracking_url=f"https://carrier.example/{one.text('code')}",
            shipped_at=one.when("at"),
        )
        for one in Reader(raw).list("dispatches")
    ]
    invoices = tuple(
        InvoiceDocument(key=one.text("key"), xml=one.text("xml", "").encode()) for one in Reader(raw).list("invoices")
    )
    return replace(toy.to_state({**raw, "invoices": []}, settings), dispatches=tuple(parcels), invoices=invoices)


HERE = "tests.monitoring.mending"
SHOP = replace(
    toy.SHOP,
    adapter=f"{HERE}:ShopAdapter",
    mapping=f"{HERE}:to_order",
    capabilities=toy.SHOP.capabilities | {Capability.SEND_DISPATCH},
)
ERP = replace(toy.ERP, adapter=f"{HERE}:ErpAdapter", mapping=f"{HERE}:to_state")


class Toys(toy.Toys):
    shop: Shop
    erp: Erp

    def run(self) -> None:
        self.poll()
        self.drain()

    def sell(self, number: str = "1", **changes: Any) -> Order:
        """A sale that is announced and taken as far as it goes."""
        whole = {"document": DOCUMENT, "street": STREET, "city": "Recife", "state": "PE", "postal_code": "50030230"}
        self.shop.place(number, **{**whole, **changes})
        self.run()
        return Order.objects.get(external_id=number)

    def erp_says(self, **facts: Any) -> None:
        """What the ERP tells of its only order from now on, read at once."""
        link = Link.objects.get()
        self.erp.orders[link.external_id].update(facts)
        actions.fetch_one(self.books, link.external_id, "")
        self.drain()


def toys() -> AbstractContextManager[Toys]:
    return toy.running(Toys, (SHOP, ERP), Shop(), Erp())
