"""Everything that did not go through: why, since when, what it blocks, and what a person can do about it."""

import json
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from connectors import actions
from connectors.failures import Failure
from connectors.models import InboxEntry, Job
from hub.models import Seller
from hub.tenancy import may_act
from monitoring import figures
from monitoring.pages import words
from monitoring.pages.shell import action, actor, back, carry_out, must_act, one, page, seller_ids, show

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


@dataclass(frozen=True)
class Cause:
    """Equal failures, so that all of them can be tried again with one press."""

    connection_id: int
    connection_name: str
    operation: str
    code: str
    error: str
    count: int


@page
def failures(request: HttpRequest) -> HttpResponse:
    view = request.GET.get("show", "")
    view = view if view in VIEWS else ""
    jobs = _jobs(request, view)
    entries = figures.rejected_entries(request) if view in ("", "person", "unread") else InboxEntry.objects.none()
    shown = list(jobs.select_related("connection__seller", "order").order_by("failed_since", "pk")[:SHOWN])
    return show(
        request,
        "failures.html",
        _("Failed syncs"),
        views=list(VIEWS.items()),
        chosen=view,
        jobs=shown,
        entries=list(entries.select_related("connection__seller").defer("body").order_by("received_at")[:SHOWN]),
        causes=_causes(jobs),
        shown_limit=SHOWN if len(shown) == SHOWN else 0,
        can_act=_may_act_somewhere(request),
    )


def _jobs(request: HttpRequest, view: str) -> QuerySet[Job]:
    jobs = figures.failed_jobs(request)
    if view == "unread":
        return jobs.none()
    return jobs.filter(state__in=_STATES[view]) if view else jobs


def _causes(jobs: QuerySet[Job]) -> list[Cause]:
    """The causes that block more than one step, most blocking first."""
    rows = (
        jobs.order_by()
        .values_list("connection_id", "connection__name", "operation", "code", "error")
        .annotate(count=Count("pk"))
        .filter(count__gt=1)
        .order_by("-count")[:8]
    )
    return [Cause(*row) for row in rows]


def _may_act_somewhere(request: HttpRequest) -> bool:
    return any(may_act(request.user, seller) for seller in Seller.objects.filter(pk__in=seller_ids(request)))


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
    reason = _reason(request)
    if reason:
        carry_out(request, lambda: actions.close(job, actor(request), reason), _("Marked as handled by hand."))
    return back(request, reverse("failures"))


@action
def retry_selected(request: HttpRequest) -> HttpResponse:
    """The ticked ones (`job`, `entry`), or all of one cause (`connection`, `operation`, `code`, `error`), as many as
    the view (`show`) that offered it had counted.
    """
    view = request.POST.get("show", "")
    jobs = _writable(_jobs(request, view if view in VIEWS else ""), request)
    if "error" in request.POST:
        jobs = jobs.filter(
            connection_id=_number(request.POST.get("connection")),
            operation=request.POST.get("operation", ""),
            code=request.POST.get("code", ""),
            error=request.POST["error"],
        )
    else:
        jobs = jobs.filter(pk__in=[_number(pk) for pk in request.POST.getlist("job")])
    count = actions.retry_all(jobs, actor(request)) + _replay_ticked(request)
    if count:
        said = ngettext("%(count)s is tried again now.", "%(count)s are tried again now.", count)
        messages.success(request, said % {"count": count})
    else:
        messages.warning(request, _("Nothing was chosen."))
    return back(request, reverse("failures"))


def _replay_ticked(request: HttpRequest) -> int:
    entries = _writable(figures.rejected_entries(request), request)
    chosen = list(entries.filter(pk__in=[_number(pk) for pk in request.POST.getlist("entry")]))
    for entry in chosen:
        actions.replay(entry, actor(request))
    return len(chosen)


def _writable(rows: QuerySet[Any], request: HttpRequest) -> QuerySet[Any]:
    """Of these rows those whose seller this person may act for."""
    sellers = [
        seller.pk for seller in Seller.objects.filter(pk__in=seller_ids(request)) if may_act(request.user, seller)
    ]
    return rows.filter(connection__seller_id__in=sellers)


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() and len(text) < 19 else 0


def _reason(request: HttpRequest) -> str:
    reason = request.POST.get("reason", "").strip()[:500]
    if not reason:
        messages.error(request, _("Say how it was handled, so that the next person knows."))
    return reason


# --- Announced documents -------------------------------------------------------------------------------------------


@page
def entry(request: HttpRequest, pk: int) -> HttpResponse:
    """The document as it came."""
    found = one(InboxEntry.objects.select_related("connection__seller", "order"), request, pk, "connection__seller")
    text = bytes(found.body).decode("utf-8", "replace")
    return show(
        request,
        "entry.html",
        _("Announced document"),
        entry=found,
        text=_pretty(text)[:DOCUMENT_CHARS],
        cut=len(text) > DOCUMENT_CHARS,
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
    reason = _reason(request)
    if reason:
        carry_out(request, lambda: actions.close_entry(found, actor(request), reason), _("Marked as handled by hand."))
    return back(request, reverse("failures"))
