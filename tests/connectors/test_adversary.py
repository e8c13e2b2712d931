"""The core against what it fears: each test is a way to lose, double, leak or hide an order that must not work."""

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.db import OperationalError
from django.test import Client as Browser
from django.utils import timezone

from connectors import (
    actions,
    deadline,
    health,
    intake,
    ledger,
    operations,
    planning,
    polling,
    redaction,
    registry,
    sales,
    tasks,
    work,
)
from connectors.contract import Announcement, Capability, ErpOrder, Page, Reference
from connectors.failures import Category, Failure, LeaseLost, NotYet
from connectors.http import Client, Surroundings
from connectors.models import Connection, Exchange, InboxEntry, Job, Link
from connectors.simulation.server import Fault
from hub.models import Seller
from orders.documents import OrderDocument
from orders.ingest import ingest
from orders.models import Order, OrderEvent
from tests.support import toy as toys_module
from tests.support.toy import ErpAdapter, ShopAdapter, Toys, toys

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "35261111222333000181550010000123451876543211"


@pytest.fixture
def toy() -> Iterator[Toys]:
    with toys() as made:
        yield made


def make_due() -> None:
    Job.objects.filter(state__in=ledger.OPEN).update(due_at=timezone.now())
    Connection.objects.update(rest_until=None, failures=0)


def settle(toy: Toys, rounds: int = 4) -> None:
    for _ in range(rounds):
        toy.drain()
        make_due()


def export_job() -> Job:
    return Job.objects.get(operation="export")


def second_erp(toy: Toys) -> Connection:
    return actions.connect(
        toy.seller, "toy_erp", "New ERP", {"hosts": {"api": toy.erp_server.url}}, {"api_key": "n" * 12}
    )


# --- Once only ---------------------------------------------------------------------------------------------------


def test_an_erp_that_loses_every_answer_is_not_asked_for_ever(toy: Toys) -> None:
    toy.erp.faults = [Fault("cut_before", match="POST /orders")]
    toy.shop.place("1")
    toy.poll()
    Job.objects.update(attempts=ledger.LAST_TRY - 3)
    settle(toy, 12)
    job = export_job()
    assert job.state == Job.State.REFUSED and job.uncertain
    assert Order.objects.get().events.filter(code="job_failed").exists()
    toy.erp.faults = []
    actions.retry(job, "ana")
    settle(toy, 4)
    assert len(toy.erp.orders) == 1


