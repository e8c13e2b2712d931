"""The label of a DBA order: planned once, with a restricted token, and taken from an address that soon dies."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from connectors.channels.amazon import SERVICE, labels, mapping
from connectors.contract import Label, ShipmentRef
from connectors.failures import Category, Failure, NotYet, Refusal
from connectors.http import Answer
from connectors.simulation.server import Request
from monitoring.packing.fetching import PDF, ZPL, files
from orders.documents import OrderDocument
from tests.connectors.channels.amazon.wire import INVOICE, Wire, now, wire

NONE = ShipmentRef("")


@pytest.fixture
def between() -> Iterator[Wire]:
    with wire() as one:
        yield one


def invoiced(between: Wire, **options: object) -> OrderDocument:
    order = between.place(program="DBA", **options)
    between.adapter.send_invoice(order, INVOICE, NONE)
    return order


def label(between: Wire, order: OrderDocument) -> Label:
    return between.adapter.label(order, NONE)


@pytest.mark.parametrize(("chosen", "kind"), [("", PDF), ("pdf", PDF), ("zpl", ZPL), ("zpl2", ZPL)])
def test_one_call_plans_the_collection_and_gives_the_label(chosen: str, kind: str) -> None:
    with wire({"label_format": chosen}) as between:
        order = invoiced(between)
        found = label(between, order)
        [(came, content)] = list(files(found.content))
        assert came == kind and order.external_id.encode() in content
        assert found.content_type == "application/zip"
        [parcel] = between.order(order.external_id).shipments
        assert (parcel.raw_status, bool(parcel.tracking_code)) == ("PENDING PENDING_PICK_UP", True)


def test_the_calls_and_what_is_kept_of_them(between: Wire) -> None:
    label(between, invoiced(between))
    made = between.exchanges[-4:]
    assert [one.operation for one in made] == [
        "getOrder",
        "createRestrictedDataToken",
        "createScheduledPackageBulk",
        "downloadLabel",
    ]
    assert "//localhost:" in made[-1].url and "?" not in made[-1].url
    recorded = repr(between.exchanges)
    [signature] = between.simulator.stored
    [token] = between.simulator.restricted
    assert signature not in recorded and token not in recorded
    # The file names the buyer.
    assert made[-1].response_body == "•••"


def test_the_connection_s_own_token_does_not_open_it(between: Wire) -> None:
    with pytest.raises(Failure) as caught:
        between.adapter.http.post(labels.BULK, operation="createScheduledPackageBulk", json={})
    assert caught.value.status == 403


@pytest.mark.parametrize(("program", "said"), [("SELF_SHIP", "hub's own"), ("FBA", "itself")])
def test_other_orders_have_no_label_of_amazons(between: Wire, program: str, said: str) -> None:
    order = between.place(program=program)
    before = len(between.exchanges)
    with pytest.raises(Refusal, match=said) as caught:
        label(between, order)
    assert caught.value.code == "no_label" and len(between.exchanges) == before


def test_fba_onsite_is_collected_too_and_yet_amazons() -> None:
    with wire(onsite=True) as between, pytest.raises(Refusal, match="itself"):
        label(between, between.place(program="FBA"))


def test_before_amazons_window_it_waits_for_that_time(between: Wire) -> None:
    order = invoiced(between)
    opens = (now() + timedelta(hours=5)).replace(microsecond=0)
    between.simulator.open_labels_at(order.external_id, opens)
    with pytest.raises(NotYet) as caught:
        label(between, order)
    assert caught.value.retry_at == opens
    assert not between.calls("createScheduledPackageBulk")
    between.simulator.open_labels_at(order.external_id, now() - timedelta(hours=1))
    assert label(between, order).content


@pytest.mark.parametrize("done", ["cancelled", "shipped"])
def test_what_is_over_is_not_planned(between: Wire, done: str) -> None:
    order = invoiced(between)
    if done == "cancelled":
        between.simulator.cancel(order.external_id)
    else:
        between.simulator._collect(between.simulator.sales[order.external_id])
    with pytest.raises(Refusal, match=done.upper()):
        label(between, order)
    assert not between.calls("createScheduledPackageBulk")


def test_without_an_accepted_invoice_amazon_refuses_and_says_why(between: Wire) -> None:
    order = between.place(program="DBA")
    with pytest.raises(Failure, match=r"NF-e.* It said: The order cannot be scheduled") as caught:
        label(between, order)
    assert caught.value.code == "InvalidOrderState"


def test_what_is_planned_already_is_printed_in_seller_central(between: Wire) -> None:
    order = invoiced(between)
    label(between, order)
    with pytest.raises(Failure, match="Print it in Seller Central") as caught:
        label(between, order)
    assert caught.value.category is Category.REJECTED


def test_a_label_that_comes_along_with_that_is_used(between: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    order = invoiced(between)
    asked = Request("POST", labels.BULK, {}, {"host": urlsplit(between.account.hosts["api"]).netloc}, b"")
    address = between.simulator.hand_out(asked, "GET", "application/zip", b"the same again")
    error = {"code": "ScheduledPackageAlreadyExists", "message": "no"}
    body = {
        "printableDocumentsUrl": address,
        "rejectedOrders": [{"amazonOrderId": order.external_id, "error": error}],
    }
    answered = between.adapter.call

    def call(request: Callable[[], Answer], operation: str) -> Answer:
        planned = operation == "createScheduledPackageBulk"
        return Answer(200, {}, json.dumps(body).encode()) if planned else answered(request, operation)

    monkeypatch.setattr(between.adapter, "call", call)
    assert label(between, order).content == b"the same again"


def test_times_that_have_changed_are_asked_for_again(between: Wire) -> None:
    order = invoiced(between)
    between.simulator.no_slots = 1
    with pytest.raises(NotYet):
        label(between, order)
    assert label(between, order).content


def test_a_planning_whose_answer_is_lost_is_not_repeated_at_once(between: Wire) -> None:
    order = invoiced(between)
    between.fault("cut_after", "packages/bulk")
    with pytest.raises(Failure) as caught:
        label(between, order)
    assert caught.value.category is Category.TRANSIENT and len(between.calls("createScheduledPackageBulk")) == 1
    with pytest.raises(Failure, match="only once"):
        label(between, order)


def test_an_address_that_has_died_is_said(between: Wire) -> None:
    order = invoiced(between)
    between.simulator.address_seconds = -1
    with pytest.raises(Failure, match="no longer good") as caught:
        label(between, order)
    assert caught.value.category is Category.TRANSIENT


@pytest.mark.parametrize("call", ["restrictedDataToken", "packages/bulk"])
def test_a_missing_role_stops_labels_alone(between: Wire, call: str) -> None:
    order = invoiced(between)
    between.fault("expired", call, times=9)
    # No renewal helps: the role is missing.
    between.adapter.renewal.done = True
    with pytest.raises(Failure, match="Direct-to-Consumer") as caught:
        label(between, order)
    assert (caught.value.category, caught.value.code) == (Category.REJECTED, "not_enabled")


def test_the_quota_is_amazons() -> None:
    with wire(limits=True) as between:
        order = invoiced(between)
        between.simulator.buckets["createScheduledPackageBulk"].level = 0
        with pytest.raises(Failure) as caught:
            label(between, order)
        assert caught.value.category is Category.RATE_LIMITED and caught.value.retry_at


def test_the_hub_asks_for_those_orders_that_have_one() -> None:
    assert SERVICE.labels.logistics == mapping.COLLECTED and SERVICE.labels.of_orders
