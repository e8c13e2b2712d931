"""Who did what: the log as a page with filters, and as a file."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils import timezone, translation
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hub.models import Activity, Membership
from monitoring import sheets
from monitoring.pages.people import managed
from monitoring.pages.shell import page, person, show
from orders.corrections import LABELS

PER_PAGE = 50
LAST_PAGE = 1_000

ACTIONS: dict[str, Any] = {
    "signed_in": gettext_lazy("signed in"),
    "signed_out": gettext_lazy("signed out"),
    "sign_in_failed": gettext_lazy("tried to sign in with a wrong password"),
    "locked_out": gettext_lazy("was locked out after too many wrong passwords"),
    "password_forgotten": gettext_lazy("asked for a link to a new password"),
    "password_reset": gettext_lazy("set a new password by a link"),
    "session_ended": gettext_lazy("ended a session"),
    "sessions_ended": gettext_lazy("ended all other sessions"),
    "second_factor_added": gettext_lazy("set up the second factor"),
    "second_factor_removed": gettext_lazy("removed the second factor"),
    "second_factor_codes": gettext_lazy("made new codes for paper"),
    "second_factor_wrong": gettext_lazy("typed a wrong code"),
    "second_factor_asked": gettext_lazy("changed who needs a second factor"),
    "invited": gettext_lazy("invited"),
    "invitation_withdrawn": gettext_lazy("withdrew an invitation"),
    "joined": gettext_lazy("accepted an invitation"),
    "role_changed": gettext_lazy("changed a role"),
    "removed": gettext_lazy("removed a person"),
    "connection_created": gettext_lazy("added a connection"),
    "connection_changed": gettext_lazy("changed a connection"),
    "connection_paused": gettext_lazy("paused a connection"),
    "connection_resumed": gettext_lazy("resumed a connection"),
    "connection_signed_in": gettext_lazy("signed in to a service"),
    "calendar_changed": gettext_lazy("changed a calendar"),
    "sender_changed": gettext_lazy("changed the sender on labels"),
    "setup_closed": gettext_lazy("put the steps of setting up away"),
    "setup_opened": gettext_lazy("brought the steps of setting up back"),
    "demo_started": gettext_lazy("started the demonstration"),
    "demo_removed": gettext_lazy("removed the demonstration"),
    "period_read": gettext_lazy("had a period read again"),
    "steps_retried": gettext_lazy("tried many steps again"),
    "step_closed": gettext_lazy("closed a step by hand"),
    "steps_closed": gettext_lazy("closed many steps by hand"),
    "order_corrected": gettext_lazy("corrected an order"),
    "correction_taken_back": gettext_lazy("took a correction back"),
    "dispatch_corrected": gettext_lazy("corrected a dispatch"),
    "invoice_corrected": gettext_lazy("corrected an NF-e"),
    "sku_corrected": gettext_lazy("said what the ERP calls a SKU"),
    "rule_added": gettext_lazy("added a rule"),
    "rule_changed": gettext_lazy("changed a rule"),
    "rule_switched": gettext_lazy("switched a rule on or off"),
    "destination_added": gettext_lazy("added a destination of alerts"),
    "destination_changed": gettext_lazy("changed a destination of alerts"),
    "destination_removed": gettext_lazy("removed a destination of alerts"),
    "alerts_chosen": gettext_lazy("chose what to be told"),
    "order_rule_added": gettext_lazy("added a rule for orders"),
    "order_rule_changed": gettext_lazy("changed a rule for orders"),
    "order_rule_moved": gettext_lazy("moved a rule for orders"),
    "order_rule_switched": gettext_lazy("switched a rule for orders on or off"),
    "order_rule_removed": gettext_lazy("removed a rule for orders"),
    "weights_changed": gettext_lazy("changed what comes first"),
    "bulk_tag": gettext_lazy("tagged many orders"),
    "bulk_untag": gettext_lazy("removed a tag from many orders"),
    "bulk_hold": gettext_lazy("held many orders"),
    "bulk_release": gettext_lazy("released many orders"),
    "bulk_retry": gettext_lazy("tried failed steps of many orders again"),
    "bulk_dispatch": gettext_lazy("marked many orders as dispatched"),
    "bulk_assign": gettext_lazy("said who sees to many orders"),
    "bulk_rule": gettext_lazy("applied a rule to many orders"),
    "bulk_export": gettext_lazy("made a file of many orders"),
    "repairs_allowed": gettext_lazy("changed what the hub mends by itself"),
}  # fmt: skip
FACTS: dict[str, Any] = {
    "role": gettext_lazy("role"),
    "roles": gettext_lazy("roles"),
    "sees_buyer": gettext_lazy("sees the buyer's data"),
    "sees_money": gettext_lazy("sees money"),
    "state": gettext_lazy("state"),
    "flow": gettext_lazy("part"),
    "count": gettext_lazy("number"),
    "reason": gettext_lazy("reason"),
    "reference": gettext_lazy("reference"),
    "fields": gettext_lazy("fields"),
    "key": gettext_lazy("access key"),
    "carrier": gettext_lazy("carrier"),
    "tracking_code": gettext_lazy("tracking code"),
    "since": gettext_lazy("from"),
    "until": gettext_lazy("to"),
    "name": gettext_lazy("name"),
    "erp_sku": gettext_lazy("SKU in the ERP"),
    "secrets": gettext_lazy("secrets"),
}
COLUMNS = (
    gettext_lazy("Time"),
    gettext_lazy("Seller"),
    gettext_lazy("Who"),
    gettext_lazy("What"),
    gettext_lazy("About"),
    gettext_lazy("Before"),
    gettext_lazy("After"),
    gettext_lazy("Address"),
)


@dataclass(frozen=True)
class Told:
    row: Activity
    what: str
    changes: list[tuple[str, str, str]]


@page
def activity(request: HttpRequest) -> HttpResponse:
    rows = _chosen(request)
    text = request.GET.get("page", "")
    number = min(max(int(text), 1), LAST_PAGE) if text.isdecimal() and len(text) < 6 else 1
    start = (number - 1) * PER_PAGE
    found = list(rows[start : start + PER_PAGE + 1])
    return show(
        request,
        "people_activity.html",
        _("Activity"),
        lines=[_told(row) for row in found[:PER_PAGE]],
        actions=sorted(ACTIONS.items(), key=lambda one: str(one[1])),
        chosen=request.GET,
        page_number=number,
        newer=number - 1,
        older=number + 1 if len(found) > PER_PAGE and number < LAST_PAGE else 0,
    )


def _chosen(request: HttpRequest) -> QuerySet[Activity]:
    """Newest first: lines of the sellers in view, and what their people did at the door (signing in)."""
    rows = Activity.objects.select_related("seller").order_by("-at", "-pk")
    sellers = managed(request)
    own = Q(seller__in=sellers)
    if person(request).is_superuser:
        own |= Q(seller=None)
    else:
        names = User.objects.filter(memberships__seller__in=sellers).values_list("username", flat=True)
        own |= Q(seller=None, actor__in=list(names))
    return _filtered(rows.filter(own), request)


def _filtered(rows: QuerySet[Activity], request: HttpRequest) -> QuerySet[Activity]:
    who, what = request.GET.get("who", "").strip(), request.GET.get("what", "")
    since, until = _day(request.GET.get("since", "")), _day(request.GET.get("until", ""))
    if who:
        rows = rows.filter(Q(actor__icontains=who) | Q(subject__icontains=who))
    if what in ACTIONS:
        rows = rows.filter(action=what)
    if since:
        rows = rows.filter(at__gte=_midnight(since))
    if until:
        rows = rows.filter(at__lt=_midnight(until + timedelta(days=1)))
    return rows


def _day(text: str) -> date | None:
    try:
        return parse_date(text)
    except ValueError:
        return None


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def _told(row: Activity) -> Told:
    names = list(dict.fromkeys([*row.before, *row.after]))
    return Told(
        row,
        str(ACTIONS.get(row.action, row.action)),
        [(str(FACTS.get(name, name)), _value(row.before.get(name)), _value(row.after.get(name))) for name in names],
    )


def _value(value: Any) -> str:
    """A stored value in words."""
    if value is None or value == "" or value == []:
        return "—"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list):
        return ", ".join(str(LABELS.get(one) or _value(one)) for one in value)
    return str(dict(Membership.Role.choices).get(str(value), value))


@page
def export(request: HttpRequest) -> StreamingHttpResponse:
    rows = _chosen(request).iterator(sheets.CHUNK)
    name = f"activity-{timezone.localtime():%Y-%m-%d-%H%M}.csv"
    return sheets.answer(name, sheets.lines(COLUMNS, rows, _cells, translation.get_language() or "pt-br"))


def _cells(row: Activity, _comma: bool) -> list[str]:
    told = _told(row)
    before = "; ".join(f"{name}: {old}" for name, old, _new in told.changes)
    after = "; ".join(f"{name}: {new}" for name, _old, new in told.changes)
    seller = row.seller.name if row.seller else ""
    time_here = f"{timezone.localtime(row.at):%Y-%m-%d %H:%M:%S}"
    texts = [time_here, seller, row.actor, told.what, row.subject, before, after, row.address or ""]
    return [sheets.harmless(text) for text in texts]
