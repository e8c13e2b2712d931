"""What the ledger's jobs do. Each runs to its end: calls the outside, records what came of it, finishes its job.

Every operation looks at the facts first, since they may have changed while it waited; every one can run twice.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Max, Q
from django.utils import timezone

from connectors import arrivals, cancelling, intake, ledger, planning, sales
from connectors.contract import Capability, Change, ErpOrder, Outcome, Receipt, Reference, Role, ShipmentRef, Window
from connectors.failures import Category, Failure, LeaseLost, NotYet, Refusal
from connectors.ledger import Step
from connectors.models import Backfill, InboxEntry, Job, Link
from connectors.work import Desk, Operation
from orders import doors
from orders.export import NothingLeft, channel_parcels, for_export, to_document
from orders.models import Answer, Invoice, Order, Shipment
from orders.vocabulary import OrderStatus, Source

# An open ERP order that is not moving is looked at ever more rarely: its age over this.
WATCH_SHARE = 8
LONGEST_WATCH = timedelta(hours=6)
LINES_TOLD = 10
# Until another ERP has said whether it has the order.
OTHER_ERP = timedelta(seconds=30)


def _finish(job: Job, again_at: datetime | None = None) -> None:
    if not ledger.done(job, again_at=again_at):
        raise LeaseLost


# --- Reading -------------------------------------------------------------------------------------------------------


def fetch(desk: Desk, job: Job) -> None:
    """Everything about one sale, from the channel."""
    last = desk.together(_last_fetched, job) or b""
    desk.afterwards(_read, job, desk.adapter.fetch(job.key, _hint(desk, job), last=last))


def read_erp(desk: Desk, job: Job) -> None:
    """Everything about one ERP order; read again later for as long as something is still expected of it."""
    if desk.together(_invoice_known, job):
        return desk.finish(job)
    return desk.afterwards(_read, job, desk.adapter.fetch(job.key, _hint(desk, job)))


def _invoice_known(desk: Desk, jobs: Sequence[Job]) -> dict[int, bool]:
    """Which were announced by an invoice that has been read with its order since."""
    if not hasattr(desk.adapter, "invoice_in"):
        return {}
    hints = {job.pk: hint for job in jobs if (hint := _hint(desk, job))}
    announced = {pk: invoice for pk, hint in hints.items() if (invoice := desk.adapter.invoice_in(hint))}
    rows = Invoice.objects.filter(
        seller=desk.connection.seller_id,
        external_id__in={external_id for external_id, _cancelled in announced.values()},
    )
    # An NF-e without its file is not wholly read.
    known = {(row.external_id, row.cancelled) for row in rows if row.cancelled or row.sealed_xml}
    return {pk: invoice in known for pk, invoice in announced.items()}


def _last_fetched(desk: Desk, jobs: Sequence[Job]) -> dict[int, bytes]:
    known = InboxEntry.objects.filter(
        connection=desk.connection, external_id__in=[job.key for job in jobs], source="fetch"
    )
    newest = known.values("external_id").annotate(newest=Max("pk")).values("newest")
    bodies = dict(InboxEntry.objects.filter(pk__in=newest).values_list("external_id", "body"))
    return {job.pk: bytes(bodies[job.key]) for job in jobs if job.key in bodies}


def _hint(desk: Desk, job: Job) -> bytes:
    """The announcement that the job was asked for by, where there was one."""
    return (desk.together(_announcements, job) or b"") if job.input.get("entry") else b""


def _announcements(desk: Desk, jobs: Sequence[Job]) -> dict[int, bytes]:
    entries = {job.pk: job.input["entry"] for job in jobs if job.input.get("entry")}
    bodies = dict(InboxEntry.objects.filter(pk__in=entries.values()).values_list("pk", "body"))
    return {pk: bytes(bodies[entry]) for pk, entry in entries.items() if entry in bodies}


def _read(desk: Desk, fetched: Sequence[tuple[Job, bytes]]) -> None:
    """What is byte for byte what was read before is not read again."""
    entries = intake.store(desk.connection, [Change(job.key, body) for job, body in fetched], "fetch")
    arrivals.read_entries(desk.connection, entries)
    watched = _next_watches(desk, [job.key for job, _body in fetched])
    for job, _body in fetched:
        desk.finish(job, watched.get(job.key))


def _next_watches(desk: Desk, keys: Sequence[str]) -> dict[str, datetime]:
    """When each ERP order is looked at again. Only the job under its own id goes on watching it; others named it by
    its invoice."""
    if desk.service.watch_seconds is None or desk.connection.role != Role.ERP:
        return {}
    now, shortest = timezone.now(), timedelta(seconds=desk.service.watch_seconds)
    links = Link.objects.filter(connection=desk.connection, external_id__in=keys, complete=False, cancelled=False)
    return {
        link.external_id: now + min(max(shortest, (now - link.created_at) / WATCH_SHARE), LONGEST_WATCH)
        for link in links
    }


def backfill(desk: Desk, job: Job) -> None:
    """One page of a period; the next page is the same job again, behind everything more urgent."""
    row = Backfill.objects.get(pk=job.input["backfill"])
    if row.finished_at:
        return _finish(job)
    page = desk.adapter.changes(row.cursor, Window(row.since, row.until))
    new = arrivals.arrived(desk.connection, page.changes, "backfill", priority=planning.BACKFILL_PRIORITY)
    row.cursor, row.pages = page.cursor, row.pages + 1
    row.found, row.new = row.found + len(page.changes), row.new + new
    row.finished_at = None if page.more else timezone.now()
    # Together: who has lost the job must not set its cursor back.
    with transaction.atomic():
        row.save(update_fields=["cursor", "pages", "found", "new", "finished_at"])
        _finish(job, again_at=timezone.now() if page.more else None)
    return None


# --- The ERP -------------------------------------------------------------------------------------------------------


def export(desk: Desk, job: Job) -> None:
    """Creates the order in the ERP, once. An uncertain earlier try is looked up before anything is sent."""
    order = _order(desk, job)
    if desk.together(_linked, job):
        return desk.finish(job)
    if job.uncertain:
        found = _look_up(desk, order)
        if found is not None:
            return _exported(desk, job, order, found, adopted=True)
        if not ledger.absent(job, desk.service.settle_seconds):
            return None
        if not Job.objects.filter(pk=job.pk, lease=job.lease).update(uncertain=False, absences=0):
            raise LeaseLost
        job.uncertain, job.absences = False, 0
    if not planning.may_export(order) or _goes_elsewhere(desk, job, order):
        return _finish(job)
    try:
        document = to_document(order)
    except NothingLeft:
        raise Refusal(
            "Every line of this sale is cancelled: there is nothing to write into the ERP.", code="nothing_left"
        ) from None
    created = desk.adapter.create(document, reference_of(order))
    return _exported(desk, job, order, created)


def _goes_elsewhere(desk: Desk, job: Job, order: Order) -> bool:
    """Whether the seller has chosen another ERP since. Raises `NotYet` while another one may have the order already."""
    if desk.only_erp:
        return False
    erp = planning.erp_of(order.channel.connection)
    if erp is not None and erp.pk != desk.connection.pk:
        return True
    others = Job.objects.filter(order=order, operation="export").exclude(pk=job.pk)
    if others.filter(state=Job.State.CLOSED).exists():
        # A person has entered it in the other one.
        return True
    if others.filter(Q(uncertain=True) | Q(state__in=(Job.State.RUNNING, Job.State.UNKNOWN))).exists():
        retry_at = timezone.now() + OTHER_ERP
        raise NotYet("Another ERP may have this order already; that is being looked up there.", retry_at=retry_at)
    return False


def _look_up(desk: Desk, order: Order) -> ErpOrder | None:
    """The live order that the ERP has under our reference, our own key before none; None where there is no live one."""
    reference = reference_of(order)
    if Capability.FIND not in desk.service.capabilities:
        raise Refusal(
            "The ERP may have this order already, and it cannot be searched by the hub. Look for it there; if it is "
            "there, mark this as handled.",
            code="cannot_search",
        )
    live = [found for found in desk.adapter.find(reference) if not found.cancelled]
    if marked := [found for found in live if found.hub_key == reference.hub_key]:
        return marked[0]
    # Without our key the number alone speaks for it, and another channel's sale may have the same one.
    unmarked = {found.external_id: found for found in live if not found.hub_key}
    taken = Link.objects.filter(connection=desk.connection, external_id__in=unmarked).exclude(order=order)
    for external_id in taken.values_list("external_id", flat=True):
        del unmarked[external_id]
    if len(unmarked) > 1:
        numbers = ", ".join(found.number or found.external_id for found in unmarked.values())
        raise Refusal(
            f"The ERP has several orders under this number: {numbers}. Cancel all but one there, then try again.",
            code="several",
        )
    return next(iter(unmarked.values()), None)


def reference_of(order: Order) -> Reference:
    return Reference(
        number=order.external_id,
        channel=order.channel_id,
        channel_kind=order.channel.kind,
        channel_label=order.channel.name,
        hub_key=sales.hub_key(order),
    )


def _exported(desk: Desk, job: Job, order: Order, erp_order: ErpOrder, *, adopted: bool = False) -> None:
    link = sales.tie(
        desk.connection,
        order,
        erp_order.external_id,
        number=erp_order.number,
        total=erp_order.total,
        adopted=adopted,
    )
    desk.afterwards(_tie, job, link)


def _tie(desk: Desk, created: Sequence[tuple[Job, Link]]) -> None:
    """The fact is recorded even if another worker has the job by now: the ERP's order exists."""
    with transaction.atomic():
        links = sales.attach([link for _job, link in created])
        # Lines may have been cancelled while they were on their way.
        since = {link.order_id: job.created_at if link.adopted else job.claimed_at for job, link in created}
        steps = []
        for moment in set(since.values()):
            steps += planning.change_steps([link.order for link in links if since[link.order_id] == moment], moment)
        if (seconds := desk.service.watch_seconds) is not None:
            due_at = timezone.now() + timedelta(seconds=seconds)
            watched = [(link.external_id, link.order_id) for link in links]
            steps += [Step(desk.connection.pk, "read_erp", key, order, due_at=due_at) for key, order in watched]
        ledger.ask(steps)
    for job, _link in created:
        desk.finish(job)


