"""Watched from outside: the address that says whether the hub works, and the help it calls when nobody is at work."""

from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from hub.environment import mail
from monitoring.alerts import rescue
from monitoring.models import Delivery, Heartbeat
from monitoring.tasks import alert, heartbeat
from tests.monitoring.alerts.receivers import Receiver
from tests.monitoring.world import World


def silent_for(minutes: float) -> None:
    Heartbeat.objects.update_or_create(name="worker", defaults={"at": timezone.now() - timedelta(minutes=minutes)})


@pytest.mark.django_db
def test_it_beats_only_while_worker_and_clock_live() -> None:
    answer = Client().get("/health/beat")
    assert answer.status_code == 503
    assert answer.json() == {"beating": False, "database": "reachable", "heartbeat_seconds": None}
    heartbeat()
    answer = Client().get("/health/beat")
    assert answer.status_code == 200 and answer.json()["heartbeat_seconds"] < 5
    silent_for(1.4)
    assert Client().get("/health/beat").status_code == 200
    silent_for(1.6)
    assert Client().get("/health/beat").status_code == 503


def test_no_database_no_beat() -> None:
    with patch("monitoring.views.Heartbeat.objects.filter", side_effect=OperationalError("gone")):
        answer = Client().get("/health/beat")
    assert answer.status_code == 503 and answer.json()["database"] == "unreachable"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/health/beat", "/health/ready"])
def test_whoever_asks_sets_the_alarm_going_when_no_worker_lives(
    world: World, receiver: Receiver, settings: Any, path: str
) -> None:
    from hub import vault
    from monitoring.models import AlertRule, Destination

    there = Destination.objects.create(
        seller=world.seller, name="There", kind="chat", sealed=vault.seal({"url": receiver.url})
    )
    AlertRule.objects.create(seller=world.seller, kind="process_silent").destinations.add(there)
    silent_for(2)
    with patch("threading.Thread.start") as start:
        Client().get(path)
    assert not start.called
    silent_for(6)
    Client().get(path)
    for thread in [one for one in __import__("threading").enumerate() if one.name == "alerts"]:
        thread.join(timeout=10)
    assert Delivery.objects.get().state == Delivery.State.SENT
    assert "nenhum worker" in receiver.calls[0].body.decode()


@pytest.mark.django_db
def test_trouble_in_the_rescue_is_not_the_visitors() -> None:
    with (
        patch("monitoring.alerts.watch.tick", side_effect=OperationalError("gone")),
        patch("monitoring.alerts.rescue.connection.close"),
        patch("monitoring.alerts.rescue.close_old_connections"),
    ):
        rescue.look()
        rescue.look()


@pytest.mark.django_db
def test_the_task_looks_and_sends(world: World, receiver: Receiver) -> None:
    from hub import vault
    from monitoring.models import AlertRule, Destination

    there = Destination.objects.create(
        seller=world.seller, name="There", kind="chat", sealed=vault.seal({"url": receiver.url})
    )
    AlertRule.objects.create(seller=world.seller, kind="process_silent").destinations.add(there)
    silent_for(30)
    alert()
    assert len(receiver.calls) == 1


def test_the_mail_server_comes_from_one_address() -> None:
    found = mail("smtp+tls://me%40example.com:p%2Fw@mail.example.com")
    assert (found["EMAIL_HOST"], found["EMAIL_PORT"]) == ("mail.example.com", 587)
    assert (found["EMAIL_HOST_USER"], found["EMAIL_HOST_PASSWORD"]) == ("me@example.com", "p/w")
    assert found["EMAIL_USE_TLS"] and not found["EMAIL_USE_SSL"]
    assert mail("smtps://mail.example.com:1465")["EMAIL_PORT"] == 1465
    for wrong in ("mail.example.com", "http://mail.example.com", "smtp://"):
        with pytest.raises(ImproperlyConfigured):
            mail(wrong)
