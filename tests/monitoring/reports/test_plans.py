"""No report reads all orders: the planner's own word, on enough of them that it has the choice."""

import pytest
from django.db import connection
from django.utils import timezone

from monitoring.bench import many_orders
from monitoring.bench.reports import sequential_scans
from monitoring.reports import usual
from monitoring.reports.base import REPORTS, Scope

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite's planner is another one"),
]


def test_no_statement_of_any_report_reads_all_orders() -> None:
    shop = many_orders.shop()
    many_orders.fill(shop, 20_000)
    assert usual.learn() > 0
    scope = Scope((shop.seller.pk,), timezone.now())
    for name in REPORTS:
        assert sum(REPORTS[name].counts(scope).values()), f"the generator makes nothing for {name}"
    assert sequential_scans(shop.seller.pk) == []
