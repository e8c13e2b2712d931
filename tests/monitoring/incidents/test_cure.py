"""Another try: what it would do is said before, done once, and reported after."""

from datetime import timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connection as database
from django.test import Client
from django.utils import timezone

from connectors.models import Connection, InboxEntry, Job
from monitoring.incidents import cure, deeds, plan
from monitoring.incidents.plan import Choice
from monitoring.models import Cure, Incident
from orders import doors
from orders.models import Order, OrderEvent, OrderItem
from orders.vocabulary import Hold
from tests.monitoring.incidents.shop import Toys
from tests.monitoring.incidents.test_gather import MINUTE, numbers
from tests.monitoring.world import World, browser_of, person, text_of

ALL = Choice()


def of(toys: Toys, code: str) -> Incident:
    return next(one for one in toys.gather() if one.code == code)


def client_of(toys: Toys, role: str = "owner") -> Client:
    world = World(toys.seller, toys.channel.channel, toys.channel, toys.books)  # type: ignore[arg-type]
    return browser_of(person(f"ana-{role}", world, role))


def log_of(toys: Toys) -> list[tuple[Any, ...]]:
    """What the activity log says of deeds for this seller: nothing of signing in, nothing of another's."""
    return list(toys.seller.activities.order_by("pk").values_list("actor", "action", "subject", "after"))


def press(client: Client, incident: Incident, **fields: Any) -> str:
    answer = client.post(f"/incidents/{incident.pk}/cure/", {"which": "all", **fields}, follow=True)
    return str(text_of(answer))


def test_five_hundred_failures_of_three_causes_take_three_presses(toys: Toys) -> None:
    lamps, closed, commas = numbers(200, "lamp"), numbers(150, "closed"), numbers(150, "comma")
    toys.erp.missing, toys.erp.refused = {"LAMP"}, set(closed)
    toys.place(lamps, sku="LAMP")
    toys.place(closed)
    toys.place(commas, price="1,50")
    toys.run()
    found = {one.code or one.operation: one for one in toys.gather()}
    assert {name: one.blocked for name, one in found.items()} == {"unknown_sku": 200, "closed": 150, "read": 150}
    # Each cause is mended where it is.
    toys.erp.missing, toys.erp.refused = set(), set()
    Connection.objects.filter(pk=toys.channel.pk).update(settings={**toys.channel.settings, "comma": True})
    client = client_of(toys)
    for incident in found.values():
        assert f"{incident.blocked} are tried again now." in press(client, incident)
    # Beyond the first hundred documents the worker reads.
    waiting = InboxEntry.objects.filter(state=InboxEntry.State.WAITING)
    assert waiting.count() == 50
    from connectors.tasks import recover

    InboxEntry.objects.update(received_at=timezone.now() - MINUTE)
    recover()
    toys.drain()
    assert sorted(one["reference"] for one in toys.erp.orders.values()) == sorted([*lamps, *closed, *commas])
    toys.gather()
    assert toys.gather(timezone.now() + 2 * MINUTE) == []
    assert [(one.done, one.failed) for one in Cure.objects.order_by("pk")] == [(200, 0), (150, 0), (150, 0)]


def test_what_would_fail_again_is_left_out(toys: Toys) -> None:
    """One SKU is there now and one is not; one order is held."""
    toys.erp.missing = {"LAMP", "CHAIR"}
    toys.place(["a", "b"], sku="LAMP")
    toys.place(["c"], sku="CHAIR")
    toys.run()
    toys.erp.missing = {"CHAIR"}
    order = Order.objects.get(external_id="b")
    doors.hold(order, "bia")
    incident = of(toys, "unknown_sku")
    looked = plan.look(incident, ALL)
    assert [step.number for step in looked.go] == ["a"]
    said = {step.number: reason for step, reason in looked.left_out}
    assert str(Hold.PERSON.label) in said["b"]
    assert "CHAIR" in said["c"]
    assert [(call.method, call.path) for call in looked.calls][-1] == ("POST", "/orders")
    before = len(toys.erp.orders)
    assert plan.look(incident, ALL).go and len(toys.erp.orders) == before
    started, _looked = cure.begin(incident, ALL, "ana")
    assert started and (len(started.jobs), started.left_out) == (1, 2)
    toys.drain()
    assert [one["reference"] for one in toys.erp.orders.values()] == ["a"]


def test_nothing_goes_to_an_erp_that_is_signed_out_or_paused(toys: Toys) -> None:
    toys.erp.refused = {"1"}
    toys.place(["1"])
    toys.run()
    incident = of(toys, "closed")
    for change in (
        {"state": Connection.State.SIGN_IN},
        {"state": Connection.State.PAUSED},
        {"state": Connection.State.ACTIVE, "paused_flows": ["export"]},
    ):
        Connection.objects.filter(pk=toys.books.pk).update(**change)
        incident = Incident.objects.select_related("connection").get(pk=incident.pk)
        assert cure.begin(incident, ALL, "ana")[0] is None
    assert Job.objects.get(operation="export").state == Job.State.REFUSED


