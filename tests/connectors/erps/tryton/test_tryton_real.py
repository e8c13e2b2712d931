"""Against a real Tryton 7.0: what is in its database afterwards is what counts."""

import json
from base64 import b64decode
from collections.abc import Iterator
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from connectors.contract import Outcome, SaleState, Window
from connectors.erps.tryton import adapter as adapter_module
from connectors.erps.tryton.adapter import Tryton
from connectors.erps.tryton.mapping import sale_state
from connectors.failures import Category, Failure, Refusal
from connectors.simulation.catalogue import SKUS
from orders.documents import Address, Buyer
from tests.connectors.erps.orders import HOME, item, order, reference
from tests.connectors.erps.tryton.wire import Hub, Wire, wire
from tests.support.tryton import CannotInstall, TrytonServer, nfe_key, tryton_server

pytestmark = pytest.mark.real
_numbers = count(700_001)


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


@pytest.fixture
def hub(server: TrytonServer, between: Wire) -> Hub:
    settings = {"database": server.database, "login": server.login, "start_at": "2026-01-01T00:00:00+00:00"}
    return Hub(between.url, settings, {"password": server.password})


@pytest.fixture
def erp(hub: Hub) -> Tryton:
    return hub.adapter()


@pytest.fixture
def number() -> str:
    return str(next(_numbers))


def state_of(erp: Tryton, sale_id: str) -> SaleState:
    return sale_state(json.loads(erp.fetch(sale_id)), {"tracking_url": "https://rastro.example.com/{code}"})


def lines_of(server: TrytonServer, sale: dict[str, Any]) -> list[tuple[str, float, str]]:
    fields = ["product.code", "quantity", "unit_price"]
    rows = server.call("model.sale.line.read", sale["lines"], fields)
    rows.sort(key=lambda row: row["id"])
    return [(row["product."]["code"], row["quantity"], f"{Decimal(row['unit_price']['decimal']):.4f}") for row in rows]


def test_an_order_becomes_one_confirmed_sale(server: TrytonServer, erp: Tryton, number: str) -> None:
    lines = (item("CAN-325-AZUL", "3", "39.90", "10.00"), item("GAR-1L-PRETA", "2", "89.90", "9.80"))
    sold = order(*lines, discount="24.80", freight="12.30", interest="1.11", other="2.00", subsidy="3.00")

    made = erp.create(sold, reference(number))

    (sale,) = server.sales_with_reference(number)
    assert made.external_id == str(sale["id"])
    assert (made.number, made.reference, made.hub_key) == (sale["number"], number, f"entreposto:3:{number}")
    assert made.total == Decimal("290.11") == sold.totals.total + sold.totals.subsidy
    assert (sale["state"], len(sale["invoices"]), len(sale["shipments"])) == ("processing", 1, 1)
    assert lines_of(server, sale) == [
        # 109.70 / 3 is no price: list price here, the discount in its own line (10.00, and 5.00 of the whole sale).
        ("CAN-325-AZUL", 3.0, "39.9000"),
        ("GAR-1L-PRETA", 2.0, "85.0000"),
        ("DESCONTO", 1.0, "-15.0000"),
        ("FRETE", 1.0, "12.3000"),
        ("JUROS", 1.0, "1.1100"),
        ("OUTROS", 1.0, "2.0000"),
    ]


def test_parts_of_a_cent_add_up_on_the_server_too(erp: Tryton, number: str) -> None:
    lines = (item("CAN-325-AZUL", "1", "10.005"), item("MOC-22-AZUL", "1", "10.005"), item("CAM-M-AZUL", "2", "7.0025"))
    sold = order(*lines, discount="0.005")

    assert erp.create(sold, reference(number)).total == Decimal("34.01")


def test_a_second_push_finds_the_first(server: TrytonServer, erp: Tryton, number: str) -> None:
    first = erp.create(order(), reference(number))

    assert erp.create(order(), reference(number)) == first
    assert erp.find(reference(number)) == [first]
    assert len(server.sales_with_reference(number)) == 1


