"""Which of the ERP's orders belong to which sale: by the hub's link, by our key, by the channel's number, and last by
who bought how much and when.

Traps: two channels may use one number; a person may split a pack into two orders; a buyer may really buy twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from django.db.models import Count, Model, QuerySet
from django.utils.crypto import salted_hmac

from connectors import sales
from connectors.models import Connection, Job, Link
from monitoring.models import Listed
from monitoring.reconciliation import facts
from monitoring.reconciliation.facts import TOLERANCE
from orders.models import Order, OrderReference

# An order that was entered twice was entered twice at once.
SAME_MINUTE = timedelta(seconds=60)
# Somebody types it from a printed list, some days later.
TYPED_WITHIN = timedelta(days=3)


UNDER_WAY = (Job.State.READY, Job.State.RUNNING)
M = TypeVar("M", bound=Model)


@dataclass
class Book:
    """The ERP's entries of some days and what the hub knows of them."""

    erp: Connection
    orders: Sequence[Order]
    rows: Mapping[str, Listed]
    links: Mapping[int, Link]
    exports: Mapping[int, Job]
    # Sales whose cancellation is on its way to the ERP, and those that another ERP has.
    cancelling: set[int | None]
    elsewhere: set[int]
    candidates: Mapping[int, Sequence[Listed]]

    def twins(self, order: Order) -> Sequence[Listed]:
        """The live entries that say they are this sale: one is as it should be. A pack that was split in two is one."""
        alive = self.candidates.get(order.pk, ())
        return alive if len(alive) < 2 or not _is_split(alive, order.erp_total) else alive[:1]


def _is_split(rows: Sequence[Listed], total: Decimal) -> bool:
    """Each holds a part of it, and together they are the whole."""
    parts = [row.total for row in rows if row.total is not None]
    if len(parts) < len(rows) or any(abs(part - total) <= TOLERANCE for part in parts):
        return False
    return abs(sum(parts, Decimal(0)) - total) <= TOLERANCE


def digest(document: str) -> str:
    """Good for telling whether two are the same, and for nothing else."""
    return salted_hmac("monitoring.reconciliation", document).hexdigest()[:16] if document else ""


def read(erp: Connection, placed: QuerySet[Order], first: date, last: date) -> Book:
    """`placed`: the sales in question, which were placed in these days."""
    orders = list(placed.select_related("seller").only("seller__time_zone", *facts.COLUMNS).order_by("placed_at", "pk"))
    ids = [order.pk for order in orders]
    links = _all(Link.objects.all(), "order", ids)
    mine = {link.order_id: link for link in links if link.connection_id == erp.pk}
    references = {one.value: one.order_id for one in _all(OrderReference.objects.all(), "order", ids)}
    rows = _rows(erp, references, [link.external_id for link in mine.values()], first, last)
    jobs = _all(Job.objects.filter(operation__in=("export", "cancel_erp")).defer("input"), "order", ids)
    exports = [job for job in jobs if job.operation == "export" and job.connection_id == erp.pk]
    return Book(
        erp=erp,
        orders=orders,
        rows=rows,
        links=mine,
        exports={job.order_id: job for job in exports if job.order_id},
        cancelling={job.order_id for job in jobs if job.operation == "cancel_erp" and job.state in UNDER_WAY},
        elsewhere={link.order_id for link in links if link.connection_id != erp.pk},
        candidates=_candidates(erp, rows, orders, mine, references),
    )


def _all(rows: QuerySet[M], name: str, values: Iterable[Any]) -> list[M]:
    return [row for some in facts.chunks(values) for row in rows.filter(**{f"{name}__in": some})]


def _rows(
    erp: Connection, references: Iterable[str], linked: Iterable[str], first: date, last: date
) -> dict[str, Listed]:
    """Everything the ERP lists of these days, and whatever else of it names one of these sales."""
    mine = Listed.objects.filter(connection=erp)
    rows = {row.key: row for row in mine.filter(day__gte=first - TYPED_WITHIN, day__lte=last + TYPED_WITHIN)}
    rows |= {row.key: row for row in _all(mine.exclude(reference=""), "reference", references)}
    return rows | {row.key: row for row in _all(mine, "key", [key for key in linked if key not in rows])}


