"""What a small seller notices of a big one's backlog."""

import os
import statistics
import time

from connectors import ledger, planning
from connectors.models import Connection, Job
from connectors.simulation import world
from hub.models import Seller
from monitoring.bench import documents, servers
from monitoring.bench.measure import Report
from orders.ingest import Ingested, ingest
from orders.models import Order, SalesChannel

BACKLOG = 10_000
TRIES = 12
# A call to a real service takes about this long.
CALL_SECONDS = 0.1


def run() -> Report:
    report = Report()
    simulated = {name: world.start((world.ERP,), options={world.ERP: {"delay": CALL_SECONDS}}) for name in "ab"}
    big, small = (_seller(name, simulated[name]) for name in "ab")
    with (
        servers.folder("bench") as folder,
        servers.worker(os.environ, folder) as worker,
        servers.beat(os.environ, folder),
    ):
        _waits(small, "warm")
        alone = _waits(small, "alone")
        _line_up(big)
        servers.wait_until(lambda: _done(big) >= 10, 60, "the big seller's jobs run")
        beside = _waits(small, "beside")
        assert _left(big) > BACKLOG / 2  # noqa: S101 - a figure without a backlog is none
        for number, pid in enumerate(worker.family()):
            report.saw(f"worker {number}", pid)
    for one in simulated.values():
        one.stop()
    extra, job = max(statistics.median(beside) - statistics.median(alone), 0.0), _job_seconds(big)
    report.add(
        "fairness: extra wait of seller B", f"{extra * 1000:.0f} ms behind {BACKLOG:,} jobs of A",
        f"one job of A: {job * 1000:.0f} ms", extra / job, at_most=1,
    )  # fmt: skip
    return report


def _seller(name: str, simulated: world.World) -> tuple[Connection, SalesChannel]:
    seller = Seller.objects.create(name=name, slug=f"bench-{name}")
    erp = world.connect(simulated, seller, calls_per_second=0, poll_seconds=3600)[world.ERP]
    return erp, SalesChannel.objects.create(seller=seller, kind="bench", name=name)


def _line_up(seller: tuple[Connection, SalesChannel]) -> None:
    for start in range(0, BACKLOG, 500):
        _export(seller, f"backlog{start}", 500)


def _export(seller: tuple[Connection, SalesChannel], name: str, size: int) -> list[Order]:
    erp, channel = seller
    results = ingest(channel, documents.page(name, size))
    orders = [result.order for result in results if isinstance(result, Ingested)]
    ledger.ask([planning.export_step(erp, order) for order in orders])
    return orders


def _waits(seller: tuple[Connection, SalesChannel], name: str) -> list[float]:
    """Seconds from the moment a job is due to when a worker has it, one job at a time."""
    found = []
    for number in range(TRIES):
        (order,) = _export(seller, f"{name}{number}", 1)
        done = Job.objects.filter(connection=seller[0], order=order, state=Job.State.DONE)
        servers.wait_until(done.exists, 60, "the small seller's job is done")
        job = done.get()
        assert job.claimed_at is not None  # noqa: S101 - it is done
        found.append((job.claimed_at - job.asked_at).total_seconds())
        time.sleep(0.05 + number * 0.013)
    return found


def _done(seller: tuple[Connection, SalesChannel]) -> int:
    return Job.objects.filter(connection=seller[0], state=Job.State.DONE).count()


def _left(seller: tuple[Connection, SalesChannel]) -> int:
    return Job.objects.filter(connection=seller[0], state=Job.State.READY).count()


def _job_seconds(seller: tuple[Connection, SalesChannel]) -> float:
    """An export is committed the moment it is done; the median of them."""
    spans = Job.objects.filter(connection=seller[0], state=Job.State.DONE).values_list("claimed_at", "finished_at")
    return statistics.median((end - start).total_seconds() for start, end in spans if start and end)
