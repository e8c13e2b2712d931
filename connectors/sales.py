"""What the ERP knows of a sale, brought home: its state, its NF-e, its dispatch."""

from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from connectors import intake, ledger, planning
from connectors.contract import SaleState
from connectors.failures import Failure, Refusal
from connectors.models import Connection, InboxEntry, Link
from orders import doors
from orders.documents import DispatchDocument, InvoiceDocument
from orders.models import Invoice, Order, Shipment
from orders.vocabulary import Source


def read(connection: Connection, entries: Sequence[InboxEntry]) -> None:
    """Interprets stored ERP documents and applies them. A bad one becomes a visible row."""
    applied = {entry.pk: _read(connection, entry) for entry in entries}
    intake.mark_read({pk: link.order_id if link else None for pk, (link, understood) in applied.items() if understood})


def _read(connection: Connection, entry: InboxEntry) -> tuple[Link | None, bool]:
    """The link to our order, if it is one of ours; whether the document was understood."""
    try:
        state = intake.interpret(connection.kind, bytes(entry.body), connection.settings)
        if not isinstance(state, SaleState):
            raise Refusal("is no ERP order", path="$")
        return apply(connection, state), True
    except Failure as failure:
        intake.reject(entry, failure)
    except intake.AWAY:
        raise
    except Exception as error:  # noqa: BLE001 - a document must never take its worker down
        intake.reject(entry, intake.bug(error, f"ERP order of connection {connection.pk}"))
    return None, False


@transaction.atomic
def apply(connection: Connection, state: SaleState) -> Link | None:
    """Facts of the ERP become facts of the order; None where the ERP's order is none of ours."""
    link = _link_of(connection, state)
    if link is None:
        return None
    order = link.order
    _refresh(link, state)
    invoices, dispatches = _news(order, state)
    for invoice in invoices:
        try:
            doors.record_invoice(order, invoice, source=Source.ERP, seller_tax_ids=connection.seller.tax_ids)
        except doors.InvoiceRefused:
            # Kept on the order with its reason; a person decides.
            continue
    for dispatch in dispatches:
        doors.record_dispatch(order, dispatch, source=Source.ERP)
    if invoices or dispatches:
        planning.tell_channel(order)
    return link


def _news(order: Order, state: SaleState) -> tuple[list[InvoiceDocument], list[DispatchDocument]]:
    """What the ERP says that the order does not know yet: an ERP is read many times, and mostly repeats itself."""
    if not state.invoices and not state.dispatches:
        return [], []
    invoices = {invoice.key: invoice for invoice in Invoice.objects.filter(order=order)}
    parcels = {parcel.external_id: parcel for parcel in Shipment.objects.filter(order=order, source=Source.ERP)}
    return (
        [one for one in state.invoices if not _known_invoice(invoices.get(one.key), one)],
        [one for one in state.dispatches if not _known_parcel(parcels.get(one.external_id), one)],
    )


def _known_invoice(row: Invoice | None, said: InvoiceDocument) -> bool:
    return row is not None and row.cancelled == said.cancelled and bool(row.sealed_xml) >= bool(said.xml)


def _known_parcel(row: Shipment | None, said: DispatchDocument) -> bool:
    names = ("carrier", "service", "tracking_code", "tracking_url", "shipped_at", "delivered_at")
    return row is not None and all(getattr(row, name) == getattr(said, name) for name in names)


def _link_of(connection: Connection, state: SaleState) -> Link | None:
    links = Link.objects.select_related("order", "connection")
    link = links.filter(connection=connection, external_id=state.external_id).first()
    if link is not None or not state.hub_key or state.cancelled:
        return link
    # The ERP's order carries our key but the link was lost (a crash between the answer and the record).
    order = order_of(state.hub_key)
    if order is None or order.seller_id != connection.seller_id:
        return None
    adopted, _made = attach(connection, order, state.external_id, number=state.number, adopted=True)
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


def attach(
    connection: Connection,
    order: Order,
    external_id: str,
    *,
    number: str = "",
    total: Any = None,
    adopted: bool = False,
) -> tuple[Link, bool]:
    """Ties the order to the ERP's. The first tie wins; (link, whether it is this one and new)."""
    try:
        link, made = Link.objects.get_or_create(
            order=order,
            connection=connection,
            defaults={"external_id": external_id, "number": number, "total": total, "adopted": adopted},
        )
    except IntegrityError:
        raise Refusal(
            f"The ERP's order {number or external_id} already belongs to another order of this hub.",
            code="linked_elsewhere",
        ) from None
    if made:
        doors.mark_exported(order, number=number or external_id, erp_label=connection.name)
        # It may have been cancelled while it was on its way.
        ledger.ask(planning.cancel_steps([order]))
    return link, made


def _refresh(link: Link, state: SaleState) -> None:
    news: dict[str, Any] = {
        "raw_status": state.raw_status[:120],
        "cancelled": state.cancelled,
        "complete": state.complete,
        "attention": state.attention,
        "read_at": timezone.now(),
    }
    if state.number:
        news["number"] = state.number
    if state.total is not None:
        news["total"] = state.total
    if state.cancelled and not link.cancelled:
        doors.append(link.order, "erp_cancelled", Source.ERP, {"number": link.number or link.external_id})
        ledger.ask([ledger.Step(link.connection_id, "change_erp", f"cancelled:{link.pk}", link.order_id, 45)])
    for name, value in news.items():
        setattr(link, name, value)
    link.save(update_fields=list(news))
