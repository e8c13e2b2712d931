"""What the ERP lists, against the orders that it should have."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.utils import timezone

from connectors import planning
from connectors.contract import Role
from connectors.ledger import Step
from connectors.models import Connection, Job, Link
from monitoring.models import DayCount, Finding, Listed
from monitoring.reconciliation import days as calendar
from monitoring.reconciliation import facts, findings, matching, repairs
from monitoring.reconciliation.channel_side import GRACE, NAMED
from monitoring.reconciliation.findings import Difference, Kind
from monitoring.reconciliation.matching import Book
from orders.models import Order, OrderItem
from orders.vocabulary import OrderStatus

KINDS = (
    Kind.MISSING_IN_ERP,
    Kind.DUPLICATED,
    Kind.STATUS_DIFFERS,
    Kind.TOTAL_DIFFERS,
    Kind.LINK_LOST,
    Kind.TYPED_BY_HAND,
)
WAITING = (Job.State.READY, Job.State.RUNNING, Job.State.UNKNOWN)


@dataclass
class Day:
    due: int = 0
    there: int = 0
    missing: list[str] = field(default_factory=list)


def compare(erp: Connection, first: date, last: date, listed_at: datetime | None = None) -> None:
    """Counts, for each channel whose orders go to this ERP, what is due there and what it has; finds what differs.
    `listed_at`: when the list was there; None where it has been counted before.
    """
    differences: list[Difference] = []
    for channel in Connection.objects.filter(seller=erp.seller, role=Role.CHANNEL).select_related("channel", "seller"):
        if planning.erp_of(channel) == erp:
            differences += _compare_channel(erp, channel, first, last, listed_at)
    repairs.by_itself(findings.record(erp, KINDS, first, last, differences))


def _compare_channel(
    erp: Connection, channel: Connection, first: date, last: date, listed_at: datetime | None
) -> list[Difference]:
    span = calendar.begins(channel.seller, first), calendar.begins(channel.seller, last + timedelta(days=1))
    placed = Order.objects.filter(channel=channel.channel_id, placed_at__gte=span[0], placed_at__lt=span[1])
    book = matching.read(erp, placed, first, last)
    orders = [order for order in book.orders if order.pk not in book.elsewhere]
    shortened = {
        pk
        for ids in facts.chunks(order.pk for order in orders)
        for pk in OrderItem.objects.filter(order__in=ids, cancelled__gt=0).values_list("order", flat=True)
    }
    found = [one for order in orders for one in _judge(erp, book, order, _day(order), order.pk in shortened)]
    days = {first + timedelta(days=step): Day() for step in range((last - first).days + 1)}
    _count(days, book, orders, _known_lost(book, found))
    _write(channel, days, listed_at)
    return found


def _day(order: Order) -> date:
    return calendar.day_of(order.seller, order.placed_at)


# --- One order -----------------------------------------------------------------------------------------------------


def _judge(erp: Connection, book: Book, order: Order, day: date, shortened: bool) -> Iterator[Difference]:
    alive = book.twins(order)
    link = book.links.get(order.pk)
    if len(alive) > 1:
        said = _said(order, [facts.of_listed(row, link) for row in alive])
        yield Difference(Kind.DUPLICATED, f"order:{order.pk}", day, said, order.pk)
    if link is not None:
        yield from _linked(erp, book, order, link, day, shortened)
    elif order.exported_at is not None or _is_due(book, order):
        yield from _unlinked(book, order, alive, day)
    if link is None and order.exported_at is None and len(alive) == 1 and not alive[0].hub_key:
        said = _said(order, [facts.of_listed(alive[0])])
        yield Difference(Kind.TYPED_BY_HAND, f"order:{order.pk}", day, said, order.pk)


def _said(order: Order, erp: Sequence[facts.Side]) -> dict[str, object]:
    return facts.together(hub=facts.of_order(order), erp=erp)


def _linked(erp: Connection, book: Book, order: Order, link: Link, day: date, shortened: bool) -> Iterator[Difference]:
    row = book.rows.get(link.external_id)
    check = Step(erp.pk, "read_erp", link.external_id, order.pk, findings.PRIORITY)
    if row is None:
        if order.status != OrderStatus.CANCELLED:
            said = _said(order, [facts.of_link(link)])
            yield Difference(Kind.LINK_LOST, link.external_id, day, said, order.pk, check)
        return
    said = _said(order, [facts.of_listed(row, link)])
    for kind in differing(facts.of_listed(row, link), order, shortened=shortened):
        if kind != Kind.STATUS_DIFFERS or order.pk not in book.cancelling:
            yield Difference(kind, f"order:{order.pk}", day, said, order.pk, check)


def differing(erp: facts.Side, order: Order, *, shortened: bool) -> list[Kind]:
    """What the ERP's word and the hub's disagree about."""
    kinds = []
    if facts.erp_status_differs(erp, order):
        kinds.append(Kind.STATUS_DIFFERS)
    if facts.erp_total_differs(erp, order, shortened=shortened):
        kinds.append(Kind.TOTAL_DIFFERS)
    return kinds


def _unlinked(book: Book, order: Order, alive: Sequence[Listed], day: date) -> Iterator[Difference]:
    """Due, under way to nowhere, and without a link. A refused export is in its own report, with its own button."""
    job = book.exports.get(order.pk)
    if len(alive) == 1 and not alive[0].hub_key and order.exported_at is None:
        return
    if job is not None and job.state in (*WAITING, Job.State.REFUSED, Job.State.CLOSED):
        return
    said = _said(order, [facts.of_listed(row) for row in alive])
    yield Difference(Kind.MISSING_IN_ERP, f"order:{order.pk}", day, said, order.pk)


def _is_due(book: Book, order: Order) -> bool:
    """Paid, not held, not just come in, not on its way, and not taken care of by hand."""
    if order.held or order.status not in planning.EXPORTABLE or order.approved_at is None:
        return False
    job = book.exports.get(order.pk)
    if job is not None:
        return job.state not in (*WAITING, Job.State.CLOSED)
    return max(order.approved_at, order.created_at) < timezone.now() - GRACE


# --- The days' counts ----------------------------------------------------------------------------------------------


def _count(days: Mapping[date, Day], book: Book, orders: Iterable[Order], lost: set[str]) -> None:
    for order in orders:
        if order.status == OrderStatus.CANCELLED:
            continue
        link = book.links.get(order.pk)
        if link is None and order.exported_at is None and not _is_due(book, order):
            continue
        day = days[_day(order)]
        day.due += 1
        if link is not None and link.external_id not in lost:
            day.there += 1
        else:
            day.missing.append(order.external_id)


def _known_lost(book: Book, found: Sequence[Difference]) -> set[str]:
    """A link is believed until a fresh read has said that the ERP's order is gone."""
    suspects = [one.key for one in found if one.kind == Kind.LINK_LOST]
    shown = Finding.objects.filter(connection=book.erp, kind=Kind.LINK_LOST, state__in=findings.SHOWN, key__in=suspects)
    return set(shown.values_list("key", flat=True))


def _write(channel: Connection, days: Mapping[date, Day], listed_at: datetime | None) -> None:
    for day, count in days.items():
        columns: dict[str, Any] = {
            "due_count": count.due,
            "erp_count": count.there,
            "missing_in_erp": sorted(count.missing)[:NAMED],
        }
        if listed_at:
            columns["erp_counted_at"] = listed_at
        DayCount.objects.update_or_create(connection=channel, day=day, defaults=columns)
