"""What the channel and the ERP made of what they were sent."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from orders import bulk, lifecycle
from orders.documents import storable
from orders.doors.writing import append, lock, write
from orders.models import Answer, Invoice, Order, OrderEvent, Shipment
from orders.vocabulary import Source

Subject = Invoice | Shipment


@transaction.atomic(savepoint=False)
def record_answer(subject: Subject, answer: Answer, text: str = "", now: datetime | None = None) -> OrderEvent | None:
    """What the channel said to this NF-e or parcel; None if it had said so before."""
    (event,) = record_answers([(subject, answer, text)], now)
    return event


def record_answers(said: Sequence[tuple[Subject, Answer, str]], now: datetime | None = None) -> list[OrderEvent | None]:
    """`record_answer` for many, inside a transaction of the caller."""
    now = now or timezone.now()
    for subject, _answer, _text in said:
        lock(subject.order)
    held = {kind: _as_they_are(kind, [one for one, _a, _t in said if isinstance(one, kind)]) for kind in KINDS}
    changed: dict[type[Subject], list[Subject]] = {kind: [] for kind in KINDS}
    events: list[OrderEvent | None] = []
    for subject, answer, text in said:
        row, words = held[type(subject)].get(subject.pk), storable(text)
        if row is None or (row.answer, row.answer_text) == (answer.value, words):
            events.append(None)
            continue
        for one in (row, subject):
            one.answer, one.answer_text, one.answered_at = answer.value, words, now
        changed[type(subject)].append(row)
        events.append(append(subject.order, ANSWERS[answer], Source.CHANNEL, _about(subject, words), now=now))
    for kind, rows in changed.items():
        bulk.update(kind, rows, ("answer", "answer_text", "answered_at"))
    return events


KINDS: tuple[type[Subject], ...] = (Invoice, Shipment)


def _as_they_are(kind: type[Subject], subjects: Sequence[Subject]) -> Mapping[int, Subject]:
    """Read again, now that their orders are locked: one may be gone."""
    rows: Iterable[Subject] = kind._default_manager.filter(pk__in=[subject.pk for subject in subjects])
    return {row.pk: row for row in rows}


ANSWERS = {
    Answer.NONE: "answer_taken_back",
    Answer.ACCEPTED: "sent_to_channel",
    Answer.NOT_NEEDED: "not_needed_by_channel",
    Answer.REFUSED: "refused_by_channel",
}


def _about(subject: Invoice | Shipment, text: str) -> dict[str, Any]:
    kind = "invoice" if isinstance(subject, Invoice) else "shipment"
    return {"what": kind, "number": str(subject), "message": text}


@transaction.atomic(savepoint=False)
def mark_exported(order: Order, number: str, erp_label: str, now: datetime | None = None) -> bool:
    """The ERP has the order, under this number. False if that was known."""
    now = now or timezone.now()
    lock(order)
    if order.exported_at is not None:
        return False
    order.exported_at = now
    event = lifecycle.entry(order, "exported", Source.HUB, now, {"number": number, "erp": erp_label})
    write(order, ("exported_at",), [event], now)
    return True
