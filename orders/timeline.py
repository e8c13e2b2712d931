"""The timeline in words. An event is a code and its data; the sentence is made when it is read, in the reader's
language. Layers above add their own codes with `register`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from orders.corrections import LABELS
from orders.models import OrderEvent
from orders.vocabulary import Hold, LineChange

Sentence = str | Promise

SENTENCES: dict[str, Sentence] = {
    # The channel's documents
    "received": _("Received from the channel."),
    "changed": _("Changed by the channel: %(fields)s."),
    "lines_changed": _("%(change)s: %(lines)s"),
    "parcel_problem": _("Problem with parcel %(code)s: %(text)s"),
    # Milestones
    "approved": _("Payment approved on %(when)s."),
    "invoiced": _("Invoiced on %(when)s."),
    "shipped": _("Shipped on %(when)s."),
    "delivered": _("Delivered on %(when)s."),
    "cancelled": _("Cancelled on %(when)s."),
    "returned": _("Returned on %(when)s."),
    "cancelled_after_shipping": _("Cancelled after it had left: the parcel has to come back."),
    # People's corrections
    "corrected": _("Corrected: %(fields)s."),
    "correction_stands": _("Changed at its source, but it stays as it was corrected: %(fields)s."),
    "dispatch_corrected": _("Dispatch corrected: %(before)s → %(after)s"),
    "invoice_corrected": _("NF-e %(number)s corrected."),
    "invoice_replaced": _("NF-e %(before)s replaced by %(number)s."),
    "sku_corrected": _("SKU %(sku)s goes to the ERP as %(erp_sku)s."),
    # Holds
    "held": _("Held: %(hold)s."),
    "hold_cleared": _("No reason to hold any more: %(hold)s."),
    "released": _("Released in spite of: %(hold)s."),
    # Invoices and parcels
    "invoice_received": _("Invoice %(number)s received."),
    "invoice_cancelled": _("Invoice %(number)s was cancelled."),
    "invoice_refused": _("Invoice not accepted: %(message)s"),
    "dispatched": _("Dispatched: %(carrier)s %(code)s"),
    "dispatch_changed": _("Dispatch changed: %(carrier)s %(code)s"),
    "dispatch_taken_back": _("The dispatch was reported by mistake: taken back."),
    "tracked": _("%(code)s: %(text)s %(place)s"),
    # The ERP and the channel
    "exported": _("Written into %(erp)s under number %(number)s."),
    "cancelled_in_erp": _("Cancelled in the ERP (%(number)s). %(message)s"),
    "erp_cancelled": _("The ERP cancelled its order %(number)s."),
    "sent_to_channel": _("%(what)s %(number)s accepted by the channel. %(message)s"),
    "not_needed_by_channel": _("%(what)s %(number)s: the channel does this itself. %(message)s"),
    "refused_by_channel": _("%(what)s %(number)s refused by the channel: %(message)s"),
    "answer_taken_back": _("%(what)s %(number)s will be sent to the channel again."),
    "cancel_asked": _("Cancelling at the channel was asked for: %(reason)s"),
    "cancel_sent": _("The channel has been told to cancel. %(message)s"),
    "delivery_sent": _("The channel knows of the delivery. %(message)s"),
    # Work
    "job_failed": _("%(operation)s failed: %(message)s"),
    "job_done": _("%(operation)s done."),
    "push_received": _("The channel announced a change."),
    "handled_by_hand": _("%(operation)s handled by hand. %(reason)s"),
    "handled_with_reference": _("%(operation)s handled by hand (%(reference)s). %(reason)s"),
    "retried": _("%(operation)s started again."),
    "paused": _("Paused: %(reason)s"),
    "tagged": _("Tagged: %(tag)s."),
    "declared_lost": _("The parcel was declared lost."),
    "untagged": _("Tag removed: %(tag)s."),
    "assigned": _("%(name)s sees to it."),
    "unassigned": _("Nobody in particular sees to it any more."),
    "ruled": _("Rule “%(rule)s”. %(reason)s"),
    "note": "%(text)s",
}

WORDS: dict[str, Sentence] = {"invoice": _("Invoice"), "shipment": _("Parcel")}


@dataclass(frozen=True)
class Entry:
    """Equal events in a row: the first, how many, and when the last was."""

    event: OrderEvent
    count: int
    last_at: datetime


def register(sentences: Mapping[str, Sentence]) -> None:
    """Adds codes of another layer. A code that exists already is a mistake."""
    twice = SENTENCES.keys() & sentences.keys()
    if twice:
        raise ValueError(f"These timeline codes exist already: {', '.join(sorted(twice))}.")
    SENTENCES.update(sentences)


def sentence(event: OrderEvent | Entry) -> str:
    """The event in the reader's language. An unknown code shows itself and its data."""
    if isinstance(event, Entry):
        event = event.event
    template = SENTENCES.get(event.code)
    if template is None:
        return " ".join([event.code, *(str(value) for value in event.data.values())])
    return (str(template) % _Data({name: _shown(name, value) for name, value in event.data.items()})).strip()


class _Data(dict[str, str]):
    """Data may be missing, above all in old events: a gap is better than no page."""

    def __missing__(self, name: str) -> str:
        return ""


def _shown(name: str, value: Any) -> str:
    if name == "when":
        moment = parse_datetime(str(value))
        return date_format(timezone.localtime(moment), "SHORT_DATETIME_FORMAT") if moment else str(value)
    if name == "change":
        return str(LineChange(value).label) if value in LineChange else str(value)
    if name == "hold":
        return str(Hold(value).label) if value in Hold else str(value)
    if name == "fields":
        return ", ".join(_column(field) for field in value)
    return str(WORDS.get(value, value)) if isinstance(value, str) else str(value)


def _column(name: str) -> str:
    """The label, in the reader's language, of a column or of a part of the buyer or the address."""
    field = next((field for field in OrderEvent.order.field.related_model._meta.fields if field.name == name), None)
    label = field.verbose_name if field else LABELS.get(name, name)
    return translate(label) if isinstance(label, str) else str(label)


def collapsed(events: Iterable[OrderEvent]) -> list[Entry]:
    """Equal events in a row become one entry."""
    entries = []
    for _same, group in groupby(events, key=lambda event: (event.code, event.source, event.actor, event.data)):
        row = list(group)
        entries.append(Entry(row[0], len(row), row[-1].at))
    return entries
