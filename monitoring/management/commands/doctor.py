import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import redis
from django.conf import settings
from django.core.checks import run_checks
from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from connectors.models import Connection, Credential
from hub import vault
from monitoring.models import Heartbeat
from monitoring.system.parts import SILENT_AFTER


@dataclass
class Finding:
    good: bool
    what: str
    mend: str = ""


class Command(BaseCommand):
    help = "Checks this installation and says how to mend what is wrong. Exit 1 if something is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--stopped", action="store_true", help="workers and clock are not expected to run")

    def handle(self, *args: Any, **options: Any) -> None:
        wrong = 0
        for check in CHECKS:
            if check is clock and options["stopped"]:
                continue
            for finding in check():
                self.stdout.write(f"{'ok   ' if finding.good else 'WRONG'} {finding.what}")
                if not finding.good:
                    wrong += 1
                    self.stdout.write(f"      -> {finding.mend}")
        if wrong:
            raise SystemExit(1)


def python() -> Iterator[Finding]:
    version = sys.version_info
    good = (3, 11) <= version[:2] <= (3, 13)
    yield Finding(good, f"Python {version.major}.{version.minor}", "Use Python 3.11, 3.12 or 3.13.")


def configuration() -> Iterator[Finding]:
    if settings.DEBUG and not settings.EMBEDDED:
        yield Finding(False, "DEBUG is on", "Unset DEBUG on a server: error pages show settings.")
    if not settings.EMBEDDED and settings.SIMULATORS:
        yield Finding(False, "SIMULATORS is on", "Unset it on a server: it allows calls to local addresses.")
    # Django's own deployment checks fit a server; the embedded hub listens on loopback alone.
    for message in run_checks(include_deployment_checks=not settings.EMBEDDED):
        yield Finding(False, str(message.msg), str(message.hint or "See Django's deployment checklist."))
    yield Finding(True, f"settings: {'embedded' if settings.EMBEDDED else 'server'}, {settings.PUBLIC_URL}")


def database() -> Iterator[Finding]:
    try:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        yield Finding(False, f"database: {error}", "Start it, and check DATABASE_URL.")
        return
    yield Finding(not plan, f"database: {connection.vendor}, migrations", "Run: python manage.py migrate")


# Seconds; two machines may be off in opposite directions.
FURTHEST_APART = 2.0


def agreement() -> Iterator[Finding]:
    """Leases are written by one machine and judged by another: between them lie eight seconds at the most."""
    if connection.vendor != "postgresql":
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            apart = abs((cursor.fetchone()[0] - timezone.now()).total_seconds())
    except DatabaseError:
        # `database` has said so.
        return
    text = f"clock: {apart:.1f} s apart from the database's"
    yield Finding(apart < FURTHEST_APART, text, "Let NTP set the clocks: with other times, jobs are done twice.")


def broker() -> Iterator[Finding]:
    if not settings.REDIS_URL:
        yield Finding(settings.EMBEDDED, "broker: in this process", "Set REDIS_URL: several processes need Redis.")
        return
    try:
        client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=3)
        policy = client.config_get("maxmemory-policy").get("maxmemory-policy", "noeviction")
    except redis.RedisError as error:
        yield Finding(False, f"broker: {error}", "Start Redis, and check REDIS_URL.")
        return
    good = policy == "noeviction"
    yield Finding(good, f"broker: Redis, {policy}", "Set maxmemory-policy noeviction: evicted queues lose messages.")


def credentials() -> Iterator[Finding]:
    locked = stale = 0
    for row in Credential.objects.exclude(sealed="").iterator():
        try:
            row.open()
            stale += not vault.is_current(row.sealed)
        except vault.VaultLocked:
            locked += 1
    yield Finding(not locked, f"secrets: {locked} cannot be opened", "Put their key back into CREDENTIAL_KEYS.")
    yield Finding(not stale, f"secrets: {stale} under an older key", "Run: python manage.py rotate_credentials")


def clock() -> Iterator[Finding]:
    seen = dict(Heartbeat.objects.values_list("name", "at"))
    for name, beat, remedy in (
        ("beat", Heartbeat.CLOCK, "Start one Celery beat."),
        ("workers", Heartbeat.WORKER, "Start a Celery worker; where one runs, look at the clock and the broker."),
    ):
        age = timezone.now() - seen[beat] if beat in seen else None
        said = "never seen" if age is None else f"last seen {age.total_seconds():.0f} s ago"
        yield Finding(age is not None and age < SILENT_AFTER, f"{name}: {said}", remedy)


def connections() -> Iterator[Finding]:
    for one in Connection.objects.select_related("seller"):
        good = one.state in (Connection.State.ACTIVE, Connection.State.PAUSED) and one.poll_failures < 3
        yield Finding(
            good,
            f"connection {one.seller} / {one}: {one.get_state_display()} {one.last_error[:120]}".rstrip(),
            "Open it under Connections: it says what to do.",
        )


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    python,
    configuration,
    database,
    agreement,
    broker,
    credentials,
    clock,
    connections,
)
