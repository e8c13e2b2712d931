"""Compares what there is to call for with what people were told, and decides what to tell whom now.

Everything is a row: an alert's change and the messages it calls for commit together; `sending` takes it from there.
The rules of telling, for each cause: one message in a window, whatever it does meanwhile; nothing in the quiet hours,
unless it is urgent, and one summary when they end; reminders until it is mended or taken; somebody else when nobody
takes it. One tick is one message for each destination, however many causes there are.
"""

import logging
import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F, Q
from django.utils import timezone

from hub.models import Seller
from monitoring.alerts import causes, defaults, digest, preferences, sending, wording
from monitoring.alerts.causes import Cause
from monitoring.models import Alert, AlertRule, Destination, Heartbeat

log = logging.getLogger(__name__)

BEAT = "alerts"
# Looks come every 30 seconds; two workers that are given the same hint make one look.
TURN = timedelta(seconds=20)
# No look for so long: the hub stood still, and says so when it runs again.
GAP = timedelta(minutes=5)
# A look at all sellers takes no longer, whatever their number.
SLICE_SECONDS = 60.0
# Messages of one rule in one window; what comes on top waits for its end and goes together.
BUDGET = 5
BATCH = 500
COLUMNS = (
    "state", "code", "data", "path", "urgent", "mended_at", "taken_by", "snoozed_until", "snoozed_above", "told_as",
    "told_at", "told", "held", "suppressed", "escalated_at",
)  # fmt: skip
OPEN, TAKEN, MENDED = Alert.State.OPEN, Alert.State.TAKEN, Alert.State.MENDED


def tick(now: datetime | None = None) -> bool:
    """One look at everything for every seller. False if another worker has just had one."""
    now = now or timezone.now()
    last = _my_turn(now)
    if last is None:
        return False
    gap = last if now - last > GAP else None
    sellers, ends = list(Seller.objects.all()), time.monotonic() + SLICE_SECONDS
    # Whoever a slice has no time for must not be the same each time.
    random.shuffle(sellers)
    for seller in sellers:
        if time.monotonic() > ends:
            log.warning("alerts: not every seller was looked at in time")
            break
        _look_safely(seller, now, gap)
    return True


def _look_safely(seller: Seller, now: datetime, gap: datetime | None) -> None:
    try:
        look(seller, now, gap)
    except (OperationalError, InterfaceError):
        raise
    except Exception:  # one seller's trouble must not silence the others' alerts
        log.exception("alerts of seller %s", seller.pk)


def _my_turn(now: datetime) -> datetime | None:
    """When the last look was, if it is this worker's turn: decided by one conditional update."""
    beat, new = Heartbeat.objects.get_or_create(name=BEAT, defaults={"at": now})
    if new:
        return now
    taken = Heartbeat.objects.filter(pk=beat.pk, at=beat.at, at__lte=now - TURN).update(at=now)
    return beat.at if taken else None


@dataclass
class Outbox:
    """What comes of one look: what each destination is to be told (destination -> part -> alerts), and the rows.

    `own` are the destinations of the people who have chosen for themselves.
    """

    own: list[Destination] = field(default_factory=list)
    parts: dict[int, dict[str, list[Alert]]] = field(default_factory=dict)
    new: list[Alert] = field(default_factory=list)
    known: list[tuple[Alert, list[object]]] = field(default_factory=list)

    def put(self, destinations: Iterable[Destination], part: str, alert: Alert) -> None:
        for one in destinations:
            self.parts.setdefault(one.pk, {}).setdefault(part, []).append(alert)

    def save(self, now: datetime) -> None:
        """The messages first: how much was held back is told once."""
        for alert in (*self.new, *(alert for alert, _before in self.known)):
            if now in (alert.told_at, alert.escalated_at):
                alert.suppressed = 0
        Alert.objects.bulk_create(self.new, BATCH)
        self._save_known()

    def _save_known(self) -> None:
        """By equal changes: thousands that are mended at once are a few statements, where Django's own bulk update
        takes minutes.
        """
        groups: dict[tuple[tuple[str, object], ...], list[int]] = {}
        grown: list[Alert] = []
        for alert, before in self.known:
            changes = dict(_changes(alert, before))
            if changes.pop("data", None) is not None:
                grown.append(alert)
            groups.setdefault(tuple(changes.items()), []).append(alert.pk)
        groups.pop((), None)
        for values, pks in groups.items():
            for start in range(0, len(pks), BATCH):
                Alert.objects.filter(pk__in=pks[start : start + BATCH]).update(**dict(values))
        Alert.objects.bulk_update(grown, ["data"], BATCH)


