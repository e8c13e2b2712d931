"""Setting up a connection: choose the service, fill in its form, sign in there where it asks for that."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connectors import actions
from connectors.contract import Capability, Role, Service
from connectors.failures import Failure
from connectors.models import Connection
from connectors.registry import of_role, services
from connectors.work import open_adapter
from hub.models import Seller
from hub.tenancy import may_act, sellers_of
from monitoring.pages import words
from monitoring.pages.connections import writable
from monitoring.pages.shell import action, actor, form_page, page, person, show

# Time to sign in at the service, look up a password and come back.
CONSENT_SECONDS = 30 * 60
SALT = "monitoring.consent"
# No value of a secret field is ever put into a page; this says that there is one.
KEPT = "••••••••"


class SettingsForm(forms.Form):
    """Made from `Service.fields`. Without a connection: all that is needed to make one."""

    def __init__(self, service: Service, sellers: list[Seller], known: Connection | None, *args: Any) -> None:
        super().__init__(*args)
        self.service = service
        self.known = known
        if known is None:
            self.fields["name"] = forms.CharField(label=gettext_lazy("Name"), max_length=80, initial=service.label)
            if len(sellers) != 1:
                choices = [(seller.pk, seller.name) for seller in sellers]
                self.fields["seller"] = forms.TypedChoiceField(
                    label=gettext_lazy("Seller"), choices=choices, coerce=int
                )
        for one in service.fields:
            kept = known is not None and one.secret
            self.fields[f"field_{one.name}"] = forms.CharField(
                label=words.stored(one.label),
                required=one.required and not kept,
                help_text=words.stored(one.help),
                max_length=2000,
                initial="" if one.secret else (known.settings.get(one.name) if known else None) or one.default,
                widget=forms.PasswordInput(attrs={"autocomplete": "off", "placeholder": KEPT if kept else ""})
                if one.secret
                else forms.TextInput(),
            )

    def given(self, *, secret: bool) -> dict[str, str]:
        """What was filled in, by field; a secret that was left empty stays as it is.

        The vault gets all of it: an application's id is no secret, but adapters look for it beside its secret.
        """
        values = {one.name: self.cleaned_data[f"field_{one.name}"] for one in self.service.fields}
        if secret:
            return {name: value for name, value in values.items() if value}
        return {one.name: values[one.name] for one in self.service.fields if not one.secret}


@page
def choose(request: HttpRequest) -> HttpResponse:
    return show(
        request,
        "choose.html",
        _("Add a connection"),
        groups=[
            (_("Where you sell"), [(one, _needs(one)) for one in of_role(Role.CHANNEL)]),
            (_("Where you invoice"), [(one, _needs(one)) for one in of_role(Role.ERP)]),
        ],
    )


def _needs(service: Service) -> str:
    """What a person must have at hand; fields with a default can wait."""
    return ", ".join(words.stored(field.label) for field in service.fields if field.required and not field.default)


@form_page
def connect(request: HttpRequest, kind: str) -> HttpResponse:
    service = services().get(kind)
    if service is None:
        raise Http404
    sellers = [seller for seller in sellers_of(request.user) if may_act(request.user, seller)]
    form = SettingsForm(service, sellers, None, request.POST if request.method == "POST" else None)
    if request.method == "POST" and sellers and form.is_valid():
        made = _connect(request, form, sellers)
        if made is not None:
            return _next_step(made, service)
    return show(
        request,
        "connect.html",
        _("Connect %(service)s") % {"service": service.label},
        form=form,
        service=service,
        allowed=bool(sellers),
        signs_in=Capability.CONSENT in service.capabilities,
    )


def _connect(request: HttpRequest, form: SettingsForm, sellers: list[Seller]) -> Connection | None:
    seller = next((one for one in sellers if one.pk == form.cleaned_data.get("seller", sellers[0].pk)), sellers[0])
    try:
        made = actions.connect(
            seller,
            form.service.kind,
            form.cleaned_data["name"],
            form.given(secret=False),
            form.given(secret=True),
        )
        if Capability.CONSENT in form.service.capabilities:
            # It has its application's keys, not yet the account's consent.
            Connection.objects.filter(pk=made.pk).update(state=Connection.State.NEW)
        return made
    except Failure as failure:
        form.add_error(None, str(failure))
        return None


def _next_step(made: Connection, service: Service) -> HttpResponse:
    if Capability.CONSENT in service.capabilities:
        return redirect("connection_sign_in", pk=made.pk)
    return redirect("connection", pk=made.pk)


@form_page
def sign_in(request: HttpRequest, pk: int) -> HttpResponse:
    """Says what comes next; a press leads to the service's own page (`consent`)."""
    found = writable(request, pk)
    return show(
        request,
        "sign_in.html",
        _("Sign in to %(service)s") % {"service": services()[found.kind].label},
        connection=found,
        service=services()[found.kind],
    )


@action
def consent(request: HttpRequest, pk: int) -> HttpResponse:
    """To the service's consent page. The state is signed and belongs to this person and this connection."""
    found = writable(request, pk)
    state = signing.dumps({"connection": found.pk, "user": person(request).pk}, salt=SALT)
    try:
        return HttpResponseRedirect(open_adapter(found).consent_url(state))
    except Failure as failure:
        messages.error(request, str(failure))
        return redirect("connection", pk=pk)


@page
def consent_given(request: HttpRequest) -> HttpResponse:
    """The service sends the person back here with a code that works once."""
    try:
        state = signing.loads(request.GET.get("state", ""), salt=SALT, max_age=CONSENT_SECONDS)
    except signing.BadSignature:
        return _start_again(request)
    if state["user"] != person(request).pk:
        return _start_again(request)
    found = writable(request, state["connection"])
    code = request.GET.get("code") or request.GET.get("spapi_oauth_code") or ""
    if not code:
        messages.error(request, _("The service did not agree: nothing was connected."))
        return redirect("connection", pk=found.pk)
    try:
        actions.store_credentials(found, open_adapter(found).exchange(code, request.GET.dict()))
        actions.resume(found, actor(request))
        messages.success(request, _("Signed in. Orders come in from now on."))
    except Failure as failure:
        messages.error(request, str(failure))
    return redirect("connection", pk=found.pk)


def _start_again(request: HttpRequest) -> HttpResponse:
    messages.error(request, _("This sign-in is too old or was begun by somebody else. Begin again."))
    return redirect("connections")


@form_page
def change(request: HttpRequest, pk: int) -> HttpResponse:
    """The same form again. Secrets are shown to nobody: an empty field keeps what is there."""
    found = writable(request, pk)
    service = services().get(found.kind)
    if service is None:
        raise Http404
    form = SettingsForm(service, [found.seller], found, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        found.settings = {**found.settings, **form.given(secret=False)}
        found.save(update_fields=["settings"])
        if secrets := form.given(secret=True):
            actions.store_credentials(found, secrets)
        messages.success(request, _("Saved."))
        return HttpResponseRedirect(reverse("connection", args=[pk]))
    return show(
        request,
        "connect.html",
        _("Change %(name)s") % {"name": found.name},
        form=form,
        service=service,
        connection=found,
        allowed=True,
        signs_in=False,
    )
