"""Keeps what a comparison found: one row per difference for as long as it lasts.

A difference seen in a list is a suspicion until a fresh read says the same. One that the next comparison does not see
any more is mended. What a person has left as it is stays so until the facts change.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, TypeAlias

from django.utils import timezone

from connectors import ledger, planning
from connectors.ledger import Step
from connectors.models import Connection, Job
from monitoring.models import Finding

Kind: TypeAlias = Finding.Kind
State: TypeAlias = Finding.State
SHOWN = (State.OPEN, State.REPAIRING)
LASTING = (*SHOWN, State.SUSPECTED)
CHECKED = "checked"
# Of a fresh read: behind what moves orders, before the lists.
PRIORITY = planning.BACKFILL_PRIORITY
# What a fresh read found to be right is not read again for the same reason before this is over.
TRUSTED = timedelta(hours=24)
# Rows in one statement.
BATCH = 1000
COLUMNS = (
    "seen_at", "facts", "day", "order", "state", "found_at", "ended_at", "repair", "repaired_by", "reason", "job",
    "asked_at",
)  # fmt: skip
# Fresh reads that one comparison may ask for: a list that has gone wrong must not read everything there is.
MOST_READS = 200


@dataclass(frozen=True)
class Difference:
    """`check`: what has to be read first, since the list may be old news; without one it is certain."""

    kind: Kind
    key: str
    day: date
    facts: Mapping[str, Any]
    order_id: int | None = None
    check: Step | None = field(default=None, compare=False)


def record(
    connection: Connection, kinds: Iterable[Kind], first: date, last: date, differences: Sequence[Difference]
) -> list[Finding]:
    """Brings the findings of these kinds and days in line with what was seen. Returns those that have just opened."""
    now = timezone.now()
    known = {
        (row.kind, row.key): row
        for row in Finding.objects.filter(connection=connection, kind__in=list(kinds)).filter(
            key__in=[one.key for one in differences]
        )
    }
    rows = [_seen(connection, one, known.get((one.kind, one.key)), now) for one in differences]
    Finding.objects.bulk_create([row for row in rows if row.pk is None], batch_size=BATCH)
    Finding.objects.bulk_update([row for row in rows if (row.kind, row.key) in known], COLUMNS, batch_size=BATCH)
    gone = Finding.objects.filter(
        connection=connection, kind__in=list(kinds), day__gte=first, day__lte=last, state__in=LASTING
    ).exclude(seen_at=now)
    gone.update(state=State.MENDED, ended_at=now, seen_at=now)
    _read_afresh(rows, differences, now)
    return [row for row in rows if row.state == State.OPEN and row.found_at == now]


def _seen(connection: Connection, one: Difference, row: Finding | None, now: datetime) -> Finding:
    state = State.SUSPECTED if one.check else State.OPEN
    if row is None:
        return Finding(
            seller=connection.seller, connection=connection, kind=one.kind, key=one.key, day=one.day,
            order_id=one.order_id, facts=dict(one.facts), state=state, found_at=now, seen_at=now,
        )  # fmt: skip
    same = _said(row.facts) == _said(one.facts)
    row.seen_at, row.facts, row.day, row.order_id = now, dict(one.facts), one.day, one.order_id
    if row.state in LASTING or (same and _is_settled(row, now)):
        return row
    row.state, row.found_at, row.ended_at = state, now, None
    row.repair = row.repaired_by = row.reason = ""
    row.job = row.asked_at = None
    return row


def _said(facts: Mapping[str, Any]) -> tuple[Any, Any]:
    """What the others say: the hub's own side moves by itself."""
    return facts.get("channel"), facts.get("erp")


def _is_settled(row: Finding, now: datetime) -> bool:
    """A person has left it as it is, or it was read afresh lately and nothing was wrong with it."""
    if row.state == State.DISMISSED:
        return True
    return row.repair == CHECKED and row.ended_at is not None and row.ended_at > now - TRUSTED


def _read_afresh(rows: Sequence[Finding], differences: Sequence[Difference], now: datetime) -> None:
    wanted = [
        (row, one.check)
        for row, one in zip(rows, differences, strict=True)
        if row.state == State.SUSPECTED and row.job_id is None and one.check is not None
    ]
    ask(wanted[:MOST_READS], now)


def ask(wanted: Sequence[tuple[Finding, Step]], now: datetime | None = None) -> None:
    """Asks the ledger for each finding's step and remembers which job it waits for."""
    now = now or timezone.now()
    ledger.ask([step for _row, step in wanted])
    keys = [step.key for _row, step in wanted]
    jobs = {
        (job.connection_id, job.operation, job.key): job
        for at in range(0, len(keys), BATCH)
        for job in Job.objects.filter(
            connection__in={step.connection_id for _row, step in wanted},
            operation__in={step.operation for _row, step in wanted},
            key__in=keys[at : at + BATCH],
        )
    }
    for row, step in wanted:
        row.job, row.asked_at = jobs[step.connection_id, step.operation, step.key], now
    Finding.objects.bulk_update([row for row, _step in wanted], ["job", "asked_at"], batch_size=BATCH)


def mended(row: Finding, repair: str | None = None) -> None:
    row.state, row.ended_at = State.MENDED, timezone.now()
    row.repair = row.repair if repair is None else repair
    row.save(update_fields=["state", "ended_at", "repair"])
