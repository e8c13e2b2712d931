"""How long a step usually takes, learnt from what was finished: by channel, and on the way by carrier and state.

What people do (invoice, dispatch) is measured in the channel's working hours, all else in hours of the clock.
"""

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from hub.models import Seller
from monitoring.models import UsualTime
from orders.calendar import Calendar, of_channel
from orders.models import Order, SalesChannel, TrackingEvent

# What is older says little about how it goes today; more cases change the answer by minutes.
HISTORY = timedelta(days=90)
MOST_CASES = 2000
# Fewer say nothing.
FEWEST_CASES = 20
SHARE = 90


@dataclass(frozen=True)
class Step:
    """`floor` and `fallback` in hours: no limit is below the one, the other holds while nothing is learnt."""

    code: str
    begins: str
    ends: str
    floor: float
    fallback: float
    in_working_hours: bool = False


STEPS = {
    step.code: step
    for step in (
        Step("export", "approved_at", "exported_at", 1, 2),
        Step("invoice", "exported_at", "invoiced_at", 4, 10, in_working_hours=True),
        Step("dispatch", "invoiced_at", "shipped_at", 8, 20, in_working_hours=True),
        Step("delivery", "shipped_at", "delivered_at", 72, 240),
        Step("return", "shipped_at", "returned_at", 72, 480),
    )
}
# Between two scans of one parcel.
SCAN = "scan"
# Nine of ten are done within the usual time; what takes half as long again stands still.
FACTOR = 1.5


@dataclass(frozen=True)
class Limit:
    """`usual`: what was learnt; None where the limit is the fixed one."""

    hours: float
    usual: float | None
    working: bool = False

    @property
    def because(self) -> str:
        hours = _hours(self.hours, self.working)
        if self.usual is None:
            return _("There is too little history yet; a fixed limit of %(hours)s is used.") % {"hours": hours}
        return _("Nine of ten take at most %(usual)s here; the limit is %(hours)s.") % {
            "usual": _hours(self.usual, self.working),
            "hours": hours,
        }


def _hours(hours: float, working: bool) -> str:
    count = round(hours)
    if working:
        return ngettext("%(count)s working hour", "%(count)s working hours", count) % {"count": count}
    return ngettext("%(count)s hour", "%(count)s hours", count) % {"count": count}


def limit(step: Step, learnt: float | None) -> Limit:
    if learnt is None:
        return Limit(step.fallback, None, step.in_working_hours)
    return Limit(max(learnt * FACTOR, step.floor), learnt, step.in_working_hours)


def learnt(step: str, sellers: Sequence[int]) -> Iterable[tuple[str, float]]:
    """(scope, hours) of all that is known of the step."""
    return UsualTime.objects.filter(seller_id__in=sellers, step=step).values_list("scope", "hours")


def limits(step: Step, channels: Iterable[int], sellers: Sequence[int]) -> dict[int, Limit]:
    """channel -> how long the step may take there."""
    known = dict(learnt(step.code, sellers))
    return {channel: limit(step, known.get(str(channel))) for channel in channels}


# Silence of a parcel whose carrier is new here.
FALLBACK_SCAN = Limit(72, None)
SCAN_FLOOR = 24.0
# Limits are rounded up to this: many carriers and states then share few, which keeps the question short.
SCAN_HOURS = 6
CARRIER_LENGTH = 120


def scan_limit(hours: float) -> Limit:
    rounded = math.ceil(max(hours * FACTOR, SCAN_FLOOR) / SCAN_HOURS) * SCAN_HOURS
    return Limit(float(rounded), hours)


def carrier_scope(carrier: str, state: str = "") -> str:
    return f"{carrier[:CARRIER_LENGTH]}|{state}"


# --- Learning ------------------------------------------------------------------------------------------------------


def learn(now: datetime | None = None) -> int:
    """All that is usual, anew. Returns how much was learnt."""
    now = now or timezone.now()
    count = 0
    for seller in Seller.objects.order_by("pk").iterator():
        rows = [*_steps(seller, now), *_scans(seller, now)]
        with transaction.atomic():
            UsualTime.objects.filter(seller=seller).delete()
            UsualTime.objects.bulk_create(rows, batch_size=500)
        count += len(rows)
    return count


def _steps(seller: Seller, now: datetime) -> Iterator[UsualTime]:
    for channel in SalesChannel.objects.filter(seller=seller):
        calendar = of_channel(channel.calendar)
        recent = Order.objects.filter(channel=channel, placed_at__gt=now - HISTORY).order_by("-placed_at")
        for step in STEPS.values():
            ended = recent.filter(**{f"{step.ends}__gt": F(step.begins)}).values_list(step.begins, step.ends)
            hours = [_taken(step, calendar, *times) for times in ended[:MOST_CASES]]
            if usual := _usual(seller, step.code, str(channel.pk), hours, now):
                yield usual


def _taken(step: Step, calendar: Calendar, began: datetime, ended: datetime) -> float:
    if step.in_working_hours:
        return calendar.working_hours_between(began, ended)
    return (ended - began).total_seconds() / 3600


def _scans(seller: Seller, now: datetime) -> Iterator[UsualTime]:
    """By carrier and state, and by carrier alone for the states with too few."""
    scans = TrackingEvent.objects.filter(
        shipment__order__seller=seller, shipment__order__placed_at__gt=now - HISTORY
    ).values_list("shipment_id", "at", "shipment__carrier", "shipment__order__state")
    pauses: dict[str, list[float]] = {}
    newest = sorted(scans.order_by("-at")[: MOST_CASES * 10])
    for (parcel, before, carrier, state), (next_parcel, at, *_same) in pairwise(newest):
        if parcel == next_parcel and carrier:
            for scope in {carrier_scope(carrier), carrier_scope(carrier, state)}:
                pauses.setdefault(scope, []).append((at - before).total_seconds() / 3600)
    for scope, hours in pauses.items():
        if usual := _usual(seller, SCAN, scope, hours, now):
            yield usual


def _usual(seller: Seller, step: str, scope: str, hours: list[float], now: datetime) -> UsualTime | None:
    if len(hours) < FEWEST_CASES:
        return None
    usual = statistics.quantiles(hours, n=100, method="inclusive")[SHARE - 1]
    return UsualTime(seller=seller, step=step, scope=scope, hours=usual, cases=len(hours), learnt_at=now)
