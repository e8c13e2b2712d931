"""When to call: an alert rule's form, and what a rule asks, in words."""

from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hub.tenancy import Permission
from monitoring.alerts.causes import USUAL
from monitoring.models import AlertRule, Destination
from monitoring.pages.shell import action, back, form_page, log, must_act, one, seller_to_set, show
from monitoring.reports.base import REPORTS

Kind = AlertRule.Kind
MOST_DAYS = 365


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


# --- The form ---------------------------------------------------------------------------------------------------------


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
        targets = Destination.objects.filter(seller=rule.seller, place=None).order_by("pk")
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
    if name == "days":
        return forms.CharField(
            label=_("How many days before, separated by commas"), max_length=40, validators=[_days_before]
        )
    label, least, most = NUMBERS[name]
    return forms.IntegerField(label=label, min_value=least, max_value=most)


def _days_before(text: str) -> None:
    if not all(part.strip().isdecimal() and 1 <= int(part) <= MOST_DAYS for part in text.split(",")):
        raise forms.ValidationError(_("Numbers of days, as in 30, 7, 1"))


NUMBERS = {
    "rows": (gettext_lazy("From how many"), 1, 100_000),
    "minutes": (gettext_lazy("After how many minutes"), 1, 20_000),
    "orders": (gettext_lazy("That holds up at least so many orders"), 0, 100_000),
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
    seller = seller_to_set(request)
    if kind not in Kind.values:
        raise Http404
    return _rule_page(request, AlertRule(seller=seller, kind=kind))


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
