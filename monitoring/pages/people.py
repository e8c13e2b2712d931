"""People of a seller: who has which place, who is invited; and the chooser of sellers in the frame of every page."""

import logging
from collections.abc import Callable
from functools import partial
from smtplib import SMTPException
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import password_validators_help_texts, validate_password
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.mail import send_mail
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_safe
from unfold.settings import get_config

from hub.models import Invitation, Membership, Seller
from hub.people import factor
from hub.people import places as doors
from hub.people.places import NotPossible, Sent
from hub.people.sight import places
from hub.tenancy import Permission, allows, may
from monitoring.pages import header
from monitoring.pages.shell import CHOSEN, action, actor, back, must_act, page, person, sellers_allowing, show

log = logging.getLogger(__name__)

SENTENCES = {
    "already_here": gettext_lazy("This person has a place here already."),
    "invitation_over": gettext_lazy("This invitation was used, withdrawn or is too old. Ask for a new one."),
    "known_here": gettext_lazy("This address has an account already: sign in with it to accept."),
    "last_owner": gettext_lazy("A seller needs an owner: make somebody else one first."),
    "gone": gettext_lazy("This person has no place here any more."),
}
ROLE_HINTS = [
    (Membership.Role.OWNER, gettext_lazy("everything, and the people")),
    (Membership.Role.MANAGER, gettext_lazy("connections, rules and settings, and all of an operator's")),
    (Membership.Role.OPERATOR, gettext_lazy("orders: try again, hold, release, label")),
    (Membership.Role.VIEWER, gettext_lazy("looks only, without the buyers' documents, addresses and contacts")),
]


# --- In the frame of every page -------------------------------------------------------------------------------------


def frame(request: HttpRequest) -> dict[str, Any]:
    """The sellers to choose from; and the colours as a file of their own, because inline styles are not allowed."""
    mine = places(request)
    chosen = request.session.get(CHOSEN)
    return {
        "colors": None,
        "places": mine if len(mine) > 1 else [],
        "chosen_place": next((place for place in mine if place.seller_id == chosen), None),
        # Asked for by templates that have a header.
        "header": partial(header.of, request),
    }


@require_safe
@cache_control(public=True, max_age=3600)
def theme(request: HttpRequest) -> HttpResponse:
    """The colours of the frame: Unfold writes them into each page otherwise."""
    config = get_config("UNFOLD")
    lines = [
        f"--color-{name}-{weight}: {value};"
        for name, shades in config["COLORS"].items()
        for weight, value in shades.items()
    ]
    rule = " ".join([f"--border-radius: {config['BORDER_RADIUS']};", *lines])
    return HttpResponse(f":root {{ {rule} }}", content_type="text/css; charset=utf-8")


@action
def choose(request: HttpRequest) -> HttpResponse:
    """All lists show this seller alone; without one, all of the person's."""
    wanted = request.POST.get("seller", "")
    own = {str(place.seller_id): place.seller_id for place in places(request)}
    if wanted and wanted not in own:
        raise Http404
    request.session[CHOSEN] = own.get(wanted)
    return back(request, reverse("admin:index"))


