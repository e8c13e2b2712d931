"""What another try of an incident would do: which steps go, with which calls, and which would only fail again.

A look changes nothing. It may ask the ERP once for the SKUs, which is a read.
"""

import contextlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from urllib.parse import urlsplit

from django.db.models import F, QuerySet
from django.utils.translation import gettext as _

from connectors import intake, registry, work
from connectors.contract import Capability
from connectors.failures import Category, Failure
from connectors.models import Connection, Exchange, InboxEntry, Job
from monitoring.incidents import groups
from monitoring.incidents.remedies import BY_HAND
from monitoring.models import Incident
from monitoring.pages import words
from orders.models import OrderItem

# In one press, the oldest first: bounds a page's memory and, for documents, the time it takes to read them.
MOST_JOBS = 10_000
MOST_ENTRIES = 1_000
# More different ones are not asked for while a person waits.
MOST_SKUS = 500
# Among the connection's last calls, to see which ones such a step makes.
CALLS_LOOKED_AT = 300
# Of thousands of jobs and their orders no more than is looked at: the rest of the rows is most of the time.
LOOKED_AT = (
    "operation", "key", "error", "code", "category", "uncertain", "order__external_id", "order__total",
    "order__currency", "order__held", "order__holds", "order__released_holds", "order__cancelled_at",
)  # fmt: skip
_IDS = re.compile(r"(?<=/)[^/]*\d{3}[^/]*")


@dataclass(frozen=True)
class Choice:
    """Which of an incident's failures: all, those with one message, or the named ones."""

    jobs: Sequence[int] | None = None
    entries: Sequence[int] | None = None
    message: str = ""

    @property
    def all(self) -> bool:
        return self.jobs is None and self.entries is None


@dataclass(frozen=True)
class Step:
    """One thing that would be tried again: a job, or a document (`entry`) to read."""

    pk: int
    entry: bool
    number: str
    message: str
    order_id: int | None = None
    value: Decimal | None = None
    currency: str = "BRL"
    # It may have arrived the first time: it is looked up before it is sent again.
    uncertain: bool = False


@dataclass(frozen=True)
class Call:
    method: str
    path: str

    @property
    def writes(self) -> bool:
        return self.method != "GET"


