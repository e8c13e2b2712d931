"""How many orders a channel usually brings at this hour of the week, and when none for so long is a bad sign."""

import math
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Count, Max
from django.db.models.functions import TruncHour
from django.utils import timezone

from connectors.contract import Role
from connectors.models import Connection
from monitoring.models import UsualHour
from orders.models import Order

WEEKS = 8
# Less history says nothing about an hour of the week.
FEWEST_WEEKS = 3
HOUR = timedelta(hours=1)
WEEK = timedelta(weeks=1)
# A week of a great sale is not usual.
FEAST = 2.0
# Orders that come independently of each other: where so many are expected, none at all is less than 1 % likely.
EXPECTED = -math.log(0.01)
# Who sells less than that in so many days is not watched by the hour.
LONGEST = timedelta(days=14)
RELEARN = timedelta(hours=20)


@dataclass(frozen=True)
class Silence:
    """No order since `since`, though `usual` were to be expected."""

    since: datetime
    usual: float


def unusual(connection: Connection, now: datetime) -> Silence | None:
    """None also while the channel is just being asked, and where there is too little history."""
    if connection.next_poll_at <= now or (connection.poll_lease_until and connection.poll_lease_until > now):
        return None
    last = Order.objects.filter(channel=connection.channel_id, placed_at__lte=now).aggregate(last=Max("placed_at"))
    since: datetime | None = last["last"]
    if since is None:
        return None
    usual = expected(usual_hours(connection), max(since, now - LONGEST), now, ZoneInfo(connection.seller.time_zone))
    return Silence(since, usual) if usual >= EXPECTED else None


def expected(usual: dict[int, float], since: datetime, until: datetime, zone: ZoneInfo) -> float:
    """The sum over the hours between, the first and the last of them in part."""
    return sum(usual.get(hour_of_week(start, zone), 0.0) * share for start, share in _hours(since, until))


def _hours(since: datetime, until: datetime) -> Iterator[tuple[datetime, float]]:
    """(a moment in the hour, the share of that hour that lies between the two)."""
    while since < until:
        full = since.replace(minute=0, second=0, microsecond=0) + HOUR
        end = min(full, until)
        yield since, (end - since) / HOUR
        since = end


def hour_of_week(at: datetime, zone: ZoneInfo) -> int:
    local = at.astimezone(zone)
    return local.weekday() * 24 + local.hour


def usual_hours(connection: Connection) -> dict[int, float]:
    return dict(UsualHour.objects.filter(connection=connection).values_list("hour", "orders"))


# --- Learning --------------------------------------------------------------------------------------------------------


def learn_all(now: datetime | None = None) -> int:
    """Every active channel whose figures are missing or old; one that is silent keeps them, or it would learn that
    silence is usual. Returns how many were learnt.
    """
    now = now or timezone.now()
    channels = Connection.objects.filter(role=Role.CHANNEL, state=Connection.State.ACTIVE, channel__isnull=False)
    fresh = UsualHour.objects.filter(learnt_at__gt=now - RELEARN).values("connection")
    old = channels.exclude(pk__in=fresh).select_related("seller")
    due = [connection for connection in old if unusual(connection, now) is None]
    for connection in due:
        learn(connection, now)
    return len(due)


def learn(connection: Connection, now: datetime) -> None:
    """Replaces what is known of this channel. One with too little history, or none lately, has no usual hours."""
    found = _usual(connection, now)
    with transaction.atomic():
        UsualHour.objects.filter(connection=connection).delete()
        UsualHour.objects.bulk_create(
            UsualHour(connection=connection, hour=hour, orders=orders, weeks=found.weeks, learnt_at=now)
            for hour, orders in found.hours.items()
        )


@dataclass(frozen=True)
class _Usual:
    hours: dict[int, float]
    weeks: int


def _usual(connection: Connection, now: datetime) -> _Usual:
    zone = ZoneInfo(connection.seller.time_zone)
    weeks = _weeks(connection, now, zone)
    if len(weeks) < FEWEST_WEEKS:
        return _Usual({}, len(weeks))
    sizes = [week.total() for week in weeks]
    usual = [week for week in weeks if week.total() <= FEAST * statistics.median(sizes)] or weeks
    whole: Counter[int] = sum(usual, Counter())
    mean = whole.total() / len(usual)
    # A shop that sells less than it did is measured by what it sells now.
    lately = statistics.mean(sizes[:2])
    share = min(1.0, lately / mean) if mean else 0.0
    return _Usual({hour: count / len(usual) * share for hour, count in whole.items() if share}, len(usual))


def _weeks(connection: Connection, now: datetime, zone: ZoneInfo) -> list[Counter[int]]:
    """Orders by hour of the week, the newest week first; only whole weeks since the channel's first order."""
    end = now.replace(minute=0, second=0, microsecond=0)
    placed = Order.objects.filter(channel=connection.channel_id, placed_at__lt=end)
    first = placed.order_by("placed_at").values_list("placed_at", flat=True).first()
    if first is None:
        return []
    weeks: list[Counter[int]] = [Counter() for _week in range(min(WEEKS, (end - first) // WEEK))]
    rows = (
        placed.filter(placed_at__gte=end - len(weeks) * WEEK)
        .order_by()
        .annotate(hour=TruncHour("placed_at", tzinfo=UTC))
    )
    for hour, count in rows.values_list("hour").annotate(count=Count("pk")):
        weeks[min((end - hour - timedelta(microseconds=1)) // WEEK, len(weeks) - 1)][hour_of_week(hour, zone)] += count
    return weeks
