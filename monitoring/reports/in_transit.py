"""On the way to the buyer: late, in trouble, silent, never seen by the carrier, or due."""

from collections.abc import Callable, Sequence
from datetime import datetime, time, timedelta
from typing import Any

from django.db.models import F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, Concat, Left
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from monitoring.pages.words import STATES
from monitoring.reports import deeds, sales, usual
from monitoring.reports.base import Row, Scope, register
from monitoring.reports.cases import Case, CaseReport
from monitoring.reports.usual import FALLBACK_SCAN, SCAN, Limit
from orders.calendar import Calendar
from orders.models import Order, Shipment
from orders.tags import LOST, Tagged
from orders.vocabulary import OrderStatus, ShipmentStatus

# A label was made and the parcel said to be sent: so long until a carrier usually has seen it.
UNSEEN = timedelta(hours=48)
MOVING = (ShipmentStatus.PENDING, ShipmentStatus.READY, ShipmentStatus.SHIPPED, ShipmentStatus.UNKNOWN)


def _parcels() -> QuerySet[Shipment]:
    return Shipment.objects.filter(~Q(exception=""), status__in=MOVING)


# Not as "exists": the planner thinks that there are hardly any, and would look through all of them for each order.
IN_TROUBLE = Q(pk__in=_parcels().values("order"))


def _on_the_way(scope: Scope) -> QuerySet[Order]:
    """What was cancelled after it had left comes back, and is promised to nobody; nor is what is lost."""
    found = sales.orders(scope).filter(~Q(Tagged(LOST)), status=OrderStatus.SHIPPED, cancelled_at=None)
    return found.order_by(F("deliver_by").asc(nulls_last=True), "pk")


def _late(scope: Scope) -> QuerySet[Order]:
    return _on_the_way(scope).filter(deliver_by__lt=scope.now)


def _in_time(scope: Scope) -> QuerySet[Order]:
    return _on_the_way(scope).filter(Q(deliver_by__gte=scope.now) | Q(deliver_by=None))


def _trouble(scope: Scope) -> QuerySet[Order]:
    return _in_time(scope).filter(IN_TROUBLE)


def _unseen(scope: Scope) -> QuerySet[Order]:
    unseen = _in_time(scope).filter(~IN_TROUBLE, moved_at=None, shipped_at__lt=scope.now - UNSEEN)
    return unseen.order_by("shipped_at", "pk")


def _silent(scope: Scope) -> QuerySet[Order]:
    limits = scope.once(_limits)
    found = _with_carrier(_in_time(scope)).filter(~IN_TROUBLE, _is_silent(limits, scope.now))
    return found.order_by("moved_at", "pk")


def _due(scope: Scope) -> QuerySet[Order]:
    """Promised for today or tomorrow, where the channel's orders are shipped from; nothing else is the matter."""
    until = {pk: _end_of_tomorrow(one.calendar, scope.now) for pk, one in scope.once(sales.working).items()}
    latest = max(until.values(), default=scope.now)
    due = _on_the_way(scope).filter(
        sales.by_channel("deliver_by__lt", until), deliver_by__gte=scope.now, deliver_by__lt=latest
    )
    unseen = Q(moved_at=None, shipped_at__lt=scope.now - UNSEEN)
    return _with_carrier(due).filter(~IN_TROUBLE, ~unseen, ~_is_silent(scope.once(_limits), scope.now))


def _end_of_tomorrow(calendar: Calendar, now: datetime) -> datetime:
    day = now.astimezone(calendar.zone).date() + timedelta(days=2)
    return datetime.combine(day, time(), calendar.zone)


# --- How long silence is usual --------------------------------------------------------------------------------------


def _limits(scope: Scope) -> dict[str, Limit]:
    """carrier and state -> how long no scan is usual. A state of which little is known takes its carrier's limit;
    where several sellers know a carrier, the longest holds.
    """
    learnt: dict[str, float] = {}
    for name, hours in usual.learnt(SCAN, scope.sellers):
        learnt[name] = max(hours, learnt.get(name, 0))
    carriers = {name.rpartition("|")[0] for name in learnt}
    names = {usual.carrier_scope(carrier, state) for carrier in carriers for state in ("", *STATES)}
    known = {name: learnt.get(name, learnt.get(usual.carrier_scope(name.rpartition("|")[0]))) for name in names}
    return {name: usual.scan_limit(hours) for name, hours in known.items() if hours is not None}


def _with_carrier(found: QuerySet[Order]) -> QuerySet[Order]:
    """`carried_by` is the `carrier_scope` of the order's first parcel that names its carrier."""
    carriers = Shipment.objects.filter(order=OuterRef("pk")).exclude(carrier="").order_by("pk").values("carrier")[:1]
    carrier = Coalesce(Subquery(carriers), Value(""))
    return found.annotate(carried_by=Concat(Left(carrier, usual.CARRIER_LENGTH), Value("|"), F("state")))


