"""Keeps the counts up to date: what changed since the last time, the past once, and a check of all of it each night."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from monitoring.insights import counting
from monitoring.insights.counting import Days
from monitoring.models import Tally
from orders.models import Order, SalesChannel

log = logging.getLogger(__name__)

# A change carries the time at which its transaction began: one that is still open shows only later. None is open
# longer than the longest task may run, so looking back that far again misses nothing.
OVERLAP = timedelta(seconds=settings.TASK_LIMIT_SECONDS + 30)
# Days counted in one transaction.
PIECE = 30
CHECKED_DAYS = 120
# In the seller's zone: when few orders come in.
CHECK_HOUR = 3
# Of one run. What is left comes with the next one, a minute later.
SECONDS = 40.0

Stop = Callable[[], bool]


def tick(now: datetime | None = None, stop: Stop | None = None) -> int:
    """What changed first, then the past, then the night's check, as far as the time allows. Returns wrong rows found.

    May run twice at once and may be interrupted anywhere: a channel's counts and how far they go commit together.
    """
    now = now or timezone.now()
    stop = stop or _out_of_time(SECONDS)
    tallies = _tallies(now)
    touched = _touched(tallies)
    found = 0
    for step in (_follow, _go_back, _check):
        for tally in tallies:
            if stop():
                return found
            found += step(tally, touched[tally.channel_id], now)
    return found


def count_all(now: datetime | None = None) -> None:
    """Until all there is has been counted: for a database that was filled in one go."""
    tick(now, _never)
    while Tally.objects.filter(complete=False).exists():
        tick(now, _never)


def _never() -> bool:
    return False


def _out_of_time(seconds: float) -> Stop:
    ends = time.monotonic() + seconds
    return lambda: time.monotonic() > ends


def _tallies(now: datetime) -> list[Tally]:
    """One for each channel, those that wait longest first."""
    missing = SalesChannel.objects.filter(pk__in=SalesChannel.objects.exclude(pk__in=Tally.objects.values("channel")))
    fresh = [_begin(Tally(channel=channel), now) for channel in missing.select_related("seller")]
    Tally.objects.bulk_create(fresh, ignore_conflicts=True)
    return list(Tally.objects.select_related("channel__seller").order_by("changed_until", "pk"))


def _begin(tally: Tally, now: datetime) -> Tally:
    """Nothing is counted yet."""
    zone = ZoneInfo(tally.channel.seller.time_zone)
    latest = max(now, _newest(Order.objects.filter(channel=tally.channel)) or now)
    tally.zone, tally.changed_until, tally.complete = zone.key, now, False
    tally.since = latest.astimezone(zone).date() + timedelta(days=1)
    return tally


def _newest(orders: QuerySet[Order]) -> datetime | None:
    return orders.order_by("-placed_at").values_list("placed_at", flat=True).first()


def _touched(tallies: Iterable[Tally]) -> dict[int, set[date]]:
    """channel -> the days of the orders that changed since the last time. The index on the change's time answers."""
    zones = {tally.channel_id: ZoneInfo(tally.zone) for tally in tallies}
    found: dict[int, set[date]] = defaultdict(set)
    since = min((tally.changed_until for tally in tallies), default=None)
    if since is None:
        return found
    changed = Order.objects.filter(changed_at__gte=since - OVERLAP).order_by()
    for channel, placed in changed.values_list("channel_id", "placed_at").iterator():
        if channel in zones:
            found[channel].add(placed.astimezone(zones[channel]).date())
    return found


# --- The three kinds of work on one channel. Each takes the tally's lock; where somebody else has it, nothing is done.


def _held(tally: Tally) -> Tally | None:
    held = Tally.objects.select_for_update(of=("self",), skip_locked=True)
    return held.select_related("channel__seller").filter(pk=tally.pk).first()


def _count(tally: Tally, first: date, last: date, *, thorough: bool = False) -> int:
    return counting.count(Days(tally.channel, ZoneInfo(tally.zone), first, last), thorough=thorough)


@transaction.atomic
def _follow(tally: Tally, days: set[date], now: datetime) -> int:
    held = _held(tally)
    if held is None:
        return 0
    if held.zone != held.channel.seller.time_zone:
        counting.forget(held.channel)
        _begin(held, now).save()
        return 0
    found = sum(_count(held, first, last) for first, last in runs(days))
    held.changed_until = max(held.changed_until, now)
    held.save(update_fields=["changed_until"])
    return found


def runs(days: Iterable[date]) -> list[tuple[date, date]]:
    """First and last of each unbroken run of days, none longer than a piece."""
    ordered = sorted(days)
    if not ordered:
        return []
    whole = [(ordered[0], ordered[0])]
    for before, day in pairwise(ordered):
        first = whole[-1][0]
        if day - before == timedelta(days=1) and (day - first).days < PIECE:
            whole[-1] = (first, day)
        else:
            whole.append((day, day))
    return whole


@transaction.atomic
def _go_back(tally: Tally, _days: set[date], now: datetime) -> int:
    """One piece further into the past, beginning with the newest day there that has an order."""
    held = _held(tally)
    if held is None or held.complete:
        return 0
    zone = ZoneInfo(held.zone)
    begin = datetime.combine(held.since, datetime.min.time(), zone)
    older = _newest(Order.objects.filter(channel=held.channel, placed_at__lt=begin))
    found = 0
    if older is None:
        held.complete, held.checked_on = True, now.astimezone(zone).date()
    else:
        last = older.astimezone(zone).date()
        held.since = last - timedelta(days=PIECE - 1)
        found = _count(held, held.since, last)
    held.save(update_fields=["since", "complete", "checked_on"])
    return found


@transaction.atomic
def _check(tally: Tally, _days: set[date], now: datetime) -> int:
    """Nothing should be found here. What a change without a trace left behind is mended, and said."""
    here = now.astimezone(ZoneInfo(tally.zone))
    if here.hour < CHECK_HOUR or tally.checked_on == here.date():
        return 0
    held = _held(tally)
    if held is None or not held.complete:
        return 0
    pieces = range(CHECKED_DAYS, 0, -PIECE)
    first = [here.date() - timedelta(days=back - 1) for back in pieces]
    found = sum(_count(held, day, day + timedelta(days=PIECE - 1), thorough=True) for day in first)
    if found:
        log.info("Insights of channel %s: %s rows were wrong and are mended.", held.channel_id, found)
    held.checked_on = here.date()
    held.save(update_fields=["checked_on"])
    return found
