"""The figures of the first page. Each is one grouped query over the seller's rows, whatever the number of orders."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.db.models import Count, F, Min, Q, QuerySet, Value
from django.db.models.functions import Coalesce, TruncHour
from django.http import HttpRequest
from django.utils import timezone

from connectors.health import OPENS_AFTER
from connectors.models import Budget, Connection, InboxEntry, Job
from hub.models import Seller
from monitoring.incidents import groups
from monitoring.light import Light
from monitoring.models import Incident
from monitoring.pages import words
from monitoring.pages.shell import mine, seller_ids
from monitoring.today import Today, today
from orders.models import Order
from orders.vocabulary import OrderStatus

# Counts by status look at many orders; nobody sees a difference of some seconds there. All that calls for a person is
# counted anew each time.
TILES_SECONDS = 15
# Everybody's pages show the light: who looks at the same sellers shares it so long.
LIGHT_SECONDS = 5
# A look for news that should have begun so long ago: nobody is at work, or it is stuck.
OVERDUE = timedelta(minutes=3)
# What has ended is counted up to here: all orders there ever were would take half a second at a million of them.
ON_THE_WAY = (OrderStatus.PENDING, OrderStatus.APPROVED, OrderStatus.INVOICED, OrderStatus.SHIPPED)
ENDED = (OrderStatus.DELIVERED, OrderStatus.CANCELLED, OrderStatus.RETURNED)
TILES_UP_TO = 10_000
TO_SHIP = (OrderStatus.APPROVED, OrderStatus.INVOICED)
# Sold, not cancelled: the ERP must know it.
SOLD = (OrderStatus.APPROVED, OrderStatus.INVOICED, OrderStatus.SHIPPED, OrderStatus.DELIVERED)
OPEN = (Job.State.READY, Job.State.UNKNOWN, Job.State.RUNNING)
# The first page names so many incidents; the others are counted.
INCIDENTS_NAMED = 5


def late(now: datetime) -> Q:
    return Q(status__in=TO_SHIP, ship_by__lt=now)


def at_risk(now: datetime, sellers: Sequence[int]) -> Q:
    """Within the hours that each seller calls risky."""
    hours: dict[int, list[int]] = {}
    for pk, risk in Seller.objects.filter(pk__in=sellers).values_list("pk", "risk_hours"):
        hours.setdefault(risk, []).append(pk)
    by_seller = Q(pk__in=[])
    for risk, ids in hours.items():
        by_seller |= Q(seller_id__in=ids, ship_by__lt=now + timedelta(hours=risk))
    return Q(status__in=TO_SHIP, ship_by__gte=now) & by_seller


def not_in_erp() -> Q:
    return Q(status__in=SOLD, exported_at=None)


def failed_jobs(request: HttpRequest) -> QuerySet[Job]:
    """Those that wait for a person, those whose outcome is open, and those that fail and try again."""
    jobs = mine(Job.objects.all(), request, "connection__seller")
    return jobs.filter(Q(state__in=(Job.State.REFUSED, Job.State.UNKNOWN)) | (Q(state=Job.State.READY) & ~Q(error="")))


def rejected_entries(request: HttpRequest) -> QuerySet[InboxEntry]:
    entries = mine(InboxEntry.objects.all(), request, "connection__seller")
    return entries.filter(state=InboxEntry.State.REJECTED)


def open_incidents(sellers: Sequence[int]) -> QuerySet[Incident]:
    """Those that hold something up, or stand for a connection that does not work; snoozed ones, too."""
    found = Incident.objects.exclude(state=Incident.State.RESOLVED).filter(seller_id__in=sellers)
    return found.filter(Q(blocked__gt=0) | Q(operation__in=(groups.CONNECTION, groups.POLL)))


def held_orders(sellers: Sequence[int]) -> QuerySet[Order]:
    return Order.objects.filter(seller_id__in=sellers, held=True).exclude(status=OrderStatus.CANCELLED)


def needs_person(request: HttpRequest) -> int:
    """How many things only a person can move."""
    refused = mine(Job.objects.filter(state=Job.State.REFUSED), request, "connection__seller").count()
    return refused + rejected_entries(request).count()


def needs_person_badge(request: HttpRequest) -> str:
    count = needs_person(request)
    return str(count) if count else ""


@dataclass
class ChannelHealth:
    """One connection as the first page shows it."""

    connection: Connection
    backlog: int = 0
    oldest_due: datetime | None = None
    refused: int = 0
    unread: int = 0
    rejected: int = 0
    resting_until: datetime | None = None
    closed_until: datetime | None = None

    @property
    def active(self) -> bool:
        return self.connection.state == Connection.State.ACTIVE

    @property
    def permission(self) -> tuple[str, str]:
        """How long the service lets the hub in, and the tone of it; see `words.permission`."""
        return words.permission(getattr(self.connection, "credential", None))

    @property
    def overdue(self) -> bool:
        return self.active and self.connection.next_poll_at < timezone.now() - OVERDUE

    @property
    def verdict(self) -> tuple[str, str]:
        """How it is, and the tone of it: of several troubles the worst."""
        connection = self.connection
        if not self.active:
            return str(connection.get_state_display()), words.TONES[connection.state]
        if self.overdue:
            return words.VERDICTS["overdue"]
        if self.resting_until or connection.failures >= OPENS_AFTER:
            return words.VERDICTS["away"]
        if self.refused or self.rejected:
            return words.VERDICTS["needs_person"]
        if connection.paused_flows:
            return words.VERDICTS["paused"]
        return words.VERDICTS["failing" if connection.failures or connection.poll_failures else "well"]


@dataclass
class Overview:
    now: datetime
    by_status: list[tuple[OrderStatus, int]]
    today: Today
    held: int
    not_in_erp: int
    oldest_not_in_erp: datetime | None
    refused: int
    unknown: int
    ready: int
    trying: int
    rejected: int
    unread: int
    channels: list[ChannelHealth]
    # Open incidents, those that need a person and the most valuable first; and how many there are, snoozed ones too.
    incidents: list[Incident]
    incident_count: int
    hours: list[tuple[datetime, int]] = field(default_factory=list)

    @property
    def late(self) -> int:
        return self.today.late.count

    @property
    def at_risk(self) -> int:
        return self.today.at_risk.count

    @property
    def idle(self) -> list[ChannelHealth]:
        return [health for health in self.channels if not health.active]

    @property
    def attention(self) -> bool:
        """Something a person should see now."""
        stuck = self.oldest_not_in_erp is not None and self.oldest_not_in_erp < self.now - timedelta(minutes=15)
        silent = any(health.overdue for health in self.channels)
        waiting = self.refused or self.unknown or self.rejected or self.held or self.idle
        return bool(waiting or self.incident_count or stuck or silent)

    @property
    def clear(self) -> bool:
        return self.light.clear

    @property
    def light(self) -> Light:
        """What the header of every page says, of these figures."""
        return Light(
            connections=len(self.channels),
            idle=len(self.idle),
            overdue=sum(one.overdue for one in self.channels),
            running=max(0, sum(one.backlog for one in self.channels) - self.ready - self.unknown),
            ready=self.ready,
            trying=self.trying,
            unknown=self.unknown,
            refused=self.refused,
            unread=self.unread,
            rejected=self.rejected,
            held=self.held,
            not_in_erp=self.not_in_erp,
            incidents=self.incident_count,
        )


def overview(request: HttpRequest) -> Overview:
    now = timezone.now()
    sellers = seller_ids(request)
    orders = mine(Order.objects.all(), request)
    waiting = orders.filter(not_in_erp()).aggregate(count=Count("pk"), oldest=Min(Coalesce("approved_at", "placed_at")))
    # Named states first: the finished ones, nearly all, are not touched.
    open_jobs = Job.objects.filter(state__in=(Job.State.READY, Job.State.UNKNOWN, Job.State.REFUSED))
    jobs = mine(open_jobs, request, "connection__seller").aggregate(
        refused=Count("pk", filter=Q(state=Job.State.REFUSED)),
        unknown=Count("pk", filter=Q(state=Job.State.UNKNOWN)),
        ready=Count("pk", filter=Q(state=Job.State.READY)),
        trying=Count("pk", filter=Q(state=Job.State.READY) & ~Q(error="")),
    )
    channels = health(request)
    incidents = open_incidents(sellers)
    named = incidents.filter(state=Incident.State.OPEN).select_related("connection")
    found = Overview(
        now=now,
        by_status=_by_status(sellers),
        today=today(orders, sellers, late(now), at_risk(now, sellers), now),
        held=held_orders(sellers).count(),
        not_in_erp=waiting["count"],
        oldest_not_in_erp=waiting["oldest"],
        rejected=sum(one.rejected for one in channels),
        unread=sum(one.unread for one in channels),
        channels=channels,
        incidents=list(named.order_by("-needs_person", "-value", "first_seen_at")[:INCIDENTS_NAMED]),
        incident_count=incidents.count(),
        hours=_hours(orders, now),
        **jobs,
    )
    # The same page shows both, and they agree.
    cache.set(_light_key(sellers), found.light, LIGHT_SECONDS)
    return found


def light(sellers: Sequence[int]) -> Light:
    """Of these sellers, in one statement that looks at what is open alone."""
    return cache.get_or_set(_light_key(sellers), lambda: _read_light(sellers), LIGHT_SECONDS) or Light()


def _light_key(sellers: Sequence[int]) -> str:
    return "light:" + ",".join(map(str, sorted(sellers)))


def _read_light(sellers: Sequence[int]) -> Light:
    first, *others = (_counted(name, rows) for name, rows in _lit(sellers, timezone.now()))
    return Light(**dict(first.union(*others, all=True)))


def _counted(name: str, rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows.order_by().values(number=Value(name)).annotate(count=Count("*")).values_list("number", "count")


def _lit(sellers: Sequence[int], now: datetime) -> Iterator[tuple[str, QuerySet[Any]]]:
    """What each number of the light counts."""
    connections = Connection.objects.filter(seller_id__in=sellers)
    active = connections.filter(state=Connection.State.ACTIVE)
    yield "connections", connections
    yield "idle", connections.exclude(state=Connection.State.ACTIVE)
    yield "overdue", active.filter(next_poll_at__lt=now - OVERDUE)
    jobs = Job.objects.filter(connection__seller_id__in=sellers)
    for state in (*OPEN, Job.State.REFUSED):
        yield state.value, jobs.filter(state=state)
    yield "trying", jobs.filter(state=Job.State.READY).exclude(error="")
    entries = InboxEntry.objects.filter(connection__seller_id__in=sellers)
    yield "unread", entries.filter(state=InboxEntry.State.WAITING)
    yield "rejected", entries.filter(state=InboxEntry.State.REJECTED)
    yield "held", held_orders(sellers)
    yield "not_in_erp", Order.objects.filter(not_in_erp(), seller_id__in=sellers)
    yield "incidents", open_incidents(sellers)


def _by_status(sellers: list[int]) -> list[tuple[OrderStatus, int]]:
    def count() -> dict[str, int]:
        orders = Order.objects.filter(seller_id__in=sellers).order_by()
        # Of rows, not of ids: the index alone has the answer.
        on_the_way = dict(orders.filter(status__in=ON_THE_WAY).values_list("status").annotate(count=Count("*")))
        ended = orders.values("placed_at")
        return on_the_way | {status.value: ended.filter(status=status)[:TILES_UP_TO].count() for status in ENDED}

    key = "orders-by-status:" + ",".join(map(str, sorted(sellers)))
    counted: dict[str, int] = cache.get_or_set(key, count, TILES_SECONDS) or {}
    return [(status, counted.get(status, 0)) for status in OrderStatus]


def _hours(orders: QuerySet[Order], now: datetime) -> list[tuple[datetime, int]]:
    """Orders placed in each of the last 24 hours, the running one last; hours without any are there too."""
    zone = timezone.get_current_timezone()
    last = now.astimezone(zone).replace(minute=0, second=0, microsecond=0)
    first = last - timedelta(hours=23)
    rows = orders.filter(placed_at__gte=first).order_by().annotate(hour=TruncHour("placed_at", tzinfo=zone))
    found = dict(rows.values_list("hour").annotate(count=Count("pk")))
    return [(hour, found.get(hour, 0)) for hour in (first + timedelta(hours=step) for step in range(24))]


def health(request: HttpRequest, rows: QuerySet[Connection] | None = None) -> list[ChannelHealth]:
    connections = mine(Connection.objects.all() if rows is None else rows, request)
    connections = connections.select_related("seller", "credential").order_by("role", "name")
    found = {one.pk: ChannelHealth(one) for one in connections}
    now = timezone.now()
    _add_jobs(found, now)
    _add_inbox(found)
    closed = _closed_budgets(now)
    for one in found.values():
        rest = one.connection.rest_until
        one.resting_until = rest if rest and rest > now else None
        prefix = f"{one.connection.kind}:{one.connection.pk}:"
        shared = f"{one.connection.kind}:app:"
        one.closed_until = max((at for key, at in closed if key.startswith((prefix, shared))), default=None)
    return list(found.values())


def _add_jobs(found: dict[int, ChannelHealth], now: datetime) -> None:
    rows = (
        Job.objects.filter(connection_id__in=found, state__in=(*OPEN, Job.State.REFUSED))
        .order_by()
        .values("connection_id")
        .annotate(
            backlog=Count("pk", filter=Q(state__in=OPEN)),
            oldest=Min("due_at", filter=Q(state__in=(Job.State.READY, Job.State.UNKNOWN), due_at__lte=now)),
            refused=Count("pk", filter=Q(state=Job.State.REFUSED)),
        )
    )
    for row in rows:
        one = found[row["connection_id"]]
        one.backlog, one.oldest_due, one.refused = row["backlog"], row["oldest"], row["refused"]


def _add_inbox(found: dict[int, ChannelHealth]) -> None:
    open_states = (InboxEntry.State.WAITING, InboxEntry.State.REJECTED)
    rows = InboxEntry.objects.filter(connection_id__in=found, state__in=open_states).order_by()
    for connection_id, state, count in rows.values_list("connection_id", "state").annotate(count=Count(F("pk"))):
        if state == InboxEntry.State.WAITING:
            found[connection_id].unread = count
        else:
            found[connection_id].rejected = count


def _closed_budgets(now: datetime) -> list[tuple[str, datetime]]:
    """(budget, until when the service wants no calls), for the budgets that are closed now."""
    rows = Budget.objects.filter(closed_until__gt=now.timestamp()).values_list("key", "closed_until")
    return [(key, datetime.fromtimestamp(until, now.tzinfo)) for key, until in rows]
