"""What each service's list says of a sale is what reading that sale says, and a page costs one call."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from connectors.contract import Cursor, ErpOrder, ListedSale, Window
from connectors.erps.tryton import census as tryton_census
from tests.connectors.channels.amazon import wire as amazon
from tests.connectors.channels.mercado_livre import wire as mercado_livre
from tests.connectors.erps.bling import parts as bling


def window(days: int = 1) -> Window:
    now = datetime.now(UTC)
    return Window(now - timedelta(days=days), now + timedelta(hours=1))


def whole(adapter: Any, period: Window) -> list[Any]:
    """Every page, the cursor through JSON as the ledger keeps it."""
    rows, cursor = list[Any](), Cursor()
    while True:
        page = adapter.census(cursor, period)
        rows, cursor = [*rows, *page.rows], dict(page.cursor)
        if not page.more:
            return rows


def test_mercado_livre_lists_each_order_of_a_pack_with_its_part_of_the_total() -> None:
    with mercado_livre.wire() as wire:
        placed = wire.simulator.place(30, at=datetime.now(UTC) - timedelta(hours=3))
        wire.simulator.cancel(placed[0])
        rows: list[ListedSale] = whole(wire.adapter, window())
        # Pages overlap: the same row twice is the same row.
        parts = {row.part: row for row in rows}
        assert {row.external_id for row in parts.values()} == set(placed)
        assert parts.keys() == set(wire.simulator.orders)
        for number in placed:
            mine = [row for row in parts.values() if row.external_id == number]
            order = wire.order(number)
            assert {row.placed_at for row in mine} == {order.placed_at}
            if number == placed[0]:
                assert {row.status for row in mine} == {"cancelled"}
                continue
            assert {row.status for row in mine} == {"approved"}
            said = sum((row.total for row in mine if row.total), Decimal(0))
            freight = order.totals.freight if all(row.freight_apart for row in mine) else 0
            assert said in (order.totals.total, order.totals.total - freight)


def test_mercado_livre_knows_no_status_for_a_new_word() -> None:
    with mercado_livre.wire() as wire:
        wire.simulator.place(1, at=datetime.now(UTC) - timedelta(hours=3), orders=1)
        (order,) = wire.simulator.orders.values()
        order["status"] = "teleported"
        (row,) = {one.part: one for one in whole(wire.adapter, window())}.values()
        assert (row.status, row.raw_status) == ("", "teleported")


def test_amazon_lists_status_and_total_without_personal_data() -> None:
    with amazon.wire(collect_after=1e9) as wire:
        placed = wire.simulator.place(5)
        (pending,) = wire.simulator.place(1, status="PENDING")
        wire.simulator.cancel(placed[0])
        for sale in wire.simulator.sales.values():
            moment = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
            sale.raw["createdTime"] = moment
        wire.simulator.creations[:] = [(sale.raw["createdTime"], name) for name, sale in wire.simulator.sales.items()]
        wire.simulator.creations.sort()
        rows: list[ListedSale] = whole(wire.adapter, window())
        found = {row.external_id: row for row in rows}
        assert found.keys() == {*placed, pending}
        assert found[placed[0]].status == "cancelled" and found[pending].status == "pending"
        for number in placed[1:]:
            assert found[number].status == "approved" and found[number].total == wire.order(number).totals.total
        call = wire.calls("searchOrders")[0]
        assert "includedData=FULFILLMENT,PROCEEDS" in call.url and "taxRegistrations" not in call.response_body


def test_bling_lists_what_was_created_by_day_and_what_was_cancelled() -> None:
    with bling.simulated() as desk:
        made = desk.bling.create(bling.order(), bling.reference("2000001"))
        day = bling.PLACED.astimezone(UTC) - timedelta(hours=12)
        rows: list[ErpOrder] = whole(desk.bling, Window(day, day + timedelta(days=1)))
        assert [(row.external_id, row.reference, row.cancelled) for row in rows] == [
            (made.external_id, "2000001", False)
        ]
        assert (rows[0].total, rows[0].document, rows[0].dated) == (made.total, bling.CPF, date(2026, 11, 19))
        assert desk.operations.count("census") == 1
        desk.bling.cancel(made.external_id)
        assert whole(desk.bling, Window(day, day + timedelta(days=1)))[0].cancelled
        assert whole(desk.bling, Window(day - timedelta(days=9), day - timedelta(days=8))) == []


def test_tryton_reads_a_row_with_our_key_party_and_dates() -> None:
    row = {
        "id": 7, "number": "S7", "reference": "2001", "comment": "Hub: entreposto:3:2001", "state": "processing",
        "invoice_state": "none", "shipment_state": "waiting", "total_amount": "119.90", "invoices.": [],
        "sale_date": "2026-11-20", "create_date": "2026-11-20T13:00:00+00:00", "party.": {"name": "Ana Lima"},
        "party": {"name": "Ana Lima"}, "invoices": [], "shipments": [],
    }  # fmt: skip
    (order,) = tryton_census.listed([row])
    assert (order.hub_key, order.total, order.cancelled) == ("entreposto:3:2001", Decimal("119.90"), False)
    assert (order.dated, order.buyer) == (date(2026, 11, 20), "Ana Lima")
    assert order.created_at == datetime(2026, 11, 20, 13, tzinfo=UTC)
