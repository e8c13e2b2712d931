"""The job ledger: the queue in the database.

Constraints that fight each other: a job must not be lost (so it is a row, written with the change that calls for
it), not be done twice (unique key; a lease token checked on every write-back; an uncertain write is looked up before
it is repeated), not wait for a dead worker (leases expire within seconds), and cost little (jobs are claimed and
finished in batches, one statement each).

The claim is raw SQL because it must be one statement: `UPDATE … WHERE id IN (SELECT … FOR UPDATE SKIP LOCKED)
RETURNING`. SQLite's immediate transactions need no lock clause.
"""

import json
import random
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection as database
from django.db.models import Case, Count, Exists, F, Min, OuterRef, Q, QuerySet, Value, When
from django.utils import timezone

from connectors import hints
from connectors.failures import Category, Failure, LeaseLost, NotYet, cause_of
from connectors.models import Connection, Job
from hub import commits

# A dead worker's jobs come back after this; longer than any one call (`http.TOTAL_SECONDS`) with margin.
LEASE = timedelta(seconds=18)
# Doubling from here, with full jitter; the ceiling keeps an order from waiting longer than that after an outage ends.
FIRST_WAIT = timedelta(seconds=4)
LONGEST_WAIT = timedelta(minutes=10)
# About three days at the ceiling: then a person sees it. Seconds-long hiccups are over long before.
LAST_TRY = 440
# A bug of ours will not go away by trying: a few times in case it was the moment.
LAST_TRY_OF_BUGS = 4
# A job that keeps killing its worker ends like any other.
LAST_LOST = 8
DEADLY = Failure(Category.BUG, "The worker died each time it ran this.", code="lost")
# A doubt is settled before anything new is begun; the look-up is also the mildest probe of a service in trouble.
DOUBT_FIRST = 60
OPEN = (Job.State.READY, Job.State.UNKNOWN)
ENDED = "('done', 'refused', 'closed')"
RESTING = "('done', 'refused', 'closed', 'ready')"


@dataclass(frozen=True)
class Step:
    """A job to be: what, about what, for which order."""

    connection_id: int
    operation: str
    key: str
    order_id: int | None = None
    priority: int = 0
    input: dict[str, Any] = field(default_factory=dict)
    due_at: datetime | None = None


def ask(steps: Sequence[Step], now: datetime | None = None) -> None:
    """Each step is due now. A new one becomes a job; a finished one runs again; one that runs now runs once more
    after it; one that waits for its next try is brought forward. A refused or closed one waits for its person; only
    what reads a document runs again, since the document has news.

    One statement, inside the caller's transaction: a change and the work it calls for commit together.
    """
    now = now or timezone.now()
    unique = {(step.connection_id, step.operation, step.key): step for step in steps}
    if not unique:
        return
    # In one order everywhere, so that two changes wait for each other instead of blocking.
    ordered = [unique[key] for key in sorted(unique)]
    with database.cursor() as cursor:
        cursor.execute(_asking(len(ordered)), [value for step in ordered for value in _row(step, now)])
    hints.give(step.connection_id for step in ordered if (step.due_at or now) <= now)


COLUMNS = (
    "connection_id", "operation", "key", "order_id", "priority", "input", "due_at", "asked_at", "state",
    "created_at", "attempts", "absences", "uncertain", "lease", "category", "code", "error", "cause",
)  # fmt: skip


def _row(step: Step, now: datetime) -> tuple[Any, ...]:
    return (
        step.connection_id, step.operation, step.key, step.order_id, step.priority, json.dumps(step.input),
        step.due_at or now, now, Job.State.READY.value, now, 0, 0, False, "", "", "", "", "",
    )  # fmt: skip


