"""The comparison of channel, hub and ERP: each day's three numbers, what differs, and what mends it."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.contrib import messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from connectors.contract import Role
from connectors.failures import Refusal
from connectors.models import Connection
from hub.models import Seller
from hub.tenancy import Permission
from monitoring.models import DayCount, Finding, Listed
from monitoring.pages.shell import (
    action,
    actor,
    back,
    carry_out,
    log,
    mine,
    must_act,
    one,
    page,
    seller_ids,
    sellers_allowing,
    show,
)
from monitoring.reconciliation import census, days, repairs, words
from monitoring.reconciliation.findings import SHOWN, State
from monitoring.reconciliation.repairs import Repair

DAYS_SHOWN = 14
LONGEST_PERIOD = 31
FINDINGS_SHOWN = 50
# Seconds between two looks at an open page: while something runs, and otherwise.
LIVE, CALM = 4, 30
VIEWS = {
    "": (gettext_lazy("Open"), SHOWN),
    "mended": (gettext_lazy("Mended"), (State.MENDED,)),
    "dismissed": (gettext_lazy("Left as it is"), (State.DISMISSED,)),
}


@dataclass(frozen=True)
class Seen:
    """A finding as the page shows it."""

    row: Finding
    repairs: list[tuple[str, Repair]]

    @property
    def title(self) -> Any:
        return words.TITLES[Finding.Kind(self.row.kind)]

    @property
    def tone(self) -> str:
        return words.TONES.get(Finding.Kind(self.row.kind), "amber")

    @property
    def number(self) -> str:
        return words.number(self.row)

    @property
    def cause(self) -> str:
        return words.cause(self.row)

    @property
    def sides(self) -> list[dict[str, Any]]:
        return [words.shown(name, side) for name, side in words.sides(self.row)]

    @property
    def repair(self) -> Any:
        known = repairs.REPAIRS.get(self.row.repair)
        return known.label if known else ""


@dataclass(frozen=True)
class Cell:
    """One channel's day."""

    channel: Connection
    count: DayCount | None
    settled: bool


@page
def comparison(request: HttpRequest) -> HttpResponse:
    view = request.GET.get("show", "")
    view = view if view in VIEWS else ""
    sellers = list(Seller.objects.filter(pk__in=seller_ids(request)))
    running = list(census.under_way(seller_ids(request)))
    last = _date(request, "until") or max((days.today(one) for one in sellers), default=timezone.localdate())
    rows = mine(Connection.objects.filter(role=Role.CHANNEL).select_related("seller"), request)
    channels = list(rows.order_by("name", "pk"))
    found = _findings(request, VIEWS[view][1])
    return show(
        request,
        "comparison.html",
        _("Comparison"),
        channels=channels,
        rows=_rows(channels, last),
        earlier=last - timedelta(days=DAYS_SHOWN),
        last=last,
        first=last - timedelta(days=1),
        running=running,
        pages=sum(int(job.input.get("listed", 0)) for job in running),
        seconds=LIVE if running else CALM,
        views=[(name, label) for name, (label, _states) in VIEWS.items()],
        chosen=view,
        kinds=_kinds(found),
        kind=request.GET.get("kind", ""),
        findings=[Seen(row, repairs.of_kind(row)) for row in _shown_findings(request, found)],
        day=_date(request, "day"),
        can_act=bool(sellers_allowing(request)),
        allowed=[(seller, _allowed(seller)) for seller in sellers_allowing(request, Permission.SETTINGS)],
    )


def _date(request: HttpRequest, name: str) -> date | None:
    try:
        return parse_date(request.GET.get(name) or request.POST.get(name, ""))
    except ValueError:
        return None


def _rows(channels: Sequence[Connection], last: date) -> list[tuple[date, list[Cell]]]:
    """(day, its counts by channel), the newest first; days on which nothing was compared are left out."""
    counts = DayCount.objects.filter(
        connection__in=[one.pk for one in channels], day__gt=last - timedelta(days=DAYS_SHOWN), day__lte=last
    )
    known = {(count.day, count.connection_id): count for count in counts}
    dates = sorted({day for day, _connection in known}, reverse=True)
    with_erp = census.with_erp({one.seller_id for one in channels})
    return [(day, [_cell(one, known.get((day, one.pk)), with_erp) for one in channels]) for day in dates]


