"""Connections: how each is, and what a person may do with it."""

from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connectors import actions
from connectors.contract import Field, Service
from connectors.failures import Failure
from connectors.models import Connection, InboxEntry
from connectors.registry import services
from hub.tenancy import Permission, may
from monitoring import figures
from monitoring.pages import words
from monitoring.pages.shell import action, actor, back, carry_out, log, must_act, one, page, sees, show


@page
def connections(request: HttpRequest) -> HttpResponse:
    channels = figures.health(request)
    well = sum(one.verdict == words.VERDICTS["well"] for one in channels)
    return show(request, "connections.html", _("Connections"), channels=channels, well=well)


@page
def connection(request: HttpRequest, pk: int) -> HttpResponse:
    found = one(Connection.objects.select_related("seller", "channel"), request, pk)
    service = services().get(found.kind)
    signs_in = bool(service and "consent_url" in service.capabilities)
    health = figures.health(request, Connection.objects.filter(pk=pk))
    return show(
        request,
        "connection.html",
        found.name,
        connection=found,
        health=health[0],
        channels=health,
        service=service,
        flows=[(code, words.operation(code), code in found.paused_flows) for code in words.FLOWS.get(found.role, ())],
        capabilities=_capabilities(found, service),
        choices=_choices(found, service),
        permission=health[0].permission[0],
        backfills=found.backfills.order_by("-created_at")[:5],
        period=Period(),
        bodies=all(sees(request, one, found.seller_id) for one in (Permission.BUYER, Permission.MONEY)),
        calls=found.exchanges.order_by("-started_at")[:20],
        announced=_announced(found),
        can_act=may(request.user, found.seller, Permission.WORK),
        can_set=may(request.user, found.seller, Permission.SETTINGS),
        signs_in=signs_in,
        letter=_letter(found, service) if service and signs_in else "",
    )


def _letter(found: Connection, service: Service) -> str:
    """To whoever has the shop's account there. The link asks for a sign-in to the hub first: what comes back from the
    service is taken from the person alone who was sent there."""
    link = f"{settings.PUBLIC_URL}{reverse('connection_sign_in', args=[found.pk])}"
    said = _(
        "%(service)s lets our hub into the account “%(name)s” for a limited time. Please renew this permission: open "
        "the link, sign in to the hub and then to %(service)s with the account of the shop.\n\n%(link)s"
    )
    return said % {"service": service.label, "name": found.name, "link": link}


def _announced(found: Connection) -> QuerySet[InboxEntry]:
    """The newest of a day: a quiet connection's last ones would be looked for among everybody's."""
    rows = found.inbox.filter(received_at__gt=timezone.now() - timedelta(days=1)).defer("body")
    return rows.order_by("-received_at")[:20]


def _capabilities(found: Connection, service: Service | None) -> list[tuple[str, bool]]:
    """(sentence, whether it can) for everything a service of this role might do."""
    able = service.capabilities if service else frozenset()
    return [(str(words.CAPABILITIES[one]), one in able) for one in words.ROLE_CAPABILITIES.get(found.role, ())]


def _choices(found: Connection, service: Service | None) -> list[tuple[str, Any]]:
    """What was filled in, by its label; secrets are not among the settings."""
    if service is None:
        return []
    hosts = dict.fromkeys(found.settings.get("hosts", {}).values())
    addresses = [(_("Address"), ", ".join(hosts))] if hosts else []
    return addresses + [
        (words.stored(field.label), _answer(field, found.settings[field.name]))
        for field in service.fields
        if not field.secret and found.settings.get(field.name) not in (None, "")
    ]


def _answer(field: Field, value: Any) -> Any:
    return words.stored(dict(field.choices).get(str(value), "")) or value


class Period(forms.Form):
    since = forms.DateField(label=gettext_lazy("from"), widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label=gettext_lazy("to"), widget=forms.DateInput(attrs={"type": "date"}))

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if "since" in given and "until" in given and given["since"] > given["until"]:
            raise forms.ValidationError(_("The period ends before it begins."))
        return given


