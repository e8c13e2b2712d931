"""Orders as rows of a file, whichever way it is asked for."""

from typing import Any

from django.db.models import Prefetch, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connectors.models import Link
from orders.models import Invoice, Order, Shipment

COLUMNS = (
    gettext_lazy("Order"),
    gettext_lazy("Channel"),
    gettext_lazy("Status"),
    gettext_lazy("Held"),
    gettext_lazy("Placed"),
    gettext_lazy("Approved"),
    gettext_lazy("Ship by"),
    gettext_lazy("Shipped"),
    gettext_lazy("Number in the ERP"),
    gettext_lazy("Invoice"),
    gettext_lazy("Access key"),
    gettext_lazy("Tracking code"),
    gettext_lazy("Buyer"),
    "CPF/CNPJ",
    gettext_lazy("City"),
    "UF",
    gettext_lazy("Items"),
    gettext_lazy("Discount"),
    gettext_lazy("Freight"),
    gettext_lazy("Total"),
    gettext_lazy("Currency"),
)

AMOUNTS = (gettext_lazy("Items"), gettext_lazy("Discount"), gettext_lazy("Freight"), gettext_lazy("Total"))


def with_parts(rows: QuerySet[Order]) -> QuerySet[Order]:
    """Only what is shown: an invoice's XML would come along otherwise."""
    parts = (
        Prefetch("links", Link.objects.filter(cancelled=False).only("order_id", "number", "external_id")),
        Prefetch("invoices", Invoice.objects.filter(cancelled=False).only("order_id", "number", "key")),
        Prefetch("shipments", Shipment.objects.exclude(tracking_code="").only("order_id", "tracking_code")),
    )
    wide = ("ship_to", "bill_to", "search", "notes", "holds", "released_holds", "unknown", "tags")
    return rows.select_related("channel").defer(*wide).prefetch_related(*parts)


def hidden(*, sees_buyer: bool, sees_money: bool) -> frozenset[int]:
    """The places of the columns that stay empty for such a person."""
    names = [] if sees_buyer else ["CPF/CNPJ"]
    names += [] if sees_money else [str(column) for column in AMOUNTS]
    return frozenset(number for number, column in enumerate(COLUMNS) if str(column) in names)


def values(order: Order) -> list[Any]:
    invoices = order.invoices.all()
    codes = {shipment.tracking_code for shipment in order.shipments.all()}
    return [
        order.external_id,
        order.channel.name,
        order.get_status_display(),
        _("yes") if order.held else "",
        order.placed_at,
        order.approved_at,
        order.ship_by,
        order.shipped_at,
        ", ".join(str(link) for link in order.links.all()),
        ", ".join(invoice.number for invoice in invoices),
        ", ".join(invoice.key for invoice in invoices),
        ", ".join(sorted(codes)),
        order.buyer_name,
        str(order.buyer.get("document", "")),
        order.city,
        order.state,
        order.items_total,
        order.discount,
        order.freight,
        order.total,
        order.currency,
    ]
