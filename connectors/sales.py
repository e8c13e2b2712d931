"""What the ERP knows of a sale, brought home: its state, its NF-e, its dispatch."""

from collections.abc import Sequence
from decimal import Decimal

from django.db import IntegrityError, transaction
from django.utils import timezone

from connectors import intake, ledger, planning
from connectors.contract import SaleState
from connectors.failures import Refusal
from connectors.models import Connection, InboxEntry, Link
from orders import bulk, doors
from orders.documents import DispatchDocument, InvoiceDocument
from orders.models import Invoice, Order, Shipment
from orders.vocabulary import Source


def read(connection: Connection, entries: Sequence[InboxEntry]) -> None:
    """Interprets stored ERP documents and applies them. A bad one becomes a visible row."""
    intake.take(intake.understood(connection, entries, SaleState), lambda read: _apply(connection, read))


@transaction.atomic
def _apply(connection: Connection, read: Sequence[tuple[InboxEntry, SaleState]]) -> None:
    """Facts of the ERP become facts of the orders; what is none of ours is of no use. Raises `Refusal`."""
    states = [state for _entry, state in read]
    known = Link.objects.filter(connection=connection, external_id__in={state.external_id for state in states})
    about = dict(known.values_list("external_id", "order_id"))
    for state in states:
        if state.external_id not in about and (lost := _lost_link(connection, state)):
            about[state.external_id] = lost.order_id
    with doors.together(about.values()) as orders:
        # Read under the lock: a person may have tied the sale to another order of the ERP just now.
        links = {link.external_id: link for link in known.select_for_update() if link.order_id in orders}
        for link in links.values():
            link.order = orders[link.order_id]
        said = [(links[state.external_id], state) for state in states if state.external_id in links]
        cancelled = [link for link, state in said if _refresh(link, state)]
        invoices, parcels = _new_invoices(said), _new_parcels(said)
        # One that is refused is kept on its order with the reason; a person decides.
        doors.record_invoices(invoices, Source.ERP, connection.seller.tax_ids)
        doors.record_dispatches(parcels, Source.ERP)
    bulk.update(Link, list(links.values()), READ)
    ledger.ask([ledger.Step(connection.pk, "change_erp", f"cancelled:{row.pk}", row.order_id, 45) for row in cancelled])
    planning.tell_channel([order for order, _news in (*invoices, *parcels)])
    ours = {external_id: link.order_id for external_id, link in links.items()}
    intake.mark_read({entry.pk: ours.get(state.external_id) for entry, state in read})


# What the ERP says that the orders do not know yet: an ERP is read many times, and mostly repeats itself.


def _new_invoices(said: Sequence[tuple[Link, SaleState]]) -> list[tuple[Order, InvoiceDocument]]:
    told = [(link.order, invoice) for link, state in said for invoice in state.invoices]
    rows = Invoice.objects.filter(order__in=[order.pk for order, _invoice in told]) if told else ()
    known = {(row.order_id, row.key): row for row in rows}
    return [(order, one) for order, one in told if not _known_invoice(known.get((order.pk, one.key)), one)]


def _new_parcels(said: Sequence[tuple[Link, SaleState]]) -> list[tuple[Order, DispatchDocument]]:
    told = [(link.order, parcel) for link, state in said for parcel in state.dispatches]
    orders = [order.pk for order, _parcel in told]
    rows = Shipment.objects.filter(order__in=orders, source=Source.ERP) if told else ()
    known = {(row.order_id, row.external_id): row for row in rows}
    return [(order, one) for order, one in told if not _known_parcel(known.get((order.pk, one.external_id)), one)]


def _known_invoice(row: Invoice | None, said: InvoiceDocument) -> bool:
    return row is not None and row.cancelled == said.cancelled and bool(row.sealed_xml) >= bool(said.xml)


def _known_parcel(row: Shipment | None, said: DispatchDocument) -> bool:
    names = ("carrier", "service", "tracking_code", "tracking_url", "shipped_at", "delivered_at")
    return row is not None and all(getattr(row, name) == getattr(said, name) for name in names)


def _lost_link(connection: Connection, state: SaleState) -> Link | None:
    """The ERP's order carries our key but the link was lost (a crash between the answer and the record)."""
    if not state.hub_key or state.cancelled:
        return None
    order = order_of(state.hub_key)
    if order is None or order.seller_id != connection.seller_id:
        return None
    (adopted,) = attach([tie(connection, order, state.external_id, number=state.number, adopted=True)])
    if adopted.external_id != state.external_id:
        raise Refusal(
            f"The ERP has sale {order.external_id} twice: as {adopted} and as {state.number or state.external_id}. "
            "Cancel one of them there, then mark this as handled.",
            code="twin",
        )
    return adopted


def order_of(hub_key: str) -> Order | None:
    """The order a hub key names; see `reference_of`."""
    _hub, _, rest = hub_key.partition(":")
    channel, _, external_id = rest.partition(":")
    if not channel.isdecimal():
        return None
    return Order.objects.filter(channel_id=int(channel), external_id=external_id).first()


def hub_key(order: Order) -> str:
    return f"entreposto:{order.channel_id}:{order.external_id}"


def tie(
    connection: Connection,
    order: Order,
    external_id: str,
    *,
    number: str = "",
    total: Decimal | None = None,
    adopted: bool = False,
) -> Link:
    """A link, for `attach`."""
    return Link(
        order=order,
        connection=connection,
        external_id=external_id,
        number=number,
        total=total,
        adopted=adopted,
        created_at=timezone.now(),
    )


@transaction.atomic
def attach(links: Sequence[Link]) -> list[Link]:
    """Ties orders to the ERP's, each with the link given or, where it has one, with that: the first tie wins. The links
    then hold the orders as they are now. Raises `Refusal`, and ties none, where the ERP's order is another's already.
    """
    connection = links[0].connection
    with doors.together(link.order_id for link in links) as orders:
        known = Link.objects.filter(connection=connection, order__in=orders)
        tied = {link.order_id: link for link in known}
        new = [link for link in links if link.order_id not in tied]
        try:
            bulk.insert(Link, new)
        except IntegrityError:
            raise Refusal(
                f"The ERP's order {new[0]} already belongs to another order of this hub.", code="linked_elsewhere"
            ) from None
        for link in new:
            doors.mark_exported(orders[link.order_id], number=str(link), erp_label=connection.name)
    # They may have been cancelled while they were on their way.
    ledger.ask(planning.cancel_steps([orders[link.order_id] for link in new]))
    all_tied = [tied.get(link.order_id, link) for link in links]
    for link in all_tied:
        link.order = orders[link.order_id]
    return all_tied


def _refresh(link: Link, state: SaleState) -> bool:
    """What was read, in memory. Whether the ERP's order has been cancelled since it was read before."""
    news = state.cancelled and not link.cancelled
    if news:
        doors.append(link.order, "erp_cancelled", Source.ERP, {"number": link.number or link.external_id})
    link.raw_status = state.raw_status[:120]
    link.cancelled = state.cancelled
    link.complete = state.complete
    link.attention = state.attention
    link.read_at = timezone.now()
    link.number = state.number or link.number
    link.total = link.total if state.total is None else state.total
    return news


READ = {"raw_status", "cancelled", "complete", "attention", "read_at", "number", "total"}
