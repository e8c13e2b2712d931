"""Counts a channel's days anew from its orders. The database does the adding up, one question for each kind of count.

What is counted: every order is either sold, unpaid (`pending`) or cancelled before it left; amounts are of those sold.
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import (
    BigIntegerField,
    Case,
    Count,
    DecimalField,
    Exists,
    ExpressionWrapper,
    F,
    FloatField,
    Func,
    IntegerField,
    Max,
    Model,
    OuterRef,
    Q,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Cast, Coalesce, ExtractHour, Floor, Greatest, Ln, NullIf, TruncDate, TruncMonth

from monitoring.insights.spread import FACTOR, HOURS, SHORTEST, Pace, Spread
from monitoring.models import CarrierOfDay, PaceOfDay, PaceOfMonth, ProductOfDay, ProductOfMonth, SalesOfDay
from orders import bulk
from orders.models import Order, OrderItem, SalesChannel, Shipment
from orders.vocabulary import Logistics, OrderStatus, ShipmentStatus, Source

UNSOLD = (OrderStatus.PENDING, OrderStatus.CANCELLED)
CENT = Decimal("0.0001")


@dataclass(frozen=True)
class Stage:
    """A stretch of an order's way. `whole`: from the sale on; the others follow one another."""

    code: str
    begins: str
    ends: str
    whole: bool = False


STAGES = (
    Stage("payment", "placed_at", "approved_at"),
    Stage("export", "approved_at", "exported_at"),
    Stage("invoice", "exported_at", "invoiced_at"),
    Stage("dispatch", "invoiced_at", "shipped_at"),
    Stage("delivery", "shipped_at", "delivered_at"),
    Stage("to_invoice", "placed_at", "invoiced_at", whole=True),
    Stage("to_dispatch", "placed_at", "shipped_at", whole=True),
    Stage("to_delivery", "placed_at", "delivered_at", whole=True),
)


@dataclass(frozen=True)
class Days:
    """A channel's days, first and last included, as its seller's zone has them."""

    channel: SalesChannel
    zone: ZoneInfo
    first: date
    last: date

    def of(self, path: str = "") -> tuple[Q, TruncDate]:
        """Which rows are of these days, and which day each is of; `path` leads to the order."""
        begin = datetime.combine(self.first, time(0), self.zone)
        end = datetime.combine(self.last + timedelta(days=1), time(0), self.zone)
        within = {f"{path}channel": self.channel, f"{path}placed_at__gte": begin, f"{path}placed_at__lt": end}
        return Q(**within), TruncDate(f"{path}placed_at", tzinfo=self.zone)

    def orders(self) -> Any:
        within, day = self.of()
        return Order.objects.filter(within).annotate(local_day=day).order_by()


class Seconds(Func):
    """Of the difference between two times, which SQLite keeps in microseconds."""

    output_field = FloatField()

    def as_postgresql(self, compiler: Any, connection: Any, **more: Any) -> Any:
        return self.as_sql(compiler, connection, template="EXTRACT(EPOCH FROM %(expressions)s)::float", **more)

    def as_sqlite(self, compiler: Any, connection: Any, **more: Any) -> Any:
        return self.as_sql(compiler, connection, template="(%(expressions)s / 1000000.0)", **more)


def _taken(begins: str, ends: str) -> Cast:
    """Whole seconds; what is known to have ended before it began took none."""
    return Cast(Floor(Greatest(Seconds(F(ends) - F(begins)), Value(0.0))), BigIntegerField())


def _bucket(seconds: Any) -> Cast:
    """See `spread.bucket_of`."""
    above = Greatest(Cast(seconds, FloatField()), Value(float(SHORTEST))) / Value(float(SHORTEST))
    scale = ExpressionWrapper(Ln(above) / Value(math.log(FACTOR)), FloatField())
    return Cast(Floor(scale), IntegerField())


# --- Sales ---------------------------------------------------------------------------------------------------------

