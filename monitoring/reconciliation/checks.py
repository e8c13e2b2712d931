"""What came of the fresh reads and the repairs that findings wait for."""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta

from django.db.models import F
from django.utils import timezone

from connectors import intake
from connectors.contract import Role
from connectors.failures import Failure
from connectors.models import Connection, InboxEntry, Job, Link
from monitoring.models import DayCount, Finding, Listed
from monitoring.reconciliation import channel_side, erp_side, facts, findings, matching, repairs
from monitoring.reconciliation.findings import Kind, State
from orders.documents import OrderDocument
from orders.models import Order, OrderReference

# A job that has not ended by then is not waited for any longer: what is known is shown.
PATIENCE = timedelta(hours=2)
AT_ONCE = 2000
DOCUMENTS_READ = 5


def settle() -> int:
    """Looks at each finding whose read or repair has ended. Returns how many moved."""
    rows = (
        Finding.objects.filter(state__in=(State.SUSPECTED, State.REPAIRING), asked_at__isnull=False)
        .select_related("job", "order__channel", "order__seller", "connection__seller", "connection__channel")
        .order_by("asked_at")[:AT_ONCE]
    )
    ended = [row for row in rows if not _under_way(row)]
    for row in ended:
        _settle(row)
    for connection, day in {(row.connection, row.day) for row in ended}:
        if day is not None:
            _count_again(connection, day)
    return len(ended)


def _under_way(row: Finding) -> bool:
    """A read that is repeated goes back into the line when it has ended."""
    if row.job is None or row.asked_at is None or row.asked_at < timezone.now() - PATIENCE:
        return False
    open_ = row.job.state in (Job.State.READY, Job.State.RUNNING, Job.State.UNKNOWN)
    return open_ and not _ended_since(row.job, row.asked_at)


def _ended_since(job: Job, moment: datetime) -> bool:
    return job.finished_at is not None and job.finished_at >= moment


def _settle(row: Finding) -> None:
    was_suspected = row.state == State.SUSPECTED
    if not STILL_THERE[Kind(row.kind)](row):
        findings.mended(row, findings.CHECKED if was_suspected else None)
        if row.kind == Kind.MISSING_IN_HUB and row.repair and row.day is not None:
            DayCount.objects.filter(connection=row.connection, day=row.day).update(repaired=F("repaired") + 1)
        return
    # The finding is a person's again.
    row.reason = _why(row)[:2000]
    row.state, row.job, row.asked_at = State.OPEN, None, None
    if row.order is not None:
        row.facts["hub"] = facts.of_order(row.order)
    if was_suspected:
        row.found_at = timezone.now()
    row.save(update_fields=["state", "reason", "job", "asked_at", "found_at", "facts"])
    if was_suspected:
        repairs.by_itself([row])


def _why(row: Finding) -> str:
    """What stood in the way: the job's own words, or those of the document that it brought."""
    if row.job is not None and row.job.state == Job.State.REFUSED:
        return row.job.error
    unread = InboxEntry.objects.filter(
        connection=row.connection, external_id=row.key, state=InboxEntry.State.REJECTED
    ).order_by("-pk")
    return next((f"{entry.error_path} {entry.error}".strip() for entry in unread[:1]), "")


def _count_again(connection: Connection, day: date) -> None:
    """The day's numbers are right again at once, not at the next census."""
    side = erp_side if connection.role == Role.ERP else channel_side
    side.compare(connection, day, day)


# --- Is it still so? -----------------------------------------------------------------------------------------------


def _missing_in_hub(row: Finding) -> bool:
    known = OrderReference.objects.filter(channel=row.connection.channel_id, value=row.key).first()
    if known is not None:
        row.order_id = known.order_id
        row.save(update_fields=["order"])
    return known is None


def _differs(row: Finding) -> bool:
    if row.order is None:
        return False
    side = _channel_differs if row.connection.role == Role.CHANNEL else _erp_differs
    kinds = side(row, row.order)
    return Kind(row.kind) in kinds


def _channel_differs(row: Finding, order: Order) -> list[Kind]:
    """By the newest whole document that the channel gave of it; by its list where none can be read."""
    document = _newest_document(row.connection, order.external_id)
    channel = row.facts["channel"] if document is None else facts.of_document(document)
    return channel_side.differing(channel, order)


def _newest_document(connection: Connection, external_id: str) -> OrderDocument | None:
    entries = InboxEntry.objects.filter(connection=connection, external_id=external_id).order_by("-received_at", "-pk")
    for entry in entries[:DOCUMENTS_READ]:
        try:
            document = intake.interpret(connection.kind, bytes(entry.body), connection.settings)
        except Failure:
            continue
        if isinstance(document, OrderDocument):
            return document
    return None


def _erp_differs(row: Finding, order: Order) -> list[Kind]:
    link = Link.objects.filter(connection=row.connection, order=order).first()
    if link is None:
        return []
    shortened = order.items.filter(cancelled__gt=0).exists()
    return erp_side.differing(facts.of_link(link), order, shortened=shortened)


def _link_lost(row: Finding) -> bool:
    """The list lacks it; and the read was refused, or says that it is cancelled: it was deleted."""
    link = Link.objects.filter(connection=row.connection, external_id=row.key).first()
    if link is None:
        # The sale was linked to another of the ERP's orders, or is sent once more; that has its own way to be seen.
        return False
    if Listed.objects.filter(connection=row.connection, key=row.key).exists():
        return False
    refused = row.job is not None and row.job.state == Job.State.REFUSED
    return refused or link.cancelled


def _no_link(row: Finding) -> bool:
    return not Link.objects.filter(connection=row.connection, order=row.order_id).exists()


def _duplicated(row: Finding) -> bool:
    if row.order is None or row.day is None:
        return False
    book = matching.read(row.connection, Order.objects.filter(pk=row.order.pk), row.day, row.day)
    return len(book.twins(row.order)) > 1


STILL_THERE: Mapping[Kind, Callable[[Finding], bool]] = {
    Kind.MISSING_IN_HUB: _missing_in_hub,
    Kind.STATUS_DIFFERS: _differs,
    Kind.TOTAL_DIFFERS: _differs,
    Kind.LINK_LOST: _link_lost,
    Kind.MISSING_IN_ERP: _no_link,
    Kind.TYPED_BY_HAND: _no_link,
    Kind.DUPLICATED: _duplicated,
}
