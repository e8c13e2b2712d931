"""Every report on a million orders: its first page with all its counts, and the same at a tenth of that."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from monitoring.bench import many_orders, servers
from monitoring.bench.measure import Report, percentile
from monitoring.reports import base, usual
from monitoring.reports.base import REPORTS, Scope

FEW, MANY = 100_000, 1_000_000
# The two databases take turns, so that a busy moment of the machine hits both; a turn's first look warms up.
TURNS, LOOKS = 25, 4
ROWS = 50
LONGEST_MS = 300
GROWTH = 1.5


def run() -> Report:
    report = Report()
    large = str(connection.settings_dict["NAME"])
    small = f"{large}_few"
    with servers.database(settings.DATABASE_URL, small):
        try:
            sellers = {small: _build(small, FEW), large: _build(large, MANY)}
            taken = _measure(sellers)
        finally:
            _use(large)
    for name in REPORTS:
        few, many = (percentile(taken[database][name], 0.95) for database in (small, large))
        figure = f"{many:.1f} ms at {MANY:,}"
        report.add(f"{name}: p95", figure, f"{LONGEST_MS} ms", many / LONGEST_MS, at_most=1)
        report.add(f"{name}: growth", figure, f"{few:.1f} ms at {FEW:,}", many / few, at_most=GROWTH)
    scans = sequential_scans(sellers[large])
    report.add("statements that read all orders", str(len(scans)), "0", len(scans), at_most=0)
    report.saw("bench")
    return report


def _use(database: str) -> None:
    connection.close()
    connection.settings_dict["NAME"] = database


def _build(database: str, amount: int) -> int:
    """A shop of so many orders, with what is usual there learnt; its seller."""
    _use(database)
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        # What people search orders by: it takes as long to build as all else, and no report asks it.
        cursor.execute("DROP INDEX IF EXISTS order_search")
    shop = many_orders.shop()
    many_orders.fill(shop, amount)
    usual.learn()
    return shop.seller.pk


def _measure(sellers: dict[str, int]) -> dict[str, dict[str, list[float]]]:
    """database -> report -> what a page's work took, ms."""
    taken: dict[str, dict[str, list[float]]] = {database: {name: [] for name in REPORTS} for database in sellers}
    for _turn in range(TURNS):
        for database, seller in sellers.items():
            _use(database)
            for name, found in taken[database].items():
                found += [_page(name, seller) for _look in range(1 + LOOKS)][1:]
    return taken


def _page(name: str, seller: int) -> float:
    started = time.perf_counter()
    look(REPORTS[name], seller)
    return (time.perf_counter() - started) * 1000


def look(report: base.Report, seller: int) -> None:
    """What a page of the report asks the database."""
    scope = Scope((seller,), timezone.now())
    report.counts(scope)
    report.rows(scope, ROWS)


def sequential_scans(seller: int) -> list[str]:
    """The reports' statements that read the table of orders from one end to the other, by the planner's word."""
    asked: list[tuple[str, Any]] = []
    with _noting(lambda sql, params: asked.append((sql, params))):
        for report in REPORTS.values():
            look(report, seller)
            report.oldest(Scope((seller,), timezone.now()))
    with connection.cursor() as cursor:
        return [sql for sql, params in asked if _scans(cursor, sql, params)]


def _scans(cursor: Any, sql: str, params: Any) -> bool:
    cursor.execute(f"EXPLAIN {sql}", params)
    return any("Seq Scan on orders_order " in line for (line,) in cursor.fetchall())


@contextmanager
def _noting(note: Callable[[str, Any], None]) -> Iterator[None]:
    def noting(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().startswith("SELECT"):
            note(sql, params)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(noting):
        yield