SOLD = ~Q(status__in=UNSOLD)
BACK = Q(status=OrderStatus.RETURNED) | SOLD & Q(cancelled_at__isnull=False)
# 0 is what a channel that says nothing of it leaves.
COST_KNOWN = SOLD & ~Q(freight_cost=0)
AMOUNTS = {
    "items": "items_total", "discount": "discount", "freight": "freight", "total": "total", "subsidy": "subsidy",
    "fees": "fees", "freight_cost": "freight_cost",
}  # fmt: skip


def sales(days: Days) -> list[SalesOfDay]:
    rows: Any = days.orders().values("local_day", "state", "currency")
    found = rows.annotate(
        all_orders=Count("pk", filter=SOLD),
        all_unpaid=Count("pk", filter=Q(status=OrderStatus.PENDING)),
        all_cancelled=Count("pk", filter=Q(status=OrderStatus.CANCELLED)),
        all_returned=Count("pk", filter=BACK),
        all_freight_known=Sum("freight", filter=COST_KNOWN),
        all_freight_orders=Count("pk", filter=COST_KNOWN),
        all_lost=Sum("total", filter=Q(status=OrderStatus.CANCELLED)),
        **{f"all_{name}": Sum(column, filter=SOLD) for name, column in AMOUNTS.items()},
    )
    pieces = _pieces(days)
    return [
        SalesOfDay(
            channel=days.channel,
            day=row["local_day"],
            state=row["state"],
            currency=row["currency"],
            pieces=pieces.get((row["local_day"], row["state"], row["currency"]), Decimal(0)),
            **{name: _clean(row[f"all_{name}"]) for name in SUMMED if name != "pieces"},
        )
        for row in found
    ]


COUNTED = ("orders", "unpaid", "cancelled", "returned", "freight_orders")
SUMMED = (*COUNTED, "pieces", *AMOUNTS, "freight_known", "lost")


def _clean(amount: Decimal | int | None) -> Decimal | int:
    """SQLite adds amounts up as floating-point numbers: to the column's places they are right again."""
    if isinstance(amount, int):
        return amount
    return (amount or Decimal(0)).quantize(CENT)


# --- Products ------------------------------------------------------------------------------------------------------

DECIMAL: "DecimalField[Decimal, Decimal]" = DecimalField(max_digits=14, decimal_places=4)
ZERO = Value(Decimal(0), output_field=DECIMAL)
LEFT = Greatest(F("quantity") - F("cancelled"), ZERO, output_field=DECIMAL)
# A line's discount is its whole one for as long as anything is left of the line: it is not divided.
WORTH = Case(
    When(cancelled__lt=F("quantity"), then=(F("quantity") - F("cancelled")) * F("unit_price") - F("discount")),
    default=ZERO,
    output_field=DECIMAL,
)


def _lines(days: Days) -> Any:
    within, day = days.of("order__")
    sold = OrderItem.objects.filter(within).exclude(order__status__in=UNSOLD)
    return sold.annotate(local_day=day).order_by()


def _pieces(days: Days) -> dict[tuple[date, str, str], Decimal]:
    keys = ("local_day", "order__state", "order__currency")
    rows = _lines(days).values(*keys).annotate(all_pieces=Sum(LEFT)).values_list(*keys, "all_pieces")
    return {(day, state, currency): Decimal(_clean(pieces)) for day, state, currency, pieces in rows}


def products(days: Days) -> list[ProductOfDay]:
    named = Coalesce(NullIf("sku", Value("")), "title")
    rows: Any = _lines(days).annotate(product=named).values("local_day", "product", "order__currency")
    found = rows.annotate(all_pieces=Sum(LEFT), all_worth=Sum(WORTH), a_title=Max("title"))
    return [
        ProductOfDay(
            channel=days.channel,
            day=row["local_day"],
            product=row["product"],
            currency=row["order__currency"],
            title=row["a_title"],
            pieces=row["all_pieces"].quantize(CENT),
            revenue=row["all_worth"].quantize(CENT),
        )
        for row in found
    ]


