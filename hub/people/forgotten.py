"""A forgotten password: how often a link to a new one may be asked for, and how it is sent."""

import logging
from datetime import timedelta
from smtplib import SMTPException
from threading import Thread

from django.conf import settings
from django.core.mail import send_mail
from django.db.models import Count, Q
from django.http import HttpRequest
from django.utils import timezone

from hub.models import Activity
from hub.people.activity import address_of, record

log = logging.getLogger(__name__)

WITHIN = timedelta(minutes=15)
FOR_ONE_EMAIL = 3
FROM_ONE_ADDRESS = 10
CONSOLE = "django.core.mail.backends.console.EmailBackend"


def can_mail() -> bool:
    """Whether e-mails go further than the log of the process."""
    return bool(settings.EMAIL_BACKEND != CONSOLE)


def asked(email: str, request: HttpRequest) -> bool:
    """Notes that a link is asked for; False where it was asked for too often. Whether there is such a person plays no
    part: the log is counted because all processes share it.
    """
    who, address = email.lower()[:150], address_of(request)
    lines = Activity.objects.filter(seller=None, action="password_forgotten", at__gt=timezone.now() - WITHIN)
    counted = lines.aggregate(email=Count("pk", filter=Q(actor=who)), address=Count("pk", filter=Q(address=address)))
    if counted["email"] >= FOR_ONE_EMAIL or (address and counted["address"] >= FROM_ONE_ADDRESS):
        return False
    record(who, "password_forgotten", request=request)
    return True


def send(subject: str, body: str, email: str) -> None:
    """Beside the request: how long the mail server takes would tell that there is such a person."""
    Thread(target=_deliver, args=(subject, body, email)).start()


def _deliver(subject: str, body: str, email: str) -> None:
    try:
        send_mail(subject, body, None, [email])
    except (SMTPException, OSError) as failure:
        log.warning("The link to a new password could not be sent: %s", failure)
