"""The counts of all orders, by hand: slow, plain, and without a word of SQL."""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Model

from monitoring.insights.counting import STAGES
from monitoring.insights.spread import bucket_of
from monitoring.models import CarrierOfDay, PaceOfDay, PaceOfMonth, ProductOfDay, ProductOfMonth, SalesOfDay
from orders.models import Order, Shipment

Key = tuple[Any, ...]
Counts = dict[Key, dict[str, Any]]
KEYS = {
    SalesOfDay: ("channel_id", "day", "state", "currency"),
    ProductOfDay: ("channel_id", "day", "product", "currency"),
    PaceOfDay: ("channel_id", "day"),
    CarrierOfDay: ("channel_id", "day", "carrier"),
    ProductOfMonth: ("channel_id", "month", "product", "currency"),
    PaceOfMonth: ("channel_id", "month"),
}


def kept() -> dict[str, Counts]:
    """What the tables hold."""
    return {model.__name__: {_key(row, key): _values(row, key) for row in model._default_manager.all()} for model, key in KEYS.items()}  # fmt: skip # noqa: E501


def _key(row: Model, names: Iterable[str]) -> Key:
    return tuple(getattr(row, name) for name in names)


def _values(row: Model, key: Iterable[str]) -> dict[str, Any]:
    names = [field.attname for field in row._meta.concrete_fields if field.attname not in (*key, "id")]
    return {name: getattr(row, name) for name in names}


def recounted() -> dict[str, Counts]:
    """What they should hold."""
    counts: dict[str, Counts] = {model.__name__: {} for model in KEYS}
    for order in Order.objects.select_related("seller"):
        day = order.placed_at.astimezone(ZoneInfo(order.seller.time_zone)).date()
        _sale(counts["SalesOfDay"], order, day)
        if order.status in ("pending", "cancelled"):
            continue
        month = day.replace(day=1)
        _products(counts["ProductOfDay"], order, day)
        _products(counts["ProductOfMonth"], order, month)
        hour = order.placed_at.astimezone(ZoneInfo(order.seller.time_zone)).hour
        of_day = _row(counts["PaceOfDay"], (order.channel_id, day), {"hours": [0] * 24, "stages": {}})
        of_day["hours"][hour] += 1
        empty = {"hours": [[0] * 24 for _day in range(7)], "stages": {}}
        of_month = _row(counts["PaceOfMonth"], (order.channel_id, month), empty)
        of_month["hours"][day.weekday()][hour] += 1
        _stages(of_day, order)
        _stages(of_month, order)
        _carriers(counts["CarrierOfDay"], order, day)
    return counts


def _row(counts: Counts, key: Key, empty: dict[str, Any]) -> dict[str, Any]:
    return counts.setdefault(key, empty)


def _sale(counts: Counts, order: Order, day: Any) -> None:
    names = [f.name for f in SalesOfDay._meta.concrete_fields if f.name not in ("id", *KEYS[SalesOfDay], "channel")]
    zero = {
        name: 0 if "orders" in name or name in ("unpaid", "cancelled", "returned") else Decimal(0) for name in names
    }
    row = _row(counts, (order.channel_id, day, order.state, order.currency), zero)
    if order.status == "pending":
        row["unpaid"] += 1
        return
    if order.status == "cancelled":
        row["cancelled"] += 1
        row["lost"] += order.total
        return
    row["orders"] += 1
    row["returned"] += order.status == "returned" or order.cancelled_at is not None
    row["pieces"] += sum((line.left for line in order.items.all()), Decimal(0))
    row["items"] += order.items_total
    for name in ("discount", "freight", "total", "subsidy", "fees", "freight_cost"):
        row[name] += getattr(order, name)
    if order.freight_cost:
        row["freight_orders"] += 1
        row["freight_known"] += order.freight


def _products(counts: Counts, order: Order, day: Any) -> None:
    for line in order.items.all():
        key = (order.channel_id, day, line.sku or line.title, order.currency)
        row = _row(counts, key, {"title": "", "pieces": Decimal(0), "revenue": Decimal(0)})
        row["title"] = max(row["title"], line.title)
        row["pieces"] += line.left
        if line.left:
            row["revenue"] += line.left * line.unit_price - line.discount


def _stages(row: dict[str, Any], order: Order) -> None:
    if order.logistics == "fulfilled":
        return
    for stage in STAGES:
        begin, end = getattr(order, stage.begins), getattr(order, stage.ends)
        if begin is None or end is None:
            continue
        seconds = int(max((end - begin).total_seconds(), 0))
        spread = row["stages"].setdefault(stage.code, {"count": 0, "seconds": 0, "buckets": defaultdict(int)})
        spread["count"] += 1
        spread["seconds"] += seconds
        spread["buckets"][str(bucket_of(seconds))] += 1


def _carriers(counts: Counts, order: Order, day: Any) -> None:
    parcels = [parcel for parcel in order.shipments.all() if parcel.carrier]
    if any(parcel.source == "channel" for parcel in parcels):
        parcels = [parcel for parcel in parcels if parcel.source == "channel"]
    for parcel in parcels:
        names = ("parcels", "delivered", "returned", "troubled", "on_time", "late", "timed", "seconds")
        row = _row(counts, (order.channel_id, day, parcel.carrier), dict.fromkeys(names, 0))
        _parcel(row, order, parcel)


def _parcel(row: dict[str, Any], order: Order, parcel: Shipment) -> None:
    left, arrived = parcel.shipped_at or order.shipped_at, parcel.delivered_at or order.delivered_at
    promised = order.first_deliver_by or parcel.deliver_by or order.deliver_by
    row["parcels"] += 1
    row["delivered"] += arrived is not None
    row["returned"] += parcel.status == "returned"
    row["troubled"] += bool(parcel.exception)
    if arrived and promised:
        row["on_time" if arrived <= promised else "late"] += 1
    if left and arrived:
        row["timed"] += 1
        row["seconds"] += int(max((arrived - left).total_seconds(), 0))
