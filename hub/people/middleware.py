"""Around every request: nobody passes without the second factor they have or must have; headers that close doors."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils.http import urlencode

from hub.people import factor, sessions, sight
from hub.people.signals import HAS_FACTOR

Next = Callable[[HttpRequest], HttpResponseBase]
# What somebody with only a password may still open: signing in and out, a forgotten password, and the
# two steps towards the second factor.
OPEN = {
    "login", "logout", "set_language", "live", "ready", "beat", "metrics", "theme", "jsi18n",
    "password_reset", "password_reset_confirm",
    "second_step", "second_factor", "second_factor_begin", "second_factor_confirm",
}  # fmt: skip
PERMISSIONS = "camera=(self), microphone=(), geolocation=(), payment=(), usb=(), browsing-topics=()"


class Headers:
    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        # Pages hold people's data: no copy stays in a browser or on the way. Files of ours say otherwise themselves.
        response.headers.setdefault("Cache-Control", "no-store")
        return response


class Person:
    """Knows whose request it is, and asks for the second factor where one is due."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        token = sight.current.set(request)
        try:
            return self.get_response(request)
        finally:
            sight.current.reset(token)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        if not request.user.is_authenticated:
            return None
        sessions.note(request, request.user)
        match = request.resolver_match
        if match is not None and match.url_name in OPEN:
            return None
        step = missing_step(request, request.user)
        return _to(step, request) if step else None


def missing_step(request: HttpRequest, user: User) -> str:
    """The address (its name) of what this session lacks: "second_step", "second_factor", or nothing."""
    if user.is_verified():  # type: ignore[attr-defined]
        return ""
    if HAS_FACTOR not in request.session:
        request.session[HAS_FACTOR] = factor.has(user)
    if request.session[HAS_FACTOR]:
        # It may have been removed meanwhile, in another session or by an owner.
        if factor.has(user):
            return "second_step"
        request.session[HAS_FACTOR] = False
    return "second_factor" if asked_of(request) else ""


def asked_of(request: HttpRequest) -> bool:
    """Whether one of this person's sellers asks for a second factor from their role."""
    return any(place.pk and place.role in place.seller.second_factor for place in sight.places(request))


def _to(step: str, request: HttpRequest) -> HttpResponse:
    if request.path.startswith("/api/"):
        return JsonResponse({"detail": "second factor required"}, status=403)
    return HttpResponseRedirect(f"{reverse(step)}?{urlencode({'next': request.get_full_path()})}")
