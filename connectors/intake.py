"""From announcement to order: stored verbatim first, interpreted after. What cannot be read stays as a row that a
person sees and can replay.
"""

import logging
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

from django.db import InterfaceError, OperationalError
from django.db import connection as database
from django.utils import timezone
from pydantic import ValidationError

from connectors import planning, registry
from connectors.contract import Change, SaleState
from connectors.failures import Category, Failure, Refusal, cause_of, unexpected
from connectors.models import Connection, InboxEntry
from connectors.reading import parse_json
from orders.documents import OrderDocument, storable
from orders.ingest import Ingested, Refused, ingest
from orders.models import SalesChannel

log = logging.getLogger(__name__)

LARGEST_DOCUMENT = 10 * 1024 * 1024
# The database is away: no document's fault. It stays as it is and is read when the database is back.
AWAY = (OperationalError, InterfaceError)


def store(connection: Connection, changes: Sequence[Change], source: str, topic: str = "") -> list[InboxEntry]:
    """Keeps each document that has not been announced before, byte for byte. Returns the new rows."""
    rows = {
        (name, digest): InboxEntry(
            connection=connection,
            external_id=name,
            digest=digest,
            body=change.body,
            source=source,
            topic=topic,
        )
        for change in changes
        for name, digest in [(storable(change.external_id)[:200], sha256(change.body).hexdigest())]
    }
    # By both halves of the unique key, so that its index is used.
    same = InboxEntry.objects.filter(
        connection=connection,
        external_id__in={row.external_id for row in rows.values()},
        digest__in=[digest for _, digest in rows],
    )
    for key in same.values_list("external_id", "digest"):
        rows.pop(key, None)
    if not rows:
        return []
    InboxEntry.objects.bulk_create(rows.values(), ignore_conflicts=True)
    return list(same.filter(digest__in=[digest for _, digest in rows], state=InboxEntry.State.WAITING))


def read(connection: Connection, entries: Sequence[InboxEntry]) -> list[Ingested]:
    """Interprets stored documents of a channel: one bad one is one bad row, the others become orders."""
    if not entries or connection.channel is None:
        return []
    documents: list[tuple[OrderDocument, InboxEntry]] = []
    for entry in entries:
        try:
            documents.append((_understand(connection, entry), entry))
        except Failure as failure:
            reject(entry, failure)
    return _take(connection, connection.channel, documents)


def _take(
    connection: Connection, channel: SalesChannel, documents: Sequence[tuple[OrderDocument, InboxEntry]]
) -> list[Ingested]:
    """All at once; one by one where something among them cannot be written, so that it takes no other with it."""
    if not documents:
        return []
    sources = {id(document): entry for document, entry in documents}
    try:
        results = ingest(
            channel,
            [document for document, _entry in documents],
            then=lambda results: _settle(connection, results, sources),
        )
    except AWAY:
        raise
    except Exception as error:  # noqa: BLE001 - a document must never take its worker down
        if len(documents) > 1:
            return [taken for one in documents for taken in _take(connection, channel, [one])]
        reject(documents[0][1], bug(error, f"order of connection {connection.pk}"))
        return []
    return [result for result in results if isinstance(result, Ingested)]


def _settle(connection: Connection, results: Sequence[Ingested | Refused], sources: dict[int, InboxEntry]) -> None:
    """In the ingest's own transaction: the work that the changes call for, and what became of each entry."""
    taken = [result for result in results if isinstance(result, Ingested)]
    planning.after_ingest(connection, taken)
    for result in results:
        if isinstance(result, Refused):
            reject(sources[id(result.document)], Refusal(result.message))
    InboxEntry.objects.filter(pk__in=[sources[id(result.document)].pk for result in taken]).update(
        state=InboxEntry.State.READ,
        read_at=timezone.now(),
        error="",
        error_path="",
        cause="",
        order=taken[0].order if len(taken) == 1 else None,
    )


def _understand(connection: Connection, entry: InboxEntry) -> OrderDocument:
    document = interpret(connection.kind, bytes(entry.body), connection.settings)
    if not isinstance(document, OrderDocument):
        raise Failure(Category.BUG, f"The mapping of {connection.kind} gave no order.")
    return document


def interpret(kind: str, body: bytes, settings: dict[str, object]) -> OrderDocument | SaleState:
    """Raw bytes -> canonical document. Raises `Failure`: a `Refusal` with a JSON path, or a bug of ours."""
    mapping: Callable[..., OrderDocument | SaleState] = registry.mapping_of(kind)
    if len(body) > LARGEST_DOCUMENT:
        raise Refusal(f"The document is larger than {LARGEST_DOCUMENT // 1024 // 1024} MB.", path="$")
    raw = parse_json(body)
    try:
        return mapping(raw, settings)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        raise Refusal(f"{first['msg']} ({error.error_count()} in all)", path=path) from error
    except Failure:
        raise
    except Exception as error:  # noqa: BLE001 - a document must never take its worker down
        raise bug(error, f"mapping of {kind}") from error


def bug(error: Exception, what: str) -> Failure:
    """Whatever escapes is a bug of ours: logged with its traceback, and said where a person looks."""
    log.error("%s failed", what, exc_info=error)
    return unexpected(error)


def reject(entry: InboxEntry, failure: Failure) -> None:
    InboxEntry.objects.filter(pk=entry.pk).update(
        state=InboxEntry.State.REJECTED,
        error=failure.message[:2000],
        error_path=failure.path[:255],
        cause=cause_of(failure),
        attempts=entry.attempts + 1,
    )


def keep(connection: Connection, change: Change, topic: str, *, useful: bool) -> None:
    """Keeps a push that is itself no document: what it names is fetched. By hand, since a service waits for its answer
    and `bulk_create` takes longer than the database."""
    state = InboxEntry.State.READ if useful else InboxEntry.State.IGNORED
    now = timezone.now()
    row: dict[str, Any] = {
        "connection_id": connection.pk,
        "external_id": storable(change.external_id)[:200],
        "digest": sha256(change.body).hexdigest(),
        "body": change.body,
        "source": "push",
        "topic": storable(topic)[:80],
        "state": state.value,
        "error": "",
        "error_path": "",
        "cause": "",
        "attempts": 0,
        "received_at": now,
        "read_at": now,
    }
    statement = f"""
        INSERT INTO {InboxEntry._meta.db_table} ({", ".join(row)}) VALUES ({", ".join(["%s"] * len(row))})
        ON CONFLICT DO NOTHING
    """  # noqa: S608 - names of our own columns; every value is a parameter
    with database.cursor() as cursor:
        cursor.execute(statement, [*row.values()])