def _asking(rows: int) -> str:
    table = Job._meta.db_table
    values = ", ".join([f"({', '.join(['%s'] * len(COLUMNS))})"] * rows)
    return f"""
        INSERT INTO {table} ({", ".join(COLUMNS)}) VALUES {values}
        ON CONFLICT (connection_id, operation, key) DO UPDATE SET
            asked_at = excluded.asked_at,
            input = excluded.input,
            priority = excluded.priority,
            order_id = COALESCE(excluded.order_id, {table}.order_id),
            state = CASE WHEN {table}.state IN {ENDED} THEN 'ready' ELSE {table}.state END,
            attempts = CASE WHEN {table}.state IN {ENDED} THEN 0 ELSE {table}.attempts END,
            due_at = CASE WHEN {table}.state IN {RESTING} THEN excluded.due_at ELSE {table}.due_at END
        WHERE {table}.state NOT IN ('refused', 'closed') OR {table}.operation IN ('fetch', 'read_erp')
    """  # noqa: S608 - names of our own columns; every value is a parameter


# --- Claim -----------------------------------------------------------------------------------------------------


def claim(
    connection: Connection,
    limit: int,
    *,
    parallel: int = 0,
    operations: Sequence[str] = (),
    now: datetime | None = None,
) -> list[Job]:
    """At most `limit` due jobs of the connection, by priority, leased to the caller. The attempt is counted here,
    before the work: a job that kills its worker comes to its end like any other.

    `parallel`: none while that many workers are at it already. `operations`: those that rest are left out.
    """
    now = now or timezone.now()
    lease = uuid.uuid4().hex
    table = Job._meta.db_table
    lock = "FOR UPDATE SKIP LOCKED" if database.features.has_select_for_update_skip_locked else ""
    rest, rest_values = "", list[Any]()
    if operations:
        rest = f"AND operation NOT IN ({', '.join(['%s'] * len(operations))})"
        rest_values = list(operations)
    crowd, crowd_values = "", list[Any]()
    if parallel:
        crowd = f"""AND (SELECT COUNT(DISTINCT lease) FROM {table}
                    WHERE connection_id = %s AND state = 'running' AND lease_until > %s) < %s"""  # noqa: S608
        crowd_values = [connection.pk, now, parallel]
    # The common table is evaluated once; a plain subquery with a lock may be run again by the planner.
    statement = f"""
        WITH picked AS (
            SELECT id FROM {table}
            WHERE connection_id = %s AND state IN ('ready', 'unknown') AND due_at <= %s {rest} {crowd}
            ORDER BY priority DESC, due_at LIMIT %s {lock})
        UPDATE {table} SET
            lease = %s, lease_until = %s, claimed_at = %s, attempts = attempts + 1, state = 'running'
        WHERE id IN (SELECT id FROM picked)
        RETURNING *{_lasting()}
    """  # noqa: S608
    values: list[Any] = [connection.pk, now, *rest_values, *crowd_values, limit, lease, now + LEASE, now]
    return sorted(Job.objects.raw(statement, values), key=lambda job: (-job.priority, job.due_at))


def _lasting() -> str:
    """What creates something outside is begun on the disk: after a crash nobody would look it up there else."""
    if database.vendor != "postgresql":
        return ""
    created = ", ".join(f"'{operation}'" for operation in LOOKED_UP)
    return f", CASE WHEN operation IN ({created}) THEN {commits.LASTING} END AS lasting"


@dataclass
class Lease:
    """What a worker holds: the jobs of one claim that it has not finished yet."""

    token: str
    until: datetime
    lost: bool = False

    def alive(self, seconds: float) -> None:
        """Makes sure that the lease outlasts the next `seconds`, extending it if need be.

        Called before every call to the outside, so that no write is sent by a worker whose job is another's.
        """
        now = timezone.now()
        if not self.lost and now + timedelta(seconds=seconds) < self.until:
            return
        until = now + LEASE
        held = Job.objects.filter(lease=self.token, state=Job.State.RUNNING).update(lease_until=until)
        if self.lost or not held:
            self.lost = True
            raise LeaseLost
        self.until = until


# --- Outcomes --------------------------------------------------------------------------------------------------


def done(job: Job, *, again_at: datetime | None = None) -> bool:
    """Finished; or due again at `again_at`, or at once when it was asked for while it ran. False: lease lost."""
    return bool(finish_all([job], again_at=again_at))


