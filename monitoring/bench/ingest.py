"""The door for a channel's documents, against what a plain program would do with the same rows."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import psycopg
from django.db import connection, transaction
from django.db.models import JSONField, Model
from psycopg.types.json import Jsonb

from monitoring.bench import documents
from monitoring.bench.measure import Report, alternate, statements
from orders.documents import OrderDocument
from orders.ingest import ingest
from orders.models import Order, OrderEvent, OrderItem, OrderReference, Payment, SalesChannel, Shipment

PAGE = 50
RUNS = 15
T = TypeVar("T")
PARTS: tuple[type[Model], ...] = (OrderReference, OrderItem, Payment, Shipment, OrderEvent)
# What tells an existing row from a new one.
LOOKUPS = {
    OrderReference: ("channel_id", "value"),
    OrderItem: ("order_id", "external_id"),
    Payment: ("order_id", "external_id"),
    Shipment: ("order_id", "source", "external_id"),
}


def run() -> Report:
    report = Report()
    shop = documents.channel("ingest")
    _compare(report, shop)
    _count(report, shop)
    _repeat(report, shop)
    report.saw("bench")
    return report


def _compare(report: Report, shop: SalesChannel) -> None:
    pages = (documents.page(f"new{number}", PAGE) for number in itertools.count())
    shops = (documents.channel("yardstick") for _ in itertools.count())
    rows = Rows(shop, documents.page("model", PAGE))
    with psycopg.connect(**connection.get_connection_params()) as bare:
        seconds = alternate(
            {
                "ingest": _next(pages, lambda page: _take(shop, page)),
                "django": _next(shops, rows.update_or_create),
                "bare": _next(shops, lambda channel: rows.insert(bare, channel)),
            },
            runs=RUNS,
        )
    rate = {name: PAGE / taken for name, taken in seconds.items()}
    mine = f"{rate['ingest']:,.0f} orders/s"
    report.add(
        "ingest: new page", mine, f"update_or_create: {rate['django']:,.0f} orders/s",
        rate["ingest"] / rate["django"], at_least=8,
    )  # fmt: skip
    report.add(
        "ingest: new page", mine, f"bare psycopg inserts: {rate['bare']:,.0f} orders/s",
        rate["ingest"] / rate["bare"], at_least=0.3,
    )  # fmt: skip


def _next(things: Iterator[T], work: Callable[[T], object]) -> Callable[[], object]:
    """`work` with a new thing each time, all made before the clock starts."""
    made = [next(things) for _ in range(RUNS + 1)]
    return lambda: work(made.pop())


def _count(report: Report, shop: SalesChannel) -> None:
    counts = {size: statements_of_new(shop, size) for size in (PAGE, 4 * PAGE)}
    small, large = counts.values()
    report.add("ingest: SQL per page", f"{small} statements", f"page of {4 * PAGE}: {large}", small, at_most=8)
    report.add("ingest: SQL grows with the page", f"{large} statements", f"{small}", large / small, at_most=1)


def statements_of_new(shop: SalesChannel, size: int) -> int:
    page = documents.page(f"count{size}", size)
    with statements() as seen:
        _take(shop, page)
    return len(seen)


def _take(shop: SalesChannel, page: Sequence[OrderDocument]) -> None:
    """As a task does it: with the seller's rules read anew."""
    shop.__dict__.pop("rules", None)
    ingest(shop, page)


def _repeat(report: Report, shop: SalesChannel) -> None:
    known = documents.page("known", PAGE)
    ingest(shop, known)
    fresh = (documents.page(f"fresh{number}", PAGE) for number in itertools.count())
    before = _written()
    for _ in range(3):
        _take(shop, known)
    rewritten = _written() - before
    seconds = alternate(
        {"same": lambda: _take(shop, known), "new": _next(fresh, lambda page: _take(shop, page))}, runs=RUNS
    )
    same, new = seconds["same"] * 1000, seconds["new"] * 1000
    report.add("ingest: page with nothing new", f"{same:.1f} ms", f"new page: {new:.1f} ms", same / new, at_most=0.2)
    report.add("ingest: rows written by it", f"{len(rewritten)} rows", "none", len(rewritten), at_most=0)


def _written() -> set[tuple[str, int, str]]:
    """Every row with the transaction that wrote it: a rewritten row is a new entry."""
    found: set[tuple[str, int, str]] = set()
    written: tuple[type[Model], ...] = (Order, *PARTS)
    with connection.cursor() as cursor:
        for model in written:
            table = model._meta.db_table
            cursor.execute(f"SELECT id, xmin::text FROM {table}")  # noqa: S608 - our own table's name
            found.update((table, key, writer) for key, writer in cursor.fetchall())
    return found


class Rows:
    """The very rows that `ingest` made of a page, to be written by others under another channel."""

    def __init__(self, shop: SalesChannel, page: Sequence[OrderDocument]) -> None:
        keys = [result.order.pk for result in ingest(shop, page)]  # type: ignore[union-attr]
        self.orders = {order.pk: _columns(order) for order in Order.objects.filter(pk__in=keys)}
        self.parts = {
            model: [_columns(row) for row in model._default_manager.filter(order_id__in=keys)] for model in PARTS
        }

    def update_or_create(self, channel: SalesChannel) -> None:
        """In one transaction: row by row it would be slower still."""
        with transaction.atomic():
            keys = {}
            for key, columns in self.orders.items():
                values = {**columns, "channel_id": channel.pk}
                lookup = {name: values.pop(name) for name in ("channel_id", "external_id")}
                keys[key] = Order.objects.update_or_create(**lookup, defaults=values)[0].pk
            for model, rows in self.parts.items():
                for row in rows:
                    _write(model, {**row, **_moved(row, keys, channel)})

    def insert(self, bare: psycopg.Connection[Any], channel: SalesChannel) -> None:
        """One statement with many rows for each table: faster than `executemany` in a pipeline."""
        with bare.transaction(), bare.cursor() as cursor:
            orders = [{**columns, "channel_id": channel.pk} for columns in self.orders.values()]
            keys = dict(zip(self.orders, _insert(cursor, Order, orders), strict=True))
            for model, rows in self.parts.items():
                _insert(cursor, model, [{**row, **_moved(row, keys, channel)} for row in rows])


def _columns(row: Model) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields if not field.primary_key}


def _moved(row: dict[str, Any], keys: dict[int, int], channel: SalesChannel) -> dict[str, Any]:
    moved = {"order_id": keys[row["order_id"]]}
    return {**moved, "channel_id": channel.pk} if "channel_id" in row else moved


def _write(model: type[Model], values: dict[str, Any]) -> None:
    if model not in LOOKUPS:
        model._default_manager.create(**values)
        return
    lookup = {name: values.pop(name) for name in LOOKUPS[model]}
    model._default_manager.update_or_create(**lookup, defaults=values)


def _insert(cursor: psycopg.Cursor[Any], model: type[Model], rows: list[dict[str, Any]]) -> list[int]:
    columns = ", ".join(f'"{name}"' for name in rows[0])
    places = ", ".join([f"({', '.join(['%s'] * len(rows[0]))})"] * len(rows))
    documents_in = {field.attname for field in model._meta.concrete_fields if isinstance(field, JSONField)}
    values = [Jsonb(value) if name in documents_in else value for row in rows for name, value in row.items()]
    statement = f"INSERT INTO {model._meta.db_table} ({columns}) VALUES {places} RETURNING id"  # noqa: S608 - our names
    cursor.execute(statement, values)
    return [key for (key,) in cursor.fetchall()]
