from datetime import timedelta
from unittest.mock import patch

import pytest
from celery.signals import before_task_publish
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from django.utils.translation import override

from monitoring.models import Heartbeat
from monitoring.system import parts
from monitoring.tasks import heartbeat


def test_live_asks_nothing_of_the_database() -> None:
    assert Client().get("/health/live").json() == {"live": True}


@pytest.mark.django_db
def test_ready_tells_the_age_of_each_heartbeat() -> None:
    assert Client().get("/health/ready").json()["heartbeat_seconds"] == {}
    heartbeat()
    heartbeat()
    # Of whichever worker, and of the one that ran it.
    assert sorted(Heartbeat.objects.values_list("name", flat=True)) == ["worker", "worker:here"]
    assert 0 <= Client().get("/health/ready").json()["heartbeat_seconds"]["worker"] < 5


@pytest.mark.django_db
def test_the_clock_shows_its_own_life_where_it_sends_the_heartbeat() -> None:
    with patch("monitoring.tasks.close_old_connections"):
        before_task_publish.send(sender="connectors.dispatch")
        assert not Heartbeat.objects.exists()
        before_task_publish.send(sender="monitoring.heartbeat")
    assert [beat.name for beat in Heartbeat.objects.all()] == [Heartbeat.CLOCK]


@pytest.mark.django_db
def test_the_parts_tell_a_silent_clock_from_silent_workers() -> None:
    def shown(clock: int, worker: int) -> dict[str, tuple[bool, str]]:
        for name, seconds in ((Heartbeat.CLOCK, clock), (Heartbeat.WORKER, worker)):
            Heartbeat.objects.update_or_create(name=name, defaults={"at": timezone.now() - timedelta(seconds=seconds)})
        with override("en"):
            return {part.code: (part.good, part.detail) for part in parts.parts() if part.code in ("clock", "workers")}

    assert shown(1, 1) == {"clock": (True, "sends its heartbeats"), "workers": (True, "the heartbeats arrive")}
    assert shown(1, 99)["workers"] == (False, "silent: start a worker")
    assert shown(99, 99) == {
        "clock": (False, "silent: start one clock (beat)"),
        "workers": (False, "unknown while the clock is silent"),
    }


def test_not_ready_without_a_database() -> None:
    with patch("monitoring.views.connection.cursor", side_effect=OperationalError("gone")):
        answer = Client().get("/health/ready")
    assert answer.status_code == 503
