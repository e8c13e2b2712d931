"""Which failures belong together, asked of the ledger and the inbox: a fixed number of statements, however many there
are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection as database
from django.db.models import BooleanField, Case, Count, Max, Min, Q, QuerySet, When
from django.db.models.functions import Coalesce

from connectors.failures import NOT_YET, Category
from connectors.health import OPENS_AFTER
from connectors.models import Connection, InboxEntry, Job
from monitoring.models import Incident

# Besides a job's own operations: documents that could not be read, connections that work no more, polls that fail.
READ, CONNECTION, POLL = "read", "connection", "poll"
# The causes of an incident of a connection.
SIGN_IN, AWAY = "sign_in", "away"
# A poll that goes wrong is a hiccup for as long.
POLL_PATIENCE = timedelta(minutes=2)

FAILING = Q(state__in=(Job.State.REFUSED, Job.State.UNKNOWN)) | (
    Q(state__in=(Job.State.READY, Job.State.RUNNING)) & ~Q(error="")
)
_MOVING = (Job.State.READY, Job.State.RUNNING, Job.State.UNKNOWN)
# What a connection that is down explains by itself: whatever goes on by itself once it is back.
EXPLAINED = Q(state__in=_MOVING, category__in=(Category.TRANSIENT, Category.AUTH, "lost", "")) & ~Q(code=NOT_YET)


Worth = dict[str, Decimal]
"""currency -> amount."""


class Key(NamedTuple):
    """What makes an incident one."""

    connection: int
    operation: str
    cause: str


@dataclass
class Group:
    """Equal failures as they are now. `example` is the newest one's id (a job's; a document's where it is `READ`)."""

    since: datetime
    blocked: int = 0
    refused: int = 0
    orders: int = 0
    worth: Worth = field(default_factory=dict)
    category: str = ""
    code: str = ""
    message: str = ""
    example: int = 0

    @property
    def needs_person(self) -> bool:
        return self.refused > 0

    def add(self, other: "Group") -> None:
        self.since = min(self.since, other.since)
        self.blocked += other.blocked
        self.refused += other.refused
        self.orders += other.orders
        for currency, amount in other.worth.items():
            self.worth[currency] = self.worth.get(currency, Decimal(0)) + amount


# --- The failures of one incident ------------------------------------------------------------------------------------


def jobs_of(incident: Incident) -> QuerySet[Job]:
    """The steps it holds up now. For a connection: all that wait for it, those that have not failed yet, too."""
    jobs = Job.objects.filter(connection=incident.connection_id)
    if incident.operation in (READ, POLL):
        return jobs.none()
    if incident.operation == CONNECTION:
        return jobs.filter(EXPLAINED).exclude(operation="read_erp", error="")
    return jobs.filter(FAILING, operation=incident.operation, cause=incident.cause)


def entries_of(incident: Incident) -> QuerySet[InboxEntry]:
    """The documents that could not be read because of it."""
    if incident.operation != READ:
        return InboxEntry.objects.none()
    return InboxEntry.objects.filter(
        connection=incident.connection_id, state=InboxEntry.State.REJECTED, cause=incident.cause
    )


# --- All of them -----------------------------------------------------------------------------------------------------


def current(now: datetime, mending: Mapping[int, str]) -> dict[Key, Group]:
    """Every group of failures there is. `mending`: connections whose incident is open, and its cause; what they still
    explain is theirs until it is worked off, so that an outage stays one incident to its end.
    """
    down = _down()
    explained_by = {**mending, **{pk: _cause(one) for pk, one in down.items()}}
    found: dict[Key, Group] = {}
    for key, explained, group in _failing_jobs():
        if explained and key.connection in explained_by:
            key = Key(key.connection, CONNECTION, explained_by[key.connection])
        if key in found:
            found[key].add(group)
        else:
            found[key] = group
    for key, whole in _connections(down).items():
        if key in found:
            whole.since = found[key].since
        found[key] = whole
    return {**found, **_entries(), **_polls(now, down)}


