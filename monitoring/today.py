"""What the day asks for: what to invoice, what must leave with which cut-off, and what was sold so far.

Each is one grouped query that an index narrows to the open orders or to two days, whatever the number of orders.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Case, CharField, Count, Max, Min, Q, QuerySet, Sum, Value, When
from django.utils import timezone

from monitoring.insights.reading import CURRENCY, change
from monitoring.models import ProductOfDay
from monitoring.packing.picking import WAITING
from orders.calendar import DAY
from orders.models import Order, SalesChannel
from orders.money import ZERO
from orders.vocabulary import OrderStatus

WEEK = timedelta(days=7)
# The first two as the list of orders calls them.
DUE = ("today", "tomorrow", "later")
BEST = 5
_IN_REAIS = Q(currency=CURRENCY)


@dataclass(frozen=True)
class Amount:
    """So many orders, and what they are worth together in R$."""

    count: int = 0
    value: Decimal = ZERO


@dataclass(frozen=True)
class Departure:
    """Orders of one channel whose deadline is `due` (one of `DUE`); `until` when the first of them must leave."""

    channel: SalesChannel
    due: str
    until: datetime
    orders: Amount


@dataclass(frozen=True)
class Sold:
    """Placed today so far and not cancelled, and the same of a week ago at the same hour."""

    now: Amount
    before: Amount
    channel: SalesChannel | None = None

    @property
    def growth(self) -> float | None:
        return change(self.now.count, self.before.count)


@dataclass
class Today:
    invoice: Amount
    dispatch: Amount
    late: Amount
    at_risk: Amount
    departures: list[Departure]
    sold: Sold
    channels: list[Sold]
    best: list[Any]


def today(orders: QuerySet[Order], sellers: Sequence[int], late: Q, at_risk: Q, now: datetime) -> Today:
    """Of these orders; `late` and `at_risk` are `monitoring.figures`' own, so that lists and figures agree."""
    channels = list(SalesChannel.objects.filter(seller_id__in=sellers).order_by("name"))
    sold = _sold(orders, channels, now)
    wanted = {"late": late, "at_risk": at_risk, "invoice": Q(status=OrderStatus.APPROVED), "dispatch": WAITING}
    groups = _open(orders, wanted, now)
    return Today(
        **{name: _together([group.orders for group in groups if name in group.figures]) for name in wanted},
        departures=_departures(groups, channels, now),
        sold=Sold(_together([one.now for one in sold]), _together([one.before for one in sold])),
        channels=sold,
        best=_best(channels),
    )


@dataclass(frozen=True)
class Group:
    """Orders that have not left, of one channel, that count for the same figures and are due at the same time."""

    channel: int
    figures: Sequence[str]
    due: str
    first: datetime | None
    orders: Amount


def _open(orders: QuerySet[Order], wanted: Mapping[str, Q], now: datetime) -> list[Group]:
    """In one look at these orders, each of which is sorted once: a large shop has thousands of them."""
    open_ones = orders.filter(status__in=(OrderStatus.APPROVED, OrderStatus.INVOICED)).order_by()
    flags = {f"is_{name}": Case(When(chosen, then=True), default=False) for name, chosen in wanted.items()}
    rows: Any = open_ones.annotate(**flags, due=_due(now)).values("channel_id", "due", *flags)
    measured = rows.annotate(**_MEASURES, first=Min("ship_by"))
    return [
        Group(
            channel=row["channel_id"],
            figures=[name for name in wanted if row[f"is_{name}"]],
            due=row["due"],
            first=row["first"],
            orders=_amount(row),
        )
        for row in measured
    ]


def _due(now: datetime) -> Case:
    """One of `DUE`; empty for what is late already or has no deadline."""
    ends = zip(DUE, (midnight() + DAY, after_tomorrow()), strict=False)
    slots = [When(ship_by__lt=end, then=Value(name)) for name, end in ends]
    return Case(
        When(Q(ship_by=None) | Q(ship_by__lt=now), then=Value("")),
        *slots,
        default=Value(DUE[-1]),
        output_field=CharField(),
    )


_MEASURES = {"count": Count("pk"), "value": Sum("total", filter=_IN_REAIS)}


def _amount(row: Mapping[str, Any]) -> Amount:
    return Amount(row["count"], row["value"] or ZERO)


def _together(amounts: Sequence[Amount]) -> Amount:
    return Amount(sum(one.count for one in amounts), sum((one.value for one in amounts), ZERO))


# --- What must leave ------------------------------------------------------------------------------------------------


def _departures(groups: Sequence[Group], channels: Sequence[SalesChannel], now: datetime) -> list[Departure]:
    """What is due and not late already; of all channels, the next cut-off first."""
    due: dict[tuple[int, str], list[Group]] = defaultdict(list)
    for group in groups:
        if group.due and "dispatch" in group.figures:
            due[group.channel, group.due].append(group)
    known = {channel.pk: channel for channel in channels}
    found = [
        Departure(
            known[pk],
            name,
            _until(known[pk], min(one.first for one in some if one.first), now),
            _together([one.orders for one in some]),
        )
        for (pk, name), some in due.items()
    ]
    return sorted(found, key=lambda one: (one.until, one.channel.name))


def _until(channel: SalesChannel, first: datetime, now: datetime) -> datetime:
    """That day's cut-off where it is still to come; otherwise, or where it comes sooner, the first deadline."""
    calendar = channel.working_time
    day = first.astimezone(calendar.zone).date()
    cut_off = datetime.combine(day, calendar.cut_off, calendar.zone)
    return cut_off if calendar.works(day) and now < cut_off < first else first


# --- What sells -----------------------------------------------------------------------------------------------------


def midnight() -> datetime:
    return timezone.make_aware(datetime.combine(timezone.localdate(), time.min))


def after_tomorrow() -> datetime:
    """When what is due neither today nor tomorrow begins."""
    return midnight() + 2 * DAY


def _sold(orders: QuerySet[Order], channels: Sequence[SalesChannel], now: datetime) -> list[Sold]:
    """By channel, the one that sells most first; channels without any sale on either day are left out."""
    day = midnight()
    so_far = Q(placed_at__gte=day, placed_at__lte=now)
    before = Q(placed_at__gte=day - WEEK, placed_at__lte=now - WEEK)
    placed = orders.filter(so_far | before).exclude(status=OrderStatus.CANCELLED).order_by()
    rows: Any = placed.annotate(is_today=Case(When(so_far, then=True), default=False)).values("channel_id", "is_today")
    amounts = {(row["channel_id"], row["is_today"]): _amount(row) for row in rows.annotate(**_MEASURES)}
    known = {channel.pk: channel for channel in channels}
    found = [
        Sold(amounts.get((pk, True), Amount()), amounts.get((pk, False), Amount()), known[pk])
        for pk in dict.fromkeys(pk for pk, _today in amounts)
    ]
    return sorted(found, key=lambda one: -one.now.count)


def _best(channels: Sequence[SalesChannel]) -> list[Any]:
    """What sold most pieces today, from the counts of each day: `product`, `name`, `pieces`."""
    rows = ProductOfDay.objects.filter(channel__in=channels, day=timezone.localdate())
    sums = rows.values("product").annotate(name=Max("title"), sold=Sum("pieces"))
    return list(sums.filter(sold__gt=0).order_by("-sold", "product")[:BEST])
