"""Each kind of rule: what it calls for, and what it leaves alone."""

from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.utils import timezone, translation

from connectors.models import Connection, Credential, Job
from monitoring.alerts import causes, defaults, wording
from monitoring.alerts.causes import Cause
from monitoring.alerts.silence import Silence
from monitoring.models import Alert, AlertRule, Destination, Heartbeat, Incident
from tests.monitoring.world import World

pytestmark = pytest.mark.django_db
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def of(world: World, kind: str, **params: Any) -> list[Cause]:
    return causes.of(AlertRule(seller=world.seller, kind=kind, params=params), timezone.now())


def said(cause: Cause) -> str:
    with translation.override("en"):
        return wording.sentence(cause.code, cause.data)


def test_a_report_with_rows(world: World, other: World) -> None:
    kind = "report_rows"
    other.order("1", ship_by=timezone.now() - MINUTE, exported_at=timezone.now())
    assert of(world, kind, report="awaiting_invoice", case="late") == []
    world.order("1", ship_by=timezone.now() - MINUTE, exported_at=timezone.now())
    world.order("2", ship_by=timezone.now() + 100 * MINUTE, exported_at=timezone.now())
    found = of(world, kind, report="awaiting_invoice", case="late")
    assert [(one.count, one.path) for one in found] == [(1, "/reports/awaiting_invoice/?case=late")]
    assert said(found[0]).endswith("(Late): 1 order")
    assert of(world, kind, report="awaiting_invoice", case="late", rows=2) == []
    assert of(world, kind, report="awaiting_invoice", case="", rows=2)[0].count == 2
    assert of(world, kind, report="gone") == []


def test_a_report_with_an_old_row(world: World) -> None:
    long_ago = timezone.now() - 50 * MINUTE
    order = world.order("1", approved_at=long_ago, placed_at=long_ago)
    world.export_job(order)
    found = of(world, "report_age")
    assert [one.key for one in found] == ["report_age:untransmitted:"]
    assert "1 order, waiting for 50 min" in said(found[0])
    assert of(world, "report_age", minutes=60) == []
    assert of(world, "report_age", report="gone") == []


def incident(world: World, **changes: Any) -> Incident:
    facts = {
        "operation": "export", "category": "rejected", "cause": "c", "message": "No product has SKU CAF-500.",
        "blocked": 3, "orders": 2, "value": "239.80",
    }  # fmt: skip
    return Incident.objects.create(**{"seller": world.seller, "connection": world.erp, **facts, **changes})


def test_orders_that_wait_for_an_erp_that_is_known_to_be_away_call_nobody_again(world: World) -> None:
    world.order("1", approved_at=timezone.now() - HOUR)
    asked = {"report": "untransmitted", "minutes": 30}
    away = incident(world, operation="connection", cause="away", first_seen_at=timezone.now() - HOUR)
    assert [one.muted for one in of(world, "report_age", **asked)] == [False]
    told = world.alert(cause=f"away:{world.erp.pk}", code="away", state="mended")
    assert [one.muted for one in of(world, "report_age", **asked)] == [True]
    assert [one.muted for one in of(world, "report_rows", case="", **asked)] == [True]
    # An earlier outage's alert told nobody of this one; what is late at the channel is another matter.
    Alert.objects.filter(pk=told.pk).update(opened_at=timezone.now() - 3 * HOUR)
    assert [one.muted for one in of(world, "report_age", **asked)] == [False]
    Alert.objects.filter(pk=told.pk).update(state=Alert.State.OPEN)
    assert [one.muted for one in of(world, "report_age", **asked)] == [True]
    world.exported("2", ship_by=timezone.now() - HOUR)
    assert [one.muted for one in of(world, "report_rows", report="awaiting_invoice", case="late")] == [False]
    Incident.objects.filter(pk=away.pk).update(state=Incident.State.RESOLVED)
    assert [one.muted for one in of(world, "report_age", **asked)] == [False]


def test_a_channel_that_is_known_to_be_away_is_not_called_silent_as_well(world: World) -> None:
    with patch("monitoring.alerts.silence.unusual", return_value=Silence(timezone.now() - HOUR, 11)):
        assert [(one.code, one.muted) for one in of(world, "silence")] == [("silence", False)]
        incident(
            world, connection=world.shop, operation="connection", cause="away", first_seen_at=timezone.now() - HOUR
        )
        assert [one.muted for one in of(world, "silence")] == [False]
        world.alert(cause=f"away:{world.shop.pk}", code="away")
        assert [one.muted for one in of(world, "silence")] == [True]


def test_an_incident(world: World) -> None:
    one = incident(world)
    incident(world, cause="d", state="resolved")
    incident(world, operation="connection", cause="away")
    found = of(world, "incident")
    assert [(cause.key, cause.path, cause.muted) for cause in found] == [
        (f"incident:{one.pk}", f"/incidents/{one.pk}/", False)
    ]
    assert said(found[0]).endswith(
        "– No product has SKU CAF-500. – 2 orders of R$\u00a0239.80 wait".replace("\u00a0", " ")
    )
    assert of(world, "incident", orders=3) == []
    one.state = Incident.State.SNOOZED
    one.save()
    assert of(world, "incident")[0].muted


def test_a_connection_that_is_down(world: World) -> None:
    assert of(world, "connection_down") == []
    now = timezone.now()
    Connection.objects.filter(pk=world.erp.pk).update(failures=5, last_poll_ok_at=now - 4 * MINUTE)
    assert of(world, "connection_down") == []
    Connection.objects.filter(pk=world.erp.pk).update(last_poll_ok_at=now - 6 * MINUTE, last_error="It is away.")
    away = of(world, "connection_down")
    assert [one.code for one in away] == ["away"] and "has not answered since" in said(away[0])
    Connection.objects.filter(pk=world.erp.pk).update(state=Connection.State.SIGN_IN)
    assert [one.code for one in of(world, "connection_down")] == ["sign_in"]


