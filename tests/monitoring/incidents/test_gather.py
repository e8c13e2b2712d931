"""Equal failures become one incident, which opens, grows, sleeps, ends and comes back by what the ledger shows."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.translation import override

from connectors.models import Connection, Job
from monitoring.alerts import causes, wording
from monitoring.incidents import deeds, gather, groups, plan
from monitoring.incidents.plan import Choice
from monitoring.models import AlertRule, Heartbeat, Incident
from orders.models import Order
from tests.monitoring.incidents.shop import Toys

MINUTE = timedelta(minutes=1)


def numbers(count: int, prefix: str = "") -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def test_equal_refusals_are_one_and_say_whom_they_hold_up(toys: Toys) -> None:
    toys.erp.missing = {"LAMP", "CHAIR"}
    toys.place(numbers(3, "a"), sku="LAMP")
    toys.place(numbers(2, "b"), sku="CHAIR")
    toys.place(["fine"])
    toys.run()
    (incident,) = toys.gather()
    assert (incident.operation, incident.code, incident.category) == ("export", "unknown_sku", "rejected")
    assert (incident.blocked, incident.orders, incident.value) == (5, 5, 50)
    assert incident.needs_person
    assert "Bling has no product" in incident.message


def test_currencies_are_never_added_up(toys: Toys) -> None:
    toys.erp.missing = {"LAMP"}
    toys.place(numbers(4), sku="LAMP")
    toys.run()
    Order.objects.filter(external_id__in=["1", "2"]).update(currency="USD", total=Decimal("7.25"))
    Order.objects.filter(external_id="3").update(currency="ARS")
    (incident,) = toys.gather()
    assert incident.orders == 4
    assert incident.amounts == [(10, "BRL"), (10, "ARS"), (Decimal("14.50"), "USD")]
    (cause,) = causes.of(AlertRule(seller=toys.seller, kind="incident"), timezone.now())
    with override("en"):
        said = wording.sentence(cause.code, cause.data).replace("\u00a0", " ")
    assert said.endswith("4 orders of R$ 10.00 + ARS 10.00 + USD 14.50 wait")
    looked = plan.look(incident, Choice())
    assert looked.worth() == []
    toys.erp.missing = set()
    assert plan.look(incident, Choice()).worth() == [(10, "ARS"), (10, "BRL"), (Decimal("14.50"), "USD")]
    with CaptureQueriesContext(database) as seen:
        toys.gather(timezone.now() + timedelta(seconds=5))
    assert not [one for one in seen.captured_queries if one["sql"].startswith('UPDATE "monitoring_incident"')]


def test_different_causes_are_different_incidents(toys: Toys) -> None:
    toys.erp.missing, toys.erp.refused = {"LAMP"}, {"b0"}
    toys.place(["a0"], sku="LAMP")
    toys.place(["b0"])
    toys.place(["c0"], price="1,50")
    toys.run()
    assert {(one.operation, one.code) for one in toys.gather()} == {
        ("export", "unknown_sku"),
        ("export", "closed"),
        ("read", ""),
    }


def test_a_hiccup_opens_nothing(toys: Toys) -> None:
    toys.erp.away = True
    toys.place(numbers(9))
    toys.run()
    assert Job.objects.exclude(error="").exists()
    assert toys.gather(timezone.now() + timedelta(seconds=5)) == []
    toys.erp.away = False
    toys.again_until(lambda: len(toys.erp.orders) == 9)
    assert toys.gather(timezone.now() + 5 * MINUTE) == []


def test_an_outage_is_one_incident_to_its_end(toys: Toys) -> None:
    """Also while what waited is worked off: the old failures are still the outage's."""
    toys.erp.away = True
    toys.place(numbers(20))
    toys.run()
    toys.again_until(toys.away)
    (incident,) = toys.gather(timezone.now() + MINUTE)
    assert (incident.operation, incident.cause, incident.blocked) == (groups.CONNECTION, groups.AWAY, 20)
    assert (incident.orders, incident.value) == (20, 200)
    # Back: one probe has gone through, the others wait for their turn.
    Connection.objects.filter(pk=toys.books.pk).update(failures=0, rest_until=None)
    toys.erp.away = False
    (incident,) = toys.gather(timezone.now() + 5 * MINUTE)
    assert incident.operation == groups.CONNECTION
    assert 0 < incident.blocked <= 20
    toys.again_until(lambda: len(toys.erp.orders) == 20)
    (incident,) = toys.gather()
    assert incident.blocked == 0
    assert toys.gather(timezone.now() + 2 * MINUTE) == []
    assert Incident.objects.count() == 1


