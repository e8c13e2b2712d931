"""A sale being merged in memory, and its way from and to rows: the inside of the ingest door.

Nobody but `ingest` uses this: it holds the locks.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

from django.db import models

from orders import bulk, corrections, documents, money, rules, snapshot
from orders.documents import OrderDocument, latest
from orders.lifecycle import MILESTONES, advance, entry
from orders.models import LineEvent, Order, OrderEvent, OrderItem, OrderReference, Payment, SalesChannel, Shipment
from orders.vocabulary import Hold, LineChange, Source

R = TypeVar("R", OrderItem, Payment, Shipment)

# Columns which no document changes: the row's place, and what the other doors write.
KEPT = {
    "id", "seller", "channel", "external_id", "created_at", "exported_at", "own_references", "order", "source",
}  # fmt: skip
# Reasons to wait that no document gave, so that none takes them away.
STAY = (Hold.PERSON.value, Hold.RULE.value)
LINES_TOLD = 10
GONE = "no longer in the channel's order"


class Rows(Generic[R]):
    """One kind of rows of a sale by external id: those that were there, and what is to be written."""

    def __init__(self, rows: Iterable[R] = ()) -> None:
        self.by_id: dict[str, R] = {row.external_id: row for row in rows}
        self.touched: dict[str, R] = {}

    def merge(self, external_id: str, seen: datetime | None, columns: dict[str, Any], make: Callable[..., R]) -> bool:
        """Takes a document's columns; whether that changed the row. `seen`: see `last_seen_at`."""
        row = self.by_id.get(external_id)
        if row is None:
            row = self.by_id[external_id] = make(external_id=external_id, last_seen_at=seen, **columns)
        elif outdated(row, seen) or not _assign(row, {"last_seen_at": seen, **columns}):
            return False
        self.touched[external_id] = row
        return True

    def leave(self, version: datetime, held: Collection[str]) -> list[R]:
        """The newest document took over from `version`: rows it does not hold stay as that one had them."""
        gone = [row for row in self.by_id.values() if row.last_seen_at is None and row.external_id not in held]
        for row in gone:
            row.last_seen_at = version
            self.touched[row.external_id] = row
        return gone


def outdated(row: OrderItem | Payment | Shipment, seen: datetime | None) -> bool:
    """Whether a newer document than `seen` held the row."""
    return seen is not None and (row.last_seen_at is None or seen < row.last_seen_at)


def _assign(row: models.Model, columns: dict[str, Any]) -> list[str]:
    """Sets what differs; returns its names."""
    changed = [name for name, value in columns.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, columns[name])
    return changed


