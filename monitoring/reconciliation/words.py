"""A finding in plain words: what is wrong, and what each side says."""

from collections.abc import Mapping
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from monitoring.models import Finding
from monitoring.reconciliation.facts import Side, amount
from monitoring.reconciliation.findings import Kind
from orders.vocabulary import OrderStatus

TITLES = {
    Kind.MISSING_IN_HUB: gettext_lazy("The channel has this sale, the hub does not"),
    Kind.MISSING_IN_ERP: gettext_lazy("The sale should be in the ERP and is not"),
    Kind.DUPLICATED: gettext_lazy("The ERP has this sale more than once"),
    Kind.STATUS_DIFFERS: gettext_lazy("The sides disagree about the status"),
    Kind.TOTAL_DIFFERS: gettext_lazy("The sides disagree about the total"),
    Kind.LINK_LOST: gettext_lazy("The ERP does not have its order any more"),
    Kind.TYPED_BY_HAND: gettext_lazy("Somebody seems to have entered this sale in the ERP by hand"),
}
TONES = {Kind.DUPLICATED: "red", Kind.MISSING_IN_HUB: "red", Kind.MISSING_IN_ERP: "red", Kind.LINK_LOST: "red"}


def number(row: Finding) -> str:
    """The sale's."""
    for side in ("hub", "channel"):
        if row.facts.get(side):
            return str(row.facts[side]["number"])
    return row.key


def cause(row: Finding) -> str:
    """One sentence with what the sides say."""
    erp = row.facts.get("erp") or []
    match row.kind:
        case Kind.DUPLICATED:
            entries = [f"{entry['number']} ({erp_status(entry)})" for entry in erp]
            return _("In the ERP as %(entries)s.") % {"entries": _(" and ").join(entries)}
        case Kind.STATUS_DIFFERS | Kind.TOTAL_DIFFERS:
            return "; ".join(f"{name}: {_say(row.kind, name, side)}" for name, side in sides(row)) + "."
        case Kind.LINK_LOST:
            return _("The hub knows it there as %(number)s, which the ERP does not list and cannot show.") % {
                "number": erp[0]["number"] if erp else row.key
            }
        case Kind.TYPED_BY_HAND:
            return _("The ERP lists %(number)s of %(buyer)s over %(total)s, which fits; it does not name the hub.") % {
                "number": erp[0]["number"],
                "buyer": erp[0]["buyer"] or "?",
                "total": shown_amount(erp[0]),
            }
    return str(TITLES[Kind(row.kind)]) + "."


def sides(row: Finding) -> list[tuple[str, Side]]:
    """(whose, what it says) of every side that says something."""
    facts: Mapping[str, Any] = row.facts
    found = [(_("Channel"), facts.get("channel")), (_("Hub"), facts.get("hub"))]
    found += [(_("ERP"), entry) for entry in facts.get("erp") or []]
    return [(name, side) for name, side in found if side]


def _say(kind: str, name: str, side: Side) -> str:
    if kind == Kind.TOTAL_DIFFERS:
        return shown_amount(side)
    return erp_status(side) if "id" in side else status(side)


def status(side: Side) -> str:
    code = side.get("status", "")
    return str(OrderStatus(code).label) if code in OrderStatus.values else side.get("raw_status", "")


def erp_status(side: Side) -> str:
    return _("cancelled") if side.get("status") == "cancelled" else _("live")


def shown_amount(side: Side) -> str:
    total = amount(side)
    return "" if total is None else "R$\u00a0" + number_format(total, decimal_pos=2, use_l10n=True, force_grouping=True)


def moment(side: Side) -> str:
    """The day of a side's time, where it is one, in the reader's zone."""
    at, on = parse_datetime(side.get("at") or ""), parse_date((side.get("at") or "")[:10])
    day = timezone.localtime(at).date() if at is not None and at.tzinfo is not None else on
    return date_format(day, "SHORT_DATE_FORMAT") if day else ""


def shown(name: str, side: Side) -> dict[str, Any]:
    """A side as a page shows it."""
    of_erp = "id" in side
    return {
        "name": name,
        "id": side.get("id", ""),
        "number": side["number"],
        "status": erp_status(side) if of_erp else status(side),
        "raw_status": side["raw_status"],
        "total": amount(side),
        "erp_total": amount(side, "erp_total"),
        "at": moment(side),
        "buyer": side.get("buyer", ""),
        "linked": side.get("linked", False),
    }