@dataclass
class Plan:
    """`calls` are those that such a step made the last time; `unchecked` says what could not be found out."""

    go: list[Step] = field(default_factory=list)
    left_out: list[tuple[Step, str]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    unchecked: str = ""

    def worth(self) -> list[tuple[Decimal, str]]:
        """(amount, currency) of what would go."""
        totals: dict[str, Decimal] = {}
        for step in self.go:
            if step.value:
                totals[step.currency] = totals.get(step.currency, Decimal(0)) + step.value
        return [(amount, currency) for currency, amount in sorted(totals.items())]

    def why(self) -> list[tuple[str, int]]:
        """(reason to leave out, how many), the most frequent first."""
        counted: dict[str, int] = {}
        for _step, reason in self.left_out:
            counted[reason] = counted.get(reason, 0) + 1
        return sorted(counted.items(), key=lambda one: -one[1])


def jobs_of(incident: Incident, choice: Choice) -> QuerySet[Job]:
    jobs = groups.jobs_of(incident)
    if not choice.all:
        jobs = jobs.filter(pk__in=choice.jobs or [])
    return jobs.filter(error=choice.message) if choice.message else jobs


def entries_of(incident: Incident, choice: Choice) -> QuerySet[InboxEntry]:
    entries = groups.entries_of(incident)
    if not choice.all:
        entries = entries.filter(pk__in=choice.entries or [])
    return entries.filter(error=choice.message) if choice.message else entries


def look(incident: Incident, choice: Choice) -> Plan:
    """Raises nothing: what cannot be found out is said in `Plan.unchecked`."""
    plan = Plan()
    chosen = jobs_of(incident, choice).exclude(state=Job.State.RUNNING).select_related("order").only(*LOOKED_AT)
    jobs = list(chosen.order_by("failed_since", "pk")[:MOST_JOBS])
    reasons = _reasons(incident, jobs, plan)
    for job in jobs:
        _sort(plan, _step(job), reasons.get(job.pk, ""))
    entries = entries_of(incident, choice).order_by("received_at", "pk")
    for entry in entries[:MOST_ENTRIES]:
        _sort(plan, _document(entry), _unreadable(incident.connection, entry))
    plan.calls = calls_of(incident) if jobs else []
    return plan


def _sort(plan: Plan, step: Step, reason: str) -> None:
    if reason:
        plan.left_out.append((step, reason))
    else:
        plan.go.append(step)


def _step(job: Job) -> Step:
    order = job.order
    if order is None:
        return Step(job.pk, False, job.key, job.error, uncertain=job.uncertain)
    return Step(job.pk, False, order.external_id, job.error, order.pk, order.total, order.currency, job.uncertain)


def _document(entry: InboxEntry) -> Step:
    path = f"{entry.error_path}: " if entry.error_path else ""
    return Step(entry.pk, True, entry.external_id, f"{path}{entry.error}")


# --- What would fail again -------------------------------------------------------------------------------------------


def _reasons(incident: Incident, jobs: Sequence[Job], plan: Plan) -> dict[int, str]:
    """Job's id -> why another try would only fail again, or do nothing."""
    if whole := _blocked(incident.connection, incident.operation):
        return dict.fromkeys((job.pk for job in jobs), whole)
    by_hand = _("Trying again changes nothing: settle it, then mark it as handled by hand.")
    reasons = {job.pk: by_hand for job in jobs if job.code in BY_HAND and not _moot(job)}
    if incident.operation != "export":
        return reasons
    reasons |= {job.pk: _held(job) for job in jobs if job.order and job.order.held}
    refused = [job for job in jobs if job.category == Category.REJECTED and job.pk not in reasons and job.order_id]
    return {**reasons, **_without_product(incident.connection, refused, plan)}


def _blocked(connection: Connection, operation: str) -> str:
    name = {"name": connection.name}
    if connection.state == Connection.State.SIGN_IN:
        return _("%(name)s has to be signed in first.") % name
    if connection.state != Connection.State.ACTIVE:
        return _("%(name)s is paused.") % name
    if operation in connection.paused_flows:
        return _("This step is paused for %(name)s.") % name
    return ""


def _moot(job: Job) -> bool:
    """A cancelled sale settles what stood between it and the ERP."""
    return job.operation == "change_erp" and job.order is not None and job.order.cancelled_at is not None


def _held(job: Job) -> str:
    holds = job.order.active_holds if job.order else []
    return _("The order is held: %(reasons)s") % {"reasons": "; ".join(words.hold(code) for code in holds)}


def _without_product(connection: Connection, jobs: Sequence[Job], plan: Plan) -> dict[int, str]:
    """Those with a line whose SKU the ERP still does not know, asked for all at once."""
    service = registry.services().get(connection.kind)
    if not jobs or service is None or Capability.ITEMS not in service.capabilities:
        return {}
    skus = _skus([job.order_id for job in jobs if job.order_id])
    wanted = sorted({sku for some in skus.values() for sku in some})
    if len(wanted) > MOST_SKUS:
        plan.unchecked = _("There are too many different SKUs to ask the ERP for each.")
        return {}
    try:
        known = _known(connection, [sku for sku in wanted if sku])
    except Failure as failure:
        plan.unchecked = _("The ERP could not be asked for the SKUs: %(reason)s") % {
            "reason": words.stored(str(failure))
        }
        return {}
    return {
        job.pk: _missing(missing)
        for job in jobs
        if (missing := sorted(sku for sku in skus.get(job.order_id or 0, ()) if sku not in known))
    }


def _missing(skus: Sequence[str]) -> str:
    if not skus[0]:
        return _("A line has no SKU.")
    return _("The ERP still has no product with SKU %(skus)s.") % {"skus": ", ".join(skus)}


def _skus(orders: Collection[int]) -> dict[int, set[str]]:
    """Order's id -> the SKUs it would go to the ERP with."""
    lines = OrderItem.objects.filter(order__in=orders, quantity__gt=F("cancelled"))
    found: dict[int, set[str]] = {}
    for order, sku, erp_sku in lines.values_list("order", "sku", "erp_sku"):
        found.setdefault(order, set()).add(erp_sku or sku)
    return found


def _known(connection: Connection, skus: Sequence[str]) -> Mapping[str, str]:
    if not skus:
        return {}
    with contextlib.closing(work.Desk(connection)) as desk:
        found: Mapping[str, str] = desk.adapter.items(skus)
    return found


def _unreadable(connection: Connection, entry: InboxEntry) -> str:
    """Why today's code and settings still cannot read the document."""
    try:
        intake.interpret(connection.kind, bytes(entry.body), connection.settings)
    except Failure as failure:
        return _("It still cannot be read: %(reason)s") % {"reason": words.stored(str(failure))}
    return ""


# --- The calls --------------------------------------------------------------------------------------------------------


def calls_of(incident: Incident) -> list[Call]:
    """The calls such a step makes, as they were recorded the last time it went through, else the last time it ran."""
    recent = list(
        Exchange.objects.filter(connection=incident.connection_id, job__isnull=False)
        .select_related("job")
        .defer("request_body", "response_body")
        .order_by("-started_at")[:CALLS_LOOKED_AT]
    )
    same = [call for call in recent if call.job is not None and call.job.operation == incident.operation]
    went = next((call.job_id for call in same if call.job and call.job.state == Job.State.DONE), None)
    ran = went or next((call.job_id for call in same), None)
    made = [Call(call.method, _path(call.url)) for call in reversed(same) if call.job_id == ran]
    return list(dict.fromkeys(made))


def _path(url: str) -> str:
    """Without host, query and ids: what kind of call it is."""
    return _IDS.sub("…", urlsplit(url).path)
