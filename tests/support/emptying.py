"""Empties the database after a test that committed. Django truncates every table and writes its permissions anew, which
takes a second or more for some fifty tables; deleting the few rows there are takes a hundredth of that.
"""

import time
from typing import Any

from django.db import IntegrityError, OperationalError, connection, transaction
from django.test import TransactionTestCase

# What `migrate` wrote stays.
KEPT = frozenset({"django_migrations", "django_content_type", "auth_permission"})

TRIES, PAUSE_SECONDS = 3, 0.5


def install() -> None:
    TransactionTestCase._fixture_teardown = _empty  # type: ignore[attr-defined]


def _empty(case: Any) -> None:
    """A request of a page that is closed by now may still be writing: then once more."""
    for attempt in range(1, TRIES + 1):
        try:
            return _delete()
        except (IntegrityError, OperationalError):
            if attempt == TRIES:
                raise
            time.sleep(PAUSE_SECONDS)
    return None


def _delete() -> None:
    tables = [name for name in connection.introspection.django_table_names(only_existing=True) if name not in KEPT]
    # Foreign keys are checked when the transaction ends: the order does not matter.
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA defer_foreign_keys = ON")
        for name in _used(cursor, tables):
            cursor.execute(f"DELETE FROM {connection.ops.quote_name(name)}")  # noqa: S608 - our own tables


def _used(cursor: Any, tables: list[str]) -> list[str]:
    """The tables that hold rows: one question, not one for each."""
    asked = " UNION ALL ".join(
        f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {connection.ops.quote_name(name)})"  # noqa: S608
        for name in tables
    )
    cursor.execute(asked)
    return [name for (name,) in cursor.fetchall()]
