"""Orders ready to be packed, and labels as channels give them."""

from datetime import timedelta
from io import BytesIO
from typing import Any
from zipfile import ZipFile

from django.utils import timezone
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from connectors.models import Job
from monitoring.models import ChannelLabel
from monitoring.packing import fetching
from monitoring.packing.picking import with_parts
from orders.invoices import key_digit
from orders.models import Invoice, Order, Shipment
from tests.monitoring.world import World

ZPL = b"^XA^FO50,50^FDparcel^FS^XZ"


def key(number: int, issuer: str = "11222333000181") -> str:
    first = f"352611{issuer}55001{number:09d}1{number:08d}"
    return f"{first}{key_digit(first)}"


def to_send(world: World, number: str, **changes: Any) -> Order:
    now = timezone.now()
    facts = {"status": "invoiced", "invoiced_at": now, "ship_by": now + timedelta(hours=3), "logistics": "pickup"}
    return world.order(number, **{**facts, **changes})


def invoice(order: Order, number: int = 123, **changes: Any) -> Invoice:
    return Invoice.objects.create(
        order=order, seller_id=order.seller_id, key=key(number), number=str(number), series="1", **changes
    )


def parcel(order: Order, number: str = "41", **changes: Any) -> Shipment:
    facts = {"source": "channel", "status": "ready", "external_id": number, "carrier": "Correios"}
    return Shipment.objects.create(order=order, **{**facts, **changes})


def label(shipment: Shipment, content: bytes, kind: str = fetching.PDF) -> ChannelLabel:
    return ChannelLabel.objects.create(shipment=shipment, content_type=kind, sealed=fetching._seal(content))


def a_pdf(text: str, pages: int = 1) -> bytes:
    out = BytesIO()
    canvas = Canvas(out, pagesize=(100 * mm, 150 * mm))
    for _page in range(pages):
        canvas.drawString(20, 200, text)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def zipped(**contents: bytes) -> bytes:
    out = BytesIO()
    with ZipFile(out, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return out.getvalue()


def complete(*orders: Order) -> list[Order]:
    found = {order.pk: order for order in with_parts(Order.objects.filter(pk__in=[one.pk for one in orders]))}
    return [found[order.pk] for order in orders]


def bytes_of(answer: Any) -> bytes:
    """A file that was sent."""
    return b"".join(answer.streaming_content)


def label_jobs() -> list[Job]:
    return list(Job.objects.filter(operation="label").order_by("pk"))
