from unittest.mock import patch

import pytest
from django.db import OperationalError
from django.test import Client

from monitoring.models import Heartbeat
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


def test_not_ready_without_a_database() -> None:
    with patch("monitoring.views.connection.cursor", side_effect=OperationalError("gone")):
        answer = Client().get("/health/ready")
    assert answer.status_code == 503
