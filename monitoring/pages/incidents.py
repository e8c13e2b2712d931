"""One incident: what happened, what mends it, whom it concerns; and its cure, with a look at what it would do first."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.db.models import Case, Count, IntegerField, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from connectors.failures import Refusal
from hub.tenancy import may_act, workers_of
from monitoring.incidents import cure as cures
from monitoring.incidents import deeds, groups, plan
from monitoring.incidents.plan import Choice, Plan
from monitoring.incidents.remedies import Remedy, fix, remedy, sku_of
from monitoring.models import Cure, Incident
from monitoring.pages.shell import action, actor, back, by_hand, carry_out, log, mine, must_act, one, page, person, show

SHOWN = 50
# Of a preview, where each can be ticked; the others go with "all".
PREVIEWED = 200
MESSAGES_SHOWN = 12
CURES_SHOWN = 3
RESOLVED_DAYS = 7
RESOLVED_SHOWN = 20
# Seconds between two looks of an open page: often while something is on its way.
LIVE, CALM = 2, 15
SNOOZES = {
    1: gettext_lazy("1 hour"),
    4: gettext_lazy("4 hours"),
    24: gettext_lazy("1 day"),
    72: gettext_lazy("3 days"),
}


@dataclass(frozen=True)
class Seen:
    """An incident as the list shows it."""

    incident: Incident
    remedy: Remedy

    @property
    def tone(self) -> str:
        if self.incident.state != Incident.State.OPEN or self.quiet:
            return "grey"
        return "red" if self.incident.needs_person else "amber"

    @property
    def quiet(self) -> bool:
        """Nothing is held up any more; it resolves by itself when it stays so."""
        incident = self.incident
        works = incident.operation not in (groups.CONNECTION, groups.POLL)
        return works and incident.state != Incident.State.RESOLVED and not incident.blocked

    @property
    def curable(self) -> bool:
        """Whether trying again is a person's to do: what waits for a connection goes on with it."""
        return self.incident.blocked > 0 and self.incident.operation not in (groups.CONNECTION, groups.POLL)


def rows(request: HttpRequest) -> QuerySet[Incident]:
    """Those of this person's sellers, what calls for a person first, then what holds up most."""
    found = mine(Incident.objects.select_related("connection", "assignee"), request)
    rank = Case(
        When(state=Incident.State.OPEN, needs_person=True, then=Value(0)),
        When(state=Incident.State.OPEN, then=Value(1)),
        default=Value(2),
        output_field=IntegerField(),
    )
    return found.order_by(rank, "-value", "-blocked", "first_seen_at")


def listed(request: HttpRequest) -> dict[str, list[Seen]]:
    """What the page of failures shows of them, by state."""
    found = rows(request)
    recently = timezone.now() - timedelta(days=RESOLVED_DAYS)
    over = found.filter(state=Incident.State.RESOLVED, resolved_at__gt=recently).order_by("-resolved_at")
    chosen = {
        "open": found.filter(state=Incident.State.OPEN),
        "snoozed": found.filter(state=Incident.State.SNOOZED),
        "resolved": over[:RESOLVED_SHOWN],
    }
    return {name: [Seen(one, remedy(one)) for one in some] for name, some in chosen.items()}


def by_key(request: HttpRequest) -> dict[tuple[int, str, str], Incident]:
    """Those that are not over, by what their failures have in common."""
    found = mine(Incident.objects.exclude(state=Incident.State.RESOLVED), request)
    return {(one.connection_id, one.operation, one.cause): one for one in found}


# --- The page ---------------------------------------------------------------------------------------------------------


@page
def incident(request: HttpRequest, pk: int) -> HttpResponse:
    found = _one(request, pk)
    message = request.GET.get("message", "")
    choice = Choice(message=message)
    history = [_result(row) for row in found.cures.all()[:CURES_SHOWN]]
    running = any(not row.finished_at for row, _progress, _reasons in history)
    seen = Seen(found, remedy(found))
    return show(
        request,
        "incident.html",
        seen.remedy.what,
        seen=seen,
        fix=fix(found),
        incident=found,
        message=message,
        messages_of=_breakdown(found),
        jobs=list(
            plan.jobs_of(found, choice).select_related("order", "connection").order_by("failed_since", "pk")[:SHOWN]
        ),
        entries=list(plan.entries_of(found, choice).defer("body").order_by("received_at", "pk")[:SHOWN]),
        shown=SHOWN,
        cures=history,
        seconds=LIVE if running else CALM,
        snoozes=list(SNOOZES.items()),
        people=workers_of([found.seller_id]),
        can_act=may_act(request.user, found.seller),
    )


def _result(row: Cure) -> tuple[Cure, cures.Progress, list[tuple[str, int]]]:
    reached = cures.progress(row)
    return row, reached, cures.reasons(row) if reached.failed else []


def _one(request: HttpRequest, pk: int) -> Incident:
    return one(Incident.objects.select_related("connection", "seller", "assignee"), request, pk)


def _breakdown(found: Incident) -> list[tuple[str, int, str]]:
    """(exact message, how many, the SKU it is about where it is about one), the most frequent first."""
    counted = [
        *groups.jobs_of(found).exclude(error="").order_by().values_list("error").annotate(count=Count("pk")),
        *groups.entries_of(found).order_by().values_list("error").annotate(count=Count("pk")),
    ]
    ordered = sorted(counted, key=lambda row: (-row[1], row[0]))[:MESSAGES_SHOWN]
    return [(error, count, sku_of(found.code, error)) for error, count in ordered]


# --- The cure ---------------------------------------------------------------------------------------------------------