def _candidates(
    erp: Connection,
    rows: Mapping[str, Listed],
    orders: Sequence[Order],
    links: Mapping[int, Link],
    references: Mapping[str, int],
) -> dict[int, list[Listed]]:
    """Order -> the live entries that are its own, the linked one first."""
    owners = {link.external_id: link.order_id for link in links.values()}
    others = _all(Link.objects.filter(connection=erp), "external_id", [key for key in rows if key not in owners])
    owners |= {link.external_id: link.order_id for link in others}
    by_key = {sales.hub_key(order): order.pk for order in orders}
    alive = sorted(
        (row for row in rows.values() if not row.cancelled),
        key=lambda row: (row.key not in owners, not row.hub_key, row.key),
    )
    holders = _holders(erp, {row.reference for row in alive if row.reference and row.key not in owners})
    found: dict[int, list[Listed]] = {}
    strangers: list[Listed] = []
    for row in alive:
        owner = owners.get(row.key) or by_key.get(row.hub_key)
        if owner is None and not row.hub_key and holders.get(row.reference, 0) == 1:
            owner = references.get(row.reference)
        if owner is not None:
            found.setdefault(owner, []).append(row)
        elif not row.hub_key and row.reference not in holders:
            strangers.append(row)
    _add_twins(found, strangers)
    _add_typed(found, strangers, orders, links)
    return found


def _holders(erp: Connection, values: set[str]) -> dict[str, int]:
    """How many of the seller's sales have this number. Of two channels' nobody can say which one is meant."""
    known = OrderReference.objects.filter(order__seller=erp.seller_id, value__in=values).order_by()
    return dict(known.values_list("value").annotate(Count("order", distinct=True)))


def _add_twins(found: dict[int, list[Listed]], strangers: list[Listed]) -> None:
    """An entry that names nobody, of the same buyer and total and in the same minute as one that is there."""
    by_total: dict[Decimal | None, list[Listed]] = {}
    for row in strangers:
        by_total.setdefault(row.total, []).append(row)
    for rows in found.values():
        for row in [one for one in by_total.get(rows[0].total, ()) if _is_twin(rows[0], one)]:
            rows.append(row)
            by_total[row.total].remove(row)
            strangers.remove(row)


def _add_typed(
    found: dict[int, list[Listed]], strangers: Sequence[Listed], orders: Sequence[Order], links: Mapping[int, Link]
) -> None:
    """Where nothing is there, an entry of the same buyer and total in these days is the sale, if there is but one of
    each."""
    lacking = [order for order in orders if order.pk not in found and order.pk not in links and not order.cancelled_at]
    pairs = [(order, row) for order in lacking for row in strangers if _fits(order, row)]
    for order, row in pairs:
        if [one for one in pairs if one[0] is order or one[1] is row] == [(order, row)]:
            found[order.pk] = [row]


def _is_twin(one: Listed, other: Listed) -> bool:
    if one.at is None or other.at is None or one.total is None or one.total != other.total:
        return False
    return abs(one.at - other.at) <= SAME_MINUTE and _same_buyer(one, other.document_digest, other.buyer)


def _fits(order: Order, row: Listed) -> bool:
    if row.total is None or row.day is None or abs(row.total - order.erp_total) > TOLERANCE:
        return False
    document = digest(str(order.buyer.get("document") or ""))
    near = -timedelta(days=1) <= row.day - order.placed_at.date() <= TYPED_WITHIN
    return near and _same_buyer(row, document, order.buyer_name)


def _same_buyer(row: Listed, document: str, name: str) -> bool:
    """By document where both have one."""
    if row.document_digest and document:
        return row.document_digest == document
    return bool(name) and " ".join(row.buyer.lower().split()) == " ".join(name.lower().split())
