"""Read access to orders for other programs: the same rows and filters as the list of orders.

`GET /api/orders/?status=…&q=…` -> {"next": address or null, "results": [order, …]}, newest first, 50 at a time.
`GET /api/orders/<id>/` -> one order with its lines, payments, shipments and invoices. Amounts are decimal strings in
the order's currency, times ISO 8601. Signed-in people see their own sellers' orders and nothing else.
"""

from typing import Any, TypeVar

from django.db.models import Model
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from hub.people import sight
from hub.tenancy import Permission
from monitoring.pages.orders import wanted
from monitoring.pages.shell import cover, one, sees
from orders.models import Invoice, Order, OrderItem, Payment, Shipment

PER_PAGE = 50
# Deeper than this nobody pages; a filter leads there sooner.
LAST_PAGE = 10_000
T = TypeVar("T", bound=Model)


# Left out for whom money is hidden from.
AMOUNTS = {
    "unit_price", "discount", "fee", "amount", "refunded", "items_total", "freight", "interest", "other", "subsidy",
    "total", "fees", "freight_cost", "difference",
}  # fmt: skip


class Fields(serializers.ModelSerializer[T]):
    def get_fields(self) -> Any:
        known = super().get_fields()
        if not sight.hides(Permission.MONEY):
            return known
        return {name: field for name, field in known.items() if name not in AMOUNTS}


class ItemFields(Fields[OrderItem]):
    class Meta:
        model = OrderItem
        fields = (
            "external_id", "order_reference", "sku", "title", "quantity", "unit_price", "discount", "fee", "gtin",
            "cancelled", "refunded", "returned",
        )  # fmt: skip


class PaymentFields(Fields[Payment]):
    class Meta:
        model = Payment
        fields = ("external_id", "method", "status", "raw_status", "amount", "refunded", "installments", "paid_at")


class ShipmentFields(Fields[Shipment]):
    class Meta:
        model = Shipment
        fields = (
            "source", "external_id", "status", "raw_status", "exception", "carrier", "service", "tracking_code",
            "tracking_url", "ship_by", "deliver_by", "shipped_at", "delivered_at", "answer",
        )  # fmt: skip


class InvoiceFields(Fields[Invoice]):
    class Meta:
        model = Invoice
        fields = ("key", "number", "series", "issued_at", "amount", "cancelled", "problem", "answer")


SUMMARY = (
    "id", "external_id", "seller", "channel", "channel_name", "channel_kind", "status", "raw_status",
    "payment_status", "logistics", "held", "holds", "placed_at", "approved_at", "exported_at", "invoiced_at",
    "shipped_at", "delivered_at", "cancelled_at", "returned_at", "ship_by", "deliver_by", "buyer_name", "city", "state",
    "currency", "items_total", "discount", "freight", "interest", "other", "subsidy", "total", "fees", "freight_cost",
    "difference", "changed_at",
)  # fmt: skip


class OrderSummary(Fields[Order]):
    channel_name = serializers.CharField(source="channel.name")
    channel_kind = serializers.CharField(source="channel.kind")

    class Meta:
        model = Order
        fields: tuple[str, ...] = SUMMARY


class OrderDetail(OrderSummary):
    references: Any = serializers.SlugRelatedField(many=True, read_only=True, slug_field="value")
    items = ItemFields(many=True)
    payments = PaymentFields(many=True)
    shipments = ShipmentFields(many=True)
    invoices = InvoiceFields(many=True)

    class Meta:
        model = Order
        fields: tuple[str, ...] = (
            *SUMMARY, "references", "buyer", "ship_to", "bill_to", "items", "payments", "shipments", "invoices",
            "unknown", "tags", "notes",
        )  # fmt: skip


class OrderList(APIView):
    def get(self, request: Request) -> Response:
        rows = wanted(request._request)
        page = _page(request.GET.get("page", ""))
        start = (page - 1) * PER_PAGE
        found = list(rows.select_related("channel")[start : start + PER_PAGE + 1])
        results: Any = OrderSummary(found[:PER_PAGE], many=True).data
        return Response({"next": _next(request, page) if len(found) > PER_PAGE else None, "results": results})


def _page(text: str) -> int:
    return min(max(int(text), 1), LAST_PAGE) if text.isdigit() else 1


def _next(request: Request, page: int) -> str:
    query = request.GET.copy()
    query["page"] = str(page + 1)
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")


class OneOrder(APIView):
    def get(self, request: Request, pk: int) -> Response:
        rows = Order.objects.select_related("channel").prefetch_related(
            "references", "items", "payments", "shipments", "invoices"
        )
        found = one(rows, request._request, pk)
        if not sees(request._request, Permission.BUYER, found.seller_id):
            cover(found)
        return Response(OrderDetail(found).data)
