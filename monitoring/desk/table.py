"""Orders as rows of a file: the columns that the list has, in the detail that a spreadsheet wants."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Prefetch, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connectors.models import Link
from hub.tenancy import Permission
from monitoring.desk import columns, reasons
from monitoring.pages import words
from monitoring.templatetags.hub import quantity
from orders import tags
from orders.models import Invoice, Order, OrderItem, Shipment


@dataclass(frozen=True)
class Column:
    """`of`: the column of the list it belongs to; empty: it is always there. `needs`: who may not, finds it empty."""

    of: str
    title: Any
    value: Callable[[Order], Any]
    needs: Permission | None = None


def _score(order: Order) -> str:
    place: reasons.Place | None = order.place  # type: ignore[attr-defined]
    return str(place.score) if place else ""


def _codes(order: Order) -> set[str]:
    return {parcel.tracking_code for parcel in order.shipments.all() if parcel.tracking_code}


def _carriers(order: Order) -> set[str]:
    return {parcel.carrier for parcel in order.shipments.all() if parcel.carrier}


def _joined(texts: Iterable[Any]) -> str:
    return ", ".join(map(str, texts))


COLUMNS = (
    Column("", gettext_lazy("Order"), lambda order: order.external_id),
    Column("", gettext_lazy("Channel"), lambda order: order.channel.name),
    Column("priority", gettext_lazy("Priority"), _score),
    Column("status", gettext_lazy("Status"), lambda order: order.get_status_display()),
    Column("status", gettext_lazy("Held"), lambda order: _("yes") if order.held else ""),
    Column("", gettext_lazy("Placed"), lambda order: order.placed_at),
    Column("status", gettext_lazy("Approved"), lambda order: order.approved_at),
    Column("ship_by", gettext_lazy("Ship by"), lambda order: order.ship_by),
    Column("status", gettext_lazy("Shipped"), lambda order: order.shipped_at),
    Column("erp", gettext_lazy("Number in the ERP"), lambda order: _joined(order.links.all())),
    Column("erp", gettext_lazy("Invoice"), lambda order: _joined(one.number for one in order.invoices.all())),
    Column("erp", gettext_lazy("Access key"), lambda order: _joined(one.key for one in order.invoices.all())),
    Column("status", gettext_lazy("Tracking code"), lambda order: _joined(sorted(_codes(order)))),
    Column("carrier", gettext_lazy("Carrier"), lambda order: _joined(sorted(_carriers(order)))),
    Column("logistics", gettext_lazy("Logistics"), lambda order: order.get_logistics_display()),
    Column("buyer", gettext_lazy("Buyer"), lambda order: order.buyer_name),
    Column("buyer", "CPF/CNPJ", lambda order: str(order.buyer.get("document", "")), Permission.BUYER),
    Column("buyer", gettext_lazy("City"), lambda order: order.city),
    Column("buyer", "UF", lambda order: order.state),
    Column(
        "items",
        gettext_lazy("Products"),
        lambda order: _joined(f"{quantity(item.left)} × {item.sku or item.title}" for item in order.items.all()),
    ),
    Column("payment", gettext_lazy("Payment"), lambda order: order.get_payment_status_display()),
    Column("tags", gettext_lazy("Tags"), lambda order: _joined(tags.label(tag) for tag in order.tags)),
    Column("assignee", gettext_lazy("Responsible"), lambda order: words.person(order.assignee)),
    Column("total", gettext_lazy("Items"), lambda order: order.items_total, Permission.MONEY),
    Column("total", gettext_lazy("Discount"), lambda order: order.discount, Permission.MONEY),
    Column("total", gettext_lazy("Freight"), lambda order: order.freight, Permission.MONEY),
    Column("total", gettext_lazy("Total"), lambda order: order.total, Permission.MONEY),
    Column("total", gettext_lazy("Currency"), lambda order: order.currency),
)


def chosen(shown: Collection[str] = columns.USUAL) -> list[Column]:
    """For these columns of the list."""
    return [column for column in COLUMNS if not column.of or column.of in shown]


def read(
    rows: QuerySet[Order], ids: Sequence[int], shown: Collection[str], hidden: Collection[Permission]
) -> list[list[Any]]:
    """Those of the rows with these keys, in the order of the keys."""
    wanted = chosen(shown)
    found = {order.pk: order for order in _with_parts(rows.filter(pk__in=ids), shown)}
    places = reasons.places(list(found.values()), timezone.now()) if "priority" in shown else {}
    for order in found.values():
        order.place = places.get(order.pk)  # type: ignore[attr-defined]
    return [
        ["" if column.needs in hidden else column.value(found[pk]) for column in wanted] for pk in ids if pk in found
    ]


def _with_parts(rows: QuerySet[Order], shown: Collection[str]) -> QuerySet[Order]:
    """Only what is shown: an invoice's XML would come along otherwise."""
    parts = [
        Prefetch("links", Link.objects.filter(cancelled=False).only("order_id", "number", "external_id")),
        Prefetch("invoices", Invoice.objects.filter(Invoice.IN_FORCE).only("order_id", "number", "key")),
        Prefetch("shipments", Shipment.objects.only("order_id", "tracking_code", "carrier")),
    ]
    if "items" in shown:
        parts.append(Prefetch("items", OrderItem.objects.order_by("pk")))
    wide = ("ship_to", "bill_to", "search", "notes", "holds", "released_holds", "unknown")
    named = ("seller", "channel", "assignee") if "assignee" in shown else ("seller", "channel")
    return rows.select_related(*named).defer(*wide).prefetch_related(*parts)
