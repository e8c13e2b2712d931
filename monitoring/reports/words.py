"""A report's row as words and as plain values, for pages and files alike."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from monitoring.pages import words
from monitoring.reports.base import Row
from monitoring.sheets import harmless

# What a file says of a row; the names are those of JSON, the labels those of a spreadsheet's first line.
COLUMNS = {
    "case": gettext_lazy("Case"),
    "number": gettext_lazy("Order"),
    "channel": gettext_lazy("Channel"),
    "hours": gettext_lazy("Hours late"),
    "deadline": gettext_lazy("Deadline"),
    "since": gettext_lazy("Since"),
    "value": gettext_lazy("Value"),
    "currency": gettext_lazy("Currency"),
    "cause": gettext_lazy("Cause"),
    "order": gettext_lazy("Order's key in the hub"),
}


def facts(row: Row, now: datetime) -> dict[str, Any]:
    """By the names of `COLUMNS`. `hours` is negative while there is time left; without a deadline it is the age."""
    return {
        "case": row.case,
        "number": row.number,
        "channel": row.channel,
        "hours": round(row.hours(now), 1),
        "deadline": row.deadline,
        "since": row.since,
        "value": row.value,
        "currency": row.currency,
        "cause": str(row.cause),
        "order": row.order_id,
    }


def cell(value: Any, comma: bool = False) -> str:
    """For a file: numbers as numbers, times in local time, and text that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{timezone.localtime(value):%Y-%m-%d %H:%M}"
    if isinstance(value, Decimal):
        value = round(value, 2)
    if isinstance(value, Decimal | float | int):
        return str(value).replace(".", ",") if comma else str(value)
    return harmless(str(value))


def late_by(row: Row, now: datetime) -> tuple[str, str]:
    """(words, tone): "late by 3 h", "late in 5 h"; without a deadline how long it stands. Under 48 hours, else days."""
    delta = timedelta(hours=row.hours(now))
    if row.deadline is None:
        return _("for %(time)s") % {"time": words.span(delta)}, ""
    if delta >= timedelta(0):
        return _("late by %(time)s") % {"time": words.span(delta)}, "red"
    return _("late in %(time)s") % {"time": words.span(delta)}, "amber" if row.case == "at_risk" else ""
