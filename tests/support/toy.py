"""A channel and an ERP of a few lines each, for tests of the core: what it promises must hold for any service."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar
from unittest.mock import patch

from connectors import registry
from connectors.contract import (
    Account,
    Announcement,
    Capability,
    CensusPage,
    Change,
    Cursor,
    ErpOrder,
    ListedSale,
    Outcome,
    Page,
    PushRequest,
    Receipt,
    Reference,
    Role,
    SaleState,
    Service,
    ShipmentRef,
    Window,
)
from connectors.failures import Refusal
from connectors.http import Client
from connectors.models import Connection
from connectors.reading import Reader
from connectors.simulation.server import Request, Response, Simulator, SimulatorServer, route
from hub.models import Seller
from orders.documents import ZERO, Address, Buyer, InvoiceDocument, Item, Milestones, OrderDocument, Totals

SHOP = Service(
    "toy_shop", Role.CHANNEL, "Toy shop", "tests.support.toy:ShopAdapter", "tests.support.toy:to_order",
    capabilities=frozenset(
        {Capability.CHANGES, Capability.FETCH, Capability.CENSUS, Capability.PUSH, Capability.SEND_INVOICE}
    ),
    hosts={"api": "https://shop.example"}, poll_seconds=3600, settle_seconds=0.1,
    redact=frozenset({"buyer"}),
)  # fmt: skip
ERP = Service(
    "toy_erp", Role.ERP, "Toy ERP", "tests.support.toy:ErpAdapter", "tests.support.toy:to_state",
    capabilities=frozenset(
        {
            Capability.FIND, Capability.CREATE, Capability.CANCEL, Capability.CHANGES, Capability.FETCH,
            Capability.CENSUS,
        }
    ),
    hosts={"api": "https://erp.example"}, poll_seconds=3600, settle_seconds=0.1,
    redact=frozenset({"buyer"}),
)  # fmt: skip


PAGE = 20


def _page_of(rows: list[dict[str, Any]], request: Request) -> Response:
    start = int(request.param("from", "0"))
    return Response(body={"orders": rows[start : start + PAGE]})


class ToyShop(Simulator):
    kind = "toy_shop"

    def __init__(self) -> None:
        super().__init__()
        self.orders: dict[str, dict[str, Any]] = {}
        self.invoices: dict[str, str] = {}
        # Sales that no poll and no push tells of: only a census lists them.
        self.untold: set[str] = set()

    def place(self, number: str, **changes: Any) -> dict[str, Any]:
        order = {
            "id": number, "version": 1, "status": "paid", "sku": "MUG", "quantity": 1, "price": "10.00",
            "total": "10.00", "placed": "2026-11-20T10:00:00Z", **changes,
        }  # fmt: skip
        self.orders[number] = order
        return order

    @route("GET", "/orders")
    def list(self, request: Request) -> Response:
        return Response(body={"orders": [one for number, one in self.orders.items() if number not in self.untold]})

    @route("GET", "/census")
    def census(self, request: Request) -> Response:
        return _page_of([*self.orders.values()], request)

    @route("GET", "/orders/{id}")
    def one(self, request: Request) -> Response:
        found = self.orders.get(request.args["id"])
        return Response(body=found) if found else Response(404, {"message": "no such order"})

    @route("PUT", "/orders/{id}/invoice")
    def invoice(self, request: Request) -> Response:
        self.invoices[request.args["id"]] = request.json()["key"]
        return Response(body={})


class ToyErp(Simulator):
    kind = "toy_erp"

    def __init__(self) -> None:
        super().__init__()
        self.ids = itertools.count(1)
        self.orders: dict[str, dict[str, Any]] = {}

    @route("POST", "/orders")
    def create(self, request: Request) -> Response:
        body = request.json()
        if body["sku"] == "GONE":
            return Response(422, {"error": "unknown_sku", "message": f"SKU {body['sku']} is unknown"})
        return Response(201, self.type(**body))

    def type(self, **body: Any) -> dict[str, Any]:
        """An order as the hub, or somebody at the keyboard, enters it."""
        number = str(next(self.ids))
        self.orders[number] = {"id": number, "key": "", "created": datetime.now(UTC).isoformat(), **body}
        return self.orders[number]

    @route("GET", "/census")
    def census(self, request: Request) -> Response:
        return _page_of([*self.orders.values()], request)

    @route("GET", "/orders")
    def find(self, request: Request) -> Response:
        wanted = request.param("key")
        return Response(body={"orders": [one for one in self.orders.values() if one["key"] == wanted]})

    @route("GET", "/orders/{id}")
    def one(self, request: Request) -> Response:
        return Response(body=self.orders[request.args["id"]])

    @route("PUT", "/orders/{id}/cancel")
    def cancel(self, request: Request) -> Response:
        self.orders[request.args["id"]]["cancelled"] = True
        return Response(body={})


class ShopAdapter:
    def __init__(self, account: Account, http: Client) -> None:
        self.http = http

    def changes(self, cursor: Cursor, window: Window | None = None) -> Page:
        orders = self.http.get("/orders", operation="list").reader()
        found = [
            Change(one.text("id"), json.dumps(dict(one.raw), default=str).encode(), True)
            for one in orders.list("orders")
        ]
        return Page(found, {"seen": len(found)})

    def census(self, cursor: Cursor, window: Window) -> CensusPage:
        start = int(cursor.get("from", 0))
        orders = self.http.get("/census", operation="census", params={"from": start}).reader()
        rows = [_listed_sale(one) for one in orders.list("orders")]
        return CensusPage(rows, {"from": start + PAGE}, more=len(rows) == PAGE)

    def fetch(self, external_id: str, hint: bytes = b"", last: bytes = b"") -> bytes:
        answer = self.http.get(f"/orders/{external_id}", operation="get")
        answer.reader()
        return answer.content

    def read_push(self, request: PushRequest) -> Sequence[Announcement]:
        body = Reader(json.loads(request.body))
        return [Announcement(body.text("id"), event_id=body.text("event", ""))]

    def send_invoice(self, order: OrderDocument, invoice: InvoiceDocument, shipment: ShipmentRef) -> Receipt:
        self.http.put(f"/orders/{order.external_id}/invoice", operation="invoice", json={"key": invoice.key})
        return Receipt(Outcome.ACCEPTED)


class ErpAdapter:
    def __init__(self, account: Account, http: Client) -> None:
        self.http = http

    def find(self, reference: Reference) -> Sequence[ErpOrder]:
        found = self.http.get("/orders", operation="find", params={"key": reference.hub_key}).reader()
        return [
            ErpOrder(one.text("id"), one.text("id"), one.text("reference"), cancelled=one.flag("cancelled"))
            for one in found.list("orders")
        ]

    def create(self, order: OrderDocument, reference: Reference) -> ErpOrder:
        body = {
            "reference": reference.number, "key": reference.hub_key, "sku": order.items[0].sku,
            "total": str(order.totals.total), "buyer": order.buyer.name, "document": order.buyer.document,
        }  # fmt: skip
        made = self.http.post("/orders", operation="create", json=body).reader()
        return ErpOrder(made.text("id"), made.text("id"), reference.number)

    def cancel(self, external_id: str) -> Receipt:
        self.http.put(f"/orders/{external_id}/cancel", operation="cancel")
        return Receipt(Outcome.ACCEPTED)

    def changes(self, cursor: Cursor, window: Window | None = None) -> Page:
        return Page([], cursor)

    def census(self, cursor: Cursor, window: Window) -> CensusPage:
        start = int(cursor.get("from", 0))
        orders = self.http.get("/census", operation="census", params={"from": start}).reader()
        rows = [_listed_order(one) for one in orders.list("orders")]
        return CensusPage(rows, {"from": start + PAGE}, more=len(rows) == PAGE)

    def fetch(self, external_id: str, hint: bytes = b"") -> bytes:
        return self.http.get(f"/orders/{external_id}", operation="get").content


def _listed_sale(one: Reader) -> ListedSale:
    number, words = one.text("id"), {"paid": "approved", "waiting": "pending", "cancelled": "cancelled"}
    return ListedSale(
        number, number, one.when("placed"), one.word("status", words, ""), one.text("status"), one.number("total")
    )


def _listed_order(one: Reader) -> ErpOrder:
    return ErpOrder(
        one.text("id"),
        one.text("id"),
        one.text("reference", ""),
        one.text("key", ""),
        one.flag("cancelled"),
        one.number("total", ZERO) or None,
        buyer=one.text("buyer", ""),
        document=one.text("document", ""),
        dated=one.when("created").date(),
        created_at=one.when("created"),
    )


def to_order(raw: Mapping[str, Any], settings: Mapping[str, Any]) -> OrderDocument:
    order = Reader(raw)
    if order.text("id") == "crash":
        raise ZeroDivisionError("a bug of ours")
    placed, price, lines = order.when("placed"), order.number("price"), order.integer("lines", 1)
    sku, quantity = order.text("sku"), order.number("quantity")
    status = order.word("status", {"paid": "paid", "waiting": "", "cancelled": "cancelled"}, "")
    return OrderDocument(
        external_id=order.text("id"),
        updated_at=placed.replace(microsecond=order.integer("version")),
        placed_at=placed,
        raw_status=order.text("status"),
        milestones=Milestones(
            approved_at=placed if status == "paid" else None,
            cancelled_at=placed if status == "cancelled" else None,
        ),
        buyer=Buyer(
            name=order.text("buyer", "Fulana de Exemplo"),
            document=order.text("document", ""),
            email=order.text("email", ""),
            phone=order.text("phone", ""),
        ),
        ship_to=Address(state=order.text("uf")) if order.has("uf") else None,
        currency=order.text("currency", "BRL"),
        items=tuple(
            Item(
                external_id=str(place),
                sku=sku,
                quantity=quantity,
                unit_price=price,
                cancelled=order.number("gone", ZERO),
            )
            for place in range(lines)
        ),
        totals=Totals(items=price * quantity * lines, total=order.number("total")),
        unknown=tuple(order.unknown),
    )


def to_state(raw: Mapping[str, Any], settings: Mapping[str, Any]) -> SaleState:
    order = Reader(raw)
    invoices = tuple(InvoiceDocument(key=one.text("key")) for one in order.list("invoices"))
    if not order.has("id"):
        raise Refusal("is missing", path="$.id")
    return SaleState(
        order.text("id"),
        order.text("reference", ""),
        order.text("key", ""),
        cancelled=order.flag("cancelled"),
        total=order.number("total", ZERO) or None,
        invoices=invoices,
    )


class Toys:
    """A seller with a shop and an ERP, connected."""

    def __init__(self, shop: SimulatorServer, erp: SimulatorServer) -> None:
        from connectors import actions

        self.shop_server, self.erp_server = shop, erp
        self.shop: ToyShop = shop.simulator  # type: ignore[assignment]
        self.erp: ToyErp = erp.simulator  # type: ignore[assignment]
        self.seller = Seller.objects.create(name="Toys", slug="toys")
        self.channel = actions.connect(
            self.seller, "toy_shop", "Shop", {"hosts": {"api": shop.url}}, {"api_key": "k" * 12}
        )
        self.books = actions.connect(self.seller, "toy_erp", "ERP", {"hosts": {"api": erp.url}}, {"api_key": "k" * 12})

    def poll(self, connection: Connection | None = None) -> int:
        from connectors import polling

        chosen = connection or self.channel
        Connection.objects.filter(pk=chosen.pk).update(next_poll_at=chosen.created_at, rest_until=None)
        return polling.poll(chosen.pk, lambda: False)

    def drain(self, connection: Connection | None = None) -> None:
        from connectors import operations, work

        for chosen in [connection] if connection else [self.channel, self.books, self.channel]:
            chosen.refresh_from_db()
            while work.drain(chosen, operations.OPERATIONS, operations.refused, lambda: False):
                pass


T = TypeVar("T", bound=Toys)


@contextmanager
def running(made: type[T], services: Iterable[Service], shop: Simulator, erp: Simulator) -> Iterator[T]:
    """A kind of `Toys` with simulators and services of its own."""
    known = {service.kind: service for service in services}
    with (
        patch.object(registry, "services", lambda: known),
        SimulatorServer(shop) as shop_server,
        SimulatorServer(erp) as erp_server,
    ):
        yield made(shop_server, erp_server)


def toys() -> AbstractContextManager[Toys]:
    return running(Toys, (SHOP, ERP), ToyShop(), ToyErp())