def cancel_erp(desk: Desk, job: Job) -> None:
    """The sale was cancelled at the channel after it had gone to the ERP."""
    order = _order(desk, job)
    link = Link.objects.filter(order=order, connection=desk.connection, cancelled=False).first()
    if link is None or order.status != OrderStatus.CANCELLED:
        return _finish(job)
    if order.invoiced_at is not None:
        raise Refusal(
            "The sale was cancelled after its invoice was issued. Cancel the invoice in the ERP within the legal "
            "window, or register a return, then mark this as handled.",
            code="cancelled_after_invoice",
        )
    if Capability.CANCEL not in desk.service.capabilities:
        raise Refusal(
            "This ERP cannot be told of a cancellation. Cancel the order there by hand, then mark this as handled.",
            code="cannot_cancel",
        )
    receipt = desk.adapter.cancel(link.external_id)
    with transaction.atomic():
        Link.objects.filter(pk=link.pk).update(cancelled=True, complete=True)
        doors.append(order, "cancelled_in_erp", Source.HUB, {"number": link.number, "message": receipt.message})
        _finish(job)
    return None


def change_erp(desk: Desk, job: Job) -> None:
    """The sale and the ERP's order have gone apart: part of it was cancelled at the channel after it had gone to the
    ERP, or all of it in the ERP by hand. The hub mends neither: a person is told."""
    order = _order(desk, job)
    link = Link.objects.filter(order=order, connection=desk.connection).first()
    if link is None or order.status == OrderStatus.CANCELLED:
        return _finish(job)
    if link.cancelled and job.key.startswith("cancelled:"):
        raise Refusal(
            "The order was cancelled in the ERP, but the sale is not cancelled at the channel. Cancel it there, or "
            "enter it in the ERP again; then mark this as handled.",
            code="cancelled_in_erp",
        )
    if link.cancelled:
        return _finish(job)
    lines = order.items.filter(cancelled__gt=0).order_by("pk")[:LINES_TOLD]
    gone = ", ".join(f"{item.cancelled.normalize():f} × {item.sku or item.title}" for item in lines)
    raise Refusal(
        f"Cancelled at the channel after the order went to the ERP: {gone}. Correct the order there, then mark this as "
        "handled.",
        code="lines_cancelled",
    )


