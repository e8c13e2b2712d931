"""What a person corrects of an order. The source's word is kept beside it and comes back when the person wishes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from orders import corrections, invoices, money, snapshot
from orders.documents import Address, Buyer, InvoiceDocument, storable
from orders.doors.papers import record_invoice
from orders.doors.writing import append, assign, lock
from orders.models import Answer, Invoice, Order, Shipment
from orders.vocabulary import Hold, Source


@transaction.atomic(savepoint=False)
def correct(
    order: Order, changes: Mapping[str, Mapping[str, str]], actor: str, now: datetime | None = None
) -> list[str]:
    """The buyer and the addresses, part by part ("buyer", "ship_to", "bill_to"), for the ERP and on labels. Returns the
    names of what has changed; the timeline gets no more than these."""
    now = now or timezone.now()
    lock(order)
    parts, news, changed = dict[str, dict[str, Any]](), order.corrections, list[str]()
    for part in corrections.PEOPLE:
        shown = getattr(order, part)
        differing = _differing(shown, changes.get(part, {}))
        news = corrections.given(news, part, shown, differing, actor, now)
        parts[part] = {**shown, **differing}
        changed += differing
    if not changed:
        return []
    names = list(dict.fromkeys(changed))
    order.corrections = news
    _show(order, parts)
    append(order, "corrected", Source.PERSON, {"fields": names}, actor, now)
    _judge_buyer(order, now)
    return names


def _differing(shown: Mapping[str, Any], wanted: Mapping[str, str]) -> dict[str, str]:
    storables = {name: storable(value) for name, value in wanted.items()}
    return {name: value for name, value in storables.items() if value != str(shown.get(name, ""))}


def _show(order: Order, parts: Mapping[str, dict[str, Any]]) -> None:
    columns = snapshot.people(
        Buyer(**parts["buyer"]),
        Address(**parts["ship_to"]) if parts["ship_to"] else None,
        Address(**parts["bill_to"]) if parts["bill_to"] else None,
    )
    for name, value in columns.items():
        setattr(order, name, value)
    order.search = snapshot.search(order, order.references.values_list("value", flat=True), order.items.all())
    order.save(update_fields=[*columns, "corrections", "search", "changed_at"])


def _judge_buyer(order: Order, now: datetime) -> None:
    """A document that is valid now is no reason to wait any more, as if the channel had sent it."""
    found = {Hold(hold) for hold in order.holds} - {Hold.BUYER}
    if not money.buyer_is_valid(order.buyer.get("document", "")):
        found.add(Hold.BUYER)
    holds = [hold.value for hold in Hold if hold in found]
    if holds == order.holds:
        return
    order.holds = holds
    order.held = bool(order.active_holds)
    order.save(update_fields=["holds", "held"])
    code = "held" if Hold.BUYER in found else "hold_cleared"
    append(order, code, Source.HUB, {"hold": Hold.BUYER.value}, now=now)


@transaction.atomic(savepoint=False)
def correct_dispatch(
    shipment: Shipment, carrier: str, tracking_code: str, actor: str, now: datetime | None = None
) -> bool:
    """Carrier and tracking code of a parcel as the channel is to hear of them. False where nothing differs."""
    now, order = now or timezone.now(), shipment.order
    lock(order)
    shipment.refresh_from_db(from_queryset=Shipment.objects.select_related("order"))
    shown = {name: getattr(shipment, name) for name in ("carrier", "tracking_code", "tracking_url")}
    wanted = {"carrier": carrier, "tracking_code": tracking_code, "tracking_url": _url(shipment, tracking_code)}
    differing = _differing(shown, wanted)
    if not differing:
        return False
    part = corrections.parcel(shipment.pk)
    order.corrections = corrections.given(order.corrections, part, shown, differing, actor, now)
    order.save(update_fields=["corrections", "changed_at"])
    before = _told(shipment)
    assign(shipment, differing)
    data = {"before": before, "after": _told(shipment)}
    append(order, "dispatch_corrected", Source.PERSON, data, actor, now)
    return True


def _url(shipment: Shipment, tracking_code: str) -> str:
    """The address that shows the parcel names the code; one that does not is believed to be the carrier's own page."""
    if not shipment.tracking_code or tracking_code == shipment.tracking_code:
        return shipment.tracking_url
    return shipment.tracking_url.replace(shipment.tracking_code, tracking_code)


def _told(shipment: Shipment) -> str:
    return " ".join(part for part in (shipment.carrier, shipment.tracking_code) if part)


@transaction.atomic(savepoint=False)
def correct_invoice(
    order: Order, document: InvoiceDocument, actor: str, wrong: Invoice | None = None, now: datetime | None = None
) -> Invoice:
    """The right NF-e, by a person's word: a new one, or a known one's file. `wrong` is the one in whose place it comes:
    that counts for nothing any more, whatever the ERP says of it later. Raises `InvoiceRefused`."""
    now = now or timezone.now()
    record_invoice(order, document, Source.PERSON, now=now)
    invoice = Invoice.objects.get(seller=order.seller_id, key=document.key)
    _improve(invoice, document)
    replaced = wrong is not None and wrong.pk != invoice.pk
    if wrong is not None and replaced:
        assign(wrong, {"answer": Answer.REPLACED.value, "answer_text": "", "answered_at": now})
    data = {
        "before": wrong.short if wrong is not None and replaced else "",
        "number": invoice.short,
        "key": invoice.key,
    }
    append(order, "invoice_replaced" if replaced else "invoice_corrected", Source.PERSON, data, actor, now)
    return invoice


def _improve(invoice: Invoice, document: InvoiceDocument) -> None:
    """A person's word goes before the ERP's, which only fills in what is missing."""
    told = {name: getattr(document, name) for name in ("number", "series", "issued_at", "amount")}
    columns: dict[str, Any] = {name: value for name, value in told.items() if value}
    if document.xml:
        columns["sealed_xml"] = invoices.seal(document.xml)
    if invoice.answer == Answer.REPLACED:
        columns["answer"] = Answer.NONE.value
    assign(invoice, {**columns, "problem": ""})
