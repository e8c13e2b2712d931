"""One's own account: the second factor, and the sessions that are open."""

from django.contrib import messages
from django.contrib.auth import authenticate
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _

from hub.people import factor, sessions
from hub.people.activity import record
from hub.people.middleware import asked_of, missing_step
from hub.people.sight import places
from hub.people.signals import HAS_FACTOR
from monitoring.pages.shell import action, actor, form_page, page, person, show

# The first that is found: each also says that it is those after it.
BROWSERS = (
    ("Edg", "Edge"), ("OPR", "Opera"), ("SamsungBrowser", "Samsung"), ("Firefox", "Firefox"), ("Chrome", "Chrome"),
    ("CriOS", "Chrome"), ("Safari", "Safari"),
)  # fmt: skip
SYSTEMS = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS", "macOS"),
    ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)  # fmt: skip


@page
def account(request: HttpRequest) -> HttpResponse:
    user = person(request)
    return show(
        request,
        "people_account.html",
        _("My account"),
        places_here=[place for place in places(request) if place.pk],
        has_factor=factor.has(user),
        codes_left=factor.codes_left(user),
        asked=asked_of(request),
        sessions=[{"row": row, "device": device(row.agent)} for row in sessions.open_ones(user)],
        this_session=request.session.session_key,
    )


def device(agent: str) -> str:
    """ "Chrome, Windows" of what a browser says of itself; as it is where nothing is known."""
    known = [next((name for mark, name in marks if mark in agent), "") for marks in (BROWSERS, SYSTEMS)]
    return ", ".join(filter(None, known)) or agent[:60] or "?"


# --- Sessions -------------------------------------------------------------------------------------------------------


@action
def end_session(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(sessions.open_ones(person(request)), pk=pk)
    sessions.end(found)
    record(actor(request), "session_ended", subject=found.agent, request=request)
    messages.success(request, _("The session is ended."))
    return redirect("account")


@action
def end_others(request: HttpRequest) -> HttpResponse:
    if sessions.end_all(person(request), besides=request.session.session_key):
        record(actor(request), "sessions_ended", request=request)
    messages.success(request, _("All other sessions are ended."))
    return redirect("account")


# --- The second factor ----------------------------------------------------------------------------------------------


@page
def second_factor(request: HttpRequest) -> HttpResponse:
    """Setting it up: the picture for the app, as long as the app has not answered."""
    user = person(request)
    if missing_step(request, user) == "second_step":
        return redirect("second_step")
    device = factor.begun(user)
    return show(
        request,
        "people_factor.html",
        _("Second factor"),
        device=device,
        # Drawn here from a secret of ours: nothing of it was typed by anybody.
        picture=mark_safe(factor.picture(device)) if device else "",  # noqa: S308
        secret=factor.typed_secret(device) if device else "",
        asked=asked_of(request),
        has_factor=factor.has(user),
    )


@action
def begin(request: HttpRequest) -> HttpResponse:
    if missing_step(request, person(request)) == "second_step":
        return redirect("second_step")
    factor.begin(person(request))
    return redirect("second_factor")


@action
def confirm(request: HttpRequest) -> HttpResponse:
    if missing_step(request, person(request)) == "second_step":
        return redirect("second_step")
    codes = factor.confirm(request, person(request), request.POST.get("code", ""))
    if not codes:
        messages.error(request, _("This code is not right. The app shows a new one every 30 seconds."))
        return redirect("second_factor")
    request.session[HAS_FACTOR] = True
    return _codes(request, codes)


@action
def new_codes(request: HttpRequest) -> HttpResponse:
    if not _proven(request):
        return redirect("account")
    record(actor(request), "second_factor_codes", request=request)
    return _codes(request, factor.new_codes(person(request)))


def _codes(request: HttpRequest, codes: list[str]) -> HttpResponse:
    """Shown this once."""
    return show(request, "people_codes.html", _("Codes for paper"), codes=codes)


@action
def drop(request: HttpRequest) -> HttpResponse:
    if _proven(request):
        factor.drop(person(request), actor(request), request)
        request.session[HAS_FACTOR] = False
        messages.success(request, _("The second factor is removed."))
    return redirect("account")


def _proven(request: HttpRequest) -> bool:
    """The password once more: a session left open is not enough for this."""
    user = person(request)
    if authenticate(request, username=user.get_username(), password=request.POST.get("password", "")) == user:
        return True
    messages.error(request, _("This password is not right."))
    return False


@form_page
def second_step(request: HttpRequest) -> HttpResponse:
    """After the password: the code of the app, or one from paper."""
    target = request.POST.get("next") or request.GET.get("next") or ""
    if not url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        target = reverse("admin:index")
    wrong = False
    if missing_step(request, person(request)) != "second_step":
        return HttpResponseRedirect(target)
    if request.method == "POST":
        if factor.check(request, person(request), request.POST.get("code", "")):
            return HttpResponseRedirect(target)
        wrong = True
    return show(request, "people_step.html", _("Second step"), wrong=wrong, next=target)