def test_an_erp_that_cannot_be_asked_stops_nobody(toys: Toys) -> None:
    toys.erp.missing = {"LAMP"}
    toys.place(["1"], sku="LAMP")
    toys.run()
    incident = of(toys, "unknown_sku")
    toys.erp.away = True
    looked = plan.look(incident, ALL)
    assert looked.unchecked and len(looked.go) == 1


def test_documents_that_stay_unreadable_are_left_out(toys: Toys) -> None:
    toys.place(["1", "2"], price="1,50")
    toys.run()
    (incident,) = toys.gather()
    looked = plan.look(incident, ALL)
    assert not looked.go and len(looked.left_out) == 2
    assert cure.begin(incident, ALL, "ana")[0] is None
    assert InboxEntry.objects.filter(state=InboxEntry.State.REJECTED).count() == 2


def test_one_some_or_those_with_one_message(toys: Toys) -> None:
    toys.erp.missing = {"LAMP", "CHAIR"}
    toys.place(numbers(3, "a"), sku="LAMP")
    toys.place(numbers(2, "b"), sku="CHAIR")
    toys.run()
    incident = of(toys, "unknown_sku")
    toys.erp.missing = set()
    client = client_of(toys)
    first = Job.objects.get(order__external_id="a0")
    press(client, incident, which="chosen", job=[first.pk])
    toys.drain()
    assert [one["reference"] for one in toys.erp.orders.values()] == ["a0"]
    message = Job.objects.get(order__external_id="b0").error
    press(client, incident, message=message)
    toys.drain()
    assert {one["reference"] for one in toys.erp.orders.values()} == {"a0", "b0", "b1"}


def test_pressed_twice_it_goes_once(toys: Toys) -> None:
    toys.erp.refused = {"1"}
    toys.place(["1"])
    toys.run()
    incident = of(toys, "closed")
    toys.erp.refused = set()
    first, _looked = cure.begin(incident, ALL, "ana")
    again, _looked = cure.begin(incident, ALL, "bia")
    assert first is not None and again is None
    toys.drain()
    assert len(toys.erp.orders) == 1
    assert OrderEvent.objects.filter(code="retried").count() == 1


def test_the_report_says_what_failed_again_and_why(toys: Toys) -> None:
    toys.erp.refused = {"1", "2"}
    toys.place(["1", "2"])
    toys.run()
    incident = of(toys, "closed")
    toys.erp.refused = {"2"}
    started, _looked = cure.begin(incident, ALL, "ana")
    assert started and cure.progress(started).pending == 2
    toys.drain()
    reached = cure.progress(started)
    assert (reached.done, reached.failed, reached.pending, reached.percent) == (1, 1, 0, 100)
    ((reason, count),) = cure.reasons(started)
    assert "The period is closed" in reason and count == 1
    toys.gather()
    started.refresh_from_db()
    assert started.finished_at and (started.done, started.failed) == (1, 1)


def test_a_cure_that_never_ends_is_ended(toys: Toys) -> None:
    toys.erp.refused = {"1"}
    toys.place(["1"])
    toys.run()
    started, _looked = cure.begin(of(toys, "closed"), ALL, "ana")
    assert started
    toys.gather(timezone.now() + timedelta(hours=2))
    started.refresh_from_db()
    assert started.finished_at is not None and (started.done, started.failed) == (0, 0)


def test_the_sku_is_corrected_and_sent_in_one_step(toys: Toys) -> None:
    toys.erp.missing = {"LAMP"}
    toys.place(["1", "2"], sku="LAMP")
    toys.place(["3"], sku="MUG")
    toys.run()
    incident = of(toys, "unknown_sku")
    answer = client_of(toys).post(
        f"/incidents/{incident.pk}/correct/", {"sku": "LAMP", "erp_sku": "LAMPADA"}, follow=True
    )
    assert "2 are tried again now." in text_of(answer)
    assert log_of(toys) == [
        ("ana-owner", "sku_corrected", "LAMP", {"erp_sku": "LAMPADA", "count": 2}),
        ("ana-owner", "steps_retried", str(incident), {"count": 2}),
    ]
    toys.drain()
    sent = {one["reference"]: one["sku"] for one in toys.erp.orders.values()}
    assert sent == {"1": "LAMPADA", "2": "LAMPADA", "3": "MUG"}
    # The channel's own stays, also when the channel tells of the order again.
    toys.place(["1"], sku="LAMP", version=2)
    toys.run()
    line = OrderItem.objects.get(order__external_id="1")
    assert (line.sku, line.erp_sku) == ("LAMP", "LAMPADA")
    event = OrderEvent.objects.get(order__external_id="1", code="sku_corrected")
    assert (event.actor, event.data) == ("ana-owner", {"sku": "LAMP", "erp_sku": "LAMPADA"})


