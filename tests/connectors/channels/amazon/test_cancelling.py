"""A cancellation goes as a feed: sent, waited for, and its report read line by line."""

import gzip
from collections.abc import Iterator

import pytest

from connectors.channels.amazon import feeds
from connectors.contract import Outcome, Receipt
from connectors.failures import Category, Failure, Refusal
from orders.documents import OrderDocument
from tests.connectors.channels.amazon.wire import Wire, wire


@pytest.fixture
def between() -> Iterator[Wire]:
    with wire() as one:
        yield one


def cancel(between: Wire, order: OrderDocument, under_way: str = "") -> Receipt:
    return between.adapter.cancel(order, "sem estoque", under_way)


def status(between: Wire, order: OrderDocument) -> str:
    return str(between.simulator.snapshot()[order.external_id]["status"])


def sent(between: Wire) -> list[str]:
    """The lines of the newest feed."""
    return [*between.simulator.feeds.values()][-1].content.decode().splitlines()


@pytest.mark.parametrize("program", ["SELF_SHIP", "DBA"])
def test_sent_waited_for_and_done(program: str) -> None:
    with wire(feed_after=0.4) as between:
        order = between.place(program=program)
        begun = cancel(between, order)
        assert begun.outcome is Outcome.UNDER_WAY and begun.external_id in between.simulator.feeds
        assert cancel(between, order, begun.external_id) == begun
        assert status(between, order) == "UNSHIPPED"
        between.simulator.feed_after = 0
        assert cancel(between, order, begun.external_id).outcome is Outcome.ACCEPTED
        assert status(between, order) == "CANCELLED"
        assert cancel(between, order).outcome is Outcome.ALREADY
        assert len(between.calls("createFeed")) == 1


def test_the_file_and_the_calls(between: Wire) -> None:
    order = between.place(program="SELF_SHIP")
    cancel(between, order)
    items = [item.external_id for item in order.items]
    assert sent(between) == [
        "order-id\tcancellation-reason-code\tamazon-order-item-code",
        *(f"{order.external_id}\tNoInventory\t{item}" for item in items),
    ]
    made = between.exchanges[-4:]
    assert [one.operation for one in made] == ["getOrder", "createFeedDocument", "uploadFeed", "createFeed"]
    assert "?" not in made[2].url and order.external_id in made[2].request_body
    assert not any(signature in repr(between.exchanges) for signature in between.simulator.stored)


def test_the_reason_is_the_connection_s(between: Wire) -> None:
    with wire({"cancel_reason": "PricingError"}) as between:
        cancel(between, between.place(program="SELF_SHIP"))
        assert "\tPricingError\t" in sent(between)[1]


def test_a_content_type_of_one_s_own(between: Wire) -> None:
    with wire({"feed_content_type": "text/plain"}) as between:
        assert cancel(between, between.place(program="SELF_SHIP")).outcome is Outcome.UNDER_WAY


def test_lines_that_are_cancelled_already_are_left_out(between: Wire) -> None:
    [external_id] = between.simulator.place(1, program="SELF_SHIP")
    while len(between.order(external_id).items) < 2:
        [external_id] = between.simulator.place(1, program="SELF_SHIP")
    order = between.order(external_id)
    between.simulator.cancel_line(external_id)
    begun = cancel(between, order)
    assert [line.rpartition("\t")[2] for line in sent(between)[1:]] == [one.external_id for one in order.items[1:]]
    assert cancel(between, order, begun.external_id).outcome is Outcome.ACCEPTED
    assert status(between, order) == "CANCELLED"


def test_what_the_buyer_cancelled_is_cancelled(between: Wire) -> None:
    order = between.place(program="SELF_SHIP")
    between.simulator.cancel(order.external_id)
    assert cancel(between, order).outcome is Outcome.ALREADY
    assert not between.calls("createFeedDocument")


def test_what_has_left_or_is_amazons_is_refused(between: Wire) -> None:
    order = between.place(program="DBA")
    between.simulator._collect(between.simulator.sales[order.external_id])
    with pytest.raises(Refusal, match="sent") as caught:
        cancel(between, order)
    assert caught.value.code == "has_left"
    with pytest.raises(Refusal, match="itself"):
        cancel(between, between.place(program="FBA"))
    assert not between.simulator.feeds


@pytest.mark.parametrize("shown", ["SHIPPED", "PARTIALLY_SHIPPED"])
def test_what_has_left_need_not_show_a_parcel(between: Wire, shown: str) -> None:
    order = between.place(program="SELF_SHIP")
    between.simulator.sales[order.external_id].status = shown
    with pytest.raises(Refusal, match="sent"):
        cancel(between, order)


def test_where_nothing_is_left_there_is_nothing_to_send(between: Wire) -> None:
    order = between.place(program="SELF_SHIP")
    for item in between.simulator.sales[order.external_id].raw["orderItems"]:
        item["fulfillment"]["quantityUnfulfilled"] = 0
    with pytest.raises(Refusal, match="nothing of this order"):
        cancel(between, order)
    assert not between.calls("createFeedDocument")


