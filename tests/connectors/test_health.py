"""When a connection rests, when it only waits for its limit, and what is no sign of trouble."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from connectors import health, ledger
from connectors.failures import Category, Failure
from connectors.models import Connection, Job
from connectors.simulation.server import Fault
from tests.support.toy import Toys, toys

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def toy() -> Iterator[Toys]:
    with toys() as made:
        yield made


def place(toy: Toys, orders: int) -> None:
    for number in range(orders):
        toy.shop.place(str(number))
    toy.poll()


def make_due() -> None:
    Job.objects.filter(state__in=ledger.OPEN).update(due_at=timezone.now())


def books(toy: Toys) -> Connection:
    toy.books.refresh_from_db()
    return toy.books


@pytest.mark.parametrize("fault", ["cut_after", "502_after"])
def test_lost_answers_are_no_outage_where_the_look_up_finds_the_order(toy: Toys, fault: str) -> None:
    toy.erp.faults = [Fault(fault, match="POST /orders", times=12)]
    place(toy, 12)
    toy.drain(toy.books)
    assert books(toy).rest_until is None
    make_due()
    toy.drain(toy.books)
    assert len(toy.erp.orders) == 12 and toy.erp.faults[0].hits == 12
    assert not Job.objects.filter(operation="export").exclude(state=Job.State.DONE).exists()
    assert books(toy).rest_until is None and books(toy).failures == 0


def test_a_service_that_is_away_rests_after_few_look_ups(toy: Toys) -> None:
    toy.erp.faults = [Fault("500")]
    place(toy, 12)
    toy.drain(toy.books)
    make_due()
    toy.drain(toy.books)
    assert health.resting(books(toy))
    jobs = Job.objects.filter(operation="export", attempts__gt=1)
    assert jobs.count() == health.OPENS_AFTER, "each found out once, then none"


def test_a_search_that_finds_nothing_closes_no_circuit(toy: Toys) -> None:
    toy.erp.faults = [Fault("500", match="POST /orders")]
    place(toy, 1)
    toy.drain(toy.books)
    Connection.objects.filter(pk=toy.books.pk).update(failures=health.OPENS_AFTER)
    make_due()
    toy.drain(toy.books)
    assert books(toy).failures == health.OPENS_AFTER
    make_due()
    toy.drain(toy.books)
    assert books(toy).failures == health.OPENS_AFTER + 1, "what was not there was sent again, in vain"


def test_a_probe_that_loses_its_answer_does_not_let_the_others_follow(toy: Toys) -> None:
    place(toy, 3)
    toy.erp.faults = [Fault("500", match="POST /orders")]
    Connection.objects.filter(pk=toy.books.pk).update(failures=health.OPENS_AFTER)
    toy.drain(toy.books)
    assert toy.erp.faults[0].hits == 1 and health.resting(books(toy))


def limited(seconds: float = 0, status: int | None = 429) -> Failure:
    retry_at = timezone.now() + timedelta(seconds=seconds)
    return Failure(Category.RATE_LIMITED, "enough", status=status, retry_at=retry_at)


def held_for(toy: Toys) -> timedelta:
    until = books(toy).throttled_until
    assert until is not None
    return until - timezone.now()


def test_a_limit_holds_a_connection_with_one_row(toy: Toys) -> None:
    place(toy, 30)
    toy.erp.faults = [Fault("429", match="POST /orders")]
    due_before = dict(Job.objects.filter(operation="export").values_list("pk", "due_at"))
    toy.drain(toy.books)
    assert toy.erp.faults[0].hits == 1 and health.throttled(books(toy))
    due_after = dict(Job.objects.filter(operation="export").values_list("pk", "due_at"))
    assert len(due_after.items() - due_before.items()) == 1, "those that wait were not written"
    assert toy.books.pk not in ledger.due() and ledger.neglected([toy.channel.pk]) is None
    connection = books(toy)
    with CaptureQueriesContext(database) as queries:
        health.throttle(connection, limited())
    assert len(queries) == 1


def test_a_service_that_names_no_time_is_asked_ever_later_until_something_succeeds(toy: Toys) -> None:
    pauses = []
    for _ in range(8):
        Connection.objects.filter(pk=toy.books.pk).update(throttled_until=timezone.now())
        health.throttle(books(toy), limited())
        pauses.append(held_for(toy).total_seconds())
    assert pauses[0] <= health.FIRST_THROTTLE and 7 < pauses[3] <= 8 and 59 < pauses[7] <= health.LONGEST_THROTTLE
    health.went_well(books(toy))
    assert books(toy).throttles == 0


def test_calls_that_were_refused_together_count_once(toy: Toys) -> None:
    for _ in range(4):
        health.throttle(books(toy), limited())
    assert books(toy).throttles == 1


def test_a_closed_budget_of_one_operation_holds_the_others_for_seconds_only(toy: Toys) -> None:
    for _ in range(5):
        Connection.objects.filter(pk=toy.books.pk).update(throttled_until=timezone.now())
        health.throttle(books(toy), limited(seconds=7200, status=None))
    assert held_for(toy) <= health.OTHERS_HELD and books(toy).throttles == 0