def test_a_lost_sign_in_is_one_incident_at_once(toys: Toys) -> None:
    toys.erp.signed_out = True
    toys.place(numbers(4))
    toys.run()
    (incident,) = toys.gather()
    assert (incident.operation, incident.cause) == (groups.CONNECTION, groups.SIGN_IN)
    assert (incident.blocked, incident.orders, incident.needs_person) == (4, 4, True)


def test_a_poll_that_keeps_failing_is_an_incident(toys: Toys) -> None:
    Connection.objects.filter(pk=toys.channel.pk).update(
        poll_failures=2, last_poll_ok_at=timezone.now() - 10 * MINUTE, last_error="It said nonsense."
    )
    (incident,) = toys.gather()
    assert (incident.operation, incident.message) == (groups.POLL, "It said nonsense.")


def test_it_ends_by_itself_and_comes_back_as_the_same(toys: Toys) -> None:
    toys.erp.refused = {"1"}
    toys.place(["1"])
    toys.run()
    (incident,) = toys.gather()
    toys.erp.refused = set()
    Job.objects.filter(operation="export").update(state=Job.State.READY)
    toys.again()
    (incident,) = toys.gather()
    assert (incident.blocked, incident.state) == (0, Incident.State.OPEN)
    assert toys.gather(timezone.now() + 2 * MINUTE) == []
    incident.refresh_from_db()
    assert (incident.state, incident.resolved_by, incident.most_blocked) == (Incident.State.RESOLVED, "", 1)
    toys.erp.refused = {"2"}
    toys.place(["2"])
    toys.run()
    (back,) = toys.gather()
    assert (back.pk, back.reopened, back.resolved_at) == (incident.pk, 1, None)


def test_a_snooze_wakes_by_growth_and_at_its_time(toys: Toys) -> None:
    toys.erp.refused = set(numbers(20))
    toys.place(numbers(4))
    toys.run()
    (incident,) = toys.gather()
    deeds.snooze(incident, timedelta(hours=4))
    (incident,) = toys.gather()
    assert (incident.state, incident.snoozed_above) == (Incident.State.SNOOZED, 6)
    toys.place(numbers(6))
    toys.run()
    (incident,) = toys.gather()
    assert (incident.state, incident.blocked) == (Incident.State.SNOOZED, 6)
    toys.place(numbers(7))
    toys.run()
    (incident,) = toys.gather()
    assert (incident.state, incident.snoozed_until) == (Incident.State.OPEN, None)
    deeds.snooze(incident, timedelta(hours=4))
    (incident,) = toys.gather(timezone.now() + timedelta(hours=5))
    assert incident.state == Incident.State.OPEN


def test_what_people_write_meanwhile_is_kept(toys: Toys) -> None:
    toys.erp.refused = {"1"}
    toys.place(["1"])
    toys.run()
    (incident,) = toys.gather()
    deeds.note(incident, "asked the accountant", "ana")
    deeds.note(incident, "she reopens the period", "bia")
    (incident,) = toys.gather(timezone.now() + MINUTE)
    first, second = incident.note.splitlines()
    assert first.endswith("ana: asked the accountant")
    assert second.endswith("bia: she reopens the period")


def test_the_cost_does_not_depend_on_how_many_fail(toys: Toys) -> None:
    toys.erp.refused = set(numbers(60))

    def statements(count: int) -> int:
        toys.place(numbers(count))
        toys.run()
        toys.gather()
        with CaptureQueriesContext(
            database,
        ) as seen:
            gather.gather(timezone.now() + MINUTE)
        return len(seen)

    assert statements(3) == statements(60)


def test_a_seller_of_many_connections_has_its_incidents_apart(toys: Toys) -> None:
    """The same cause at two connections is mended in two places."""
    for connection in (toys.channel, toys.books):
        Job.objects.create(
            connection=connection, operation="fetch", key="1", state=Job.State.REFUSED, error="No.", cause="c"
        )
    assert len(toys.gather()) == 2


def test_failures_from_before_there_were_causes_are_not_forgotten(toys: Toys) -> None:
    Job.objects.create(connection=toys.books, operation="export", key="1", state=Job.State.REFUSED, error="Old.")
    (incident,) = toys.gather()
    assert (incident.message, incident.cause) == ("Old.", "")


@pytest.mark.django_db(transaction=True)
def test_two_never_gather_at_once(db: None) -> None:
    """The second one leaves at once, and writes nothing."""
    if database.vendor == "sqlite":
        pytest.skip("one writes at a time there")
    from threading import Thread

    from django.db import transaction

    gather.gather()
    left: list[bool] = []

    def other() -> None:
        left.append(gather.gather())
        database.close()

    with transaction.atomic():
        assert Heartbeat.objects.select_for_update().get(name=gather.BEAT)
        thread = Thread(target=other)
        thread.start()
        thread.join(10)
    assert left == [False]
