"""Reading and telling against the simulator: requests, pages, errors, repeats."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from connectors.channels.amazon import SERVICE, adapter
from connectors.channels.amazon.invoices import _content
from connectors.channels.amazon.simulated_quota import Bucket, Refused
from connectors.channels.amazon.simulated_requests import invalid, no_package
from connectors.contract import Outcome, ShipmentRef, Window
from connectors.failures import Category, Failure, NotYet, Refusal
from connectors.reading import Reader, parse_json
from orders.vocabulary import Logistics
from tests.connectors.channels.amazon.wire import INVOICE, KEY, PARCEL, Wire, now, wire


@pytest.fixture
def between() -> Iterator[Wire]:
    with wire() as one:
        yield one


def read_all(between: Wire, cursor: dict[str, Any] | None = None, window: Window | None = None) -> Any:
    """Every page until the end: (external ids, last cursor, number of pages)."""
    cursor, ids, pages, more = cursor or {}, [], 0, True
    while more:
        page = between.adapter.changes(cursor, window)
        ids += [change.external_id for change in page.changes]
        cursor, more, pages = page.cursor, page.more, pages + 1
    return ids, cursor, pages


def query_of(between: Wire, place: int = -1) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(between.exchanges[place].url).query).items()}


# --- Reading


def test_nothing_new(between: Wire) -> None:
    page = between.adapter.changes({})
    assert (page.changes, page.more, page.cursor["watermark"]) == ([], False, "2026-01-01T00:00:00Z")
    assert query_of(between) == {
        "marketplaceIds": "A2Q3Y263D00KWC",
        "lastUpdatedAfter": "2026-01-01T00:00:00Z",
        "maxResultsPerPage": "100",
        "includedData": "BUYER,RECIPIENT,PROCEEDS,PROMOTION,CANCELLATION,FULFILLMENT,PACKAGES,TAX,PAYMENT",
    }


def test_pages_until_the_last_and_nothing_twice(between: Wire) -> None:
    placed = between.simulator.place(230)
    ids, cursor, pages = read_all(between)
    assert (ids, pages) == (placed, 3)
    assert set(cursor) == {"watermark", "swept"}
    assert len(between.calls("searchOrders")) == 3 == len(between.exchanges)


def test_a_listed_order_is_complete_and_the_same_as_the_one_fetched(between: Wire) -> None:
    between.simulator.place(3)
    for change in between.adapter.changes({}).changes:
        assert change.complete and between.adapter.fetch(change.external_id) == change.body


def test_the_next_poll_overlaps_by_ten_minutes(between: Wire) -> None:
    between.simulator.place(1)
    _, cursor, _ = read_all(between)
    between.adapter.changes(cursor)
    after = datetime.fromisoformat(query_of(between)["lastUpdatedAfter"])
    assert datetime.fromisoformat(cursor["watermark"]) - after == timedelta(minutes=10)


def test_an_order_changed_while_paging_is_seen(between: Wire) -> None:
    placed = between.simulator.place(120)
    first = between.adapter.changes({})
    between.simulator.cancel(placed[0])
    ids, _, _ = read_all(between, first.cursor)
    assert placed[0] in ids


def test_once_a_day_the_last_days_are_read_again(between: Wire) -> None:
    between.simulator.place(1)
    _, cursor, _ = read_all(between)
    swept = {**cursor, "swept": (now() - timedelta(hours=25)).strftime("%Y-%m-%dT%H:%M:%SZ")}
    after = between.adapter.changes(swept).cursor
    assert now() - datetime.fromisoformat(query_of(between)["lastUpdatedAfter"]) > timedelta(days=2, hours=23)
    assert after["watermark"] == cursor["watermark"] and after["swept"] > swept["swept"]
    between.adapter.changes(after)
    assert now() - datetime.fromisoformat(query_of(between)["lastUpdatedAfter"]) < timedelta(hours=1)


def test_a_page_token_that_is_refused_costs_a_restart_and_no_order(between: Wire) -> None:
    placed = between.simulator.place(120)
    first = between.adapter.changes({})
    ids, _, _ = read_all(between, {**first.cursor, "token": "b2xk"})
    assert ids == placed


def test_a_window_is_read_by_creation_and_its_end_stays_the_same(between: Wire) -> None:
    placed = between.simulator.place(150)
    window = Window(now() - timedelta(hours=1), now() + timedelta(hours=1))
    # Too young for the window's upper bound, which Amazon wants two minutes in the past.
    assert read_all(between, window=window)[0] == []
    early = (now() - timedelta(minutes=30)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    between.simulator.creations = [(early, order_id) for order_id in placed]
    ids, cursor, pages = read_all(between, window=window)
    assert (ids, cursor, pages) == (placed, {}, 2)
    assert len({query_of(between, place)["createdBefore"] for place in (-1, -2)}) == 1
    first = between.adapter.changes({}, window)
    assert first.cursor["before"] == query_of(between)["createdBefore"]
    assert now() - datetime.fromisoformat(query_of(between)["createdBefore"]) > timedelta(minutes=2)


def test_a_window_without_anything_old_enough_makes_no_call(between: Wire) -> None:
    page = between.adapter.changes({}, Window(now(), now() + timedelta(hours=1)))
    assert (page.changes, page.more, between.exchanges) == ([], False, [])


@pytest.mark.parametrize(
    "channel", [{"channelName": "NON_AMAZON"}, {"channelName": "AMAZON", "marketplaceId": "OTHER"}]
)
def test_orders_of_elsewhere_are_not_listed(between: Wire, channel: dict[str, str]) -> None:
    mine, other = between.simulator.place(2)
    foreign = {"marketplaceId": "A2Q3Y263D00KWC", **channel}
    page_of = adapter.Amazon._listed
    raw = {"orders": [{"orderId": mine}, {"orderId": other, "salesChannel": foreign}, "odd"]}
    listed = page_of(between.adapter, Reader(raw))
    assert listed == [raw["orders"][0], "odd"]


def test_a_time_from_the_future_does_not_move_the_watermark_there(between: Wire) -> None:
    (order_id,) = between.simulator.place(1)
    between.simulator.sales[order_id].raw["lastUpdatedTime"] = "2031-01-01T00:00:00.000Z"
    between.simulator.updates = [("2031-01-01T00:00:00.000Z", order_id)]
    assert between.adapter.changes({}).cursor["watermark"] < "2031"


def test_an_order_amazon_does_not_know(between: Wire) -> None:
    with pytest.raises(Failure) as failure:
        between.adapter.fetch("701-0000000-0000000")
    assert (failure.value.status, failure.value.category) == (404, Category.REJECTED)


# --- Signing in, errors


def test_every_call_carries_the_token_and_no_body(between: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(between.simulator, "authorise", seen.append)
    between.adapter.changes({})
    (request,) = seen
    assert request.headers["x-amz-access-token"] == between.tokens.token
    assert request.headers["x-amz-date"].endswith("Z") and "content-length" not in request.headers


def test_an_expired_token_is_a_403_renewed_once(between: Wire) -> None:
    between.simulator.tokens.clear()
    between.simulator.place(1)
    assert len(between.adapter.changes({}).changes) == 1
    assert between.tokens.renewed == 1
    assert [one.status for one in between.exchanges] == [403, 200, 200]
    assert len(between.calls("token")) == 1


def test_a_403_that_a_new_token_does_not_cure_asks_for_the_seller(between: Wire) -> None:
    def denied(request: Any) -> Any:
        raise _denied()

    between.simulator.authorise = denied  # type: ignore[method-assign]
    with pytest.raises(Failure) as failure:
        between.adapter.changes({})
    assert (failure.value.category, between.tokens.renewed) == (Category.AUTH, 1)
    assert "role" in failure.value.message


def test_a_role_that_is_missing_costs_one_renewal_for_all_calls_of_a_piece_of_work(
    between: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(request: Any) -> None:
        raise _denied()

    monkeypatch.setattr(between.simulator, "authorise", denied)
    for _ in range(3):
        with pytest.raises(Failure):
            between.adapter.changes({})
    assert between.tokens.renewed == 1


def _denied() -> Exception:
    return Refused(403, "Unauthorized", "Access to requested resource is denied.")


def test_the_refresh_token_stays(between: Wire) -> None:
    renewed = between.adapter.refresh()
    assert renewed["refresh_token"] == between.simulator.refresh_token
    assert renewed["access_token"] != between.tokens.token
    assert datetime.fromisoformat(renewed["expires_at"]) - now() > timedelta(minutes=59)
    assert renewed["client_secret"] == between.account.credentials["client_secret"]


@pytest.mark.parametrize(
    ("held", "code"), [({"refresh_token": "gone"}, "invalid_grant"), ({"client_secret": "old"}, "invalid_client")]
)
def test_a_refusal_to_renew_pauses_the_connection(between: Wire, held: dict[str, str], code: str) -> None:
    between.account.credentials.update(held)  # type: ignore[attr-defined]
    with pytest.raises(Failure) as failure:
        between.adapter.refresh()
    assert (failure.value.category, failure.value.code) == (Category.AUTH, code)


def test_the_consent_page_leads_to_tokens(between: Wire) -> None:
    address = between.adapter.consent_url("csrf-1")
    assert "/apps/authorize/consent?application_id=" in address and address.endswith("state=csrf-1")
    between.simulator.codes.add("SPAPI1")
    credentials = between.adapter.exchange("", {"spapi_oauth_code": "SPAPI1", "selling_partner_id": "A1"})
    assert credentials["selling_partner_id"] == "A1" and credentials["access_token"] in between.simulator.tokens
    with pytest.raises(Failure):
        between.adapter.exchange("SPAPI1", {})


def test_the_check_costs_one_search_without_personal_data(between: Wire) -> None:
    assert between.adapter.check() == "A1SIMULATEDSELLER"
    assert query_of(between)["maxResultsPerPage"] == "1" and "includedData" not in query_of(between)


def test_a_spent_quota_is_left_alone_for_one_refill() -> None:
    with wire(limits=True) as between:
        between.simulator.buckets["searchOrders"] = Bucket(0.0056, 1)
        between.adapter.changes({})
        with pytest.raises(Failure) as failure:
            between.adapter.changes({})
    assert failure.value.category is Category.RATE_LIMITED and failure.value.retry_at is not None
    assert timedelta(seconds=175) < failure.value.retry_at - now() < timedelta(seconds=225)
    assert between.paused[-1] == ("searchOrders", failure.value.retry_at)


def test_the_service_declares_the_limits_it_is_held_to(between: Wire) -> None:
    declared = {rate.operations[0]: (rate.per_second, rate.burst) for rate in SERVICE.rates}
    assert declared == {name: (bucket.rate, bucket.burst) for name, bucket in between.simulator.buckets.items()}


@pytest.mark.parametrize("kind", ["html", "500"])
def test_what_is_no_answer_of_amazon_is_tried_again_later(between: Wire, kind: str) -> None:
    between.fault(kind, "orders", times=9)
    with pytest.raises(Failure) as failure:
        between.adapter.changes({})
    assert failure.value.category is Category.TRANSIENT and not failure.value.uncertain


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            {"errors": [{"code": "Invalid Input", "message": "a", "details": "b"}, {"message": "c"}]},
            ("InvalidInput", "a b c"),
        ),
        ({"errors": {"errors": [{"code": "X", "message": "y"}]}}, ("X", "y")),
        ({"error": "invalid_grant", "error_description": "gone"}, ("invalid_grant", "gone")),
        ({"errors": ["x"]}, ("", "")),
        (["x"], ("", "")),
        ({"errors": 5}, ("", "")),
    ],
)
def test_amazons_error_shapes(between: Wire, body: Any, said: tuple[str, str]) -> None:
    assert between.adapter.http.explain(body) == said


# --- The invoice


@pytest.mark.parametrize(("program", "word"), [("SELF_SHIP", "SelfShip"), ("DBA", "EasyShip")])
def test_an_invoice_goes_once_and_says_so_when_asked_again(between: Wire, program: str, word: str) -> None:
    order = between.place(program=program)
    assert between.adapter.send_invoice(order, INVOICE, ShipmentRef("")).outcome is Outcome.ACCEPTED
    body = parse_json(next(one for one in between.calls("submitInvoice")).request_body)
    assert body["programType"] == word
    assert between.simulator.snapshot()[order.external_id]["invoice_key"] == KEY
    assert between.adapter.send_invoice(order, INVOICE, ShipmentRef("")).outcome is Outcome.ALREADY
    assert len(between.calls("submitInvoice")) == 1


def test_the_digest_is_that_of_the_very_bytes() -> None:
    given = b'<nfeProc versao="4.00"><exemplo/></nfeProc>'
    expected = "PG5mZVByb2MgdmVyc2FvPSI0LjAwIj48ZXhlbXBsby8+PC9uZmVQcm9jPg=="
    assert _content(given, "base64") == (expected, "ZTdPJdKjcEgOIWnoRbBiug==")
    assert _content(given, "hex") == (expected, "65374f25d2a370480e2169e845b062ba")


def test_the_order_shows_the_accepted_invoice_afterwards(between: Wire) -> None:
    order = between.place(program="DBA")
    between.adapter.send_invoice(order, INVOICE, ShipmentRef(""))
    assert between.order(order.external_id).milestones.invoiced_at is not None


def test_an_invoice_under_validation_is_waited_for() -> None:
    with wire(validate_after=60) as between:
        order = between.place(program="DBA")
        between.adapter.send_invoice(order, INVOICE, ShipmentRef(""))
        with pytest.raises(NotYet) as wait:
            between.adapter.send_invoice(order, INVOICE, ShipmentRef(""))
    assert wait.value.retry_at is not None and wait.value.retry_at > now()
    assert len(between.calls("submitInvoice")) == 1


def test_a_refused_invoice_says_where_the_reason_is_and_a_corrected_one_goes(between: Wire) -> None:
    order = between.place(program="DBA")
    with pytest.raises(Refusal, match="Seller Central"):
        between.adapter.send_invoice(order, INVOICE.model_copy(update={"xml": b"<nope/>"}), ShipmentRef(""))
    assert "invoice:ERRORED" in between.order(order.external_id).tags
    assert between.adapter.send_invoice(order, INVOICE, ShipmentRef("")).outcome is Outcome.ACCEPTED
    assert between.simulator.snapshot()[order.external_id]["invoice_key"] == KEY


def test_invoices_that_nobody_wants(between: Wire) -> None:
    fba = between.place(program="FBA")
    assert between.adapter.send_invoice(fba, INVOICE, ShipmentRef("")).outcome is Outcome.NOT_NEEDED
    dba = between.place(program="DBA").model_copy(update={"tags": ("invoice:NOT_REQUIRED",)})
    assert between.adapter.send_invoice(dba, INVOICE, ShipmentRef("")).outcome is Outcome.NOT_NEEDED
    with wire({"self_ship_invoice": "skip"}) as skipping:
        order = skipping.place(program="SELF_SHIP")
        assert skipping.adapter.send_invoice(order, INVOICE, ShipmentRef("")).outcome is Outcome.NOT_NEEDED
    assert not between.calls("submitInvoice") and not skipping.calls("submitInvoice")


@pytest.mark.parametrize("known", [True, False])
def test_an_onsite_invoice_goes_by_the_shipment_where_it_is_known(known: bool) -> None:
    with wire(onsite=True) as between:
        order = between.place(program="FBA")
        assert order.logistics == Logistics.PICKUP
        shipment_id = "S" + order.external_id.replace("-", "") if known else ""
        invoice = INVOICE.model_copy(update={"shipment_id": shipment_id})
        assert between.adapter.send_invoice(order, invoice, ShipmentRef("")).outcome is Outcome.ACCEPTED
        assert between.adapter.send_invoice(order, invoice, ShipmentRef("")).outcome is Outcome.ALREADY
    assert len(between.calls("submitShipmentInvoice")) == known
    assert len(between.calls("submitInvoice")) == (not known)


def test_an_invoice_without_xml_is_refused_without_a_call(between: Wire) -> None:
    order = between.place(program="DBA")
    between.exchanges.clear()
    with pytest.raises(Refusal, match="XML"):
        between.adapter.send_invoice(order, INVOICE.model_copy(update={"xml": b""}), ShipmentRef(""))
    assert not between.exchanges


def test_an_api_that_is_not_enabled_does_not_stop_the_connection(between: Wire) -> None:
    order = between.place(program="DBA")
    between.simulator.spend = lambda name: _deny_invoices(name)  # type: ignore[method-assign]
    with pytest.raises(Failure, match="Tax Invoicing") as failure:
        between.adapter.send_invoice(order, INVOICE, ShipmentRef(""))
    assert failure.value.category is Category.REJECTED


def _deny_invoices(name: str) -> None:
    if "nvoice" in name:
        raise _denied()


@pytest.mark.parametrize("kind", ["cut_after", "502_after"])
def test_an_invoice_whose_answer_was_lost_is_not_sent_twice(between: Wire, kind: str) -> None:
    order = between.place(program="DBA")
    between.fault(kind, "POST /delivery")
    with pytest.raises(Failure) as failure:
        between.adapter.send_invoice(order, INVOICE, ShipmentRef(""))
    assert failure.value.uncertain
    assert between.adapter.send_invoice(order, INVOICE, ShipmentRef("")).outcome is Outcome.ALREADY
    assert between.simulator.requests["POST /delivery/2022-07-01/invoice"] == 1


# --- The parcel


def test_a_parcel_is_confirmed_once(between: Wire) -> None:
    order = between.place(program="SELF_SHIP")
    shipped_at = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
    parcel = ShipmentRef("", "Jadlog", "Expresso", "JD0001BR", shipped_at=shipped_at)
    receipt = between.adapter.send_dispatch(order, parcel)
    assert (receipt.outcome, receipt.external_id) == (Outcome.ACCEPTED, "1")
    detail = parse_json(between.calls("confirmShipment")[0].request_body)["packageDetail"]
    assert detail == {
        "packageReferenceId": "1",
        "carrierCode": "Other",
        "carrierName": "Jadlog",
        "shippingMethod": "Expresso",
        "trackingNumber": "JD0001BR",
        "shipDate": "2026-11-20T09:30:00Z",
        "orderItems": [{"orderItemId": item.external_id, "quantity": int(item.quantity)} for item in order.items],
    }
    assert between.simulator.snapshot()[order.external_id]["tracking_code"] == "JD0001BR"
    assert between.adapter.send_dispatch(order, parcel).outcome is Outcome.ALREADY
    assert len(between.calls("confirmShipment")) == 1
    assert between.order(order.external_id).milestones.shipped_at == shipped_at


def test_the_first_of_two_parcels_is_known_again_while_the_second_is_open(between: Wire) -> None:
    order = between.place(program="SELF_SHIP")
    sale = between.simulator.sales[order.external_id]
    between.adapter.send_dispatch(order, PARCEL)
    sale.status = "PARTIALLY_SHIPPED"
    sale.raw["orderItems"][0]["fulfillment"]["quantityUnfulfilled"] = 1
    assert between.adapter.send_dispatch(order, PARCEL).outcome is Outcome.ALREADY
    receipt = between.adapter.send_dispatch(order, ShipmentRef("", "Jadlog", "", "JD0002BR"))
    assert (receipt.outcome, receipt.external_id) == (Outcome.ACCEPTED, "2")


@pytest.mark.parametrize("program", ["DBA", "FBA"])
def test_amazon_reports_its_own_parcels(between: Wire, program: str) -> None:
    order = between.place(program=program)
    between.exchanges.clear()
    assert between.adapter.send_dispatch(order, PARCEL).outcome is Outcome.NOT_NEEDED
    assert not between.exchanges


@pytest.mark.parametrize("kind", ["cut_after", "502_after"])
def test_a_confirmation_whose_answer_was_lost_is_found_again(between: Wire, kind: str) -> None:
    order = between.place(program="SELF_SHIP")
    between.fault(kind, "shipmentConfirmation")
    with pytest.raises(Failure) as failure:
        between.adapter.send_dispatch(order, PARCEL)
    assert failure.value.uncertain
    assert between.adapter.send_dispatch(order, PARCEL).outcome is Outcome.ALREADY
    assert len(between.simulator.sales[order.external_id].packages) == 1


def test_a_confirmation_that_never_answers_is_uncertain(between: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    order = between.place(program="SELF_SHIP")
    between.fault("hang_after", "shipmentConfirmation")
    request = between.adapter.http.request

    def hasty(*args: Any, **options: Any) -> Any:
        return request(*args, **{**options, "seconds": 0.5})

    monkeypatch.setattr(between.adapter.http, "request", hasty)
    with pytest.raises(Failure) as failure:
        between.adapter.send_dispatch(order, PARCEL)
    assert failure.value.uncertain and failure.value.code == "timeout"


def test_what_seller_central_has_confirmed_is_left_alone(between: Wire) -> None:
    order = between.place(program="SELF_SHIP")
    between.adapter.send_dispatch(order, PARCEL)
    receipt = between.adapter.send_dispatch(order, ShipmentRef("", "Loggi", "", "LG9"))
    assert receipt.outcome is Outcome.ALREADY and "JD0001BR" in receipt.message


def test_only_what_is_left_is_confirmed(between: Wire) -> None:
    order = between.place(program="SELF_SHIP")
    while len(order.items) < 2:
        order = between.place(program="SELF_SHIP")
    between.simulator.cancel_line(order.external_id)
    rest = between.order(order.external_id)
    assert rest.totals.difference == 0 and len(rest.items) == len(order.items) - 1
    between.adapter.send_dispatch(rest, PARCEL)
    detail = parse_json(between.calls("confirmShipment")[0].request_body)["packageDetail"]
    assert [one["orderItemId"] for one in detail["orderItems"]] == [item.external_id for item in rest.items]


def test_a_cancelled_order_stops_the_parcel(between: Wire) -> None:
    order = between.place(program="SELF_SHIP")
    between.simulator.cancel(order.external_id)
    with pytest.raises(Refusal, match="Stop the parcel"):
        between.adapter.send_dispatch(order, PARCEL)
    assert not between.calls("confirmShipment")


@pytest.mark.parametrize(
    ("message", "outcome"),
    [
        ("errorMetric=NonexistentOrderItem", None),
        ("InvalidPackageVersion", Outcome.ALREADY),
        ("exceeds the maximum number of allowed updates", Outcome.ALREADY),
        ("errorMetric=PackageToUpdateNotFound", None),
        ("something else", None),
    ],
)
def test_amazons_words_about_a_confirmation(
    between: Wire, monkeypatch: pytest.MonkeyPatch, message: str, outcome: Outcome | None
) -> None:
    order = between.place(program="SELF_SHIP")

    def refuse(*args: Any) -> None:
        raise invalid(message)

    monkeypatch.setattr(between.simulator, "_check_order", refuse)
    if outcome is not None:
        assert between.adapter.send_dispatch(order, PARCEL).outcome is outcome
        return
    with pytest.raises(Failure) as failure:
        between.adapter.send_dispatch(order, PARCEL)
    assert failure.value.category is Category.REJECTED


def test_fulfilled_between_our_look_and_our_word_is_already_done(
    between: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = between.place(program="SELF_SHIP")
    sale = between.simulator.sales[order.external_id]

    def overtaken(*args: Any) -> None:
        sale.status = "SHIPPED"
        raise no_package("PackageToUpdateNotFound")

    monkeypatch.setattr(between.simulator, "_check_order", overtaken)
    assert between.adapter.send_dispatch(order, PARCEL).outcome is Outcome.ALREADY


@pytest.mark.parametrize(
    ("parcel", "said"),
    [(ShipmentRef("", "Jadlog"), "tracking code"), (ShipmentRef("", tracking_code="X1"), "carrier's name")],
)
def test_what_amazon_requires_and_the_erp_lacks(parcel: ShipmentRef, said: str) -> None:
    with wire({"default_carrier": ""}) as between:
        order = between.place(program="SELF_SHIP")
        with pytest.raises(Refusal, match=said):
            between.adapter.send_dispatch(order, parcel)


def test_a_carrier_code_can_be_chosen() -> None:
    with wire({"carrier_codes": {"Correios": "CORREIOS"}}) as between:
        order = between.place(program="SELF_SHIP")
        between.adapter.send_dispatch(order, ShipmentRef("", "Correios", "", "BR1"))
        detail = parse_json(between.calls("confirmShipment")[0].request_body)["packageDetail"]
    assert detail["carrierCode"] == "CORREIOS" and "carrierName" not in detail


def test_items_with_transparency_codes_are_for_a_person(between: Wire) -> None:
    order = between.place(program="SELF_SHIP")
    between.simulator.sales[order.external_id].raw["orderItems"][0]["programs"] = ["TRANSPARENCY"]
    with pytest.raises(Refusal, match="Transparency"):
        between.adapter.send_dispatch(order, PARCEL)


def test_a_program_that_confirms_by_itself(between: Wire) -> None:
    order = between.place(program="SELF_SHIP").model_copy(update={"tags": ("FBM_SHIP_PLUS",)})
    assert between.adapter.send_dispatch(order, PARCEL).outcome is Outcome.NOT_NEEDED
