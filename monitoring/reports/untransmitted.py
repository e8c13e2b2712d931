"""Sold and paid, but the ERP does not have it."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connectors.models import Connection, Job
from connectors.planning import EXPORTABLE, erp_of
from monitoring.pages import words
from monitoring.reports import deeds, sales
from monitoring.reports.base import Action, Row, Scope, register
from monitoring.reports.cases import Case, CaseReport
from monitoring.transmission import Obstacle, Standing, of_erp
from orders.models import Order

# The way into the ERP usually takes seconds; before this nobody needs to look.
PATIENCE = timedelta(minutes=15)


def exports(condition: Q) -> Exists:
    return Exists(Job.objects.filter(condition, order=OuterRef("pk"), operation="export"))


REFUSED = Q(state=Job.State.REFUSED)
DOUBTFUL = Q(state=Job.State.UNKNOWN) | Q(state__in=(Job.State.READY, Job.State.RUNNING), uncertain=True)
FAILING = Q(state=Job.State.READY, uncertain=False) & ~Q(error="")
CLOSED = Q(state=Job.State.CLOSED)


def _orders(scope: Scope) -> QuerySet[Order]:
    """What a person has handled by hand has left the report."""
    found = sales.orders(scope).filter(exported_at=None, status__in=EXPORTABLE, approved_at__isnull=False)
    return found.filter(~exports(CLOSED)).order_by("approved_at", "pk")


def _refused(scope: Scope) -> QuerySet[Order]:
    return _orders(scope).filter(exports(REFUSED))


def _doubtful(scope: Scope) -> QuerySet[Order]:
    return _orders(scope).filter(exports(DOUBTFUL), ~exports(REFUSED))


def _held(scope: Scope) -> QuerySet[Order]:
    return _orders(scope).filter(~exports(REFUSED | DOUBTFUL), held=True)


def _free(scope: Scope) -> QuerySet[Order]:
    return _orders(scope).filter(~exports(REFUSED | DOUBTFUL), held=False)


def _blocked(scope: Scope) -> QuerySet[Order]:
    stopped = list(scope.once(_stopped))
    return _free(scope).filter(channel_id__in=stopped, approved_at__lt=scope.now - PATIENCE)


def _failing(scope: Scope) -> QuerySet[Order]:
    return _free(scope).filter(exports(FAILING)).exclude(channel_id__in=list(scope.once(_stopped)))


def _waiting(scope: Scope) -> QuerySet[Order]:
    waiting = _free(scope).filter(~exports(FAILING), approved_at__lt=scope.now - PATIENCE)
    return waiting.exclude(channel_id__in=list(scope.once(_stopped)))


def _stopped(scope: Scope) -> dict[int, Connection | None]:
    """channel -> its ERP, for the channels whose orders cannot go there: none is connected, or it does not run."""
    known: dict[tuple[int, str], Connection | None] = {}
    stopped: dict[int, Connection | None] = {}
    for connection in sales.channel_connections(scope):
        key = (connection.seller_id, str(connection.settings.get("erp") or ""))
        if key not in known:
            known[key] = erp_of(connection)
        erp = known[key]
        if connection.channel_id is not None and (erp is None or not _runs(erp)):
            stopped[connection.channel_id] = erp
    return stopped


def _runs(erp: Connection) -> bool:
    return erp.state == Connection.State.ACTIVE and "export" not in erp.paused_flows


# --- Rows ----------------------------------------------------------------------------------------------------------


def _rows(scope: Scope, case: str, found: Sequence[Order]) -> list[Row]:
    jobs = Job.objects.filter(order__in=found, operation="export").exclude(state=Job.State.DONE)
    newest = {job.order_id: job for job in jobs.select_related("connection").order_by("pk")}
    stopped = scope.once(_stopped) if case == "blocked" else {}
    return [_row(order, case, newest.get(order.pk), stopped) for order in found]


def _row(order: Order, case: str, job: Job | None, stopped: dict[int, Connection | None]) -> Row:
    cause, actions = _CAUSES[case](order, job, stopped.get(order.channel_id))
    since = order.approved_at or order.placed_at
    return sales.row(order, case, since, cause, deadline=order.ship_by, actions=actions)


Said = tuple[str, list[Action]]


def _of_refused(order: Order, job: Job | None, erp: Connection | None) -> Said:
    return words.stored(job.error) if job else "", deeds.of_job(job) if job else []


def _of_doubtful(order: Order, job: Job | None, erp: Connection | None) -> Said:
    name = job.connection.name if job else ""
    said = _("%(erp)s may have it already: its answer got lost. It is looked up there before anything is sent again.")
    when = _next_try(job)
    return sales.sentences(said % {"erp": name}, when), deeds.of_job(job) if job else []


def _of_held(order: Order, job: Job | None, erp: Connection | None) -> Said:
    reasons = "; ".join(words.hold(code) for code in order.active_holds)
    return _("Held: %(reasons)s") % {"reasons": reasons}, [deeds.release(order)]


def _of_blocked(order: Order, job: Job | None, erp: Connection | None) -> Said:
    obstacle = of_erp(erp) or Obstacle.WAITING
    return words.why_not(Standing(obstacle, erp=erp)), [deeds.to_connection(erp) if erp else deeds.connect()]


def _of_failing(order: Order, job: Job | None, erp: Connection | None) -> Said:
    if job is None:
        return "", []
    return sales.sentences(words.stored(job.error), _next_try(job)), deeds.of_job(job)


def _of_waiting(order: Order, job: Job | None, erp: Connection | None) -> Said:
    if job is None:
        return _("Nobody has taken it up yet. The clock of this hub may be standing still."), [deeds.system()]
    if of_erp(job.connection) is Obstacle.RESTING:
        return words.why_not(Standing(Obstacle.RESTING, erp=job.connection)), deeds.of_job(job)
    return _("It waits for its turn. Many are before it, or no worker is running."), deeds.of_job(job)


def _next_try(job: Job | None) -> str:
    if job is None:
        return ""
    return _("Next try: %(when)s.") % {"when": date_format(timezone.localtime(job.due_at), "SHORT_DATETIME_FORMAT")}


_CAUSES: dict[str, Callable[[Order, Job | None, Connection | None], Said]] = {
    "refused": _of_refused,
    "unknown": _of_doubtful,
    "held": _of_held,
    "blocked": _of_blocked,
    "failing": _of_failing,
    "waiting": _of_waiting,
}
SINCE = "approved_at"

register(
    CaseReport(
        "untransmitted",
        gettext_lazy("Not in the ERP"),
        gettext_lazy("Sold and approved, but the ERP does not have it."),
        (
            Case("refused", gettext_lazy("Refused by the ERP"), _refused, _rows, SINCE),
            Case("unknown", gettext_lazy("No clear answer"), _doubtful, _rows, SINCE),
            Case("held", gettext_lazy("Held"), _held, _rows, SINCE),
            Case("blocked", gettext_lazy("The ERP does not run here"), _blocked, _rows, SINCE),
            Case("failing", gettext_lazy("Tried again by itself"), _failing, _rows, SINCE),
            Case("waiting", gettext_lazy("Not sent yet"), _waiting, _rows, SINCE),
        ),
    )
)
