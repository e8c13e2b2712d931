"""An order's NF-e."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from orders import bulk, invoices, lifecycle
from orders.documents import InvoiceDocument, Milestones
from orders.doors.writing import advance, append, assign, lock
from orders.invoices import InvoiceRefused
from orders.models import Invoice, Order, OrderEvent
from orders.vocabulary import Source


def record_invoice(
    order: Order,
    document: InvoiceDocument,
    source: Source = Source.ERP,
    seller_tax_ids: Sequence[str] | None = None,
    now: datetime | None = None,
) -> Invoice | None:
    """The NF-e, if it is new or something of it is; None if all of it was known.

    `seller_tax_ids`: the CNPJs it may be issued by, by default the seller's; with none, any.
    Raises `InvoiceRefused`, after the timeline got its line (once for each key and reason).
    """
    taxes = order.seller.tax_ids if seller_tax_ids is None else seller_tax_ids
    with transaction.atomic(savepoint=False):
        (outcome,) = record_invoices([(order, document)], source, taxes, now)
    # Outside: an error would undo what the timeline says of it.
    if isinstance(outcome, InvoiceRefused):
        raise outcome
    return outcome


def record_invoices(
    given: Sequence[tuple[Order, InvoiceDocument]],
    source: Source,
    seller_tax_ids: Sequence[str],
    now: datetime | None = None,
) -> list[Invoice | InvoiceRefused | None]:
    """`record_invoice` for many, inside a transaction of the caller: what became of each."""
    now = now or timezone.now()
    for order, _document in given:
        lock(order)
    rows = [_checked(order, document, seller_tax_ids) for order, document in given]
    new = [row for row in rows if isinstance(row, Invoice)]
    bulk.insert_absent(new, ("seller_id", "key"))
    known = _known([row for row in new if row.pk is None])
    return [
        _take(order, document, row, known, source, now)
        for (order, document), row in zip(given, rows, strict=True)
    ]  # fmt: skip


def _checked(order: Order, document: InvoiceDocument, seller_tax_ids: Sequence[str]) -> Invoice | InvoiceRefused:
    try:
        invoices.check(document, seller_tax_ids)
    except InvoiceRefused as refusal:
        return refusal
    return _new(order, document)


def _take(
    order: Order,
    document: InvoiceDocument,
    row: Invoice | InvoiceRefused,
    known: Mapping[tuple[int, str], Invoice],
    source: Source,
    now: datetime,
) -> Invoice | InvoiceRefused | None:
    """`row`: the new NF-e, without a key of its own where it is `known`."""
    if isinstance(row, Invoice):
        created = row.pk is not None
        invoice = row if created else known[row.seller_id, row.key]
        if invoice.order_id == order.pk:
            return _record_invoice(order, invoice, created, document, source, now)
        row = InvoiceRefused(_("The NF-e belongs to another order already."))
    _tell_refusal(order, document, row, source, now)
    return row


def _known(absent: Sequence[Invoice]) -> dict[tuple[int, str], Invoice]:
    """The rows that stand where these could not be inserted."""
    if not absent:
        return {}
    rows = Invoice.objects.filter(seller__in={row.seller_id for row in absent}, key__in=[row.key for row in absent])
    return {(row.seller_id, row.key): row for row in rows}


def _record_invoice(
    order: Order, invoice: Invoice, created: bool, document: InvoiceDocument, source: Source, now: datetime
) -> Invoice | None:
    was_cancelled = invoice.cancelled
    changed = not created and assign(invoice, _news(invoice, document))
    number = {"number": invoice.short, "key": invoice.key}
    codes = ["invoice_received"] if created else []
    if document.cancelled and (created or not was_cancelled):
        codes.append("invoice_cancelled")
    invoiced_at = None if document.cancelled else document.issued_at or invoice.issued_at or now
    told = [lifecycle.entry(order, code, source, now, number) for code in codes]
    advance(order, Milestones(invoiced_at=invoiced_at), source, now, told)
    return invoice if created or changed else None


def _new(order: Order, document: InvoiceDocument) -> Invoice:
    return Invoice(
        order=order,
        seller_id=order.seller_id,
        key=document.key,
        number=document.number,
        series=document.series,
        issued_at=document.issued_at,
        amount=document.amount,
        cancelled=document.cancelled,
        sealed_xml=invoices.seal(document.xml),
        shipment_reference=document.shipment_id,
        external_id=document.external_id,
    )


def _news(invoice: Invoice, document: InvoiceDocument) -> dict[str, Any]:
    """What the document adds to what is known: an NF-e never changes, it only gets known better, or cancelled."""
    given: dict[str, Any] = {
        "number": document.number,
        "series": document.series,
        "issued_at": document.issued_at,
        "amount": document.amount,
        "shipment_reference": document.shipment_id,
        "external_id": document.external_id,
    }
    news: dict[str, Any] = {name: value for name, value in given.items() if value and not getattr(invoice, name)}
    if document.xml and not invoice.sealed_xml:
        news["sealed_xml"] = invoices.seal(document.xml)
    if document.cancelled:
        news["cancelled"] = True
    return news


def _tell_refusal(
    order: Order, document: InvoiceDocument, refusal: InvoiceRefused, source: Source, now: datetime
) -> None:
    data = {"key": document.key, "message": refusal.message}
    if not OrderEvent.objects.filter(order=order, code="invoice_refused", data=data).exists():
        append(order, "invoice_refused", source, data, now=now)


def invoice_document(invoice: Invoice) -> InvoiceDocument:
    """The NF-e as it came, its XML byte for byte. Raises `hub.vault.VaultLocked` when its key is gone."""
    return InvoiceDocument(
        key=invoice.key,
        number=invoice.number,
        series=invoice.series,
        issued_at=invoice.issued_at,
        amount=invoice.amount,
        cancelled=invoice.cancelled,
        xml=invoices.unseal(invoice.sealed_xml),
        shipment_id=invoice.shipment_reference,
    )
