"""From announcement to order: stored verbatim first, interpreted after. What cannot be read stays as a row that a
person sees and can replay.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import TypeVar

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

D = TypeVar("D", OrderDocument, SaleState)

LARGEST_DOCUMENT = 10 * 1024 * 1024
# The database is away: no document's fault. It stays as it is and is read when the database is back.
AWAY = (OperationalError, InterfaceError)


def store(connection: Connection, changes: Sequence[Change], source: str, topic: str = "") -> list[InboxEntry]:
    """Keeps each document that has not been announced before, byte for byte. Returns the new rows."""
    rows = {
        (entry.external_id, entry.digest): entry
        for change in changes
        for entry in [_entry(connection, change, source, topic)]
    }
    if len(rows) > 1:
        # Pages mostly repeat what is here: their bodies need not travel again.
        same = InboxEntry.objects.filter(
            # By both halves of the unique key, so that its index is used.
            connection=connection,
            external_id__in={name for name, _ in rows},
            digest__in=[digest for _, digest in rows],
        )
        for key in same.values_list("external_id", "digest"):
            rows.pop(key, None)
    return _insert(list(rows.values()))


def _entry(connection: Connection, change: Change, source: str, topic: str) -> InboxEntry:
    return InboxEntry(
        connection=connection,
        external_id=storable(change.external_id)[:200],
        digest=sha256(change.body).hexdigest(),
        body=change.body,
        source=source,
        topic=storable(topic)[:80],
        received_at=timezone.now(),
    )


COLUMNS = (
    "connection_id", "external_id", "digest", "body", "source", "topic", "state", "error", "error_path", "cause",
    "attempts", "received_at", "read_at",
)  # fmt: skip


def _insert(entries: Sequence[InboxEntry]) -> list[InboxEntry]:
    """Those that were new, with their keys. By hand: services wait for it, and `bulk_create` takes longer than the
    database."""
    if not entries:
        return []
    row = f"({', '.join(['%s'] * len(COLUMNS))})"
    statement = f"""
        INSERT INTO {InboxEntry._meta.db_table} ({", ".join(COLUMNS)}) VALUES {", ".join([row] * len(entries))}
        ON CONFLICT DO NOTHING RETURNING id, external_id, digest
    """  # noqa: S608 - names of our own columns; every value is a parameter
    with database.cursor() as cursor:
        cursor.execute(
            statement,
            [
                str(value) if name == "state" else value
                for entry in entries
                for name in COLUMNS
                for value in [getattr(entry, name)]
            ],
        )
        keys = {(name, digest): pk for pk, name, digest in cursor.fetchall()}
    new = [entry for entry in entries if (entry.external_id, entry.digest) in keys]
    for entry in new:
        entry.pk, entry._state.adding = keys[entry.external_id, entry.digest], False
    return new


def read(connection: Connection, entries: Sequence[InboxEntry]) -> None:
    """Interprets stored documents of a channel: one bad one is one bad row, the others become orders."""
    if (channel := connection.channel) is not None:
        take(understood(connection, entries, OrderDocument), lambda read: _ingest(connection, channel, read))


def understood(connection: Connection, entries: Sequence[InboxEntry], kind: type[D]) -> list[tuple[InboxEntry, D]]:
    """Those that are such a document; the others become visible rows."""
    found = []
    for entry in entries:
        try:
            document = interpret(connection.kind, bytes(entry.body), connection.settings)
            if not isinstance(document, kind):
                raise Failure(Category.BUG, f"The mapping of {connection.kind} gave no order.")
            found.append((entry, document))
        except Failure as failure:
            reject(entry, failure)
    return found


def take(read: Sequence[tuple[InboxEntry, D]], write: Callable[[Sequence[tuple[InboxEntry, D]]], None]) -> None:
    """All at once; one by one where something among them cannot be written, so that it takes no other with it."""
    if not read:
        return
    try:
        write(read)
    except AWAY:
        raise
    except Exception as error:  # noqa: BLE001 - a document must never take its worker down
        if len(read) > 1:
            for one in read:
                take([one], write)
            return
        entry, _document = read[0]
        about = f"document of connection {entry.connection_id}"
        reject(entry, error if isinstance(error, Failure) else bug(error, about))


def _ingest(connection: Connection, channel: SalesChannel, read: Sequence[tuple[InboxEntry, OrderDocument]]) -> None:
    sources = {id(document): entry for entry, document in read}
    documents = [document for _entry, document in read]
    ingest(channel, documents, then=lambda results: _settle(connection, results, sources))


def _settle(connection: Connection, results: Sequence[Ingested | Refused], sources: dict[int, InboxEntry]) -> None:
    """In the ingest's own transaction: the work that the changes call for, and what became of each entry."""
    taken = [result for result in results if isinstance(result, Ingested)]
    planning.after_ingest(connection, taken)
    for result in results:
        if isinstance(result, Refused):
            reject(sources[id(result.document)], Refusal(result.message))
    mark_read({sources[id(result.document)].pk: result.order.pk for result in taken})


def mark_read(orders: Mapping[int, int | None]) -> None:
    """Entries that were understood, each with the order it is about; without one it is of no use here."""
    if not orders:
        return
    table, values = InboxEntry._meta.db_table, ", ".join(["(%s, %s)"] * len(orders))
    statement = f"""
        WITH understood (id, order_id) AS (VALUES {values})
        UPDATE {table} SET
            state = CASE WHEN understood.order_id IS NULL THEN 'ignored' ELSE 'read' END,
            order_id = CAST(understood.order_id AS bigint),
            read_at = %s, error = '', error_path = '', cause = ''
        FROM understood WHERE {table}.id = understood.id
    """  # noqa: S608 - names of our own columns; every value is a parameter
    with database.cursor() as cursor:
        cursor.execute(statement, [*(value for pair in orders.items() for value in pair), timezone.now()])


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
    """Keeps a push that is itself no document: what it names is fetched."""
    entry = _entry(connection, change, "push", topic)
    entry.state = InboxEntry.State.READ if useful else InboxEntry.State.IGNORED
    entry.read_at = entry.received_at
    _insert([entry])
