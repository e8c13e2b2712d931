from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from connectors.models import Connection, Exchange, Job
from monitoring.models import Sample
from monitoring.system import samples
from tests.monitoring.world import World, text_of

NOON = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def call(connection: Connection, at: datetime, milliseconds: int = 100, category: str = "") -> None:
    Exchange.objects.create(
        connection=connection, operation="order", method="GET", url="https://x/", started_at=at,
        duration_ms=milliseconds, category=category,
    )  # fmt: skip


def test_a_minute_becomes_one_row_for_each_connection(world: World) -> None:
    for second, milliseconds, category in ((1, 10, ""), (2, 20, ""), (59, 900, "transient"), (30, 5, "rate_limited")):
        call(world.erp, NOON + timedelta(seconds=second), milliseconds, category)
    call(world.erp, NOON + timedelta(seconds=60))
    order = world.order("1")
    world.export_job(order, Job.State.READY, due_at=NOON + timedelta(seconds=20))
    world.export_job(world.order("2"), Job.State.READY, due_at=NOON + timedelta(hours=1))
    assert samples.take(NOON + timedelta(seconds=61)) == 2
    row = Sample.objects.get(connection=world.erp)
    assert (row.at, row.calls, row.failed, row.limited) == (NOON, 4, 1, 1)
    assert (row.median, row.p95) == (20, 900)
    assert (row.backlog, row.oldest) == (1, 40)
    assert Sample.objects.get(connection=world.shop).calls == 0


def test_run_twice_it_writes_once_and_missed_minutes_are_made_good(world: World) -> None:
    samples.take(NOON)
    assert samples.take(NOON + timedelta(seconds=30)) == 0
    call(world.erp, NOON + timedelta(minutes=2))
    assert samples.take(NOON + timedelta(minutes=5)) == 2 * 5
    assert list(Sample.objects.filter(calls=1).values_list("at", flat=True)) == [NOON + timedelta(minutes=2)]


def test_a_day_of_standstill_costs_an_hour_of_rows(world: World) -> None:
    samples.take(NOON)
    assert samples.take(NOON + timedelta(days=1)) == 2 * samples.MOST_MISSED


def test_old_rows_go(world: World) -> None:
    samples.take(NOON)
    samples.take(NOON + samples.KEPT + timedelta(minutes=2))
    assert Sample.objects.filter(at__lt=NOON + timedelta(minutes=1)).count() == 0


def test_points_are_sums_and_gaps_are_points_too(world: World) -> None:
    for minute in (0, 1, 12):
        call(world.erp, NOON + timedelta(minutes=minute), 100 * (minute + 1))
    samples.take(NOON)
    samples.take(NOON + timedelta(minutes=13))
    found = samples.points([world.erp.pk], NOON, NOON + timedelta(minutes=15), timedelta(minutes=5))[world.erp.pk]
    assert [point.calls for point in found] == [2, 0, 1]
    assert [point.median for point in found] == [150, 0, 1300]
    assert found[0].success == 1
    assert found[1].success is None


@pytest.mark.parametrize("span", ["", "day", "week", "nonsense"])
def test_the_page(owner: Client, world: World, other: World, span: str) -> None:
    samples.take()
    page = text_of(owner.get(f"/system/?span={span}"))
    assert world.erp.name in page
    assert other.erp.name not in page
    assert "Parts of the installation" in page
