"""Against Amazon's own API models: Prism judges our requests, and answers from the models alone."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.channels.amazon import auth, dispatch, invoices, labels
from connectors.channels.amazon.mapping import order
from connectors.channels.amazon.simulator import AmazonSimulator
from connectors.contract import Outcome, ShipmentRef, Window
from connectors.failures import Category, Failure, NotYet, Refusal
from connectors.http import Answer
from connectors.reading import Reader, parse_json
from orders.lifecycle import derive
from orders.vocabulary import OrderStatus
from tests.connectors.channels.amazon.wire import INVOICE, PARCEL, SAMPLES, Wire, connected, now, sample, wire
from tests.support.prism import start_prism, vendor_model

pytestmark = pytest.mark.real

ORDERS = "orders_2026-01-01.json"
ORDERS_V0 = "ordersV0.json"
DELIVERY = "deliveryShipmentInvoiceV2022-07-01.json"
ONSITE = "shipmentInvoicingV0.json"
TOKENS = "tokens_2021-03-01.json"
# Answers made up at random from the schema.
RANDOM_ANSWERS = 8
ORDERS_THAT_FIT = 100


@cache
def model(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(vendor_model("amazon", name).read_text())
    return loaded


class Servers:
    """One Prism per model and kind of answer, started when first asked for."""

    def __init__(self, running: ExitStack) -> None:
        self.running = running
        self.urls: dict[tuple[str, bool], str] = {}

    def url(self, name: str, dynamic: bool) -> str:
        key = (name, dynamic)
        if key not in self.urls:
            self.urls[key] = self.running.enter_context(start_prism(vendor_model("amazon", name), dynamic))
        return self.urls[key]

    def wire(self, name: str, dynamic: bool = False, prefer: str = "") -> Wire:
        """A connection to the model; every answer it gets is checked for complaints about the request."""
        between = connected(AmazonSimulator(), self.url(name, dynamic), {})
        request = between.adapter.http.request

        def judged(*args: Any, **options: Any) -> Answer:
            answer = request(*args, **options)
            assert "sl-violations" not in answer.headers, answer.headers["sl-violations"]
            return answer

        between.adapter.http.request = judged  # type: ignore[method-assign]
        if prefer:
            between.adapter.http.auth = lambda token: {**auth.headers(token), "Prefer": prefer}
        return between


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with ExitStack() as running:
        yield Servers(running)


# --- Our requests


def test_prism_would_see_a_wrong_request(servers: Servers) -> None:
    between = servers.wire(ORDERS)
    with pytest.raises((Failure, AssertionError)):
        between.adapter.read("702-3310045-8812201", "BUYER,EVERYTHING")


def test_searching_and_reading(servers: Servers) -> None:
    between = servers.wire(ORDERS)
    page = between.adapter.changes({})
    assert page.more and page.cursor["token"]
    between.adapter.changes(page.cursor)
    between.adapter.changes({}, Window(now().replace(year=2025), now()))
    assert json.loads(between.adapter.fetch("702-3310045-8812201"))["orderId"]
    between.adapter.check()
    assert [one.status for one in between.exchanges] == [200] * 5


@pytest.mark.parametrize("program", ["SelfShip", "EasyShip", "FbaOnSite"])
def test_sending_an_invoice(servers: Servers, program: str) -> None:
    between = servers.wire(DELIVERY)
    door = invoices._Delivery(between.adapter, "702-3310045-8812201", program)
    assert door.status() in ("Processing", "Accepted", "Errored", "NotFound")
    door.submit(invoices._content(INVOICE.xml, "base64"))
    assert [one.status for one in between.exchanges] == [200, 200]


def test_sending_an_onsite_invoice(servers: Servers) -> None:
    between = servers.wire(ONSITE)
    door = invoices._Onsite(between.adapter, "SQ9L2CbN4")
    assert door.status() in ("Processing", "Accepted", "Errored", "NotFound")
    door.submit(invoices._content(INVOICE.xml, "base64"))
    assert [one.status for one in between.exchanges] == [200, 200]


def test_an_invoice_flow_ends_in_a_receipt_or_a_wait(servers: Servers) -> None:
    between = servers.wire(DELIVERY)
    document = order(sample("order_dba_awaiting_invoice"), {})
    try:
        receipt = between.adapter.send_invoice(document, INVOICE, ShipmentRef(""))
        assert receipt.outcome in (Outcome.ACCEPTED, Outcome.ALREADY)
    except NotYet as wait:
        assert wait.retry_at is not None


def test_confirming_a_parcel(servers: Servers) -> None:
    between = servers.wire(ORDERS_V0)
    raw = sample("order_partially_shipped_business")
    # The order is read from another model, which has its own test.
    between.adapter.read = lambda *args: Reader(raw)  # type: ignore[method-assign]
    receipt = dispatch.send(between.adapter, order(raw, {}), PARCEL)
    assert (receipt.outcome, receipt.external_id) == (Outcome.ACCEPTED, "2")
    assert [one.status for one in between.exchanges] == [204]


def test_asking_for_a_restricted_token(servers: Servers) -> None:
    between = servers.wire(TOKENS)
    assert labels._restricted_token(between.adapter)
    assert [one.status for one in between.exchanges] == [200]


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
def test_the_models_errors_are_understood(servers: Servers, status: int) -> None:
    between = servers.wire(ORDERS, prefer=f"code={status}")
    # The model has no token endpoint to renew a token at.
    between.adapter.renewal.done = True
    with pytest.raises(Failure) as failure:
        between.adapter.fetch("702-3310045-8812201")
    expected = {403: Category.AUTH, 429: Category.RATE_LIMITED, 500: Category.TRANSIENT, 503: Category.TRANSIENT}
    assert failure.value.category is expected.get(status, Category.REJECTED)
    assert (failure.value.status, failure.value.code) == (status, "string")


# --- Their answers


def published_orders() -> Iterator[dict[str, Any]]:
    """Every order in the model's examples and sandbox answers."""
    for path in model(ORDERS)["paths"].values():
        answer = path["get"]["responses"]["200"]
        bodies = list(answer["examples"].values())
        bodies += [case["response"] for case in answer.get("x-amzn-api-sandbox", {}).get("static", [])]
        for body in bodies:
            yield from body.get("orders") or [body["order"]]


