"""The parts of the installation and whether each lives: database, broker, workers, clock."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import redis
from django.conf import settings
from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from monitoring.models import Heartbeat

# The clock writes through the queue every 15 seconds; four missed beats are no coincidence.
SILENT_AFTER = timedelta(seconds=60)
# A worker that gets a heartbeat only now and then, among many, is not gone.
FORGOTTEN_AFTER = timedelta(days=1)
QUEUE = settings.CELERY["task_default_queue"]


@dataclass(frozen=True)
class Part:
    """`code` for metrics, `name` and `detail` for people; `seen` where it shows its life from time to time."""

    code: str
    name: str
    good: bool
    detail: str
    seen: datetime | None = None


def parts(now: datetime | None = None) -> list[Part]:
    now = now or timezone.now()
    return [_database(), *_broker(), *_workers(now)]


def _database() -> Part:
    begun = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    taken = (time.monotonic() - begun) * 1000
    label = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}.get(connection.vendor, connection.vendor)
    return Part(
        "database", _("Database"), True, _("%(name)s, answers in %(time).1f ms") % {"name": label, "time": taken}
    )


def _broker() -> Iterator[Part]:
    if not settings.REDIS_URL:
        yield Part("broker", _("Broker"), True, _("in this process"))
        return
    waiting = queued()
    if waiting is None:
        yield Part("broker", _("Broker"), False, _("does not answer; nothing is lost, but work waits"))
    else:
        yield Part("broker", _("Broker"), True, _("Redis, %(count)s hints waiting") % {"count": waiting})


def queued() -> int | None:
    """Hints that wait in the broker; None when it does not answer, 0 where it is in this process."""
    if not settings.REDIS_URL:
        return 0
    try:
        return int(redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2).llen(QUEUE))
    except redis.RedisError:
        return None


def _workers(now: datetime) -> Iterator[Part]:
    beats = list(Heartbeat.objects.order_by("-at"))
    seen = {beat.name: beat.at for beat in beats}
    clock, worker = seen.get(Heartbeat.CLOCK), seen.get(Heartbeat.WORKER)
    ticks, works = _lives(clock, now), _lives(worker, now)
    detail = _("sends its heartbeats") if ticks else _("silent: start one clock (beat)")
    yield Part("clock", _("Clock"), ticks, detail, clock)
    if works:
        detail = _("the heartbeats arrive")
    else:
        detail = _("silent: start a worker") if ticks else _("unknown while the clock is silent")
    yield Part("workers", _("Workers"), works, detail, worker)
    for beat in beats:
        if beat.name.startswith(WORKER) and now - beat.at < FORGOTTEN_AFTER:
            name = beat.name.removeprefix(WORKER)
            yield Part("worker", _("Worker %(name)s") % {"name": name}, works or _lives(beat.at, now), "", beat.at)


def _lives(at: datetime | None, now: datetime) -> bool:
    return at is not None and now - at < SILENT_AFTER


# A worker's heartbeat is named after the machine it runs on.
WORKER = "worker:"
