"""In the ERP, but the invoice or the parcel is missing; or it is there, and the channel does not have it."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connectors.models import Job, Link
from monitoring.pages import words
from monitoring.reports import deeds, sales
from monitoring.reports.base import Row, Scope, Text, register
from monitoring.reports.cases import Case, CaseReport
from orders.models import Order, OrderEvent
from orders.vocabulary import Logistics, OrderStatus

# A step towards the channel usually takes seconds; before this nobody needs to look.
PATIENCE = timedelta(minutes=15)
BY_DEADLINE = (F("ship_by").asc(nulls_last=True), "pk")


def _in_the_erp(scope: Scope, status: OrderStatus) -> QuerySet[Order]:
    """What the marketplace sends from its own warehouse waits for nobody here."""
    found = sales.orders(scope).filter(status=status, exported_at__isnull=False)
    return found.exclude(logistics=Logistics.FULFILLED).order_by(*BY_DEADLINE)


def _late(status: OrderStatus) -> Callable[[Scope], QuerySet[Order]]:
    return lambda scope: _in_the_erp(scope, status).filter(ship_by__lt=scope.now)


def _at_risk(status: OrderStatus) -> Callable[[Scope], QuerySet[Order]]:
    def select(scope: Scope) -> QuerySet[Order]:
        limits = {pk: one.risky(scope.now) for pk, one in scope.once(sales.working).items()}
        latest = max(limits.values(), default=scope.now)
        risky = sales.by_channel("ship_by__lte", limits)
        return _in_the_erp(scope, status).filter(risky, ship_by__gte=scope.now, ship_by__lte=latest)

    return select


def _waiting(status: OrderStatus) -> Callable[[Scope], QuerySet[Order]]:
    def select(scope: Scope) -> QuerySet[Order]:
        limits = {pk: one.risky(scope.now) for pk, one in scope.once(sales.working).items()}
        later = sales.by_channel("ship_by__gt", limits)
        return _in_the_erp(scope, status).filter(Q(ship_by=None) | later)

    return select


def _not_returned(operations: Sequence[str]) -> Callable[[Scope], QuerySet[Job]]:
    def select(scope: Scope) -> QuerySet[Job]:
        stands = (
            Q(state__in=(Job.State.REFUSED, Job.State.UNKNOWN))
            | Q(state=Job.State.READY) & ~Q(error="")
            | Q(state__in=(Job.State.READY, Job.State.RUNNING), asked_at__lt=scope.now - PATIENCE)
        )
        jobs = Job.objects.filter(stands, connection__in=sales.channel_connections(scope), operation__in=operations)
        related = ("order__channel", "connection")
        return jobs.select_related(*related).order_by(F("order__ship_by").asc(nulls_last=True), "pk")

    return select


# --- Rows ----------------------------------------------------------------------------------------------------------


def _awaited(missing: Callable[[Order, Link | None], Text]) -> Callable[[Scope, str, Sequence[Order]], list[Row]]:
    def rows(scope: Scope, case: str, found: Sequence[Order]) -> list[Row]:
        links, refused = sales.links(found), _refused_invoices(found)
        return [_row(order, case, links.get(order.pk), refused.get(order.pk, "")) for order in found]

    def _row(order: Order, case: str, link: Link | None, refused: str) -> Row:
        cause = sales.sentences(refused or missing(order, link), sales.reckoned(order))
        actions = [deeds.fetch(link.connection_id, link.external_id)] if link is not None else []
        return sales.row(order, case, _since(order), cause, deadline=order.ship_by, actions=actions)

    return rows


def _refused_invoices(found: Sequence[Order]) -> dict[int, str]:
    """order -> why the hub has not taken the invoice that the ERP has issued, of those that have none."""
    waiting = [order.pk for order in found if order.invoiced_at is None]
    events = OrderEvent.objects.filter(order__in=waiting, code="invoice_refused").order_by("pk")
    return {
        order: _("The ERP's invoice was not accepted: %(reason)s") % {"reason": words.stored(data["message"])}
        for order, data in events.values_list("order_id", "data")
    }


def _since(order: Order) -> datetime:
    return order.invoiced_at or order.exported_at or order.placed_at


def _no_invoice(order: Order, link: Link | None) -> Text:
    if link is not None and link.attention:
        return words.stored(link.attention)
    if link is None:
        return _("The ERP has issued no invoice for it yet.")
    return _("%(erp)s has issued no invoice for its order %(number)s yet.") % {
        "erp": link.connection.name,
        "number": link,
    }


def _no_parcel(order: Order, link: Link | None) -> Text:
    if link is not None and link.attention:
        return words.stored(link.attention)
    return _("It is invoiced, and nothing says that it has left.")


def _of_jobs(scope: Scope, case: str, found: Sequence[Job]) -> list[Row]:
    return [_of_job(job, case, job.order) for job in found if job.order is not None]


def _of_job(job: Job, case: str, order: Order) -> Row:
    since = job.failed_since or job.created_at
    cause = sales.sentences(
        _("Done on your side, but %(channel)s does not have it.") % {"channel": job.connection.name},
        words.stored(job.error) if job.error else words.category(job.category),
    )
    made = sales.row(order, case, since, cause, deadline=order.ship_by, actions=deeds.of_job(job))
    return Row(**{**vars(made), "key": f"job:{job.pk}"})


LATE, AT_RISK, WAITING = gettext_lazy("Late"), gettext_lazy("At risk"), gettext_lazy("Still in time")
NOT_RETURNED = gettext_lazy("Data not returned to the channel")


def _cases(
    status: OrderStatus, missing: Callable[[Order, Link | None], Text], operations: Sequence[str]
) -> tuple[Case, ...]:
    rows = _awaited(missing)
    since = "exported_at" if status == OrderStatus.APPROVED else "invoiced_at"
    return (
        Case("late", LATE, _late(status), rows, since, "seller_id"),
        Case("not_returned", NOT_RETURNED, _not_returned(operations), _of_jobs, "created_at"),
        Case("at_risk", AT_RISK, _at_risk(status), rows, since, "seller_id"),
        Case("waiting", WAITING, _waiting(status), rows, since, "seller_id"),
    )


register(
    CaseReport(
        "awaiting_invoice",
        gettext_lazy("Awaiting invoice"),
        gettext_lazy("In the ERP, but without an invoice that the channel has accepted."),
        _cases(OrderStatus.APPROVED, _no_invoice, ("send_invoice",)),
    )
)
register(
    CaseReport(
        "awaiting_dispatch",
        gettext_lazy("Awaiting dispatch"),
        gettext_lazy("Invoiced, but not dispatched, or the channel does not know of it."),
        _cases(OrderStatus.INVOICED, _no_parcel, ("send_dispatch", "send_delivery")),
    )
)