# --- Pace ----------------------------------------------------------------------------------------------------------


def pace(days: Days) -> list[PaceOfDay]:
    """What the marketplace sends from its own warehouse says nothing of the seller's pace: only its hour counts."""
    hours: dict[date, list[int]] = defaultdict(lambda: [0] * HOURS)
    for day, hour, count in _hours(days):
        hours[day][hour] = count
    spreads: dict[date, dict[str, Spread]] = defaultdict(lambda: defaultdict(Spread))
    for stage in STAGES:
        for day, bucket, count, seconds in _spread(days, stage):
            spreads[day][stage.code].add(bucket, count, seconds)
    return [
        PaceOfDay(
            channel=days.channel,
            day=day,
            hours=hours[day],
            stages={code: spread.as_json() for code, spread in spreads[day].items()},
        )
        for day in hours
    ]


def _hours(days: Days) -> Iterator[tuple[date, int, int]]:
    hour = ExtractHour("placed_at", tzinfo=days.zone)
    sold = days.orders().filter(SOLD).annotate(hour=hour).values("local_day", "hour")
    yield from sold.annotate(count=Count("pk")).values_list("local_day", "hour", "count")


def _spread(days: Days, stage: Stage) -> Iterator[tuple[date, int, int, int]]:
    over = days.orders().filter(SOLD, **{f"{stage.begins}__isnull": False, f"{stage.ends}__isnull": False})
    over = over.exclude(logistics=Logistics.FULFILLED).annotate(seconds=_taken(stage.begins, stage.ends))
    grouped = over.annotate(bucket=_bucket(F("seconds"))).values("local_day", "bucket")
    summed = grouped.annotate(count=Count("pk"), all_seconds=Sum("seconds"))
    yield from summed.values_list("local_day", "bucket", "count", "all_seconds")


# --- Carriers ------------------------------------------------------------------------------------------------------


def carriers(days: Days) -> list[CarrierOfDay]:
    """The channel's parcels; the ERP's stand in where the channel names no carrier, for they are the same parcels."""
    within, day = days.of("order__")
    of_channel = Shipment.objects.filter(order=OuterRef("order"), source=Source.CHANNEL.value).exclude(carrier="")
    parcels = Shipment.objects.filter(within).exclude(carrier="").exclude(order__status__in=UNSOLD)
    parcels = parcels.filter(Q(source=Source.CHANNEL.value) | ~Exists(of_channel))
    left = Coalesce("shipped_at", "order__shipped_at")
    arrived = Coalesce("delivered_at", "order__delivered_at")
    promised = Coalesce("order__first_deliver_by", "deliver_by", "order__deliver_by")
    dated = parcels.annotate(local_day=day, left=left, arrived=arrived, promised=promised).order_by()
    timed = Q(left__isnull=False, arrived__isnull=False)
    rows: Any = dated.annotate(took=_taken("left", "arrived")).values("local_day", "carrier").annotate(
        all_parcels=Count("pk"),
        all_delivered=Count("pk", filter=Q(arrived__isnull=False)),
        all_returned=Count("pk", filter=Q(status=ShipmentStatus.RETURNED)),
        all_troubled=Count("pk", filter=~Q(exception="")),
        all_on_time=Count("pk", filter=Q(arrived__lte=F("promised"))),
        all_late=Count("pk", filter=Q(arrived__gt=F("promised"))),
        all_timed=Count("pk", filter=timed),
        all_seconds=Sum("took", filter=timed),
    )  # fmt: skip
    return [
        CarrierOfDay(
            channel=days.channel,
            day=row["local_day"],
            carrier=row["carrier"],
            **{name: row[f"all_{name}"] or 0 for name in OF_CARRIER},
        )
        for row in rows
    ]


OF_CARRIER = ("parcels", "delivered", "returned", "troubled", "on_time", "late", "timed", "seconds")


# --- Months --------------------------------------------------------------------------------------------------------


