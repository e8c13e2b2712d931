"""After six hours of outage at a channel's own limit: how much longer than the limit itself dictates, and in which
order. The clock is simulated: calls take no time, only the limit does.
"""

import itertools
import math
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

from django.db.models import Min

from connectors import ledger, registry, work
from connectors.ledger import Step
from connectors.models import Connection, Job
from connectors.work import Desk
from monitoring.bench.ledger import idle_connection
from monitoring.bench.measure import Report

CHANNEL, OPERATION = "amazon", "getOrder"
OUTAGE = timedelta(hours=6)
ORDERS_A_MINUTE = 6
# The dispatcher looks once a second.
TICK = 1.0


class Clock:
    """In place of the `time` module and of `timezone.now`, where work and budget look."""

    def __init__(self) -> None:
        self.seconds = datetime(2026, 11, 20, 6, tzinfo=UTC).timestamp()

    def time(self) -> float:
        return self.seconds

    monotonic = perf_counter = time

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)


def run() -> Report:
    report = Report()
    connection = idle_connection(CHANNEL, {})
    finished: list[Job] = []

    def one_call(desk: Desk, job: Job) -> None:
        desk.purse.admit(OPERATION)
        finished.append(job)
        desk.finish(job)

    with simulated() as clock:
        orders = _announced(connection, clock)
        begun = clock.seconds
        while Job.objects.exclude(state=Job.State.DONE).exists():
            connection.refresh_from_db()
            if not work.drain(connection, {"fetch": one_call}, lambda job, failure: None, lambda: False):
                wait(connection, clock)
        minutes = (clock.seconds - begun) / 60
    limit = _limit_minutes(orders)
    report.add(
        "catchup: six hours' orders", f"{minutes:.1f} min for {orders}", f"the limit's own time: {limit:.1f} min",
        minutes / limit, at_most=1.05,
    )  # fmt: skip
    late = sum(after.priority > before.priority for before, after in itertools.pairwise(finished))
    report.add("catchup: nearest deadline first", f"{late} jobs out of turn", "none", late, at_most=0)
    report.saw("bench")
    return report


def _announced(connection: Connection, clock: Clock) -> int:
    """The orders of six hours, each with its own deadline, in the order they were placed."""
    amount = int(OUTAGE.total_seconds() / 60 * ORDERS_A_MINUTE)
    chance = random.Random(1)
    steps = [Step(connection.pk, "fetch", str(number), priority=chance.randint(-9, 40)) for number in range(amount)]
    for start in range(0, amount, 500):
        ledger.ask(steps[start : start + 500], clock.now())
    return amount


def wait(connection: Connection, clock: Clock) -> None:
    """Until the dispatcher finds something due."""
    due = Job.objects.filter(state__in=ledger.OPEN).aggregate(first=Min("due_at"))["first"]
    connection.refresh_from_db()
    next_at = max(due or clock.now(), connection.rest_until or clock.now()).timestamp()
    clock.seconds = max(math.ceil(next_at / TICK) * TICK, clock.seconds + TICK)


def _limit_minutes(orders: int) -> float:
    (rate,) = (rate for rate in registry.service(CHANNEL).rates if OPERATION in rate.operations)
    return (orders - rate.burst) / rate.per_second / 60


@contextmanager
def simulated() -> Iterator[Clock]:
    clock = Clock()
    with ExitStack() as stack:
        for module in ("connectors.work", "connectors.budget"):
            stack.enter_context(patch(f"{module}.time", clock))
        stack.enter_context(patch("django.utils.timezone.now", clock.now))
        yield clock
