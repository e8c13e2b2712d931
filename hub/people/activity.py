"""The log of who did what. Rows are only ever added; `hub.models.Activity`."""

import logging
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from hub.models import Activity, Seller

log = logging.getLogger(__name__)


def record(
    actor: str,
    action: str,
    seller: Seller | None = None,
    subject: object = "",
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    request: HttpRequest | None = None,
) -> Activity:
    """One line. Of `before` and `after` only what differs is kept; hand no secrets to it."""
    old, new = differences(before or {}, after or {})
    return Activity.objects.create(
        actor=actor[:150],
        action=action,
        seller=seller,
        subject=str(subject)[:200],
        before=old,
        after=new,
        address=address_of(request) if request is not None else None,
    )


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return _named(before, names), _named(after, names)


def _named(values: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}


def address_of(request: HttpRequest) -> str | None:
    """Whose request it is. A proxy that is believed adds the address it saw at the end of X-Forwarded-For."""
    told = request.META.get("REMOTE_ADDR", "")
    if settings.SECURE_PROXY_SSL_HEADER:
        told = request.headers.get("X-Forwarded-For", told).rpartition(",")[2].strip()
    try:
        return str(ip_address(told))
    except ValueError:
        return None
