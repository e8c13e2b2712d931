"""How safe a commit is from the crash of the database server.

A commit that waits for the disk costs more than the statement before it. The work of the hub mostly needs no such
wait: what a crash takes back (the last moments, never a part of them, nor anything from their midst) is read again from
the services, which still have it. What cannot be read again waits: it is written down for good before it goes out.

On SQLite all commits are of the first kind (`PRAGMA synchronous=NORMAL`).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, InterfaceError, connection

# Evaluated in a statement, this makes the commit that the statement is part of wait, and all before it with it.
LASTING = "set_config('synchronous_commit', 'on', true)"


@contextmanager
def repeatable() -> Iterator[None]:
    """The commits inside do not wait for the disk, but for those that are said to be `lasting`."""
    if connection.vendor != "postgresql" or connection.in_atomic_block:
        yield
        return
    _execute("SET synchronous_commit = off")
    try:
        yield
    finally:
        _back_to_default()


def lasting() -> None:
    """The transaction that this is called in waits for the disk."""
    if connection.vendor == "postgresql":
        _execute(f"SELECT {LASTING}")


def _back_to_default() -> None:
    if connection.connection is None:
        return
    try:
        _execute("RESET synchronous_commit")
    except (DatabaseError, InterfaceError):
        # The next one begins as it should.
        connection.close()


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
