"""The filtered list as a CSV file for a spreadsheet, sent while it is read: any number of orders, little memory."""

import csv
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any

from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connectors.models import Link
from hub.tenancy import Permission
from monitoring.pages.orders import wanted
from monitoring.pages.shell import page, sees_everywhere
from orders.models import Invoice, Order, Shipment

CHUNK = 500
# A spreadsheet runs what begins with one of these, even behind spaces, and buyers choose their names freely.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
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


@page
def export(request: HttpRequest) -> StreamingHttpResponse:
    rows = wanted(request)
    language = translation.get_language() or "pt-br"
    name = f"{_('orders')}-{timezone.localtime():%Y-%m-%d-%H%M}.csv"
    return StreamingHttpResponse(
        _lines(_read(rows), language, _hidden(request)),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"},
    )


def _read(rows: QuerySet[Order]) -> Iterator[Order]:
    return with_parts(rows).iterator(chunk_size=CHUNK)


def with_parts(rows: QuerySet[Order]) -> QuerySet[Order]:
    """Only what is shown: an invoice's XML would come along otherwise."""
    parts = (
        Prefetch("links", Link.objects.filter(cancelled=False).only("order_id", "number", "external_id")),
        Prefetch("invoices", Invoice.objects.filter(cancelled=False).only("order_id", "number", "key")),
        Prefetch("shipments", Shipment.objects.exclude(tracking_code="").only("order_id", "tracking_code")),
    )
    wide = ("ship_to", "bill_to", "search", "notes", "holds", "released_holds", "unknown", "tags")
    return rows.select_related("channel").defer(*wide).prefetch_related(*parts)


class Line:
    """What a csv writer writes into: gives each line back instead of keeping it."""

    def write(self, line: str) -> str:
        return line


def _hidden(request: HttpRequest) -> frozenset[int]:
    return hidden(
        sees_buyer=sees_everywhere(request, Permission.BUYER), sees_money=sees_everywhere(request, Permission.MONEY)
    )


def hidden(*, sees_buyer: bool, sees_money: bool) -> frozenset[int]:
    """The places of the columns that stay empty for such a person."""
    names = [] if sees_buyer else ["CPF/CNPJ"]
    names += [] if sees_money else [str(column) for column in AMOUNTS]
    return frozenset(number for number, column in enumerate(COLUMNS) if str(column) in names)


def _lines(orders: Iterable[Order], language: str, kept: frozenset[int] = frozenset()) -> Iterator[str]:
    """A chunk of lines at a time. The language is set anew for each: this runs after the view, when the request's is
    gone."""
    portuguese = language.startswith("pt")
    # Spreadsheets set to Portuguese take the comma for the decimal sign.
    writer = csv.writer(Line(), delimiter=";" if portuguese else ",")
    with translation.override(language):
        # Without the mark Excel reads UTF-8 as something else.
        yield "\ufeff" + writer.writerow([str(column) for column in COLUMNS])
    rest = iter(orders)
    while some := list(islice(rest, CHUNK)):
        with translation.override(language):
            lines = "".join(writer.writerow(_cells(values(order), portuguese, kept)) for order in some)
        yield lines


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


def _cells(values: list[Any], portuguese: bool, kept: frozenset[int]) -> list[str]:
    return ["" if place in kept else cell(value, portuguese) for place, value in enumerate(values)]


def cell(value: Any, portuguese: bool) -> str:
    if isinstance(value, datetime):
        return f"{timezone.localtime(value):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, Decimal):
        number = f"{value:.2f}" if value == round(value, 2) else f"{value.normalize():f}"
        return number.replace(".", ",") if portuguese else number
    if value is None:
        return ""
    return harmless(str(value))


def harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula: an apostrophe in front says that it is text."""
    return f"'{text}" if text.lstrip(" \u00a0").startswith(FORMULA) or text.startswith(FORMULA) else text
