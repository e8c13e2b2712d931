"""What the day asks for: what to invoice, what must leave with which cut-off, and what was sold so far.

Each is one grouped query that an index narrows to the open orders or to two days, whatever the number of orders.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, Max, Min, Q, QuerySet, Sum
from django.utils import timezone

from monitoring.insights.reading import CURRENCY, change
from monitoring.models import ProductOfDay
from monitoring.packing.picking import WAITING, to_dispatch
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
    return Today(
        **_open(
            orders,
            {"late": late, "at_risk": at_risk, "invoice": Q(status=OrderStatus.APPROVED), "dispatch": WAITING},
        ),
        departures=_departures(orders, channels, now),
        sold=Sold(_together([one.now for one in sold]), _together([one.before for one in sold])),
        channels=sold,
        best=_best(channels),
    )


def _open(orders: QuerySet[Order], wanted: Mapping[str, Q]) -> dict[str, Amount]:
    """Of the orders that have not left."""
    open_ones = orders.filter(status__in=(OrderStatus.APPROVED, OrderStatus.INVOICED))
    return _amounts(open_ones.aggregate(**_measures(wanted)), wanted)


def _measures(wanted: Mapping[str, Q]) -> dict[str, Any]:
    counts = {f"{name}_count": Count("pk", filter=chosen) for name, chosen in wanted.items()}
    return counts | {f"{name}_value": Sum("total", filter=chosen & _IN_REAIS) for name, chosen in wanted.items()}


def _amounts(row: Mapping[str, Any], names: Mapping[str, Q]) -> dict[str, Amount]:
    return {name: Amount(row[f"{name}_count"], row[f"{name}_value"] or ZERO) for name in names}


def _together(amounts: Sequence[Amount]) -> Amount:
    return Amount(sum(one.count for one in amounts), sum((one.value for one in amounts), ZERO))


# --- What must leave ------------------------------------------------------------------------------------------------


def _departures(orders: QuerySet[Order], channels: Sequence[SalesChannel], now: datetime) -> list[Departure]:
    """What is due and not late already; of all channels, the next cut-off first."""
    begins = [now, midnight() + DAY, after_tomorrow()]
    slots = {name: Q(ship_by__gte=begin) for name, begin in zip(DUE, begins, strict=True)}
    slots["today"] &= Q(ship_by__lt=begins[1])
    slots["tomorrow"] &= Q(ship_by__lt=begins[2])
    firsts = {f"{name}_first": Min("ship_by", filter=chosen) for name, chosen in slots.items()}
    due = to_dispatch(orders).filter(ship_by__gte=now)
    rows: Iterable[Any] = due.order_by().values("channel_id").annotate(**_measures(slots), **firsts)
    known = {channel.pk: channel for channel in channels}
    found = [
        Departure(known[row["channel_id"]], name, _until(known[row["channel_id"]], row[f"{name}_first"], now), amount)
        for row in rows
        for name, amount in _amounts(row, slots).items()
        if amount.count
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
    windows = {
        "now": Q(placed_at__gte=day, placed_at__lte=now),
        "before": Q(placed_at__gte=day - WEEK, placed_at__lte=now - WEEK),
    }
    placed = orders.filter(windows["now"] | windows["before"]).exclude(status=OrderStatus.CANCELLED)
    rows = placed.order_by().values("channel_id").annotate(**_measures(windows))
    known = {channel.pk: channel for channel in channels}
    found = [Sold(**_amounts(row, windows), channel=known[row["channel_id"]]) for row in rows]
    return sorted(found, key=lambda one: -one.now.count)


def _best(channels: Sequence[SalesChannel]) -> list[Any]:
    """What sold most pieces today, from the counts of each day: `product`, `name`, `pieces`."""
    rows = ProductOfDay.objects.filter(channel__in=channels, day=timezone.localdate())
    sums = rows.values("product").annotate(name=Max("title"), sold=Sum("pieces"))
    return list(sums.filter(sold__gt=0).order_by("-sold", "product")[:BEST])
