"""Bling's webhooks: a signed summary of what changed. Only the id is taken; the document is read."""

import hashlib
import hmac
from collections.abc import Sequence

from connectors.contract import Announcement, BadSignature, PushRequest
from connectors.erps.bling.listing import INVOICE
from connectors.reading import Reader, parse_json

HEADER = "x-bling-signature-256"
_PREFIXES = {"order": "", "invoice": INVOICE}


def read(request: PushRequest, secret: str) -> Sequence[Announcement]:
    """Signed with HMAC-SHA256 of the raw body under the application's client secret."""
    expected = "sha256=" + hmac.new(secret.encode(), request.body, hashlib.sha256).hexdigest()
    given = request.headers.get(HEADER, "").strip()
    if not secret or not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
        raise BadSignature("The push does not carry the signature of this application's client secret.")
    push = Reader(parse_json(request.body, what="push"))
    topic = push.text("event", "")
    resource = topic.partition(".")[0]
    external_id = ""
    if resource in _PREFIXES:
        external_id = _PREFIXES[resource] + push.text("data.id")
    return [
        Announcement(
            external_id=external_id,
            topic=topic[:80],
            account=push.text("companyId", ""),
            event_id=push.text("eventId", ""),
        )
    ]