@transaction.atomic
def look(seller: Seller, now: datetime, gap: datetime | None = None) -> None:
    defaults.ensure(seller)
    _drop_switched_off(seller, now)
    # Locked: a second look at the same seller waits, and then sees what this one has told.
    rules = AlertRule.objects.select_for_update().filter(seller=seller, active=True).order_by("pk")
    outbox = Outbox(preferences.personal(seller))
    for rule in rules.prefetch_related("destinations", "escalate_to"):
        rule.seller = seller
        if rule.kind == AlertRule.Kind.DIGEST:
            digest.write(rule, now, outbox.own)
        elif (found := _causes(rule, now)) is not None:
            _judge(rule, found + _gap(rule, gap, now), now, outbox)
    _write(seller, outbox, now)
    outbox.save(now)


def _drop_switched_off(seller: Seller, now: datetime) -> None:
    """What a rule that was switched off had called for is over, without a word."""
    # Their ids first: joined to thousands of young alerts, the planner takes minutes.
    off = list(AlertRule.objects.filter(seller=seller, active=False).values_list("pk", flat=True))
    left = Alert.objects.filter(seller=seller, rule__in=off).exclude(state=MENDED)
    left.update(state=MENDED, mended_at=now, told_as=MENDED, held=False)


def _causes(rule: AlertRule, now: datetime) -> list[Cause] | None:
    """None where asking failed: then nothing is known, and nothing is called mended."""
    try:
        with transaction.atomic():
            return causes.of(rule, now)
    except Exception:  # a mistake in one kind of rule must not silence the others
        log.exception("alert rule %s", rule.pk)
        return None


def _gap(rule: AlertRule, gap: datetime | None, now: datetime) -> list[Cause]:
    if gap is None or rule.kind != AlertRule.Kind.PROCESS_SILENT:
        return []
    data = {"since": gap.isoformat(), "until": now.isoformat()}
    return [Cause(f"process_gap:{gap:%Y%m%d%H%M}", "process_gap", data)]


# --- What has changed ------------------------------------------------------------------------------------------------


def _judge(rule: AlertRule, found: list[Cause], now: datetime, outbox: Outbox) -> None:
    by_key = {cause.key: cause for cause in found}
    known = {alert.cause: alert for alert in _live(rule, now)}
    outbox.known += [(alert, _values(alert)) for alert in known.values()]
    new = [_opened(rule, cause, now) for cause in by_key.values() if cause.key not in known]
    for key, alert in known.items():
        _follow(rule, alert, by_key.get(key), now)
    outbox.new += new
    muted = {cause.key for cause in found if cause.muted}
    _tell(rule, [*known.values(), *new], muted, now, outbox)


def _live(rule: AlertRule, now: datetime) -> list[Alert]:
    """The open ones, and the mended ones that somebody is still to be told of, or that may come back to life."""
    window = now - timedelta(minutes=rule.window_minutes)
    owed = Q(told_as=OPEN) | Q(held=True) | Q(mended_at__gt=window)
    # The open one last: of several of one cause it counts.
    order = F("mended_at").asc(nulls_last=True)
    return list(Alert.objects.select_for_update().filter(~Q(state=MENDED) | owed, rule=rule).order_by(order, "pk"))


def _values(alert: Alert) -> list[object]:
    return [getattr(alert, name) for name in COLUMNS]


def _changes(alert: Alert, before: list[object]) -> Iterator[tuple[str, object]]:
    return ((name, new) for name, new, old in zip(COLUMNS, _values(alert), before, strict=True) if new != old)


def _opened(rule: AlertRule, cause: Cause, now: datetime) -> Alert:
    return Alert(
        rule=rule,
        seller=rule.seller,
        cause=cause.key,
        code=cause.code,
        data=cause.data,
        path=cause.path,
        urgent=cause.urgent or rule.urgent,
        opened_at=now,
        suppressed=1,
    )


def _follow(rule: AlertRule, alert: Alert, cause: Cause | None, now: datetime) -> None:
    if cause is None:
        if alert.state != MENDED:
            alert.state, alert.mended_at = MENDED, now
            alert.suppressed += 1
        return
    if alert.state == MENDED:
        alert.state, alert.mended_at, alert.taken_by = OPEN, None, ""
        alert.suppressed += 1
    nearer = cause.data.get("stage") != alert.data.get("stage")
    alert.code, alert.data, alert.path = cause.code, cause.data, cause.path
    alert.urgent = cause.urgent or rule.urgent
    if nearer:
        _owe(alert)
    _wake(alert, cause, now)


def _owe(alert: Alert) -> None:
    alert.snoozed_until = alert.snoozed_above = None
    alert.held = True


def _wake(alert: Alert, cause: Cause, now: datetime) -> None:
    """A snooze ends at its time, or by growth: then a message is owed."""
    if alert.snoozed_until is None:
        return
    grown = alert.snoozed_above is not None and cause.count > alert.snoozed_above
    if grown or alert.snoozed_until <= now:
        _owe(alert)


# --- What to tell now ------------------------------------------------------------------------------------------------


