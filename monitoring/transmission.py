"""Why an order is not in the ERP: one answer for the list, the order's own page, and who must move."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.utils import timezone

from connectors.models import Connection, Job
from orders.models import Order
from orders.vocabulary import OrderStatus


class Obstacle(StrEnum):
    CANCELLED = "cancelled"
    HELD = "held"
    UNPAID = "unpaid"
    REFUSED = "refused"
    CLOSED = "closed"
    NO_ERP = "no_erp"
    STOPPED = "stopped"
    PAUSED = "paused"
    RESTING = "resting"
    DOUBTFUL = "doubtful"
    RUNNING = "running"
    FAILING = "failing"
    WAITING = "waiting"


@dataclass(frozen=True)
class Standing:
    """What is in the way, of which job, at which ERP, where there are any."""

    obstacle: Obstacle
    job: Job | None = None
    erp: Connection | None = None


def standing(order: Order, jobs: Iterable[Job], erps: Sequence[Connection]) -> Standing | None:
    """None where the ERP has it. What only a person can move comes before what moves by itself."""
    if order.exported_at:
        return None
    if order.cancelled_at or order.status == OrderStatus.CANCELLED:
        return Standing(Obstacle.CANCELLED)
    if order.held and order.active_holds:
        return Standing(Obstacle.HELD)
    if order.status == OrderStatus.PENDING:
        return Standing(Obstacle.UNPAID)
    job = _open_export(jobs)
    erp = job.connection if job else _likely(erps)
    if job and job.state in (Job.State.REFUSED, Job.State.CLOSED):
        return Standing(Obstacle(job.state), job, erp)
    return Standing(of_erp(erp) or _of_job(job), job, erp)


def of_erp(erp: Connection | None) -> Obstacle | None:
    """What keeps every order out of this ERP; None where nothing does."""
    if erp is None:
        return Obstacle.NO_ERP
    if erp.state != Connection.State.ACTIVE:
        return Obstacle.STOPPED
    if "export" in erp.paused_flows:
        return Obstacle.PAUSED
    return Obstacle.RESTING if erp.rest_until and erp.rest_until > timezone.now() else None


def _open_export(jobs: Iterable[Job]) -> Job | None:
    """The newest that is not done: one with its person before one that still tries."""
    found = [job for job in jobs if job.operation == "export" and job.state != Job.State.DONE]
    return min(found, key=lambda job: (job.state != Job.State.REFUSED, -job.pk), default=None)


def _likely(erps: Sequence[Connection]) -> Connection | None:
    """Where it would go to, as long as no job says so."""
    running = (erp for erp in erps if erp.state == Connection.State.ACTIVE)
    return next(running, erps[0] if erps else None)


def _of_job(job: Job | None) -> Obstacle:
    if job is None:
        return Obstacle.WAITING
    if job.state == Job.State.UNKNOWN:
        return Obstacle.DOUBTFUL
    if job.state == Job.State.RUNNING:
        return Obstacle.RUNNING
    return Obstacle.FAILING if job.error else Obstacle.WAITING