# --- The channel ---------------------------------------------------------------------------------------------------


def send_invoice(desk: Desk, job: Job) -> None:
    order, invoice = _order(desk, job), desk.together(_invoices, job)
    if invoice is None or invoice.cancelled or invoice.answer in SETTLED:
        return desk.finish(job)
    shipment = ShipmentRef(external_id=_channel_shipment(order, invoice.shipment_reference))
    receipt = desk.adapter.send_invoice(to_document(order, whole=True), doors.invoice_document(invoice), shipment)
    return desk.afterwards(_answered, job, (invoice, receipt))


def send_dispatch(desk: Desk, job: Job) -> None:
    order, shipment = _order(desk, job), desk.together(_parcels, job)
    if shipment is None or shipment.answer in SETTLED:
        return desk.finish(job)
    receipt = desk.adapter.send_dispatch(to_document(order, whole=True), _parcel(order, shipment))
    return desk.afterwards(_answered, job, (shipment, receipt))


def send_delivery(desk: Desk, job: Job) -> None:
    order, shipment = _order(desk, job), desk.together(_parcels, job)
    if shipment is None:
        return _finish(job)
    receipt = desk.adapter.send_delivery(to_document(order, whole=True), _parcel(order, shipment))
    with transaction.atomic():
        doors.append(order, "delivery_sent", Source.HUB, {"message": receipt.message})
        _finish(job)
    return None


