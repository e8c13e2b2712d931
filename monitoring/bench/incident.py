"""An ERP away for an hour with 10,000 orders waiting: one incident, one alert, nothing lost, nothing twice. And what a
burst of equal failures costs: writes for each, and seconds for the look that groups them, against a hundredth of it.

The ERP is a function here and the clock is simulated; ledger, circuit, incidents and alerts are the hub's own.
"""

import statistics
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from connectors import ledger, operations, work
from connectors.failures import Category, Failure, Refusal
from connectors.ledger import Step
from connectors.models import Connection, Job
from connectors.work import Desk, Operation
from hub import vault
from monitoring.alerts import watch
from monitoring.bench.catchup import Clock, simulated, wait
from monitoring.bench.ledger import idle_connection
from monitoring.bench.measure import Report, statements
from monitoring.incidents import gather
from monitoring.models import Alert, AlertRule, Delivery, Destination, Incident
from orders.models import Order, OrderEvent, SalesChannel
from orders.vocabulary import OrderStatus

ORDERS, FEW = 10_000, 100
OUTAGE = timedelta(hours=1)
# In production incidents are looked at each 5 s and alerts each 30 s; a look finds the same whatever the pause.
LOOK_EACH = 30.0
LOOKS = 5
WRITES = ("INSERT", "UPDATE", "DELETE", "WITH")