def _failing_jobs() -> Iterable[tuple[Key, bool, Group]]:
    failing = (
        Job.objects.filter(FAILING)
        .annotate(explained=Case(When(EXPLAINED, then=True), default=False, output_field=BooleanField()))
        .order_by()
    )
    keys = ("connection_id", "operation", "cause", "explained")
    sales = _orders_and_worth(failing, *keys)
    rows = failing.values(*keys).annotate(
        blocked=Count("pk"),
        refused=Count("pk", filter=Q(state=Job.State.REFUSED)),
        since=Min(Coalesce("failed_since", "claimed_at", "created_at")),
        category=Max("category"),
        code=Max("code"),
        example=Max("pk"),
    )
    for row in rows:
        place = tuple(row.pop(key) for key in keys)
        orders, worth = sales.get(place, (0, {}))
        yield Key(*place[:3]), place[3], Group(orders=orders, worth=worth, **row)


def _orders_and_worth(jobs: QuerySet[Job], *keys: str) -> dict[tuple[Any, ...], tuple[int, Worth]]:
    """keys -> how many orders, and what they are worth: each order once, whatever the number of its jobs."""
    once = jobs.filter(order__isnull=False).values_list(*keys, "order__currency", "order_id", "order__total").distinct()
    inner, values = once.query.sql_with_params()
    names = ", ".join(f"k{place}" for place in range(len(keys)))
    statement = f"""
        WITH once ({names}, currency, order_id, total) AS ({inner})
        SELECT {names}, currency, COUNT(*), SUM(total) FROM once GROUP BY {names}, currency
    """  # noqa: S608 - Django's own statement inside names of ours; every value is a parameter
    with database.cursor() as cursor:
        cursor.execute(statement, values)
        rows = cursor.fetchall()
    found: dict[tuple[Any, ...], tuple[int, Worth]] = {}
    for *place, currency, count, total in rows:
        orders, worth = found.get(tuple(place), (0, {}))
        found[tuple(place)] = orders + count, {**worth, currency: Decimal(str(total or 0))}
    return found


def _entries() -> dict[Key, Group]:
    rejected = InboxEntry.objects.filter(state=InboxEntry.State.REJECTED).order_by()
    rows = rejected.values("connection_id", "cause").annotate(
        blocked=Count("pk"), since=Min("received_at"), example=Max("pk")
    )
    return {
        Key(row["connection_id"], READ, row["cause"]): Group(
            since=row["since"],
            blocked=row["blocked"],
            refused=row["blocked"],
            category=Category.REJECTED.value,
            example=row["example"],
        )
        for row in rows
    }


# --- Connections that work no more -----------------------------------------------------------------------------------


def _down() -> dict[int, Connection]:
    away = Q(state=Connection.State.ACTIVE, failures__gte=OPENS_AFTER)
    return {one.pk: one for one in Connection.objects.filter(Q(state=Connection.State.SIGN_IN) | away)}


def _cause(connection: Connection) -> str:
    return SIGN_IN if connection.state == Connection.State.SIGN_IN else AWAY


def _connections(down: Mapping[int, Connection]) -> dict[Key, Group]:
    """One group for each that is down, with everything that waits for it."""
    found = {
        pk: Group(
            since=one.last_poll_ok_at or one.created_at,
            refused=one.state == Connection.State.SIGN_IN,
            category=Category.AUTH.value if one.state == Connection.State.SIGN_IN else Category.TRANSIENT.value,
            message=one.state_reason or one.last_error,
        )
        for pk, one in down.items()
    }
    if down:
        waiting = Job.objects.filter(EXPLAINED, connection__in=down).exclude(operation="read_erp", error="").order_by()
        for pk, count in waiting.values_list("connection_id").annotate(Count("pk")):
            found[pk].blocked = count
        for (pk,), (orders, worth) in _orders_and_worth(waiting, "connection_id").items():
            found[pk].orders, found[pk].worth = orders, worth
    return {Key(pk, CONNECTION, _cause(down[pk])): group for pk, group in found.items()}


def _polls(now: datetime, down: Mapping[int, Connection]) -> dict[Key, Group]:
    """Connections that work, but whose look for news has gone wrong for long."""
    failing = Connection.objects.filter(state=Connection.State.ACTIVE, poll_failures__gt=0).exclude(pk__in=down)
    late = failing.annotate(since=Coalesce("last_poll_ok_at", "created_at")).filter(since__lt=now - POLL_PATIENCE)
    return {
        Key(one.pk, POLL, POLL): Group(since=one.since, refused=1, category=Category.BUG.value, message=one.last_error)
        for one in late
    }