SETTLED = (Answer.ACCEPTED, Answer.NOT_NEEDED)


def _invoices(desk: Desk, jobs: Sequence[Job]) -> dict[int, Invoice]:
    rows = Invoice.objects.select_related("order").in_bulk([_id(job) for job in jobs])
    return {job.pk: rows[_id(job)] for job in jobs if _id(job) in rows}


def _parcels(desk: Desk, jobs: Sequence[Job]) -> dict[int, Shipment]:
    rows = Shipment.objects.select_related("order").in_bulk([_id(job) for job in jobs])
    return {job.pk: rows[_id(job)] for job in jobs if _id(job) in rows}


def _answered(desk: Desk, answers: Sequence[tuple[Job, tuple[Invoice | Shipment, Receipt]]]) -> None:
    with transaction.atomic():
        with doors.together(subject.order_id for _job, (subject, _receipt) in answers) as orders:
            for _job, (subject, _receipt) in answers:
                subject.order = orders[subject.order_id]
            doors.record_answers([(subject, _word(receipt), receipt.message) for _job, (subject, receipt) in answers])
        # A parcel that the channel had to hear of first may have arrived.
        planning.tell_channel([subject.order for _job, (subject, _receipt) in answers if _arrived(subject)])
    for job, _answer in answers:
        desk.finish(job)


def _word(receipt: Receipt) -> Answer:
    return Answer.NOT_NEEDED if receipt.outcome is Outcome.NOT_NEEDED else Answer.ACCEPTED


def _arrived(subject: Invoice | Shipment) -> bool:
    return isinstance(subject, Shipment) and subject.delivered_at is not None


def _parcel(order: Order, shipment: Shipment) -> ShipmentRef:
    """The channel's own shipment with what the ERP knows of it."""
    return ShipmentRef(
        external_id=_channel_shipment(order, shipment.external_id),
        carrier=shipment.carrier,
        service=shipment.service,
        tracking_code=shipment.tracking_code,
        tracking_url=shipment.tracking_url,
        shipped_at=shipment.shipped_at,
        delivered_at=shipment.delivered_at,
    )


def _channel_shipment(order: Order, preferred: str) -> str:
    """The channel's id of the parcel: the one named, else the only live one."""
    ids = [parcel.external_id for parcel in channel_parcels(order) if parcel.status != "cancelled"]
    if preferred in ids:
        return preferred
    return ids[0] if ids else ""


def _order(desk: Desk, job: Job) -> Order:
    """With all that `to_document` reads."""
    order = desk.together(_orders, job)
    if order is None:
        raise Failure(Category.BUG, f"Job {job} names no order.")
    return order


def _orders(desk: Desk, jobs: Sequence[Job]) -> dict[int, Order]:
    ids = {job.pk: job.order_id for job in jobs if job.order_id is not None}
    orders = {order.pk: order for order in for_export(Order.objects.filter(pk__in=ids.values()))}
    return {pk: orders[order] for pk, order in ids.items() if order in orders}


def _linked(desk: Desk, jobs: Sequence[Job]) -> dict[int, bool]:
    """Which orders the ERP has already."""
    links = Link.objects.filter(connection=desk.connection, order__in=[job.order_id for job in jobs])
    linked = set(links.values_list("order_id", flat=True))
    return {job.pk: job.order_id in linked for job in jobs}


def _id(job: Job) -> int:
    return int(job.key.split(":")[1])


def refused(job: Job, failure: Failure) -> None:
    """A job has come to its end without success: said on the order and on the thing it was about."""
    if job.order is None:
        return
    doors.append(job.order, "job_failed", Source.HUB, {"operation": job.operation, "message": str(failure)[:500]})
    subject: Invoice | Shipment | None = None
    if job.operation == "send_invoice":
        subject = Invoice.objects.filter(pk=_id(job)).first()
    elif job.operation in ("send_dispatch", "send_delivery"):
        subject = Shipment.objects.filter(pk=_id(job)).first()
    if subject is not None:
        doors.record_answer(subject, Answer.REFUSED, str(failure)[:2000])


# Layers above add their own when they are ready.
OPERATIONS: dict[str, Operation] = {
    "fetch": fetch,
    "read_erp": read_erp,
    "backfill": backfill,
    "export": export,
    "cancel_erp": cancel_erp,
    "change_erp": change_erp,
    "send_invoice": send_invoice,
    "send_dispatch": send_dispatch,
    "send_delivery": send_delivery,
    cancelling.OPERATION: cancelling.cancel_sale,
}