@pytest.mark.parametrize("lost", ["create", "quote", "confirm"])
def test_a_lost_answer_leaves_one_confirmed_sale(
    server: TrytonServer, hub: Hub, between: Wire, number: str, lost: str
) -> None:
    erp = hub.adapter()
    between.lose.add(f"model.sale.sale.{lost}")

    with pytest.raises(Failure) as failed:
        erp.create(order(), reference(number))

    assert failed.value.uncertain
    assert between.methods().count(f"model.sale.sale.{lost}") == 1
    (found,) = hub.adapter().find(reference(number))
    assert found.raw_status.startswith("processing")
    (sale,) = server.sales_with_reference(number)
    assert (str(sale["id"]), len(sale["invoices"]), len(sale["shipments"])) == (found.external_id, 1, 1)
    assert hub.adapter().create(order(), reference(number)) == found


def test_invoice_and_dispatch_come_back(server: TrytonServer, erp: Tryton, number: str) -> None:
    made = erp.create(order(freight="10.20"), reference(number))
    before = state_of(erp, made.external_id)
    key = nfe_key(int(number))
    server.post_invoice(made.external_id, key)
    (shipment,) = server.ship(made.external_id, "AB123456785BR", "Transportadora Exemplo")

    after = state_of(erp, made.external_id)

    assert (before.invoices, before.dispatches, before.complete, before.cancelled) == ((), (), False, False)
    (invoice,), (dispatch,) = after.invoices, after.dispatches
    assert (invoice.key, invoice.number, invoice.series, invoice.amount) == (key, number, "1", Decimal("90.00"))
    assert invoice.xml.startswith(b"<?xml") and key.encode() in invoice.xml
    assert invoice.issued_at is not None
    assert (dispatch.external_id, dispatch.tracking_code) == (str(shipment), "AB123456785BR")
    assert dispatch.carrier == "Transportadora Exemplo"
    assert dispatch.tracking_url == "https://rastro.example.com/AB123456785BR"
    assert (after.reference, after.hub_key, after.complete) == (number, f"entreposto:3:{number}", True)
    assert (after.unknown, after.attention) == ((), "")


def test_two_channels_may_use_one_number(server: TrytonServer, erp: Tryton, number: str) -> None:
    ours, theirs = reference(number, 3), reference(number, 4)
    first, second = erp.create(order(), ours), erp.create(order(), theirs)

    assert first.external_id != second.external_id
    assert [one.external_id for one in erp.find(ours)] == [first.external_id]
    assert [one.external_id for one in erp.find(theirs)] == [second.external_id]
    assert erp.find(reference(number + "0")) == []


def test_a_sale_that_a_person_typed_is_reported_and_left_alone(server: TrytonServer, erp: Tryton, number: str) -> None:
    (party,) = server.call("model.party.party.create", [{"name": "Balcão"}])
    (typed,) = server.call("model.sale.sale.create", [{"party": party, "reference": number}])

    (found,) = erp.find(reference(number))

    assert (found.external_id, found.hub_key, found.raw_status) == (str(typed), "", "draft")
    made = erp.create(order(), reference(number))
    assert [one.external_id for one in erp.find(reference(number))] == [made.external_id, str(typed)]


def test_an_unknown_sku_is_named_and_nothing_is_made(server: TrytonServer, erp: Tryton, number: str) -> None:
    lines = (item("CAN-325-AZUL", "1", "39.90"), item("NAO-EXISTE", "1", "10.00"))

    with pytest.raises(Refusal, match="NAO-EXISTE") as refused:
        erp.create(order(*lines), reference(number))

    assert (refused.value.path, refused.value.code) == ("$.items[1].sku", "unknown_sku")
    assert server.sales_with_reference(number) == []


