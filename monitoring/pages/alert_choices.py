"""What I am told: each person chooses for themselves, for each seller and kind of event."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hub.models import Membership
from monitoring.alerts import preferences, sending
from monitoring.alerts.preferences import Kind, Way
from monitoring.models import AlertRule, Destination
from monitoring.pages import words
from monitoring.pages.shell import form_page, log, person, show

NO_RULE = gettext_lazy("No rule of this seller asks for it at the moment.")


class Choices(forms.Form):
    """One question for each kind of event."""

    def __init__(self, place: Membership, rules: set[str], given: Mapping[str, Any] | None = None) -> None:
        super().__init__(given, auto_id=f"id_{place.pk}_%s")
        self.place = place
        told = preferences.told_now(place)
        for kind, label in Kind.choices:
            ways = [way for way in Way if _possible(kind, way, rules)]
            self.fields[kind] = forms.ChoiceField(
                label=label,
                choices=[(way.value, way.label) for way in ways],
                initial=told[kind],
                widget=forms.Select(attrs={"class": "e-narrow"}),
                help_text="" if kind in rules else NO_RULE,
            )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if Way.SUMMARY in given.values() and given.get(Kind.DIGEST) != Way.EMAIL:
            self.add_error(Kind.DIGEST, _("You leave something to the daily summary: have it sent to you, too."))
        return given


def _possible(kind: str, way: Way, rules: set[str]) -> bool:
    if kind == Kind.DIGEST:
        return way in (Way.EMAIL, Way.NOTHING)
    return way != Way.SUMMARY or Kind.DIGEST in rules


@form_page
def choices(request: HttpRequest) -> HttpResponse:
    places, wanted = _places(request), request.POST.get("place")
    rules = _rules(places)
    shown = [
        Choices(place, rules.get(place.seller_id, set()), request.POST if str(place.pk) == wanted else None)
        for place in places
    ]
    sent = next((form for form in shown if form.is_bound), None)
    if sent and sent.is_valid():
        mine = preferences.choose(sent.place, sent.cleaned_data)
        log(request, "alerts_chosen", sent.place.seller)
        messages.success(request, _("Saved."))
        if "test" in request.POST:
            _test(request, mine)
        return redirect("account_alerts")
    return show(request, "alert_choices.html", _("What I am told"), choices=shown)


def _test(request: HttpRequest, mine: Destination) -> None:
    """A message to this person now, and what came of it."""
    if error := sending.test(mine):
        messages.error(request, _("It did not arrive: %(answer)s") % {"answer": words.stored(error)})
    else:
        messages.success(request, _("The test was sent to %(name)s.") % {"name": person(request).email})


def _places(request: HttpRequest) -> list[Membership]:
    places = Membership.objects.filter(user=person(request)).order_by("seller__name")
    return list(places.select_related("seller", "user", "alert_preference"))


def _rules(places: list[Membership]) -> dict[int, set[str]]:
    """Seller -> the kinds of its rules that are switched on."""
    found: dict[int, set[str]] = {}
    rows = AlertRule.objects.filter(seller__in=[place.seller_id for place in places], active=True)
    for seller_id, kind in rows.values_list("seller_id", "kind"):
        found.setdefault(seller_id, set()).add(kind)
    return found