def test_a_sign_in_that_ends(world: World) -> None:
    now = timezone.now()
    row = Credential.objects.create(connection=world.shop, expires_at=now - 5 * MINUTE)
    assert of(world, "token_expires") == []
    row.expires_at = now - 20 * MINUTE
    row.save()
    assert "20 min ago and could not be renewed" in said(of(world, "token_expires")[0])


def test_a_permission_that_ends(world: World) -> None:
    now = timezone.now()
    Connection.objects.filter(pk=world.shop.pk).update(kind="amazon")
    row = Credential.objects.create(connection=world.shop, expires_at=now + HOUR, consent_until=now + 31 * DAY)
    assert of(world, "token_expires") == []
    stages = []
    for left in (29 * DAY, 6 * DAY, 3 * DAY + HOUR, HOUR, -MINUTE):
        Credential.objects.filter(pk=row.pk).update(consent_until=now + left)
        found = of(world, "token_expires")[0]
        stages.append((found.key, found.data["stage"]))
        if left == 3 * DAY + HOUR:
            assert "the permission ends in 3 days" in said(found)
    assert [stage for _key, stage in stages] == [30, 7, 7, 1, 0] and len({key for key, _stage in stages}) == 1
    assert "has ended" in said(found)
    Credential.objects.filter(pk=row.pk).update(consent_until=now + 3 * DAY)
    assert of(world, "token_expires", days=2) == []
    assert of(world, "token_expires", days=7)[0].data["stage"] == 7


def test_a_permission_that_renews_itself_ends_only_where_nobody_renews_it(world: World) -> None:
    now = timezone.now()
    row = Credential.objects.create(connection=world.erp, expires_at=now + HOUR, consent_until=now + 6 * DAY)
    assert of(world, "token_expires") == []
    Connection.objects.filter(pk=world.erp.pk).update(state=Connection.State.PAUSED)
    Credential.objects.filter(pk=row.pk).update(expires_at=now - HOUR)
    assert [one.data["stage"] for one in of(world, "token_expires")] == [7]
    # Bling's lasts a month: that there are less than 30 days left is nothing to call for.
    Credential.objects.filter(pk=row.pk).update(consent_until=now + 29 * DAY)
    assert of(world, "token_expires") == []


def beats(clock: timedelta, worker: timedelta) -> None:
    for name, silent in ((Heartbeat.CLOCK, clock), (Heartbeat.WORKER, worker)):
        Heartbeat.objects.update_or_create(name=name, defaults={"at": timezone.now() - silent})


def test_silent_processes(world: World) -> None:
    assert of(world, "process_silent") == []
    beats(clock=0 * MINUTE, worker=4 * MINUTE)
    assert of(world, "process_silent") == []
    beats(clock=0 * MINUTE, worker=6 * MINUTE)
    found = of(world, "process_silent")
    assert [one.key for one in found] == ["process:worker"] and found[0].urgent
    assert "no worker has answered since" in said(found[0])
    # What the clock does not send no worker can run.
    beats(clock=6 * MINUTE, worker=6 * MINUTE + timedelta(seconds=10))
    found = of(world, "process_silent")
    assert [one.key for one in found] == ["process:clock"] and "its clock has been silent since" in said(found[0])
    with patch("monitoring.system.parts.queued", return_value=None):
        found = of(world, "process_silent")
    assert [one.key for one in found] == ["process:broker"] and "the broker does not answer" in said(found[0])
    beats(clock=6 * MINUTE, worker=12 * MINUTE)
    assert [one.key for one in of(world, "process_silent")] == ["process:clock", "process:worker"]


def test_a_backlog_is_what_could_run_and_does_not(world: World) -> None:
    late = timezone.now() - 20 * MINUTE
    for number in range(3):
        world.export_job(world.order(str(number)), state=Job.State.READY, due_at=late, error="")
    world.export_job(world.order("later"), state=Job.State.READY, due_at=timezone.now() + MINUTE)
    assert of(world, "backlog", jobs=4) == []
    found = of(world, "backlog", jobs=3)
    assert said(found[0]) == "Bling casa: 3 steps could run and do not, the oldest for 20 min"
    assert of(world, "backlog", jobs=3, minutes=30) == []
    Connection.objects.filter(pk=world.erp.pk).update(paused_flows=["export"])
    assert of(world, "backlog", jobs=3) == []
    Connection.objects.filter(pk=world.erp.pk).update(paused_flows=[], failures=5)
    assert of(world, "backlog", jobs=3) == []


def test_every_rule_of_the_default_set_can_be_asked_and_described(world: World) -> None:
    from monitoring.pages.alert_rules import describe

    defaults.ensure(world.seller)
    defaults.ensure(world.seller)
    rules = list(AlertRule.objects.filter(seller=world.seller))
    assert {rule.kind for rule in rules} == set(AlertRule.Kind.values)
    assert len(rules) == len(defaults.RULES) and Destination.objects.count() == 1
    for rule in rules:
        assert "%" not in describe(rule)
        if rule.kind != AlertRule.Kind.DIGEST:
            assert causes.of(rule, timezone.now()) == []


def test_an_alert_of_an_older_version_is_still_readable() -> None:
    assert wording.sentence("gone_code", {}) == "gone code"
