"""How a message travels: one function for each kind of destination. Raises `Failure`, with no secret in its words."""

import hashlib
import hmac
import json
import secrets
import smtplib
import ssl
from collections.abc import Callable, Mapping
from datetime import timedelta
from email.utils import parseaddr
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.html import escape, linebreaks, urlize
from django.utils.translation import gettext as _

from connectors import deadline
from connectors.failures import Category, Failure
from connectors.http import CONNECT_SECONDS
from hub.models import Membership
from monitoring.alerts import defaults
from monitoring.models import Delivery, Destination

SECONDS = 10.0
AGENT = "Entreposto/0.1 (+python)"
# Telegram takes 4,096 characters in one message; the others more.
LONGEST_TEXT = 4000
# Enough of an answer to see why it was refused.
EXCERPT = 300
NOBODY = "No owner of this seller has an e-mail address."
NO_ADDRESS = "This person has no e-mail address, or may not sign in any more."
CHOSEN = "Every owner has chosen for themselves what they are mailed."
# What a service may ask for; a message of today is worth nothing next week.
LONGEST_PAUSE = 3600


def reachable(destination: Destination) -> bool:
    """Whether there is anybody at the other end: people may have no address yet."""
    return destination.kind != Destination.Kind.EMAIL or bool(recipients(destination))


def send(delivery: Delivery) -> None:
    SENDERS[delivery.destination.kind](delivery, delivery.destination.open())


# --- E-mail ----------------------------------------------------------------------------------------------------------


def recipients(destination: Destination) -> list[str]:
    if destination.place:
        user = destination.place.user
        return [user.email] if user.is_active and user.email else []
    written = destination.open().get("to", "")
    return [one for part in written.split(",") if (one := part.strip())] or defaults.owners(destination.seller)


def nobody(destination: Destination) -> str:
    """Why a message to this one would reach nobody."""
    if destination.place:
        return NO_ADDRESS
    chosen = Destination.objects.filter(seller=destination.seller_id, place__role=Membership.Role.OWNER)
    return CHOSEN if chosen.exists() else NOBODY


def _mail(delivery: Delivery, opened: Mapping[str, Any]) -> None:
    to = recipients(delivery.destination)
    if not to:
        raise Failure(Category.REJECTED, nobody(delivery.destination))
    # The same each time it is sent: mail programs show what comes twice once.
    headers = {"Message-ID": f"<message-{delivery.pk}@{_host()}>", "Auto-Submitted": "auto-generated"}
    text = delivery.body + _choice(delivery.destination)
    mail = EmailMultiAlternatives(delivery.subject, text, to=to, headers=headers)
    mail.attach_alternative(as_html(text), "text/html")
    try:
        mail.send()
    except (smtplib.SMTPAuthenticationError, smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused) as error:
        raise Failure(Category.REJECTED, f"The mail server refused it: {_said(error)}") from error
    except (smtplib.SMTPException, ssl.SSLError, OSError) as error:
        raise Failure(Category.TRANSIENT, f"The mail server did not take it: {_said(error)}") from error


def _choice(destination: Destination) -> str:
    """Where a person's own mail is from, and how it ends."""
    if destination.place is None:
        return ""
    with translation.override(destination.language):
        return f"\n\n{_('Choose what you are told')}: {settings.PUBLIC_URL}{reverse('account_alerts')}"


def as_html(text: str) -> str:
    """The same lines, with links to press."""
    return f'<div style="font-family: sans-serif; line-height: 1.5">{linebreaks(urlize(escape(text)))}</div>'


def _host() -> str:
    return urlsplit(settings.PUBLIC_URL).hostname or parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]


def _said(error: Exception) -> str:
    return str(error)[:EXCERPT]


# --- HTTP ------------------------------------------------------------------------------------------------------------


