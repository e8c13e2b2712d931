"""A page of announcements on its way in, from a poll, a push or a backfill."""

from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from connectors import intake, planning, sales
from connectors.contract import Change, Role
from connectors.models import Connection, InboxEntry


def arrived(connection: Connection, changes: Sequence[Change], source: str, *, priority: int | None = None) -> int:
    """A page of changes: complete ones are read at once, the others are fetched by jobs. Returns how many were new."""
    complete = [change for change in changes if change.complete]
    partial = [change for change in changes if not change.complete]
    new = 0
    if partial:
        with transaction.atomic():
            entries = intake.store(connection, partial, source)
            planning.ask_fetches(connection, entries, partial, priority)
            planning.ask_again(connection, partial, priority)
            InboxEntry.objects.filter(pk__in=[entry.pk for entry in entries]).update(
                state=InboxEntry.State.READ, read_at=timezone.now()
            )
        new += len(entries)
    if complete:
        entries = intake.store(connection, complete, source)
        read_entries(connection, entries)
        new += len(entries)
    return new


def read_entries(connection: Connection, entries: Sequence[InboxEntry]) -> None:
    """Reads what was stored, whatever the connection's role."""
    if connection.role == Role.CHANNEL:
        intake.read(connection, entries)
    else:
        sales.read(connection, entries)
