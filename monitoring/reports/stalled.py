"""Nothing has moved for longer than this channel's own usual time."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext_lazy

from connectors.models import Job
from connectors.planning import EXPORTABLE
from monitoring.reports import deeds, sales, usual
from monitoring.reports.base import Action, Row, Scope, register
from monitoring.reports.cases import Case, CaseReport
from monitoring.reports.untransmitted import CLOSED, exports
from monitoring.reports.usual import STEPS, Limit, Step
from orders.calendar import Calendar
from orders.models import Order, last_step
from orders.vocabulary import Logistics, OrderStatus

FULFILLED = Q(logistics=Logistics.FULFILLED)
IN_THE_ERP = Q(exported_at__isnull=False)
# At each step: which orders stand before it. What the marketplace sends from its own warehouse has no invoice of ours.
STANDING = {
    "invoice": Q(status=OrderStatus.APPROVED) & IN_THE_ERP & ~FULFILLED,
    "dispatch": Q(status=OrderStatus.INVOICED) | Q(status=OrderStatus.APPROVED) & IN_THE_ERP & FULFILLED,
    "delivery": Q(status=OrderStatus.SHIPPED, cancelled_at=None),
    # Cancelled after it had left.
    "return": Q(status=OrderStatus.SHIPPED, cancelled_at__isnull=False),
}


def _since(step: Step) -> Callable[[Scope], QuerySet[Order]]:
    def select(scope: Scope) -> QuerySet[Order]:
        working = scope.once(sales.working)
        limits = usual.limits(step, working, scope.sellers)
        before = {pk: _begun_before(limits[pk], one.calendar, scope.now) for pk, one in working.items()}
        newest = max(before.values(), default=scope.now)
        if step.code == "export":
            found = sales.orders(scope).filter(~exports(CLOSED), exported_at=None, status__in=EXPORTABLE)
            found = found.annotate(stood_since=F("approved_at"))
        else:
            found = sales.orders(scope).filter(STANDING[step.code]).annotate(stood_since=last_step())
        slow = sales.by_channel("stood_since__lt", before)
        return found.filter(slow, stood_since__lt=newest).order_by("stood_since", "pk")

    return select


def _begun_before(limit: Limit, calendar: Calendar, now: datetime) -> datetime:
    """What began its step before this stands for longer than the limit."""
    return calendar.before(now, limit.hours) if limit.working else now - timedelta(hours=limit.hours)


def _rows(step: Step) -> Callable[[Scope, str, Sequence[Order]], list[Row]]:
    def rows(scope: Scope, case: str, found: Sequence[Order]) -> list[Row]:
        limits = usual.limits(step, {order.channel_id for order in found}, scope.sellers)
        actions = _pushes(found) if case == "export" else _looks(found, erp=case in ("invoice", "dispatch"))
        return [_row(order, case, limits[order.channel_id], actions.get(order.pk, [])) for order in found]

    def _row(order: Order, case: str, limit: Limit, actions: list[Action]) -> Row:
        since: datetime = order.stood_since  # type: ignore[attr-defined]
        return sales.row(order, case, since, sales.sentences(_WAITS[case], limit.because), actions=actions)

    return rows


def _pushes(found: Sequence[Order]) -> dict[int, list[Action]]:
    jobs = Job.objects.filter(order__in=found, operation="export").exclude(state=Job.State.DONE).order_by("pk")
    return {job.order_id: deeds.of_job(job) for job in jobs if job.order_id is not None}


def _looks(found: Sequence[Order], *, erp: bool) -> dict[int, list[Action]]:
    """Whether the next step has been done after all: asked of the ERP, or of the channel."""
    connections = sales.connections(found)
    asked = {
        order.pk: (connections[order.channel_id], order.external_id)
        for order in found
        if order.channel_id in connections
    }
    if erp:
        asked |= {pk: (link.connection_id, link.external_id) for pk, link in sales.links(found).items()}
    return {pk: [deeds.fetch(connection, number)] for pk, (connection, number) in asked.items()}


_WAITS = {
    "export": gettext_lazy("It has not reached the ERP."),
    "invoice": gettext_lazy("It has no invoice."),
    "dispatch": gettext_lazy("It has not left."),
    "delivery": gettext_lazy("It has not arrived."),
    "return": gettext_lazy("It was cancelled after it had left, and has not come back."),
}
_LABELS = {
    "export": gettext_lazy("On its way into the ERP"),
    "invoice": gettext_lazy("Before the invoice"),
    "dispatch": gettext_lazy("Before the dispatch"),
    "delivery": gettext_lazy("On the way to the buyer"),
    "return": gettext_lazy("Coming back"),
}

register(
    CaseReport(
        "stalled",
        gettext_lazy("Standing still"),
        gettext_lazy("Nothing has moved for longer than is usual in its channel."),
        tuple(Case(step.code, _LABELS[step.code], _since(step), _rows(step), "stood_since") for step in STEPS.values()),
    )
)
