"""A long period is read from months: it says what its days say, and reads few rows."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any
from unittest.mock import patch

import pytest
import time_machine
from django.apps import apps
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitoring.insights import reading, tally
from monitoring.insights.reading import Period, read
from monitoring.models import PaceOfDay, PaceOfMonth, ProductOfDay, ProductOfMonth
from orders.ingest import ingest
from orders.models import Order, SalesChannel
from tests.monitoring.insights.recount import kept, recounted
from tests.monitoring.insights.test_counting import shop
from tests.orders.factory import NOW, document, item, totals

pytestmark = pytest.mark.django_db

DAYS = 140
days = st.integers(0, DAYS)


def sell(channel: SalesChannel, number: str, back: int, sku: str, **changes: Any) -> None:
    items = (item("1", sku=sku, title=f"Product {sku} {back % 3}"),)
    placed = NOW - timedelta(days=back, hours=back % 7)
    ingest(channel, [document(number, placed_at=placed, items=items, totals=totals(items), **changes)])


def said(channels: list[int], period: Period, before: Period) -> Any:
    found = read(channels, period, before, NOW.date())
    stages = [{code: spread.as_json() for code, spread in side.items()} for side in (found.stages, found.stages_before)]
    return found.products, found.hours, stages, found.whole, dict(found.channels), dict(found.states)


@given(
    sales=st.lists(st.tuples(days, st.sampled_from("AB")), max_size=12), periods=st.lists(days, min_size=4, max_size=4)
)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_months_and_days_say_the_same(db: None, sales: list[tuple[int, str]], periods: list[int]) -> None:
    Order.objects.all().delete()
    SalesChannel.objects.all().delete()
    first, second = shop(), shop("Asia/Tokyo")
    with time_machine.travel(NOW, tick=False):
        for number, (back, sku) in enumerate(sales):
            sell((first, second)[number % 2], str(number), back, sku)
        tally.count_all()
        assert kept() == recounted()
        a, b, c, d = (NOW.date() - timedelta(days=back) for back in periods)
        chosen = [first.pk, second.pk], Period(min(a, b), max(a, b)), Period(min(c, d), max(c, d))
        by_months = said(*chosen)
        with patch.object(Period, "months", []):
            assert said(*chosen) == by_months


def test_a_sale_that_comes_back_leaves_its_month(db: None) -> None:
    channel = shop()
    with time_machine.travel(NOW, tick=False) as clock:
        sell(channel, "a", 60, "A", version=1)
        tally.count_all()
        assert ProductOfMonth.objects.get().month == (NOW - timedelta(days=60)).date().replace(day=1)
        clock.shift(timedelta(hours=1))
        Order.objects.update(status="cancelled", changed_at=NOW + timedelta(hours=1))
        tally.tick()
    assert not ProductOfMonth.objects.exists() and not PaceOfMonth.objects.exists()
    assert kept() == recounted()


def test_the_night_mends_a_month_whose_days_are_right() -> None:
    channel = shop()
    with time_machine.travel(NOW, tick=False) as clock:
        sell(channel, "a", 50, "A")
        tally.count_all()
        ProductOfMonth.objects.update(revenue=Decimal(1))
        PaceOfMonth.objects.all().delete()
        clock.shift(timedelta(minutes=1))
        assert tally.tick() == 0
        clock.shift(timedelta(days=1))
        assert tally.tick() == 2
        assert kept() == recounted()
        assert tally.tick() == 0


@pytest.mark.parametrize(
    ("first", "last", "months", "edges"),
    [
        (date(2026, 1, 1), date(2026, 1, 31), [1], 0),
        (date(2026, 1, 2), date(2026, 2, 27), [], 57),
        (date(2026, 1, 31), date(2026, 4, 1), [2, 3], 2),
        (date(2024, 2, 1), date(2024, 2, 28), [], 28),
        (date(2024, 2, 1), date(2024, 2, 29), [2], 0),
    ],
)
def test_whole_months_and_the_days_around_them(first: date, last: date, months: list[int], edges: int) -> None:
    period = Period(first, last)
    assert [month.month for month in period.months] == months
    channel = shop()
    PaceOfDay.objects.bulk_create(PaceOfDay(channel=channel, day=first + timedelta(days=n)) for n in range(-70, 140))
    assert PaceOfDay.objects.filter(period.edges).count() == edges


def test_of_whole_months_the_days_are_not_read() -> None:
    channel = shop()
    period = Period(date(2026, 1, 1), date(2026, 12, 31))
    sale: dict[str, Any] = {"channel": channel, "product": "A", "currency": "BRL", "pieces": 1, "revenue": 2}
    ProductOfDay.objects.bulk_create(ProductOfDay(day=day, **sale) for day in period.days())
    assert not reading._sold([channel.pk], period)
    _of_the_migration()
    assert reading._sold([channel.pk], period)["A"]["revenue"] == Decimal(730)


def test_what_was_counted_before_there_were_months_is_added_up() -> None:
    channel, other = shop(), shop("Asia/Tokyo")
    with time_machine.travel(NOW, tick=False):
        for number in range(12):
            sell((channel, other)[number % 2], str(number), 11 * number, "AB"[number % 2])
        tally.count_all()
        wanted = kept()
        for model in (ProductOfMonth, PaceOfMonth):
            model.objects.all().delete()
        _of_the_migration()
    assert kept() == wanted


def _of_the_migration() -> None:
    import_module("monitoring.migrations.0010_months_and_file_order").add_up(apps, None)
