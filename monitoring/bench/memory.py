"""A worker's memory after a hundred thousand jobs, against the same worker's after a thousand."""

import sys
import time

from django.db import connection as database
from django.utils import timezone

from connectors import ledger
from connectors.ledger import Step
from connectors.models import Connection, Job, Link
from connectors.simulation import world
from monitoring.bench import documents, servers
from monitoring.bench.hub import Hub, hub
from monitoring.bench.measure import Report, memory_kb
from orders.ingest import Ingested, ingest

FEW, MANY = 1_000, 100_000
# By then every task of the clock's minute has run: the code it loads is no job's.
WARM_SECONDS = 75
BATCH = 1_000


def run() -> Report:
    """The jobs find their order in the ERP already and so make no call; polls with calls go on meanwhile."""
    report = Report()
    # What is measured is memory: the jobs need not wait for the disk.
    with database.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{database.settings_dict["NAME"]}" SET synchronous_commit = off')
    with hub(concurrency=1, poll_seconds=1, kinds=(world.ERP,)) as started:
        erp = started.connections[world.ERP]
        order = _linked_order(erp)
        _work_off(erp, order, 0, FEW)
        time.sleep(WARM_SECONDS)
        child, few = _child(started), _resident(started)
        _work_off(erp, order, FEW, MANY)
        many = _resident(started)
        assert _child(started) == child  # noqa: S101 - another process's memory says nothing of this one's
        started.memory(report)
    report.add(
        "memory: worker after 100,000 jobs", f"{many / 1024:.1f} MB", f"after 1,000: {few / 1024:.1f} MB",
        many / few, at_most=1.05,
    )  # fmt: skip
    return report


def _linked_order(erp: Connection) -> int:
    (result,) = ingest(documents.channel("memory"), documents.page("memory", 1))
    assert isinstance(result, Ingested)  # noqa: S101 - a new order is taken
    Link.objects.create(order=result.order, connection=erp, external_id="1", read_at=timezone.now(), complete=True)
    return result.order.pk


def _work_off(erp: Connection, order: int, first: int, last: int) -> None:
    """Never many waiting: a claim among a hundred thousand would measure the database."""
    waiting = Job.objects.filter(connection=erp, state__in=ledger.OPEN)
    for start in range(first, last, BATCH):
        ledger.ask([Step(erp.pk, "export", f"order:{number}", order) for number in range(start, start + BATCH)])
        servers.wait_until(lambda: waiting.count() < BATCH, 120, "a batch of jobs is done", 0.2)
        if start % (10 * BATCH) == 0:
            sys.stderr.write(f"memory: {start:,} of {last:,} jobs\n")
    servers.wait_until(lambda: not waiting.exists(), 120, f"{last} jobs are done", 0.2)


def _child(started: Hub) -> int:
    """The process that does the jobs."""
    worker = next(program for program in started.programs if program.name == "worker")
    return worker.family()[1]


def _resident(started: Hub) -> int:
    return memory_kb(_child(started))
