"""What nobody asks for any more: ended sessions, old lines of the log, invitations long over."""

from datetime import datetime, timedelta

from django.contrib.sessions.models import Session

from hub.models import Activity, Invitation, SignIn

LOG_KEPT = timedelta(days=730)
INVITATIONS_KEPT = timedelta(days=90)


def tidy(now: datetime) -> None:
    """Cheap where there is nothing to do."""
    Session.objects.filter(expire_date__lt=now).delete()
    # A session that was noted a moment ago may not have been written yet.
    noted = SignIn.objects.filter(seen_at__lt=now - timedelta(hours=1))
    noted.exclude(session_key__in=Session.objects.values("session_key")).delete()
    Activity.objects.filter(at__lt=now - LOG_KEPT).delete()
    Invitation.objects.filter(expires_at__lt=now - INVITATIONS_KEPT).delete()
