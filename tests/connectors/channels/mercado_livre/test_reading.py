"""Lists, documents, pushes and signing in, over the wire."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from connectors.channels.mercado_livre import listing
from connectors.contract import PushRequest, Window
from connectors.failures import Category, Failure, Refusal
from connectors.simulation.server import Request, Response, Simulator, SimulatorServer, route

from .wire import SAMPLES, START, Wire, sample, wire


def push(body: bytes) -> PushRequest:
    return PushRequest(body, {}, {})


# Lists


def test_nothing_new_is_three_calls_and_one_afterwards_less() -> None:
    with wire() as line:
        found, cursor = line.poll({})
        assert found == []
        assert [one.operation for one in line.exchanges] == ["search", "search", "missed"]
        line.exchanges.clear()
        line.poll(cursor)
        assert [one.operation for one in line.exchanges] == ["search", "search"]


def test_every_order_is_listed_under_its_packs_id() -> None:
    with wire(carrier_after=60) as line:
        placed = line.simulator.place(130)
        found, cursor = line.poll({})
        assert {change.external_id for change in found} == set(placed)
        assert {json.loads(change.body)["id"] for change in found} == {int(one) for one in line.simulator.orders}
        assert not any(change.complete for change in found)
        again, _ = line.poll(cursor)
        assert {change.body for change in again} == {change.body for change in found}


def test_a_poll_looks_back_at_least_two_hours_and_asks_in_whole_hours() -> None:
    with wire({"overlap_minutes": 5}) as line:
        line.poll({"since": "2026-11-20T10:30:00+00:00"})
        asked = parse_qs(urlsplit(line.exchanges[0].url).query)
        assert asked["order.date_last_updated.from"] == ["2026-11-20T05:00:00.000-03:00"]
        assert asked["seller"] == ["500000001"]
        assert "order.status" not in asked
        assert parse_qs(urlsplit(line.exchanges[1].url).query)["order.status"] == ["cancelled"]


def test_cancelled_orders_are_found_by_a_pass_of_their_own() -> None:
    with wire() as line:
        placed = line.simulator.place(3)
        _, cursor = line.poll({})
        line.simulator.cancel(placed[1])
        found, _ = line.poll(cursor)
        cancelled = {one.external_id for one in found if json.loads(one.body)["status"] == "cancelled"}
        assert cancelled == {placed[1]}


def test_orders_that_leave_the_list_while_it_is_read_hide_no_other() -> None:
    with wire() as line:
        placed = line.simulator.place(120, orders=1)
        first = line.adapter.changes({})
        for external_id in placed[:5]:
            line.simulator.cancel(external_id)
        rest, _ = line.poll(dict(first.cursor))
        assert {one.external_id for one in [*first.changes, *rest]} == set(placed)


def test_a_period_beyond_the_searchs_depth_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "DEPTH", 100)
    monkeypatch.setattr("connectors.channels.mercado_livre.simulator.DEPTH", 100)
    with wire() as line:
        begin = datetime(2026, 11, 1, tzinfo=UTC)
        placed = [line.simulator.place(at=begin + timedelta(hours=3 * n), orders=1)[0] for n in range(220)]
        found, cursor = line.poll({}, Window(begin, begin + timedelta(days=40)))
        assert {one.external_id for one in found} == set(placed)
        assert cursor == {}


def test_more_than_the_depth_within_an_hour_is_scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "DEPTH", 100)
    with wire() as line:
        placed = line.simulator.place(170, orders=1)
        found, cursor = line.poll({})
        assert {one.external_id for one in found} == set(placed)
        assert cursor["since"] > START and cursor["pass"] is None


def test_a_scan_whose_mark_has_died_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "DEPTH", 100)
    with wire() as line:
        placed = line.simulator.place(170, orders=1)
        page = line.adapter.changes({})
        while "scroll" not in page.cursor["pass"]:
            page = line.adapter.changes(dict(page.cursor))
        page = line.adapter.changes(dict(page.cursor))
        line.simulator.scans.clear()
        monkeypatch.setattr(listing, "SCROLL_LIFE", timedelta(0))
        again = line.adapter.changes(dict(page.cursor))
        monkeypatch.undo()
        found, _ = line.poll(dict(again.cursor))
        assert {one.external_id for one in [*again.changes, *found]} == set(placed)


@pytest.mark.parametrize("junk", [[], "x", 7, {"id": []}, {"id": {}}])
@pytest.mark.parametrize("place", ["shipping", "buyer", "tags", "mediations", "pack_id", "last_updated"])
def test_an_order_of_any_shape_is_read_or_refused(place: str, junk: Any) -> None:
    with wire() as line:
        external_id = line.simulator.place(pack=False, orders=1)[0]
        line.simulator.orders[external_id][place] = junk
        hint = json.dumps(line.simulator.orders[external_id]).encode()
        for given in (b"", hint):
            try:
                line.adapter.fetch(external_id, given)
            except Failure as failure:
                assert failure.category is not Category.BUG


def test_a_backfill_reads_by_the_day_of_sale() -> None:
    with wire() as line:
        old = line.simulator.place(at=datetime(2026, 3, 1, 12, 30, tzinfo=UTC))[0]
        line.simulator.place(at=datetime(2026, 4, 1, tzinfo=UTC))
        found, _ = line.poll({}, Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 1, 12, 45, tzinfo=UTC)))
        assert {one.external_id for one in found} == {old}
        assert "missed" not in {one.operation for one in line.exchanges}


def test_the_cursor_moves_only_when_everything_is_read() -> None:
    with wire() as line:
        line.simulator.place(80, orders=1)
        page = line.adapter.changes({})
        assert page.more and "since" not in page.cursor
        _, cursor = line.poll(dict(page.cursor))
        assert cursor["since"] > START


def test_missed_pushes_are_read_for_this_seller_only() -> None:
    with wire() as line:
        mine = {**sample("push_shipment"), "user_id": line.simulator.seller}
        other = {**sample("push_order"), "user_id": 9}
        line.simulator.missed = [mine, other]
        found, _ = line.poll({})
        assert [one.external_id for one in found] == ["shipment:46911000001"]


def test_a_refused_missed_feed_stops_nothing() -> None:
    with wire() as line:
        line.simulator.routes = [one for one in line.simulator.routes if "missed" not in one[2]]
        found, cursor = line.poll({})
        assert found == [] and cursor["missed_at"]


# Documents


def test_a_hinted_order_without_pack_costs_four_calls() -> None:
    with wire() as line:
        placed = line.simulator.place(pack=False, orders=1, logistic="cross_docking", discounted=False)[0]
        hint = line.poll({})[0][0].body
        line.exchanges.clear()
        order = line.order(placed, hint)
        assert [one.operation for one in line.exchanges] == ["shipment", "sla", "costs", "billing"]
        assert order.external_id == placed


def test_a_pack_of_three_asks_for_the_two_others() -> None:
    with wire() as line:
        placed = line.simulator.place(orders=3, logistic="self_service", discounted=True)[0]
        hint = line.poll({})[0][0].body
        line.exchanges.clear()
        order = line.order(placed, hint)
        asked = [one.operation for one in line.exchanges]
        assert asked.count("order") == 2 and asked.count("pack") == 1
        assert asked.count("discounts") == 3 and asked.count("billing") == 1
        assert len(order.items) == 3 and order.totals.difference == 0


def test_the_warehouse_and_cancelled_parcels_have_no_deadline_to_ask_for() -> None:
    with wire() as line:
        full, gone = line.simulator.place(logistic="fulfillment")[0], line.simulator.place(logistic="cross_docking")[0]
        line.simulator.cancel(gone)
        line.order(full)
        line.order(gone)
        assert not line.calls("sla") and not line.calls("costs")


def test_pack_order_and_shipment_lead_to_the_same_sale() -> None:
    with wire(carrier_after=60) as line:
        placed = line.simulator.place(orders=2)[0]
        order = line.order(placed)
        assert line.order(order.external_ids[2]) == order
        assert line.order(f"shipment:{order.shipments[0].external_id}") == order


def test_a_hint_that_is_older_than_the_rest_is_read_again() -> None:
    with wire() as line:
        placed = line.simulator.place(orders=1)[0]
        hint = line.poll({})[0][0].body
        line.simulator.cancel(placed)
        assert line.order(placed, hint).milestones.cancelled_at is not None


def test_a_shipment_that_no_order_is_named_for_comes_back_later() -> None:
    with wire() as line, pytest.raises(Failure) as caught:
        line.order("shipment:123")
    assert caught.value.category is Category.TRANSIENT


def test_an_unknown_sale_may_not_have_arrived_yet() -> None:
    with wire() as line, pytest.raises(Failure) as caught:
        line.order("2000000000000999")
    assert caught.value.category is Category.TRANSIENT


def test_a_packs_order_that_is_not_there_yet_is_waited_for() -> None:
    with wire() as line:
        placed = line.simulator.place(orders=2)[0]
        hint = line.poll({})[0][0].body
        del line.simulator.orders[line.simulator.names_of(placed)[1]]
        with pytest.raises(Failure) as caught:
            line.order(placed, hint)
        assert caught.value.category is Category.TRANSIENT


def test_a_garbled_hint_is_no_hint() -> None:
    with wire() as line:
        placed = line.simulator.place()[0]
        assert line.order(placed, b"{").external_id == placed
        assert line.order(placed, (SAMPLES / "push_order.json").read_bytes()).external_id == placed


@pytest.mark.parametrize("fault", ["html", "truncated"])
def test_an_answer_that_is_no_json_is_transient(fault: str) -> None:
    with wire() as line:
        line.fault(fault, "/users/me", 3)
        with pytest.raises(Failure) as caught:
            line.adapter.check()
        assert caught.value.category is Category.TRANSIENT


def test_the_limit_is_not_run_against() -> None:
    with wire() as line:
        line.fault("429", "/orders/search")
        with pytest.raises(Failure) as caught:
            line.adapter.changes({})
        assert caught.value.category is Category.RATE_LIMITED
        assert caught.value.retry_at is not None


# Pushes


@pytest.mark.parametrize(
    ("name", "external_id", "topic"),
    [
        ("push_order", "2000018880000101", "orders_v2"),
        ("push_shipment", "shipment:46911000001", "shipments"),
        ("push_claim", "", "post_purchase"),
    ],
)
def test_a_push_says_where_to_look(name: str, external_id: str, topic: str) -> None:
    with wire() as line:
        (said,) = line.adapter.read_push(push((SAMPLES / f"{name}.json").read_bytes()))
    assert (said.external_id, said.topic, said.account) == (external_id, topic, "512000001")
    assert said.event_id.startswith("0a1b2c3d")


@pytest.mark.parametrize("resource", ["/orders/../users/me", "/orders/12/x", "/shipments/1", "", "/orders/" + "9" * 40])
def test_a_resource_of_another_shape_leads_nowhere(resource: str) -> None:
    assert listing.resource_id("orders_v2", resource) == ""


@pytest.mark.parametrize("body", [b"", b"[]", b'{"topic": []}', b'{"application_id": 7}'])
def test_a_push_that_is_none_of_ours_is_refused(body: bytes) -> None:
    with wire() as line, pytest.raises(Refusal):
        line.adapter.read_push(push(body))


# Signing in


def test_consent_and_exchange() -> None:
    with wire() as line:
        asked = parse_qs(urlsplit(line.adapter.consent_url("st&te")).query)
        assert asked == {
            "response_type": ["code"],
            "client_id": ["1000000000000001"],
            "redirect_uri": ["https://hub.example/callback"],
            "state": ["st&te"],
        }
        line.simulator.codes["TG-code"] = ""
        made: dict[str, Any] = line.adapter.exchange("TG-code", {})
        assert made["user_id"] == "500000001" and made["client_secret"] and made["expires_at"]
        with pytest.raises(Failure) as caught:
            line.adapter.exchange("TG-code", {})
        assert caught.value.category is Category.AUTH


def test_a_refused_consent_is_said() -> None:
    with wire() as line, pytest.raises(Failure, match="collaborator"):
        line.adapter.exchange("", {"error": "invalid_operator_user_id", "error_description": "a collaborator"})


def test_an_expired_token_is_renewed_once() -> None:
    with wire() as line:
        line.simulator.access_tokens[line.tokens.token] = 0
        assert line.adapter.check() == "LOJA_SIMULADA"
        assert line.tokens.renewed == 1
        assert len(line.calls("token")) == 1


def test_a_used_refresh_token_asks_for_a_new_consent() -> None:
    with wire() as line:
        line.adapter.refresh()
        with pytest.raises(Failure, match="connect the account again") as caught:
            line.adapter.refresh()
        assert caught.value.category is Category.AUTH


def test_a_renewal_that_may_have_happened_is_not_repeated() -> None:
    with wire() as line:
        line.fault("cut_after", "/oauth/token", 9)
        with pytest.raises(Failure):
            line.adapter.refresh()
        assert len(line.calls("token")) == 1


def test_another_countrys_account_is_refused() -> None:
    with wire() as line:
        line.simulator.site = "MLA"
        with pytest.raises(Refusal, match="MLA"):
            line.adapter.check()


# The simulator's own pushes


class Hub(Simulator):
    """Takes pushes; refuses the first `refusals` of them."""

    def __init__(self, refusals: int) -> None:
        super().__init__()
        self.refusals = refusals
        self.got: list[Any] = []

    @route("POST", "/push")
    def push(self, request: Request) -> Response:
        if self.refusals:
            self.refusals -= 1
            return Response(503)
        self.got.append(request.json())
        return Response(200)


@pytest.mark.parametrize("refusals", [0, 2, 3])
def test_a_push_is_tried_three_times_and_then_missed(refusals: int) -> None:
    hub = Hub(refusals)
    with wire() as line, SimulatorServer(hub) as server:
        line.simulator.push_url = f"{server.url}/push"
        line.simulator.place(orders=1)
        until = time.monotonic() + 5
        while not (hub.got or line.simulator.missed) and time.monotonic() < until:
            time.sleep(0.02)
        assert (len(hub.got), len(line.simulator.missed)) == ((0, 1) if refusals == 3 else (1, 0))
        body = json.dumps((hub.got or line.simulator.missed)[0]).encode()
        (said,) = line.adapter.read_push(push(body))
        assert said.external_id in line.simulator.orders


# What was read before


def read_again(line: Wire, external_id: str, last: bytes) -> list[str]:
    line.exchanges.clear()
    line.adapter.fetch(external_id, b"", last)
    return [one.operation for one in line.exchanges]


def test_a_sale_that_moved_on_is_read_without_what_cannot_have_changed() -> None:
    with wire(carrier_after=60) as line:
        (placed,) = line.simulator.place(1, orders=1, pack=True, logistic="cross_docking", discounted=False)
        shipment = next(iter(line.simulator.shipments))
        last = line.adapter.fetch(placed)
        assert read_again(line, placed, last) == ["order", "pack", "order", "shipment", "sla"]
        line.simulator.move(shipment, "shipped")
        assert read_again(line, placed, last) == ["order", "pack", "order", "shipment", "carrier"]
        fresh = json.loads(line.adapter.fetch(placed))
        assert json.loads(line.adapter.fetch(placed, b"", last)) == fresh


def test_other_terms_of_a_parcel_are_asked_for_again() -> None:
    with wire(carrier_after=60) as line:
        (placed,) = line.simulator.place(1, orders=1, pack=True, logistic="cross_docking", discounted=False)
        last = line.adapter.fetch(placed)
        next(iter(line.simulator.shipments.values()))["lead_time"] = {"cost": 99.0}
        assert "costs" in read_again(line, placed, last)


def test_another_buyer_is_asked_for_again() -> None:
    with wire(carrier_after=60) as line:
        (placed,) = line.simulator.place(1, orders=1, pack=True, logistic="cross_docking", discounted=False)
        last = line.adapter.fetch(placed)
        next(iter(line.simulator.orders.values()))["buyer"]["billing_info"]["id"] = "1"
        assert "billing" in read_again(line, placed, last)


def test_an_announced_parcel_is_read_whole() -> None:
    with wire(carrier_after=60) as line:
        line.simulator.place(1, orders=1, pack=True, logistic="cross_docking", discounted=False)
        name = f"shipment:{next(iter(line.simulator.shipments))}"
        last = line.adapter.fetch(name)
        assert {"sla", "costs", "billing"} <= set(read_again(line, name, last))


@pytest.mark.parametrize("last", [b"nonsense", b"[]", b'{"shipments": [{}]}', b'{"orders": 7}'])
def test_whatever_was_read_before_the_sale_is_read(last: bytes) -> None:
    with wire(carrier_after=60) as line:
        (placed,) = line.simulator.place(1, orders=1, logistic="cross_docking")
        assert line.adapter.fetch(placed, b"", last) == line.adapter.fetch(placed)
