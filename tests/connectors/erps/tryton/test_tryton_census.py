"""The list of sales of a real Tryton: with the hub's key, party and dates, page by page, cancelled ones too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from connectors.contract import ErpOrder, Window
from connectors.erps.tryton import adapter as adapter_module
from connectors.erps.tryton.adapter import Tryton
from tests.connectors.erps.orders import item, order, reference
from tests.connectors.erps.tryton.wire import Hub, Wire, wire
from tests.support.tryton import CannotInstall, TrytonServer, tryton_server

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def server() -> Iterator[TrytonServer]:
    try:
        with tryton_server() as running:
            yield running
    except CannotInstall as error:
        pytest.skip(f"no Tryton server here: {error}")


@pytest.fixture
def between(server: TrytonServer) -> Iterator[Wire]:
    with wire(server.url) as one:
        yield one


def listed(erp: Tryton, period: Window) -> dict[str, ErpOrder]:
    rows: list[ErpOrder] = []
    cursor: dict[str, object] = {}
    while True:
        page = erp.census(cursor, period)
        rows += [row for row in page.rows if isinstance(row, ErpOrder)]
        cursor = dict(page.cursor)
        if not page.more:
            return {row.reference: row for row in rows}


def test_every_sale_of_a_day_is_listed_once_in_few_calls(
    server: TrytonServer, between: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter_module, "PAGE", 2)
    settings = {"database": server.database, "login": server.login}
    erp = Hub(between.url, settings, {"password": server.password}).adapter()
    made = {
        number: erp.create(order(item("CAN-325-AZUL", "1", "39.90"), discount="0"), reference(number))
        for number in ("810001", "810002", "810003")
    }
    erp.cancel(made["810002"].external_id)
    now = datetime.now(UTC)
    between.calls.clear()
    found = listed(erp, Window(now - timedelta(hours=12), now + timedelta(hours=1)))
    assert found.keys() == made.keys() and between.methods().count("model.sale.sale.search_read") == 2
    assert {number: row.external_id for number, row in found.items()} == {
        number: row.external_id for number, row in made.items()
    }
    row = found["810001"]
    assert (row.hub_key, row.total, row.cancelled) == ("entreposto:3:810001", made["810001"].total, False)
    assert row.buyer and row.created_at is not None and abs(now - row.created_at) < timedelta(minutes=5)
    assert found["810002"].cancelled
    assert listed(erp, Window(now - timedelta(days=9), now - timedelta(days=8))) == {}
