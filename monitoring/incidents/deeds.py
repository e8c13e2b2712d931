"""What else people do with an incident. Each waits for whoever gathers at that moment, and overwrites nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext as _

from connectors import actions
from connectors.failures import Refusal
from connectors.models import Job
from monitoring.incidents import gather, groups, plan
from monitoring.incidents.plan import Choice
from monitoring.models import Incident
from orders import doors
from orders.models import Order, OrderItem

LONGEST_NOTE = 4000


@contextmanager
def _held(incident: Incident, *columns: str) -> Iterator[Incident]:
    """The row as it is now, locked; the columns are written at the end, and `incident` shows what it holds then."""
    with transaction.atomic():
        row = Incident.objects.select_for_update().get(pk=incident.pk)
        yield row
        row.save(update_fields=columns)
    incident.refresh_from_db()


def snooze(incident: Incident, time: timedelta) -> None:
    """Out of sight until then, or until it has grown by half."""
    with _held(incident, "state", "snoozed_until", "snoozed_above") as row:
        if row.state == Incident.State.RESOLVED:
            raise Refusal(_("It is resolved already."))
        row.state = Incident.State.SNOOZED
        row.snoozed_until = timezone.now() + time
        row.snoozed_above = row.blocked + row.blocked // 2


def wake(incident: Incident) -> None:
    with _held(incident, "state", "snoozed_until", "snoozed_above") as row:
        if row.state == Incident.State.SNOOZED:
            gather.awaken(row)


def assign(incident: Incident, person: User | None) -> None:
    with _held(incident, "assignee") as row:
        row.assignee = person


def note(incident: Incident, text: str, actor: str) -> None:
    """Added below the earlier ones, with who and when."""
    line = f"{timezone.localtime():%Y-%m-%d %H:%M} {actor}: {text.strip()}"
    with _held(incident, "note") as row:
        row.note = f"{row.note}\n{line}".strip()[-LONGEST_NOTE:]


def resolve(incident: Incident, actor: str) -> None:
    """By hand, where nothing is held up any more. Raises `Refusal` otherwise: it would only hide it."""
    with _held(incident, "state", "resolved_at", "resolved_by", "snoozed_until", "snoozed_above") as row:
        if groups.jobs_of(row).exists() or groups.entries_of(row).exists():
            raise Refusal(_("It still holds something up: try that again, or mark it as handled by hand."))
        gather.resolve(row, actor, timezone.now())


def close(incident: Incident, choice: Choice, actor: str, reason: str, reference: str = "") -> int:
    """All, or the chosen ones, handled by hand: nothing more is tried. Returns how many."""
    with transaction.atomic():
        closed = actions.close_all(plan.jobs_of(incident, choice), actor, reason, reference)
        return closed + actions.close_entries(plan.entries_of(incident, choice), actor, reason, reference)


def correct_sku(incident: Incident, sku: str, erp_sku: str, actor: str) -> list[int]:
    """The ERP calls this SKU so: written into the orders that wait because of it. Returns their jobs, to be sent."""
    named = OrderItem.objects.filter(doors.called(sku), order=OuterRef("order"))
    jobs = groups.jobs_of(incident).filter(Exists(named), operation="export")
    ids = list(jobs.values_list("pk", flat=True))
    doors.correct_sku(Order.objects.filter(jobs__in=Job.objects.filter(pk__in=ids)), sku, erp_sku, actor)
    return ids