def products_of_months(days: Days) -> list[ProductOfMonth]:
    rows: Any = _whole_months(ProductOfDay, days).annotate(month=TruncMonth("day")).order_by()
    rows = rows.values("month", "product", "currency")
    found = rows.annotate(all_pieces=Sum("pieces"), all_revenue=Sum("revenue"), a_title=Max("title"))
    return [
        ProductOfMonth(
            channel=days.channel,
            month=row["month"],
            product=row["product"],
            currency=row["currency"],
            title=row["a_title"],
            pieces=row["all_pieces"].quantize(CENT),
            revenue=row["all_revenue"].quantize(CENT),
        )
        for row in found
    ]


def paces_of_months(days: Days) -> list[PaceOfMonth]:
    months: dict[date, Pace] = defaultdict(Pace)
    for day, hours, stages in _whole_months(PaceOfDay, days).values_list("day", "hours", "stages"):
        months[day.replace(day=1)].add(day, hours, stages)
    return [
        PaceOfMonth(
            channel=days.channel,
            month=month,
            hours=pace.hours,
            stages={code: spread.as_json() for code, spread in pace.stages.items()},
        )
        for month, pace in months.items()
    ]


def _whole_months(model: type[Model], days: Days) -> Any:
    """The rows of all months that these days belong to."""
    last = (days.last.replace(day=1) + timedelta(days=31)).replace(day=1)
    return model._default_manager.filter(channel=days.channel, day__gte=days.first.replace(day=1), day__lt=last)


# --- Writing -------------------------------------------------------------------------------------------------------

COUNTS: Mapping[type[Model], Callable[[Days], Sequence[Model]]] = {
    SalesOfDay: sales,
    ProductOfDay: products,
    PaceOfDay: pace,
    CarrierOfDay: carriers,
}
# What is summed once more, by month.
MONTHS: Mapping[type[Model], tuple[type[Model], Callable[[Days], Sequence[Model]]]] = {
    ProductOfDay: (ProductOfMonth, products_of_months),
    PaceOfDay: (PaceOfMonth, paces_of_months),
}


def count(days: Days, *, thorough: bool = False) -> int:
    """Brings the kept counts of these days to what the orders say now. Returns how many rows were wrong or missing.

    The caller holds the channel's tally. Only what differs is written: most rows of a day do not change. Their months
    are summed anew where a day was wrong, or to be `thorough`.
    """
    found = 0
    for model, wanted in COUNTS.items():
        within = Q(day__gte=days.first, day__lte=days.last)
        wrong = _write(model, days.channel, within, wanted(days))
        if model in MONTHS and (wrong or thorough):
            of_month, summed = MONTHS[model]
            within = Q(month__gte=days.first.replace(day=1), month__lte=days.last)
            wrong = max(wrong, _write(of_month, days.channel, within, summed(days)))
        found += wrong
    return found


def forget(channel: SalesChannel) -> None:
    """All of its counts."""
    for model in (*COUNTS, *(of_month for of_month, _summed in MONTHS.values())):
        model._default_manager.filter(channel=channel).delete()


def _write(model: type[Model], channel: SalesChannel, within: Q, wanted: Sequence[Model]) -> int:
    kept = {_content(row): row.pk for row in model._default_manager.filter(within, channel=channel)}
    new = {_content(row): row for row in wanted}
    gone = [pk for content, pk in kept.items() if content not in new]
    missing = [row for content, row in new.items() if content not in kept]
    if gone:
        model._default_manager.filter(pk__in=gone).delete()
    bulk.insert(model, missing)
    return max(len(gone), len(missing))


def _content(row: Model) -> tuple[str, ...]:
    """All columns but the key, comparable whatever the database gave them as."""
    return tuple(_text(getattr(row, field.attname)) for field in row._meta.concrete_fields if not field.primary_key)


def _text(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value:.4f}"
    # PostgreSQL gives an object's names back in an order of its own.
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else str(value)
