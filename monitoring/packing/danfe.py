"""The DANFE that travels with the goods, drawn from the NF-e's XML: as a label (simplified, NT 2020.004) or A4."""

import logging
from collections.abc import Iterable
from io import BytesIO

from defusedxml import ElementTree
from pypdf import PdfWriter

from orders import doors
from orders.models import Invoice, Order

log = logging.getLogger(__name__)


def danfes(orders: Iterable[Order], size: str) -> tuple[bytes, list[Order]]:
    """(a PDF in the orders' sequence, the orders whose NF-e has no XML here or one that cannot be drawn).

    `size`: "label" (10 × 15 cm) or "a4". Raises `hub.vault.VaultLocked`.
    """
    writer, without = PdfWriter(), []
    for order in orders:
        drawn = _drawn(order, size)
        if drawn:
            writer.append(BytesIO(drawn), import_outline=False)
        else:
            without.append(order)
    out = BytesIO()
    if writer.pages:
        writer.write(out)
    return out.getvalue(), without


def _drawn(order: Order, size: str) -> bytes:
    rows = Invoice.objects.filter(Invoice.IN_FORCE, order=order).exclude(sealed_xml="")
    invoice = rows.order_by("-issued_at", "-pk").first()
    if invoice is None:
        return b""
    xml = doors.invoice_document(invoice).xml
    # Heavy, and needed by few requests.
    from brazilfiscalreport.danfe import Danfe, DanfeEtiqueta

    try:
        # The drawing library's own parser would follow entities.
        ElementTree.fromstring(xml)
        return bytes((DanfeEtiqueta if size == "label" else Danfe)(xml=xml).output())
    except Exception:  # noqa: BLE001 - an NF-e that lacks a field makes the library fail in any way it likes
        log.warning("the DANFE of invoice %s cannot be drawn", invoice.pk, exc_info=True)
        return b""