def finish_all(jobs: Iterable[Job], *, again_at: datetime | None = None) -> int:
    """Marks jobs of one lease done, in one statement. Returns how many still were the caller's."""
    jobs = list(jobs)
    if not jobs:
        return 0
    now = timezone.now()
    # Only reads may be asked for again while they run.
    repeatable = ", ".join(f"'{operation}'" for operation in sorted(REPEATABLE))
    again = f"asked_at > claimed_at AND operation IN ({repeatable})"
    if again_at is None:
        news, values = f"CASE WHEN {again} THEN 'ready' ELSE 'done' END", [now]
        due_at, attempts = "%s", f"CASE WHEN {again} THEN 0 ELSE attempts END"
    else:
        news, values = "'ready'", [now, again_at]
        due_at, attempts = "CASE WHEN asked_at > claimed_at THEN %s ELSE %s END", "0"
    statement = f"""
        UPDATE {Job._meta.db_table} SET
            state = {news}, due_at = {due_at}, attempts = {attempts}, finished_at = %s,
            lease = '', lease_until = NULL, category = '', code = '', error = '', cause = '', failed_since = NULL,
            uncertain = %s, absences = 0
        WHERE id IN ({", ".join(["%s"] * len(jobs))}) AND lease = %s AND state = 'running'
    """  # noqa: S608
    with database.cursor() as cursor:
        cursor.execute(statement, [*values, now, False, *(job.pk for job in jobs), jobs[0].lease])
        held: int = cursor.rowcount
    return held


# Operations that follow a document and so run whenever it changes.
REPEATABLE = frozenset({"fetch", "read_erp", "cancel_erp"})


def back(job: Job, due_at: datetime, *, count: bool = False) -> bool:
    """Not now: the job goes back with a due time. `count=False` takes the attempt back that the claim counted."""
    changes: dict[str, Any] = {"lease": "", "lease_until": None, "due_at": due_at}
    if not count:
        changes["attempts"] = max(job.attempts - 1, 0)
    state = Job.State.UNKNOWN if job.uncertain else Job.State.READY
    return bool(Job.objects.filter(pk=job.pk, lease=job.lease, state=Job.State.RUNNING).update(state=state, **changes))


def fail(job: Job, failure: Failure, *, settle: float = 0, now: datetime | None = None) -> Job.State | None:
    """Records a failure and decides what comes next. Returns the job's new state, or None if the lease was lost.

    `settle`: seconds the service may need to commit an uncertain write, before a search for it proves anything.
    """
    now = now or timezone.now()
    state, due_at, attempts = _next(job, failure, settle, now)
    changed = Job.objects.filter(pk=job.pk, lease=job.lease, state=Job.State.RUNNING).update(
        state=state,
        due_at=due_at,
        attempts=attempts,
        lease="",
        lease_until=None,
        category=failure.category.value,
        code=failure.code[:80],
        uncertain=failure.uncertain or job.uncertain,
        absences=0 if failure.uncertain else job.absences,
        error=str(failure)[:2000],
        cause=cause_of(failure),
        failed_since=job.failed_since or now,
        priority=DOUBT_FIRST if state == Job.State.UNKNOWN else job.priority,
    )
    return state if changed else None


def _next(job: Job, failure: Failure, settle: float, now: datetime) -> tuple[Job.State, datetime, int]:
    uncertain = failure.uncertain or job.uncertain
    waiting = Job.State.UNKNOWN if uncertain else Job.State.READY
    if isinstance(failure, NotYet) or failure.category in (Category.RATE_LIMITED, Category.AUTH):
        # Throttled or signed out is not failed: no attempt is burnt.
        due_at = failure.retry_at or now + FIRST_WAIT
        return waiting, due_at, max(job.attempts - 1, 0)
    last = {Category.TRANSIENT: LAST_TRY, Category.BUG: LAST_TRY_OF_BUGS}.get(failure.category, 1)
    if failure.uncertain:
        # Refused for good only after it has been looked up; the mark stays, so that a person's retry looks first, too.
        last = max(last, LAST_TRY_OF_BUGS)
    if job.attempts >= last:
        return Job.State.REFUSED, now, job.attempts
    if failure.uncertain:
        # The first search comes as soon as it proves something. A service that loses every answer gets its rest.
        rest = wait(job.attempts) if job.attempts > 1 else timedelta()
        return waiting, now + max(timedelta(seconds=settle), rest), job.attempts
    return waiting, failure.retry_at or now + wait(job.attempts), job.attempts


