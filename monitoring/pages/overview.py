"""The first page: what is open, what is late, and how every connection is."""

import json
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from monitoring import figures
from monitoring.pages import words


@dataclass(frozen=True)
class Tile:
    label: str
    count: int
    link: str
    tone: str
    note: str = ""


def fill(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The dashboard callback."""
    view = figures.overview(request)
    return {
        **context,
        "title": _("Overview"),
        "view": view,
        "news": _news(view),
        "urgent": _urgent(view),
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
    lines: list[tuple[str, str, str]] = [
        ("red", _("%(name)s: %(state)s.") % {"name": one.connection.name, "state": _state(one)},
         reverse("connection", args=[one.connection.pk]))
        for one in view.idle
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


def _state(health: figures.ChannelHealth) -> str:
    return str(health.connection.get_state_display()).lower()


def _urgent(view: figures.Overview) -> list[Tile]:
    orders, failures = reverse("orders"), reverse("failures")
    oldest = view.oldest_not_in_erp
    waits = _("oldest waits %(time)s") % {"time": words.span(view.now - oldest)} if oldest else ""
    person = view.refused + view.rejected
    return [
        Tile(_("Late"), view.late, f"{orders}?due=late", "red", _("past the shipping deadline")),
        Tile(_("At risk"), view.at_risk, f"{orders}?due=risk", "amber", _("deadline within hours")),
        Tile(_("Not in the ERP"), view.not_in_erp, f"{orders}?erp=no", "amber", waits or _("every sale has arrived")),
        Tile(_("Needs you"), person, f"{failures}?show=person", "red", _("refused or unreadable")),
    ]


def _statuses(view: figures.Overview) -> list[Tile]:
    return [
        Tile(str(status.label), count, f"{reverse('orders')}?status={status.value}", words.TONES.get(status, "grey"))
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
