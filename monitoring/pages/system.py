"""How the machinery runs: its parts, and each connection's calls, speed, backlog and budget over time."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connectors import budget, registry, tokens, work
from connectors.budget import Left
from connectors.models import Connection
from hub.vault import VaultLocked
from monitoring import figures
from monitoring.pages.shell import page, show
from monitoring.system import parts, samples
from monitoring.system.samples import Point


@dataclass(frozen=True)
class Span:
    """A stretch of time that the charts show, and how it is divided."""

    label: Any
    length: timedelta
    step: timedelta
    clock: str


SPANS = {
    "hour": Span(gettext_lazy("Last hour"), timedelta(hours=1), timedelta(minutes=1), "%H:%M"),
    "day": Span(gettext_lazy("Last 24 hours"), timedelta(days=1), timedelta(minutes=20), "%H:%M"),
    "week": Span(gettext_lazy("Last 7 days"), timedelta(days=7), timedelta(hours=3), "%d/%m %Hh"),
}


@dataclass(frozen=True)
class Machine:
    """One connection on this page."""

    health: figures.ChannelHealth
    hour: Point
    budgets: Sequence[Left]
    points: Sequence[Point]
    calls: str
    speed: str


@page
def system(request: HttpRequest) -> HttpResponse:
    chosen = request.GET.get("span", "")
    chosen = chosen if chosen in SPANS else "hour"
    channels = [one for one in figures.health(request) if one.connection.state != Connection.State.NEW]
    return show(
        request,
        "system.html",
        _("System view"),
        parts=parts.parts(),
        machines=_machines(channels, SPANS[chosen]),
        spans=[(code, span.label) for code, span in SPANS.items()],
        span=chosen,
        options=json.dumps(_OPTIONS),
    )


def _machines(channels: Sequence[figures.ChannelHealth], span: Span) -> list[Machine]:
    ids = [one.connection.pk for one in channels]
    until = timezone.now().replace(second=0, microsecond=0)
    until -= timedelta(minutes=until.minute % max(1, int(span.step.total_seconds()) // 60))
    found = samples.points(ids, until - span.length + span.step, until + span.step, span.step)
    hour = samples.lately(ids, timezone.now() - timedelta(hours=1))
    return [
        Machine(
            health=one,
            hour=hour.get(one.connection.pk, Point(until)),
            budgets=_budgets(one.connection),
            points=found[one.connection.pk],
            calls=_calls(found[one.connection.pk], span),
            speed=_speed(found[one.connection.pk], span),
        )
        for one in channels
    ]


def _budgets(connection: Connection) -> list[Left]:
    """None where the connection's own settings lift the limits, or where its service or its secrets are gone."""
    service = registry.services().get(connection.kind)
    if service is None:
        return []
    try:
        return budget.left(work.account_of(connection, service, tokens.secrets_of(connection)), service)
    except VaultLocked:
        return []


def _labels(points: Sequence[Point], span: Span) -> list[str]:
    return [f"{timezone.localtime(point.at):{span.clock}}" for point in points]


def _calls(points: Sequence[Point], span: Span) -> str:
    return json.dumps(
        {
            "labels": _labels(points, span),
            "datasets": [
                _bars(_("went well"), [one.calls - one.failed - one.limited for one in points], "oklch(64% .11 184)"),
                _bars(_("held back by the limit"), [one.limited for one in points], "oklch(75% .15 75)"),
                _bars(_("failed"), [one.failed for one in points], "oklch(58% .2 25)"),
            ],
        }
    )


def _bars(label: str, data: list[int], colour: str) -> dict[str, Any]:
    return {"label": label, "data": data, "backgroundColor": colour, "stack": "calls", "maxBarThickness": 14}


def _speed(points: Sequence[Point], span: Span) -> str:
    return json.dumps(
        {
            "labels": _labels(points, span),
            "datasets": [
                _line(
                    _("half are faster than, ms"), [round(one.median) or None for one in points], "oklch(64% .11 184)"
                ),
                _line(_("nearly all are faster than, ms"), [one.p95 or None for one in points], "oklch(62% .12 255)"),
                _line(_("waiting jobs"), [one.backlog for one in points], "oklch(75% .15 75)"),
            ],
        }
    )


def _line(label: str, data: Sequence[float | None], colour: str) -> dict[str, Any]:
    return {
        "label": label, "data": data, "borderColor": colour, "backgroundColor": colour, "borderWidth": 2,
        "pointRadius": 1.5, "spanGaps": True, "tension": 0.2,
    }  # fmt: skip


_OPTIONS = {
    "animation": False,
    "maintainAspectRatio": False,
    "interaction": {"mode": "index", "intersect": False},
    "plugins": {"legend": {"display": True, "position": "bottom", "labels": {"boxWidth": 10, "boxHeight": 10}}},
    "scales": {
        "x": {"stacked": True, "grid": {"display": False}, "ticks": {"maxTicksLimit": 8, "maxRotation": 0}},
        "y": {"stacked": False, "beginAtZero": True, "ticks": {"maxTicksLimit": 5, "precision": 0}},
    },
}
