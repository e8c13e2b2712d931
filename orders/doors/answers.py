"""What the channel and the ERP made of what they were sent."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from orders import lifecycle
from orders.documents import storable
from orders.doors.writing import append, lock, write
from orders.models import Answer, Invoice, Order, OrderEvent, Shipment
from orders.vocabulary import Source


@transaction.atomic(savepoint=False)
def record_answer(
    subject: Invoice | Shipment, answer: Answer, text: str = "", now: datetime | None = None
) -> OrderEvent | None:
    """What the channel said to this NF-e or parcel; None if it had said so before."""
    now = now or timezone.now()
    order = subject.order
    lock(order)
    columns = {"answer": answer.value, "answer_text": storable(text)}
    rows: QuerySet[Any] = type(subject)._default_manager.filter(pk=subject.pk)
    if not rows.exclude(**columns).update(**columns, answered_at=now):
        return None
    subject.answer, subject.answer_text, subject.answered_at = answer.value, columns["answer_text"], now
    return append(order, ANSWERS[answer], Source.CHANNEL, _about(subject, subject.answer_text), now=now)


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
