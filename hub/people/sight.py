"""What of the request at hand must stay hidden from its person, for code that is far from the request (filters)."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.http import HttpRequest

from hub.models import Membership
from hub.tenancy import Permission, allows, memberships_of

current: ContextVar[HttpRequest | None] = ContextVar("current_request", default=None)


def places(request: HttpRequest) -> list[Membership]:
    """This person's places, asked once per request."""
    known: list[Membership] | None = getattr(request, "_places", None)
    if known is None:
        known = memberships_of(request.user)
        request._places = known  # type: ignore[attr-defined]
    return known


@contextmanager
def through_eyes_of(place: Membership) -> Iterator[None]:
    """What is written meanwhile hides what it would on this person's own pages: a message has no request."""
    request = HttpRequest()
    request._places = [place]  # type: ignore[attr-defined]
    token = current.set(request)
    try:
        yield
    finally:
        current.reset(token)


def hides(permission: Permission) -> bool:
    """Whether one of the person's sellers keeps this from them: on pages with several sellers the strictest counts."""
    request = current.get()
    return request is not None and not all(allows(place, permission) for place in places(request))
