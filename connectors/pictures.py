"""A product's picture, fetched through the hub: pages ask no other host, and no shop sees who looks."""

from dataclasses import dataclass
from hashlib import sha256
from threading import BoundedSemaphore

from django.conf import settings
from django.core.cache import caches

from connectors.contract import Account, Role, Service
from connectors.failures import Failure
from connectors.http import Answer, Client, Surroundings

MOST_BYTES = 1024 * 1024
SECONDS = 4.0
KEPT_SECONDS = 24 * 3600
# A host that is away is not asked for each picture of a page again.
FAILURE_KEPT_SECONDS = 600
# No SVG: it is a document with scripts.
BEGINNINGS = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff", "image/webp": b"RIFF"}
SERVICE = Service("pictures", Role.CHANNEL, "Pictures", "", "")

# A host that hangs must not hold all threads that serve pages: the others wait a moment, then do without.
_slots = BoundedSemaphore(3)
_PATIENCE_SECONDS = 0.5


@dataclass(frozen=True)
class Picture:
    content: bytes = b""
    content_type: str = ""

    def __bool__(self) -> bool:
        return bool(self.content)


def picture(address: str) -> Picture:
    """From the cache or from its host; a false one where it cannot be had."""
    cache = caches["pictures"]
    key = sha256(address.encode("utf-8", "surrogatepass")).hexdigest()
    kept: Picture | None = cache.get(key)
    if kept is not None:
        return kept
    if not _slots.acquire(timeout=_PATIENCE_SECONDS):
        return Picture()
    try:
        found = _fetched(address)
    finally:
        _slots.release()
    cache.set(key, found, KEPT_SECONDS if found else FAILURE_KEPT_SECONDS)
    return found


def _fetched(address: str) -> Picture:
    if not address.startswith(("https://", "http://")):
        return Picture()
    account = Account(0, SERVICE.kind, "", {}, {}, {})
    client = Client(account, SERVICE, Surroundings(allow_private=settings.SIMULATORS))
    accepted = {"Accept": ", ".join(BEGINNINGS)}
    try:
        answer = client.get(
            address, operation="picture", signed=False, headers=accepted, seconds=SECONDS, largest=MOST_BYTES
        )
    except (Failure, ValueError):
        # The latter: it cannot even be read as an address.
        return Picture()
    return _checked(answer)


def _checked(answer: Answer) -> Picture:
    """What its host says it is must be what it is."""
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    beginning, content = BEGINNINGS.get(kind), answer.content
    if beginning is None or not content.startswith(beginning):
        return Picture()
    if kind == "image/webp" and content[8:12] != b"WEBP":
        return Picture()
    return Picture(content, kind)
