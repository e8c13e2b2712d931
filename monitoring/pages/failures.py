"""The operator's page: the incidents first, then every single thing that did not go through."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from connectors import actions
from connectors.failures import Failure
from connectors.models import Connection, InboxEntry, Job
from hub.tenancy import Permission, may_act
from monitoring import figures
from monitoring.pages import incidents, words
from monitoring.pages.shell import (
    action,
    actor,
    back,
    by_hand,
    carry_out,
    log,
    must_act,
    one,
    page,
    sees,
    sellers_allowing,
    show,
)
from orders.models import OrderReference

SHOWN = 50
# The raw document of a push may be megabytes; a page is not the place for all of it.
DOCUMENT_CHARS = 200_000
VIEWS = {
    "": gettext_lazy("All"),
    "person": gettext_lazy("Needs you"),
    "refused": gettext_lazy("Refused"),
    "unread": gettext_lazy("Could not be read"),
    "unknown": gettext_lazy("No clear answer"),
    "trying": gettext_lazy("Tried again by itself"),
}
_STATES = {
    "person": (Job.State.REFUSED,),
    "refused": (Job.State.REFUSED,),
    "unknown": (Job.State.UNKNOWN,),
    "trying": (Job.State.READY,),
}


@page
def failures(request: HttpRequest) -> HttpResponse:
    view = request.GET.get("show", "")
    view = view if view in VIEWS else ""
    number = request.GET.get("q", "").strip()[:200]
    jobs = _numbered_jobs(_jobs(request, view), number)
    entries = figures.rejected_entries(request) if view in ("", "person", "unread") else InboxEntry.objects.none()
    entries = entries.filter(external_id=number) if number else entries
    alike = incidents.by_key(request)
    shown = list(jobs.select_related("connection__seller", "order").order_by("failed_since", "pk")[:SHOWN])
    return show(
        request,
        "failures.html",
        _("Failed syncs"),
        views=list(VIEWS.items()),
        chosen=view,
        jobs=[(job, alike.get((job.connection_id, job.operation, job.cause))) for job in shown],
        entries=list(entries.select_related("connection__seller").defer("body").order_by("received_at")[:SHOWN]),
        number=number,
        incidents=incidents.listed(request),
        shown_limit=SHOWN if len(shown) == SHOWN else 0,
        can_act=_may_act_somewhere(request),
    )


def _jobs(request: HttpRequest, view: str) -> QuerySet[Job]:
    jobs = figures.failed_jobs(request)
    if view == "unread":
        return jobs.none()
    return jobs.filter(state__in=_STATES[view]) if view else jobs


def _numbered_jobs(jobs: QuerySet[Job], number: str) -> QuerySet[Job]:
    """Of the order with this number, any of those it has."""
    if not number:
        return jobs
    orders = OrderReference.objects.filter(value=number).values("order")
    return jobs.filter(Q(order__in=orders) | Q(order__external_id=number) | Q(key=number))


def _may_act_somewhere(request: HttpRequest) -> bool:
    return bool(sellers_allowing(request))


# --- Jobs ----------------------------------------------------------------------------------------------------------


def _job(request: HttpRequest, pk: int) -> Job:
    job = one(Job.objects.select_related("connection__seller", "order"), request, pk, "connection__seller")
    must_act(request, job.connection.seller)
    return job


@action
def retry(request: HttpRequest, pk: int) -> HttpResponse:
    job = _job(request, pk)
    carry_out(request, lambda: actions.retry(job, actor(request)), _("It is tried again now."))
    return back(request, reverse("failures"))


@action
def close(request: HttpRequest, pk: int) -> HttpResponse:
    job = _job(request, pk)
    subject = job.order.external_id if job.order else job.key
    _close(request, job.connection, subject, lambda *said: actions.close(job, actor(request), *said))
    return back(request, reverse("failures"))


def _close(request: HttpRequest, connection: Connection, subject: str, deed: Callable[[str, str], None]) -> None:
    """Handled by hand: with a reason, and with the number of what was made by hand where there is one."""
    reason, reference = by_hand(request)

    def closed() -> None:
        deed(reason, reference)
        after = {"reason": reason, **({"reference": reference} if reference else {})}
        log(request, "step_closed", connection.seller, subject, after=after)

    if reason:
        carry_out(request, closed, _("Marked as handled by hand."))
    else:
        messages.error(request, _("Say how it was handled, so that the next person knows."))


@action
def retry_selected(request: HttpRequest) -> HttpResponse:
    """The ticked ones (`job`, `entry`). All of one cause are tried again from their incident."""
    jobs = _writable(figures.failed_jobs(request), request)
    jobs = jobs.filter(pk__in=[_number(pk) for pk in request.POST.getlist("job")])
    chosen = Counter(jobs.values_list("connection__seller_id", flat=True))
    count = actions.retry_all(jobs, actor(request))
    replayed = _replay_ticked(request)
    chosen += replayed
    count += replayed.total()
    if count:
        for seller in sellers_allowing(request):
            if chosen[seller.pk] > 1:
                log(request, "steps_retried", seller, after={"count": chosen[seller.pk]})
        said = ngettext("%(count)s is tried again now.", "%(count)s are tried again now.", count)
        messages.success(request, said % {"count": count})
    else:
        messages.warning(request, _("Nothing was chosen."))
    return back(request, reverse("failures"))


def _replay_ticked(request: HttpRequest) -> Counter[int]:
    """How many of which seller."""
    entries = _writable(figures.rejected_entries(request), request)
    ticked = [_number(pk) for pk in request.POST.getlist("entry")]
    chosen = list(entries.select_related("connection").filter(pk__in=ticked))
    for entry in chosen:
        actions.replay(entry, actor(request))
    return Counter(entry.connection.seller_id for entry in chosen)


def _writable(rows: QuerySet[Any], request: HttpRequest) -> QuerySet[Any]:
    """Of these rows those whose seller this person may act for."""
    return rows.filter(connection__seller_id__in=[seller.pk for seller in sellers_allowing(request)])


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() and len(text) < 19 else 0


# --- Announced documents -------------------------------------------------------------------------------------------


@page
def entry(request: HttpRequest, pk: int) -> HttpResponse:
    """The document as it came."""
    found = one(InboxEntry.objects.select_related("connection__seller", "order"), request, pk, "connection__seller")
    # The document holds all the channel knows of the buyer, and the amounts.
    seller = found.connection.seller_id
    hidden = not all(sees(request, permission, seller) for permission in (Permission.BUYER, Permission.MONEY))
    text = "" if hidden else bytes(found.body).decode("utf-8", "replace")
    return show(
        request,
        "entry.html",
        _("Announced document"),
        entry=found,
        text=_pretty(text)[:DOCUMENT_CHARS],
        cut=len(text) > DOCUMENT_CHARS,
        hidden=hidden,
        can_act=may_act(request.user, found.connection.seller),
    )


def _pretty(text: str) -> str:
    """Indented where it is JSON; otherwise as it is. Numbers keep all their digits."""
    try:
        return json.dumps(json.loads(text, parse_float=str, parse_int=str), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _entry(request: HttpRequest, pk: int) -> InboxEntry:
    found = one(InboxEntry.objects.select_related("connection__seller"), request, pk, "connection__seller")
    must_act(request, found.connection.seller)
    return found


@action
def replay(request: HttpRequest, pk: int) -> HttpResponse:
    found = _entry(request, pk)
    try:
        readable = actions.replay(found, actor(request))
    except Failure as failure:
        readable = False
        messages.error(request, words.stored(str(failure)))
    if readable:
        messages.success(request, _("It could be read now."))
    else:
        messages.warning(request, _("It still cannot be read."))
    return back(request, reverse("failures"))


@action
def close_entry(request: HttpRequest, pk: int) -> HttpResponse:
    found = _entry(request, pk)
    subject = found.external_id or str(found.pk)
    _close(request, found.connection, subject, lambda *said: actions.close_entry(found, actor(request), *said))
    return back(request, reverse("failures"))