def test_one_buyer_is_one_party_with_an_address_for_each_place(server: TrytonServer, erp: Tryton) -> None:
    # As 8.0 writes it, and as a person would.
    values = {"name": "Antiga", "identifiers": [["create", [{"type": "br_cpf", "code": "123.456.789-09"}]]]}
    (known,) = server.call("model.party.party.create", [values])
    buyer = Buyer(name="Nova Grafia", document="12345678909")
    work = Address(street="Av. Brasil", number="9", city="Rio de Janeiro", state="RJ", postal_code="20040002")

    for place in (HOME, work, HOME):
        erp.create(order(buyer=buyer, ship_to=place), reference(str(next(_numbers))))

    (party,) = server.call("model.party.party.read", [known], ["addresses.street", "addresses.subdivision.code"])
    sales = server.call("model.sale.sale.search_count", [["party", "=", known]])
    places = {(one["street"], one["subdivision."]["code"]) for one in party["addresses."]}
    assert places == {("Rua das Acácias, 120, ap 31\nCentro", "BR-SP"), ("Av. Brasil, 9", "BR-RJ")}
    assert (sales, len(party["addresses."])) == (3, 2)


@pytest.mark.parametrize("document", ["", "***.444.***-**", "11144477734"])
def test_a_masked_document_is_left_out(server: TrytonServer, erp: Tryton, number: str, document: str) -> None:
    erp.create(order(buyer=Buyer(name="Oculta", document=document), ship_to=None), reference(number))

    fields = ["party.identifiers", "party.name"]
    (sale,) = server.call("model.sale.sale.search_read", [["reference", "=", number]], 0, None, None, fields)
    assert (sale["party."]["name"], sale["party."]["identifiers"]) == ("Oculta", [])


def test_an_open_sale_is_cancelled_by_its_button(server: TrytonServer, hub: Hub, number: str) -> None:
    erp = hub.adapter(confirm="false")
    made = erp.create(order(), reference(number))

    assert made.raw_status == "quotation"
    assert erp.cancel(made.external_id).outcome is Outcome.ACCEPTED
    assert erp.cancel(made.external_id).outcome is Outcome.ALREADY
    assert [one.cancelled for one in erp.find(reference(number))] == [True]


def test_a_sale_in_process_is_unwound(server: TrytonServer, erp: Tryton, number: str) -> None:
    made = erp.create(order(), reference(number))

    assert erp.cancel(made.external_id).outcome is Outcome.ACCEPTED

    (sale,) = server.sales_with_reference(number)
    states = [
        server.call(f"model.{model}.read", sale[key], ["state"])[0]["state"]
        for key, model in (("invoices", "account.invoice"), ("shipments", "stock.shipment.out"))
        if sale[key]
    ]
    assert set(states) == {"cancelled"}
    assert state_of(erp, made.external_id).cancelled
    assert [one.cancelled for one in erp.find(reference(number))] == [True]
    again = erp.create(order(), reference(number))
    assert again.external_id != made.external_id


def test_what_is_invoiced_is_not_cancelled(server: TrytonServer, erp: Tryton, number: str) -> None:
    made = erp.create(order(), reference(number))
    server.post_invoice(made.external_id, nfe_key(int(number)))

    with pytest.raises(Refusal, match="invoiced already"):
        erp.cancel(made.external_id)

    (sale,) = server.sales_with_reference(number)
    (shipment,) = server.call("model.stock.shipment.out.read", sale["shipments"], ["state"])
    assert shipment["state"] == "waiting"


def everything(erp: Tryton, cursor: dict[str, Any], window: Window | None = None) -> tuple[list[Any], dict[str, Any]]:
    changes: list[Any] = []
    for _ in range(200):
        page = erp.changes(cursor, window)
        changes += page.changes
        cursor = page.cursor
        if not page.more:
            return changes, cursor
    raise AssertionError("never ends")


