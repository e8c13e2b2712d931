"""Alerts: what is open and who is on it, what was told, when to call (rules) and whom (destinations)."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hub import vault
from hub.models import Seller
from hub.tenancy import Permission
from monitoring.alerts import channels, sending, wording
from monitoring.alerts.causes import USUAL
from monitoring.models import Alert, AlertRule, Delivery, Destination
from monitoring.pages import words
from monitoring.pages.shell import (
    action,
    actor,
    back,
    form_page,
    log,
    mine,
    must_act,
    one,
    page,
    seller_ids,
    sellers_allowing,
    show,
)
from monitoring.reports.base import REPORTS

SHOWN = 50
UNSENT_SHOWN = timedelta(days=7)
SNOOZES = {1: gettext_lazy("1 hour"), 4: gettext_lazy("4 hours"), 24: gettext_lazy("1 day"), 72: gettext_lazy("3 days")}
# No value of a secret field is ever put into a page; this says that there is one.
KEPT = "••••••••"
Kind = AlertRule.Kind


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
        rules=[(rule, describe(rule)) for rule in _rules(request)],
        destinations=[(one, _address_of(one)) for one in _destinations(request)],
        rule_kinds=Kind.choices,
        destination_kinds=Destination.Kind.choices,
        snoozes=SNOOZES.items(),
        several=len(seller_ids(request)) > 1,
        can_act=bool(sellers_allowing(request)),
        can_set=bool(_writable(request)),
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
    return list(mine(Destination.objects.select_related("seller"), request).order_by("seller__name", "pk"))


def _writable(request: HttpRequest) -> list[Seller]:
    """The sellers whose rules and destinations this person may change."""
    return sellers_allowing(request, Permission.SETTINGS)


def _address_of(destination: Destination) -> str:
    """Where it goes, without what is secret in it."""
    opened = destination.open()
    if destination.kind == Destination.Kind.EMAIL:
        return ", ".join(channels.recipients(destination)) or _("No owner has an e-mail address yet")
    if destination.kind == Destination.Kind.TELEGRAM:
        return str(opened["chat"])
    return urlsplit(opened["url"]).netloc.rpartition("@")[2]


def describe(rule: AlertRule) -> str:
    """What the rule asks, in words."""
    params = {**USUAL[rule.kind], **rule.params}
    if "report" in params:
        report = REPORTS.get(params["report"])
        params["report"] = _report_label(params["report"], params["case"]) if report else params["report"]
    if rule.kind == Kind.INCIDENT and not params["orders"]:
        return _("Every incident")
    return str(QUESTIONS[rule.kind]) % params


def _report_label(name: str, case: str) -> str:
    report = REPORTS[name]
    return f"{report.title} ({report.cases[case]})" if case in report.cases else str(report.title)


QUESTIONS: dict[str, Any] = {
    Kind.REPORT_ROWS: gettext_lazy("%(report)s: %(rows)s or more"),
    Kind.REPORT_AGE: gettext_lazy("%(report)s: older than %(minutes)s min"),
    Kind.INCIDENT: gettext_lazy("An incident that holds up %(orders)s orders or more"),
    Kind.CONNECTION_DOWN: gettext_lazy("No answer for %(minutes)s min, or a new sign-in is needed"),
    Kind.TOKEN_EXPIRES: gettext_lazy("%(days)s days before it ends"),
    Kind.SILENCE: gettext_lazy("Longer than usual at this hour, or not asked for %(minutes)s min"),
    Kind.PROCESS_SILENT: gettext_lazy("No sign of life for %(minutes)s min"),
    Kind.BACKLOG: gettext_lazy("%(jobs)s steps or more, the oldest due for %(minutes)s min"),
    Kind.DIGEST: gettext_lazy("Each day at %(hour)s h"),
}


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


# --- Rules -----------------------------------------------------------------------------------------------------------


class RuleForm(forms.Form):
    """Made for a kind: its own questions, then what all rules share."""

    def __init__(self, rule: AlertRule, *args: Any) -> None:
        super().__init__(*args)
        self.rule = rule
        self.asked = USUAL[rule.kind]
        for name in self.asked:
            field = _question(name, rule)
            field.initial = {**self.asked, **rule.params}[name]
            self.fields[name] = field
        shared = _when() if rule.kind == Kind.DIGEST else {**_when(), **_how_often()}
        targets = Destination.objects.filter(seller=rule.seller).order_by("pk")
        for name, field in shared.items():
            if isinstance(field, forms.ModelMultipleChoiceField):
                field.queryset = targets
                field.initial = list(getattr(rule, name).all()) if rule.pk else []
            else:
                field.initial = getattr(rule, name)
            self.fields[name] = field

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if (given.get("quiet_from") is None) != (given.get("quiet_until") is None):
            self.add_error("quiet_until", _("Quiet hours need a beginning and an end."))
        report, case = given.get("report"), given.get("case")
        if report and case and case not in REPORTS[report].cases:
            self.add_error("case", _("This report has no such part."))
        return given

    @transaction.atomic
    def save(self) -> AlertRule:
        rule = self.rule
        rule.params = {name: self.cleaned_data[name] for name in self.asked}
        many = ("destinations", "escalate_to")
        for name, value in self.cleaned_data.items():
            if name not in self.asked and name not in many:
                setattr(rule, name, value)
        rule.save()
        for name in many:
            if name in self.cleaned_data:
                getattr(rule, name).set(self.cleaned_data[name])
        return rule


def _question(name: str, rule: AlertRule) -> forms.Field:
    if name == "report":
        return forms.ChoiceField(label=_("Report"), choices=[(key, str(one.title)) for key, one in REPORTS.items()])
    if name == "case":
        parts = {code: str(label) for one in REPORTS.values() for code, label in one.cases.items()}
        return forms.ChoiceField(label=_("Which part"), choices=[("", _("All")), *parts.items()], required=False)
    label, least, most = NUMBERS[name]
    return forms.IntegerField(label=label, min_value=least, max_value=most)


NUMBERS = {
    "rows": (gettext_lazy("From how many"), 1, 100_000),
    "minutes": (gettext_lazy("After how many minutes"), 1, 20_000),
    "orders": (gettext_lazy("That holds up at least so many orders"), 0, 100_000),
    "days": (gettext_lazy("How many days before"), 1, 90),
    "jobs": (gettext_lazy("From how many steps"), 1, 1_000_000),
    "hour": (gettext_lazy("At which hour (0 to 23)"), 0, 23),
}


MINUTES: dict[str, Any] = {"min_value": 0, "max_value": 20_000}


def _targets(label: Any, help_text: Any = "") -> forms.ModelMultipleChoiceField:
    return forms.ModelMultipleChoiceField(
        Destination.objects.none(),
        label=label,
        required=False,
        help_text=help_text,
        widget=forms.CheckboxSelectMultiple,
    )


def _when() -> dict[str, forms.Field]:
    return {
        "destinations": _targets(_("Send to"), _("This page and the number beside its name always show it.")),
        "active": forms.BooleanField(label=_("Switched on"), required=False),
    }


def _how_often() -> dict[str, forms.Field]:
    clock = {"type": "time"}
    return {
        "remind_minutes": forms.IntegerField(
            label=_("Remind each so many minutes, until it is mended or taken"), help_text=_("0: never"), **MINUTES
        ),
        "window_minutes": forms.IntegerField(label=_("At most one message about the same within minutes"), **MINUTES),
        "escalate_minutes": forms.IntegerField(
            label=_("If nobody has taken it after so many minutes, call others"), help_text=_("0: never"), **MINUTES
        ),
        "escalate_to": _targets(_("Those others")),
        "quiet_from": forms.TimeField(
            label=_("Quiet from"), required=False, widget=forms.TimeInput(attrs=clock, format="%H:%M")
        ),
        "quiet_until": forms.TimeField(
            label=_("Quiet until"),
            required=False,
            help_text=_("What comes in between is told in one summary when they end."),
            widget=forms.TimeInput(attrs=clock, format="%H:%M"),
        ),
        "urgent": forms.BooleanField(label=_("Urgent: also in the quiet hours"), required=False),
    }


@form_page
def rule(request: HttpRequest, pk: int) -> HttpResponse:
    found = one(AlertRule.objects.select_related("seller"), request, pk)
    must_act(request, found.seller, Permission.SETTINGS)
    return _rule_page(request, found)


@form_page
def add_rule(request: HttpRequest) -> HttpResponse:
    kind = request.GET.get("kind", Kind.REPORT_ROWS)
    seller = _seller(request)
    if kind not in Kind.values:
        raise Http404
    return _rule_page(request, AlertRule(seller=seller, kind=kind))


def _seller(request: HttpRequest) -> Seller:
    """The one named in the address; without a name the first this person may act for."""
    wanted = request.GET.get("seller", "")
    found = next((one for one in _writable(request) if not wanted or str(one.pk) == wanted), None)
    if found is None:
        raise PermissionDenied
    return found


def _rule_page(request: HttpRequest, found: AlertRule) -> HttpResponse:
    form = RuleForm(found, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        what = "rule_changed" if found.pk else "rule_added"
        before = _facts(AlertRule.objects.filter(pk=found.pk).first())
        form.save()
        log(request, what, found.seller, found.get_kind_display(), before, _facts(found))
        messages.success(request, _("Saved."))
        return redirect("alerts")
    return show(request, "alert_form.html", found.get_kind_display(), form=form, seller=found.seller)


def _facts(rule: AlertRule | None) -> dict[str, Any]:
    """What the log keeps of a rule."""
    if rule is None:
        return {}
    return {name: getattr(rule, name) for name in ("active", "urgent", "params")} | {
        "destinations": sorted(rule.destinations.values_list("name", flat=True))
    }


@action
def switch(request: HttpRequest, pk: int) -> HttpResponse:
    found = one(AlertRule.objects.select_related("seller"), request, pk)
    must_act(request, found.seller, Permission.SETTINGS)
    AlertRule.objects.filter(pk=pk).update(active=not found.active)
    switched = {"before": {"active": found.active}, "after": {"active": not found.active}}
    log(request, "rule_switched", found.seller, found.get_kind_display(), **switched)
    messages.success(request, _("Switched off.") if found.active else _("Switched on."))
    return back(request, reverse("alerts"))


# --- Destinations ----------------------------------------------------------------------------------------------------


def _whole_address(text: str) -> None:
    try:
        parts = urlsplit(text)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        whole = False
    if not whole or any(char.isspace() for char in text):
        raise forms.ValidationError(_("Type the whole address, beginning with https://"))


def _addresses(text: str) -> None:
    for part in text.split(","):
        validate_email(part.strip())


class DestinationForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=80)
    to = forms.CharField(
        label=gettext_lazy("E-mail addresses, separated by commas"),
        help_text=gettext_lazy("Empty: the owners of this seller."),
        max_length=500,
        required=False,
        validators=[_addresses],
    )
    url = forms.CharField(label=gettext_lazy("Address"), max_length=1000, validators=[_whole_address])
    token = forms.CharField(
        label=gettext_lazy("Token of the bot"),
        help_text=gettext_lazy("As BotFather gave it to you."),
        max_length=200,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )
    chat = forms.CharField(
        label=gettext_lazy("Number of the chat"),
        help_text=gettext_lazy("A group's begins with a minus sign; a public channel is @itsname."),
        max_length=100,
    )
    language = forms.ChoiceField(label=gettext_lazy("Language"), choices=settings.LANGUAGES)
    active = forms.BooleanField(label=gettext_lazy("Switched on"), required=False)

    SEALED = {
        Destination.Kind.EMAIL: ("to",),
        Destination.Kind.WEBHOOK: ("url",),
        Destination.Kind.CHAT: ("url",),
        Destination.Kind.TELEGRAM: ("token", "chat"),
    }

    def __init__(self, destination: Destination, *args: Any) -> None:
        super().__init__(*args)
        self.destination = destination
        self.opened = destination.open()
        self.own = self.SEALED[Destination.Kind(destination.kind)]
        for name in {name for names in self.SEALED.values() for name in names} - set(self.own):
            del self.fields[name]
        for name in ("name", "language", "active"):
            self.fields[name].initial = getattr(destination, name)
        for name in self.own:
            self._keep(name)

    def _keep(self, name: str) -> None:
        """An address is as secret as a token: chats put theirs into it. Empty keeps what is there."""
        field = self.fields[name]
        if name in ("to", "chat"):
            field.initial = self.opened.get(name, "")
        elif name in self.opened:
            field.required = False
            field.widget.attrs["placeholder"] = KEPT

    def save(self) -> Destination:
        given = {name: self.cleaned_data[name].strip() for name in self.own}
        kept = {name: value for name, value in given.items() if value or name == "to"}
        opened = {**self.opened, **kept}
        if self.destination.kind == Destination.Kind.WEBHOOK:
            opened.setdefault("secret", channels.new_secret())
        for name in ("name", "language", "active"):
            setattr(self.destination, name, self.cleaned_data[name])
        self.destination.sealed = vault.seal(opened)
        self.destination.error = ""
        self.destination.save()
        return self.destination


@form_page
def destination(request: HttpRequest, pk: int) -> HttpResponse:
    return _destination_page(request, _destination(request, pk))


@form_page
def add_destination(request: HttpRequest) -> HttpResponse:
    kind = request.GET.get("kind", Destination.Kind.EMAIL)
    seller = _seller(request)
    if kind not in Destination.Kind.values:
        raise Http404
    return _destination_page(request, Destination(seller=seller, kind=kind))


def _destination(request: HttpRequest, pk: int) -> Destination:
    found = one(Destination.objects.select_related("seller"), request, pk)
    must_act(request, found.seller, Permission.SETTINGS)
    return found


def _destination_page(request: HttpRequest, found: Destination) -> HttpResponse:
    new = found.pk is None
    form = DestinationForm(found, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        saved = form.save()
        log(request, "destination_added" if new else "destination_changed", saved.seller, saved.name)
        if new:
            _use(saved)
        if new and saved.kind == Destination.Kind.WEBHOOK:
            return _secret_page(request, saved)
        messages.success(request, _("Saved. Send a test to see whether it arrives."))
        return redirect("alerts")
    return show(request, "alert_form.html", found.get_kind_display(), form=form, seller=found.seller)


def _use(saved: Destination) -> None:
    """A new destination is there to be used: by every rule, until somebody chooses otherwise."""
    for rule in AlertRule.objects.filter(seller=saved.seller):
        rule.destinations.add(saved)


def _secret_page(request: HttpRequest, found: Destination) -> HttpResponse:
    """Shown this once; it is sealed like any other secret."""
    return show(request, "alert_secret.html", found.name, destination=found, secret=found.open()["secret"])


@action
def renew_secret(request: HttpRequest, pk: int) -> HttpResponse:
    found = _destination(request, pk)
    if found.kind != Destination.Kind.WEBHOOK:
        raise Http404
    found.sealed = vault.seal({**found.open(), "secret": channels.new_secret()})
    found.save(update_fields=["sealed"])
    return _secret_page(request, found)


@action
def test(request: HttpRequest, pk: int) -> HttpResponse:
    """Sends a message now and says what came of it."""
    found = _destination(request, pk)
    error = sending.test(found)
    if error:
        messages.error(request, _("It did not arrive: %(answer)s") % {"answer": words.stored(error)})
    else:
        messages.success(request, _("The test was sent to %(name)s.") % {"name": found.name})
    return back(request, reverse("alerts"))


@action
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    found = _destination(request, pk)
    found.delete()
    log(request, "destination_removed", found.seller, found.name)
    messages.success(request, _("%(name)s is no longer told anything.") % {"name": found.name})
    return back(request, reverse("alerts"))
