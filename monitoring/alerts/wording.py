"""What an alert says, in its reader's language and its seller's zone. Codes and values are stored, never sentences."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.template import defaultfilters
from django.utils import formats, timezone, translation
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from hub.models import Seller
from monitoring.models import Alert, Destination
from monitoring.pages import words
from monitoring.reports.base import REPORTS
from monitoring.templatetags.hub import money

Data = Mapping[str, Any]

# The parts of a message, the gravest first. "mended" was told before; "passed" came and went without a message.
PARTS = {
    "escalation": gettext_lazy("Nobody has taken this yet"),
    "new": gettext_lazy("New"),
    "reminder": gettext_lazy("Still open"),
    "mended": gettext_lazy("Mended"),
    "passed": gettext_lazy("Came and went meanwhile"),
}
OTHER_PURPOSES = {"digest": gettext_lazy("Daily summary"), "test": gettext_lazy("Test")}
# Lines of one part; a phone shows no more, and the page has them all.
SHOWN = 10
# What a machine is told of one by one.
NAMED = 100


@dataclass
class Message:
    purpose: str
    subject: str
    body: str
    data: dict[str, Any] = field(default_factory=dict)


def purpose(code: str) -> str:
    return str(PARTS.get(code) or OTHER_PURPOSES.get(code) or code)


# --- One alert -------------------------------------------------------------------------------------------------------


def sentence(code: str, data: Data, now: datetime | None = None) -> str:
    """In the active language and zone. One of an older version, whose code is gone, is shown by its code."""
    say = SENTENCES.get(code)
    said = say(data, now or timezone.now()) if say else code.replace("_", " ")
    # Services' own words may come in several lines.
    return " ".join(said.split())


def _of_rows(data: Data, now: datetime) -> str:
    count = data["count"]
    said = ngettext("%(report)s: %(count)s order", "%(report)s: %(count)s orders", count)
    return said % {"report": _report(data), "count": count}


def _of_age(data: Data, now: datetime) -> str:
    values = {"report": _report(data), "count": data["count"], "time": _span(data, now)}
    said = ngettext(
        "%(report)s: %(count)s order, waiting for %(time)s",
        "%(report)s: %(count)s orders, the oldest waiting for %(time)s",
        data["count"],
    )
    return said % values


def _report(data: Data) -> str:
    report = REPORTS.get(data["report"])
    if report is None:
        return str(data["report"])
    case: str | Promise = report.cases.get(data["case"], "")
    return f"{report.title} ({case})" if case else str(report.title)


def _of_incident(data: Data, now: datetime) -> str:
    held_up = ""
    if data["orders"]:
        said = ngettext("%(count)s order of %(value)s waits", "%(count)s orders of %(value)s wait", data["orders"])
        value = " + ".join(money(Decimal(amount), currency) for amount, currency in data.get("amounts", []))
        held_up = said % {"count": data["orders"], "value": value or money(Decimal(0))}
    what = words.operation(data["operation"])
    parts = (f"{data['connection']}: {what}", words.stored(data["message"]), held_up)
    return " – ".join(part for part in parts if part)


def _of_sign_in(data: Data, now: datetime) -> str:
    return _("%(connection)s: sign in again. Until then nothing goes in or out there.") % data


def _of_away(data: Data, now: datetime) -> str:
    return _("%(connection)s has not answered since %(since)s. %(message)s") % {
        "connection": data["connection"],
        "since": _moment(data["since"]),
        "message": words.stored(data["message"]),
    }


def _of_consent(data: Data, now: datetime) -> str:
    until = datetime.fromisoformat(data["until"])
    if until <= now:
        return _("%(connection)s: the permission has ended. Sign in again.") % data
    values = {"connection": data["connection"], "time": words.span(until - now)}
    return _("%(connection)s: the permission ends in %(time)s. Sign in again before.") % values


def _of_token(data: Data, now: datetime) -> str:
    values = {"connection": data["connection"], "time": _span(data, now)}
    return _("%(connection)s: the sign-in ended %(time)s ago and could not be renewed.") % values


def _of_silence(data: Data, now: datetime) -> str:
    values = {"connection": data["connection"], "time": _span(data, now), "count": data["usual"]}
    return _("%(connection)s: no orders for %(time)s, usual are %(count)s") % values


def _of_poll(data: Data, now: datetime) -> str:
    values = {"connection": data["connection"], "time": _span(data, now)}
    return _("%(connection)s: nobody has looked for news there, overdue for %(time)s") % values


def _of_clock(data: Data, now: datetime) -> str:
    said = _("The hub stands still: its clock has been silent since %(since)s. Start beat again, one and no more.")
    return said % {"since": _moment(data["since"])}


def _of_broker(data: Data, now: datetime) -> str:
    said = _("The hub stands still since %(since)s: the broker does not answer. Start it again; nothing is lost.")
    return said % {"since": _moment(data["since"])}


def _of_worker(data: Data, now: datetime) -> str:
    said = _(
        "The hub stands still: no worker has answered since %(since)s. Start one; if one runs, its log says what it "
        "waits for."
    )
    return said % {"since": _moment(data["since"])}


def _of_gap(data: Data, now: datetime) -> str:
    return _("The hub stood still from %(since)s to %(until)s and runs again") % {
        "since": _moment(data["since"]),
        "until": _moment(data["until"]),
    }


def _of_backlog(data: Data, now: datetime) -> str:
    values = {"connection": data["connection"], "count": data["count"], "time": _span(data, now)}
    return _("%(connection)s: %(count)s steps could run and do not, the oldest for %(time)s") % values


SENTENCES: dict[str, Callable[[Data, datetime], str]] = {
    "report_rows": _of_rows,
    "report_age": _of_age,
    "incident": _of_incident,
    "sign_in": _of_sign_in,
    "away": _of_away,
    "consent_ends": _of_consent,
    "not_renewed": _of_token,
    "silence": _of_silence,
    "poll_silent": _of_poll,
    "broker_silent": _of_broker,
    "clock_silent": _of_clock,
    "worker_silent": _of_worker,
    "process_gap": _of_gap,
    "backlog": _of_backlog,
}


def _span(data: Data, now: datetime) -> str:
    return words.span(now - datetime.fromisoformat(data["since"]))


def _moment(iso: str) -> str:
    return defaultfilters.date(timezone.localtime(datetime.fromisoformat(iso)), "SHORT_DATETIME_FORMAT")


# --- One message -----------------------------------------------------------------------------------------------------


def compose(seller: Seller, parts: Mapping[str, list[Alert]], language: str, now: datetime) -> Message:
    """One message of all that a destination is to be told now, however much it is."""
    with translation.override(language), timezone.override(ZoneInfo(seller.time_zone)):
        present = [part for part in PARTS if parts.get(part)]
        lines = [line for part in present for line in _part(part, parts[part], now)]
        lines += [f"{_('All of it')}: {settings.PUBLIC_URL}/alerts/"]
        return Message(
            "mended" if present[0] == "passed" else present[0],
            _subject(seller, parts, present, now),
            "\n".join(lines).strip(),
            _for_machines(parts, present, now),
        )


def of_test(destination: Destination) -> Message:
    with translation.override(destination.language):
        subject = _("%(seller)s: this is a test") % {"seller": destination.seller.name}
        return Message("test", subject[:200], _("It arrived. Alerts of Entreposto come here like this."))


def _subject(seller: Seller, parts: Mapping[str, list[Alert]], present: list[str], now: datetime) -> str:
    first = parts[present[0]]
    if len(present) == 1 and len(first) == 1:
        text = f"{PARTS[present[0]]}: {sentence(first[0].code, first[0].data, now)}"
    else:
        text = ", ".join(f"{PARTS[part]}: {len(parts[part])}" for part in present)
    return " ".join(f"{seller.name}: {text}".split())[:200]


def _part(part: str, alerts: list[Alert], now: datetime) -> list[str]:
    lines = [f"{PARTS[part]} ({len(alerts)})" if len(alerts) > 1 else str(PARTS[part])]
    for alert in alerts[:SHOWN]:
        lines.append(f"• {sentence(alert.code, alert.data, alert.mended_at or now)}{_held_back(part, alert)}")
        if alert.path and part not in ("mended", "passed"):
            lines.append(f"  {settings.PUBLIC_URL}{alert.path}")
    if len(alerts) > SHOWN:
        more = formats.number_format(len(alerts) - SHOWN, force_grouping=True)
        lines.append(_("… and %(count)s more") % {"count": more})
    return [*lines, ""]


def _held_back(part: str, alert: Alert) -> str:
    count = _suppressed(part, alert)
    if not count:
        return ""
    said = ngettext("(and %(count)s message held back)", "(and %(count)s messages held back)", count)
    return " " + said % {"count": count}


def _suppressed(part: str, alert: Alert) -> int:
    """How often it changed without a message since the last one, besides the change that this one tells."""
    return max(0, alert.suppressed - (part in ("new", "mended")))


def _for_machines(parts: Mapping[str, list[Alert]], present: list[str], now: datetime) -> dict[str, Any]:
    every = [(part, alert) for part in present for alert in parts[part]]
    return {
        "alerts": [
            {
                "part": part,
                "cause": alert.cause,
                "code": alert.code,
                "state": alert.state,
                "since": alert.opened_at.isoformat(),
                "url": f"{settings.PUBLIC_URL}{alert.path}",
                "text": sentence(alert.code, alert.data, now),
                "data": alert.data,
                "suppressed": _suppressed(part, alert),
            }
            for part, alert in every[:NAMED]
        ],
        "more": max(0, len(every) - NAMED),
    }