def test_every_change_is_listed_once_more_at_most(
    server: TrytonServer, erp: Tryton, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [erp.create(order(), reference(str(next(_numbers)))).external_id for _ in range(3)]
    whole, cursor = everything(erp, {})
    monkeypatch.setattr(adapter_module, "PAGE", 9)
    paged, _ = everything(erp, {})
    again, _ = everything(erp, cursor)

    assert {change.external_id for change in whole} >= set(made)
    assert {change.body for change in paged} == {change.body for change in whole}
    assert {change.body for change in again} <= {change.body for change in whole}


def test_typing_a_tracking_code_is_a_change_of_its_sale(server: TrytonServer, erp: Tryton, number: str) -> None:
    made = erp.create(order(), reference(number))
    seen, cursor = everything(erp, {})
    (sale,) = server.sales_with_reference(number)
    server.call("model.stock.shipment.out.write", sale["shipments"], {"shipping_reference": "XY1"})

    news = set(everything(erp, cursor)[0]) - set(seen)

    assert [(change.external_id, json.loads(change.body)["model"]) for change in news] == [
        (made.external_id, "stock.shipment.out")
    ]


def test_a_window_ends_where_it_says(server: TrytonServer, erp: Tryton, number: str) -> None:
    made = erp.create(order(), reference(number))
    changed = state_of(erp, made.external_id).updated_at
    assert changed is not None
    since = changed.replace(year=changed.year - 1)

    before = everything(erp, {}, Window(since, changed))[0]

    assert json.dumps(changed.isoformat()) not in {json.dumps(json.loads(one.body)["changed"]) for one in before}


def test_a_dead_session_is_renewed_once(server: TrytonServer, hub: Hub, between: Wire) -> None:
    assert hub.adapter().check() == "Loja Exemplo Ltda"
    hub.credentials["access_token"] = "aHViOjI6ZGVhZA=="

    assert hub.adapter().check() == "Loja Exemplo Ltda"
    assert (hub.renewals, between.methods().count("common.db.login")) == (2, 2)
    assert hub.credentials["series"] == "7.0"


def test_no_session_and_no_password_is_recorded(hub: Hub) -> None:
    hub.adapter().items(["CAN-325-AZUL"])

    kept = json.dumps([exchange.__dict__ for exchange in hub.exchanges], default=str)
    session = b64decode(hub.credentials["access_token"]).decode().split(":")[2]
    assert session not in kept
    assert hub.credentials["password"] not in kept


def test_a_wrong_password_is_tried_once(server: TrytonServer, between: Wire) -> None:
    hub = Hub(between.url, {"database": server.database, "login": "hub"}, {"password": "wrong"})

    with pytest.raises(Failure) as failed:
        hub.adapter().check()

    assert failed.value.category is Category.AUTH
    assert between.methods().count("common.db.login") == 1


def test_an_unknown_database_pauses_the_connection(server: TrytonServer, between: Wire) -> None:
    with pytest.raises(Failure) as failed:
        Hub(between.url, {"database": "nowhere", "login": "hub"}, {"password": "x"}).adapter().check()

    assert failed.value.category is Category.AUTH


def test_a_question_is_answered_and_the_button_pressed_again(server: TrytonServer, erp: Tryton, number: str) -> None:
    erp.create(order(), reference(number))
    (sale,) = server.sales_with_reference(number)
    (shipment,) = sale["shipments"]
    for button in ("assign_force", "pick", "pack"):
        erp.rpc.press("stock.shipment.out", button, shipment)

    (packed,) = server.call("model.stock.shipment.out.read", [shipment], ["state", "carrier"])
    assert (packed["state"], packed["carrier"]) == ("packed", None)


def test_items_are_those_that_tryton_knows(erp: Tryton) -> None:
    wanted = [sku for sku, _title, _price in SKUS]

    assert set(erp.items([*wanted, "NAO-EXISTE"])) == set(wanted)
    assert erp.items([]) == {}


def test_a_sale_that_is_not_there(erp: Tryton) -> None:
    for bad in ("999999", "x1", ""):
        with pytest.raises(Refusal):
            erp.fetch(bad)