@action
def preview(request: HttpRequest, pk: int) -> HttpResponse:
    """By POST, since it may ask the ERP something; it changes nothing."""
    found = _writable(request, pk)
    choice = _choice(request)
    looked = plan.look(found, choice)
    return show(
        request,
        "incident_preview.html",
        _("Try again: what would go"),
        incident=found,
        remedy=remedy(found),
        plan=looked,
        message=choice.message,
        go=looked.go[:PREVIEWED],
        more=max(0, len(looked.go) - PREVIEWED),
        left_out=looked.left_out[:PREVIEWED],
        left_out_more=max(0, len(looked.left_out) - PREVIEWED),
        totals=looked.worth(),
        uncertain=sum(step.uncertain for step in looked.go),
    )


@action
def cure(request: HttpRequest, pk: int) -> HttpResponse:
    found = _writable(request, pk)
    _begin(request, found, _choice(request))
    return _to(found)


def _begin(request: HttpRequest, found: Incident, choice: Choice) -> None:
    started, looked = cures.begin(found, choice, actor(request))
    if started:
        log(request, "steps_retried", found.seller, found, after={"count": _count(started)})
    _tell(request, started, looked)


def _count(started: Cure) -> int:
    return len(started.jobs) + len(started.entries)


def _tell(request: HttpRequest, started: Cure | None, looked: Plan) -> None:
    if started is None and looked.left_out:
        messages.warning(request, _("Nothing was sent: all of them would only fail again."))
    elif started is None:
        messages.info(request, _("There is nothing left to send: it is on its way already, or done."))
    else:
        count = _count(started)
        said = ngettext("%(count)s is tried again now.", "%(count)s are tried again now.", count)
        messages.success(request, said % {"count": count})


def _choice(request: HttpRequest) -> Choice:
    """The ticked ones where ticks are meant (`which` is "chosen"), else all, with the message that was looked at."""
    message = request.POST.get("message", "")
    if request.POST.get("which") != "chosen":
        return Choice(message=message)
    return Choice(_numbers(request, "job"), _numbers(request, "entry"), message)


def _numbers(request: HttpRequest, name: str) -> list[int]:
    return [int(pk) for pk in request.POST.getlist(name) if pk.isdecimal() and len(pk) < 19]


@action
def correct(request: HttpRequest, pk: int) -> HttpResponse:
    """What the ERP calls this SKU; the orders that waited for it go at once."""
    found = _writable(request, pk)
    sku, erp_sku = request.POST.get("sku", ""), request.POST.get("erp_sku", "").strip()[:120]
    if not sku or not erp_sku:
        messages.error(request, _("Say which SKU it has in the ERP."))
        return _to(found)
    jobs = deeds.correct_sku(found, sku, erp_sku, actor(request))
    log(request, "sku_corrected", found.seller, sku, after={"erp_sku": erp_sku, "count": len(jobs)})
    _begin(request, found, Choice(jobs=jobs))
    return _to(found)


# --- All else ---------------------------------------------------------------------------------------------------------


def _writable(request: HttpRequest, pk: int) -> Incident:
    found = _one(request, pk)
    must_act(request, found.seller)
    return found


def _to(found: Incident) -> HttpResponse:
    return HttpResponseRedirect(reverse("incident", args=[found.pk]))


def _deed(request: HttpRequest, pk: int, deed: Callable[[Incident], Any], done: str) -> HttpResponse:
    found = _writable(request, pk)
    carry_out(request, lambda: deed(found), done)
    return back(request, reverse("incident", args=[pk]))


@action
def close(request: HttpRequest, pk: int) -> HttpResponse:
    """Handled by hand, all or the ticked ones, for one reason."""
    reason, reference = by_hand(request)

    def closed(found: Incident) -> None:
        if not reason:
            raise Refusal(_("Say how it was handled, so that the next person knows."))
        count = deeds.close(found, _choice(request), actor(request), reason, reference)
        if count:
            after = {"count": count, "reason": reason, **({"reference": reference} if reference else {})}
            log(request, "steps_closed", found.seller, found, after=after)

    return _deed(request, pk, closed, _("Marked as handled by hand."))


@action
def snooze(request: HttpRequest, pk: int) -> HttpResponse:
    hours = request.POST.get("hours", "")
    time = timedelta(hours=int(hours) if hours.isdecimal() and int(hours) in SNOOZES else 1)
    return _deed(request, pk, lambda found: deeds.snooze(found, time), _("Out of sight until then, or until it grows."))


@action
def wake(request: HttpRequest, pk: int) -> HttpResponse:
    return _deed(request, pk, deeds.wake, _("It is open again."))


@action
def assign(request: HttpRequest, pk: int) -> HttpResponse:
    """To a person of the seller (`person`), to oneself ("me"), or to nobody."""
    chosen = request.POST.get("person", "")

    def assigned(found: Incident) -> None:
        taker = person(request) if chosen == "me" else None
        if chosen.isdecimal() and len(chosen) < 19:
            taker = workers_of([found.seller_id]).filter(pk=int(chosen)).first()
        deeds.assign(found, taker)

    return _deed(request, pk, assigned, _("Kept."))


@action
def note(request: HttpRequest, pk: int) -> HttpResponse:
    text = request.POST.get("text", "").strip()[:1000]

    def noted(found: Incident) -> None:
        if not text:
            raise Refusal(_("The note is empty."))
        deeds.note(found, text, actor(request))

    return _deed(request, pk, noted, _("The note is kept."))


@action
def resolve(request: HttpRequest, pk: int) -> HttpResponse:
    return _deed(request, pk, lambda found: deeds.resolve(found, actor(request)), _("Resolved."))