class Sale:
    """An order with all that documents can change."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.references: set[str] = set()
        self.new_references: list[OrderReference] = []
        self.items: Rows[OrderItem] = Rows()
        self.payments: Rows[Payment] = Rows()
        self.shipments: Rows[Shipment] = Rows()
        self.line_events: list[LineEvent] = []
        self.events: list[OrderEvent] = []
        self.touched = False

    def take(self, document: OrderDocument, digest: str, source: Source, now: datetime) -> bool:
        """Merges the document; whether anything changed."""
        changed = self._refer(document.ids)
        if digest != self.order.content_hash:
            replaced, counted = self.order.version_at, len(self.line_events)
            newest = snapshot.version(document, now) >= replaced
            if newest:
                changed = True
                self._replace(document, digest, source, now)
                self._leave(document, replaced, source)
            changed |= self._parts(document, newest, source, now)
            self._tell_lines(self.line_events[counted:], source, now)
            changed |= self._advance(document, source, now)
            changed |= self._dates(document, now)
            if changed:
                self._rule(now)
        if changed:
            self.order.search = snapshot.search(self.order, self.references, self.items.by_id.values())
            self.order.changed_at = now
            self.touched = True
        return changed

    def _refer(self, values: Iterable[str]) -> bool:
        new = [value for value in values if value not in self.references]
        self.references.update(new)
        self.new_references += [
            OrderReference(order=self.order, channel_id=self.order.channel_id, value=value) for value in new
        ]
        return bool(new)

    def _replace(self, document: OrderDocument, digest: str, source: Source, now: datetime) -> None:
        order = self.order
        document, corrected = corrections.of_document(document, order.corrections)
        holds = money.holds(document, order.channel, now)
        holds += [hold for hold in STAY if hold in order.holds and hold not in holds]
        held_before = order.active_holds
        columns = snapshot.columns(document, digest, now)
        columns["tags"] = snapshot.tags(document, order)
        if stands := corrections.other_words(order.corrections, corrected):
            self._tell("correction_stands", source, now, {"fields": stands})
        columns["corrections"] = corrected
        if document.ship_by is None and order.ship_by_reckoned:
            del columns["ship_by"]
        else:
            columns["ship_by_reckoned"] = False
        visible = [name for name in _assign(order, {**columns, "holds": holds}) if name not in snapshot.INVISIBLE]
        order.held = bool(order.active_holds)
        if visible:
            self._tell("changed", source, now, {"fields": visible})
        self._tell_holds(held_before, now)

    def _tell_holds(self, before: Sequence[str], now: datetime) -> None:
        after = self.order.active_holds
        for hold in after:
            if hold not in before:
                self._tell("held", Source.HUB, now, {"hold": hold})
        for hold in before:
            if hold not in after:
                self._tell("hold_cleared", Source.HUB, now, {"hold": hold})

    def _advance(self, document: OrderDocument, source: Source, now: datetime) -> bool:
        before = [getattr(self.order, name) for name in MILESTONES]
        self.events += advance(self.order, document.milestones, source=source, now=now)
        return before != [getattr(self.order, name) for name in MILESTONES]

    def _dates(self, document: OrderDocument, now: datetime) -> bool:
        """What follows from all documents together: first promise, the parcel's last news, reckoned deadline."""
        order = self.order
        dates = snapshot.promise(order, document, now)
        dates["moved_at"] = latest(order.moved_at, snapshot.moved(document, now))
        if order.ship_by_reckoned or order.ship_by is None:
            dates["ship_by"] = order.channel.working_time.due(order.approved_at) if order.approved_at else None
            dates["ship_by_reckoned"] = dates["ship_by"] is not None
        return bool(_assign(order, dates))

    def _rule(self, now: datetime) -> None:
        """The seller's rules act on what is known now."""
        held_before = self.order.active_holds
        for rule in rules.act(self.order.channel.rules, self.order, list(self.items.by_id.values())):
            self._tell("ruled", Source.HUB, now, rules.told(rule))
        self._tell_holds(held_before, now)

    # --- Lines, payments, parcels

    def _leave(self, document: OrderDocument, replaced: datetime, source: Source) -> None:
        """What the newest document holds no more: its lines are cancelled, payments and parcels stay as they were."""
        for row in self.items.leave(replaced, snapshot.keyed(document.items)):
            self._count(row, {LineChange.CANCELLED: row.quantity}, self.order.version_at, source, GONE)
        self.payments.leave(replaced, snapshot.keyed(document.payments))
        self.shipments.leave(replaced, snapshot.keyed(document.shipments))

    def _parts(self, document: OrderDocument, newest: bool, source: Source, now: datetime) -> bool:
        seen = None if newest else snapshot.version(document, now)
        items, payments = snapshot.keyed(document.items), snapshot.keyed(document.payments)
        shipments = snapshot.keyed(document.shipments)
        touched = [self._line(key, item, seen, source) for key, item in items.items()]
        touched += [
            self.payments.merge(key, seen, snapshot.payment(payment), self._make(Payment))
            for key, payment in payments.items()
        ]
        touched += [self._shipment(key, shipment, seen, source, now) for key, shipment in shipments.items()]
        return any(touched)

    def _make(self, model: type[R]) -> Callable[..., R]:
        return lambda **columns: model(order=self.order, **columns)

    def _line(self, key: str, item: documents.Item, seen: datetime | None, source: Source) -> bool:
        row = self.items.by_id.get(key)
        if row is not None and outdated(row, seen):
            return False
        changed = self.items.merge(key, seen, snapshot.line(item), self._make(OrderItem))
        # An older document's line that the newest one has not: sold, and gone since.
        totals = {
            LineChange.CANCELLED: item.cancelled if seen is None else item.quantity,
            LineChange.REFUNDED: item.refunded,
            LineChange.RETURNED: item.returned,
        }
        reason = "" if seen is None else GONE
        return self._count(self.items.by_id[key], totals, seen or self.order.version_at, source, reason) or changed

    def _count(
        self, row: OrderItem, totals: dict[LineChange, Decimal], at: datetime, source: Source, reason: str = ""
    ) -> bool:
        """Writes into the line's ledger what is missing to these running totals."""
        counted = False
        for change, total in totals.items():
            delta = total - getattr(row, change.value)
            if not delta:
                continue
            counted = True
            setattr(row, change.value, total)
            self.items.touched[row.external_id] = row
            self.line_events.append(
                LineEvent(item=row, change=change.value, quantity=delta, at=at, source=source.value, reason=reason)
            )
        return counted

    def _shipment(
        self, key: str, shipment: documents.Shipment, seen: datetime | None, source: Source, now: datetime
    ) -> bool:
        known = self.shipments.by_id.get(key)
        problem = known.exception if known else ""
        changed = self.shipments.merge(key, seen, snapshot.shipment(shipment), self._make_shipment)
        row = self.shipments.by_id[key]
        if row.exception and row.exception != problem:
            self._tell("parcel_problem", source, now, {"code": str(row), "text": row.exception})
        settled = bool(_assign(row, snapshot.settled(row, shipment.shipped_at, shipment.delivered_at)))
        if settled:
            self.shipments.touched[key] = row
        return changed or settled

    def _make_shipment(self, **columns: Any) -> Shipment:
        return Shipment(order=self.order, source=Source.CHANNEL.value, **columns)

    def _tell_lines(self, line_events: Sequence[LineEvent], source: Source, now: datetime) -> None:
        for change in LineChange:
            lines = [_told(event) for event in line_events if event.change == change]
            if lines:
                more = ["…"] if len(lines) > LINES_TOLD else []
                data = {"change": change.value, "lines": ", ".join(lines[:LINES_TOLD] + more)}
                self._tell("lines_changed", source, now, data)

    def _tell(self, code: str, source: Source, now: datetime, data: Mapping[str, object]) -> None:
        self.events.append(entry(self.order, code, source, now, data))