def test_a_parcel_that_is_planned_has_not_left_and_one_fetched_has(between: Wire) -> None:
    order = between.place(program="DBA")
    sale = between.simulator.sales[order.external_id]
    between.simulator._plan(sale)
    between.simulator.feed_after = 60
    assert cancel(between, order).outcome is Outcome.UNDER_WAY
    sale.packages[0]["packageStatus"] = {"status": "IN_TRANSIT"}
    with pytest.raises(Refusal):
        cancel(between, order)


def test_a_line_that_amazon_does_not_take_is_said_in_its_words(between: Wire) -> None:
    with wire({"cancel_reason": "Whim"}) as between:
        order = between.place(program="SELF_SHIP")
        begun = cancel(between, order)
        with pytest.raises(Refusal, match="90220 The order, its item or the reason is not known") as caught:
            cancel(between, order, begun.external_id)
        assert caught.value.code == "not_cancelled"


def test_a_second_feed_s_errors_do_no_harm(between: Wire) -> None:
    """The first one's answer was lost; by the time the second is worked on, the order is cancelled."""
    between.simulator.feed_after = 60
    order = between.place(program="SELF_SHIP")
    between.fault("cut_after", "POST /feeds/2021-06-30/feeds")
    with pytest.raises(Failure) as caught:
        cancel(between, order)
    assert caught.value.category is Category.TRANSIENT and len(between.calls("createFeed")) == 1
    begun = cancel(between, order)
    assert len(between.simulator.feeds) == 2
    between.simulator.feed_after = 0
    assert cancel(between, order, begun.external_id).outcome is Outcome.ALREADY


def test_a_feed_that_amazon_drops_or_cannot_read_is_a_refusal(between: Wire) -> None:
    order = between.place(program="SELF_SHIP")
    between.simulator.feed_after = 60
    begun = cancel(between, order)
    between.simulator.feeds[begun.external_id].status = "CANCELLED"
    with pytest.raises(Refusal, match="It said: CANCELLED"):
        cancel(between, order, begun.external_id)
    begun = cancel(between, order)
    feed = between.simulator.feeds[begun.external_id]
    feed.status, feed.document, feed.report = "DONE", "d", "<html>"
    with pytest.raises(Refusal, match="cannot be read"):
        cancel(between, order, begun.external_id)


def test_a_feed_that_amazon_has_forgotten_is_begun_anew_by_the_next_try(between: Wire) -> None:
    with pytest.raises(Failure) as caught:
        cancel(between, between.place(program="SELF_SHIP"), "12345")
    assert caught.value.category is Category.REJECTED


def test_an_upload_that_comes_too_late_is_tried_again(between: Wire) -> None:
    order = between.place(program="SELF_SHIP")
    between.simulator.address_seconds = -1
    with pytest.raises(Failure) as caught:
        cancel(between, order)
    assert caught.value.category is Category.TRANSIENT and not between.simulator.feeds


def test_feeds_that_are_not_enabled_stop_nothing_else(between: Wire) -> None:
    order = between.place(program="SELF_SHIP")
    between.fault("expired", "/feeds/", times=9)
    between.adapter.renewal.done = True
    with pytest.raises(Failure, match="Seller Central") as caught:
        cancel(between, order)
    assert (caught.value.category, caught.value.code) == (Category.REJECTED, "not_enabled")


def test_the_quota_of_feeds_is_amazons() -> None:
    with wire(limits=True) as between:
        order = between.place(program="SELF_SHIP")
        between.simulator.buckets["createFeed"].level = 0
        with pytest.raises(Failure) as caught:
            cancel(between, order)
        assert caught.value.category is Category.RATE_LIMITED and caught.value.retry_at
        # One call each two minutes.
        assert (caught.value.retry_at.timestamp() - between.paused[-1][1].timestamp()) == 0


COUNTS = "\tNumber of records processed\t\t2\n\tNumber of records successful"
HEAD = "original-record-number\tsku\terror-code\terror-type\terror-message"


@pytest.mark.parametrize(
    ("report", "errors", "understood"),
    [
        (f"Summary:\n{COUNTS}\t\t2\n", [], True),
        (f"{COUNTS}\t\t1\n", ["1 of 2 lines were not taken."], True),
        (f"{HEAD}\n1\t\t7\tError\tno\n2\t\t8\tWarning\thm\n3\t\t9\tFatal\tnever\n", ["7 no", "9 never"], True),
        ("Original Record Number\tError Code\tError Message\n1\t7\tno\n", ["7 no"], True),
        (f'{HEAD}\n1\t\t7\tError\t"half a quote\n', ['7 "half a quote'], True),
        (f"{HEAD}\n1\t\t7\n", ["7"], True),
        (f"{HEAD}\n", [], True),
        ("\tNumber of records processed\t\t0\n\tNumber of records successful\t\t0\n", [], False),
        ("", [], False),
        ("<html>", [], False),
    ],
)
def test_every_line_of_a_report_is_read(report: str, errors: list[str], understood: bool) -> None:
    found = feeds.read(report)
    assert (list(found.errors), found.understood) == (errors, understood)


def test_a_zipped_report_is_no_flood() -> None:
    assert len(feeds._unzipped(gzip.compress(b"0" * 50_000_000))) == feeds.MOST_BYTES
    with pytest.raises(Failure):
        feeds._unzipped(b"no gzip")