def wait(attempts: int) -> timedelta:
    """Full jitter: anything between a second and the exponential value, so that nothing comes back in step."""
    ceiling = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(attempts - 1, 16) if attempts else FIRST_WAIT)
    return timedelta(seconds=random.uniform(1, ceiling.total_seconds()))


def absent(job: Job, settle: float) -> bool:
    """A search for an uncertain write found nothing. True: that is believed (the second time in a row); otherwise the
    job has gone back to be searched for once more, since the service may still have been committing.
    """
    if job.absences:
        return True
    due_at = timezone.now() + timedelta(seconds=settle)
    Job.objects.filter(pk=job.pk, lease=job.lease, state=Job.State.RUNNING).update(
        state=Job.State.UNKNOWN, absences=1, due_at=due_at, lease="", lease_until=None, attempts=F("attempts") - 1
    )
    job.state = Job.State.UNKNOWN
    return False


# --- Recovery --------------------------------------------------------------------------------------------------


def recover(now: datetime | None = None) -> int:
    """Jobs whose worker is gone. A write may have reached the outside: its outcome is unknown and is looked up.
    A job that lost its worker too often goes to a person.
    """
    now = now or timezone.now()
    gone = Job.objects.filter(state=Job.State.RUNNING, lease_until__lt=now)
    # Here too the last try may have arrived: a person's retry looks it up first.
    poisonous = gone.filter(attempts__gte=LAST_LOST, category="lost").update(
        state=Job.State.REFUSED, code="lost", error=str(DEADLY), cause=cause_of(DEADLY), lease="", lease_until=None,
        uncertain=Case(When(operation__in=LOOKED_UP, then=Value(True)), default=F("uncertain")),
    )  # fmt: skip
    cleared = {"lease": "", "lease_until": None, "due_at": now, "category": "lost"}
    writes = gone.filter(operation__in=LOOKED_UP).update(
        state=Job.State.UNKNOWN, uncertain=True, absences=0, priority=DOUBT_FIRST, **cleared
    )
    reads = gone.update(state=Job.State.READY, **cleared)
    return poisonous + writes + reads


# Operations that create something outside and are looked up there after an uncertain end. The others either read,
# or ask the service what it has before they write.
LOOKED_UP = frozenset({"export"})


def give_back(lease: str) -> int:
    """Graceful stop: what was claimed but not begun is another worker's at once."""
    return Job.objects.filter(lease=lease, state=Job.State.RUNNING).update(
        state=Job.State.READY, lease="", lease_until=None, attempts=F("attempts") - 1
    )


def due(now: datetime | None = None) -> list[int]:
    """Connections that have something due, those with the most urgent first."""
    now = now or timezone.now()
    return list(
        Job.objects.filter(state__in=OPEN, due_at__lte=now, connection__state=Connection.State.ACTIVE)
        .filter(Q(connection__rest_until=None) | Q(connection__rest_until__lte=now))
        .filter(Q(connection__throttled_until=None) | Q(connection__throttled_until__lte=now))
        .values_list("connection_id")
        .annotate(oldest=Min("due_at"), waiting=Count("id"))
        .order_by("oldest")
        .values_list("connection_id", flat=True)
    )


def neglected(but: Iterable[int], now: datetime | None = None) -> Connection | None:
    """A connection with something due that nobody works for, other than `but`."""
    now = now or timezone.now()
    mine = Job.objects.filter(connection=OuterRef("pk"))
    return (
        Connection.objects.filter(state=Connection.State.ACTIVE)
        .exclude(pk__in=but)
        .exclude(rest_until__gt=now)
        .exclude(throttled_until__gt=now)
        .filter(Exists(mine.filter(state__in=OPEN, due_at__lte=now)), ~Exists(_running(mine, now)))
        .select_related("seller", "channel", "credential")
        .order_by("?")
        .first()
    )


def busy(connection_id: int) -> bool:
    """Whether another worker works for the connection just now."""
    return _running(Job.objects.filter(connection=connection_id), timezone.now()).exists()


def _running(jobs: QuerySet[Job], now: datetime) -> QuerySet[Job]:
    return jobs.filter(state=Job.State.RUNNING, lease_until__gt=now)
