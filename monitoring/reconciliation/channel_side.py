"""What a channel lists of some days, against the hub."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.utils import timezone

from connectors.ledger import Step
from connectors.models import Connection, InboxEntry, Job
from monitoring.models import DayCount, Finding, Listed
from monitoring.reconciliation import facts, findings, repairs
from monitoring.reconciliation.facts import Sale
from monitoring.reconciliation.findings import Difference, Kind
from orders.models import Order, OrderReference

KINDS = (Kind.MISSING_IN_HUB, Kind.STATUS_DIFFERS, Kind.TOTAL_DIFFERS)
# A push, or the next poll, brings a sale within this.
GRACE = timedelta(minutes=15)
# More than anybody reads; the count says how many there are.
NAMED = 500


@dataclass
class Day:
    listed: int = 0
    known: int = 0
    on_the_way: int = 0
    missing: list[str] = field(default_factory=list)


def compare(connection: Connection, first: date, last: date, listed_at: datetime | None = None) -> None:
    """Counts each day, names what the hub lacks and asks for it, and looks at what both have. `listed_at`: when the
    list was there; None where it has been counted before.
    """
    sales = _sales(connection, first, last)
    orders = _orders(connection, sales)
    under_way = _under_way(connection, [sale.external_id for sale in sales if sale.external_id not in orders])
    days = {first + timedelta(days=step): Day() for step in range((last - first).days + 1)}
    differences: list[Difference] = []
    for sale in sales:
        differences += _judge(connection, sale, orders.get(sale.external_id), days[_day(sale)], under_way)
    _write(connection, days, listed_at)
    repairs.by_itself(findings.record(connection, KINDS, first, last, differences))


def _sales(connection: Connection, first: date, last: date) -> list[Sale]:
    rows = Listed.objects.filter(connection=connection, day__gte=first, day__lte=last).order_by("at", "key")
    parts: dict[str, list[Listed]] = {}
    for row in rows:
        parts.setdefault(row.sale, []).append(row)
    return [Sale(external_id, tuple(rows)) for external_id, rows in parts.items()]


def _day(sale: Sale) -> date:
    """That of its first part: a pack is placed once."""
    return min(part.day for part in sale.parts if part.day)


def _orders(connection: Connection, sales: Sequence[Sale]) -> Mapping[str, Order]:
    """The sale's id -> its order. Any of its ids leads to it."""
    of_id = {number: sale.external_id for sale in sales for number in sale.ids}
    known = OrderReference.objects.filter(channel=connection.channel_id).select_related("order")
    known = known.only("value", *(f"order__{name}" for name in facts.COLUMNS))
    return {
        of_id[reference.value]: reference.order
        for values in facts.chunks(of_id)
        for reference in known.filter(value__in=values)
    }


def _under_way(connection: Connection, missing: Iterable[str]) -> set[str]:
    """Announced already: it is being fetched, or waits to be read."""
    names = list(missing)
    fetches = Job.objects.filter(
        connection=connection, operation="fetch", key__in=names, state__in=(Job.State.READY, Job.State.RUNNING)
    ).filter(failed_since=None)
    unread = InboxEntry.objects.filter(
        connection=connection, external_id__in=names, state=InboxEntry.State.WAITING
    ).values_list("external_id", flat=True)
    # What the comparison itself has asked for stays named until it is there.
    named = Finding.objects.filter(
        connection=connection, kind=Kind.MISSING_IN_HUB, state__in=findings.LASTING, key__in=names
    ).values_list("key", flat=True)
    return {*fetches.values_list("key", flat=True), *unread} - {*named}


def _judge(
    connection: Connection, sale: Sale, order: Order | None, day: Day, under_way: set[str]
) -> Iterable[Difference]:
    placed_at = min(part.at for part in sale.parts if part.at)
    if order is not None:
        day.listed, day.known = day.listed + 1, day.known + 1
        return _differences(connection, sale, order)
    if placed_at < connection.start_at:
        # From before the hub was asked to look.
        return ()
    if placed_at > timezone.now() - GRACE or sale.external_id in under_way:
        day.on_the_way += 1
        return ()
    day.listed += 1
    day.missing.append(sale.external_id)
    said = facts.together(channel=facts.of_sale(sale))
    return [Difference(Kind.MISSING_IN_HUB, sale.external_id, _day(sale), said)]


def _differences(connection: Connection, sale: Sale, order: Order) -> Iterable[Difference]:
    channel = facts.of_sale(sale)
    kinds = differing(channel, order)
    if not kinds:
        return []
    said = facts.together(channel=channel, hub=facts.of_order(order))
    check = Step(connection.pk, "fetch", order.external_id, order.pk, findings.PRIORITY)
    return [Difference(kind, f"order:{order.pk}", _day(sale), said, order.pk, check) for kind in kinds]


def differing(channel: facts.Side, order: Order) -> list[Kind]:
    """What a channel's word and the hub's disagree about."""
    kinds = []
    if facts.status_differs(channel, order):
        kinds.append(Kind.STATUS_DIFFERS)
    if facts.total_differs(channel, order):
        kinds.append(Kind.TOTAL_DIFFERS)
    return kinds


def _write(connection: Connection, days: Mapping[date, Day], listed_at: datetime | None) -> None:
    for day, found in days.items():
        columns: dict[str, Any] = {
            "channel_count": found.listed,
            "hub_count": found.known,
            "on_the_way": found.on_the_way,
            "missing_in_hub": sorted(found.missing)[:NAMED],
        }
        if listed_at:
            columns["counted_at"] = listed_at
        DayCount.objects.update_or_create(connection=connection, day=day, defaults=columns)
