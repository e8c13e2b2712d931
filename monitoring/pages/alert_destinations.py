"""Whom to call: a destination's form, its secret and its test."""

import json
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.validators import validate_email
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hub import vault
from hub.tenancy import Permission
from monitoring.alerts import channels, sending, wording
from monitoring.models import AlertRule, Delivery, Destination
from monitoring.pages import words
from monitoring.pages.fields import whole_address
from monitoring.pages.shell import action, back, form_page, log, must_act, one, page, sees, seller_to_set, show

# No value of a secret field is ever put into a page; this says that there is one.
KEPT = "••••••••"
SHOWN = 50


def address_of(destination: Destination) -> str:
    """Where it goes, without what is secret in it."""
    opened = destination.open()
    if destination.kind == Destination.Kind.EMAIL:
        return ", ".join(channels.recipients(destination)) or words.stored(channels.nobody(destination))
    if destination.kind == Destination.Kind.TELEGRAM:
        return str(opened["chat"])
    return urlsplit(opened["url"]).netloc.rpartition("@")[2]


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
    url = forms.CharField(label=gettext_lazy("Address"), max_length=1000, validators=[whole_address])
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
    seller = seller_to_set(request)
    if kind not in Destination.Kind.values:
        raise Http404
    return _destination_page(request, Destination(seller=seller, kind=kind))


def _destination(request: HttpRequest, pk: int) -> Destination:
    found = one(Destination.objects.filter(place=None).select_related("seller"), request, pk)
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


@page
def sent(request: HttpRequest, pk: int) -> HttpResponse:
    """The last messages as they went out, and what came of each."""
    found = _destination(request, pk)
    rows = found.deliveries.select_related("destination__seller").order_by("-created_at")[:SHOWN]
    return show(
        request,
        "alert_messages.html",
        found.name,
        destination=found,
        sent=[(delivery, wording.purpose(delivery.purpose), _as_sent(delivery)) for delivery in rows],
        # Sentences of long ago, with amounts in them.
        readable=sees(request, Permission.MONEY, found.seller_id),
    )


def _as_sent(delivery: Delivery) -> str:
    if delivery.destination.kind == Destination.Kind.WEBHOOK:
        return json.dumps(channels.payload(delivery), indent=2, ensure_ascii=False)
    return delivery.body


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
