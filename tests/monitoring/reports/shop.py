"""The toys with parcels and promises, an ERP that learns its products, and a channel that may turn a deaf ear."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import time_machine
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from connectors import actions
from connectors.contract import Capability, Outcome, Receipt, SaleState, ShipmentRef
from connectors.models import Budget, Connection, Job, Link
from connectors.reading import Reader
from connectors.simulation.server import Request, Response, SimulatorServer, route
from hub.models import Membership
from monitoring.reports.base import REPORTS, Action, Row, Scope
from orders.documents import DispatchDocument, OrderDocument, Shipment
from orders.models import Order
from orders.vocabulary import ShipmentStatus
from tests.monitoring.world import browser_of
from tests.support import toy

# A Wednesday, nine o'clock in São Paulo.
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
KEY = "35261111222333000181550010000123451876543211"


def iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


class Shop(toy.ToyShop):
    """`deaf`: it accepts nothing that it is told. `dispatched`: what it was told of parcels."""

    def __init__(self) -> None:
        super().__init__()
        self.deaf = False
        self.dispatched: dict[str, str] = {}

    def place(self, number: str, **changes: Any) -> dict[str, Any]:
        return super().place(number, **{"placed": iso(NOW), **changes})

    @route("PUT", "/orders/{id}/invoice")
    def invoice(self, request: Request) -> Response:
        return self._refusal() or super().invoice(request)

    @route("PUT", "/orders/{id}/dispatch")
    def dispatch(self, request: Request) -> Response:
        if not self.deaf:
            self.dispatched[request.args["id"]] = request.json()["code"]
        return self._refusal() or Response(body={})

    def _refusal(self) -> Response | None:
        return Response(422, {"message": "not now"}) if self.deaf else None


class Erp(toy.ToyErp):
    """`missing`: SKUs it has no product for."""

    def __init__(self) -> None:
        super().__init__()
        self.missing: set[str] = set()

    @route("POST", "/orders")
    def create(self, request: Request) -> Response:
        sku = request.json()["sku"]
        if sku in self.missing:
            return Response(422, {"error": "unknown_sku", "message": f"SKU {sku} is unknown"})
        return super().create(request)


class ShopAdapter(toy.ShopAdapter):
    def send_dispatch(self, order: OrderDocument, shipment: ShipmentRef) -> Receipt:
        body = {"code": shipment.tracking_code}
        self.http.put(f"/orders/{order.external_id}/dispatch", operation="dispatch", json=body)
        return Receipt(Outcome.ACCEPTED)


def to_order(raw: Mapping[str, Any], settings: Mapping[str, Any]) -> OrderDocument:
    order = Reader(raw)
    whole = toy.to_order(raw, settings)
    parcel = order.object("parcel") if order.has("parcel") else None
    return whole.model_copy(
        update={
            "ship_by": order.when("ship_by") if order.has("ship_by") else None,
            "deliver_by": order.when("deliver_by") if order.has("deliver_by") else None,
            "shipments": (_parcel(parcel),) if parcel else (),
            "milestones": _milestones(whole, parcel),
        }
    )


def _parcel(parcel: Reader) -> Shipment:
    return Shipment(
        external_id="p",
        status=ShipmentStatus(parcel.text("status")),
        exception=parcel.text("problem", ""),
        carrier=parcel.text("carrier", ""),
        shipped_at=parcel.when("shipped") if parcel.has("shipped") else None,
        delivered_at=parcel.when("delivered") if parcel.has("delivered") else None,
    )


def _milestones(whole: OrderDocument, parcel: Reader | None) -> Any:
    if parcel is None:
        return whole.milestones
    known = _parcel(parcel)
    returned = parcel.when("returned") if parcel.has("returned") else None
    news = {"shipped_at": known.shipped_at, "delivered_at": known.delivered_at, "returned_at": returned}
    return whole.milestones.model_copy(update=news)


def to_state(raw: Mapping[str, Any], settings: Mapping[str, Any]) -> SaleState:
    parcels = Reader(raw).list("dispatches")
    dispatches = tuple(
        DispatchDocument(
            external_id=one.text("id"),
            carrier=one.text("carrier", ""),
            tracking_code=one.text("id"),
            shipped_at=one.when("shipped"),
        )
        for one in parcels
    )
    return replace(toy.to_state(raw, settings), dispatches=dispatches)


HERE = "tests.monitoring.reports.shop"
SHOP = replace(
    toy.SHOP,
    adapter=f"{HERE}:ShopAdapter",
    mapping=f"{HERE}:to_order",
    capabilities=toy.SHOP.capabilities | {Capability.SEND_DISPATCH},
)
ERP = replace(toy.ERP, mapping=f"{HERE}:to_state")


class Toys(toy.Toys):
    shop: Shop
    erp: Erp

    def __init__(self, shop: SimulatorServer, erp: SimulatorServer) -> None:
        from tests.monitoring.world import person

        super().__init__(shop, erp)
        user = person("ana", None)
        Membership.objects.create(user=user, seller=self.seller, role=Membership.Role.OWNER)
        self.client: Client = browser_of(user)

    def run(self, *numbers: str, **changes: Any) -> None:
        """Places these orders; polls and drains to the end, as far as it goes."""
        for number in numbers:
            self.shop.place(number, **changes)
        self.poll()
        self.again()

    def again(self) -> None:
        """What waits for its next try is due now, whatever rests."""
        for _turn in range(3):
            Job.objects.filter(state__in=(Job.State.READY, Job.State.UNKNOWN)).update(due_at=timezone.now())
            Connection.objects.update(rest_until=None, throttled_until=None)
            Budget.objects.update(closed_until=0)
            self.drain()

    def push(self, number: str) -> None:
        """The shop announces a change."""
        path = reverse("push", args=["toy_shop", self.channel.push_key])
        answer = Client().post(path, json.dumps({"id": number}), content_type="application/json")
        assert answer.status_code < 300, answer.content

    def in_the_erp(self, number: str, **news: Any) -> None:
        """What the ERP's people do with an order, and the hub's next look at it."""
        link = Link.objects.get(order__external_id=number)
        self.erp.orders[link.external_id].update(news)
        actions.fetch_one(self.books, link.external_id, "ana")
        self.again()

    def change(self, number: str, **news: Any) -> None:
        """The shop's order changes; the hub hears of it."""
        order = self.shop.orders[number]
        order.update(news, version=order["version"] + 1)
        self.poll()
        self.again()

    def rows(self, name: str, later: timedelta = timedelta()) -> list[Row]:
        """The report's rows as they will stand then, if nothing moves; counts and rows agree."""
        scope = Scope((self.seller.pk,), timezone.now().replace(microsecond=0) + later)
        report = REPORTS[name]
        with translation.override("en"):
            rows = list(report.rows(scope, 100))
            by_case = [row for case in report.cases for row in report.rows(replace(scope, case=case), 100)]
        assert Counter(row.case for row in rows) == Counter(dict(report.counts(scope)))
        assert by_case == rows
        assert rows == sorted(rows, key=lambda row: list(report.cases).index(row.case))
        assert len({row.key for row in rows}) == len(rows)
        assert all(str(row.cause) and row.actions is not None for row in rows)
        assert (report.oldest(scope) is None) == (not rows)
        return rows

    def one(self, name: str, case: str, later: timedelta = timedelta()) -> Row:
        rows = self.rows(name, later)
        assert [row.case for row in rows] == [case]
        return rows[0]

    def press(self, row: Row, label: str, **fields: str) -> None:
        """The row's own button, through the page that it leads to."""
        action = action_of(row, label)
        answer = self.client.post(action.url, {**action.fields, **fields})
        assert answer.status_code == 302, answer.content
        self.again()


def action_of(row: Row, label: str) -> Action:
    found = [action for action in row.actions if str(action.label) == label]
    assert found, [str(action.label) for action in row.actions]
    return found[0]


def order_of(number: str) -> Order:
    return Order.objects.get(external_id=number)


@contextmanager
def toys() -> Iterator[Toys]:
    with time_machine.travel(NOW), toy.running(Toys, (SHOP, ERP), Shop(), Erp()) as started:
        yield started
