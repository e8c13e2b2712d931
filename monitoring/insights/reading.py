"""What the page shows, from the counts alone: the number of questions is fixed, whatever the period or the shop."""

from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import F, Max, Q, Sum

from monitoring.insights.forecast import LEARNT_WEEKS, TESTED_WEEKS, WEEK
from monitoring.insights.spread import Pace, Spread
from monitoring.models import CarrierOfDay, PaceOfDay, PaceOfMonth, ProductOfDay, ProductOfMonth, SalesOfDay
from orders.money import ZERO

# Amounts in another currency are not added to these; they stand apart.
CURRENCY = "BRL"
# Days before today that forecast and drop are reckoned from.
LEARNT = timedelta(days=WEEK * (LEARNT_WEEKS + TESTED_WEEKS))
PRODUCTS_SHOWN = 50
DAYS_SHOWN = 92


@dataclass(frozen=True)
class Period:
    """First and last day included."""

    first: date
    last: date

    @property
    def length(self) -> int:
        return (self.last - self.first).days + 1

    def days(self) -> list[date]:
        return [self.first + timedelta(days=number) for number in range(self.length)]

    def holds(self, day: date) -> bool:
        return self.first <= day <= self.last

    @property
    def within(self) -> Q:
        return Q(day__gte=self.first, day__lte=self.last)

    @property
    def months(self) -> list[date]:
        """The first days of those that lie wholly within it."""
        return [day for day in self.days() if day.day == 1 and _last_of_month(day) <= self.last]

    @property
    def edges(self) -> Q:
        """The days that belong to none of these months: two ranges, each of which an index finds."""
        months = self.months
        if not months:
            return self.within
        early = Q(day__gte=self.first, day__lt=months[0])
        return early | Q(day__gt=_last_of_month(months[-1]), day__lte=self.last)


def _last_of_month(day: date) -> date:
    return day.replace(day=monthrange(day.year, day.month)[1])


@dataclass
class Sales:
    """Sums over some rows of `SalesOfDay` in one currency. What cannot be divided is None."""

    orders: int = 0
    unpaid: int = 0
    cancelled: int = 0
    returned: int = 0
    freight_orders: int = 0
    pieces: Decimal = ZERO
    items: Decimal = ZERO
    discount: Decimal = ZERO
    freight: Decimal = ZERO
    total: Decimal = ZERO
    subsidy: Decimal = ZERO
    fees: Decimal = ZERO
    freight_cost: Decimal = ZERO
    freight_known: Decimal = ZERO
    lost: Decimal = ZERO

    def add(self, amounts: Mapping[str, Any]) -> None:
        own = vars(self)
        for name, amount in amounts.items():
            own[name] += amount or 0

    @property
    def revenue(self) -> Decimal:
        """What buyers paid, and what the marketplace added to it."""
        return self.total + self.subsidy

    @property
    def ticket(self) -> Decimal | None:
        return self.revenue / self.orders if self.orders else None

    @property
    def cancellation(self) -> float | None:
        """Share of the paid and the cancelled orders together."""
        return share(self.cancelled, self.orders + self.cancelled)

    @property
    def returns(self) -> float | None:
        return share(self.returned, self.orders)

    @property
    def commission(self) -> float | None:
        return share(self.fees, self.revenue)

    @property
    def freight_difference(self) -> Decimal | None:
        """Charged less paid, of the orders whose cost is known: below zero the seller adds to it."""
        return self.freight_known - self.freight_cost if self.freight_orders else None


NAMES = tuple(one.name for one in fields(Sales))
# What is shown of each day, and what forecast and drop are reckoned from.
OF_DAY = ("orders", "unpaid", "cancelled", "returned", "pieces", "total", "subsidy")
OF_RECENT = ("orders", "total", "subsidy")


def share(part: Decimal | float, whole: Decimal | float) -> float | None:
    return float(part) / float(whole) if whole else None


def change(now: Any, before: Any) -> float | None:
    """By what share it grew (0.1: a tenth more); None where there was nothing before, or one of them is unknown."""
    if now is None or not before:
        return None
    return float(now) / float(before) - 1


@dataclass
class Pair:
    """The same thing in the period and in the one it is compared with."""

    now: Sales = field(default_factory=Sales)
    before: Sales = field(default_factory=Sales)

    def change(self, name: str) -> float | None:
        return change(getattr(self.now, name), getattr(self.before, name))


@dataclass
class Product:
    key: str
    title: str
    pieces: Decimal
    revenue: Decimal
    pieces_before: Decimal
    revenue_before: Decimal


@dataclass
class Carrier:
    name: str
    parcels: int
    delivered: int
    returned: int
    troubled: int
    on_time: int
    late: int
    timed: int
    seconds: int

    @property
    def punctual(self) -> float | None:
        return share(self.on_time, self.on_time + self.late)

    @property
    def mean(self) -> float | None:
        return share(self.seconds, self.timed)


@dataclass
class Insights:
    """All of it. `recent`: by channel, the days before today that forecast and drop are reckoned from."""

    period: Period
    before: Period
    today: date
    whole: Pair
    days: dict[date, Sales]
    days_before: dict[date, Sales]
    channels: dict[int, Pair]
    states: dict[str, Pair]
    foreign: dict[str, Sales]
    products: list[Product]
    hours: list[list[int]]
    stages: dict[str, Spread]
    stages_before: dict[str, Spread]
    carriers: list[Carrier]
    recent: dict[int, dict[date, Sales]]

    @property
    def step(self) -> int:
        """Days that are shown as one: a year day by day says nothing."""
        return 1 if self.period.length <= DAYS_SHOWN else WEEK

    def steps(self, days: Mapping[date, Sales]) -> list[tuple[date, Sales]]:
        """First day of each step, and its sales."""
        found: list[tuple[date, Sales]] = []
        for number, (day, sales) in enumerate(days.items()):
            if number % self.step == 0:
                found.append((day, Sales()))
            found[-1][1].add(vars(sales))
        return found

    def past(self, channel: int | None, name: str) -> list[float]:
        """One amount for each day from the first one with a sale to yesterday, of one channel or of all."""
        chosen = self.recent.values() if channel is None else [self.recent.get(channel, {})]
        amounts: dict[date, float] = defaultdict(float)
        for days in chosen:
            for day, sales in days.items():
                amounts[day] += float(getattr(sales, name))
        first = min((day for day, amount in amounts.items() if amount), default=None)
        if first is None or first >= self.today:
            return []
        return [amounts[first + timedelta(days=number)] for number in range((self.today - first).days)]


