"""Labels that a channel prints itself: fetched by the ledger, never while somebody waits for a page.

Fetching may move the parcel on at the channel ("printed"), so that it happens only when a person asks for it.
"""

import gzip
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from io import BytesIO
from zipfile import BadZipFile, ZipFile

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from pypdf import PdfReader
from pypdf.errors import PyPdfError

from connectors import ledger, registry
from connectors.contract import Capability, Label, Labels, ShipmentRef
from connectors.failures import Category, Failure, Refusal
from connectors.ledger import Step
from connectors.models import Connection, Job
from connectors.planning import URGENT_PRIORITY
from connectors.work import Desk
from hub import vault
from monitoring.models import ChannelLabel
from monitoring.packing.picking import TO_DISPATCH
from orders.export import for_export, to_document
from orders.models import Order, Shipment
from orders.vocabulary import Logistics, OrderStatus, ShipmentStatus, Source

OPERATION = "label"
PDF, ZPL = "application/pdf", "application/zpl"
MOST_BYTES = 10 * 1024 * 1024
MOST_FILES = 20
# Nobody prints it again so late, and it names the buyer.
KEPT = timedelta(days=30)
OVER = (ShipmentStatus.CANCELLED, ShipmentStatus.DELIVERED, ShipmentStatus.RETURNED)
SENDING = (OrderStatus.APPROVED, OrderStatus.INVOICED, OrderStatus.SHIPPED)

Labelled = Shipment | Order
"""What a label is of: a parcel of the channel's, or the whole order, whose parcel the channel may not even have yet."""


# --- Which parcels -------------------------------------------------------------------------------------------------


def wanted(order: Order) -> Sequence[Labelled]:
    """What the channel may be asked a label for: still to be sent, or on its way. Nothing where our own is used."""
    labels = _labels_for(order)
    if labels is None:
        return []
    if labels.of_orders:
        return [order] if order.status in SENDING else []
    return [
        parcel
        for parcel in order.shipments.all()
        if parcel.source == Source.CHANNEL and parcel.last_seen_at is None and parcel.status not in OVER
    ]


def _labels_for(order: Order) -> Labels | None:
    """How the order's channel gives labels; None where it gives none for such an order."""
    connection: Connection | None = getattr(order.channel, "connection", None)
    if connection is None or order.logistics in (Logistics.FULFILLED, Logistics.NONE):
        return None
    kind = registry.services().get(connection.kind)
    if kind is None or Capability.LABEL not in kind.capabilities:
        return None
    some = kind.labels.logistics
    return kind.labels if not some or some.intersection(order.raw_logistics.split()) else None


def key_of(one: Labelled) -> str:
    return f"{'order' if isinstance(one, Order) else 'shipment'}:{one.pk}"


def label_key(label: ChannelLabel) -> str:
    """`key_of` what it is of."""
    return f"order:{label.order_id}" if label.order_id else f"shipment:{label.shipment_id}"


def labels_of(labelled: Iterable[Labelled]) -> QuerySet[ChannelLabel]:
    ids: dict[bool, list[int]] = {True: [], False: []}
    for one in labelled:
        ids[isinstance(one, Order)].append(one.pk)
    return ChannelLabel.objects.filter(Q(order__in=ids[True]) | Q(shipment__in=ids[False]))


def ask(orders: Iterable[Order]) -> int:
    """Asks the channels for every label that is not here; one they would not give is asked for again. How many."""
    asked = [(order, one) for order in orders for one in wanted(order)]
    labels = labels_of(one for _order, one in asked)
    with transaction.atomic():
        labels.exclude(problem="").delete()
        here = {label_key(label) for label in labels.only("order", "shipment")}
        steps = [
            Step(order.channel.connection.pk, OPERATION, key_of(one), order.pk, URGENT_PRIORITY)
            for order, one in asked
            if key_of(one) not in here
        ]
        ledger.ask(steps)
    return len(steps)


# --- The job -------------------------------------------------------------------------------------------------------


def fetch(desk: Desk, job: Job) -> None:
    """One label. That the channel refuses it is an answer, kept for whoever asked."""
    kind, _colon, pk = job.key.partition(":")
    order = for_export(Order.objects.filter(jobs=job)).first()
    parcel = Shipment.objects.filter(pk=int(pk)).first() if kind == "shipment" else None
    if order is None or (kind == "shipment" and parcel is None):
        return desk.finish(job)
    try:
        if order.status not in TO_DISPATCH:
            raise Refusal("The order is not waiting to be dispatched any more.")
        label = desk.adapter.label(to_document(order, whole=True), _reference(parcel))
        kept = {"content_type": _checked(label), "sealed": _seal(label.content), "problem": ""}
    except Failure as failure:
        if failure.category is not Category.REJECTED:
            raise
        kept = {"content_type": "", "sealed": _seal(b""), "problem": failure.message[:2000]}
    of = {"order": order} if parcel is None else {"shipment": parcel}
    ChannelLabel.objects.update_or_create(**of, defaults={**kept, "fetched_at": timezone.now()})
    return desk.finish(job)


def _reference(parcel: Shipment | None) -> ShipmentRef:
    if parcel is None:
        return ShipmentRef("")
    names = ("external_id", "carrier", "service", "tracking_code", "tracking_url", "shipped_at", "delivered_at")
    return ShipmentRef(**{name: getattr(parcel, name) for name in names})


def _seal(content: bytes) -> str:
    return vault.seal_bytes(gzip.compress(content, mtime=0))


def _checked(label: Label) -> str:
    """What kind it is, judged by its bytes. Raises `Refusal` for what no printer could print."""
    kinds = {kind for kind, _content in files(label.content)}
    if len(kinds) != 1:
        raise Refusal("The channel gave a label in a form that cannot be printed.")
    return kinds.pop()


# --- What came -----------------------------------------------------------------------------------------------------


def content(label: ChannelLabel) -> list[bytes]:
    """The label's files, all of its `content_type`. Raises `hub.vault.VaultLocked`."""
    return [body for _kind, body in files(gzip.decompress(vault.unseal_bytes(label.sealed)))]


def files(content: bytes) -> Iterator[tuple[str, bytes]]:
    """(`PDF` or `ZPL`, bytes) of a file, or of each one in an archive. Raises `Refusal`."""
    for body in _unpacked(content) if content.startswith(b"PK") else [content]:
        if body.startswith(b"%PDF") and _pages(body):
            yield PDF, body
        elif re.match(rb"\s*(\xef\xbb\xbf)?\s*[\^~]", body):
            yield ZPL, body
        else:
            raise Refusal("The channel gave a label in a form that cannot be printed.")


def _unpacked(archive: bytes) -> list[bytes]:
    try:
        with ZipFile(BytesIO(archive)) as opened:
            inside = [one for one in opened.infolist() if not one.is_dir()]
            if len(inside) > MOST_FILES or sum(one.file_size for one in inside) > MOST_BYTES:
                raise Refusal("The channel gave a label in a form that cannot be printed.")
            return [opened.read(one) for one in inside]
    except (BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError):
        raise Refusal("The channel gave a label in a form that cannot be printed.") from None


def _pages(pdf: bytes) -> int:
    try:
        return len(PdfReader(BytesIO(pdf)).pages)
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # Whatever a broken file makes the reader stumble over.
        return 0


def prune(now: datetime) -> None:
    ChannelLabel.objects.filter(fetched_at__lt=now - KEPT).delete()
