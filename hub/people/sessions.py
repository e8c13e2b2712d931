"""Open sessions as rows, so that a person sees and ends their own. Written once in ten minutes, not per request."""

from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from hub.models import SignIn
from hub.people.activity import address_of

SEEN_SECONDS = 600


def note(request: HttpRequest, user: User) -> None:
    """This session is in use."""
    key = request.session.session_key
    if key and cache.add(f"session-seen:{key}", True, SEEN_SECONDS):
        facts = {"user": user, "address": address_of(request), "agent": request.headers.get("User-Agent", "")[:255]}
        SignIn.objects.update_or_create(session_key=key, defaults={**facts, "seen_at": timezone.now()})


def open_ones(user: User) -> QuerySet[SignIn]:
    """Last used first; without those that have ended by themselves."""
    alive = Session.objects.filter(expire_date__gt=timezone.now()).values("session_key")
    return SignIn.objects.filter(user=user, session_key__in=alive).order_by("-seen_at")


def end(sign_in: SignIn) -> None:
    _end([sign_in.session_key])


def end_all(user: User, besides: str | None = None) -> int:
    """All of a person's sessions but one (its key). Returns how many there were."""
    keys = list(
        SignIn.objects.filter(user=user).exclude(session_key=besides or "").values_list("session_key", flat=True)
    )
    _end(keys)
    return len(keys)


def _end(keys: list[str]) -> None:
    Session.objects.filter(session_key__in=keys).delete()
    SignIn.objects.filter(session_key__in=keys).delete()
    cache.delete_many(f"session-seen:{key}" for key in keys)


class EndOnNewPassword:
    """Among the password validators, because Django tells them, and only them, of a new password."""

    def validate(self, password: str, user: User | None = None) -> None:
        """Any will do: other validators judge it."""

    def get_help_text(self) -> str:
        return ""

    def password_changed(self, password: str, user: User | None = None) -> None:
        """Sessions of the old password are worth nothing any more; the one that changed it gets a new key."""
        if user is not None and user.pk:
            end_all(user)
