"""What there is to call for: one function for each kind of rule, (seller, the rule's parameters, now) -> causes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, Q
from django.urls import reverse

from connectors import tokens
from connectors.contract import Role
from connectors.health import OPENS_AFTER
from connectors.models import Connection, Credential, Job
from connectors.registry import services
from hub.models import Seller
from monitoring.alerts import silence
from monitoring.incidents.groups import CONNECTION
from monitoring.models import Alert, AlertRule, Heartbeat, Incident
from monitoring.reports.base import REPORTS, Scope
from monitoring.system import parts

Kind = AlertRule.Kind
Params = Mapping[str, Any]

# What a rule asks where it does not say so itself.
USUAL: dict[str, dict[str, Any]] = {
    Kind.REPORT_ROWS: {"report": "awaiting_dispatch", "case": "late", "rows": 1},
    Kind.REPORT_AGE: {"report": "untransmitted", "case": "", "minutes": 30},
    Kind.INCIDENT: {"orders": 0},
    Kind.CONNECTION_DOWN: {"minutes": 5},
    Kind.TOKEN_EXPIRES: {"days": "30, 7, 1"},
    Kind.SILENCE: {"minutes": 10},
    Kind.PROCESS_SILENT: {"minutes": 5},
    Kind.BACKLOG: {"jobs": 20, "minutes": 15},
    Kind.DIGEST: {"hour": 8},
}
# An access token that is this long past its end, on a connection in use, could not be renewed.
NOT_RENEWED = timedelta(minutes=15)


@dataclass(frozen=True)
class Cause:
    """One thing to call for. `key` is the same as long as it is the same thing; `code` and `data` become a sentence of
    `wording`; `path` is the page that mends it. `muted`: a person knows already, so nobody is called.
    """

    key: str
    code: str
    data: dict[str, Any] = field(default_factory=dict)
    path: str = ""
    urgent: bool = False
    muted: bool = False

    @property
    def count(self) -> int:
        """What a snooze measures growth by."""
        return int(self.data.get("count", 1))


def of(rule: AlertRule, now: datetime) -> list[Cause]:
    return list(KINDS[rule.kind](rule.seller, {**USUAL[rule.kind], **rule.params}, now))


# --- Reports ---------------------------------------------------------------------------------------------------------


def report_rows(seller: Seller, params: Params, now: datetime) -> Iterator[Cause]:
    count = _rows(seller, params, now)
    if count >= max(1, int(params["rows"])):
        yield _of_report(seller, "report_rows", params, {"count": count})


def report_age(seller: Seller, params: Params, now: datetime) -> Iterator[Cause]:
    report = REPORTS.get(params["report"])
    oldest = report.oldest(_scope(seller, params, now)) if report else None
    if oldest and oldest <= now - timedelta(minutes=int(params["minutes"])):
        data = {"count": _rows(seller, params, now), "since": oldest.isoformat()}
        yield _of_report(seller, "report_age", params, data)


def _rows(seller: Seller, params: Params, now: datetime) -> int:
    report = REPORTS.get(params["report"])
    if report is None:
        return 0
    counts = report.counts(_scope(seller, params, now))
    return counts.get(params["case"], 0) if params["case"] else sum(counts.values())


def _scope(seller: Seller, params: Params, now: datetime) -> Scope:
    return Scope((seller.pk,), now, case=params["case"])


def _of_report(seller: Seller, code: str, params: Params, data: dict[str, Any]) -> Cause:
    name, case = params["report"], params["case"]
    path = f"/reports/{name}/" + (f"?case={case}" if case else "")
    # Orders that wait for an ERP that is away are no second thing to call for.
    known = name == "untransmitted" and _known_to_be_away(seller, connection__role=Role.ERP)
    return Cause(f"{code}:{name}:{case}", code, {"report": name, "case": case, **data}, path, muted=known)


def _known_to_be_away(seller: Seller, **about: Any) -> bool:
    """Whether people were told of such a connection, and what has waited for it is not worked off yet."""
    away = Incident.objects.filter(seller=seller, operation=CONNECTION, **about)
    for one in away.exclude(state=Incident.State.RESOLVED):
        causes = [f"{code}:{one.connection_id}" for code in ("away", "sign_in")]
        of_this_one = Q(opened_at__gte=one.first_seen_at) | ~Q(state=Alert.State.MENDED)
        if Alert.objects.filter(of_this_one, seller=seller, cause__in=causes).exists():
            return True
    return False


# --- Incidents and connections ---------------------------------------------------------------------------------------


def incidents(seller: Seller, params: Params, now: datetime) -> Iterator[Cause]:
    """Each incident that holds up so many orders; those of a whole connection are `connection_down`."""
    rows = Incident.objects.filter(seller=seller, orders__gte=int(params["orders"]))
    rows = rows.exclude(state=Incident.State.RESOLVED).exclude(operation=CONNECTION)
    for one in rows.select_related("connection"):
        known = one.state == Incident.State.SNOOZED or one.assignee_id is not None
        data = {
            "connection": one.connection.name,
            "operation": one.operation,
            "message": one.message[:300],
            "count": one.blocked,
            "orders": one.orders,
            "amounts": [[str(amount), currency] for amount, currency in one.amounts],
            "since": one.first_seen_at.isoformat(),
        }
        yield Cause(f"incident:{one.pk}", "incident", data, reverse("incident", args=[one.pk]), muted=known)


def connection_down(seller: Seller, params: Params, now: datetime) -> Iterator[Cause]:
    away = Q(state=Connection.State.ACTIVE, failures__gte=OPENS_AFTER)
    since = now - timedelta(minutes=int(params["minutes"]))
    for one in Connection.objects.filter(Q(state=Connection.State.SIGN_IN) | away, seller=seller):
        if one.state == Connection.State.SIGN_IN:
            yield _of_connection("sign_in", one, {"message": one.state_reason[:300]})
        elif (one.last_poll_ok_at or one.created_at) <= since:
            answered = (one.last_poll_ok_at or one.created_at).isoformat()
            yield _of_connection("away", one, {"since": answered, "message": one.last_error[:300]})


def token_expires(seller: Seller, params: Params, now: datetime) -> Iterator[Cause]:
    """Permissions that end in so many days, of connections that rest, too; and sign-ins that are not renewed."""
    stages = _days_of(params["days"])
    rows = Credential.objects.filter(
        connection__seller=seller, connection__state__in=(Connection.State.ACTIVE, Connection.State.PAUSED)
    )
    dead = Q(expires_at__lte=now - NOT_RENEWED)
    ending = Q(consent_until__lte=now + timedelta(days=max(stages)))
    for row in rows.filter(ending | dead).select_related("connection"):
        if row.consent_until and (stage := _stage(row, stages, now)) is not None:
            data = {"until": row.consent_until.isoformat(), "stage": stage}
            yield _of_connection("consent_ends", row.connection, data)
        elif row.connection.state == Connection.State.ACTIVE and row.expires_at and row.expires_at <= now - NOT_RENEWED:
            yield _of_connection("not_renewed", row.connection, {"since": row.expires_at.isoformat()})


def _days_of(text: Any) -> list[int]:
    """The numbers of "30, 7, 1", and 0: the day itself."""
    return [*(int(day) for day in str(text).split(",")), 0]


def _stage(row: Credential, stages: Sequence[int], now: datetime) -> int | None:
    """Of the days before the end, the fewest that have been reached."""
    if row.consent_until is None:
        return None
    if tokens.renews_itself(row, now):
        return None
    service = services().get(row.connection.kind)
    if service and service.consent and service.consent_renews:
        # One that lasts a month has not nearly ended when it begins.
        stages = [days for days in stages if timedelta(days=2 * days) <= service.consent]
    left = row.consent_until - now
    return min((days for days in stages if left <= timedelta(days=days)), default=None)


def _of_connection(code: str, connection: Connection, data: dict[str, Any]) -> Cause:
    path = reverse("connection", args=[connection.pk])
    return Cause(f"{code}:{connection.pk}", code, {"connection": connection.name, **data}, path)


# --- Silence and backlog ---------------------------------------------------------------------------------------------


def silent(seller: Seller, params: Params, now: datetime) -> Iterator[Cause]:
    """Channels without orders for unusually long, and connections that are not asked for news any more."""
    if _stands_still(timedelta(minutes=3), now):
        return
    patience = timedelta(minutes=int(params["minutes"]))
    for one in Connection.objects.filter(seller=seller, state=Connection.State.ACTIVE).select_related("seller"):
        if "poll" in one.paused_flows:
            continue
        if one.next_poll_at <= now - patience:
            yield _of_connection("poll_silent", one, {"since": one.next_poll_at.isoformat()})
        elif one.channel_id and (found := silence.unusual(one, now)):
            data = {"since": found.since.isoformat(), "usual": round(found.usual)}
            yield replace(_of_connection("silence", one, data), muted=_known_to_be_away(seller, connection=one))


def process_silent(seller: Seller, params: Params, now: datetime) -> Iterator[Cause]:
    """The broker, the clock or the workers: what is silent itself, not what waits for it."""
    patience = timedelta(minutes=int(params["minutes"]))
    seen = dict(Heartbeat.objects.filter(name__in=(Heartbeat.CLOCK, Heartbeat.WORKER)).values_list("name", "at"))
    sent, run = seen.get(Heartbeat.CLOCK, now), seen.get(Heartbeat.WORKER)
    if sent < now - patience:
        # Without a broker the clock waits for it.
        yield _of_process("clock" if parts.queued() is not None else "broker", sent)
    if run and run < sent - patience:
        yield _of_process("worker", run)


def _of_process(name: str, since: datetime) -> Cause:
    return Cause(f"process:{name}", f"{name}_silent", {"since": since.isoformat()}, reverse("system"), urgent=True)


def _stands_still(patience: timedelta, now: datetime) -> bool:
    return Heartbeat.objects.filter(name=Heartbeat.WORKER, at__lt=now - patience).exists()


def backlog(seller: Seller, params: Params, now: datetime) -> Iterator[Cause]:
    """Steps that could run and do not: due for long, on a connection that works."""
    late = now - timedelta(minutes=int(params["minutes"]))
    working = Connection.objects.filter(seller=seller, state=Connection.State.ACTIVE, failures__lt=OPENS_AFTER)
    for one in working:
        due = Job.objects.filter(connection=one, state__in=(Job.State.READY, Job.State.UNKNOWN), due_at__lte=now)
        found = (
            due.exclude(operation__in=one.paused_flows).order_by().aggregate(count=Count("pk"), oldest=Min("due_at"))
        )
        if found["count"] >= max(1, int(params["jobs"])) and found["oldest"] <= late:
            data = {"count": found["count"], "since": found["oldest"].isoformat()}
            yield _of_connection("backlog", one, data)


KINDS: dict[str, Callable[[Seller, Params, datetime], Iterator[Cause]]] = {
    Kind.REPORT_ROWS: report_rows,
    Kind.REPORT_AGE: report_age,
    Kind.INCIDENT: incidents,
    Kind.CONNECTION_DOWN: connection_down,
    Kind.TOKEN_EXPIRES: token_expires,
    Kind.SILENCE: silent,
    Kind.PROCESS_SILENT: process_silent,
    Kind.BACKLOG: backlog,
}