class Away:
    """An ERP that answers nothing until the hour is over, and then counts what it creates."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.back_at = clock.seconds + OUTAGE.total_seconds()
        self.created: Counter[str] = Counter()

    def create(self, desk: Desk, job: Job) -> None:
        if self.clock.seconds < self.back_at:
            raise Failure(Category.TRANSIENT, "The service is failing at the moment.", code="503")
        self.created[job.key] += 1
        Order.objects.filter(jobs=job).update(exported_at=self.clock.now())
        desk.finish(job)


def refuse(desk: Desk, job: Job) -> None:
    raise Refusal(f"Bling has no product with the code 'SKU-{job.pk}'.", code="sku")


def run() -> Report:
    report = Report()
    connection = idle_connection()
    outage(report, connection, ORDERS)
    _burst(report, connection)
    report.saw("bench")
    return report


# --- An hour away -----------------------------------------------------------------------------------------------------


def outage(report: Report, connection: Connection, amount: int) -> None:
    started = time.perf_counter()
    with simulated() as clock:
        _morning(connection, clock)
        erp = Away(clock)
        _line_up(connection, amount, clock)
        most = _work_off(connection, clock, erp)
        minutes = (clock.seconds - erp.back_at) / 60
        clock.seconds += 2 * gather.QUIET.total_seconds()
        for _turn in range(2):
            _look(connection, clock)
            clock.seconds += 2 * gather.QUIET.total_seconds()
        left = Incident.objects.exclude(state=Incident.State.RESOLVED).count()
    seconds = time.perf_counter() - started
    wrong = amount - len(erp.created) + sum(times > 1 for times in erp.created.values())
    found = Incident.objects.count()
    report.add("incident: an hour's outage", f"{found} incident, {most:,} held up", "one", abs(found - 1), at_most=0)
    _count_alerts(report, connection)
    report.add("incident: when it is over", f"{left} open by themselves", "none", left, at_most=0)
    report.add("incident: lost or twice", f"{wrong} of {amount:,} orders", "none", wrong, at_most=0)
    report.add("incident: back at work", f"{minutes:.1f} min ({seconds:.0f} s here)", "a minute", minutes, at_most=1)


def _morning(connection: Connection, clock: Clock) -> None:
    """Outside the quiet hours, with the rules every seller has and somebody to call."""
    clock.seconds += timedelta(hours=8).total_seconds()
    Connection.objects.filter(pk=connection.pk).update(last_poll_ok_at=clock.now())
    AlertRule.objects.filter(seller=connection.seller).delete()
    watch.look(connection.seller, clock.now())
    phone = Destination.objects.create(
        seller=connection.seller, name="Bench", kind=Destination.Kind.CHAT, sealed=vault.seal({"url": "https://bench/"})
    )
    for rule in AlertRule.objects.filter(seller=connection.seller).exclude(kind=AlertRule.Kind.DIGEST):
        rule.destinations.set([phone])


def _look(connection: Connection, clock: Clock) -> None:
    gather.gather()
    watch.look(connection.seller, clock.now())


def _count_alerts(report: Report, connection: Connection) -> None:
    """One cause is told of when it begins and when it is over, whatever else looks late meanwhile."""
    told = Alert.objects.filter(seller=connection.seller, told__gt=0).count()
    messages = Delivery.objects.filter(destination__seller=connection.seller).order_by("pk")
    said = ", ".join(messages.values_list("purpose", flat=True))
    report.add("incident: alerts sent", f"{told} alert ({said})", "one", abs(told - 1), at_most=0)
    report.add("incident: messages of it", f"{len(messages)}", "its beginning and its end", len(messages), at_most=2)


def _line_up(connection: Connection, amount: int, clock: Clock) -> None:
    Job.objects.all().delete()
    Incident.objects.all().delete()
    OrderEvent.objects.all().delete()
    Order.objects.all().delete()
    channel, _made = SalesChannel.objects.get_or_create(seller=connection.seller, kind="amazon", name="Bench")
    now = clock.now()
    orders = Order.objects.bulk_create(
        [
            Order(
                seller=connection.seller, channel=channel, external_id=str(number), version_at=now, placed_at=now,
                content_hash="", status=OrderStatus.APPROVED, approved_at=now, total=Decimal(100),
            )
            for number in range(amount)
        ],
        batch_size=1000,
    )  # fmt: skip
    for start in range(0, amount, 500):
        ledger.ask(
            [Step(connection.pk, "export", f"order:{one.pk}", one.pk) for one in orders[start : start + 500]], now
        )


def _work_off(connection: Connection, clock: Clock, erp: Away) -> int:
    """To the end; returns the most that an incident has held up."""
    looked, most = clock.seconds, 0
    while Job.objects.exclude(state=Job.State.DONE).exists():
        _drain(connection, {"export": erp.create})
        # A rest may last a minute: it is looked at meanwhile.
        before = clock.seconds
        wait(connection, clock)
        clock.seconds = min(clock.seconds, max(before + 1, looked + LOOK_EACH))
        if clock.seconds >= looked + LOOK_EACH:
            looked = clock.seconds
            _look(connection, clock)
            most = max([most, *Incident.objects.values_list("most_blocked", flat=True)])
    return most


def _drain(connection: Connection, doing: Mapping[str, Operation]) -> None:
    connection.refresh_from_db()
    while work.drain(connection, doing, operations.refused, lambda: False):
        pass


# --- A burst ----------------------------------------------------------------------------------------------------------


def _burst(report: Report, connection: Connection) -> None:
    """The same refusal for each order: what a failure writes, and what a look costs, for few and for many."""
    few, many = _refused(connection, FEW), _refused(connection, ORDERS)
    report.add(
        f"incident: writes a failure, {ORDERS:,}", f"{many.writes:.2f} for each", f"{FEW}: {few.writes:.2f}",
        many.writes / few.writes, at_most=1.05,
    )  # fmt: skip
    report.add(
        "incident: statements of a look", f"{many.statements}, {many.milliseconds:.0f} ms",
        f"{FEW}: {few.statements}, {few.milliseconds:.0f} ms", many.statements / few.statements, at_most=1,
    )  # fmt: skip
    report.add("incident: the burst", f"{many.incidents} incident", "one", many.incidents, at_most=1)


@dataclass(frozen=True)
class Burst:
    """`writes` of each failure; of one look after it the statements and the median time."""

    writes: float
    statements: int
    milliseconds: float
    incidents: int


def _refused(connection: Connection, amount: int) -> Burst:
    with simulated() as clock:
        _line_up(connection, amount, clock)
        with statements() as seen:
            _drain(connection, {"export": refuse})
        writes = sum(sql.lstrip().upper().startswith(WRITES) for sql in seen)
        gather.gather()
        took = []
        for _turn in range(LOOKS):
            clock.seconds += 5
            with statements() as seen:
                started = time.perf_counter()
                gather.gather()
                took.append(time.perf_counter() - started)
    return Burst(writes / amount, len(seen), statistics.median(took) * 1000, Incident.objects.count())
