"""What a person can do about a row, where it stands: the presses that pages elsewhere offer, too."""

from django.urls import reverse
from django.utils.translation import gettext as _

from connectors.models import Connection, InboxEntry, Job
from monitoring.reports.base import Action
from orders.models import Order


def by_hand(url: str) -> Action:
    return Action(_("Handled by hand…"), url, asks="reason", question=_("How was it handled?"))


def of_job(job: Job) -> list[Action]:
    return [
        Action(_("Try again"), reverse("job_retry", args=[job.pk])),
        by_hand(reverse("job_close", args=[job.pk])),
    ]


def of_entry(entry: InboxEntry) -> list[Action]:
    """Read as it is stored, or as it is at its source today."""
    return [
        Action(_("Read again"), reverse("entry_replay", args=[entry.pk])),
        *([fetch(entry.connection_id, entry.external_id)] if entry.external_id else []),
        by_hand(reverse("entry_close", args=[entry.pk])),
        Action(_("Open the document"), reverse("entry", args=[entry.pk]), opens=True),
    ]


def fetch(connection_id: int, number: str) -> Action:
    return Action(_("Fetch it now"), reverse("connection_fetch", args=[connection_id]), fields={"number": number[:200]})


def release(order: Order) -> Action:
    return Action(_("Release it"), reverse("order_release", args=[order.pk]))


def declare_lost(order: Order) -> Action:
    return Action(_("Declare it lost"), reverse("order_lost", args=[order.pk]))


def to_connection(connection: Connection) -> Action:
    return Action(
        _("Open %(name)s") % {"name": connection.name}, reverse("connection", args=[connection.pk]), opens=True
    )


def system() -> Action:
    return Action(_("Open the system view"), reverse("system"), opens=True)


def connect() -> Action:
    return Action(_("Connect an ERP"), reverse("connect_choose"), opens=True)
