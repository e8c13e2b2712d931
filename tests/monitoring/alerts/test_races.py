"""Several workers at once: what is told once is told once."""

import threading
from collections import Counter
from collections.abc import Callable

import pytest
from django.db import connection

from hub import vault
from monitoring.alerts import causes, sending, watch
from monitoring.alerts.causes import Cause
from monitoring.alerts.wording import Message
from monitoring.models import Alert, AlertRule, Delivery, Destination
from tests.monitoring.alerts.bench import NINE
from tests.monitoring.alerts.receivers import Receiver
from tests.monitoring.world import World

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = 4


def together(work: Callable[[], object]) -> None:
    barrier = threading.Barrier(WORKERS)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            barrier.wait(timeout=10)
            work()
        except BaseException as error:  # noqa: BLE001 - told by the test below
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _worker in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert errors == []


def chat(world: World, receiver: Receiver) -> Destination:
    return Destination.objects.create(
        seller=world.seller, name="There", kind="webhook", sealed=vault.seal({"url": receiver.url, "secret": "s"})
    )


def test_many_workers_send_each_message_once(world: World, receiver: Receiver) -> None:
    there = chat(world, receiver)
    for number in range(40):
        sending.enqueue(there, Message("new", str(number), "x"), NINE)
    together(sending.send_due)
    # One that lost every race of a claim leaves the rest to the others, and to the next slice.
    sending.send_due()
    sent = Counter(call.headers["Entreposto-Delivery"] for call in receiver.calls)
    assert len(sent) == 40 and set(sent.values()) == {1}
    assert not Delivery.objects.exclude(state=Delivery.State.SENT).exists()


def test_many_looks_at_once_tell_once(world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = AlertRule.objects.create(seller=world.seller, kind="backlog")
    rule.destinations.add(chat(world, receiver))
    found = [
        Cause(f"c{number}", "backlog", {"connection": "x", "count": 1, "since": NINE.isoformat()}) for number in "ab"
    ]
    monkeypatch.setitem(causes.KINDS, "backlog", lambda seller, params, now: iter(found))
    together(lambda: watch.look(world.seller, NINE))
    assert Delivery.objects.count() == 1 and Alert.objects.count() == 2


def test_many_first_looks_make_one_set_of_rules(world: World) -> None:
    together(lambda: watch.look(world.seller, NINE))
    assert Destination.objects.count() == 1
