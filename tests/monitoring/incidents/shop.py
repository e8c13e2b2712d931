"""The toys with an ERP that knows its products, can be told to refuse for a reason or to be away, and a channel whose
prices need a setting to be read.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.utils import timezone

from connectors import health
from connectors.contract import Capability, ErpOrder, Reference
from connectors.failures import Failure, Refusal
from connectors.models import Connection, Job
from connectors.simulation.server import Request, Response, route
from monitoring.incidents import gather
from monitoring.models import Incident
from orders.documents import OrderDocument
from tests.support import toy


class Erp(toy.ToyErp):
    """`missing`: SKUs it has no product for. `refused`: order numbers that it refuses for a reason of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.missing: set[str] = set()
        self.refused: set[str] = set()
        self.away = False
        self.signed_out = False

    @route("POST", "/orders")
    def create(self, request: Request) -> Response:
        body = request.json()
        if self.signed_out:
            return Response(401, {"message": "no"})
        if self.away:
            return Response(503, {"message": "down"})
        if body["sku"] in self.missing:
            return Response(422, {"error": "unknown_sku", "message": f"No product {body['sku']!r}"})
        if body["reference"] in self.refused:
            return Response(422, {"error": "closed", "message": "The period is closed"})
        number = str(next(self.ids))
        self.orders[number] = {"id": number, **body}
        return Response(201, self.orders[number])

    @route("GET", "/products")
    def products(self, request: Request) -> Response:
        if self.away:
            return Response(503, {"message": "down"})
        asked = request.param("skus").split(",")
        return Response(body={"products": [{"sku": sku, "id": sku} for sku in asked if sku not in self.missing]})


class ErpAdapter(toy.ErpAdapter):
    def create(self, order: OrderDocument, reference: Reference) -> ErpOrder:
        try:
            return super().create(order, reference)
        except Failure as failure:
            if failure.code != "unknown_sku":
                raise
            sku = order.items[0].sku
            # As a real connector says it.
            raise Refusal(
                f"Bling has no product with the code {sku!r}.", path="$.items[0].sku", code=failure.code
            ) from None

    def items(self, skus: Sequence[str]) -> Mapping[str, str]:
        found = self.http.get("/products", operation="items", params={"skus": ",".join(skus)}).reader()
        return {one.text("sku"): one.text("id") for one in found.list("products")}


def to_order(raw: Mapping[str, Any], settings: Mapping[str, Any]) -> OrderDocument:
    price = str(raw.get("price", ""))
    if "," in price and not settings.get("comma"):
        raise Refusal(f"is no number: {price!r}", path="$.price")
    plain = price.replace(",", ".")
    return toy.to_order({**raw, "price": plain, "total": plain}, settings)


HERE = "tests.monitoring.incidents.shop"
SHOP = replace(toy.SHOP, mapping=f"{HERE}:to_order")
ERP = replace(
    toy.ERP,
    adapter=f"{HERE}:ErpAdapter",
    capabilities=toy.ERP.capabilities | {Capability.ITEMS},
)


class Toys(toy.Toys):
    erp: Erp

    def place(self, numbers: Sequence[str], **changes: Any) -> None:
        for number in numbers:
            self.shop.place(number, **changes)

    def run(self) -> None:
        """Polled and drained to the end, as far as it goes."""
        self.poll()
        self.drain()

    def again(self) -> None:
        """What waits for its next try is due now, whatever rests."""
        Job.objects.filter(state__in=(Job.State.READY, Job.State.UNKNOWN)).update(due_at=timezone.now())
        Connection.objects.update(rest_until=None)
        self.drain()

    def again_until(self, reached: Callable[[], bool]) -> None:
        """How many turns that takes is the ledger's business."""
        for _turn in range(30):
            if reached():
                return
            self.again()
        raise AssertionError("it never came to that")

    def away(self) -> bool:
        """Whether the ERP's circuit is open."""
        self.books.refresh_from_db()
        return health.probing(self.books)

    def gather(self, now: datetime | None = None) -> list[Incident]:
        """The open incidents, those that hold up most first."""
        assert gather.gather(now)
        return list(Incident.objects.exclude(state=Incident.State.RESOLVED).order_by("-blocked", "pk"))


def toys() -> AbstractContextManager[Toys]:
    return toy.running(Toys, (SHOP, ERP), toy.ToyShop(), Erp())
