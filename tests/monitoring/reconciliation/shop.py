"""A shop with a morning's sales, an ERP beside it, and the comparison of the two with the hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any

from django.utils import timezone

from connectors.models import Connection, Job, Link
from monitoring.models import DayCount, Finding
from monitoring.reconciliation import census, checks, days
from orders.models import Order
from tests.support.toy import Toys, toys


class Shop:
    def __init__(self, toys_: Toys) -> None:
        self.toys = toys_
        # Noon, so that no test depends on the hour at which it runs.
        self.noon = days.begins(toys_.seller, days.today(toys_.seller) - timedelta(days=1)) + timedelta(hours=12)
        Connection.objects.update(start_at=self.noon - timedelta(days=30))
        toys_.channel.refresh_from_db()

    @property
    def day(self) -> date:
        return days.day_of(self.toys.seller, self.noon)

    def sell(self, *numbers: str, at: datetime | None = None, **changes: Any) -> None:
        """Sold, told and exported."""
        for number in numbers:
            self.toys.shop.place(number, placed=(at or self.noon).isoformat(), **changes)
        self.toys.poll()
        self.toys.drain()

    def compare(self, first: date | None = None, last: date | None = None) -> None:
        census.compare_now([self.toys.seller.pk], first or self.day, last or self.day)
        self.settle()

    def settle(self) -> None:
        """Everything that is due is done, reads and repairs are looked at."""
        self.toys.drain()
        while checks.settle():
            self.toys.drain()

    def count(self) -> DayCount:
        return DayCount.objects.get(connection=self.toys.channel, day=self.day)

    def open(self, kind: str | None = None) -> list[Finding]:
        rows = Finding.objects.filter(state__in=("open", "repairing")).order_by("pk")
        return list(rows if kind is None else rows.filter(kind=kind))

    def found(self, kind: str) -> Finding:
        (row,) = self.open()
        assert row.kind == kind
        return row

    def order(self, number: str) -> Order:
        return Order.objects.get(external_id=number)

    def link(self, number: str) -> Link:
        return Link.objects.get(order__external_id=number)

    def erp_orders(self, number: str) -> list[dict[str, Any]]:
        return [one for one in self.toys.erp.orders.values() if one["reference"] == number and not one.get("cancelled")]

    def later(self, row: Finding) -> Finding:
        row.refresh_from_db()
        return row

    def jobs(self, **facts: Any) -> list[Job]:
        return list(Job.objects.filter(**facts))


@contextmanager
def open_shop() -> Iterator[Shop]:
    with toys() as playing:
        yield Shop(playing)


def now() -> datetime:
    return timezone.now()