# --- What a person may do ------------------------------------------------------------------------------------------


def _deed(request: HttpRequest, pk: int, deed: Callable[[Connection], Any], done: str) -> HttpResponse:
    """Of everyday work; what changes a connection is `_setting`."""
    found = writable(request, pk, Permission.WORK)
    carry_out(request, lambda: deed(found), done)
    return back(request, reverse("connection", args=[pk]))


def _setting(
    request: HttpRequest, pk: int, deed: Callable[[Connection], Any], done: str, what: str, after: dict[str, Any]
) -> HttpResponse:
    """Written into the seller's log as `what`."""
    found = writable(request, pk)
    before = {"state": found.state}
    carry_out(request, lambda: deed(found), done)
    log(request, what, found.seller, found.name, before, {"state": found.state, **after})
    return back(request, reverse("connection", args=[pk]))


def writable(request: HttpRequest, pk: int, permission: Permission = Permission.SETTINGS) -> Connection:
    found = one(Connection.objects.select_related("seller"), request, pk)
    must_act(request, found.seller, permission)
    return found


def _flow(request: HttpRequest) -> str:
    """The named flow; "" for the whole connection. A name nobody knows must not become "everything"."""
    flow = request.POST.get("flow", "")
    if flow and flow not in words.OPERATIONS:
        raise Http404
    return flow


@action
def pause(request: HttpRequest, pk: int) -> HttpResponse:
    flow = _flow(request)
    said = {"flow": flow} if flow else {}
    return _setting(
        request, pk, lambda found: actions.pause(found, actor(request), flow), _("Paused."), "connection_paused", said
    )


@action
def resume(request: HttpRequest, pk: int) -> HttpResponse:
    flow = _flow(request)
    said = {"flow": flow} if flow else {}
    return _setting(
        request,
        pk,
        lambda found: actions.resume(found, actor(request), flow),
        _("It runs again."),
        "connection_resumed",
        said,
    )


@action
def sync_now(request: HttpRequest, pk: int) -> HttpResponse:
    return _deed(request, pk, actions.sync_now, _("It looks for news now."))


@action
def fetch_one(request: HttpRequest, pk: int) -> HttpResponse:
    number = request.POST.get("number", "").strip()[:200]
    if not number:
        messages.error(request, _("Which order? Type its number."))
        return back(request, reverse("connection", args=[pk]))
    said = _("Order %(number)s is being read.") % {"number": number}
    return _deed(request, pk, lambda found: actions.fetch_one(found, number, actor(request)), said)


@action
def backfill(request: HttpRequest, pk: int) -> HttpResponse:
    form = Period(request.POST)
    if not form.is_valid():
        writable(request, pk)
        messages.error(request, " ".join(str(error) for errors in form.errors.values() for error in errors))
        return back(request, reverse("connection", args=[pk]))
    since, until = _midnight(form.cleaned_data["since"]), _midnight(form.cleaned_data["until"]) + timedelta(days=1)
    said = _("The period is read again, behind today's orders.")
    period = {"since": str(form.cleaned_data["since"]), "until": str(form.cleaned_data["until"])}
    return _setting(
        request, pk, lambda found: actions.backfill(found, since, until, actor(request)), said, "period_read", period
    )


def _midnight(day: Any) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


@action
def check(request: HttpRequest, pk: int) -> HttpResponse:
    found = writable(request, pk)
    try:
        works, said = actions.check(found)
    except Failure as failure:
        works, said = False, str(failure)
    if works:
        messages.success(request, _("It works: %(answer)s") % {"answer": said or found.name})
    else:
        messages.error(request, _("It does not work: %(answer)s") % {"answer": words.stored(said)})
    return back(request, reverse("connection", args=[pk]))
