"""The one door for a channel's documents.

What comes out does not depend on the order documents come in, nor on how often: the order's columns are those of
its newest document, each line, payment and parcel is that of the newest document which held it, milestones keep
their earliest time, and the ids are a union. A page of any size is a fixed handful of statements.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, OperationalError, transaction
from django.utils import timezone

from orders import sales
from orders.documents import OrderDocument
from orders.models import Order, OrderReference, SalesChannel
from orders.sales import Sale
from orders.vocabulary import Source

# Two workers may bring the same new sale at once: the second then finds what the first wrote.
TRIES = 3
# Documents handled together: bounds memory and the number of parameters of a statement.
CHUNK = 500
DEADLOCK = "40P01"


class Conflict(ValueError):
    """The ids of one document lead to two orders (`first`, `second`: their external ids). A person must look."""

    def __init__(self, document: OrderDocument, first: str, second: str) -> None:
        super().__init__(f"The ids of {document.external_id} belong to two orders: {first} and {second}.")
        self.document = document
        self.first = first
        self.second = second


@dataclass(frozen=True)
class Ingested:
    """`changed`: something of the order was written (always, when `created`)."""

    order: Order
    created: bool
    changed: bool
    document: OrderDocument


@dataclass(frozen=True)
class Refused:
    """A document that could not be taken; the others of its page were."""

    document: OrderDocument
    error: Conflict

    @property
    def message(self) -> str:
        return str(self.error)


def ingest(
    channel: SalesChannel,
    documents: Sequence[OrderDocument],
    *,
    source: Source = Source.CHANNEL,
    then: Callable[[list[Ingested | Refused]], None] | None = None,
    now: datetime | None = None,
) -> list[Ingested | Refused]:
    """Writes what is new in the documents; the results are in their order.

    One transaction. `then` is called in it with all results, so that a change and the work it calls for
    commit together; whatever it raises undoes all. It may be called again when another worker was quicker.
    """
    attempt = 1
    while True:
        try:
            with transaction.atomic():
                return _all(channel, documents, source, then, now or timezone.now())
        except (IntegrityError, OperationalError) as error:
            if attempt == TRIES or not _raced(error):
                raise
            attempt += 1


def _raced(error: Exception) -> bool:
    return isinstance(error, IntegrityError) or getattr(error.__cause__, "sqlstate", "") == DEADLOCK


def _all(
    channel: SalesChannel,
    documents: Sequence[OrderDocument],
    source: Source,
    then: Callable[[list[Ingested | Refused]], None] | None,
    now: datetime,
) -> list[Ingested | Refused]:
    results: list[Ingested | Refused] = []
    for start in range(0, len(documents), CHUNK):
        results += _chunk(channel, documents[start : start + CHUNK], source, now)
    if then is not None:
        then(results)
    return results


def _chunk(
    channel: SalesChannel, documents: Sequence[OrderDocument], source: Source, now: datetime
) -> list[Ingested | Refused]:
    hashes = [document.content_hash for document in documents]
    page = _Page(channel, source, now, _known(channel, documents))
    page.open(documents, hashes)
    results = [page.take(document, digest) for document, digest in zip(documents, hashes, strict=True)]
    sales.write(page.touched())
    return results


# Enough to see that a document says nothing new; the rest is read when it is asked for.
GLANCE = ("id", "seller_id", "channel_id", "external_id", "content_hash", "status", "exported_at")


def _known(channel: SalesChannel, documents: Sequence[OrderDocument]) -> dict[str, Order]:
    """The order that each id leads to, not locked: most pages repeat what is here already."""
    values = {value for document in documents for value in document.ids}
    references = OrderReference.objects.filter(channel=channel, value__in=values)
    orders: dict[int, Order] = {}
    known: dict[str, Order] = {}
    for value, *glance in references.values_list("value", *(f"order__{name}" for name in GLANCE)):
        order = orders.get(glance[0])
        known[value] = orders[glance[0]] = order or Order.from_db(references.db, GLANCE, glance)
    return known


class _Page:
    """The sales that a chunk of documents is about, by every id that leads to them."""

    def __init__(self, channel: SalesChannel, source: Source, now: datetime, known: dict[str, Order]) -> None:
        self.channel = channel
        self.source = source
        self.now = now
        self.known = known
        self.sales: dict[str, Sale] = {}

    def open(self, documents: Sequence[OrderDocument], hashes: Sequence[str]) -> None:
        """Locks and reads the known orders that some document says something new about."""
        stale = {
            order.pk
            for document, digest in zip(documents, hashes, strict=True)
            for order in self._orders(document.ids)
            if order.content_hash != digest or any(value not in self.known for value in document.ids)
        }
        for sale in sales.read(self.channel, stale):
            self._remember(sale, sale.references)
            self.known.update(dict.fromkeys(sale.references, sale.order))

    def take(self, document: OrderDocument, digest: str) -> Ingested | Refused:
        found = list({id(order): order for order in self._orders(document.ids)}.values())
        if len(found) > 1:
            return Refused(document, Conflict(document, found[0].external_id, found[1].external_id))
        if not found:
            sale = sales.new(self.channel, document, digest, self.source, self.now)
            self._remember(sale, document.ids)
            return Ingested(sale.order, created=True, changed=True, document=document)
        opened = self.sales.get(next(value for value in document.ids if value in self.known))
        if opened is None:
            return Ingested(found[0], created=False, changed=False, document=document)
        changed = opened.take(document, digest, self.source, self.now)
        self._remember(opened, document.ids)
        return Ingested(opened.order, created=False, changed=changed, document=document)

    def touched(self) -> list[Sale]:
        return [sale for sale in {id(sale): sale for sale in self.sales.values()}.values() if sale.touched]

    def _orders(self, values: Iterable[str]) -> list[Order]:
        return [self.known[value] for value in values if value in self.known]

    def _remember(self, sale: Sale, values: Iterable[str]) -> None:
        for value in values:
            self.sales[value] = sale
            self.known[value] = sale.order
