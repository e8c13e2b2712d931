"""The paper that goes into the parcel, and the list that goes to the shelves."""

from collections.abc import Sequence
from decimal import Decimal
from io import BytesIO

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from monitoring.packing.labels import carrier_of, invoice_of, page_of, town_of
from monitoring.packing.paper import BOLD, PLAIN, SIZES, PdfPen, Pen, readable
from monitoring.packing.picking import Box, Pick
from orders.models import Order

MARGIN = 12 * mm
LITTLE_MARGIN = 5 * mm
TICK = 3.6 * mm
# Of one product: whoever packs has the list by order.
ORDERS_NAMED = 12


def amount(quantity: Decimal) -> str:
    return f"{quantity.normalize():f}"


class Sheet:
    """Rows down a page; a new page, with its head, where there is no more room."""

    def __init__(self, canvas: Canvas, size: tuple[float, float], margin: float, title: str) -> None:
        self.canvas, self.size, self.margin, self.title = canvas, size, margin, title
        self.room = size[0] - 2 * margin
        self.number = 0
        self.pen = self._page()

    def _page(self) -> Pen:
        self.number += 1
        pen = PdfPen(self.canvas, self.margin, self.size[1] - self.margin, self.room)
        pen.write(self.title if self.number == 1 else f"{self.title} · {self.number}", 12, 2, BOLD)
        pen.rule()
        return pen

    def row(self, quantity: Decimal, lines: Sequence[tuple[str, float, str, int]]) -> None:
        """A box to tick, how many, and lines of (text, size, font, most)."""
        highest = sum(size * 1.2 * most for _text, size, _font, most in lines) + 3 * mm
        if self.pen.y - highest < self.margin:
            self.canvas.showPage()
            self.pen = self._page()
        top = self.pen.y - 2 * mm
        self.canvas.setLineWidth(0.8)
        self.canvas.rect(self.margin, top - TICK, TICK, TICK)
        count = PdfPen(self.canvas, self.margin + TICK + 2 * mm, top + 0.5 * mm, 15 * mm)
        count.write(f"{amount(quantity)} ×", 12, 1, BOLD)
        indent = TICK + 19 * mm
        text = PdfPen(self.canvas, self.margin + indent, top + 0.5 * mm, self.room - indent)
        for line, size, font, most in lines:
            text.write(line, size, most, font)
        self.pen.y = min(text.y, count.y) - 0.5 * mm
        self.canvas.setLineWidth(0.2)
        self.canvas.line(self.margin, self.pen.y - 1 * mm, self.margin + self.room, self.pen.y - 1 * mm)
        self.pen.y -= 1 * mm

    def end(self) -> None:
        self.canvas.showPage()


def slips(boxes: Sequence[Box], size: str) -> bytes:
    """A PDF with a packing slip for each order; `size` is one of `paper.SIZES`."""
    out = BytesIO()
    canvas = Canvas(out, pagesize=SIZES[size])
    canvas.setTitle(readable(_("Packing slips")))
    for box in boxes:
        _slip(canvas, box, size)
    canvas.save()
    return out.getvalue()


def _slip(canvas: Canvas, box: Box, size: str) -> None:
    order, margin = box.order, LITTLE_MARGIN if size == "label" else MARGIN
    sheet = Sheet(canvas, SIZES[size], margin, _("Packing slip · %(number)s") % {"number": order.external_id})
    pen, side = sheet.pen, 18 * mm
    top, pen.room = pen.y, sheet.room - side - 3 * mm
    pen.square(page_of(order), margin + sheet.room - side, top - side - 2 * mm, side)
    pen.skip(1 * mm)
    for text, font in _about(order):
        pen.write(text, 8.5, font=font)
    pen.y, pen.room = min(pen.y, top - side - 2 * mm), sheet.room
    pen.rule()
    for line in box.lines:
        sheet.row(line.left, [(line.title or line.sku, 9, PLAIN, 3), (_sku(line.erp_sku or line.sku), 8.5, BOLD, 2)])
    pieces = box.pieces
    said = ngettext("%(count)s piece in all", "%(count)s pieces in all", int(pieces)) % {"count": amount(pieces)}
    sheet.pen.skip(1 * mm)
    sheet.pen.write(said, 9, font=BOLD)
    sheet.end()


def _about(order: Order) -> list[tuple[str, str]]:
    invoice = invoice_of(order)
    return [
        (f"{order.seller.sender.get('name') or order.seller.name} · {order.channel.name}", BOLD),
        (order.ship_to.get("recipient") or order.buyer_name, PLAIN),
        (town_of(order.ship_to), PLAIN),
        (_("NF-e %(number)s") % {"number": invoice} if invoice else _("No NF-e yet"), PLAIN),
        (carrier_of(order), PLAIN),
        (moment(order), PLAIN),
    ]


def moment(order: Order) -> str:
    if order.ship_by is None:
        return ""
    zone = timezone.get_current_timezone()
    return _("ship by %(when)s") % {"when": date_format(order.ship_by.astimezone(zone), "SHORT_DATETIME_FORMAT")}


def _sku(sku: str) -> str:
    return f"SKU {sku}" if sku else ""


def pick_list(picks: Sequence[Pick], boxes: Sequence[Box]) -> bytes:
    """A4: what to take by SKU, then what goes into which parcel."""
    out = BytesIO()
    canvas = Canvas(out, pagesize=A4)
    now = date_format(timezone.localtime(), "SHORT_DATETIME_FORMAT")
    canvas.setTitle(readable(_("Pick list")))
    sheet = Sheet(canvas, A4, MARGIN, _("Pick list · %(when)s") % {"when": now})
    for pick in picks:
        orders = [f"{order.external_id} ({amount(count)})" for order, count in pick.orders.items()]
        more = f" … (+{len(orders) - ORDERS_NAMED})" if len(orders) > ORDERS_NAMED else ""
        named = ", ".join(orders[:ORDERS_NAMED]) + more
        sheet.row(pick.quantity, [(pick.sku or "—", 12, BOLD, 1), (pick.title, 9, PLAIN, 2), (named, 7.5, PLAIN, 2)])
    sheet.end()
    sheet = Sheet(canvas, A4, MARGIN, _("By order · %(when)s") % {"when": now})
    for box in boxes:
        inside = ", ".join(f"{amount(line.left)} × {line.erp_sku or line.sku or line.title}" for line in box.lines)
        about = " · ".join(part for part in (box.order.channel.name, moment(box.order)) if part)
        sheet.row(box.pieces, [(box.order.external_id, 11, BOLD, 1), (about, 8, PLAIN, 1), (inside, 9, PLAIN, 4)])
    sheet.end()
    canvas.save()
    return out.getvalue()
