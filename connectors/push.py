"""Pushes from outside: verified, stored, answered at once. The work comes later; the push is a hint.

`/push/<kind>/<key>/` is one connection's own address. `/push/<kind>/app/` serves services that push for all sellers
of one application; the account named in the push says whose it is.
"""

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from connectors import hints, intake, ledger, registry
from connectors.contract import Account, Announcement, BadSignature, Capability, Change, PushRequest, Role, Service
from connectors.failures import Failure
from connectors.http import Client
from connectors.ledger import Step
from connectors.models import Connection, Credential
from connectors.work import account_of

log = logging.getLogger(__name__)

APPLICATION = "app"
# A push says what changed, not what it is: anything larger is no push.
LARGEST_PUSH = 1024 * 1024
# Written once a push, all pushes of a busy account would wait for the lock of its one row.
SEEN_EVERY = timedelta(seconds=15)


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
    connection = None
    if key != APPLICATION:
        connection = Connection.objects.select_related("credential").filter(kind=kind, push_key=key).first()
        if connection is None:
            return HttpResponse(status=404)
    return _accept(service, connection, _push_request(request))


def _push_request(request: HttpRequest) -> PushRequest:
    headers = {name.lower(): value for name, value in request.headers.items()}
    return PushRequest(request.body, headers, request.GET.dict())


def _accept(service: Service, connection: Connection | None, push: PushRequest) -> HttpResponse:
    account = _anonymous(service)
    if connection is not None:
        account = account_of(connection, service, _secrets(connection))
    adapter = registry.load(service.adapter)(account, Client(account, service))
    try:
        announcements: Sequence[Announcement] = adapter.read_push(push)
    except BadSignature:
        log.warning("push to %s with a wrong signature", service.kind)
        return HttpResponse(status=401)
    except Failure as failure:
        return _unreadable(connection, push, failure)
    if not announcements and connection is not None:
        _store(connection, Announcement(""), push)
    for announcement in announcements:
        owner = connection or _owner(service.kind, announcement.account)
        if owner is not None:
            _store(owner, announcement, push)
        else:
            log.warning("push to %s for unknown account %s", service.kind, announcement.account)
    return HttpResponse(status=200)


def _secrets(connection: Connection) -> dict[str, Any]:
    """Of the row that came with the connection, in the same statement."""
    held: Credential | None = getattr(connection, "credential", None)
    return held.open() if held else {}


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
    operation = "fetch" if connection.role == Role.CHANNEL else "read_erp"
    with hints.behind(), transaction.atomic():
        intake.keep(connection, Change(name, push.body), announcement.topic, useful=bool(announcement.external_id))
        if announcement.external_id:
            ledger.ask([Step(connection.pk, operation, announcement.external_id)])
    _seen(connection)


def _seen(connection: Connection) -> None:
    now = timezone.now()
    if connection.last_push_at is None or now - connection.last_push_at > SEEN_EVERY:
        Connection.objects.filter(pk=connection.pk).update(last_push_at=now)


def _owner(kind: str, account: str) -> Connection | None:
    return Connection.objects.filter(kind=kind, external_account=account).first() if account else None


def _anonymous(service: Service) -> Account:
    return Account(0, service.kind, "", {}, service.hosts, {})