def _is_silent(limits: dict[str, Limit], now: datetime) -> Q:
    by_hours: dict[float, list[str]] = {}
    for scope, limit in limits.items():
        by_hours.setdefault(limit.hours, []).append(scope)
    shortest = min([*by_hours, FALLBACK_SCAN.hours])
    silent = Q(moved_at__lt=now - timedelta(hours=FALLBACK_SCAN.hours)) & ~Q(carried_by__in=list(limits))
    for hours, scopes in by_hours.items():
        silent |= Q(moved_at__lt=now - timedelta(hours=hours), carried_by__in=scopes)
    # First what the index knows: the carrier is looked up for few.
    return Q(moved_at__isnull=False, moved_at__lt=now - timedelta(hours=shortest)) & silent


# --- Rows ----------------------------------------------------------------------------------------------------------

Said = Callable[[Order, dict[str, Limit], dict[int, str]], str]


def _rows(scope: Scope, case: str, found: Sequence[Order]) -> list[Row]:
    limits = scope.once(_limits) if case == "at_risk" else {}
    reported = _parcels().filter(order__in=found).values_list("order", "exception")
    troubles = dict(reported) if case in ("late", "trouble") else {}
    connections = sales.connections(found)
    return [_row(order, case, limits, troubles, connections) for order in found]


def _row(
    order: Order, case: str, limits: dict[str, Limit], troubles: dict[int, str], connections: dict[int, int]
) -> Row:
    cause = sales.sentences(_SAID[case](order, limits, troubles), _promises(order))
    connection = connections.get(order.channel_id)
    actions = [deeds.fetch(connection, order.external_id)] if connection else []
    if case != "due":
        actions.append(deeds.declare_lost(order))
    since = order.shipped_at or order.placed_at
    deadline = order.deliver_by
    if case == "at_risk" and order.moved_at:
        since = order.moved_at
    return sales.row(order, case, since, cause, deadline=deadline, actions=actions)


def _of_late(order: Order, limits: dict[str, Limit], troubles: dict[int, str]) -> str:
    reported = _of_trouble(order, limits, troubles) if order.pk in troubles else ""
    return sales.sentences(_("It has not arrived."), reported, _last_seen(order))


def _of_trouble(order: Order, limits: dict[str, Limit], troubles: dict[int, str]) -> str:
    return _("The carrier reports: %(text)s.") % {"text": troubles.get(order.pk, "").rstrip(".")}


def _of_silent(order: Order, limits: dict[str, Limit], troubles: dict[int, str]) -> str:
    scope: Any = getattr(order, "carried_by", "")
    return sales.sentences(_last_seen(order), limits.get(scope, FALLBACK_SCAN).because)


def _of_unseen(order: Order, limits: dict[str, Limit], troubles: dict[int, str]) -> str:
    return _("It is said to have left, but no carrier has scanned it. Ask whether it was handed over.")


def _of_due(order: Order, limits: dict[str, Limit], troubles: dict[int, str]) -> str:
    return _last_seen(order)


_SAID: dict[str, Said] = {
    "late": _of_late,
    "trouble": _of_trouble,
    "at_risk": _of_silent,
    "unseen": _of_unseen,
    "due": _of_due,
}


def _last_seen(order: Order) -> str:
    if order.moved_at is None:
        return _("No carrier has scanned it.")
    return _("Last news: %(when)s.") % {"when": _moment(order.moved_at)}


def _promises(order: Order) -> str:
    """Both, where the channel has moved it."""
    if order.deliver_by is None:
        return _("The channel names no delivery date.")
    promise = _("Promised for %(when)s.") % {"when": _moment(order.deliver_by)}
    if order.first_deliver_by in (None, order.deliver_by):
        return promise
    return sales.sentences(promise, _("The first promise was %(when)s.") % {"when": _moment(order.first_deliver_by)})


def _moment(at: datetime | None) -> str:
    return date_format(timezone.localtime(at), "SHORT_DATETIME_FORMAT")


register(
    CaseReport(
        "in_transit",
        gettext_lazy("On the way"),
        gettext_lazy("Left, not arrived: late, in trouble, silent, or due today or tomorrow."),
        (
            Case("late", gettext_lazy("Late"), _late, _rows, "shipped_at", "seller_id"),
            Case("trouble", gettext_lazy("Problem reported"), _trouble, _rows, "shipped_at"),
            Case("at_risk", gettext_lazy("No news for too long"), _silent, _rows, "moved_at"),
            Case("unseen", gettext_lazy("Never scanned"), _unseen, _rows, "shipped_at"),
            Case("due", gettext_lazy("Due today or tomorrow"), _due, _rows, "shipped_at"),
        ),
    )
)
