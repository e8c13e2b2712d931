"""An order's NF-e."""

from collections.abc import Sequence
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
    now = now or timezone.now()
    with transaction.atomic(savepoint=False):
        lock(order)
        try:
            invoices.check(document, order.seller.tax_ids if seller_tax_ids is None else seller_tax_ids)
            invoice, created = _invoice(order, document)
        except InvoiceRefused as caught:
            refusal = caught
            _tell_refusal(order, document, refusal, source, now)
        else:
            return _record_invoice(order, invoice, created, document, source, now)
    # Outside: an error would undo what the timeline says of it.
    raise refusal


def _record_invoice(
    order: Order, invoice: Invoice, created: bool, document: InvoiceDocument, source: Source, now: datetime
) -> Invoice | None:
    was_cancelled = invoice.cancelled
    changed = not created and assign(invoice, _news(invoice, document))
    number = {"number": invoice.number or invoice.key[25:34].lstrip("0"), "key": invoice.key}
    codes = ["invoice_received"] if created else []
    if document.cancelled and (created or not was_cancelled):
        codes.append("invoice_cancelled")
    invoiced_at = None if document.cancelled else document.issued_at or invoice.issued_at or now
    told = [lifecycle.entry(order, code, source, now, number) for code in codes]
    advance(order, Milestones(invoiced_at=invoiced_at), source, now, told)
    return invoice if created or changed else None


def _invoice(order: Order, document: InvoiceDocument) -> tuple[Invoice, bool]:
    invoice = Invoice(
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
    if bulk.insert_absent(invoice):
        return invoice, True
    known = Invoice.objects.get(seller=order.seller_id, key=document.key)
    if known.order_id != order.pk:
        raise InvoiceRefused(_("The NF-e belongs to another order already."))
    return known, False


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
