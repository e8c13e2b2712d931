"""What Django tells of signing in, kept as lines of the log."""

from hashlib import sha256
from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.core.cache import cache
from django.dispatch import receiver
from django.http import HttpRequest

from hub.models import SignIn
from hub.people import factor, sessions
from hub.people.activity import address_of, record

# In the session: whether this person has a second factor, asked once at sign-in.
HAS_FACTOR = "has_second_factor"
LOCKED_SECONDS = 900


@receiver(user_logged_in)
def signed_in(request: HttpRequest, user: User, **_others: Any) -> None:
    request.session[HAS_FACTOR] = factor.has(user)
    sessions.note(request, user)
    record(user.get_username(), "signed_in", request=request)


@receiver(user_logged_out)
def signed_out(request: HttpRequest, user: User | None, **_others: Any) -> None:
    if user is not None:
        SignIn.objects.filter(session_key=request.session.session_key).delete()
        record(user.get_username(), "signed_out", request=request)


@receiver(user_login_failed)
def failed(credentials: dict[str, Any], request: HttpRequest | None = None, **_others: Any) -> None:
    """Of a lock-out one line in its time: guessing must not fill the log."""
    if request is None:
        return
    who = str(credentials.get("username", ""))
    if not getattr(request, "axes_locked_out", False):
        record(who, "sign_in_failed", request=request)
    elif cache.add(f"locked-out:{sha256(f'{who} {address_of(request)}'.encode()).hexdigest()}", True, LOCKED_SECONDS):
        record(who, "locked_out", request=request)
