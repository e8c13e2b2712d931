"""Announced by a channel, but no order came of it, or its news could not be taken."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connectors.models import Connection, Exchange, InboxEntry, Job
from monitoring.pages import words
from monitoring.reports import deeds, sales
from monitoring.reports.base import Action, Row, Scope, register
from monitoring.reports.cases import Case, CaseReport
from orders.models import Order, OrderReference

# Reading takes seconds; before this nobody needs to look.
PATIENCE = timedelta(minutes=15)
GONE = (404, 410)
GONE_CODES = ("404", "410")


def _entries(scope: Scope) -> QuerySet[InboxEntry]:
    found = InboxEntry.objects.filter(connection__in=sales.channel_connections(scope)).defer("body")
    return found.select_related("connection").order_by("received_at", "pk")


def _unreadable(scope: Scope) -> QuerySet[InboxEntry]:
    """The newest of each document; none that was read, refused or handled in a later version."""
    later = InboxEntry.objects.filter(
        Q(state__in=(InboxEntry.State.REJECTED, InboxEntry.State.CLOSED))
        | Q(state=InboxEntry.State.READ) & (Q(source="fetch") | Q(order__isnull=False)),
        connection=OuterRef("connection"),
        external_id=OuterRef("external_id"),
        pk__gt=OuterRef("pk"),
    ).exclude(external_id="")
    overtaken = OrderReference.objects.filter(
        channel=OuterRef("connection__channel"),
        value=OuterRef("external_id"),
        order__version_at__gt=OuterRef("received_at"),
    )
    return _entries(scope).filter(~Exists(later), ~Exists(overtaken), state=InboxEntry.State.REJECTED)


def _unread(scope: Scope) -> QuerySet[InboxEntry]:
    return _entries(scope).filter(state=InboxEntry.State.WAITING, received_at__lt=scope.now - PATIENCE)


def _fetches(scope: Scope) -> QuerySet[Job]:
    last = Exchange.objects.filter(job=OuterRef("pk")).order_by("-started_at").values("status")[:1]
    found = Job.objects.filter(connection__in=sales.channel_connections(scope), operation="fetch")
    return (
        found.select_related("connection")
        .annotate(last_status=Coalesce(Subquery(last), 0))
        .order_by(F("failed_since").asc(nulls_last=True), "pk")
    )


# The service's own code may hide the status; the recorded call, while it is kept, shows it.
DELETED = Q(code__in=GONE_CODES) | Q(last_status__in=GONE)


def _deleted(scope: Scope) -> QuerySet[Job]:
    return _fetches(scope).filter(DELETED, state=Job.State.REFUSED)


def _refused(scope: Scope) -> QuerySet[Job]:
    return _fetches(scope).filter(state=Job.State.REFUSED).exclude(DELETED)


def _trying(scope: Scope) -> QuerySet[Job]:
    waits = Q(state__in=(Job.State.READY, Job.State.RUNNING, Job.State.UNKNOWN))
    return _fetches(scope).filter(waits, failed_since__lt=scope.now - PATIENCE).exclude(error="")


def _unfetched(scope: Scope) -> QuerySet[Job]:
    """Announced, but not even asked for yet. A known order that is only looked at again is no news."""
    known = OrderReference.objects.filter(channel=OuterRef("connection__channel"), value=OuterRef("key"))
    waits = _fetches(scope).filter(state__in=(Job.State.READY, Job.State.RUNNING), error="")
    return waits.filter(~Exists(known), asked_at__lt=scope.now - PATIENCE).order_by("asked_at", "pk")


# --- Rows ----------------------------------------------------------------------------------------------------------


def _of_entries(scope: Scope, case: str, found: Sequence[InboxEntry]) -> list[Row]:
    known = _known({(entry.connection.channel_id, entry.external_id) for entry in found})
    return [_of_entry(case, entry, known.get((entry.connection.channel_id, entry.external_id))) for entry in found]


def _of_entry(case: str, entry: InboxEntry, order: Order | None) -> Row:
    if case == "unread":
        cause = _("It was stored, and nothing has read it yet: no worker may be running.")
    else:
        where = f"({entry.error_path})" if entry.error_path else ""
        cause = sales.sentences(words.stored(entry.error), where, _news(order))
    number = entry.external_id or _("Document without a number")
    key = f"entry:{entry.pk}"
    return _row(case, key, entry.connection, number, entry.received_at, cause, deeds.of_entry(entry), order)


def _of_jobs(scope: Scope, case: str, found: Sequence[Job]) -> list[Row]:
    known = _known({(job.connection.channel_id, job.key) for job in found})
    return [_of_job(case, job, known.get((job.connection.channel_id, job.key))) for job in found]


def _of_job(case: str, job: Job, order: Order | None) -> Row:
    cause = words.stored(job.error)
    if case == "unfetched":
        cause = _waits(job.connection)
    elif case == "deleted":
        cause = sales.sentences(
            _("%(channel)s announced it and has it no longer.") % {"channel": job.connection.name}, cause
        )
    cause = sales.sentences(cause, _news(order))
    since = job.failed_since or job.asked_at
    return _row(case, f"job:{job.pk}", job.connection, job.key, since, cause, deeds.of_job(job), order)


def _waits(connection: Connection) -> str:
    if connection.state != Connection.State.ACTIVE:
        return _("%(name)s is not running: %(state)s") % {
            "name": connection.name,
            "state": connection.get_state_display(),
        }
    return _("It waits for its turn. Many are before it, or no worker is running.")


def _row(
    case: str, key: str, connection: Connection, number: str, since: datetime, cause: str, actions: list[Action],
    order: Order | None,
) -> Row:  # fmt: skip
    return Row(
        key=key,
        case=case,
        seller_id=connection.seller_id,
        channel=connection.name,
        number=number,
        since=since,
        cause=cause,
        order_id=order.pk if order else None,
        value=order.total if order else None,
        currency=order.currency if order else "BRL",
        actions=actions,
    )


def _known(wanted: set[tuple[int | None, str]]) -> dict[tuple[int | None, str], Order]:
    """(channel, id) -> the order that it leads to, where there is one."""
    references = OrderReference.objects.filter(
        channel__in={channel for channel, _value in wanted}, value__in={value for _channel, value in wanted}
    )
    return {(one.channel_id, one.value): one.order for one in references.select_related("order")}


def _news(order: Order | None) -> str:
    return _("The order itself is in the hub; only this news of it is missing.") if order else ""


register(
    CaseReport(
        "rejected",
        gettext_lazy("Announced, not created"),
        gettext_lazy("A channel announced it, and no order came of it."),
        (
            Case("unreadable", gettext_lazy("Could not be read"), _unreadable, _of_entries, "received_at"),
            Case("refused", gettext_lazy("The channel does not give it"), _refused, _of_jobs, "failed_since"),
            Case("unread", gettext_lazy("Not read yet"), _unread, _of_entries, "received_at"),
            Case("unfetched", gettext_lazy("Not fetched yet"), _unfetched, _of_jobs, "asked_at"),
            Case("trying", gettext_lazy("Tried again by itself"), _trying, _of_jobs, "failed_since"),
            Case("deleted", gettext_lazy("Deleted at its source"), _deleted, _of_jobs, "failed_since"),
        ),
    )
)
