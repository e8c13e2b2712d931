"""The rows of the list of orders, put together here: a template takes many times as long for the same.

Whatever is not our own markup goes through `escape`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from monitoring.desk import columns
from monitoring.desk.reasons import Place
from monitoring.pages import words
from monitoring.templatetags.hub import exact, money, quantity, tone
from orders import tags
from orders.models import Order
from orders.priority import Reason
from orders.vocabulary import Logistics, OrderStatus, PaymentStatus


@dataclass(frozen=True)
class Row:
    order: Order
    channel: str
    erp: dict[str, Any]
    left: str
    left_tone: str
    place: Place | None


# The row and its column's name, escaped: it stands beside the value where a phone shows each row as a card.
Cell = Callable[[Row, str], str]


def lines(rows: Sequence[Row], shown: Iterable[str]) -> SafeString:
    """The table's body: the order itself, then the chosen columns."""
    cells = [(CELLS[name], escape(str(columns.COLUMNS[name]))) for name in shown]
    address = reverse("orders")
    return mark_safe("\n".join(_line(row, cells, address) for row in rows))  # noqa: S308 - escaped above and below


def _line(row: Row, cells: Sequence[tuple[Cell, str]], address: str) -> str:
    order = row.order
    number = escape(order.external_id)
    return (
        '<tr data-row><td class="e-tick">'
        f'<input type="checkbox" name="order" value="{order.pk}" form="bulk" aria-label="{number}"></td>'
        f'<td class="e-nowrap"><a class="e-strong" href="{address}{order.pk}/" data-open>{number}</a>'
        f'<div class="e-small e-faint">{escape(row.channel)} · {_ago(order.placed_at)}</div></td>'
        f"{''.join(cell(row, label) for cell, label in cells)}</tr>"
    )


def _ago(at: datetime) -> str:
    """As the filter of this name."""
    return f'<time datetime="{at.isoformat()}" title="{escape(exact(at))}">{escape(words.ago(at))}</time>'


def _chip(text: str, colour: str = "grey") -> str:
    return f'<span class="e-chip e-{colour}">{escape(text)}</span>'


def _priority(row: Row, label: str) -> str:
    if row.place is None:
        return f'<td data-name="{label}"></td>'
    first, reasons = row.place.reasons[0], "".join(_reason(reason) for reason in row.place.reasons)
    if row.place.boost:
        reasons += f"<li>{escape(_('Rule: %(points)s points') % {'points': f'{row.place.boost:+d}'})}</li>"
    return (
        f'<td data-name="{label}"><details class="e-why"><summary class="e-num">'
        f'<b class="e-score">{row.place.score}</b> <span class="e-small e-faint">{escape(first.why)}</span></summary>'
        f'<ul class="e-small">{reasons}</ul></details></td>'
    )


def _reason(reason: Reason) -> str:
    points = _("%(points)s points × %(weight)s %%") % {"points": reason.points, "weight": reason.weight}
    part = escape(str(reason.part.label))
    return f'<li>{part}: {escape(points)} <span class="e-faint">({escape(reason.why)})</span></li>'


def _buyer(row: Row, label: str) -> str:
    order = row.order
    name = order.buyer_name or _("Name withheld by the channel")
    place = "/".join(part for part in (order.city, order.state) if part)
    return f'<td><div>{escape(name)}</div><div class="e-small e-faint">{escape(place)}</div></td>'


def _status(row: Row, label: str) -> str:
    status = row.order.status
    held = f" {_chip(_('Held'), 'amber')}" if row.order.held else ""
    return f'<td data-name="{label}"><span>{_chip(str(OrderStatus(status).label), tone(status))}{held}</span></td>'


def _ship_by(row: Row, label: str) -> str:
    left = ""
    if row.left:
        colour = f"e-{row.left_tone}-text" if row.left_tone else ""
        left = f'<span class="{colour}" title="{exact(row.order.ship_by)}">{escape(row.left)}</span>'
    return f'<td data-name="{label}" class="e-nowrap">{left}</td>'


def _items(row: Row, label: str) -> str:
    items: Any = row.order.lines  # type: ignore[attr-defined]
    said = ", ".join(f"{quantity(item.left)} × {item.sku or item.title}" for item in items)
    return _small(label, said, "e-short ")


def _logistics(row: Row, label: str) -> str:
    return _small(label, str(Logistics(row.order.logistics).label))


def _carrier(row: Row, label: str) -> str:
    parcels: Any = row.order.parcels  # type: ignore[attr-defined]
    return _small(label, ", ".join(f"{parcel.carrier} {parcel.tracking_code}" for parcel in parcels))


def _payment(row: Row, label: str) -> str:
    return _small(label, str(PaymentStatus(row.order.payment_status).label))


def _small(label: str, text: str, look: str = "") -> str:
    return f'<td data-name="{label}"><span class="{look}e-small">{escape(text)}</span></td>'


def _tags(row: Row, label: str) -> str:
    return f'<td data-name="{label}"><span>{" ".join(_chip(tags.label(tag)) for tag in row.order.tags)}</span></td>'


def _assignee(row: Row, label: str) -> str:
    return _small(label, words.person(row.order.assignee))


def _total(row: Row, label: str) -> str:
    amount = money(row.order.total, row.order.currency)
    return f'<td data-name="{label}" class="e-end e-nowrap e-num">{escape(amount)}</td>'


def _erp(row: Row, label: str) -> str:
    text, colour = escape(row.erp["text"]), row.erp["tone"]
    look = "e-strong" if colour == "green" else f"e-{colour}-text"
    shown = escape(row.erp["number"]) or text
    return f'<td data-name="{label}"><span title="{text}" class="e-short e-small {look}">{shown}</span></td>'


CELLS: dict[str, Cell] = {
    "priority": _priority,
    "buyer": _buyer,
    "status": _status,
    "ship_by": _ship_by,
    "items": _items,
    "logistics": _logistics,
    "carrier": _carrier,
    "payment": _payment,
    "tags": _tags,
    "assignee": _assignee,
    "total": _total,
    "erp": _erp,
}
