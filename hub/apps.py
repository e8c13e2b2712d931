from typing import Any

from django.apps import AppConfig
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created


class HubConfig(AppConfig):
    name = "hub"
    verbose_name = "Entreposto"

    def ready(self) -> None:
        from hub.people import signals  # noqa: F401  (connects itself)

        connection_created.connect(_compile_nothing)


def _compile_nothing(connection: BaseDatabaseWrapper, **_signal: Any) -> None:
    """PostgreSQL guesses that a page's statement over a large table is worth compiling: that takes several times as
    long as running it, each time anew."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET jit = off")
