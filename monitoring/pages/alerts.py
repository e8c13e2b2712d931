"""Alerts: what is open and who is on it, what was told. Rules and destinations are only listed here."""

from datetime import timedelta

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hub.tenancy import Permission
from monitoring.alerts import preferences, sending, wording
from monitoring.models import Alert, AlertRule, Delivery, Destination
from monitoring.pages import alert_destinations, alert_rules
from monitoring.pages.shell import (
    action,
    actor,
    back,
    mine,
    must_act,
    one,
    page,
    sees_everywhere,
    seller_ids,
    sellers_allowing,
    show,
)

SHOWN = 50
UNSENT_SHOWN = timedelta(days=7)
SNOOZES = {1: gettext_lazy("1 hour"), 4: gettext_lazy("4 hours"), 24: gettext_lazy("1 day"), 72: gettext_lazy("3 days")}


def badge(request: HttpRequest) -> str:
    """How many nobody has taken."""
    count = mine(Alert.objects.filter(state=Alert.State.OPEN), request).count()
    return str(count) if count else ""


@page
def alerts(request: HttpRequest) -> HttpResponse:
    every = mine(Alert.objects.select_related("rule", "seller"), request)
    open_ones = list(every.exclude(state=Alert.State.MENDED).order_by("state", "opened_at")[:SHOWN])
    return show(
        request,
        "alerts.html",
        _("Alerts"),
        open=[_shown(alert) for alert in open_ones],
        more=len(open_ones) == SHOWN,
        history=[_shown(alert) for alert in every.filter(state=Alert.State.MENDED).order_by("-opened_at")[:20]],
        unsent=_unsent(request).select_related("destination").order_by("-created_at")[:20],
        rules=[(rule, alert_rules.describe(rule)) for rule in _rules(request)],
        destinations=[(one, alert_destinations.address_of(one)) for one in _destinations(request)],
        own=_own(request),
        rule_kinds=AlertRule.Kind.choices,
        destination_kinds=Destination.Kind.choices,
        snoozes=SNOOZES.items(),
        # What was written once has its amounts in it.
        readable=sees_everywhere(request, Permission.MONEY),
        several=len(seller_ids(request)) > 1,
        can_act=bool(sellers_allowing(request)),
        can_set=bool(sellers_allowing(request, Permission.SETTINGS)),
    )


def _unsent(request: HttpRequest) -> QuerySet[Delivery]:
    """Of the last days; what came of a test was said at once."""
    rows = mine(Delivery.objects.exclude(state=Delivery.State.SENT), request, "destination__seller")
    return rows.filter(created_at__gt=timezone.now() - UNSENT_SHOWN).exclude(error="").exclude(purpose="test")


def _shown(alert: Alert) -> tuple[Alert, str]:
    return alert, wording.sentence(alert.code, alert.data, alert.mended_at or timezone.now())


def _rules(request: HttpRequest) -> list[AlertRule]:
    rules = mine(AlertRule.objects.select_related("seller"), request)
    return list(rules.prefetch_related("destinations").order_by("seller__name", "pk"))


def _destinations(request: HttpRequest) -> list[Destination]:
    shared = Destination.objects.filter(place=None).select_related("seller")
    return list(mine(shared, request).order_by("seller__name", "pk"))


def _own(request: HttpRequest) -> list[Destination]:
    """Of people who have chosen to be mailed."""
    rows = Destination.objects.filter(place__isnull=False).select_related("seller", "place__alert_preference")
    found = mine(rows, request).order_by("seller__name", "name")
    return [one for one in found if one.place and preferences.Way.EMAIL in preferences.ways_of(one.place).values()]


# --- Alerts ----------------------------------------------------------------------------------------------------------


def _alert(request: HttpRequest, pk: int) -> Alert:
    found = one(Alert.objects.select_related("seller"), request, pk)
    must_act(request, found.seller)
    return found


@action
def take(request: HttpRequest, pk: int) -> HttpResponse:
    """Somebody is on it: no more reminders."""
    rows = Alert.objects.filter(pk=_alert(request, pk).pk, state=Alert.State.OPEN)
    if rows.update(state=Alert.State.TAKEN, taken_by=actor(request), snoozed_until=None, snoozed_above=None):
        messages.success(request, _("It is yours. Nobody is reminded any more; you are told when it is mended."))
    return back(request, reverse("alerts"))


@action
def give_back(request: HttpRequest, pk: int) -> HttpResponse:
    rows = Alert.objects.filter(pk=_alert(request, pk).pk).exclude(state=Alert.State.MENDED)
    if rows.update(state=Alert.State.OPEN, taken_by="", snoozed_until=None, snoozed_above=None):
        messages.success(request, _("It is open again: reminders go on."))
    return back(request, reverse("alerts"))


@action
def snooze(request: HttpRequest, pk: int) -> HttpResponse:
    """Quiet until then, or until it has doubled."""
    found = _alert(request, pk)
    hours = request.POST.get("hours", "")
    wait = timedelta(hours=int(hours) if hours.isdigit() and int(hours) in SNOOZES else 1)
    rows = Alert.objects.filter(pk=found.pk, state=Alert.State.OPEN)
    above = 2 * int(found.data.get("count", 1))
    if rows.update(snoozed_until=timezone.now() + wait, snoozed_above=above):
        messages.success(request, _("It is quiet until then, unless it doubles."))
    return back(request, reverse("alerts"))


@action
def send_again(request: HttpRequest, pk: int) -> HttpResponse:
    found = one(Delivery.objects.select_related("destination__seller"), request, pk, "destination__seller")
    must_act(request, found.destination.seller)
    sending.again(found)
    messages.success(request, _("It is sent again now."))
    return back(request, reverse("alerts"))