def read(channels: Sequence[int], period: Period, before: Period, today: date) -> Insights:
    """Of these channels, which the caller has seen to be the reader's own."""
    now, then = _pace(channels, period), _pace(channels, before)
    found = Insights(
        period, before, today, Pair(), {day: Sales() for day in period.days()},
        {day: Sales() for day in before.days()}, defaultdict(Pair), defaultdict(Pair), defaultdict(Sales),
        _products(channels, period, before), now.hours, now.stages, then.stages, _carriers(channels, period),
        defaultdict(dict),
    )  # fmt: skip
    rows = SalesOfDay.objects.filter(channel__in=channels)
    _sums_of(found, rows, "now", period)
    _sums_of(found, rows, "before", before)
    _days(found, rows)
    _recent(found, rows)
    return found


def _sums(names: Iterable[str]) -> dict[str, Sum]:
    return {f"all_{name}": Sum(name) for name in names}


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix("all_"): value for name, value in row.items() if name.startswith("all_")}


def _sums_of(found: Insights, rows: Any, side: str, period: Period) -> None:
    """Of the whole period, by channel and state."""
    keys = ("channel_id", "state", "currency")
    for row in rows.filter(period.within).values(*keys).annotate(**_sums(NAMES)):
        amounts = _plain(row)
        if row["currency"] == CURRENCY:
            for pair in (found.whole, found.channels[row["channel_id"]], found.states[row["state"]]):
                getattr(pair, side).add(amounts)
        elif side == "now":
            found.foreign[row["currency"]].add(amounts)


def _days(found: Insights, rows: Any) -> None:
    """A day may be one of both periods."""
    chosen = rows.filter(found.period.within | found.before.within, currency=CURRENCY)
    for row in chosen.values("day").annotate(**_sums(OF_DAY)):
        for days in (found.days, found.days_before):
            if row["day"] in days:
                days[row["day"]].add(_plain(row))


def _recent(found: Insights, rows: Any) -> None:
    recent = Period(found.today - LEARNT, found.today - timedelta(days=1))
    chosen = rows.filter(recent.within, currency=CURRENCY)
    for row in chosen.values("channel_id", "day").annotate(**_sums(OF_RECENT)):
        found.recent[row["channel_id"]][row["day"]] = Sales(**_plain(row))


# --- What is summed by month, too: of whole months the months' rows, of the others' days the days' ------------------

OF_PRODUCT = ("pieces", "revenue")


def _products(channels: Sequence[int], period: Period, before: Period) -> list[Product]:
    """Those that bring the most now; and what they brought before."""
    found = _sold(channels, period)
    best = sorted(found, key=lambda key: (-found[key]["revenue"], key))[:PRODUCTS_SHOWN]
    known = _sold(channels, before, best)
    return [_product(key, found[key], known[key]) for key in best]


def _sold(channels: Sequence[int], period: Period, only: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
    """product -> its title and sums."""
    of_months = ProductOfMonth.objects.filter(month__in=period.months)
    of_days = ProductOfDay.objects.filter(period.edges)
    found: dict[str, dict[str, Any]] = defaultdict(lambda: {"title": "", **dict.fromkeys(OF_PRODUCT, ZERO)})
    rows: Any
    for rows in (of_months, of_days):
        rows = rows.filter(channel__in=channels, currency=CURRENCY)
        rows = rows if only is None else rows.filter(product__in=only)
        for row in rows.values("product").annotate(name=Max("title"), **_sums(OF_PRODUCT)):
            known = found[row["product"]]
            known["title"] = max(known["title"], row["name"])
            for name in OF_PRODUCT:
                known[name] += row[f"all_{name}"]
    return found


def _product(key: str, now: Mapping[str, Any], before: Mapping[str, Any]) -> Product:
    return Product(
        key=key,
        title=now["title"],
        pieces=now["pieces"],
        revenue=now["revenue"],
        pieces_before=before["pieces"],
        revenue_before=before["revenue"],
    )


def _pace(channels: Sequence[int], period: Period) -> Pace:
    found = Pace()
    of_months = PaceOfMonth.objects.filter(month__in=period.months, channel__in=channels)
    for hours, stages in of_months.values_list("hours", "stages"):
        found.add_month(hours, stages)
    of_days = PaceOfDay.objects.filter(period.edges, channel__in=channels)
    for day, hours, stages in of_days.values_list("day", "hours", "stages"):
        found.add(day, hours, stages)
    return found


def _carriers(channels: Sequence[int], period: Period) -> list[Carrier]:
    names = tuple(one.name for one in fields(Carrier) if one.name != "name")
    rows: Any = CarrierOfDay.objects.filter(period.within, channel__in=channels).values("carrier")
    rows = rows.annotate(**_sums(names))
    return [
        Carrier(row["carrier"], *(row[f"all_{name}"] for name in names))
        for row in rows.order_by(F("all_parcels").desc(), "carrier")
    ]