def new_secret() -> str:
    return secrets.token_urlsafe(32)


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """HMAC-SHA256 over "timestamp.body", in hexadecimal: an old message cannot be sent again with a new time."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def payload(delivery: Delivery) -> dict[str, Any]:
    """What a webhook is sent."""
    return {
        "id": delivery.pk,
        "purpose": delivery.purpose,
        "seller": delivery.destination.seller.slug,
        "subject": delivery.subject,
        "text": delivery.body,
        "created_at": delivery.created_at.isoformat(),
        **delivery.data,
    }


def _webhook(delivery: Delivery, opened: Mapping[str, Any]) -> None:
    body = json.dumps(payload(delivery)).encode()
    timestamp = str(int(timezone.now().timestamp()))
    headers = {
        "Entreposto-Delivery": str(delivery.pk),
        "Entreposto-Timestamp": timestamp,
        "Entreposto-Signature": f"sha256={signature(opened['secret'], timestamp, body)}",
    }
    call("POST", opened["url"], body, headers)


def _chat(delivery: Delivery, opened: Mapping[str, Any]) -> None:
    call("POST", opened["url"], json.dumps({"text": _text(delivery)}).encode())


def _telegram(delivery: Delivery, opened: Mapping[str, Any]) -> None:
    body = {"chat_id": opened["chat"], "text": _text(delivery), "disable_web_page_preview": True}
    address = f"{settings.TELEGRAM_URL}/bot{opened['token']}/sendMessage"
    call("POST", address, json.dumps(body).encode(), of_operator=True)


def _text(delivery: Delivery) -> str:
    return f"{delivery.subject}\n\n{delivery.body}"[:LONGEST_TEXT]


def call(
    method: str, address: str, body: bytes = b"", headers: Mapping[str, str] | None = None, *, of_operator: bool = False
) -> None:
    """One call within ten seconds, without redirects, to public addresses only unless whoever runs the hub chose it.

    Raises `Failure`; its words never hold the address, since a chat's is a secret.
    """
    host = urlsplit(address).hostname
    private = of_operator or settings.SIMULATORS or host in settings.PRIVATE_HOSTS
    sent = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": AGENT, **(headers or {})}
    with deadline.within(SECONDS, allow_private=private) as guard:
        try:
            response = deadline.session().request(
                method,
                address,
                data=body,
                headers=sent,
                timeout=(CONNECT_SECONDS, SECONDS),
                allow_redirects=False,
                stream=True,
            )
            with response:
                said = response.raw.read(EXCERPT).decode("utf-8", "replace")
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
            raise Failure(Category.REJECTED, "This is not an address.") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise _unanswered(error, guard.fired) from error
    if not 200 <= response.status_code < 300:
        raise _refused(response, said)


def _unanswered(error: Exception, late: bool) -> Failure:
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, deadline.PrivateAddress):
            return Failure(Category.REJECTED, str(deadline.PrivateAddress.__doc__), code="private_address")
        inner = inner.__cause__ or inner.__context__
    if late or isinstance(error, requests.Timeout):
        return Failure(Category.TRANSIENT, f"No complete answer within {SECONDS:g} seconds.")
    return Failure(Category.TRANSIENT, "The other side could not be reached.")


def _refused(response: requests.Response, said: str) -> Failure:
    status = response.status_code
    lasting = 300 <= status < 500 and status not in (408, 425, 429)
    seconds = response.headers.get("Retry-After", "")
    wait = timedelta(seconds=min(int(seconds), LONGEST_PAUSE)) if seconds.isdigit() else None
    return Failure(
        Category.REJECTED if lasting else Category.TRANSIENT,
        f"It answered {status}: {said}" if said else f"It answered {status}.",
        status=status,
        retry_at=timezone.now() + wait if wait else None,
    )


SENDERS: dict[str, Callable[[Delivery, Mapping[str, Any]], None]] = {
    Destination.Kind.EMAIL: _mail,
    Destination.Kind.WEBHOOK: _webhook,
    Destination.Kind.CHAT: _chat,
    Destination.Kind.TELEGRAM: _telegram,
}
