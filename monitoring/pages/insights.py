"""Insights: what sells, where, when and how fast it leaves, against the period before or the year before."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Min, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils import timezone, translation
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hub.tenancy import Permission
from monitoring import sheets
from monitoring.insights import charts, forecast, tables
from monitoring.insights.reading import Insights, Pair, Period, read
from monitoring.insights.tables import Column, Table, grown, shown
from monitoring.models import Tally
from monitoring.pages.shell import mine, page, sees_everywhere, sellers_allowing, show
from orders.models import SalesChannel

PRESETS = {"7": 7, "30": 30, "90": 90, "365": 365}
USUAL = "30"
# The two periods together stay within what a page can add up at once.
LONGEST = 3 * 366
YEAR = timedelta(days=364)
COMING = 14


@dataclass(frozen=True)
class Choice:
    """What the address asks for. `preset` is empty where the days were given by hand."""

    period: Period
    before: Period
    preset: str
    compare: str
    channel: int | None


@page
def insights(request: HttpRequest) -> HttpResponse:
    channels = _channels(request)
    names = {channel.pk: channel.name for channel in channels}
    today = _today(request)
    choice = _choice(request.GET, names, today)
    found = read(_wanted(choice, names), choice.period, choice.before, today)
    if not found.whole.now.orders and not request.GET:
        # A shop of today would have an empty first page: its only day is not over.
        choice = _with_today(choice, today)
        found = read(_wanted(choice, names), choice.period, choice.before, today)
    sees_money = sees_everywhere(request, Permission.MONEY)
    measure = "revenue" if sees_money else "orders"
    return show(
        request,
        "insights.html",
        _("Insights"),
        choice=choice,
        channels=channels,
        presets=LABELS.items(),
        tables={name: _table(name, found, names, sees_money) for name in tables.TABLES},
        figures=_figures(found, sees_money),
        drops=_drops(found, names),
        lost=_most_lost(found),
        trend=charts.by_day(found, measure),
        coming=_coming(found, measure),
        tiles=charts.tiles(found),
        week=charts.drawn(charts.week(found)),
        weekdays=[(name, number * charts.CELL + 11) for number, name in enumerate(tables.WEEKDAYS)],
        marks=[(hour, charts.LEFT + hour * charts.CELL) for hour in range(0, 24, 6)],
        options=charts.OPTIONS,
        measure=measure,
        counting=_counting(channels),
        empty=not (found.whole.now.orders or found.whole.now.cancelled or found.foreign),
    )


LABELS = {
    "7": gettext_lazy("Last 7 days"),
    "30": gettext_lazy("Last 30 days"),
    "90": gettext_lazy("Last 90 days"),
    "365": gettext_lazy("Last 12 months"),
}


@page
def export(request: HttpRequest, name: str) -> StreamingHttpResponse:
    """One of the tables, of the same choice, as a file."""
    if name not in (*tables.TABLES, "forecast"):
        raise Http404
    names = {channel.pk: channel.name for channel in _channels(request)}
    today = _today(request)
    choice = _choice(request.GET, names, today)
    found = read(_wanted(choice, names), choice.period, choice.before, today)
    sees_money = sees_everywhere(request, Permission.MONEY)
    if name == "forecast":
        ahead = _coming(found, "revenue" if sees_money else "orders")
        table = ahead["table"] if ahead else Table("forecast", "", [Column(_("Day"), "day")], [])
    else:
        table = _table(name, found, names, sees_money)
    return _file(table, choice.period)


def _file(table: Table, period: Period) -> StreamingHttpResponse:
    language = translation.get_language() or "pt-br"
    # Titles are the first of its rows.
    titles, *rows = table.as_text(language.startswith("pt"))
    name = f"{table.code}-{period.first}-{period.last}.csv"
    return sheets.answer(name, sheets.lines(titles, rows, lambda row, _comma: row, language))


# --- What is asked for ---------------------------------------------------------------------------------------------


def _channels(request: HttpRequest) -> QuerySet[SalesChannel]:
    return mine(SalesChannel.objects.all(), request).order_by("name", "pk")


def _today(request: HttpRequest) -> date:
    """In the zone of the first seller in view."""
    sellers = sellers_allowing(request, Permission.LOOK)
    return timezone.localdate(timezone=ZoneInfo(sellers[0].time_zone) if sellers else None)


def _wanted(choice: Choice, names: Mapping[int, str]) -> list[int]:
    return list(names) if choice.channel is None else [choice.channel]


def _choice(chosen: Mapping[str, str], names: Mapping[int, str], today: date) -> Choice:
    """Values that are not known choose nothing."""
    first, last = _day(chosen.get("since", "")), _day(chosen.get("until", ""))
    preset = "" if first or last else chosen.get("period", USUAL)
    preset = preset if preset in PRESETS or first or last else USUAL
    # Today is not over: beside whole days it would look like a loss.
    period = _period(first, last, today) if not preset else Period(today - timedelta(days=PRESETS[preset]), _eve(today))
    compare = "year" if chosen.get("compare") == "year" else "previous"
    channel = chosen.get("channel", "")
    known = channel.isdigit() and int(channel) in names
    return Choice(period, _compared(period, compare), preset, compare, int(channel) if known else None)


def _eve(day: date) -> date:
    return day - timedelta(days=1)


def _period(first: date | None, last: date | None, today: date) -> Period:
    last = last or today
    first = first or last - timedelta(days=PRESETS[USUAL] - 1)
    first, last = min(first, last), max(first, last)
    return Period(max(first, last - timedelta(days=LONGEST - 1)), last)


def _day(text: str) -> date | None:
    """Within the days that can be reckoned with."""
    try:
        day = parse_date(text)
    except ValueError:
        return None
    return day if day and 2000 <= day.year <= 2200 else None


def _compared(period: Period, compare: str) -> Period:
    """The days just before; or the same weekdays a year before."""
    back = YEAR if compare == "year" else timedelta(days=period.length)
    return Period(period.first - back, period.last - back)


def _with_today(choice: Choice, today: date) -> Choice:
    period = Period(choice.period.first, today)
    return Choice(period, _compared(period, choice.compare), choice.preset, choice.compare, choice.channel)


# --- What is shown -------------------------------------------------------------------------------------------------


def _table(name: str, found: Insights, names: Mapping[int, str], sees_money: bool) -> Table:
    table = tables.TABLES[name](found, names)
    return table if sees_money else table.without_money()


@dataclass(frozen=True)
class Figure:
    """`was`: the change against the period before, or what it was then. `tone`: green is good."""

    label: Any
    value: str
    was: str
    tone: str = ""


def _figures(found: Insights, sees_money: bool) -> list[Figure]:
    amount, rate = partial(_amount, found.whole), partial(_rate, found.whole)
    amounts = [
        amount(_("Revenue"), "revenue", "money"),
        amount(_("Average ticket"), "ticket", "money"),
        rate(_("Commission of revenue"), "commission"),
        amount(_("Freight charged less paid"), "freight_difference", "money"),
    ]
    return [
        *(amounts[:1] if sees_money else []),
        amount(_("Orders"), "orders", "count"),
        *(amounts[1:2] if sees_money else []),
        amount(_("Pieces"), "pieces", "quantity"),
        rate(tables.CANCELLED, "cancellation"),
        rate(tables.RETURNED, "returns"),
        *(amounts[2:] if sees_money else []),
    ]


def _amount(whole: Pair, label: Any, name: str, kind: str) -> Figure:
    # Below zero a change in per cent says nothing.
    before = getattr(whole.before, name)
    by = whole.change(name) if before is None or before > 0 else None
    return Figure(label, shown(kind, getattr(whole.now, name)), grown(by), tables.tone("change", by))


def _rate(whole: Pair, label: Any, name: str) -> Figure:
    return Figure(label, shown("share", getattr(whole.now, name)), _was(getattr(whole.before, name)))


def _was(value: float | None) -> str:
    return "–" if value is None else _("before: %(share)s") % {"share": shown("share", value)}


def _drops(found: Insights, names: Mapping[int, str]) -> list[str]:
    """Channels that had suddenly few orders yesterday, in sentences."""
    said = []
    for channel in found.recent:
        past = found.past(channel, "orders")
        usual = forecast.dropped(past)
        if usual is not None:
            values = {"channel": names[channel], "orders": shown("count", past[-1]), "usual": shown("count", usual)}
            said.append(
                _("%(channel)s had %(orders)s orders yesterday; on such a day it usually has %(usual)s.") % values
            )
    return said


def _most_lost(found: Insights) -> str:
    lost = {code: part for code, part in tables.time_lost(found).items() if part}
    if not lost:
        return ""
    code = max(lost, key=lambda one: lost[one] or 0)
    values = {"stage": tables.STAGE_NAMES[code], "share": shown("share", lost[code])}
    return _("Most time passes here: %(stage)s (%(share)s of the way to the buyer).") % values


def _coming(found: Insights, measure: str) -> dict[str, Any] | None:
    """The forecast with its error; None while too little is known."""
    past = found.past(None, measure)
    ahead = forecast.forecast(past, COMING)
    if ahead is None:
        return None
    kind = "money" if measure == "revenue" else "count"
    days = [found.today + timedelta(days=number) for number in range(COMING)]
    rows = [[day, round(amount, 2)] for day, amount in zip(days, ahead.days, strict=True)]
    columns = [Column(_("Day"), "day"), Column(_("Expected"), kind)]
    return {
        "chart": charts.coming(found, past, ahead),
        "table": Table("forecast", _("Forecast"), columns, rows),
        "sum": shown(kind, sum(ahead.days[:7])),
        "error": None if ahead.error is None else shown("share", ahead.error),
        "method": METHODS[ahead.method],
    }


METHODS = {
    "smoothed": gettext_lazy("the usual week on a level that follows the last weeks"),
    "last_week": gettext_lazy("each day as the same day of the last week"),
}


def _counting(channels: QuerySet[SalesChannel]) -> datetime | None:
    """How far back it has been counted, while the past is not all there yet."""
    counted: date | None = Tally.objects.filter(channel__in=channels, complete=False).aggregate(day=Min("since"))["day"]
    return datetime.combine(counted, datetime.min.time()) if counted else None
