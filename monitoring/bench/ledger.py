"""Handing out and finishing a job that does nothing, against Celery doing the same with a task."""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.utils import timezone

from connectors import ledger, registry, work
from connectors.ledger import Step
from connectors.models import Connection, Job
from hub.celery import app
from hub.models import Seller
from monitoring.bench import servers
from monitoring.bench.measure import Report
from monitoring.bench.noop import noop

UNLIMITED = {"calls_per_second": 0}
AMOUNT = 3000
RUNS = 5
# The yardstick's list in Redis, and where its tasks are lined up before they are let go. Not the hub's own list: there
# the hints for the ledger's jobs lie.
QUEUE, LINED_UP = "yardstick", "lined-up"


def run() -> Report:
    report = Report()
    connection = idle_connection()
    drained: list[float] = []
    handed: list[float] = []
    celery: list[float] = []
    with servers.folder("bench") as folder, _celery(folder) as worker:
        for turn in range(RUNS + 1):
            figures = (_drain(connection), _hand_out(connection), _tasks())
            if turn:  # the first warms up
                for found, figure in zip((drained, handed, celery), figures, strict=True):
                    found.append(figure)
        for number, pid in enumerate(worker.family()):
            report.saw(f"celery {number}", pid)
    yardstick = statistics.median(celery)
    for name, found in (("ledger: claim and finish", handed), ("ledger: whole worker loop", drained)):
        rate = statistics.median(found)
        report.add(name, f"{rate:,.0f} jobs/s", f"Celery: {yardstick:,.0f} tasks/s", rate / yardstick, at_least=3)
    report.saw("bench")
    return report


def idle_connection(kind: str = "bling", chosen: Mapping[str, Any] = UNLIMITED) -> Connection:
    """An active connection that is never polled."""
    seller, _made = Seller.objects.get_or_create(slug="bench", defaults={"name": "Bench"})
    return Connection.objects.create(
        seller=seller, kind=kind, role=registry.service(kind).role.value, name="Bench", state=Connection.State.ACTIVE,
        settings=dict(chosen), next_poll_at=timezone.now() + timedelta(days=1),
    )  # fmt: skip


def line_up(connection: Connection, amount: int = AMOUNT) -> None:
    Job.objects.all().delete()
    for start in range(0, amount, 500):
        ledger.ask([Step(connection.pk, "noop", str(number)) for number in range(start, min(start + 500, amount))])


def _drain(connection: Connection) -> float:
    """Jobs/s of the worker's own loop: opened, claimed, run and finished as in production, one process."""
    line_up(connection)
    return _rate(lambda: _drain_all(connection))


def _drain_all(connection: Connection) -> None:
    while work.drain(connection, {"noop": work.Desk.finish}, lambda job, failure: None, lambda: False):
        pass


def _hand_out(connection: Connection) -> float:
    """Jobs/s of the ledger alone."""
    line_up(connection)

    def all_of_them() -> None:
        while jobs := ledger.claim(connection, work.LARGEST_CLAIM, parallel=4):
            ledger.finish_all(jobs)

    return _rate(all_of_them)


def _rate(work_off: Callable[[], None]) -> float:
    started = time.perf_counter()
    work_off()
    seconds = time.perf_counter() - started
    assert not Job.objects.exclude(state=Job.State.DONE).exists()  # noqa: S101 - a figure of unfinished work is none
    return AMOUNT / seconds


def _celery(folder: Path) -> servers.HubProcess:
    """A real worker with one process, as the ledger's side has one."""
    return servers.worker(os.environ, folder, "yardstick", 1, ["--include", "monitoring.bench.noop", "--queues", QUEUE])


def _tasks() -> float:
    """Tasks/s: all are in Redis before the worker sees the first."""
    with redis.Redis.from_url(settings.REDIS_URL) as broker, app.connection_for_write() as connection:
        with app.amqp.Producer(connection) as producer:
            for number in range(AMOUNT):
                noop.apply_async((number,), queue=LINED_UP, producer=producer)
        started = time.perf_counter()
        broker.rename(LINED_UP, QUEUE)
        while broker.llen(QUEUE) or broker.hlen("unacked"):
            time.sleep(0.005)
        return AMOUNT / (time.perf_counter() - started)
