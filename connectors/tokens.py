"""Access tokens, renewed by one worker at a time.

Several services hand out refresh tokens that work once: two workers that refresh together disconnect the seller. So
the credential row is locked, read again under the lock, and the new pair is committed before anyone uses it. This
is the one call that is made inside a transaction; it has a short deadline of its own.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from connectors import registry
from connectors.failures import Category, Failure
from connectors.models import Connection, Credential
from hub import commits, vault

# Renewed this long before they die, so that calls in flight do not fail together.
MARGIN = timedelta(seconds=90)

Refresh = Callable[[Mapping[str, Any]], dict[str, Any]]
"""(the vault's content as it is now) -> its new content; one call to the service."""


def store(connection: Connection, secrets: Mapping[str, Any], *, consented: bool = False) -> None:
    """`consented`: they come from the service's own page, so that its permission begins now."""
    kept = {"sealed": vault.seal(dict(secrets)), "expires_at": expiry(secrets)}
    if consented:
        kept["consent_until"] = _consent_end(connection)
    Credential.objects.update_or_create(connection=connection, defaults=kept)


def _consent_end(connection: Connection) -> datetime | None:
    service = registry.services().get(connection.kind)
    return timezone.now() + service.consent if service and service.consent else None


def consent_renews(connection: Connection) -> bool:
    """Whether each renewal of the tokens lets the permission begin anew."""
    service = registry.services().get(connection.kind)
    return service is not None and service.consent_renews


def renews_itself(credential: Credential, now: datetime) -> bool:
    """Whether its permission will not end as long as the connection works, which it does now."""
    alive = credential.expires_at is not None and credential.expires_at > now
    return alive and consent_renews(credential.connection)


def held(connection: Connection) -> dict[str, Any]:
    """As they came with the connection's row, in the same statement; else as they are now."""
    if not Connection.credential.is_cached(connection):
        return secrets_of(connection)
    row: Credential | None = getattr(connection, "credential", None)
    return row.open() if row else {}


def secrets_of(connection: Connection) -> dict[str, Any]:
    row = Credential.objects.filter(connection=connection).first()
    return row.open() if row else {}


def expiry(secrets: Mapping[str, Any]) -> datetime | None:
    value = secrets.get("expires_at")
    return datetime.fromisoformat(value) if isinstance(value, str) and value else None


class ConnectionTokens:
    """`http.Tokens` of one connection."""

    def __init__(self, connection: Connection, secrets: Mapping[str, Any], refresh: Refresh | None) -> None:
        self.connection = connection
        self.secrets = secrets
        self.refresh = refresh

    def current(self) -> str:
        if self.refresh is not None and _stale(self.secrets):
            return self.renew(str(self.secrets.get("access_token", "")))
        return str(self.secrets.get("access_token", ""))

    def renew(self, stale: str) -> str:
        if self.refresh is None:
            raise Failure(Category.AUTH, "The service no longer accepts this connection's key.", code="no_refresh")
        with transaction.atomic():
            row = Credential.objects.select_for_update().get(connection=self.connection)
            self.secrets = row.open()
            # A sibling may have renewed it while this one waited for the lock.
            if self.secrets.get("access_token") == stale or _stale(self.secrets):
                renewed = self.refresh(self.secrets)
                row.sealed, row.expires_at = vault.seal(dict(renewed)), expiry(renewed)
                if consent_renews(self.connection):
                    row.consent_until = _consent_end(self.connection)
                # The old ones may have died with this.
                commits.lasting()
                row.save(update_fields=["sealed", "expires_at", "consent_until", "changed_at"])
                # As it is stored, so that it can be compared with what is.
                self.secrets = row.open()
        return str(self.secrets["access_token"])


def _stale(secrets: Mapping[str, Any]) -> bool:
    if not secrets.get("access_token"):
        return True
    dies = expiry(secrets)
    return dies is not None and dies - MARGIN <= timezone.now()