def locked_out(request: HttpRequest, response: HttpResponse | None, credentials: Any) -> HttpResponse:
    """Instead of the page to sign in, after too many wrong passwords."""
    minutes = int(settings.AXES_COOLOFF_TIME.total_seconds() // 60)
    answer = show(request, "people_locked.html", _("Too many tries"), minutes=minutes)
    answer.status_code = 429
    return answer.render()


def may_see(request: HttpRequest) -> bool:
    return any(allows(place, Permission.PEOPLE) for place in places(request))


# --- The page -------------------------------------------------------------------------------------------------------


@page
def people(request: HttpRequest) -> HttpResponse:
    sellers = managed(request)
    return show(
        request,
        "people.html",
        _("People"),
        houses=[_house(seller) for seller in sellers],
        roles=ROLE_HINTS,
        choices=Membership.Role.choices,
        form=InviteForm(sellers),
    )


def managed(request: HttpRequest) -> list[Seller]:
    """The sellers in view whose people this person decides about; 403 where there is none."""
    sellers = sellers_allowing(request, Permission.PEOPLE)
    if not sellers:
        raise PermissionDenied
    return sellers


def _house(seller: Seller) -> dict[str, Any]:
    members = list(Membership.objects.filter(seller=seller).select_related("user").order_by("role", "user__username"))
    safe = factor.among(place.user for place in members)
    return {
        "seller": seller,
        "members": [
            {
                "place": place,
                "buyer": allows(place, Permission.BUYER),
                "money": allows(place, Permission.MONEY),
                "factor": place.user_id in safe,
            }
            for place in members
        ],
        "invitations": doors.waiting().filter(seller=seller).order_by("-created_at"),
        "asked": [(code, label, code in seller.second_factor) for code, label in Membership.Role.choices],
    }


class InviteForm(forms.Form):
    email = forms.EmailField(label=gettext_lazy("E-mail"), max_length=150)
    role = forms.ChoiceField(
        label=gettext_lazy("Role"), choices=Membership.Role.choices, initial=Membership.Role.OPERATOR
    )

    def __init__(self, sellers: list[Seller], data: Any = None) -> None:
        super().__init__(data)
        choices = [(seller.pk, seller.name) for seller in sellers]
        self.fields["seller"] = forms.ChoiceField(label=_("Seller"), choices=choices)


@action
def invite(request: HttpRequest) -> HttpResponse:
    sellers = managed(request)
    form = InviteForm(sellers, request.POST)
    if not form.is_valid():
        messages.error(request, " ".join(str(error) for errors in form.errors.values() for error in errors))
        return redirect("people")
    seller = next(one for one in sellers if str(one.pk) == form.cleaned_data["seller"])
    return _send(request, seller, form.cleaned_data["email"], form.cleaned_data["role"])


@action
def resend(request: HttpRequest, pk: int) -> HttpResponse:
    """A new link; the earlier one ends."""
    found = _invitation(request, pk)
    return _send(request, found.seller, found.email, found.role)


@action
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    doors.withdraw(_invitation(request, pk), actor(request))
    messages.success(request, _("The invitation is withdrawn."))
    return redirect("people")


def _invitation(request: HttpRequest, pk: int) -> Invitation:
    own = [place.seller_id for place in places(request)]
    found = get_object_or_404(doors.waiting().select_related("seller").filter(seller_id__in=own), pk=pk)
    must_act(request, found.seller, Permission.PEOPLE)
    return found


def _send(request: HttpRequest, seller: Seller, email: str, role: str) -> HttpResponse:
    try:
        sent = doors.invite(seller, email, role, actor(request))
    except NotPossible as reason:
        messages.error(request, SENTENCES[str(reason)])
        return redirect("people")
    link = settings.PUBLIC_URL + reverse("invitation", args=[sent.token])
    told = _mail(sent, link)
    return show(request, "people_invited.html", _("Invitation"), invitation=sent.invitation, link=link, told=told)


def _mail(sent: Sent, link: str) -> bool:
    """Whether the mail server took it; the inviting person has the link on the page in any case."""
    names = {"seller": sent.invitation.seller.name, "who": sent.invitation.invited_by, "link": link}
    body = _(
        "%(who)s invites you to work with %(seller)s in Entreposto.\n\n"
        "Open this link within seven days. It works once:\n%(link)s\n\n"
        "If you did not expect this, leave it: nothing happens."
    )
    try:
        return bool(send_mail(_("Invitation to %(seller)s") % names, body % names, None, [sent.invitation.email]))
    except (SMTPException, OSError) as failure:
        log.warning("An invitation could not be sent: %s", failure)
        return False


@action
def change(request: HttpRequest, pk: int) -> HttpResponse:
    found, role = _membership(request, pk), request.POST.get("role", "")
    if role not in Membership.Role.values:
        raise Http404
    # What equals the role's own is left to the role: it follows when the role changes.
    ticks = {f"sees_{name}": _tick(request, name, role) for name in ("buyer", "money")}
    if found.role != role:
        ticks = {}
    return _deed(request, lambda: doors.change(found, actor(request), role, **ticks), _("Changed."))


def _tick(request: HttpRequest, name: str, role: str) -> bool | None:
    ticked = request.POST.get(name) == "on"
    return None if ticked == allows(Membership(role=role), Permission(name)) else ticked


@action
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    found = _membership(request, pk)
    return _deed(request, lambda: doors.remove(found, actor(request)), _("Removed."))


def _membership(request: HttpRequest, pk: int) -> Membership:
    own = [place.seller_id for place in places(request)]
    found = get_object_or_404(Membership.objects.select_related("seller", "user").filter(seller_id__in=own), pk=pk)
    must_act(request, found.seller, Permission.PEOPLE)
    return found


def _deed(request: HttpRequest, deed: Callable[[], None], done: str) -> HttpResponse:
    try:
        deed()
    except NotPossible as reason:
        messages.error(request, SENTENCES[str(reason)])
    else:
        messages.success(request, done)
    return HttpResponseRedirect(reverse("people" if may_see_still(request) else "admin:index"))


def may_see_still(request: HttpRequest) -> bool:
    """After the deed: who has taken away the own place must not land on a page that refuses."""
    del request._places  # type: ignore[attr-defined]
    return may_see(request)


@action
def drop_factor(request: HttpRequest, pk: int) -> HttpResponse:
    """For a lost telephone. Only who decides about all of the person's sellers may: it opens them all."""
    found = _membership(request, pk)
    sellers = Seller.objects.filter(memberships__user=found.user)
    if found.user.is_superuser or not all(may(request.user, one, Permission.PEOPLE) for one in sellers):
        raise PermissionDenied
    factor.drop(found.user, actor(request), request)
    messages.success(request, _("The second factor is removed. The password alone signs in until a new one is set up."))
    return redirect("people")


@action
def ask_factor(request: HttpRequest, pk: int) -> HttpResponse:
    own = [place.seller_id for place in places(request)]
    seller = get_object_or_404(Seller.objects.filter(pk__in=own), pk=pk)
    must_act(request, seller, Permission.PEOPLE)
    roles = [role for role in request.POST.getlist("role") if role in Membership.Role.values]
    doors.ask_second_factor(seller, roles, actor(request))
    messages.success(request, _("Saved."))
    return redirect("people")


# --- The invited person ---------------------------------------------------------------------------------------------


NEW_PASSWORD = forms.PasswordInput(attrs={"autocomplete": "new-password"})


class SignUpForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Your name"), max_length=150)
    password = forms.CharField(label=gettext_lazy("Password"), widget=NEW_PASSWORD, max_length=200)
    again = forms.CharField(label=gettext_lazy("Password again"), widget=NEW_PASSWORD, max_length=200)

    def __init__(self, email: str, data: Any = None) -> None:
        super().__init__(data)
        self.email = email

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("password") and given.get("again") and given["password"] != given["again"]:
            self.add_error("again", _("The two passwords are not the same."))
        if given.get("password"):
            likely = User(username=self.email, email=self.email, first_name=given.get("name", ""))
            try:
                validate_password(given["password"], likely)
            except ValidationError as weak:
                self.add_error("password", weak)
        return given


@never_cache
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Open to whoever has the link: a new person signs up, a known one signs in and accepts."""
    found = doors.find(token)
    if found is None:
        answer = show(request, "people_invitation.html", _("Invitation"), over=True)
        answer.status_code = 410
        return answer
    signed_in, known = request.user.is_authenticated, doors.known(found.email)
    form = SignUpForm(found.email, request.POST if request.method == "POST" and not signed_in else None)
    if request.method == "POST" and (signed_in or (not known and form.is_valid())):
        return _accept(request, token, form)
    return show(
        request,
        "people_invitation.html",
        _("Invitation"),
        invitation=found,
        form=form,
        known=known,
        signed_in=signed_in,
        hints=[text for text in password_validators_help_texts() if text],
        sign_in=f"{reverse('admin:login')}?next={request.path}",
    )


def _accept(request: HttpRequest, token: str, form: SignUpForm) -> HttpResponse:
    try:
        if request.user.is_authenticated:
            doors.accept(token, person(request))
        else:
            user = doors.sign_up(token, form.cleaned_data["name"], form.cleaned_data["password"])
            login(request, user, "django.contrib.auth.backends.ModelBackend")
    except NotPossible as reason:
        messages.error(request, SENTENCES[str(reason)])
        return HttpResponseRedirect(request.path)
    messages.success(request, _("Welcome. This is what there is to do."))
    return redirect("admin:index")
