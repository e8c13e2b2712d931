"""Whatever arrives ends as an order, or as a row that a person sees and can replay; never as silence."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from connectors import actions, http
from connectors.models import Connection, InboxEntry, Job
from connectors.simulation.server import Fault
from orders.models import Order
from tests.support.toy import Toys, toys

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def toy() -> Iterator[Toys]:
    with toys() as made:
        yield made


def with_a_good_neighbour(toy: Toys, **bad: Any) -> None:
    toy.shop.place("good")
    toy.shop.place("bad", **bad)
    toy.poll()
    toy.drain()
    assert Order.objects.filter(external_id="good").exists()
    assert [order["reference"] for order in toy.erp.orders.values()].count("good") == 1


@pytest.mark.parametrize(
    ("bad", "path"),
    [
        ({"total": {"amount": 1}}, "$.total"),
        ({"total": True}, "$.total"),
        ({"total": "1e400"}, "$.total"),
        ({"total": "NaN"}, "$.total"),
        ({"quantity": "two"}, "$.quantity"),
        ({"placed": None}, "$.placed"),
        ({"placed": "2026-11-20T10:00:00"}, "$.placed"),
        ({"placed": "yesterday"}, "$.placed"),
        ({"placed": "9999-12-31T23:59:59-12:00"}, "$.placed"),
        ({"sku": ["a", "list"]}, "$.sku"),
        ({"quantity": 0}, "quantity"),
        ({"price": "123456789012345678.00", "total": "1"}, "unit_price"),
    ],
)
def test_what_cannot_be_read_is_a_row_with_its_path(toy: Toys, bad: dict[str, Any], path: str) -> None:
    with_a_good_neighbour(toy, **bad)
    entry = InboxEntry.objects.get(state="rejected")
    assert entry.external_id == "bad" and path in entry.error_path and entry.error
    assert json.loads(bytes(entry.body))["id"] == "bad", "kept verbatim"
    toy.shop.place("bad", version=2)
    toy.poll()
    assert Order.objects.filter(external_id="bad").exists(), "its next version is read"


@pytest.mark.parametrize(
    ("odd", "hold"),
    [
        ({"currency": "XTS"}, "currency"),
        ({"placed": "2199-01-01T00:00:00Z"}, "dates"),
        ({"total": "10.02"}, "money"),
        ({"price": "-10.00", "total": "-10.00"}, "money"),
        ({"document": "11111111111"}, "buyer"),
    ],
)
def test_what_is_doubtful_is_an_order_that_waits(toy: Toys, odd: dict[str, Any], hold: str) -> None:
    with_a_good_neighbour(toy, **odd)
    order = Order.objects.get(external_id="bad")
    assert order.held and hold in order.holds and order.exported_at is None
    actions.release(order, order.holds, "ana")
    toy.drain()
    order.refresh_from_db()
    assert order.exported_at is not None


def test_a_cent_within_the_tolerance_goes_through(toy: Toys) -> None:
    with_a_good_neighbour(toy, total="10.01")
    assert not Order.objects.get(external_id="bad").held


def test_an_unknown_status_is_shown_and_moves_nothing(toy: Toys) -> None:
    with_a_good_neighbour(toy, status="levitating")
    order = Order.objects.get(external_id="bad")
    assert (order.status, order.raw_status, order.exported_at) == ("pending", "levitating", None)
    assert order.unknown == ["$.status: levitating"]


@pytest.mark.parametrize("text", ["a\x00b", "lone \ud800 surrogate", "\u202eolleh"])
def test_characters_that_no_database_takes_are_replaced_visibly(toy: Toys, text: str) -> None:
    with_a_good_neighbour(toy, buyer=text)
    name = Order.objects.get(external_id="bad").buyer_name
    assert "\x00" not in name and name.encode()


def test_odd_characters_in_an_id_or_an_error_are_kept_too(toy: Toys) -> None:
    with_a_good_neighbour(toy, status="a\x00b\ud800")
    toy.shop.orders.clear()
    toy.shop.place("odd\x00id", total="x\x00\ud800")
    toy.poll()
    assert InboxEntry.objects.filter(state="rejected").count() == 1


def test_an_order_of_ten_thousand_lines(toy: Toys) -> None:
    with_a_good_neighbour(toy, lines=10_000, total="100000.00")
    order = Order.objects.get(external_id="bad")
    assert order.items.count() == 10_000 and order.exported_at is not None


def test_deeply_nested_json_is_refused(toy: Toys) -> None:
    from connectors.failures import Refusal
    from connectors.intake import interpret

    with pytest.raises(Refusal):
        interpret("toy_shop", b"[" * 100_000, {})
    with pytest.raises(Refusal):
        interpret("toy_shop", b'{"id": NaN}', {})
    with pytest.raises(Refusal, match="larger"):
        interpret("toy_shop", b" " * (11 * 1024 * 1024), {})


@pytest.mark.parametrize("fault", ["truncated", "html", "redirect", "huge", "cut_before", "500"])
def test_a_bad_answer_to_a_poll_is_shown_and_mended_by_the_next(toy: Toys, fault: str) -> None:
    toy.shop.place("1")
    toy.shop.faults = [Fault(fault)]
    toy.poll()
    toy.channel.refresh_from_db()
    assert toy.channel.last_error and toy.channel.poll_failures == 1 and not Order.objects.exists()
    toy.shop.faults = []
    toy.poll()
    toy.channel.refresh_from_db()
    assert Order.objects.count() == 1 and toy.channel.last_error == "" and toy.channel.poll_failures == 0


@pytest.mark.parametrize("fault", ["truncated", "html", "redirect", "huge", "cut_after", "drip"])
def test_a_bad_answer_to_a_fetch_is_a_job_that_can_be_retried(toy: Toys, fault: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(http, "TOTAL_SECONDS", 1.0)
    toy.shop.place("1")
    toy.shop.faults = [Fault(fault, match="GET /orders/1")]
    actions.fetch_one(toy.channel, "1", "ana")
    toy.drain(toy.channel)
    job = Job.objects.get(operation="fetch")
    assert job.error and job.state in (Job.State.READY, Job.State.REFUSED)
    toy.shop.faults = []
    Connection.objects.update(rest_until=None)
    actions.retry(job, "ana")
    toy.drain(toy.channel)
    assert Order.objects.count() == 1 and Job.objects.get(pk=job.pk).state == Job.State.DONE
