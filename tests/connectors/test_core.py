"""What the core promises for any service: kept first, once only, looked up after doubt, nothing silent."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from unittest.mock import patch

import pytest
from django.utils import timezone

from connectors import actions, arrivals, intake, ledger, operations, planning, work
from connectors.contract import Change
from connectors.failures import Category, Failure, LeaseLost
from connectors.models import Connection, Exchange, InboxEntry, Job, Link
from connectors.simulation.server import Fault
from orders import doors
from orders.models import Order
from tests.support.toy import Toys, toys

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def toy() -> Iterator[Toys]:
    with toys() as made:
        yield made


def make_due() -> None:
    Job.objects.filter(state__in=ledger.OPEN).update(due_at=timezone.now())
    Connection.objects.update(rest_until=None)


def settle(toy: Toys, rounds: int = 4) -> None:
    for _ in range(rounds):
        toy.drain()
        make_due()


def test_an_order_goes_all_the_way_and_comes_back(toy: Toys) -> None:
    toy.shop.place("1")
    assert toy.poll() == 1
    toy.drain()
    link = Link.objects.get()
    assert toy.erp.orders[link.external_id]["reference"] == "1"
    key = "35261111222333000181550010000123451876543211"
    toy.erp.orders[link.external_id]["invoices"] = [{"key": key}]
    actions.fetch_one(toy.books, link.external_id, "ana")
    toy.drain()
    assert toy.shop.invoices == {"1": key}
    order = Order.objects.get()
    assert order.status == "invoiced" and order.invoices.get().answer == "accepted"
    assert {"create", "invoice"} <= set(Exchange.objects.filter(order=order).values_list("operation", flat=True))


def test_the_same_page_twice_makes_nothing_new(toy: Toys) -> None:
    toy.shop.place("1")
    assert (toy.poll(), toy.poll()) == (1, 0)
    toy.drain()
    assert (Order.objects.count(), InboxEntry.objects.count(), len(toy.erp.orders)) == (1, 1, 1)


def waits(toy: Toys) -> int:
    """Minutes until the next poll."""
    toy.channel.refresh_from_db()
    assert toy.channel.next_poll_at is not None
    return round((toy.channel.next_poll_at - timezone.now()).total_seconds() / 60)


def test_who_sells_and_does_not_push_is_asked_sooner(toy: Toys) -> None:
    toy.poll()
    assert waits(toy) == 60
    toy.shop.place("1")
    toy.poll()
    assert waits(toy) == 20
    toy.poll()
    assert waits(toy) == 60
    Connection.objects.update(last_push_at=timezone.now())
    toy.shop.place("2")
    toy.poll()
    assert waits(toy) == 60
    Connection.objects.update(last_push_at=None, settings={**toy.channel.settings, "poll_seconds": 120})
    toy.shop.place("3")
    toy.poll()
    assert waits(toy) == 2


@pytest.mark.parametrize("fault", ["cut_after", "502_after"])
def test_an_answer_lost_after_the_erp_wrote_is_looked_up(toy: Toys, fault: str) -> None:
    toy.erp.faults = [Fault(fault, match="POST /orders", times=1)]
    toy.shop.place("1")
    toy.poll()
    toy.drain(toy.books)
    job = Job.objects.get(operation="export")
    assert job.state == Job.State.UNKNOWN and job.uncertain
    settle(toy)
    assert len(toy.erp.orders) == 1
    assert Link.objects.get().adopted


def test_absence_is_believed_the_second_time(toy: Toys) -> None:
    """The service says 502 without having written: two searches come back empty, then it is sent again, once."""
    toy.erp.faults = [Fault("cut_before", match="POST /orders", times=1)]
    toy.shop.place("1")
    toy.poll()
    settle(toy, 1)
    settle(toy, 1)
    assert Job.objects.get(operation="export").absences == 1 and not toy.erp.orders
    settle(toy, 2)
    assert len(toy.erp.orders) == 1 and not Link.objects.get().adopted
    assert toy.erp.requests["GET /orders"] == 2


def test_a_worker_killed_after_the_write_leaves_an_unknown_outcome(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()
    with patch.object(operations, "_exported", side_effect=SystemExit), pytest.raises(SystemExit):
        toy.drain(toy.books)
    assert len(toy.erp.orders) == 1
    assert ledger.recover(timezone.now() + ledger.LEASE + timedelta(seconds=1)) == 1
    assert Job.objects.get(operation="export").state == Job.State.UNKNOWN
    settle(toy)
    assert len(toy.erp.orders) == 1 and Link.objects.get().adopted


def test_a_job_taken_over_cannot_finish_twice(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()
    first = ledger.claim(toy.books, 1)[0]
    ledger.recover(timezone.now() + ledger.LEASE + timedelta(seconds=1))
    second = ledger.claim(toy.books, 1, now=timezone.now() + timedelta(minutes=1))[0]
    assert first.pk == second.pk and first.lease != second.lease
    assert not ledger.done(first)
    assert ledger.fail(first, Failure(Category.TRANSIENT, "late")) is None
    assert ledger.done(second)


def test_a_lost_lease_is_noticed_before_a_call(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()
    job = ledger.claim(toy.books, 1)[0]
    lease = ledger.Lease(job.lease, timezone.now())
    lease.alive(10)
    Job.objects.update(lease="another")
    lease.until = timezone.now()
    with pytest.raises(LeaseLost):
        lease.alive(10)


def test_a_poisonous_job_ends_with_a_person(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()
    now = timezone.now()
    for _ in range(ledger.LAST_LOST + 1):
        Job.objects.filter(state__in=ledger.OPEN).update(due_at=now - timedelta(seconds=1))
        if not ledger.claim(toy.books, 1, now=now):
            break
        now += ledger.LEASE + timedelta(seconds=1)
        ledger.recover(now)
    job = Job.objects.get(operation="export")
    assert job.state == Job.State.REFUSED and job.attempts == ledger.LAST_LOST


def test_an_unknown_sku_waits_for_a_person_and_names_it(toy: Toys) -> None:
    toy.shop.place("1", sku="GONE")
    toy.poll()
    toy.drain()
    job = Job.objects.get(operation="export")
    assert job.state == Job.State.REFUSED and "GONE" in job.error and job.category == "rejected"
    assert Order.objects.get().events.filter(code="job_failed").exists()
    toy.erp.orders.clear()
    order = toy.shop.place("1", sku="MUG", version=2)
    assert order["sku"] == "MUG"
    toy.poll()
    actions.retry(job, "ana")
    toy.drain()
    assert len(toy.erp.orders) == 1


def test_a_bug_is_kept_visible_and_the_others_go_on(toy: Toys) -> None:
    for number in ("1", "crash", "2"):
        toy.shop.place(number)
    toy.poll()
    bad = InboxEntry.objects.get(state="rejected")
    assert bad.external_id == "crash" and "ZeroDivisionError" in bad.error
    assert set(Order.objects.values_list("external_id", flat=True)) == {"1", "2"}


def test_a_bad_document_can_be_replayed_after_the_fix(toy: Toys) -> None:
    toy.shop.place("1", total=["wrong"])
    toy.poll()
    entry = InboxEntry.objects.get()
    assert entry.state == "rejected" and entry.error_path == "$.total"
    assert not actions.replay(entry, "ana")
    InboxEntry.objects.filter(pk=entry.pk).update(body=bytes(entry.body).replace(b'["wrong"]', b'"10.00"'))
    assert actions.replay(InboxEntry.objects.get(), "ana")
    toy.drain()
    assert len(toy.erp.orders) == 1


@pytest.mark.parametrize(
    "changes", [{"total": "11.00"}, {"currency": "XTS"}, {"placed": "2199-01-01T00:00:00Z"}, {"total": "-10.00"}]
)
def test_what_does_not_add_up_is_held_and_released_by_a_person(toy: Toys, changes: dict[str, str]) -> None:
    toy.shop.place("1", **changes)
    toy.poll()
    toy.drain()
    order = Order.objects.get()
    assert order.held and not toy.erp.orders
    actions.release(order, order.holds, "ana")
    toy.drain()
    assert len(toy.erp.orders) == 1


def test_an_unpaid_order_waits_and_goes_when_paid(toy: Toys) -> None:
    toy.shop.place("1", status="waiting")
    toy.poll()
    toy.drain()
    assert Order.objects.get().status == "pending" and not toy.erp.orders
    toy.shop.place("1", version=2)
    toy.poll()
    toy.drain()
    assert len(toy.erp.orders) == 1


def test_an_order_cancelled_before_its_turn_is_not_sent(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()
    toy.shop.place("1", status="cancelled", version=2)
    toy.poll()
    toy.drain()
    assert Order.objects.get().status == "cancelled" and not toy.erp.orders


def test_equal_numbers_of_two_channels_are_two_sales(toy: Toys) -> None:
    settings = {"hosts": {"api": toy.shop_server.url}}
    other = actions.connect(toy.seller, "toy_shop", "Other shop", settings, {"api_key": "k" * 12})
    toy.shop.place("1")
    toy.poll()
    toy.poll(other)
    toy.drain()
    assert Order.objects.count() == 2
    assert len({order["key"] for order in toy.erp.orders.values()}) == 2


def test_the_circuit_opens_probes_and_closes(toy: Toys) -> None:
    toy.erp.faults = [Fault("500", match="POST /orders")]
    for number in range(12):
        toy.shop.place(str(number))
    toy.poll()
    # Each is sent, looked up twice, and sent again: only then it is known that the service fails.
    settle(toy, 3)
    toy.drain(toy.books)
    toy.books.refresh_from_db()
    assert toy.books.rest_until is not None and toy.books.failures >= 5
    calls = toy.erp.faults[0].hits
    assert calls <= 12 + 12, "nothing is sent a third time"
    toy.drain(toy.books)
    assert toy.erp.faults[0].hits == calls, "a resting connection is left alone"
    toy.erp.faults = []
    settle(toy, 5)
    assert len(toy.erp.orders) == 12
    toy.books.refresh_from_db()
    assert toy.books.failures == 0 and toy.books.rest_until is None


def test_a_throttled_job_burns_no_attempt_and_nobody_sleeps(toy: Toys) -> None:
    toy.erp.faults = [Fault("429", match="POST /orders")]
    toy.shop.place("1")
    toy.poll()
    started = timezone.now()
    toy.drain(toy.books)
    job = Job.objects.get(operation="export")
    assert job.attempts == 0 and job.state == Job.State.READY and job.due_at > started
    assert timezone.now() - started < timedelta(seconds=2)


def test_a_paused_connection_and_a_paused_flow_rest(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()
    actions.pause(toy.books, "ana", "export")
    toy.drain()
    assert not toy.erp.orders
    actions.resume(toy.books, "ana", "export")
    actions.pause(toy.channel, "ana")
    toy.drain()
    assert len(toy.erp.orders) == 1
    assert toy.poll() == 0 and Connection.objects.get(pk=toy.channel.pk).state == "paused"


def test_a_crash_between_storing_and_reading_loses_nothing(toy: Toys) -> None:
    from connectors import intake, tasks

    toy.shop.place("1")
    with patch.object(intake, "read", side_effect=SystemExit), pytest.raises(SystemExit):
        toy.poll()
    assert InboxEntry.objects.get().state == "waiting"
    InboxEntry.objects.update(received_at=timezone.now() - timedelta(minutes=1))
    tasks.recover()
    assert InboxEntry.objects.get().state == "read" and Order.objects.count() == 1


def test_a_push_is_stored_answered_and_followed(toy: Toys, client: object) -> None:
    toy.shop.place("1")
    address = f"/push/toy_shop/{toy.channel.push_key}/"
    for _ in range(2):
        answer = client.post(address, b'{"id": "1", "event": "e1"}', content_type="application/json")  # type: ignore[attr-defined]
        assert answer.status_code == 200
    assert InboxEntry.objects.filter(source="push").count() == 1
    toy.drain()
    assert Order.objects.count() == 1 and len(toy.erp.orders) == 1
    assert client.post("/push/toy_shop/nobody/", b"{}", content_type="application/json").status_code == 404  # type: ignore[attr-defined]


def test_a_document_asked_for_while_it_is_read_is_read_again(toy: Toys) -> None:
    toy.shop.place("1")
    actions.fetch_one(toy.channel, "1", "ana")
    job = ledger.claim(toy.channel, 1)[0]
    actions.fetch_one(toy.channel, "1", "ana")
    assert ledger.done(job)
    assert Job.objects.get(pk=job.pk).state == Job.State.READY


def test_a_change_that_its_entry_does_not_show_is_read_again_once(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()
    toy.drain()
    (link,) = Link.objects.all()
    read = Job.objects.filter(connection=toy.books, operation="read_erp", key=link.external_id)
    entry = Change(link.external_id, b'{"id": 1}')
    arrivals.arrived(toy.books, [entry], "poll")
    toy.drain(toy.books)
    read.update(state=Job.State.DONE)
    assert arrivals.arrived(toy.books, [entry], "poll") == 0 and read.get().state == Job.State.DONE
    asked_at = read.get().asked_at
    arrivals.arrived(toy.books, [replace(entry, changed_by=asked_at)], "poll")
    assert read.get().state == Job.State.DONE, "it was asked for after that"
    arrivals.arrived(toy.books, [replace(entry, changed_by=timezone.now())], "poll")
    assert read.get().state == Job.State.READY


def test_the_most_urgent_goes_first(toy: Toys) -> None:
    steps = [ledger.Step(toy.books.pk, "export", f"order:{n}", priority=n) for n in range(5)]
    ledger.ask(steps)
    assert [job.priority for job in ledger.claim(toy.books, 3)] == [4, 3, 2]


def test_a_backfill_shows_its_progress(toy: Toys) -> None:
    toy.shop.place("1")
    row = actions.backfill(toy.channel, timezone.now() - timedelta(days=9), timezone.now(), "ana")
    toy.drain(toy.channel)
    row.refresh_from_db()
    assert (row.found, row.new, row.finished_at is not None) == (1, 1, True)


def test_handled_by_hand_stays_closed(toy: Toys) -> None:
    toy.shop.place("1", sku="GONE")
    toy.poll()
    toy.drain()
    job = Job.objects.get(operation="export")
    actions.close(job, "ana", "typed into the ERP by hand")
    toy.shop.place("1", sku="MUG", version=2)
    toy.poll()
    settle(toy)
    assert not toy.erp.orders and Job.objects.get(pk=job.pk).state == Job.State.CLOSED


def test_a_sign_in_that_is_refused_pauses_the_connection(toy: Toys) -> None:
    toy.shop.place("1")
    with patch.object(toy.erp, "handle", lambda request: toy.erp.unauthorised(request)):
        toy.poll()
        toy.drain(toy.books)
    toy.books.refresh_from_db()
    assert toy.books.state == "sign_in"
    actions.store_credentials(toy.books, {"api_key": "another-key"})
    settle(toy)
    assert len(toy.erp.orders) == 1


def test_what_a_slice_has_no_time_for_goes_back(toy: Toys) -> None:
    for number in range(6):
        toy.shop.place(str(number))
    toy.poll()
    work._pace[toy.books.pk] = 0.001
    with patch.object(work, "SLICE_SECONDS", 0.0):
        assert work.drain(toy.books, operations.OPERATIONS, operations.refused, lambda: False)
    assert len(toy.erp.orders) == 1
    left = Job.objects.filter(connection=toy.books, operation="export", state=Job.State.READY)
    assert left.filter(attempts=0, lease="").count() == 5
    toy.drain(toy.books)
    assert len(toy.erp.orders) == Link.objects.count() == 6


def test_a_link_that_a_person_has_cut_meanwhile_stays_cut(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()
    toy.drain()
    link = Link.objects.get()
    actions.fetch_one(toy.books, link.external_id, "ana")
    cut = Link.objects.filter(pk=link.pk)
    locked = doors.together

    def together(ids: Iterable[int]) -> AbstractContextManager[dict[int, Order]]:
        ids = list(ids)
        cut.delete()
        return locked(ids)

    with patch.object(doors, "together", together):
        toy.drain(toy.books)
    assert not cut.exists()
    assert Job.objects.get(operation="read_erp", key=link.external_id).state == Job.State.DONE


def test_a_document_that_cannot_be_taken_takes_no_other_of_its_claim_with_it(toy: Toys) -> None:
    """What is fetched by the jobs of one claim is read together; a bug of ours stays with the job that meets it."""
    for number in range(3):
        toy.shop.place(str(number))
        ledger.ask([ledger.Step(toy.channel.pk, "fetch", str(number))])
    store = intake.store

    def failing(connection: Connection, changes: Sequence[Change], source: str, topic: str = "") -> list[InboxEntry]:
        if any(change.external_id == "1" for change in changes):
            raise ValueError("no")
        return store(connection, changes, source, topic)

    work._pace[toy.channel.pk] = 0.001
    with patch.object(intake, "store", failing):
        work.drain(toy.channel, operations.OPERATIONS, operations.refused, lambda: False)
    assert set(Order.objects.values_list("external_id", flat=True)) == {"0", "2"}
    job = Job.objects.get(key="1")
    assert (job.state, job.category) == (Job.State.READY, Category.BUG)
    assert Job.objects.filter(operation="fetch", state=Job.State.DONE).count() == 2


def test_news_of_a_channel_go_before_what_it_is_told(toy: Toys) -> None:
    """A new sale does not wait behind the invoices of older ones, unless those are due within hours."""
    now = timezone.now()
    order = Order(ship_by=now + timedelta(days=1))
    assert planning.fetch_step(toy.channel, "1").priority > planning.export_priority(order)
    order.ship_by = now + timedelta(hours=2)
    assert planning.fetch_step(toy.channel, "1").priority < planning.export_priority(order)
    # In the ERP, reading comes after writing.
    assert planning.fetch_step(toy.books, "1").priority < planning.export_priority(Order())
