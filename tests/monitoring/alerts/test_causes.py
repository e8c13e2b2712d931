"""Each kind of rule: what it calls for, and what it leaves alone."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone, translation

from connectors.models import Connection, Credential, Job
from monitoring.alerts import causes, defaults, wording
from monitoring.alerts.causes import Cause
from monitoring.models import AlertRule, Destination, Heartbeat, Incident
from tests.monitoring.world import World

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


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
    return Incident.objects.create(seller=world.seller, connection=world.erp, **{**facts, **changes})


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
    row.expires_at, row.consent_until = now + MINUTE, now + timedelta(days=3, hours=1)
    row.save()
    assert "the permission ends in 3 days" in said(of(world, "token_expires")[0])
    assert of(world, "token_expires", days=2) == []
    row.consent_until = now - MINUTE
    row.save()
    assert "has ended" in said(of(world, "token_expires")[0])


def test_silent_processes(world: World) -> None:
    assert of(world, "process_silent") == []
    beat = Heartbeat.objects.create(name="worker", at=timezone.now() - 4 * MINUTE)
    assert of(world, "process_silent") == []
    beat.at -= 2 * MINUTE
    beat.save()
    found = of(world, "process_silent")
    assert found[0].urgent and "stands still since" in said(found[0])


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
    from monitoring.pages.alerts import describe

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