def own_marketplace(raw: dict[str, Any]) -> dict[str, Any]:
    return {"marketplace_id": raw["salesChannel"].get("marketplaceId", "")}


def test_every_published_order_is_understood() -> None:
    orders = list(published_orders())
    assert len(orders) >= 6
    for raw in orders:
        document = order(raw, own_marketplace(raw))
        assert document.external_id == raw["orderId"] and document.raw_status
        assert document.milestones.approved_at or derive(document.milestones) in (
            OrderStatus.PENDING,
            OrderStatus.CANCELLED,
        )


def test_published_orders_of_elsewhere_are_refused_for_that_reason() -> None:
    foreign = [raw for raw in published_orders() if raw["salesChannel"].get("marketplaceId") != "A2Q3Y263D00KWC"]
    assert foreign
    for raw in foreign:
        with pytest.raises(Refusal, match="marketplace"):
            order(raw, {})


def test_the_published_brazilian_order() -> None:
    raw = next(one for one in published_orders() if one["orderId"] == "171-2345678-9012345")
    document = order(raw, {})
    assert str(document.totals.total) == "1599.90" and document.raw_logistics == "MERCHANT DELIVERY_BY_AMAZON"
    address = document.ship_to
    assert address is not None
    assert (address.street, address.number, address.state, address.postal_code) == (
        "Avenida Paulista", "1000", "SP", "01310100",
    )  # fmt: skip


def test_no_random_answer_of_the_model_makes_the_mapping_crash(servers: Servers) -> None:
    between = servers.wire(ORDERS, dynamic=True)
    for number in range(RANDOM_ANSWERS):
        raw = between.adapter.read(f"702-3310045-{number:07d}", "BUYER,TAX").raw
        read_or_refused({**raw, "salesChannel": {"channelName": "AMAZON"}})


def read_or_refused(raw: Any) -> bool:
    """Whether it could be read; a refusal has to say where and why."""
    try:
        order(raw, {})
    except Refusal as refusal:
        assert refusal.path and refusal.message
        return False
    return True


@cache
def named(name: str) -> st.SearchStrategy[Any]:
    return strategy(model(ORDERS)["definitions"][name], name)


def strategy(schema: dict[str, Any], name: str = "") -> st.SearchStrategy[Any]:
    """Values that fit a Swagger schema: money that is a number in text, times with and without fractions."""
    if "$ref" in schema:
        return named(schema["$ref"].rpartition("/")[2])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("type") == "object":
        return properties(schema)
    if schema.get("type") == "array":
        return st.lists(strategy(schema["items"]), max_size=2)
    return scalars(schema, name)


