"""The reports as pages and files: what stands still, since when, why, and the press that mends it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from hub.tenancy import Permission
from monitoring import sheets
from monitoring.pages.shell import mine, page, sees_everywhere, seller_ids, sellers_allowing, show
from monitoring.reports.base import COUNTED, REPORTS, Action, Report, Row, Scope, Text, everything
from monitoring.reports.words import COLUMNS, cell, facts, late_by
from orders.models import SalesChannel

PER_PAGE = 50
LAST_PAGE = COUNTED // PER_PAGE
# A case is red or amber only while it has rows; the others are work that goes its way.
TONES = {
    "late": "red", "refused": "red", "unreadable": "red", "trouble": "red", "not_returned": "red", "blocked": "red",
    "duplicated": "red", "at_risk": "amber", "unknown": "amber", "held": "amber", "unseen": "amber", "unread": "amber",
    "unfetched": "amber", "failing": "amber", "trying": "amber", "waiting": "blue", "due": "blue", "deleted": "grey",
}  # fmt: skip
OTHER_TONE = "amber"


@dataclass(frozen=True)
class Counted:
    """`count` as it is shown: "10,000+" where counting stopped."""

    code: str
    label: Text
    number: int
    tone: str

    @property
    def count(self) -> str:
        return f"{self.number}+" if self.number >= COUNTED else str(self.number)


@dataclass(frozen=True)
class Shown:
    row: Row
    label: Text
    tone: str
    late: str
    late_tone: str
    actions: list[Action]


@page
def reports(request: HttpRequest) -> HttpResponse:
    scope = _scope(request)
    listed = [(report, _counted(report, report.counts(scope))) for report in REPORTS.values()]
    return show(request, "reports.html", _("Reports"), reports=listed)


@page
def report(request: HttpRequest, name: str) -> HttpResponse:
    chosen = _report(name)
    scope = _scope(request, chosen)
    number = min(max(_integer(request.GET.get("page")), 1), LAST_PAGE)
    counts = chosen.counts(scope)
    found = chosen.rows(scope, PER_PAGE + 1, (number - 1) * PER_PAGE)
    return show(
        request,
        "report.html",
        chosen.title,
        report=chosen,
        cases=_counted(chosen, counts),
        case=scope.case,
        total=sum(counts.values()),
        channels=mine(SalesChannel.objects.all(), request).order_by("name"),
        channel=scope.channel,
        rows=_shown(chosen, _for(request, found[:PER_PAGE]), scope.now, request),
        page_number=number,
        newer=number - 1,
        older=number + 1 if len(found) > PER_PAGE and number < LAST_PAGE else 0,
    )


def _report(name: str) -> Report:
    found = REPORTS.get(name)
    if found is None:
        raise Http404
    return found


def _scope(request: HttpRequest, chosen: Report | None = None) -> Scope:
    """This person's sellers; the address's `case` and `channel`. What it does not know narrows nothing."""
    case, channel = request.GET.get("case", ""), _integer(request.GET.get("channel"))
    return Scope(
        tuple(seller_ids(request)),
        timezone.now(),
        channel=channel or None if chosen else None,
        case=case if chosen and case in chosen.cases else "",
    )


def _integer(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 19 else 0


def _counted(chosen: Report, counts: Mapping[str, int]) -> list[Counted]:
    return [
        Counted(code, label, number := counts.get(code, 0), TONES.get(code, OTHER_TONE) if number else "grey")
        for code, label in chosen.cases.items()
    ]


def _for(request: HttpRequest, rows: Iterable[Row]) -> Iterator[Row]:
    """What an order is worth is not for everybody."""
    trusted = {seller.pk for seller in sellers_allowing(request, Permission.MONEY)}
    for row in rows:
        yield row if row.seller_id in trusted else replace(row, value=None)


def _shown(chosen: Report, rows: Iterable[Row], now: datetime, request: HttpRequest) -> list[Shown]:
    """Who may only look gets the links, not the presses."""
    acting = {seller.pk for seller in sellers_allowing(request)}
    return [
        Shown(
            row,
            chosen.cases[row.case],
            TONES.get(row.case, OTHER_TONE),
            *late_by(row, now),
            [one for one in row.actions if one.opens or row.seller_id in acting],
        )
        for row in rows
    ]


@page
def export(request: HttpRequest, name: str) -> StreamingHttpResponse:
    """All rows as a file, sent while they are read."""
    chosen = _report(name)
    scope = _scope(request, chosen)
    money = sees_everywhere(request, Permission.MONEY)

    def cells(row: Row, comma: bool) -> list[str]:
        told: dict[str, Any] = {**facts(row, scope.now), "case": str(chosen.cases[row.case])}
        return [cell(value, comma) if money or name != "value" else "" for name, value in told.items()]

    rows = _for(request, everything(chosen, scope))
    file = f"{name}-{timezone.localtime():%Y-%m-%d-%H%M}.csv"
    return sheets.answer(file, sheets.lines(COLUMNS.values(), rows, cells, translation.get_language() or "pt-br"))
