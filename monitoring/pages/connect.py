"""Setting up a connection: choose the service, fill in its form, sign in there where it asks for that."""

from datetime import datetime, time
from typing import Any
from urllib.parse import urlsplit

from csp.decorators import csp_update
from django import forms
from django.conf import settings
from django.contrib import messages
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connectors import actions
from connectors.contract import Capability, Field, Role, Service
from connectors.failures import Failure
from connectors.models import Connection, Credential
from connectors.registry import of_role, services
from connectors.work import open_adapter
from hub.models import Seller
from hub.tenancy import Permission
from monitoring.pages import words
from monitoring.pages.connections import writable
from monitoring.pages.fields import whole_address
from monitoring.pages.shell import action, actor, form_page, log, page, person, sellers_allowing, show

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
        chosen = known.settings if known else {}
        for name, label in _addresses(service):
            self.fields[f"host_{name}"] = forms.CharField(
                label=label,
                help_text=gettext_lazy("Of your own installation, as in https://erp.example.com"),
                max_length=300,
                initial=chosen.get("hosts", {}).get(name, ""),
                validators=[_address],
                widget=forms.URLInput(attrs={"inputmode": "url"}),
            )
        for one in service.fields:
            self.fields[f"field_{one.name}"] = _form_field(one, known)
        if known and not service.consent_renews:
            self.fields["consent_until"] = _consent_field(known)

    def needed(self) -> list[forms.BoundField]:
        return [field for field in self if field.name not in self._settled()]

    def further(self) -> list[forms.BoundField]:
        """What nearly everybody leaves as it is."""
        return [field for field in self if field.name in self._settled()]

    def further_open(self) -> bool:
        return any(field.errors for field in self.further())

    def _settled(self) -> set[str]:
        settled = {f"field_{one.name}" for one in self.service.fields if one.default and not one.required}
        return settled | {"consent_until"}

    def hosts(self) -> dict[str, str]:
        return {name: self.cleaned_data[f"host_{name}"].rstrip("/") for name, _label in _addresses(self.service)}

    def choices(self) -> dict[str, Any]:
        """All that is no secret: `Connection.settings`."""
        values = {one.name: self._given(one) for one in self.service.fields if not one.secret}
        if not (hosts := self.hosts()):
            return values
        known = self.known.settings.get("hosts", {}) if self.known else {}
        return {**values, "hosts": {**known, **hosts}}

    def secrets(self) -> dict[str, str]:
        """For the vault; what was left empty stays as it is there."""
        values = {one.name: self._given(one) for one in self.service.fields if one.secret or one.in_vault}
        return {name: value for name, value in values.items() if value}

    def consent_until(self) -> datetime | None:
        """The beginning of the day that was typed."""
        day = self.cleaned_data.get("consent_until")
        return timezone.make_aware(datetime.combine(day, time.min)) if day else None

    def _given(self, one: Field) -> str:
        return str(self.cleaned_data[f"field_{one.name}"])


def _form_field(one: Field, known: Connection | None) -> forms.Field:
    kept = known is not None and one.secret
    what: dict[str, Any] = {
        "label": words.stored(one.label),
        "required": one.required and not kept,
        "help_text": words.stored(one.help),
        "initial": "" if one.secret else (known.settings.get(one.name) if known else None) or one.default,
    }
    if one.choices:
        named = [(value, words.stored(label)) for value, label in one.choices]
        return forms.ChoiceField(choices=named if one.required or one.default else [("", "—"), *named], **what)
    if one.secret:
        hidden = forms.PasswordInput(attrs={"autocomplete": "off", "placeholder": KEPT if kept else ""})
        return forms.CharField(max_length=2000, widget=hidden, **what)
    return forms.CharField(max_length=2000, **what)


def _consent_field(known: Connection) -> forms.Field:
    """For permissions and keys whose end the service does not tell."""
    held = Credential.objects.filter(connection=known).first()
    return forms.DateField(
        label=_("The permission ends on"),
        help_text=_("Of a key or permission that ends by itself. Alerts remind of it in time."),
        required=False,
        initial=timezone.localdate(held.consent_until) if held and held.consent_until else None,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )


def _addresses(service: Service) -> list[tuple[str, str]]:
    """(host, label) of those a service leaves open, because every installation has its own."""
    names = [name for name, address in service.hosts.items() if not address]
    return [(name, _("Address") if len(names) == 1 else f"{_('Address')} ({name})") for name in names]


def _address(text: str) -> None:
    whole_address(text)
    parts = urlsplit(text)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise forms.ValidationError(_("Only the address: no user, no password, nothing after ? or #"))


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
    fields = [words.stored(field.label) for field in service.fields if field.required and not field.default]
    return ", ".join([label for _name, label in _addresses(service)] + fields)


@form_page
def connect(request: HttpRequest, kind: str) -> HttpResponse:
    service = services().get(kind)
    if service is None:
        raise Http404
    sellers = sellers_allowing(request, Permission.SETTINGS)
    form = SettingsForm(service, sellers, None, request.POST if request.method == "POST" else None)
    if request.method == "POST" and sellers and form.is_valid():
        made = _connect(request, form, sellers)
        if made is not None:
            waits = made.state == Connection.State.NEW
            return redirect("connection_sign_in" if waits else "connection", pk=made.pk)
    return show(
        request,
        "connect.html",
        _("Connect %(service)s") % {"service": service.label},
        form=form,
        service=service,
        allowed=bool(sellers),
        signs_in=Capability.CONSENT in service.capabilities and not _takes_tokens(service),
    )


def _takes_tokens(service: Service) -> bool:
    """Whether the form may already hold what signing in would bring."""
    return any(one.name in ("access_token", "refresh_token") for one in service.fields)


def _connect(request: HttpRequest, form: SettingsForm, sellers: list[Seller]) -> Connection | None:
    seller = next((one for one in sellers if one.pk == form.cleaned_data.get("seller", sellers[0].pk)), sellers[0])
    try:
        made = actions.connect(seller, form.service.kind, form.cleaned_data["name"], form.choices(), form.secrets())
    except Failure as failure:
        form.add_error(None, words.stored(str(failure)))
        return None
    log(request, "connection_created", seller, made.name, after=form.choices())
    return made


# Sending its form leads on to the service's own page, whichever that is.
@csp_update({"form-action": ["https:", *(["http://127.0.0.1:*"] if settings.SIMULATORS else [])]})
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
        messages.error(request, words.stored(str(failure)))
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
        actions.store_credentials(found, open_adapter(found).exchange(code, request.GET.dict()), consented=True)
        actions.resume(found, actor(request))
        log(request, "connection_signed_in", found.seller, found.name)
        messages.success(request, _("Signed in. Orders come in from now on."))
    except Failure as failure:
        messages.error(request, words.stored(str(failure)))
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
        before, found.settings = found.settings, {**found.settings, **form.choices()}
        found.external_account = str(found.settings.get("external_account") or found.external_account)
        found.save(update_fields=["settings", "external_account"])
        actions.correct_credentials(found, form.secrets())
        if "consent_until" in form.changed_data:
            Credential.objects.filter(connection=found).update(consent_until=form.consent_until())
        # That secrets were typed is told, never which.
        typed = {"secrets": True} if form.secrets() else {}
        log(request, "connection_changed", found.seller, found.name, before, {**found.settings, **typed})
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
