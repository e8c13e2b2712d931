"""A seller with the simulated Mercado Livre, Amazon and Bling, what workers and clock do in the test's own thread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

from django.utils import timezone

from connectors import actions, ledger, operations, polling, work
from connectors.models import Connection, Job
from connectors.simulation import world
from hub.models import Seller
from monitoring.models import DayCount
from monitoring.reconciliation import census, checks, days


class Market:
    def __init__(self, simulated: world.World, connections: Mapping[str, Connection], seller: Seller) -> None:
        self.simulated, self.connections, self.seller = simulated, connections, seller

    def sim(self, kind: str) -> Any:
        return self.simulated.simulator(kind)

    @property
    def today(self) -> date:
        return days.today(self.seller)

    def push(self, kind: str, *numbers: str) -> None:
        """What a push does: the sale is fetched."""
        for number in numbers:
            actions.fetch_one(self.connections[kind], number, "")
        self.work()

    def poll(self, kind: str) -> None:
        Connection.objects.filter(kind=kind).update(next_poll_at=timezone.now(), rest_until=None)
        polling.poll(self.connections[kind].pk, lambda: False)
        self.work()

    def work(self) -> None:
        for _round in range(2):
            Job.objects.filter(state__in=ledger.OPEN).exclude(operation="read_erp").update(due_at=timezone.now())
            for connection in self.connections.values():
                connection.refresh_from_db()
                while work.drain(connection, operations.OPERATIONS, operations.refused, lambda: False):
                    pass

    def compare(self) -> None:
        census.compare_now([self.seller.pk], self.today - timedelta(days=1), self.today)
        self.work()
        while checks.settle():
            self.work()

    def counts(self, kind: str) -> dict[str, int]:
        """Of both days together: a test may run at midnight."""
        rows = DayCount.objects.filter(connection=self.connections[kind])
        names = ("channel_count", "hub_count", "due_count", "erp_count", "on_the_way", "repaired")
        return {name: sum(getattr(row, name) for row in rows) for name in names}


@contextmanager
def open_market(*kinds: str) -> Iterator[Market]:
    simulated = world.start(kinds)
    try:
        seller = Seller.objects.create(name="Loja", slug="loja")
        connections = world.connect(simulated, seller, calls_per_second=0)
        Connection.objects.update(start_at=timezone.now() - timedelta(days=3))
        yield Market(simulated, connections, seller)
    finally:
        simulated.stop()
