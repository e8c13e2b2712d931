"""The proof of each day: channel, hub and ERP count the same, or the missing ones are named."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from connectors import ledger
from connectors.failures import LeaseLost
from connectors.models import Connection, Job
from connectors.work import Desk
from monitoring.models import DayCount, Finding, Listed
from monitoring.reconciliation import census, checks
from orders import doors
from orders.models import Order
from tests.monitoring.reconciliation.shop import now

if TYPE_CHECKING:
    from tests.monitoring.reconciliation.shop import Shop


def counts(count: DayCount) -> tuple[int, ...]:
    return count.channel_count, count.hub_count, count.due_count, count.erp_count


def test_a_day_without_a_gap_closes(shop: Shop) -> None:
    shop.sell("A1", "A2", "A3")
    shop.compare()
    assert counts(shop.count()) == (3, 3, 3, 3)
    assert shop.count().closes and not Finding.objects.exists()


def test_each_sale_that_was_never_told_is_named_then_brought_in_by_the_sweep_and_counted(shop: Shop) -> None:
    lost = {f"N{number:03}" for number in range(0, 100, 20)}
    shop.toys.shop.untold |= lost
    shop.sell(*(f"N{number:03}" for number in range(100)))
    assert Order.objects.count() == 95

    census.compare_now([shop.toys.seller.pk], shop.day, shop.day)
    while Listed.objects.filter(connection=shop.toys.channel).count() < 100:
        shop.toys.drain(shop.toys.channel)
    count = shop.count()
    assert (count.channel_count, count.hub_count) == (100, 95)
    assert set(count.missing_in_hub) == lost
    assert {row.key for row in Finding.objects.filter(kind="missing_in_hub")} == lost

    shop.settle()
    assert Order.objects.count() == 100
    count = shop.count()
    assert (count.hub_count, count.repaired, count.missing_in_hub) == (100, 5, [])
    assert set(Finding.objects.values_list("state", "repair", "repaired_by")) == {("mended", "reread_channel", "")}
    # And they go on to the ERP like all others.
    shop.compare()
    assert counts(shop.count()) == (100, 100, 100, 100) and shop.count().repaired == 5


def test_the_list_is_read_page_by_page_and_goes_on_where_a_worker_died(shop: Shop) -> None:
    shop.sell(*(f"P{number}" for number in range(45)))
    census.compare_now([shop.toys.seller.pk], shop.day, shop.day)
    desk = Desk(shop.toys.channel)
    (job,) = ledger.claim(shop.toys.channel, 1)
    desk.lease = ledger.Lease(job.lease, now() + ledger.LEASE)
    census.count(desk, job)
    desk.close()
    job.refresh_from_db()
    assert (job.state, job.input["listed"], job.input["cursor"]) == ("ready", 20, {"from": 20})
    assert not DayCount.objects.filter(connection=shop.toys.channel, counted_at__isnull=False).exists()
    shop.settle()
    assert counts(shop.count()) == (45, 45, 45, 45)
    # Three pages, none of them twice.
    assert shop.toys.shop.requests["GET /census"] == 3


def test_a_worker_that_lost_the_job_sets_nothing_back(shop: Shop) -> None:
    shop.sell("A1")
    census.compare_now([shop.toys.seller.pk], shop.day, shop.day)
    desk = Desk(shop.toys.channel)
    (slow,) = ledger.claim(shop.toys.channel, 1)
    Job.objects.filter(pk=slow.pk).update(lease="another's")
    with pytest.raises(LeaseLost):
        census.count(desk, slow)
    desk.close()
    assert not Listed.objects.exists() and not DayCount.objects.exists()


def test_what_is_on_its_way_is_not_missing(shop: Shop) -> None:
    shop.toys.shop.untold |= {"NEW", "OLD"}
    shop.sell("NEW", at=now() - timedelta(minutes=2))
    shop.compare(shop.day, shop.day + timedelta(days=1))
    today = DayCount.objects.get(connection=shop.toys.channel, day=shop.day + timedelta(days=1))
    assert (today.channel_count, today.on_the_way, today.missing_in_hub) == (0, 1, [])
    assert not Finding.objects.exists()


def test_sales_from_before_the_hub_looked_are_not_missing(shop: Shop) -> None:
    Connection.objects.update(start_at=now())
    shop.toys.shop.untold |= {"OLD"}
    shop.sell("OLD", "KNOWN")
    shop.compare()
    assert counts(shop.count())[:2] == (1, 1) and not Finding.objects.exists()


def test_unpaid_held_and_cancelled_sales_and_waiting_jobs_are_not_due_in_the_erp(shop: Shop) -> None:
    shop.sell("UNPAID", status="waiting")
    shop.sell("GONE", status="cancelled")
    shop.sell("HELD", status="waiting")
    doors.hold(shop.order("HELD"), "ana")
    shop.toys.shop.orders["HELD"].update(status="paid", version=2)
    Connection.objects.filter(pk=shop.toys.books.pk).update(state="paused")
    shop.sell("WAITS")
    Connection.objects.filter(pk=shop.toys.books.pk).update(state="active")
    shop.toys.books.refresh_from_db()
    Job.objects.filter(operation="export").update(due_at=now() + timedelta(hours=1))
    shop.compare()
    assert counts(shop.count()) == (4, 4, 0, 0)
    assert shop.count().closes and not Finding.objects.exists()


def test_an_order_that_the_erp_refused_is_named_but_has_its_own_report(shop: Shop) -> None:
    shop.sell("BAD", sku="GONE")
    shop.sell("GOOD")
    shop.compare()
    count = shop.count()
    assert counts(count) == (2, 2, 2, 1) and count.missing_in_erp == ["BAD"]
    assert not Finding.objects.exists()


def test_the_day_is_the_sellers(shop: Shop) -> None:
    """22 h in São Paulo is the next day in UTC."""
    shop.sell("EVENING", at=shop.noon + timedelta(hours=10))
    shop.sell("MIDNIGHT", at=shop.noon + timedelta(hours=12))
    shop.compare(shop.day, shop.day + timedelta(days=1))
    assert counts(shop.count()) == (1, 1, 1, 1)
    after = DayCount.objects.get(connection=shop.toys.channel, day=shop.day + timedelta(days=1))
    assert counts(after) == (1, 1, 1, 1)


def test_a_sale_that_cannot_be_read_stays_named_and_says_why(shop: Shop) -> None:
    shop.toys.shop.untold |= {"ODD"}
    shop.sell("ODD", quantity="many")
    shop.compare()
    row = shop.found("missing_in_hub")
    assert row.state == "open" and shop.count().missing_in_hub == ["ODD"]
    assert "quantity" in row.reason


def test_the_hourly_and_the_nightly_round_come_once(shop: Shop) -> None:
    assert census.schedule() >= 2
    asked = Job.objects.filter(operation="census")
    assert set(asked.values_list("priority", flat=True)) == {census.PRIORITY}
    assert census.schedule() == 0
    shop.toys.drain()
    assert set(asked.values_list("state", flat=True)) == {"done"}
    assert census.schedule() == 0
    assert census.schedule(now() + timedelta(minutes=61)) == 2
    assert checks.settle() == 0