def _tell(rule: AlertRule, alerts: list[Alert], muted: set[str], now: datetime, outbox: Outbox) -> None:
    quiet = is_quiet(rule, now)
    due = [(alert, part) for alert in alerts if (part := _part(rule, alert, alert.cause in muted, now))]
    spent = bool(due) and _budget_spent(rule, now)
    for alert, part in _together(rule, due, alerts, muted, now):
        if (quiet and not alert.urgent) or spent:
            alert.held = True
        elif not _in_window(rule, alert, now):
            outbox.put(_readers(rule, alert, outbox.own), part, alert)
            _told(alert, now)
    others = preferences.escalated(rule.escalate_to.all(), outbox.own, rule.kind)
    for alert in alerts if others else ():
        if _escalates(rule, alert, alert.cause in muted, now) and (alert.urgent or not quiet):
            outbox.put(others, "escalation", alert)
            alert.escalated_at = now


def _part(rule: AlertRule, alert: Alert, muted: bool, now: datetime) -> str:
    """What there is to tell of it, as if there were no window and no quiet hours; "" for nothing."""
    if alert.state == MENDED:
        return _ending(alert)
    if muted or alert.state == TAKEN or alert.snoozed_until:
        return ""
    if alert.told_as != OPEN:
        return "new"
    return "reminder" if alert.held or _reminder_due(rule, alert, now) else ""


def _ending(alert: Alert) -> str:
    if alert.told_as == OPEN:
        return "mended"
    return "passed" if alert.held and not alert.told_as else ""


def _reminder_due(rule: AlertRule, alert: Alert, now: datetime) -> bool:
    # What comes in stages is told of at each, and not between them.
    if not rule.remind_minutes or alert.told_at is None or alert.data.get("stage"):
        return False
    return alert.told_at <= now - timedelta(minutes=rule.remind_minutes)


def _together(
    rule: AlertRule, due: list[tuple[Alert, str]], alerts: list[Alert], muted: set[str], now: datetime
) -> list[tuple[Alert, str]]:
    """Where one reminder goes out, the rule's others go with it: one message instead of a trickle."""
    if not any(part == "reminder" for _alert, part in due):
        return due
    named = {alert.cause for alert, _part in due}
    others = [
        (alert, "reminder")
        for alert in alerts
        if alert.state == OPEN and alert.cause not in named | muted and not alert.snoozed_until and alert.told_as
    ]
    return due + [pair for pair in others if not _in_window(rule, pair[0], now)]


def _in_window(rule: AlertRule, alert: Alert, now: datetime) -> bool:
    return alert.told_at is not None and alert.told_at > now - timedelta(minutes=rule.window_minutes)


def _budget_spent(rule: AlertRule, now: datetime) -> bool:
    """Each message of a rule has its own moment."""
    window = now - timedelta(minutes=rule.window_minutes)
    moments = Alert.objects.filter(rule=rule, told_at__gt=window).order_by().values("told_at").distinct()
    return moments[:BUDGET].count() >= BUDGET


def _readers(rule: AlertRule, alert: Alert, own: list[Destination]) -> list[Destination]:
    readers = {one.pk: one for one in (*rule.destinations.all(), *preferences.mailed(own, rule.kind))}
    if alert.escalated_at:
        readers.update({one.pk: one for one in rule.escalate_to.all()})
    return list(readers.values())


def _told(alert: Alert, now: datetime) -> None:
    # What is over from the start has no end to be told.
    alert.told_as = MENDED if alert.state == MENDED or alert.code == "process_gap" else OPEN
    alert.told_at, alert.held = now, False
    alert.told += 1


def _escalates(rule: AlertRule, alert: Alert, muted: bool, now: datetime) -> bool:
    if not rule.escalate_minutes or alert.state != OPEN or alert.escalated_at or alert.snoozed_until or muted:
        return False
    return alert.opened_at <= now - timedelta(minutes=rule.escalate_minutes)


def is_quiet(rule: AlertRule, now: datetime) -> bool:
    """Whether it is between `quiet_from` and `quiet_until` by the seller's clock, across midnight too."""
    begins, ends = rule.quiet_from, rule.quiet_until
    if begins is None or ends is None or begins == ends:
        return False
    at = now.astimezone(ZoneInfo(rule.seller.time_zone)).time()
    return begins <= at < ends if begins < ends else at >= begins or at < ends


# --- The messages ----------------------------------------------------------------------------------------------------


def _write(seller: Seller, outbox: Outbox, now: datetime) -> None:
    told = Destination.objects.filter(pk__in=outbox.parts, active=True).select_related("place__user")
    for destination in told.order_by("pk"):
        with preferences.as_its_reader(destination):
            message = wording.compose(seller, outbox.parts[destination.pk], destination.language, now)
        sending.enqueue(destination, message, now)
