"""Our own label, 10 × 15 cm: for parcels whose channel gives none. Says whose, to whom, and proves the NF-e."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from monitoring.packing.paper import BOLD, LABEL, PdfPen, Pen, in_fours, readable
from monitoring.packing.zebra import ZebraPen
from orders.models import Invoice, Order

MARGIN = 5 * mm
ROOM = LABEL[0] - 2 * MARGIN
CORNER = (MARGIN, LABEL[1] - MARGIN)
QR_SIDE = 24 * mm
# Code 128 holds ASCII alone; a longer number is too fine to be read and has its QR code.
LONGEST_BARS = 40


def own_labels(orders: Sequence[Order]) -> bytes:
    """A PDF with one page for each order, in this order. `orders` come from `picking.with_parts`."""
    out = BytesIO()
    canvas = Canvas(out, pagesize=LABEL)
    canvas.setTitle(readable(_("Labels")))
    for order in orders:
        _draw(PdfPen(canvas, *CORNER, ROOM), order)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def own_zpl(order: Order) -> bytes:
    """What the PDF shows, for a label printer."""
    pen = ZebraPen(*CORNER, ROOM)
    _draw(pen, order)
    return pen.label()


def page_of(order: Order) -> str:
    """Where a scanned QR code leads."""
    return f"{settings.PUBLIC_URL}{reverse('order', args=[order.pk])}"


def _draw(pen: Pen, order: Order) -> None:
    right, top = pen.left + ROOM, pen.y
    _head(pen, order, ROOM - QR_SIDE - 3 * mm)
    barred = _number_bars(pen, order, ROOM - QR_SIDE - 3 * mm)
    pen.square(page_of(order), right - QR_SIDE, top - QR_SIDE, QR_SIDE)
    pen.y = min(pen.y, top - QR_SIDE)
    if not barred:
        _number_bars(pen, order, ROOM)
    pen.rule()
    pen.skip(1 * mm)
    pen.write(_("Recipient").upper(), 6.5, font=BOLD)
    _recipient(pen, order)
    pen.rule()
    pen.skip(1 * mm)
    pen.write(_("Sender").upper(), 6.5, font=BOLD)
    _sender(pen, order)
    pen.rule()
    pen.skip(1.5 * mm)
    _invoice(pen, order)


def _head(pen: Pen, order: Order, room: float) -> None:
    pen.write(order.channel.name, 9, font=BOLD, room=room)
    pen.write(_("Order"), 7, room=room)
    pen.write(order.external_id, 13, most=2, font=BOLD, room=room)
    pen.write(carrier_of(order), 8, room=room)


def _number_bars(pen: Pen, order: Order, room: float) -> bool:
    number = order.external_id
    if not (number.isascii() and number.isprintable() and len(number) <= LONGEST_BARS):
        return False
    pen.skip(1.5 * mm)
    return pen.bars(number, 9 * mm, room)


def carrier_of(order: Order) -> str:
    """Who takes it away, as far as anybody has said."""
    parcel = next((one for one in order.shipments.all() if one.carrier or one.service), None)
    return " · ".join(part for part in (parcel.carrier, parcel.service) if part) if parcel else ""


def _recipient(pen: Pen, order: Order) -> None:
    to = order.ship_to
    pen.write(to.get("recipient") or order.buyer_name or _("Name withheld by the channel"), 12, 2, BOLD)
    if not to:
        pen.write(_("Address withheld by the channel"), 10, 2)
        return
    pen.write(street_of(to), 10.5, 2)
    pen.write(to.get("complement", ""), 9, 2)
    pen.write(to.get("district", ""), 10)
    pen.write(town_of(to), 10.5, font=BOLD)
    pen.write(postal_code_of(to), 15, font=BOLD)
    pen.write(to.get("notes", ""), 7.5, 2)


def _sender(pen: Pen, order: Order) -> None:
    sender = order.seller.sender
    pen.write(sender.get("name") or order.seller.name, 8.5, font=BOLD)
    pen.write(", ".join(part for part in (street_of(sender), sender.get("district", "")) if part), 7.5, 2)
    pen.write(" · ".join(part for part in (town_of(sender), postal_code_of(sender)) if part), 7.5)
    pen.write(str(sender.get("phone", "")), 7.5)


def street_of(address: Mapping[str, Any]) -> str:
    return ", ".join(str(address[name]) for name in ("street", "number") if address.get(name))


def town_of(address: Mapping[str, Any]) -> str:
    return " / ".join(str(address[name]) for name in ("city", "state") if address.get(name))


def postal_code_of(address: Mapping[str, Any]) -> str:
    code = str(address.get("postal_code", ""))
    return f"CEP {code[:5]}-{code[5:]}" if len(code) == 8 and code.isdigit() else code


def invoice_of(order: Order) -> Invoice | None:
    """The newest that is in force."""
    return next(iter(order.invoices.all()), None)


def _invoice(pen: Pen, order: Order) -> None:
    invoice = invoice_of(order)
    if invoice is None:
        pen.write(_("No NF-e yet"), 9, font=BOLD)
        return
    said = _("NF-e %(number)s · series %(series)s") % {
        "number": invoice.number or invoice.key[25:34].lstrip("0"),
        "series": invoice.series or invoice.key[22:25].lstrip("0") or "0",
    }
    pen.write(said, 9, font=BOLD)
    pen.skip(1.5 * mm)
    pen.bars(invoice.key, 13 * mm)
    pen.skip(1 * mm)
    pen.write(in_fours(invoice.key), 7)
