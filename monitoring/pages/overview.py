"""Today, the first page: what to do next, what sells, what is open, and how every connection is."""

import json
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from monitoring import figures
from monitoring.incidents import groups, remedies
from monitoring.insights.tables import grown
from monitoring.models import Incident
from monitoring.pages import setup, words
from monitoring.pages.shell import sellers_allowing
from monitoring.templatetags.hub import money
from monitoring.today import Amount, Departure, Sold, after_tomorrow
from orders.calendar import DAY

# The list of what the seller packs and nothing holds back: `monitoring.packing.picking.to_dispatch`.
TO_DISPATCH = "status=open&held=no&logistics=own&sort=deadline"


@dataclass(frozen=True)
class Tile:
    label: str
    count: int
    link: str
    tone: str
    note: str = ""
    # It was not counted any further.
    at_least: bool = False


def fill(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The dashboard callback."""
    view = figures.overview(request)
    return {
        **context,
        "title": _("Today"),
        "view": view,
        "today": view.today,
        "checklist": setup.checklist(request),
        "news": _news(view),
        "urgent": _urgent(view),
        "departures": [_departure(one) for one in view.today.departures],
        "sold": [_sold(one) for one in view.today.channels],
        "sold_today": _of_today(),
        "packs": bool(sellers_allowing(request)),
        "growth": grown(view.today.sold.growth),
        "statuses": _statuses(view),
        "chart": _chart(view),
        "chart_options": json.dumps(
            {
                "maintainAspectRatio": False,
                "scales": {
                    "x": {"grid": {"display": False}, "ticks": {"maxRotation": 0, "autoSkipPadding": 16}},
                    "y": {"beginAtZero": True, "ticks": {"precision": 0}},
                },
                "plugins": {"legend": {"display": False}},
            }
        ),
    }


def _news(view: figures.Overview) -> list[tuple[str, str, str]]:
    """(tone, sentence, link) for all that is open, worst first."""
    failures = reverse("failures")
    orders = reverse("orders")
    explained = {one.connection_id for one in view.incidents if one.operation == groups.CONNECTION}
    lines: list[tuple[str, str, str]] = [
        ("red" if one.needs_person else "amber", _incident(one), reverse("incident", args=[one.pk]))
        for one in view.incidents
    ]
    lines += [
        ("red", _("%(name)s: %(state)s.") % {"name": one.connection.name, "state": _state(one)},
         reverse("connection", args=[one.connection.pk]))
        for one in view.idle if one.connection.pk not in explained
    ]  # fmt: skip
    lines += [
        ("red", _("%(name)s should have looked for news %(time)s.") % {
            "name": one.connection.name, "time": words.ago(one.connection.next_poll_at)},
         reverse("connection", args=[one.connection.pk]))
        for one in view.channels if one.overdue
    ]  # fmt: skip
    if view.refused:
        lines.append(("red", ngettext(
            "%(count)s step was refused and waits for you.", "%(count)s steps were refused and wait for you.",
            view.refused) % {"count": view.refused}, f"{failures}?show=refused"))  # fmt: skip
    if view.rejected:
        lines.append(("red", ngettext(
            "%(count)s announced document could not be read.", "%(count)s announced documents could not be read.",
            view.rejected) % {"count": view.rejected}, f"{failures}?show=unread"))  # fmt: skip
    if view.unknown:
        lines.append(("amber", ngettext(
            "%(count)s step has no clear answer yet; it is being looked up.",
            "%(count)s steps have no clear answer yet; they are being looked up.",
            view.unknown) % {"count": view.unknown}, f"{failures}?show=unknown"))  # fmt: skip
    if view.held:
        lines.append(("amber", ngettext(
            "%(count)s order is held.", "%(count)s orders are held.", view.held) % {"count": view.held},
            f"{orders}?due=held"))  # fmt: skip
    if view.not_in_erp:
        lines.append(("amber" if view.attention else "blue", ngettext(
            "%(count)s order is not in the ERP yet.", "%(count)s orders are not in the ERP yet.",
            view.not_in_erp) % {"count": view.not_in_erp}, f"{orders}?erp=no"))  # fmt: skip
    if view.trying:
        lines.append(("blue", ngettext(
            "%(count)s step failed and is tried again by itself.",
            "%(count)s steps failed and are tried again by themselves.",
            view.trying) % {"count": view.trying}, f"{failures}?show=trying"))  # fmt: skip
    if view.unread:
        lines.append(("blue", ngettext(
            "%(count)s announced document is being read.", "%(count)s announced documents are being read.",
            view.unread) % {"count": view.unread}, reverse("connections")))  # fmt: skip
    return lines


def _incident(incident: Incident) -> str:
    what, since = remedies.what(incident), words.span(timezone.now() - incident.first_seen_at)
    if not incident.orders:
        return _("%(what)s (for %(time)s)") % {"what": what.rstrip("."), "time": since}
    held = ngettext("%(count)s order held up", "%(count)s orders held up", incident.orders) % {"count": incident.orders}
    return _("%(what)s: %(held)s, for %(time)s") % {"what": what.rstrip("."), "held": held, "time": since}


def _state(health: figures.ChannelHealth) -> str:
    return str(health.connection.get_state_display()).lower()


def _urgent(view: figures.Overview) -> list[Tile]:
    """What there is to do, in the order in which an order passes it; then what went wrong."""
    orders, failures, today = reverse("orders"), reverse("failures"), view.today
    oldest = view.oldest_not_in_erp
    waits = _("oldest waits %(time)s") % {"time": words.span(view.now - oldest)} if oldest else ""
    person = view.refused + view.rejected
    return [
        Tile(_("Late"), view.late, f"{orders}?due=late", "red", _worth(today.late, _("past the shipping deadline"))),
        Tile(
            _("At risk"), view.at_risk, f"{orders}?due=risk", "amber", _worth(today.at_risk, _("deadline within hours"))
        ),
        Tile(_("To invoice"), today.invoice.count, f"{orders}?status=approved", "blue", _worth(today.invoice)),
        Tile(_("To dispatch"), today.dispatch.count, f"{orders}?{TO_DISPATCH}", "blue", _worth(today.dispatch)),
        Tile(_("Not in the ERP"), view.not_in_erp, f"{orders}?erp=no", "amber", waits or _("every sale has arrived")),
        Tile(_("Needs you"), person, f"{failures}?show=person", "red", _("refused or unreadable")),
    ]  # fmt: skip


def _worth(amount: Amount, otherwise: str = "") -> str:
    return money(amount.value) if amount.count else otherwise


@dataclass(frozen=True)
class Line:
    """`until` in words: "until 14:00 today"."""

    orders: Amount
    until: str
    channel: str
    link: str


def _departure(one: Departure) -> Line:
    later = one.due == "later"
    due = f"ship_since={after_tomorrow().date()}" if later else f"due={one.due}"
    asked = f"{TO_DISPATCH}&{due}&channel={one.channel.pk}"
    until = _("later, the first %(until)s") % {"until": _until(one)} if later else _until(one)
    return Line(one.orders, until, one.channel.name, f"{reverse('orders')}?{asked}")


def _until(one: Departure) -> str:
    """In the channel's own zone."""
    zone = one.channel.working_time.zone
    at, today = one.until.astimezone(zone), timezone.now().astimezone(zone).date()
    when = {"time": f"{at:%H:%M}", "day": f"{date_format(at, 'l')} {at:%d/%m}"}
    if at.date() == today:
        return _("until %(time)s today") % when
    if at.date() == today + DAY:
        return _("until %(time)s tomorrow") % when
    return _("until %(day)s, %(time)s") % when


def _of_today() -> str:
    return f"{reverse('orders')}?since={timezone.localdate()}"


def _sold(one: Sold) -> tuple[Sold, str]:
    """With the address of its list."""
    return one, f"{_of_today()}&channel={one.channel.pk}" if one.channel else _of_today()


def _statuses(view: figures.Overview) -> list[Tile]:
    return [
        Tile(
            str(status.label),
            count,
            f"{reverse('orders')}?status={status.value}",
            words.TONES.get(status, "grey"),
            at_least=status in figures.ENDED and count >= figures.TILES_UP_TO,
        )
        for status, count in view.by_status
    ]


def _chart(view: figures.Overview) -> str:
    return json.dumps(
        {
            "labels": [f"{hour:%H}h" for hour, _count in view.hours],
            "datasets": [
                {
                    "label": _("Orders"),
                    "data": [count for _hour, count in view.hours],
                    "backgroundColor": "var(--color-primary-500)",
                    "borderRadius": 4,
                    "maxBarThickness": 26,
                }
            ],
        }
    )
