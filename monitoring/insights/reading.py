"""What the page shows, from the counts alone: the number of questions is fixed, whatever the period or the shop."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import F, Max, Q, Sum

from monitoring.insights.counting import HOURS, STAGES
from monitoring.insights.forecast import LEARNT_WEEKS, TESTED_WEEKS, WEEK
from monitoring.insights.spread import Spread
from monitoring.models import CarrierOfDay, PaceOfDay, ProductOfDay, SalesOfDay
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

    def add(self, row: "Mapping[str, Any] | Sales") -> None:
        given = row if isinstance(row, Mapping) else vars(row)
        for name in NAMES:
            setattr(self, name, getattr(self, name) + (given[name] or 0))

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
            found[-1][1].add(sales)
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
    found = Insights(
        period, before, today, Pair(), {day: Sales() for day in period.days()},
        {day: Sales() for day in before.days()}, defaultdict(Pair), defaultdict(Pair), defaultdict(Sales),
        _products(channels, period, before), *_pace(channels, period, before), _carriers(channels, period),
        defaultdict(dict),
    )  # fmt: skip
    _sales(found, channels)
    _states(found, channels)
    return found


def _sums(names: Iterable[str]) -> dict[str, Sum]:
    return {f"all_{name}": Sum(name) for name in names}


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix("all_"): value for name, value in row.items()}


def _sales(found: Insights, channels: Sequence[int]) -> None:
    """Days and channels: one row for each day and channel, whatever the number of states."""
    recent = Period(found.today - LEARNT, found.today - timedelta(days=1))
    rows = SalesOfDay.objects.filter(found.period.within | found.before.within | recent.within, channel__in=channels)
    for raw in rows.values("channel_id", "day", "currency").annotate(**_sums(NAMES)):
        row = _plain(raw)
        day, channel = row["day"], row["channel_id"]
        if row["currency"] != CURRENCY:
            if found.period.holds(day):
                found.foreign[row["currency"]].add(row)
            continue
        if recent.holds(day):
            found.recent[channel][day] = Sales(orders=row["orders"], total=row["total"], subsidy=row["subsidy"])
        if found.period.holds(day):
            for sales in (found.whole.now, found.days[day], found.channels[channel].now):
                sales.add(row)
        if found.before.holds(day):
            for sales in (found.whole.before, found.days_before[day], found.channels[channel].before):
                sales.add(row)


def _states(found: Insights, channels: Sequence[int]) -> None:
    for period, side in ((found.period, "now"), (found.before, "before")):
        rows = SalesOfDay.objects.filter(period.within, channel__in=channels, currency=CURRENCY)
        for row in rows.values("state").annotate(**_sums(NAMES)):
            getattr(found.states[row["state"]], side).add(_plain(row))


def _products(channels: Sequence[int], period: Period, before: Period) -> list[Product]:
    """Those that bring the most now; and what they brought before."""
    rows = ProductOfDay.objects.filter(channel__in=channels, currency=CURRENCY)
    best = rows.filter(period.within).values("product").annotate(name=Max("title"), **_sums(("pieces", "revenue")))
    shown = list(best.order_by(F("all_revenue").desc(), "product")[:PRODUCTS_SHOWN])
    earlier = rows.filter(before.within, product__in=[row["product"] for row in shown]).values("product")
    known = {row["product"]: row for row in earlier.annotate(**_sums(("pieces", "revenue")))}
    return [_product(row, known.get(row["product"], {})) for row in shown]


def _product(row: Mapping[str, Any], earlier: Mapping[str, Any]) -> Product:
    return Product(
        key=row["product"],
        title=row["name"],
        pieces=row["all_pieces"],
        revenue=row["all_revenue"],
        pieces_before=earlier.get("all_pieces", ZERO),
        revenue_before=earlier.get("all_revenue", ZERO),
    )


Pace = tuple[list[list[int]], dict[str, Spread], dict[str, Spread]]


def _pace(channels: Sequence[int], period: Period, before: Period) -> Pace:
    """Orders by weekday (0 is Monday) and hour; how long each stage took now, and before."""
    hours = [[0] * HOURS for _day in range(WEEK)]
    now, then = ({stage.code: Spread() for stage in STAGES} for _side in range(2))
    rows = PaceOfDay.objects.filter(period.within | before.within, channel__in=channels)
    for day, counts, stages in rows.values_list("day", "hours", "stages"):
        if period.holds(day):
            week = hours[day.weekday()]
            week[:] = [one + other for one, other in zip(week, counts, strict=True)]
            _merge(now, stages)
        if before.holds(day):
            _merge(then, stages)
    return hours, now, then


def _merge(spreads: dict[str, Spread], stages: Mapping[str, Any]) -> None:
    for code, stored in stages.items():
        if code in spreads:
            spreads[code].merge(stored)


def _carriers(channels: Sequence[int], period: Period) -> list[Carrier]:
    names = tuple(one.name for one in fields(Carrier) if one.name != "name")
    rows: Any = CarrierOfDay.objects.filter(period.within, channel__in=channels).values("carrier")
    rows = rows.annotate(**_sums(names))
    return [
        Carrier(row["carrier"], *(row[f"all_{name}"] for name in names))
        for row in rows.order_by(F("all_parcels").desc(), "carrier")
    ]
