"""Every way a fact enters an order, besides the channel's documents (`ingest`).

Each door locks the order, may be used again with the same fact without effect, writes the timeline in the same
transaction and names the source. The order that was passed in holds the new state afterwards.
"""

from orders.doors.answers import mark_exported, record_answer, record_answers
from orders.doors.corrections import correct, correct_dispatch, correct_invoice
from orders.doors.deadlines import reckon_deadlines
from orders.doors.papers import invoice_document, record_invoice, record_invoices
from orders.doors.parcels import record_dispatch, record_dispatches, record_tracking, take_back_dispatch
from orders.doors.people import (
    apply_rule,
    assign,
    called,
    correct_sku,
    declare_lost,
    hold,
    note,
    refer,
    release,
    tag,
    untag,
)
from orders.doors.writing import append, append_all, together
from orders.invoices import InvoiceRefused

__all__ = [
    "InvoiceRefused",
    "append",
    "append_all",
    "apply_rule",
    "assign",
    "called",
    "correct",
    "correct_dispatch",
    "correct_invoice",
    "correct_sku",
    "declare_lost",
    "hold",
    "invoice_document",
    "mark_exported",
    "note",
    "reckon_deadlines",
    "record_answer",
    "record_answers",
    "record_dispatch",
    "record_dispatches",
    "record_invoice",
    "record_invoices",
    "record_tracking",
    "refer",
    "release",
    "tag",
    "take_back_dispatch",
    "together",
    "untag",
]
