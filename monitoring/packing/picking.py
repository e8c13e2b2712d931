"""What to take from the shelves for some orders: by SKU for who picks, by order for who packs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from django.db.models import F, Prefetch, Q, QuerySet

from orders.models import Invoice, Order, OrderItem, Shipment
from orders.vocabulary import Logistics, OrderStatus

# Of one list: more is no round for one person, and no page.
MOST = 200
TO_DISPATCH = (OrderStatus.APPROVED, OrderStatus.INVOICED)


@dataclass
class Pick:
    """One product: how many in all, and how many of them for which order."""

    sku: str
    title: str
    quantity: Decimal = Decimal(0)
    orders: dict[Order, Decimal] = field(default_factory=dict)
    # One of its lines that has a picture.
    pictured: OrderItem | None = None


@dataclass(frozen=True)
class Box:
    """One order as it is packed: its lines that are left to deliver."""

    order: Order
    lines: Sequence[OrderItem]

    @property
    def pieces(self) -> Decimal:
        return sum((line.left for line in self.lines), Decimal(0))


# Paid, not held, not gone, and packed by the seller.
WAITING = Q(status__in=TO_DISPATCH, held=False) & ~Q(logistics__in=(Logistics.FULFILLED, Logistics.NONE))


def to_dispatch(orders: QuerySet[Order]) -> QuerySet[Order]:
    """Nearest cut-off first."""
    return orders.filter(WAITING).order_by(F("ship_by").asc(nulls_last=True), "placed_at", "pk")


def with_parts(orders: QuerySet[Order]) -> QuerySet[Order]:
    """With all that our papers show, in a fixed number of statements; no invoice's XML."""
    return orders.select_related("seller", "channel__connection").prefetch_related(
        Prefetch("items", OrderItem.objects.order_by("pk")),
        Prefetch(
            "invoices", Invoice.objects.filter(Invoice.IN_FORCE).defer("sealed_xml").order_by("-issued_at", "-pk")
        ),
        Prefetch("shipments", Shipment.objects.order_by("pk")),
    )


def boxes(orders: Iterable[Order]) -> list[Box]:
    """Orders with nothing left to deliver are left out."""
    found = [Box(order, [item for item in order.items.all() if item.left]) for order in orders]
    return [box for box in found if box.lines]


def picks(packed: Iterable[Box]) -> list[Pick]:
    """By SKU, where there is none by title; two sellers' shelves are not one."""
    found: dict[tuple[int, str], Pick] = {}
    for box in packed:
        for line in box.lines:
            sku = line.erp_sku or line.sku
            pick = found.setdefault((box.order.seller_id, sku or line.title), Pick(sku, line.title))
            pick.quantity += line.left
            pick.pictured = pick.pictured or (line if line.image_url else None)
            pick.orders[box.order] = pick.orders.get(box.order, Decimal(0)) + line.left
    return sorted(found.values(), key=lambda pick: (pick.sku or pick.title).lower())