def test_a_lost_answer_is_asked_for_less_and_less_often(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()
    Job.objects.update(attempts=8)
    job = ledger.claim(toy.books, 1)[0]
    now = timezone.now()
    with patch("connectors.ledger.random.uniform", lambda low, high: high):
        ledger.fail(job, Failure(Category.TRANSIENT, "cut off", uncertain=True), settle=5, now=now)
    job.refresh_from_db()
    assert job.state == Job.State.UNKNOWN and job.due_at - now > timedelta(minutes=5)


def test_an_answer_we_cannot_store_ends_with_a_person(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()
    with patch.object(sales, "attach", side_effect=ValueError("too long for its column")):
        settle(toy, 8)
    job = export_job()
    assert job.state == Job.State.REFUSED and job.uncertain and len(toy.erp.orders) == 1
    actions.retry(job, "ana")
    settle(toy)
    assert len(toy.erp.orders) == 1 and Link.objects.get().adopted


def test_a_poisonous_export_is_looked_up_before_a_person_repeats_it(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()
    Job.objects.update(attempts=ledger.LAST_LOST - 1, category="lost")
    with patch.object(operations, "_exported", side_effect=SystemExit), pytest.raises(SystemExit):
        toy.drain(toy.books)
    ledger.recover(timezone.now() + ledger.LEASE + timedelta(seconds=1))
    assert export_job().state == Job.State.REFUSED
    actions.retry(export_job(), "ana")
    settle(toy)
    assert len(toy.erp.orders) == 1


def test_a_lease_lost_between_search_and_write_writes_nothing(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()
    Job.objects.update(uncertain=True, absences=1, state=Job.State.UNKNOWN)

    def searched(self: ErpAdapter, reference: Reference) -> list[ErpOrder]:
        Job.objects.update(lease="another")
        return []

    with patch.object(ErpAdapter, "find", searched):
        work.drain(toy.books, operations.OPERATIONS, operations.refused, lambda: False)
    assert not toy.erp.orders


def test_the_rest_of_a_lost_claim_is_given_back(toy: Toys) -> None:
    for number in "123":
        toy.shop.place(number)
    toy.poll()
    jobs = ledger.claim(toy.books, 3)
    Job.objects.filter(pk=jobs[0].pk).update(lease="another")
    desk = work.Desk(toy.books)
    with patch.dict(operations.OPERATIONS, {"export": _lost}):
        work._run_all(desk, jobs, operations.OPERATIONS, lambda: False)
    assert Job.objects.filter(state=Job.State.READY).count() == 2


def _lost(desk: work.Desk, job: Job) -> None:
    raise LeaseLost


def test_a_call_whose_time_ran_out_in_a_slow_name_server_is_not_sent(toy: Toys) -> None:
    """The watchdog has no socket to shut while a name is looked up: the write must not leave after its time."""
    resolve = socket.getaddrinfo

    def late(*args: Any, **kwargs: Any) -> Any:
        time.sleep(0.5)
        return resolve(*args, **kwargs)

    Connection.objects.filter(pk=toy.books.pk).update(settings={**toy.books.settings, "call_seconds": 0.3})
    toy.shop.place("1")
    toy.poll()
    deadline._local.session = None
    with patch.object(socket, "getaddrinfo", late):
        toy.drain(toy.books)
    job = export_job()
    assert not toy.erp.orders and job.code == "timeout" and not job.uncertain


def test_a_press_of_retry_does_not_repeat_what_ended_meanwhile(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()
    stale = list(Job.objects.select_related("order"))
    toy.drain()
    assert export_job().state == Job.State.DONE

    class Stale:
        def filter(self, **_conditions: Any) -> "Stale":
            return self

        def select_related(self, *_names: str) -> "Stale":
            return self

        def only(self, *_names: str) -> list[Job]:
            return stale

    actions.retry_all(Stale(), "ana")  # type: ignore[arg-type]
    assert export_job().state == Job.State.DONE


# --- Whose order it is in the ERP ----------------------------------------------------------------------------------


def test_another_sales_erp_order_with_the_same_number_is_not_taken(toy: Toys) -> None:
    """An ERP that keeps no key of ours, two channels with order 1, and an answer lost for the second."""
    other = actions.connect(
        toy.seller, "toy_shop", "Other", {"hosts": {"api": toy.shop_server.url}}, {"api_key": "k" * 12}
    )
    toy.shop.place("1")
    toy.poll()
    toy.drain()
    toy.poll(other)
    job = Job.objects.get(operation="export", state=Job.State.READY)
    Job.objects.filter(pk=job.pk).update(uncertain=True, state=Job.State.UNKNOWN)

    def by_number(self: ErpAdapter, reference: Reference) -> list[ErpOrder]:
        return [ErpOrder(one["id"], one["id"], one["reference"]) for one in toy.erp.orders.values()]

    with patch.object(ErpAdapter, "find", by_number):
        settle(toy)
    assert len(toy.erp.orders) == 2 and Link.objects.count() == 2


def test_several_unmarked_orders_of_one_number_are_a_persons(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()
    Job.objects.update(uncertain=True, state=Job.State.UNKNOWN)
    with patch.object(ErpAdapter, "find", lambda self, reference: [ErpOrder("7", "7"), ErpOrder("8", "8")]):
        toy.drain(toy.books)
    assert export_job().code == "several" and export_job().state == Job.State.REFUSED and export_job().uncertain


def test_an_erp_that_cannot_be_searched_leaves_it_to_a_person(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()
    Job.objects.update(uncertain=True, state=Job.State.UNKNOWN)
    with without(toys_module.ERP, Capability.FIND):
        toy.drain(toy.books)
    assert export_job().code == "cannot_search" and export_job().state == Job.State.REFUSED and not toy.erp.orders


@contextmanager
def without(service: Any, capability: Capability) -> Iterator[None]:
    less = service.capabilities - {capability}
    before = service.capabilities
    object.__setattr__(service, "capabilities", less)
    try:
        yield
    finally:
        object.__setattr__(service, "capabilities", before)


def test_a_twin_in_the_erp_is_seen(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()
    toy.drain()
    link = Link.objects.get()
    toy.erp.orders["99"] = {**toy.erp.orders[link.external_id], "id": "99"}
    actions.fetch_one(toy.books, "99", "ana")
    toy.drain()
    assert "twice" in InboxEntry.objects.get(external_id="99", state="rejected").error
    assert Link.objects.get().external_id == link.external_id


# --- Two ERPs ------------------------------------------------------------------------------------------------------


def test_a_cancellation_goes_to_the_erp_that_has_the_order(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()
    toy.drain()
    new = second_erp(toy)
    Connection.objects.filter(pk=toy.channel.pk).update(settings={**toy.channel.settings, "erp": new.pk})
    toy.shop.place("1", status="cancelled", version=2)
    toy.poll()
    toy.drain()
    assert [order.get("cancelled") for order in toy.erp.orders.values()] == [True]


def test_an_order_in_doubt_at_one_erp_is_not_sent_to_another(toy: Toys) -> None:
    toy.erp.faults = [Fault("cut_after", match="POST /orders", times=1)]
    toy.shop.place("1")
    toy.poll()
    toy.drain(toy.books)
    new = second_erp(toy)
    Connection.objects.filter(pk=toy.channel.pk).update(settings={**toy.channel.settings, "erp": new.pk})
    toy.shop.place("1", version=2)
    toy.poll()
    toy.drain(new)
    assert len(toy.erp.orders) == 1
    settle(toy)
    toy.drain(new)
    assert len(toy.erp.orders) == 1 and Link.objects.get().connection_id == toy.books.pk


def test_what_waits_at_an_erp_that_the_seller_has_left_goes_to_the_new_one(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()
    actions.pause(toy.books, "ana")
    new = second_erp(toy)
    Connection.objects.filter(pk=toy.channel.pk).update(settings={**toy.channel.settings, "erp": new.pk})
    tasks.recover()
    toy.drain(new)
    actions.resume(toy.books, "ana")
    settle(toy)
    assert Link.objects.get().connection_id == new.pk and len(toy.erp.orders) == 1


def test_an_erp_never_signed_in_to_does_not_swallow_orders(toy: Toys) -> None:
    Connection.objects.filter(pk=toy.books.pk).update(state=Connection.State.NEW)
    toy.shop.place("1")
    toy.poll()
    assert not Job.objects.filter(operation="export").exists()
    new = second_erp(toy)
    tasks.recover()
    toy.drain(new)
    assert len(toy.erp.orders) == 1


@pytest.mark.parametrize("chosen", ["abc", "²", None, "999999"])
def test_a_nonsense_choice_of_erp_takes_no_order_down(toy: Toys, chosen: object) -> None:
    Connection.objects.filter(pk=toy.channel.pk).update(settings={**toy.channel.settings, "erp": chosen})
    toy.shop.place("1")
    assert toy.poll() == 1 and Order.objects.count() == 1


# --- Cancelled meanwhile -------------------------------------------------------------------------------------------


def test_an_order_cancelled_while_it_was_sent_is_cancelled_in_the_erp(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()
    create = ErpAdapter.create

    def cancelled_meanwhile(self: ErpAdapter, order: OrderDocument, reference: Reference) -> ErpOrder:
        made = create(self, order, reference)
        toy.shop.place("1", status="cancelled", version=2)
        toy.poll()
        return made

    with patch.object(ErpAdapter, "create", cancelled_meanwhile):
        toy.drain(toy.books)
    settle(toy)
    assert Order.objects.get().status == "cancelled"
    assert [order.get("cancelled") for order in toy.erp.orders.values()] == [True]


def test_an_erp_that_cannot_cancel_says_so_to_a_person(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()
    toy.drain()
    toy.shop.place("1", status="cancelled", version=2)
    toy.poll()
    with without(toys_module.ERP, Capability.CANCEL):
        toy.drain()
    job = Job.objects.get(operation="cancel_erp")
    assert job.state == Job.State.REFUSED and "by hand" in job.error


def test_lines_cancelled_after_the_export_are_a_persons(toy: Toys) -> None:
    toy.shop.place("1", quantity=3, total="30.00")
    toy.poll()
    toy.drain()
    for gone in (1, 2):
        toy.shop.place("1", quantity=3, total="30.00", gone=gone, version=1 + gone)
        toy.poll()
        toy.drain()
        job = Job.objects.filter(operation="change_erp").latest("pk")
        assert job.state == Job.State.REFUSED and f"{gone} × MUG" in job.error
        actions.close(job, "ana", "corrected in the ERP")
    assert Job.objects.filter(operation="change_erp").count() == 2


def test_lines_cancelled_while_it_was_sent_are_a_persons(toy: Toys) -> None:
    toy.shop.place("1", quantity=3, total="30.00")
    toy.poll()
    create = ErpAdapter.create

    def meanwhile(self: ErpAdapter, order: OrderDocument, reference: Reference) -> ErpOrder:
        toy.shop.place("1", quantity=3, total="30.00", gone=1, version=2)
        toy.poll()
        return create(self, order, reference)

    with patch.object(ErpAdapter, "create", meanwhile):
        toy.drain(toy.books)
    toy.drain()
    assert "1 × MUG" in Job.objects.get(operation="change_erp").error


def test_an_order_cancelled_by_hand_in_the_erp_is_told(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()
    toy.drain()
    link = Link.objects.get()
    toy.erp.orders[link.external_id]["cancelled"] = True
    actions.fetch_one(toy.books, link.external_id, "ana")
    toy.drain()
    assert Link.objects.get().cancelled
    assert OrderEvent.objects.filter(code="erp_cancelled").count() == 1
    settle(toy)
    assert len(toy.erp.orders) == 1, "what a person cancelled there is not sent again"
    job = Job.objects.get(operation="change_erp")
    assert job.state == Job.State.REFUSED and job.code == "cancelled_in_erp"
    toy.shop.place("1", status="cancelled", version=2)
    toy.poll()
    job.refresh_from_db()
    assert job.state == Job.State.DONE, "now both sides agree"


def test_a_refused_export_of_a_cancelled_sale_asks_for_nobody(toy: Toys) -> None:
    toy.shop.place("1", sku="GONE")
    toy.poll()
    toy.drain()
    assert export_job().state == Job.State.REFUSED
    toy.shop.place("1", sku="GONE", status="cancelled", version=2)
    toy.poll()
    assert export_job().state == Job.State.DONE and not toy.erp.orders


def test_a_late_refusal_of_the_old_key_does_not_stop_the_new_one(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()

    def refused(self: ErpAdapter, order: OrderDocument, reference: Reference) -> ErpOrder:
        actions.store_credentials(toy.books, {"api_key": "a new and good key"})
        raise Failure(Category.AUTH, "the old key is refused", status=401)

    with patch.object(ErpAdapter, "create", refused):
        toy.drain(toy.books)
    assert Connection.objects.get(pk=toy.books.pk).state == Connection.State.ACTIVE
    settle(toy)
    assert len(toy.erp.orders) == 1


def test_the_database_away_leaves_a_job_to_be_looked_up(toy: Toys) -> None:
    """The task fails, the lease runs out, what was sent is searched for."""
    toy.shop.place("1")
    toy.poll()
    with (
        patch.object(sales, "attach", side_effect=OperationalError("gone")),
        pytest.raises(OperationalError),
    ):
        tasks.drain(toy.books.pk)
    ledger.recover(timezone.now() + ledger.LEASE + timedelta(seconds=1))
    assert export_job().state == Job.State.UNKNOWN
    settle(toy)
    assert len(toy.erp.orders) == 1 and Link.objects.get().adopted


# --- Nothing waits unseen ------------------------------------------------------------------------------------------


def test_an_order_without_lines_left_is_shown_and_not_tried_for_ever(toy: Toys) -> None:
    toy.shop.place("1", gone=1)
    toy.poll()
    for _ in range(3):
        toy.drain()
        tasks.recover()
    job = export_job()
    assert job.state == Job.State.REFUSED and job.code == "nothing_left" and job.attempts == 1


def test_orders_of_a_seller_without_an_erp_do_not_starve_the_others(toy: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    poor = Seller.objects.create(name="Poor", slug="poor")
    shop = actions.connect(poor, "toy_shop", "Shop", {"hosts": {"api": toy.shop_server.url}}, {"api_key": "k" * 12})
    for number in range(6):
        toy.shop.place(str(number))
    toy.poll(shop)
    toy.poll()
    Job.objects.all().delete()
    monkeypatch.setattr(planning, "SWEPT", 3)
    assert planning.sweep() == 3
    assert planning.sweep() == 3
    assert Job.objects.filter(operation="export").count() == 6


def test_a_document_with_news_is_read_although_its_last_reading_was_closed(toy: Toys) -> None:
    actions.fetch_one(toy.channel, "1", "ana")
    toy.drain(toy.channel)
    job = Job.objects.get(operation="fetch")
    assert job.state == Job.State.REFUSED
    actions.close(job, "ana", "never mind")
    toy.shop.place("1")
    actions.fetch_one(toy.channel, "1", "push")
    toy.drain()
    assert Order.objects.count() == 1 and len(toy.erp.orders) == 1


def test_news_that_come_while_an_erp_order_is_read_do_not_wait_for_its_next_watch(toy: Toys) -> None:
    ledger.ask([ledger.Step(toy.books.pk, "read_erp", "7")])
    job = ledger.claim(toy.books, 1)[0]
    ledger.ask([ledger.Step(toy.books.pk, "read_erp", "7")])
    assert ledger.done(job, again_at=timezone.now() + timedelta(hours=6))
    job.refresh_from_db()
    assert job.state == Job.State.READY and job.due_at <= timezone.now()


def test_a_document_that_cannot_be_written_takes_no_other_with_it(toy: Toys) -> None:
    for number in ("1", "bad", "2"):
        toy.shop.place(number)

    def broken(channel: Any, documents: Any, **options: Any) -> Any:
        if any(document.external_id == "bad" for document in documents):
            raise ValueError("value too long for its column")
        return ingest(channel, documents, **options)

    with patch.object(intake, "ingest", broken):
        assert toy.poll() == 3
    assert set(Order.objects.values_list("external_id", flat=True)) == {"1", "2"}
    assert "too long" in InboxEntry.objects.get(state="rejected").error
    assert Connection.objects.get(pk=toy.channel.pk).last_error == ""


def test_a_state_that_grows_in_upper_case_is_stored(toy: Toys) -> None:
    toy.shop.place("1", uf="ßß")
    toy.poll()
    assert Order.objects.get().state == "SS"


def test_an_erp_document_that_cannot_be_applied_is_a_visible_row(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()
    toy.drain()
    link = Link.objects.get()
    toy.erp.orders[link.external_id]["invoices"] = [{"key": KEY}]
    actions.fetch_one(toy.books, link.external_id, "ana")
    with patch.object(sales, "_apply", side_effect=ValueError("odd")):
        toy.drain()
    entry = InboxEntry.objects.get(connection=toy.books)
    assert entry.state == "rejected" and "odd" in entry.error
    assert actions.replay(entry, "ana")


def test_the_database_away_rejects_no_document(toy: Toys) -> None:
    toy.shop.place("1")
    with patch.object(intake, "ingest", side_effect=OperationalError("gone")):
        toy.poll()
    assert InboxEntry.objects.get().state == "waiting"
    InboxEntry.objects.update(received_at=timezone.now() - timedelta(minutes=1))
    tasks.recover()
    assert Order.objects.count() == 1


def test_a_connection_that_cannot_be_opened_says_so(toy: Toys) -> None:
    Connection.objects.filter(pk=toy.channel.pk).update(settings={**toy.channel.settings, "calls_per_second": "many"})
    toy.poll()
    row = Connection.objects.get(pk=toy.channel.pk)
    assert "many" in row.last_error and row.poll_failures == 1 and row.poll_lease_until is None


def test_jobs_of_a_connection_that_cannot_be_opened_are_not_lost_to_dead_workers(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()
    Connection.objects.filter(pk=toy.books.pk).update(settings={**toy.books.settings, "calls_per_second": "many"})
    toy.drain(toy.books)
    job, row = export_job(), Connection.objects.get(pk=toy.books.pk)
    assert job.state == Job.State.READY and not job.uncertain and job.attempts == 0
    assert "many" in row.last_error and row.failures == 1


def test_one_connection_in_trouble_does_not_cost_the_others_their_tokens(toy: Toys) -> None:
    from connectors import tokens

    soon = {"api_key": "k" * 12, "expires_at": timezone.now().isoformat()}
    tokens.store(toy.channel, soon)
    tokens.store(toy.books, soon)
    Connection.objects.filter(pk=toy.channel.pk).update(settings={"calls_per_second": "many"})
    seen = []
    with patch.object(tokens.ConnectionTokens, "current", lambda self: seen.append(self.connection.pk)):
        tasks.refresh_tokens()
    assert seen == [toy.books.pk]


def test_not_yet_is_no_outage(toy: Toys) -> None:
    for _ in range(health.OPENS_AFTER + 1):
        health.went_wrong(toy.channel, NotYet("no label yet", retry_at=timezone.now()))
    row = Connection.objects.get(pk=toy.channel.pk)
    assert row.failures == 0 and row.rest_until is None


def test_a_flow_that_rests_does_not_keep_workers_busy(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()
    actions.pause(toy.books, "ana", "export")
    looked = []

    def look(connection: Connection) -> bool:
        looked.append(connection.pk)
        return True

    with patch.object(tasks, "_slice", look):
        tasks.drain(toy.channel.pk)
    assert looked == [toy.channel.pk, toy.books.pk]


def test_a_poller_that_was_too_slow_does_not_set_the_cursor_back(toy: Toys) -> None:
    def slow(self: ShopAdapter, cursor: Any, window: Any = None) -> Page:
        Connection.objects.update(poll_lease_until=timezone.now() + timedelta(seconds=99), cursor={"place": "newer"})
        return Page([], {"place": "older"})

    with patch.object(ShopAdapter, "changes", slow):
        toy.poll()
    row = Connection.objects.get(pk=toy.channel.pk)
    assert row.cursor == {"place": "newer"} and row.poll_lease_until is not None
    assert polling.claim(toy.channel.pk) is None


def test_two_beats_do_everything_once(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()
    for _ in range(2):
        tasks.dispatch()
        tasks.recover()
        planning.sweep()
    settle(toy)
    assert Job.objects.filter(operation="export").count() == 1 and len(toy.erp.orders) == 1


def test_a_broker_that_answers_nonsense_costs_nothing(toy: Toys) -> None:
    with patch("connectors.hints.current_app.send_task", side_effect=ValueError("OOM command not allowed")):
        actions.fetch_one(toy.channel, "1", "ana")
    assert Job.objects.filter(operation="fetch").exists()


# --- Pushes --------------------------------------------------------------------------------------------------------


def push(connection_key: str, body: bytes) -> int:
    browser = Browser(raise_request_exception=False)
    return browser.post(f"/push/toy_shop/{connection_key}/", body, content_type="application/json").status_code


def test_a_push_while_the_database_is_away_is_sent_again(toy: Toys) -> None:
    with patch.object(intake, "keep", side_effect=OperationalError("gone")):
        assert push(toy.channel.push_key, b'{"id": "1"}') >= 500
    assert not Job.objects.exists()


def test_a_push_that_breaks_the_adapter_is_kept_and_shown(toy: Toys) -> None:
    assert push(toy.channel.push_key, b"\xff no json") == 200
    assert InboxEntry.objects.get().state == "rejected"


def test_a_push_with_an_endless_id_is_stored(toy: Toys) -> None:
    assert push(toy.channel.push_key, b'{"id": "' + b"9" * 900 + b'\\u0000"}') == 200


def test_who_types_anothers_account_number_does_not_take_its_pushes(toy: Toys) -> None:
    thief = Seller.objects.create(name="Thief", slug="thief")
    other = actions.connect(thief, "toy_shop", "Shop", {"external_account": "A1"}, {"api_key": "k" * 12})
    Connection.objects.filter(pk=toy.channel.pk).update(external_account="A1")
    with patch.object(ShopAdapter, "read_push", lambda self, request: [Announcement("1", account="A1")]):
        assert push("app", b"{}") == 200
    asked = set(Job.objects.filter(operation="fetch").values_list("connection_id", flat=True))
    assert asked == {toy.channel.pk, other.pk}


# --- Secrets -------------------------------------------------------------------------------------------------------


CANARIES = {
    "token": "tok-canary-4471-secret",
    "document": "39053344705",
    "email": "canary.buyer@example.com",
    "phone": "11987650000",
    "name": "Canária da Silva Teste",
}


def test_canaries_of_a_whole_life_are_found_nowhere(toy: Toys, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    actions.store_credentials(toy.channel, {"access_token": CANARIES["token"]})
    actions.store_credentials(toy.books, {"access_token": CANARIES["token"]})
    buyer = {"buyer": CANARIES["name"], **{name: CANARIES[name] for name in ("document", "email", "phone")}}
    echo = f"no such SKU for token {CANARIES['token']}"
    toy.erp.faults = [Fault("html", match="POST /orders", times=1)]
    toy.shop.place("1", **buyer)
    toy.shop.place("bad", **{**buyer, "total": [echo]})
    toy.shop.place("crash", **buyer)
    toy.shop.place("2", **{**buyer, "sku": "GONE"})
    with patch.object(toys_module.ErpAdapter, "find", side_effect=Failure(Category.TRANSIENT, "away")):
        toy.poll()
        toy.drain()
    actions.fetch_one(toy.channel, "1", "ana")
    settle(toy)
    actions.retry_all(Job.objects.filter(state=Job.State.REFUSED), "ana")
    settle(toy)
    written = [
        *(f"{row.url} {row.request_body} {row.response_body} {row.error}" for row in Exchange.objects.all()),
        *Job.objects.values_list("error", flat=True),
        *InboxEntry.objects.values_list("error", flat=True),
        *Connection.objects.values_list("last_error", flat=True),
        *(str(data) for data in OrderEvent.objects.values_list("data", flat=True)),
        caplog.text,
    ]
    assert Exchange.objects.count() > 3
    found = [(name, text[:300]) for name, canary in CANARIES.items() for text in written if canary in text]
    assert not found


@pytest.mark.parametrize(
    "text",
    [
        '{"x": "' + "a" * 15_970 + '", "access_token": "canary-canary-canary-canary"}',
        "a" * 15_990 + "canary-canary",
        '{"access_token": "canary-canary',
        '{"number": "390.533.447-05", "other": "39053344705"}',
        "unknown buyer canary.person@example.com.br",
    ],
)
def test_a_secret_at_the_edge_or_without_a_name_is_masked(text: str) -> None:
    kept = redaction.body(text, ("canary-canary",))
    assert "canar" not in kept and "4705" not in kept and "447-05" not in kept and len(kept) <= redaction.LONGEST_BODY


def test_a_person_in_an_address_is_masked() -> None:
    kept = redaction.url("https://erp.example/contacts?search=39053344705&q=a.b@example.com&numeroDocumento=1&page=2")
    assert kept == "https://erp.example/contacts?search=•••&q=•••&numeroDocumento=•••&page=2"


SAMPLES = sorted(Path(registry.__file__).parent.glob("channels/*/samples/*.json"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_the_buyer_of_a_recorded_answer_cannot_be_read_in_it(sample: Path) -> None:
    kind, body = sample.parts[-3], sample.read_bytes()
    try:
        order = intake.interpret(kind, body, {})
    except Failure:
        pytest.skip("a sample of something that is no whole order")
    assert isinstance(order, OrderDocument)
    kept = redaction.body(body, (), registry.service(kind).redact)
    addresses = [address for address in (order.ship_to, order.bill_to) if address]
    personal = [order.buyer.name, order.buyer.document, order.buyer.email, order.buyer.phone]
    personal += [text for address in addresses for text in (address.recipient, address.street, address.phone)]
    assert not [text for text in personal if len(text) > 3 and f'"{text}"' in kept]


def test_a_token_renewed_meanwhile_is_masked_as_well(toy: Toys) -> None:
    class Renewed:
        def current(self) -> str:
            return "a-token-of-this-minute"

        def renew(self, stale: str) -> str:
            return stale

    around = Surroundings(tokens=Renewed(), allow_private=True, secrets=("the-old-one",))
    kept: list[str] = []
    around.record = lambda exchange: kept.append(exchange.request_body)
    account = work.account_of(toy.channel, toys_module.SHOP, {})
    client = Client(account, toys_module.SHOP, around, auth=lambda token: {"X-Key": token})
    client.post("/orders/1/invoice", operation="echo", json={"key": "a-token-of-this-minute"}, accept=(404, 405))
    assert kept == ['{"key": "•••"}']
