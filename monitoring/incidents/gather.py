"""Keeps one row for each cause of failures: opened, counted, woken, resolved and reopened by what the ledger shows.

Runs every few seconds and costs the same whatever the number of failures: a failure itself writes nothing here.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from connectors.failures import NOT_YET, Category
from connectors.models import Connection, InboxEntry, Job
from monitoring.incidents import cure, groups
from monitoring.incidents.groups import Group, Key
from monitoring.models import Heartbeat, Incident
from monitoring.models.incidents import OWN_CURRENCY

# The row that whoever gathers holds meanwhile.
BEAT = "incidents"
# What goes on by itself is an incident when it lasts longer than this…
PATIENCE = timedelta(minutes=2)
# …or holds up as many, and is no hiccup of some seconds.
MANY = 5
HICCUP = timedelta(seconds=20)
# Waiting for a limit, or for the other side to be ready, is no trouble for much longer.
LIMIT_PATIENCE = timedelta(hours=1)
NOT_YET_PATIENCE = timedelta(hours=6)
# Nothing held up for as long: resolved. Long enough for a retry to fail again.
QUIET = timedelta(seconds=60)
# "Last seen" is written no more often than this, as long as nothing else changes.
SEEN_EACH = timedelta(seconds=30)

COLUMNS = (
    "state", "last_seen_at", "blocked", "most_blocked", "orders", "value", "foreign", "needs_person", "message",
    "reopened", "resolved_at", "resolved_by", "snoozed_until", "snoozed_above",
)  # fmt: skip


@transaction.atomic
def gather(now: datetime | None = None) -> bool:
    """Brings the incidents up to date. False if another worker is at it."""
    now = now or timezone.now()
    if not _my_turn(now):
        return False
    open_ones = list(_locked().exclude(state=Incident.State.RESOLVED))
    mending = {one.connection_id: one.cause for one in open_ones if one.operation == groups.CONNECTION}
    found = groups.current(now, mending)
    known = {_key(one): one for one in open_ones}
    resolved = _resolved(found, known)
    changed = [one for key, one in known.items() if _update(one, found.get(key), now)]
    for key, one in resolved.items():
        if _worth_opening(found[key], now):
            _reopen(one, found[key], now)
            changed.append(one)
    strangers = {key: group for key, group in found.items() if key not in known and key not in resolved}
    _open({key: group for key, group in strangers.items() if _worth_opening(group, now)}, now)
    if changed:
        Incident.objects.bulk_update(changed, COLUMNS)
    cure.settle(now)
    return True


def _my_turn(now: datetime) -> bool:
    """Whether this worker has the row that only one can have; on SQLite, where one writes at a time, it always has."""
    Heartbeat.objects.get_or_create(name=BEAT, defaults={"at": now})
    row = Heartbeat.objects.select_for_update(skip_locked=True).filter(name=BEAT).first()
    return row is not None and bool(Heartbeat.objects.filter(pk=row.pk).update(at=now))


def _locked() -> QuerySet[Incident]:
    # What people do at the same time waits, and is not overwritten.
    return Incident.objects.select_for_update(of=("self",)).order_by("pk")


def _key(incident: Incident) -> Key:
    return Key(incident.connection_id, incident.operation, incident.cause)


def _resolved(found: Mapping[Key, Group], known: Mapping[Key, Incident]) -> dict[Key, Incident]:
    """Those that were over and have failures again."""
    missing = [key for key in found if key not in known]
    if not missing:
        return {}
    rows = _locked().filter(
        state=Incident.State.RESOLVED,
        connection__in={key.connection for key in missing},
        cause__in={key.cause for key in missing},
    )
    return {_key(one): one for one in rows if _key(one) in found}


def _worth_opening(group: Group, now: datetime) -> bool:
    if group.needs_person:
        return True
    lasting = now - group.since
    if group.category == Category.RATE_LIMITED:
        return lasting > LIMIT_PATIENCE
    if group.code == NOT_YET:
        return lasting > NOT_YET_PATIENCE
    return lasting > PATIENCE or (group.blocked >= MANY and lasting > HICCUP)


# --- What becomes of one ----------------------------------------------------------------------------------------------


def _update(incident: Incident, group: Group | None, now: datetime) -> bool:
    """Whether anything is to be written."""
    before = [getattr(incident, name) for name in COLUMNS]
    if group is None:
        _fade(incident, now)
    else:
        _count(incident, group)
        if [getattr(incident, name) for name in COLUMNS] != before or now - incident.last_seen_at > SEEN_EACH:
            incident.last_seen_at = now
        _wake(incident, now)
    return [getattr(incident, name) for name in COLUMNS] != before


def _fade(incident: Incident, now: datetime) -> None:
    if incident.blocked:
        incident.last_seen_at = now
    incident.blocked = incident.orders = 0
    _price(incident, {})
    incident.needs_person = False
    if now - incident.last_seen_at > QUIET:
        resolve(incident, "", now)


def _count(incident: Incident, group: Group) -> None:
    incident.blocked, incident.orders = group.blocked, group.orders
    _price(incident, group.worth)
    incident.most_blocked = max(incident.most_blocked, group.blocked)
    incident.needs_person = group.needs_person
    if group.message and incident.operation in (groups.CONNECTION, groups.POLL):
        incident.message = group.message


def _price(incident: Incident, worth: Mapping[str, Decimal]) -> None:
    cents = {currency: round(amount, 2) for currency, amount in worth.items()}
    incident.value = cents.pop(OWN_CURRENCY, Decimal(0))
    incident.foreign = {currency: str(amount) for currency, amount in cents.items() if amount}


def _wake(incident: Incident, now: datetime) -> None:
    """A snooze ends at its time, or by growth."""
    if incident.state != Incident.State.SNOOZED:
        return
    over = incident.snoozed_until is None or incident.snoozed_until <= now
    grown = incident.snoozed_above is not None and incident.blocked > incident.snoozed_above
    if over or grown:
        awaken(incident)


def awaken(incident: Incident) -> None:
    incident.state = Incident.State.OPEN
    incident.snoozed_until = incident.snoozed_above = None


def resolve(incident: Incident, actor: str, now: datetime) -> None:
    """Over. Without an actor: by itself, since nothing is held up any more."""
    awaken(incident)
    incident.state = Incident.State.RESOLVED
    incident.resolved_at, incident.resolved_by = now, actor


def _reopen(incident: Incident, group: Group, now: datetime) -> None:
    _count(incident, group)
    incident.state = Incident.State.OPEN
    incident.reopened += 1
    incident.last_seen_at = now
    incident.resolved_at, incident.resolved_by = None, ""


def _open(strangers: Mapping[Key, Group], now: datetime) -> None:
    if not strangers:
        return
    _tell(strangers)
    sellers = dict(
        Connection.objects.filter(pk__in={key.connection for key in strangers}).values_list("pk", "seller_id")
    )
    opened = {
        key: Incident(
            seller_id=sellers[key.connection],
            connection_id=key.connection,
            operation=key.operation,
            cause=key.cause,
            category=group.category,
            code=group.code,
            message=group.message,
            first_seen_at=group.since,
            last_seen_at=now,
        )
        for key, group in strangers.items()
        if key.connection in sellers
    }
    for key, incident in opened.items():
        _count(incident, strangers[key])
    Incident.objects.bulk_create(opened.values())


def _tell(strangers: Mapping[Key, Group]) -> None:
    """Fills in the words of one of the failures."""
    silent = {key: group for key, group in strangers.items() if not group.message}
    entries = [group.example for key, group in silent.items() if key.operation == groups.READ]
    jobs = [group.example for key, group in silent.items() if key.operation != groups.READ]
    said: dict[tuple[bool, int], str] = {}
    if jobs:
        rows = Job.objects.filter(pk__in=jobs).values_list("pk", "error")
        said.update({(False, pk): error for pk, error in rows})
    if entries:
        refused = InboxEntry.objects.filter(pk__in=entries).values_list("pk", "error", "error_path")
        said.update({(True, pk): f"{path}: {error}" if path else error for pk, error, path in refused})
    for key, group in silent.items():
        group.message = said.get((key.operation == groups.READ, group.example), "")