def _cell(channel: Connection, count: DayCount | None, with_erp: Collection[int]) -> Cell:
    settled = count is not None and days.is_settled(count, channel.seller, with_erp=channel.seller_id in with_erp)
    return Cell(channel, count, settled)


def _findings(request: HttpRequest, states: Iterable[State]) -> QuerySet[Finding]:
    rows = mine(Finding.objects.filter(state__in=list(states)), request)
    if (day := _date(request, "day")) is not None:
        rows = rows.filter(day=day)
    if (channel := request.GET.get("channel", "")).isdecimal():
        rows = rows.filter(connection=int(channel))
    return rows


def _kinds(found: QuerySet[Finding]) -> list[tuple[str, str, int]]:
    counted = dict(found.order_by().values_list("kind").annotate(Count("pk")))
    return [(kind.value, str(kind.label), counted[kind]) for kind in Finding.Kind if kind in counted]


def _shown_findings(request: HttpRequest, found: QuerySet[Finding]) -> QuerySet[Finding]:
    kind = request.GET.get("kind", "")
    rows = found.filter(kind=kind) if kind in Finding.Kind else found
    return rows.select_related("connection", "seller", "order__channel").order_by("-found_at", "-pk")[:FINDINGS_SHOWN]


def _allowed(seller: Seller) -> list[tuple[str, Any, bool]]:
    codes = list(dict.fromkeys(repairs.BY_ITSELF.values()))
    return [(code, repairs.REPAIRS[code].label, code in seller.auto_repairs) for code in codes]


# --- What a person may do ------------------------------------------------------------------------------------------


@action
def compare_now(request: HttpRequest) -> HttpResponse:
    first, last = _date(request, "first"), _date(request, "last")
    writable = [seller.pk for seller in sellers_allowing(request)]
    if first is None or last is None or first > last or (last - first).days >= LONGEST_PERIOD:
        messages.error(request, _("Choose a period of at most %(days)s days.") % {"days": LONGEST_PERIOD})
    elif asked := census.compare_now(writable, first, last):
        said = ngettext("%(count)s connection is being asked.", "%(count)s connections are being asked.", asked)
        messages.success(request, said % {"count": asked})
    else:
        messages.info(request, _("This is being compared already, or no connection can be asked."))
    return back(request, reverse("comparison"))


def _finding(request: HttpRequest, pk: int) -> Finding:
    found = one(Finding.objects.select_related("seller", "connection"), request, pk)
    must_act(request, found.seller)
    return found


@action
def repair(request: HttpRequest, pk: int) -> HttpResponse:
    found = _finding(request, pk)
    code, choice = request.POST.get("repair", ""), request.POST.get("choice", "").strip()[:120]

    def deed() -> None:
        chosen = _entry(found.connection, choice) if choice else ""
        repairs.apply(found, code, actor(request), chosen)

    carry_out(request, deed, _("On its way. The finding closes by itself when it has helped."))
    return back(request, reverse("comparison"))


def _entry(erp: Connection, said: str) -> str:
    """The ERP's id for what a person typed: its id, its number or our number in it, where that is one order's."""
    for name in ("key", "number", "reference"):
        keys = list(Listed.objects.filter(connection=erp, **{name: said}).values_list("key", flat=True)[:2])
        if len(keys) == 1:
            return str(keys[0])
    raise Refusal(_("No order of the ERP, or more than one, has the number %(number)s.") % {"number": said})


@action
def dismiss(request: HttpRequest, pk: int) -> HttpResponse:
    found = _finding(request, pk)
    if reason := request.POST.get("reason", "").strip():
        repairs.dismiss(found, actor(request), reason)
        messages.success(request, _("Left as it is, until one of the sides says something else."))
    return back(request, reverse("comparison"))


@action
def allow(request: HttpRequest, pk: int) -> HttpResponse:
    """Which repairs need no person's word."""
    seller = get_object_or_404(Seller, pk=pk if pk in seller_ids(request) else 0)
    must_act(request, seller, Permission.SETTINGS)
    known = set(repairs.BY_ITSELF.values())
    before, seller.auto_repairs = seller.auto_repairs, sorted(known & set(request.POST.getlist("repair")))
    seller.save(update_fields=["auto_repairs"])
    log(request, "repairs_allowed", seller, "", {"repairs": before}, {"repairs": seller.auto_repairs})
    messages.success(request, _("Kept."))
    return back(request, reverse("comparison"))
