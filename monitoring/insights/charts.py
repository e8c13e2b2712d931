"""The page's pictures: data for the charts of the frame, and two drawings of our own in plain squares."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from html import escape
from typing import Any

from django.utils import formats
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from monitoring.insights.forecast import Forecast
from monitoring.insights.reading import Insights, share
from monitoring.insights.tables import WEEKDAYS, shown

MAIN, OTHER, EXPECTED = "oklch(60% .11 184)", "oklch(70% .03 250)", "oklch(70% .15 75)"
OPTIONS = json.dumps(
    {
        "animation": False,
        "maintainAspectRatio": False,
        "interaction": {"mode": "index", "intersect": False},
        "plugins": {"legend": {"display": True, "position": "bottom", "labels": {"boxWidth": 10, "boxHeight": 10}}},
        "scales": {
            "x": {"grid": {"display": False}, "ticks": {"maxTicksLimit": 8, "maxRotation": 0}},
            "y": {"beginAtZero": True, "ticks": {"maxTicksLimit": 5}},
        },
    }
)
# Days before today that the forecast is drawn after.
SHOWN_BEFORE = 42


def _line(label: str, data: Sequence[float | None], colour: str, dashed: bool = False) -> dict[str, Any]:
    return {
        "label": label, "data": list(data), "borderColor": colour, "backgroundColor": colour, "borderWidth": 2,
        "borderDash": [5, 4] if dashed else [], "pointRadius": 1.5, "tension": 0.25,
    }  # fmt: skip


def _label(day: Any) -> str:
    return str(formats.date_format(day, "d/m"))


def by_day(found: Insights, name: str) -> str:
    """`name`: "revenue" or "orders". The days (or weeks) of both periods, the first ones above each other.

    A week that is not whole would look like a loss.
    """
    steps, earlier = (found.steps(days)[: len(days) // found.step] for days in (found.days, found.days_before))
    now, before = ([float(getattr(sales, name)) for _day, sales in side] for side in (steps, earlier))
    lines = [_line(_("this period"), now, MAIN), _line(_("compared with"), before[: len(now)], OTHER, dashed=True)]
    return json.dumps({"labels": [_label(day) for day, _sales in steps], "datasets": lines})


def coming(found: Insights, past: Sequence[float], forecast: Forecast) -> str:
    """The last weeks, and the days to come joined on."""
    shown_past = list(past[-SHOWN_BEFORE:])
    days = [found.today + timedelta(days=number) for number in range(-len(shown_past), len(forecast.days))]
    gap: list[float | None] = [None] * (len(shown_past) - 1)
    expected = [*gap, shown_past[-1], *(round(amount, 2) for amount in forecast.days)]
    lines = [_line(_("so far"), shown_past, MAIN), _line(_("forecast"), expected, EXPECTED, dashed=True)]
    return json.dumps({"labels": [_label(day) for day in days], "datasets": lines})


# --- Squares: a map of the states, and the hours of the week -------------------------------------------------------


@dataclass(frozen=True)
class Square:
    """`level`: 0 (nothing) to 5 (the most)."""

    x: int
    y: int
    level: int
    label: str
    title: str
    # Where its label stands.
    middle: int = 0
    base: int = 0


LEVELS = 5
TILE, STEP = 44, 47
# Each state about where it lies: column, row.
PLACES = {
    "RR": (1, 0), "AP": (3, 0),
    "AM": (1, 1), "PA": (2, 1), "MA": (3, 1), "PI": (4, 1), "CE": (5, 1), "RN": (6, 1),
    "AC": (0, 2), "RO": (1, 2), "MT": (2, 2), "TO": (3, 2), "BA": (4, 2), "PE": (5, 2), "PB": (6, 2),
    "MS": (2, 3), "GO": (3, 3), "DF": (4, 3), "SE": (5, 3), "AL": (6, 3),
    "SP": (3, 4), "MG": (4, 4), "ES": (5, 4), "PR": (3, 5), "RJ": (4, 5), "SC": (3, 6), "RS": (3, 7),
}  # fmt: skip


def level(amount: float, most: float) -> int:
    """By the square root: one state or hour far above the others would leave them all pale."""
    return math.ceil(round((amount / most) ** 0.5 * LEVELS, 3)) if most else 0


def tiles(found: Insights) -> list[Square]:
    orders = {state: found.states[state].now.orders if state in found.states else 0 for state in PLACES}
    most, whole = max(orders.values()), found.whole.now.orders
    return [
        Square(
            x=column * STEP,
            y=row * STEP,
            level=level(orders[state], most),
            label=state,
            title=f"{state}: {shown('count', orders[state])} ({shown('share', share(orders[state], whole))})",
            middle=column * STEP + TILE // 2,
            base=row * STEP + TILE // 2 + 5,
        )
        for state, (column, row) in PLACES.items()
    ]


CELL, LEFT = 14, 30


def drawn(squares: Iterable[Square]) -> SafeString:
    """As parts of a drawing. Not by the template: there are as many as a week has hours."""
    parts = (
        f'<rect class="e-l{one.level}" x="{one.x}" y="{one.y}" width="12" height="12" rx="2">'
        f"<title>{escape(one.title)}</title></rect>"
        for one in squares
    )
    return mark_safe("".join(parts))  # noqa: S308 - escaped above


def week(found: Insights) -> list[Square]:
    most = max(max(counts) for counts in found.hours)
    return [
        Square(LEFT + hour * CELL, day * CELL, level(count, most), "", f"{WEEKDAYS[day]} {hour:02}h: {count}")
        for day, counts in enumerate(found.hours)
        for hour, count in enumerate(counts)
    ]
