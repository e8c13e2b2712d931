"""What each side says of a sale, in the one form that findings keep, pages show and comparisons read.

A side is {"number", "status", "raw_status", "total", "at", …}, all texts, money with a point; absent where the side
has nothing. Nothing in it changes from one reading to the next unless the side says something else.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from connectors.models import Link
from monitoring.models import Listed
from orders.documents import OrderDocument
from orders.lifecycle import derive
from orders.models import Order
from orders.vocabulary import OrderStatus

T = TypeVar("T")
Side = dict[str, Any]
# Of an order, what a comparison reads: a day has thousands, and an order has columns that are far wider.
COLUMNS = (
    "external_id", "seller_id", "channel_id", "status", "raw_status", "held", "total", "subsidy", "freight",
    "placed_at", "approved_at", "exported_at", "cancelled_at", "created_at", "buyer", "buyer_name",
)  # fmt: skip
# Values in one statement. Sub-queries would be fewer, but a planner without statistics of a new day gets them wrong.
CHUNK = 2000
# Less than this is a rounding of somebody's.
TOLERANCE = Decimal("0.05")
# How far each status is; invoicing is nothing that a channel's list would know of.
STEPS: Mapping[str, int] = {
    OrderStatus.PENDING: 0,
    OrderStatus.APPROVED: 1,
    OrderStatus.INVOICED: 1,
    OrderStatus.SHIPPED: 2,
    OrderStatus.DELIVERED: 3,
    OrderStatus.RETURNED: 3,
}


@dataclass(frozen=True)
class Sale:
    """A sale as its channel lists it, put together from its parts."""

    external_id: str
    parts: tuple[Listed, ...]

    @property
    def ids(self) -> set[str]:
        return {self.external_id, *(part.key for part in self.parts)}

    @property
    def status(self) -> str:
        """The least of what its parts say; nothing where one says nothing. Cancelled parts are not left to ship."""
        said = [part.status for part in self.parts]
        alive = [status for status in said if status != OrderStatus.CANCELLED]
        if not alive:
            return OrderStatus.CANCELLED.value
        return min(alive, key=lambda status: STEPS.get(status, 0)) if all(alive) else ""

    @property
    def total(self) -> Decimal | None:
        """Only where no part was cancelled: channels disagree whether such a part is still in the total."""
        totals = [part.total for part in self.parts if part.total is not None and not part.cancelled]
        return sum(totals, Decimal(0)) if len(totals) == len(self.parts) else None

    @property
    def freight_apart(self) -> bool:
        return all(part.freight_apart for part in self.parts)


def of_sale(sale: Sale) -> Side:
    placed = min((part.at for part in sale.parts if part.at), default=None)
    return {
        "number": sale.external_id,
        "status": sale.status,
        "raw_status": " ".join(dict.fromkeys(part.raw_status for part in sale.parts)),
        "total": money(sale.total),
        "freight_apart": sale.freight_apart,
        "at": placed.isoformat() if placed else "",
    }


def of_document(document: OrderDocument) -> Side:
    """The channel's side of a fresh read."""
    return {
        "number": document.external_id,
        "status": derive(document.milestones).value,
        "raw_status": document.raw_status,
        "total": money(document.totals.total),
        "freight_apart": False,
        "at": document.placed_at.isoformat(),
    }


def of_order(order: Order) -> Side:
    return {
        "number": order.external_id,
        "status": order.status,
        "raw_status": order.raw_status,
        "total": money(order.total),
        "erp_total": money(order.erp_total),
        "at": order.placed_at.isoformat(),
    }


def of_listed(row: Listed, link: Link | None = None) -> Side:
    """The ERP's side; `linked`: it is the one that the hub holds for this sale."""
    return {
        "id": row.key,
        "number": row.number or row.key,
        "status": row.status,
        "raw_status": row.raw_status,
        "total": money(row.total),
        "at": row.at.isoformat() if row.at else (row.day.isoformat() if row.day else ""),
        "buyer": row.buyer,
        "reference": row.reference,
        "linked": link is not None and link.external_id == row.key,
    }


def of_link(link: Link) -> Side:
    """The ERP's side of a fresh read."""
    return {
        "id": link.external_id,
        "number": str(link),
        "status": "cancelled" if link.cancelled else "",
        "raw_status": link.raw_status,
        "total": money(link.total),
        "at": link.created_at.isoformat(),
        "buyer": "",
        "reference": "",
        "linked": True,
    }


def money(amount: Decimal | None) -> str:
    return "" if amount is None else f"{amount:.2f}"


def amount(side: Mapping[str, Any], name: str = "total") -> Decimal | None:
    return Decimal(side[name]) if side.get(name) else None


def chunks(values: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    waiting = list(values)
    for start in range(0, len(waiting), size):
        yield waiting[start : start + size]


def together(*, channel: Side | None = None, hub: Side | None = None, erp: Sequence[Side] = ()) -> dict[str, Any]:
    return {"channel": channel, "hub": hub, "erp": list(erp)}


# --- What differs --------------------------------------------------------------------------------------------------


def status_differs(channel: Side, order: Order) -> bool:
    """The hub may be ahead of a channel that has not heard yet; being behind, or the other way about, is a difference.

    What the hub itself told the channel comes back as what the hub knows already.
    """
    status = channel["status"]
    if not status:
        return False
    if OrderStatus.CANCELLED in (status, order.status):
        known = order.cancelled_at is not None or order.status == OrderStatus.RETURNED
        return (status == OrderStatus.CANCELLED) != known
    paid = STEPS[OrderStatus.APPROVED]
    ahead, behind = STEPS.get(status, 0), STEPS.get(order.status, 0)
    return ahead > behind or (ahead < paid <= behind and order.cancelled_at is None)


def total_differs(channel: Side, order: Order) -> bool:
    total = amount(channel)
    if total is None or OrderStatus.CANCELLED in (channel["status"], order.status):
        return False
    fitting = [order.total, order.total - order.freight] if channel["freight_apart"] else [order.total]
    return all(abs(total - one) > TOLERANCE for one in fitting)


def erp_status_differs(erp: Side, order: Order) -> bool:
    return (erp["status"] == "cancelled") != (order.status == OrderStatus.CANCELLED)


def erp_total_differs(erp: Side, order: Order, *, shortened: bool) -> bool:
    """`shortened`: lines were cancelled since, which has its own way to a person (`change_erp`)."""
    total = amount(erp)
    if total is None or shortened or erp["status"] == "cancelled" or order.status == OrderStatus.CANCELLED:
        return False
    return abs(total - order.erp_total) > TOLERANCE
