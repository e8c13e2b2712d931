"""Another try for what an incident holds up: written down with what it sends, followed to its end, reported."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, F, Q, QuerySet

from connectors import actions, arrivals, hints
from connectors.models import Connection, InboxEntry, Job
from monitoring.incidents import plan
from monitoring.incidents.plan import Choice, Plan
from monitoring.models import Cure, Incident

# What has not come to an end by then is nobody's result any more: the incident goes on counting it.
LONGEST = timedelta(hours=1)
# Documents that are read while the person waits; the worker reads the others (`connectors.recover`).
READ_AT_ONCE = 100
REASONS_SHOWN = 5


@dataclass(frozen=True)
class Progress:
    total: int
    done: int
    failed: int

    @property
    def pending(self) -> int:
        return self.total - self.done - self.failed

    @property
    def percent(self) -> int:
        return 100 * (self.done + self.failed) // self.total if self.total else 100


def begin(incident: Incident, choice: Choice, actor: str) -> tuple[Cure | None, Plan]:
    """Sends what would not fail again, once. None where nothing is left to send: all would fail again, or is on its
    way already. The look comes first and may take a while, so what it found is asked again under the lock.
    """
    found = plan.look(incident, choice)
    with transaction.atomic():
        Incident.objects.select_for_update().get(pk=incident.pk)
        under_way = _under_way(incident)
        jobs = [step.pk for step in found.go if not step.entry and step.pk not in under_way]
        jobs = list(plan.jobs_of(incident, Choice(jobs=jobs)).values_list("pk", flat=True))
        entries = [step.pk for step in found.go if step.entry]
        waiting = InboxEntry.objects.filter(pk__in=entries, state=InboxEntry.State.REJECTED)
        entries = list(waiting.order_by("received_at", "pk").values_list("pk", flat=True))
        if not jobs and not entries:
            return None, found
        cure = Cure.objects.create(
            incident=incident, actor=actor, jobs=jobs, entries=entries, left_out=len(found.left_out)
        )
        actions.retry_all(Job.objects.filter(pk__in=jobs), actor)
        # Whoever dies now, the worker finds them: they wait like any document that was stored.
        waiting.update(state=InboxEntry.State.WAITING)
    _read(incident.connection, entries[:READ_AT_ONCE])
    return cure, found


def _under_way(incident: Incident) -> set[int]:
    """What an earlier press has sent and has not come back."""
    running = Cure.objects.filter(incident=incident, finished_at=None)
    return {pk for cure in running for pk in _pending(cure).values_list("pk", flat=True)}


def _read(connection: Connection, entries: Sequence[int]) -> None:
    if not entries:
        return
    arrivals.read_entries(connection, list(InboxEntry.objects.filter(pk__in=entries)))
    hints.give(Connection.objects.filter(seller=connection.seller_id).values_list("pk", flat=True))


# --- What came of it --------------------------------------------------------------------------------------------------

_ENDED_WELL = (Job.State.DONE, Job.State.CLOSED)


def _failed_again(cure: Cure) -> Q:
    """Refused, or tried since and waiting for the next try."""
    return Q(state=Job.State.REFUSED) | Q(state=Job.State.READY, claimed_at__gt=cure.started_at) & ~Q(error="")


def _pending(cure: Cure) -> QuerySet[Job]:
    return Job.objects.filter(pk__in=cure.jobs).exclude(state__in=_ENDED_WELL).exclude(_failed_again(cure))


def progress(cure: Cure) -> Progress:
    """As it is now; what has been deleted meanwhile is not counted."""
    total = len(cure.jobs) + len(cure.entries)
    if cure.finished_at:
        return Progress(total, cure.done, cure.failed)
    jobs = Job.objects.filter(pk__in=cure.jobs).aggregate(
        all=Count("pk"),
        done=Count("pk", filter=Q(state__in=_ENDED_WELL)),
        failed=Count("pk", filter=_failed_again(cure)),
    )
    entries = InboxEntry.objects.filter(pk__in=cure.entries).aggregate(
        all=Count("pk"),
        failed=Count("pk", filter=Q(state=InboxEntry.State.REJECTED)),
        waiting=Count("pk", filter=Q(state=InboxEntry.State.WAITING)),
    )
    read = entries["all"] - entries["failed"] - entries["waiting"]
    return Progress(jobs["all"] + entries["all"], jobs["done"] + read, jobs["failed"] + entries["failed"])


def reasons(cure: Cure) -> list[tuple[str, int]]:
    """(why it failed again, how many), the most frequent first, of what still fails."""
    jobs = Job.objects.filter(pk__in=cure.jobs).filter(_failed_again(cure))
    entries = InboxEntry.objects.filter(pk__in=cure.entries, state=InboxEntry.State.REJECTED)
    counted = [
        *jobs.order_by().values_list("error").annotate(count=Count("pk")),
        *entries.order_by().values_list(F("error")).annotate(count=Count("pk")),
    ]
    return sorted(counted, key=lambda one: -one[1])[:REASONS_SHOWN]


def settle(now: datetime) -> None:
    """Writes down the result of those that have come to their end."""
    for cure in Cure.objects.filter(finished_at=None):
        reached = progress(cure)
        if not reached.pending or now - cure.started_at > LONGEST:
            Cure.objects.filter(pk=cure.pk).update(finished_at=now, done=reached.done, failed=reached.failed)