def properties(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    fields = {name: strategy(inner) for name, inner in schema.get("properties", {}).items()}
    required = set(schema.get("required", ()))
    return st.fixed_dictionaries(
        {name: field for name, field in fields.items() if name in required},
        optional={name: field for name, field in fields.items() if name not in required},
    )


def scalars(schema: dict[str, Any], name: str) -> st.SearchStrategy[Any]:
    if name == "Decimal":
        return st.decimals(-(10**6), 10**6, places=2).map(str)
    if schema.get("format") == "date-time":
        return st.datetimes().map(lambda moment: moment.isoformat() + "Z")
    return {"integer": st.integers(0, 50), "number": st.floats(allow_nan=False, allow_infinity=False)}.get(
        schema.get("type", "string"), st.text(max_size=20)
    )


def test_no_order_that_fits_the_model_makes_the_mapping_crash() -> None:
    read = 0

    @settings(max_examples=ORDERS_THAT_FIT, suppress_health_check=list(HealthCheck), database=None)
    @given(raw=named("Order"))
    def read_it(raw: dict[str, Any]) -> None:
        nonlocal read
        read += read_or_refused({**raw, "salesChannel": {"channelName": "AMAZON"}})

    read_it()
    assert read, "not one could be read: the orders made up are no test of the mapping"


def test_random_pages_are_listed(servers: Servers) -> None:
    between = servers.wire(ORDERS, dynamic=True)
    for _ in range(3):
        page = between.adapter.changes({})
        assert all(change.external_id and change.complete for change in page.changes)
        assert set(page.cursor) >= {"watermark", "swept"}


# --- Our simulator and samples


def strict(name: str, definition: str) -> dict[str, Any]:
    """The definition as a JSON schema that allows no property the model does not name."""
    definitions = deepcopy(model(name)["definitions"])
    for schema in definitions.values():
        if schema.get("properties"):
            schema["additionalProperties"] = False
    return {"$ref": f"#/definitions/{definition}", "definitions": definitions}


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_our_samples_fit_the_model(path: Path) -> None:
    raw = json.loads(path.read_text())
    if raw["fulfillment"]["fulfillmentStatus"] == "UPCOMING":
        pytest.skip("a sample of what the model does not know")
    jsonschema.validate(raw, strict(ORDERS, "Order"))


def test_our_simulators_answers_fit_the_model() -> None:
    with wire(validate_after=0.0, collect_after=0.0) as between:
        simulator = between.simulator
        placed = (
            simulator.place(30, discount=True) + simulator.place(3, business=True) + simulator.place(2, masked=True)
        )
        simulator.place(2, status="PENDING")
        for external_id in placed[:12]:
            document = between.order(external_id)
            between.adapter.send_invoice(document, INVOICE, ShipmentRef(""))
            between.adapter.send_dispatch(document, PARCEL)
        simulator.cancel(placed[20])
        simulator.cancel_line(placed[21])
        simulator.request_cancel(placed[22])
        simulator.deliver(placed[0])
        [planned, cancelled] = simulator.place(2, program="DBA")
        simulator.open_labels_at(planned, now())
        simulator.collect_after = None
        between.adapter.send_invoice(between.order(planned), INVOICE, ShipmentRef(""))
        between.adapter.label(between.order(planned), ShipmentRef(""))
        begun = between.adapter.cancel(between.order(cancelled), "")
        between.adapter.cancel(between.order(cancelled), "", begun.external_id)
        [token] = between.calls("createRestrictedDataToken")
        jsonschema.validate(parse_json(token.response_body), strict(TOKENS, "CreateRestrictedDataTokenResponse"))
        for one in between.calls("getInvoiceStatus"):
            jsonschema.validate(parse_json(one.response_body), strict(DELIVERY, "GetInvoiceStatusResponse"))
        found = between.adapter._search({"lastUpdatedAfter": "2026-01-01T00:00:00Z"}, "", between.adapter.included)
        jsonschema.validate(found.raw, strict(ORDERS, "SearchOrdersResponse"))
        with pytest.raises(Failure):
            between.adapter.fetch("702-0000000-0000000")
        jsonschema.validate(parse_json(between.exchanges[-1].response_body), strict(ORDERS, "ErrorList"))
