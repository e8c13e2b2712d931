"""How a door writes: under the order's lock, with its line in the timeline, for one order or for many at once."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone

from orders import bulk, lifecycle
from orders.documents import Milestones
from orders.models import Invoice, Order, OrderEvent, Shipment
from orders.vocabulary import Source

LOCKED = Order.objects.select_related("channel", "seller").select_for_update(of=("self",))


@dataclass
class _Together:
    orders: dict[int, Order]
    moved: dict[int, Order] = field(default_factory=dict)
    events: list[OrderEvent] = field(default_factory=list)


_together: ContextVar[_Together | None] = ContextVar("together", default=None)


@contextmanager
def together(ids: Iterable[int]) -> Iterator[dict[int, Order]]:
    """Facts for many orders, inside a transaction of the caller: all are locked in one statement, and what the doors
    write on them and their timelines goes out in one statement each when the block ends. Gives id -> order, those that
    exist; the doors must be used with these inside the block, and read nothing of the orders from the database.
    """
    orders = {order.pk: order for order in LOCKED.filter(pk__in=set(ids)).order_by("pk")}
    opened = _Together(orders)
    token = _together.set(opened)
    try:
        yield orders
    finally:
        _together.reset(token)
    bulk.update(Order, list(opened.moved.values()), (*MOVED, "changed_at"))
    bulk.insert(OrderEvent, opened.events)


def _joined(order: Order) -> _Together | None:
    opened = _together.get()
    if opened is None or order.pk not in opened.orders:
        return None
    if opened.orders[order.pk] is not order:
        raise RuntimeError("Another copy of this order is being written: use the one that `together` gave.")
    return opened


def lock(order: Order) -> None:
    """The row is the caller's until the transaction ends, and `order` shows what it holds now."""
    if _joined(order) is None:
        order.refresh_from_db(from_queryset=LOCKED.all())


def write(order: Order, columns: Sequence[str], events: Sequence[OrderEvent], now: datetime) -> None:
    """What a door has changed of the order (some of `MOVED`, or nothing), and the lines of its timeline."""
    if (opened := _joined(order)) is not None:
        opened.events += events
        if columns:
            order.changed_at = now
            opened.moved[order.pk] = order
        return
    if columns:
        order.save(update_fields=[*columns, "changed_at"])
    OrderEvent.objects.bulk_create(events)


# What doors move on an order; all else is the channel's, or a person's.
MOVED = (*lifecycle.COLUMNS, "exported_at")


def advance(
    order: Order, milestones: Milestones, source: Source, now: datetime, told: Sequence[OrderEvent] = ()
) -> None:
    """`told`: lines of the timeline that go before those of the milestones. Where something is told, the order has
    changed, be it in its parts alone.
    """
    before = [getattr(order, name) for name in lifecycle.COLUMNS]
    events = lifecycle.advance(order, milestones, source=source, now=now)
    moved = told or before != [getattr(order, name) for name in lifecycle.COLUMNS]
    write(order, lifecycle.COLUMNS if moved else (), [*told, *events], now)


def assign(row: Invoice | Order | Shipment, columns: dict[str, Any]) -> bool:
    """Writes what differs; whether anything did."""
    changed = [name for name, value in columns.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, columns[name])
    # One that is new itself is written whole.
    if changed and not row._state.adding:
        row.save(update_fields=changed)
    return bool(changed)


def append(
    order: Order,
    code: str,
    source: Source,
    data: dict[str, Any] | None = None,
    actor: str = "",
    now: datetime | None = None,
) -> OrderEvent:
    """One line of the timeline. Its sentence is in `timeline.SENTENCES`."""
    now = now or timezone.now()
    event = lifecycle.entry(order, code, source, now, data or {}, actor)
    write(order, (), [event], now)
    return event


def append_all(
    rows: Iterable[tuple[Order, dict[str, Any]]],
    code: str,
    source: Source,
    actor: str = "",
    now: datetime | None = None,
) -> None:
    """The same for many orders, each with its data, in one statement."""
    now = now or timezone.now()
    bulk.insert(OrderEvent, [lifecycle.entry(order, code, source, now, data, actor) for order, data in rows])