def test_a_corrected_sku_that_the_erp_does_not_know_either_stays_here(toys: Toys) -> None:
    toys.erp.missing = {"LAMP", "LAMPO"}
    toys.place(["1"], sku="LAMP")
    toys.run()
    incident = of(toys, "unknown_sku")
    answer = client_of(toys).post(
        f"/incidents/{incident.pk}/correct/", {"sku": "LAMP", "erp_sku": "LAMPO"}, follow=True
    )
    assert "all of them would only fail again" in text_of(answer)
    assert not Cure.objects.exists()
    # Corrected once more, from what it is called now.
    toys.erp.missing = {"LAMP", "LAMPO"}
    assert deeds.correct_sku(incident, "LAMPO", "LAMPADA", "ana") == [Job.objects.get(operation="export").pk]
    assert OrderItem.objects.get().erp_sku == "LAMPADA"


def test_what_is_handled_by_hand_is_tried_no_more(toys: Toys) -> None:
    toys.erp.refused = set(numbers(5))
    toys.place(numbers(5))
    toys.run()
    incident = of(toys, "closed")
    client, path = client_of(toys), f"/incidents/{incident.pk}/close/"
    client.post(path, {"which": "all", "reason": " "})
    assert Job.objects.filter(state=Job.State.REFUSED).count() == 5
    one = Job.objects.get(order__external_id="0")
    client.post(path, {"which": "chosen", "job": [one.pk], "reason": "typed as 812"})
    assert Job.objects.filter(state=Job.State.CLOSED).count() == 1
    client.post(path, {"which": "all", "reason": "typed by the accountant"})
    assert Job.objects.filter(state=Job.State.CLOSED).count() == 5
    client.post(path, {"which": "all", "reason": "again"})
    assert log_of(toys) == [
        ("ana-owner", "steps_closed", str(incident), {"count": 1, "reason": "typed as 812"}),
        ("ana-owner", "steps_closed", str(incident), {"count": 4, "reason": "typed by the accountant"}),
    ]
    told = OrderEvent.objects.filter(code="handled_by_hand").order_by("pk")
    assert [event.data["reason"] for event in told][0] == "typed as 812"
    assert told.count() == 5
    toys.gather()
    assert toys.gather(timezone.now() + 2 * MINUTE) == []


def test_it_is_not_resolved_by_hand_while_it_holds_something_up(toys: Toys) -> None:
    toys.erp.refused = {"1"}
    toys.place(["1"])
    toys.run()
    incident = of(toys, "closed")
    client = client_of(toys)
    said = text_of(client.post(f"/incidents/{incident.pk}/resolve/", follow=True))
    assert "It still holds something up" in said
    incident.refresh_from_db()
    assert incident.state == Incident.State.OPEN
    deeds.close(incident, ALL, "ana", "typed")
    client.post(f"/incidents/{incident.pk}/resolve/")
    incident.refresh_from_db()
    assert (incident.state, incident.resolved_by) == (Incident.State.RESOLVED, "ana-owner")


DEEDS = ("preview", "cure", "correct", "close", "snooze", "wake", "assign", "note", "resolve")


@pytest.mark.parametrize("deed", DEEDS)
def test_who_only_looks_may_not_act(toys: Toys, deed: str) -> None:
    toys.erp.refused = {"1"}
    toys.place(["1"])
    toys.run()
    incident = of(toys, "closed")
    client = client_of(toys, "viewer")
    page = client.get(f"/incidents/{incident.pk}/")
    assert page.status_code == 200
    assert "see first what would go" not in text_of(page)
    form = {"which": "all", "reason": "x", "text": "x", "sku": "MUG", "erp_sku": "x", "person": "me"}
    assert client.post(f"/incidents/{incident.pk}/{deed}/", form).status_code == 403
    before = Incident.objects.values().get(pk=incident.pk)
    assert Incident.objects.values().get(pk=incident.pk) == before
    assert Job.objects.get(operation="export").state == Job.State.REFUSED


@pytest.mark.parametrize("deed", ["", *(f"{deed}/" for deed in DEEDS)])
def test_a_stranger_does_not_learn_that_it_exists(toys: Toys, other: World, deed: str) -> None:
    toys.erp.refused = {"1"}
    toys.place(["1"])
    toys.run()
    incident = of(toys, "closed")
    stranger = browser_of(person("zeca", other))
    answer = stranger.post(f"/incidents/{incident.pk}/{deed}") if deed else stranger.get(f"/incidents/{incident.pk}/")
    assert answer.status_code == 404
    assert "The period is closed" not in text_of(stranger.get("/failures/"))


@pytest.mark.django_db(transaction=True)
def test_two_people_press_at_once(world: World) -> None:
    if database.vendor == "sqlite":
        pytest.skip("one writes at a time there")
    jobs = [world.export_job(world.order(number)) for number in "123"]
    Job.objects.update(operation="send_dispatch")
    incident = world.incident(operation="send_dispatch")
    started: list[Cure | None] = []
    both = Barrier(2)

    def one_press(name: str) -> None:
        both.wait(10)
        started.append(cure.begin(Incident.objects.select_related("connection").get(pk=incident.pk), ALL, name)[0])
        database.close()

    threads = [Thread(target=one_press, args=(name,)) for name in ("ana", "bia")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(one is None for one in started) == [False, True]
    assert OrderEvent.objects.filter(code="retried").count() == len(jobs)