def _told(event: LineEvent) -> str:
    return f"{event.quantity.normalize():f} × {event.item.sku or event.item.title}"


def new(channel: SalesChannel, document: OrderDocument, digest: str, source: Source, now: datetime) -> Sale:
    holds = money.holds(document, channel, now)
    order = Order(
        seller_id=channel.seller_id,
        channel=channel,
        external_id=document.external_id,
        tags=list(document.tags),
        holds=holds,
        held=bool(holds),
        created_at=now,
        changed_at=now,
        **snapshot.columns(document, digest, now),
    )
    sale = Sale(order)
    sale.touched = True
    sale._tell("received", source, now, {"status": document.raw_status})
    sale._refer(document.ids)
    sale._parts(document, True, source, now)
    sale._tell_lines(sale.line_events, source, now)
    sale._advance(document, source, now)
    sale._dates(document, now)
    sale._tell_holds((), now)
    sale._rule(now)
    order.search = snapshot.search(order, sale.references, sale.items.by_id.values())
    return sale


def read(channel: SalesChannel, keys: Collection[int]) -> list[Sale]:
    """These orders with their parts, locked in the order of their keys so that two pages cannot block each other."""
    if not keys:
        return []
    orders = Order.objects.filter(pk__in=keys).order_by("pk").select_for_update()
    found = {order.pk: Sale(order) for order in orders}
    for sale in found.values():
        sale.order.channel = channel
    for reference in OrderReference.objects.filter(order__in=found):
        found[reference.order_id].references.add(reference.value)
    for item in OrderItem.objects.filter(order__in=found):
        found[item.order_id].items.by_id[item.external_id] = item
    for payment in Payment.objects.filter(order__in=found):
        found[payment.order_id].payments.by_id[payment.external_id] = payment
    for shipment in Shipment.objects.filter(order__in=found, source=Source.CHANNEL.value):
        found[shipment.order_id].shipments.by_id[shipment.external_id] = shipment
    return list(found.values())


def write(sales: Sequence[Sale]) -> None:
    """Two statements at most for each kind of rows: the new ones, and the changed ones."""
    # In one order everywhere, so that two pages with the same new sales wait for each other instead of blocking.
    ordered = sorted(sales, key=lambda sale: (sale.order.pk or 0, sale.order.external_id))
    _save(Order, [sale.order for sale in ordered])
    references = sorted((row for sale in ordered for row in sale.new_references), key=lambda row: row.value)
    bulk.insert(OrderReference, references)
    _save(OrderItem, [row for sale in ordered for row in sale.items.touched.values()])
    _save(Payment, [row for sale in ordered for row in sale.payments.touched.values()])
    _save(Shipment, [row for sale in ordered for row in sale.shipments.touched.values()])
    bulk.insert(LineEvent, [row for sale in ordered for row in sale.line_events])
    bulk.insert(OrderEvent, [row for sale in ordered for row in sale.events])


def _save(model: type[models.Model], rows: Sequence[Any]) -> None:
    added = [row for row in rows if row._state.adding]
    known = [row for row in rows if not row._state.adding]
    bulk.insert(model, added)
    bulk.update(model, known, bulk.columns(model) - KEPT)
