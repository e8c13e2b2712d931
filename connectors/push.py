"""Pushes from outside: verified, stored, answered at once. The work comes later; the push is a hint.

`/push/<kind>/<key>/` is one connection's own address. `/push/<kind>/app/` serves services that push for all sellers
of one application; the account named in the push says whose it is.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from connectors import hints, intake, ledger, planning, registry, tokens
from connectors.contract import Account, Announcement, BadSignature, Capability, Change, PushRequest, Service
from connectors.failures import Failure
from connectors.http import Client
from connectors.models import Connection
from connectors.work import account_of
from orders.documents import storable

log = logging.getLogger(__name__)

APPLICATION = "app"
# A push says what changed, not what it is: anything larger is no push.
LARGEST_PUSH = 1024 * 1024
# Written once a push, all pushes of a busy account would wait for the lock of its one row.
SEEN_EVERY = timedelta(seconds=15)
# What a person changes of a connection holds for its pushes this much later.
DOOR_SECONDS = 2.0
MOST_DOORS = 1000


@csrf_exempt
@require_POST
def receive(request: HttpRequest, kind: str, key: str) -> HttpResponse:
    """200 once stored; 401 for a wrong signature; 404 for an address nobody has; 413 too large."""
    try:
        service = registry.service(kind)
    except Failure:
        return HttpResponse(status=404)
    if Capability.PUSH not in service.capabilities:
        return HttpResponse(status=404)
    if len(request.body) > LARGEST_PUSH:
        return HttpResponse(status=413)
    door = _door(service, key)
    if door is None:
        return HttpResponse(status=404)
    return _accept(service, door, _push_request(request))


@dataclass(frozen=True)
class _Door:
    """An address and who answers there; without a connection it is the application's."""

    connection: Connection | None
    adapter: Any
    until: float


_doors: dict[tuple[str, str], _Door] = {}


def _door(service: Service, key: str) -> _Door | None:
    """A burst of pushes reads its connection once."""
    known = _doors.get((service.kind, key))
    if known is not None and known.until > time.monotonic():
        return known
    connection, account = None, _anonymous(service)
    if key != APPLICATION:
        rows = Connection.objects.select_related("credential")
        connection = rows.filter(kind=service.kind, push_key=key).first()
        if connection is None:
            return None
        account = account_of(connection, service, tokens.held(connection))
    if len(_doors) >= MOST_DOORS:
        _doors.clear()
    adapter = registry.load(service.adapter)(account, Client(account, service))
    door = _doors[service.kind, key] = _Door(connection, adapter, time.monotonic() + DOOR_SECONDS)
    return door


def _push_request(request: HttpRequest) -> PushRequest:
    headers = {name.lower(): value for name, value in request.headers.items()}
    return PushRequest(request.body, headers, request.GET.dict())


def _accept(service: Service, door: _Door, push: PushRequest) -> HttpResponse:
    connection = door.connection
    try:
        announcements: Sequence[Announcement] = door.adapter.read_push(push)
    except BadSignature:
        log.warning("push to %s with a wrong signature", service.kind)
        return HttpResponse(status=401)
    except Failure as failure:
        return _unreadable(connection, push, failure)
    except Exception as error:  # noqa: BLE001 - a stranger's bytes must neither break this page nor get lost
        return _unreadable(connection, push, intake.bug(error, f"push to {service.kind}"))
    if not announcements and connection is not None:
        _store(connection, Announcement(""), push)
    for announcement in announcements:
        owners = [connection] if connection else _owners(service.kind, announcement.account)
        for owner in owners:
            _store(owner, announcement, push)
        if not owners:
            log.warning("push to %s for unknown account %s", service.kind, announcement.account)
    return HttpResponse(status=200)


def _unreadable(connection: Connection | None, push: PushRequest, failure: Failure) -> HttpResponse:
    """Kept and shown where we know whose it is. Answered 200 all the same: a refusal makes services switch off."""
    if connection is None:
        log.warning("unreadable push: %s", failure)
        return HttpResponse(status=400)
    for entry in intake.store(connection, [Change("push", push.body)], "push"):
        intake.reject(entry, failure)
    return HttpResponse(status=200)


def _store(connection: Connection, announcement: Announcement, push: PushRequest) -> None:
    """The push verbatim and the work it calls for, in one transaction."""
    name = f"push:{announcement.event_id or announcement.external_id or announcement.topic}"
    with hints.behind(), transaction.atomic():
        intake.keep(connection, Change(name, push.body), announcement.topic, useful=bool(announcement.external_id))
        if announcement.external_id:
            ledger.ask([planning.fetch_step(connection, storable(announcement.external_id)[:200])])
    _seen(connection)


def _seen(connection: Connection) -> None:
    now = timezone.now()
    if connection.last_push_at is None or now - connection.last_push_at > SEEN_EVERY:
        connection.last_push_at = now
        Connection.objects.filter(pk=connection.pk).update(last_push_at=now)


def _owners(kind: str, account: str) -> list[Connection]:
    """Every connection of the account: whoever else has typed its number must not take the owner's pushes."""
    return list(Connection.objects.filter(kind=kind, external_account=account)) if account else []


def _anonymous(service: Service) -> Account:
    return Account(0, service.kind, "", {}, service.hosts, {})
