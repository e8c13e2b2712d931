"""One row a minute for each connection: the calls it made and what waited. Charts and metrics read nothing else."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Avg, Count, Max, Min, Q, Sum
from django.utils import timezone

from connectors.failures import Category
from connectors.models import Connection, Exchange, Job
from monitoring.models import Sample

KEPT = timedelta(days=8)
MINUTE = timedelta(minutes=1)
WAITING = (Job.State.READY, Job.State.UNKNOWN)
# After a standstill of the clock, so many minutes are made good at once.
MOST_MISSED = 60


def take(now: datetime | None = None) -> int:
    """Writes the samples of every minute that is over and has none. Returns how many rows. Safe to run twice."""
    end = (now or timezone.now()).replace(second=0, microsecond=0)
    last = Sample.objects.aggregate(last=Max("at"))["last"]
    begin = max(last + MINUTE if last else end - MINUTE, end - MOST_MISSED * MINUTE)
    connections = list(Connection.objects.exclude(state=Connection.State.NEW).values_list("pk", flat=True))
    backlog = waiting(end)
    rows: list[Sample] = []
    while begin < end:
        calls = _calls(begin)
        # What waits is known of now alone.
        known = backlog if begin == end - MINUTE else {}
        rows += [_sample(pk, begin, calls.get(pk, ()), known.get(pk, (0, 0))) for pk in connections]
        begin += MINUTE
    Sample.objects.bulk_create(rows, ignore_conflicts=True)
    Sample.objects.filter(at__lt=end - KEPT).delete()
    return len(rows)


Call = tuple[int, str]


def _calls(minute: datetime) -> dict[int, list[Call]]:
    """connection -> (milliseconds, category) of each call that began in the minute."""
    found: dict[int, list[Call]] = defaultdict(list)
    rows = Exchange.objects.filter(started_at__gte=minute, started_at__lt=minute + MINUTE)
    for pk, duration, category in rows.values_list("connection_id", "duration_ms", "category"):
        found[pk].append((duration, category))
    return found


def waiting(now: datetime) -> dict[int, tuple[int, int]]:
    """connection -> (open jobs that are due, seconds that the oldest has waited)."""
    rows = (
        Job.objects.filter(state__in=WAITING, due_at__lte=now)
        .order_by()
        .values("connection_id")
        .annotate(count=Count("pk"), oldest=Min("due_at"))
    )
    return {row["connection_id"]: (row["count"], int((now - row["oldest"]).total_seconds())) for row in rows}


def _sample(connection: int, at: datetime, calls: Sequence[Call], waiting: tuple[int, int]) -> Sample:
    times = sorted(duration for duration, _category in calls)
    limited = sum(category == Category.RATE_LIMITED for _duration, category in calls)
    return Sample(
        connection_id=connection,
        at=at,
        calls=len(calls),
        failed=sum(bool(category) for _duration, category in calls) - limited,
        limited=limited,
        median=_share(times, 0.5),
        p95=_share(times, 0.95),
        backlog=waiting[0],
        oldest=waiting[1],
    )


def _share(ordered: Sequence[int], share: float) -> int:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0


# --- Reading them --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    """What a connection did in one stretch of time: sums of calls, the mean of the medians, the worst of the rest."""

    at: datetime
    calls: int = 0
    failed: int = 0
    limited: int = 0
    median: float = 0
    p95: int = 0
    backlog: int = 0

    @property
    def success(self) -> float | None:
        """Share of the calls that went well, 0 to 1; None without any."""
        return 1 - self.failed / self.calls if self.calls else None


def points(connections: Iterable[int], since: datetime, until: datetime, step: timedelta) -> dict[int, list[Point]]:
    """connection -> one point for each step, those without a sample too."""
    steps = max(1, int((until - since) / step))
    found: dict[int, list[list[Sample]]] = {pk: [[] for _step in range(steps)] for pk in connections}
    for sample in Sample.objects.filter(connection__in=found, at__gte=since, at__lt=since + steps * step):
        found[sample.connection_id][int((sample.at - since) / step)].append(sample)
    return {pk: [_point(since + number * step, run) for number, run in enumerate(runs)] for pk, runs in found.items()}


def _point(at: datetime, samples: Sequence[Sample]) -> Point:
    busy = [sample for sample in samples if sample.calls]
    return Point(
        at=at,
        calls=sum(sample.calls for sample in samples),
        failed=sum(sample.failed for sample in samples),
        limited=sum(sample.limited for sample in samples),
        median=sum(sample.median for sample in busy) / len(busy) if busy else 0,
        p95=max((sample.p95 for sample in busy), default=0),
        backlog=max((sample.backlog for sample in samples), default=0),
    )


def lately(connections: Iterable[int], since: datetime) -> dict[int, Point]:
    """connection -> everything since then as one point."""
    rows = (
        Sample.objects.filter(connection__in=connections, at__gte=since)
        .order_by()
        .values("connection_id")
        .annotate(
            made=Sum("calls"), bad=Sum("failed"), held=Sum("limited"), middle=Avg("median", filter=Q(calls__gt=0)),
            worst=Max("p95"), most=Max("backlog"),
        )
    )  # fmt: skip
    return {
        row["connection_id"]: Point(
            since, row["made"], row["bad"], row["held"], row["middle"] or 0, row["worst"], row["most"]
        )
        for row in rows
    }
