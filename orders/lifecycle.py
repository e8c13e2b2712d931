"""The one place that moves an order's status. Status is derived from milestones; each keeps its earliest time.

Merging by earliest time is commutative, associative and idempotent: whatever order facts arrive in, and however
often, the same milestones and so the same status come out.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from django.utils import timezone

from orders.documents import Milestones, earliest, storable
from orders.models import Order, OrderEvent
from orders.tags import RETURN_FLOW
from orders.vocabulary import OrderStatus, Source

MILESTONES = ("approved_at", "invoiced_at", "shipped_at", "delivered_at", "cancelled_at", "returned_at")
# What `advance` may write on an order.
COLUMNS = (*MILESTONES, "status", "tags")


class Facts(Protocol):
    """Anything with milestones: a document's `Milestones`, or an `Order`."""

    @property
    def approved_at(self) -> datetime | None: ...
    @property
    def invoiced_at(self) -> datetime | None: ...
    @property
    def shipped_at(self) -> datetime | None: ...
    @property
    def delivered_at(self) -> datetime | None: ...
    @property
    def cancelled_at(self) -> datetime | None: ...
    @property
    def returned_at(self) -> datetime | None: ...


def derive(facts: Facts) -> OrderStatus:
    """The furthest step that is known. What has left the house cannot be cancelled any more, only come back."""
    left = facts.delivered_at or facts.shipped_at
    steps = (
        (facts.returned_at, OrderStatus.RETURNED),
        (facts.cancelled_at and not left, OrderStatus.CANCELLED),
        (facts.delivered_at, OrderStatus.DELIVERED),
        (facts.shipped_at, OrderStatus.SHIPPED),
        (facts.invoiced_at, OrderStatus.INVOICED),
        (facts.approved_at, OrderStatus.APPROVED),
    )
    return next((status for known, status in steps if known), OrderStatus.PENDING)


def returns(facts: Facts) -> bool:
    """Cancelled although it had left: the parcel has to come back."""
    return bool(facts.cancelled_at and (facts.shipped_at or facts.delivered_at))


def advance(
    order: Order, milestones: Milestones, *, source: Source = Source.CHANNEL, now: datetime | None = None
) -> list[OrderEvent]:
    """Adds what `milestones` knows to the order, in memory, and returns the timeline entries this calls for, unsaved.

    The caller holds the order's lock and writes `COLUMNS` and the entries in one transaction.
    """
    now = now or timezone.now()
    returned_before = RETURN_FLOW in order.tags
    learned = [name for name in MILESTONES if _learn(order, name, getattr(milestones, name))]
    order.status = derive(order)
    coming_back = returns(order)
    if coming_back and not returned_before:
        order.tags = [*order.tags, RETURN_FLOW]
    events = [
        entry(order, name.removesuffix("_at"), source, now, {"when": getattr(order, name).isoformat()})
        for name in learned
        if not (coming_back and name == "cancelled_at")
    ]
    if coming_back and not returned_before:
        events.append(entry(order, "cancelled_after_shipping", source, now, {}))
    return events


def _learn(order: Order, name: str, time: datetime | None) -> bool:
    """Whether the milestone was not known before; an earlier time for a known one is kept without a word."""
    known: datetime | None = getattr(order, name)
    setattr(order, name, earliest(known, time))
    return known is None and time is not None


def entry(
    order: Order, code: str, source: Source, now: datetime, data: Mapping[str, object], actor: str = ""
) -> OrderEvent:
    """A line of the timeline, unsaved."""
    data = {name: storable(value) if isinstance(value, str) else value for name, value in data.items()}
    return OrderEvent(order=order, at=now, code=code, source=source.value, data=data, actor=actor[:150])
