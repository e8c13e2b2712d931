"""The figures of the first page. Each is one grouped query over the seller's rows, whatever the number of orders."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.core.cache import cache
from django.db.models import Count, F, Min, Q, QuerySet
from django.db.models.functions import Coalesce, TruncHour
from django.http import HttpRequest
from django.utils import timezone

from connectors.models import Budget, Connection, InboxEntry, Job
from hub.models import Seller
from monitoring.incidents import groups
from monitoring.models import Incident
from monitoring.pages.shell import mine, seller_ids
from monitoring.today import Today, today
from orders.models import Order
from orders.vocabulary import OrderStatus

# Counts by status look at many orders; nobody sees a difference of some seconds there. All that calls for a person is
# counted anew each time.
TILES_SECONDS = 15
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


def open_incidents(request: HttpRequest) -> QuerySet[Incident]:
    """Those that hold something up, or stand for a connection that does not work; snoozed ones, too."""
    found = mine(Incident.objects.exclude(state=Incident.State.RESOLVED), request)
    return found.filter(Q(blocked__gt=0) | Q(operation__in=(groups.CONNECTION, groups.POLL)))


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
    def overdue(self) -> bool:
        """Its look for news should have begun minutes ago: nobody is at work, or it is stuck."""
        return self.active and self.connection.next_poll_at < timezone.now() - timedelta(minutes=3)


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
        """Nothing is open: said only when every sale has arrived and every connection works."""
        return bool(self.channels) and not (self.attention or self.not_in_erp or self.trying or self.unread)


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
        trying=Count("pk", filter=Q(state=Job.State.READY) & ~Q(error="")),
    )
    channels = health(request)
    incidents = open_incidents(request)
    named = incidents.filter(state=Incident.State.OPEN).select_related("connection")
    return Overview(
        now=now,
        by_status=_by_status(sellers),
        today=today(orders, sellers, late(now), at_risk(now, sellers), now),
        held=orders.filter(held=True).exclude(status=OrderStatus.CANCELLED).count(),
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
    found = {one.pk: ChannelHealth(one) for one in connections.select_related("seller").order_by("role", "name")}
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
