"""What the adapter sends, and what it makes of every kind of answer; the real server is in test_tryton_real.py."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.erps.tryton import SERVICE
from connectors.erps.tryton.adapter import Tryton
from connectors.failures import Category, Failure, Fault, Refusal
from tests.connectors.erps.orders import item, order, reference
from tests.connectors.erps.tryton.wire import Hub, Wire, scripted_hub, wire

SALES = "model.sale.sale.search_read"
PRODUCTS = "model.product.product.search_read"
SALE = {"id": 5, "reference": "77", "comment": "Hub: entreposto:3:77", "state": "processing", "number": "9"}


@pytest.fixture
def tryton() -> Iterator[Wire]:
    with wire() as between:
        yield between


@pytest.fixture
def erp(tryton: Wire) -> Tryton:
    return scripted_hub(tryton).adapter()


def test_a_call_is_exactly_what_tryton_wants(tryton: Wire, erp: Tryton) -> None:
    tryton.says(SALES, [SALE])

    (found,) = erp.find(reference("77"))

    (call,) = tryton.calls
    assert (call.path, call.authorization) == ("/shop/", "Session c2Vzc2lvbg==")
    assert set(call.body) == {"id", "method", "params"}
    assert call.params[0] == [["reference", "=", "77"]]
    assert call.params[-1] == {"company": 1, "language": "pt"}
    assert (found.external_id, found.number, found.hub_key) == ("5", "9", "entreposto:3:77")


def test_8_0_has_another_path(tryton: Wire) -> None:
    hub = scripted_hub(tryton)
    hub.credentials["series"] = "8.0"
    tryton.says(SALES, [])

    assert hub.adapter().find(reference("77")) == []
    assert tryton.calls[0].path == "/shop/rpc/"


@pytest.mark.parametrize(("answers", "series"), [([(200, "7.0.59")], "7.0"), ([(404, None), (200, "8.0.12")], "8.0")])
def test_signing_in(tryton: Wire, answers: list[Any], series: str) -> None:
    tryton.scripted["common.server.version"] = [(status, {"id": 1, "result": said}) for status, said in answers]
    tryton.says("common.db.login", [2, "abc", "third of 8.0"])
    tryton.says("model.res.user.get_preferences", {"company": 1, "language": "pt", "company.rec_name": "Loja"})
    tryton.says(SALES, [])
    hub = Hub(tryton.url, {"database": "shop", "login": "hub"}, {"password": "right-password"})

    assert hub.adapter().find(reference("77")) == []

    assert hub.credentials["access_token"] == "aHViOjI6YWJj"
    assert (hub.credentials["series"], hub.credentials["context"]) == (series, {"company": 1, "language": "pt"})
    assert hub.credentials["password"] == "right-password"
    lives = datetime.fromisoformat(hub.credentials["expires_at"]) - datetime.now(UTC)
    assert timedelta(seconds=290) < lives <= timedelta(seconds=300)
    login = next(call for call in tryton.calls if call.method == "common.db.login")
    assert (login.params, login.authorization) == (["hub", {"password": "right-password"}, "en"], "")
    assert tryton.methods().count("common.db.login") == 1
    assert "abc" not in json.dumps([exchange.__dict__ for exchange in hub.exchanges], default=str)


@pytest.mark.parametrize(
    ("answer", "category"),
    [
        ((401, b""), Category.AUTH),
        ((404, b"<html>"), Category.AUTH),
        ((429, b"<html>"), Category.RATE_LIMITED),
        ((200, {"id": 1, "error": ["LoginException", ["password", "Password for hub", "password"]]}), Category.AUTH),
        ((200, {"id": 1, "result": None}), Category.AUTH),
    ],
)
def test_a_refused_login_is_not_repeated(tryton: Wire, answer: Any, category: Category) -> None:
    tryton.says("common.server.version", "7.0.59")
    tryton.scripted["common.db.login"] = [answer]

    with pytest.raises(Failure) as failed:
        Hub(tryton.url, {"database": "shop", "login": "hub"}, {"password": "x"}).adapter().check()

    assert failed.value.category is category
    assert tryton.methods().count("common.db.login") == 1
    if category is Category.RATE_LIMITED:
        assert failed.value.retry_at is not None
        assert failed.value.retry_at > datetime.now(UTC) + timedelta(minutes=4)


def test_a_user_without_company_is_told_so(tryton: Wire) -> None:
    tryton.says("common.server.version", "7.0.59")
    tryton.says("common.db.login", [2, "abc"])
    tryton.says("model.res.user.get_preferences", {"company": None})

    with pytest.raises(Failure, match="no company") as failed:
        Hub(tryton.url, {"database": "shop", "login": "hub"}, {"password": "x"}).adapter().check()

    assert failed.value.category is Category.AUTH


@pytest.mark.parametrize("name", ["", "a/b"])
def test_a_database_must_be_named(tryton: Wire, name: str) -> None:
    hub = scripted_hub(tryton)

    with pytest.raises(Failure, match="which Tryton database"):
        hub.adapter(database=name).find(reference("77"))

    assert tryton.calls == []


@pytest.mark.parametrize(
    ("error", "category", "code", "said"),
    [
        (
            ["UserError", ["No address.", "Fill it in.", None]],
            Category.REJECTED,
            "UserError",
            "No address. Fill it in.",
        ),
        (["UserWarning", ["name_5", "Sure?", ""]], Category.REJECTED, "UserWarning", "Sure?"),
        (["ConcurrencyException", ["Record changed"]], Category.TRANSIENT, "ConcurrencyException", "Record changed"),
        (["'referencia'", ""], Category.BUG, "unknown_name", "referencia"),
        (["Missing context argument", ""], Category.BUG, "unknown_name", "Missing"),
        (["database is locked", "Traceback …"], Category.TRANSIENT, "locked", "locked"),
        (["could not serialize access", ""], Category.TRANSIENT, "locked", "serialize"),
        (["division by zero", "Traceback " * 500], Category.REJECTED, "exception", "division by zero"),
        ("nonsense", Category.REJECTED, "exception", "nonsense"),
        ([], Category.REJECTED, "exception", ""),
    ],
)
def test_errors_in_a_good_answer(
    tryton: Wire, erp: Tryton, error: Any, category: Category, code: str, said: str
) -> None:
    tryton.fails("model.sale.sale.create", error)

    with pytest.raises(Failure) as failed:
        erp.rpc.call("model.sale.sale.create", [{}], operation="create", effect=True)

    assert (failed.value.category, failed.value.code) == (category, code)
    assert said in failed.value.message
    assert len(failed.value.message) < 900
    # The server rolled back: a create may be repeated without looking.
    assert not failed.value.uncertain
    assert len(tryton.calls) == 1


def test_an_exception_of_the_server_is_the_servers_fault(tryton: Wire, erp: Tryton) -> None:
    tryton.fails(SALES, ["division by zero", ""])

    with pytest.raises(Failure) as failed:
        erp.find(reference("77"))

    assert failed.value.fault is Fault.SERVICE


@pytest.mark.parametrize("answer", [(200, b"<html>maintenance</html>"), (200, b"[]"), (200, {"id": 1}), (502, b"bad")])
def test_no_answer_to_a_create_is_uncertain(tryton: Wire, erp: Tryton, answer: Any) -> None:
    tryton.scripted["model.sale.sale.create"] = [answer]

    with pytest.raises(Failure) as failed:
        erp.rpc.call("model.sale.sale.create", [{}], operation="create", effect=True)

    assert (failed.value.category, failed.value.uncertain) == (Category.TRANSIENT, True)
    assert len(tryton.calls) == 1


def test_an_answer_without_id_is_uncertain(tryton: Wire, erp: Tryton) -> None:
    _ready_for_a_sale(tryton)
    tryton.says("model.sale.sale.create", [])

    with pytest.raises(Failure) as failed:
        erp.create(order(item("A", "1", "10.00")), reference("77"))

    assert failed.value.uncertain


def _ready_for_a_sale(tryton: Wire, **product: Any) -> None:
    tryton.says(SALES, [])
    tryton.says(PRODUCTS, [{"id": 8, "code": "A", "sale_uom": 1, "salable": True, **product}])
    tryton.says("model.party.identifier.search_read", [{"id": 1, "party": 30}, {"id": 2, "party": 20}])
    tryton.says("model.party.address.search_read", [{"id": 41, "party": 20}])


def test_a_refusal_after_the_sale_exists_names_it(tryton: Wire, erp: Tryton) -> None:
    _ready_for_a_sale(tryton)
    tryton.says(SALES, [], [{**SALE, "state": "draft"}])
    tryton.says("model.sale.sale.create", [5])
    tryton.fails("model.sale.sale.quote", ["UserError", ["No warehouse.", "", None]])

    with pytest.raises(Refusal, match=r"Sale 5 was created .* No warehouse") as refused:
        erp.create(order(item("A", "1", "10.00")), reference("77"))

    assert not refused.value.uncertain


def test_a_button_that_does_nothing_is_noticed(tryton: Wire, erp: Tryton) -> None:
    tryton.says(SALES, [{**SALE, "state": "quotation"}])
    tryton.says("model.sale.sale.confirm", None)

    with pytest.raises(Refusal, match="left sale 5 in state quotation after confirm"):
        erp.find(reference("77"))


def test_the_oldest_party_and_exact_values_are_sent(tryton: Wire, erp: Tryton) -> None:
    _ready_for_a_sale(tryton)
    tryton.says(SALES, [], [SALE])
    tryton.says("model.sale.sale.create", [5])

    erp.create(order(item("A", "3", "11.85")), reference("77"))

    sent = next(call for call in tryton.calls if call.method == "model.sale.sale.create").params[0][0]
    assert (sent["party"], sent["invoice_address"], sent["shipment_address"]) == (20, 41, 41)
    (line,) = sent["lines"][0][1]
    assert (line["quantity"], line["unit_price"]) == (3.0, {"__class__": "Decimal", "decimal": "11.8500"})
    assert sent["comment"] == "Hub: entreposto:3:77"


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([], "unknown_sku"),
        ([{"id": 8, "code": "A", "salable": True}, {"id": 9, "code": "A", "salable": True}], "double_sku"),
        ([{"id": 8, "code": "A", "salable": 0}], "not_salable"),
    ],
)
def test_products_that_cannot_be_sold(tryton: Wire, erp: Tryton, rows: list[Any], code: str) -> None:
    _ready_for_a_sale(tryton)
    tryton.says(PRODUCTS, rows)

    with pytest.raises(Refusal, match="'A'") as refused:
        erp.create(order(item("A", "1", "10.00")), reference("77"))

    assert (refused.value.code, refused.value.path) == (code, "$.items[0].sku")
    assert "model.sale.sale.create" not in tryton.methods()


def test_another_currency_is_refused(tryton: Wire, erp: Tryton) -> None:
    tryton.says(SALES, [])

    with pytest.raises(Refusal, match="sells in BRL"):
        erp.create(order(currency="USD"), reference("77"))


def test_an_ignored_filter_returns_no_strangers(tryton: Wire, erp: Tryton) -> None:
    stranger = {**SALE, "id": 6, "reference": "78", "comment": ""}
    tryton.says(SALES, [stranger, {**stranger, "reference": "77", "comment": "Hub: entreposto:4:77"}])

    assert erp.find(reference("77")) == []


def test_endless_questions_end(tryton: Wire, erp: Tryton) -> None:
    tryton.fails("model.sale.sale.quote", ["UserWarning", ["again", "Sure?", ""]])
    tryton.says("model.res.user.warning.skip", None)

    with pytest.raises(Refusal, match="keeps asking"):
        erp.rpc.press("sale.sale", "quote", 5)

    skipped = [call.params[:2] for call in tryton.calls if call.method.endswith("skip")]
    assert skipped == [["again", False]] * 10


def test_changes_start_where_the_person_said(tryton: Wire) -> None:
    for model in ("sale.sale", "stock.shipment.out", "account.invoice"):
        tryton.says(f"model.{model}.search_read", [])
    erp = scripted_hub(tryton).adapter(start_at="2026-11-20T03:00:00+00:00")

    page = erp.changes({})

    assert (list(page.changes), page.more) == ([], False)
    assert set(map(tuple, page.cursor.values())) == {("2026-11-20T03:00:00+00:00", 0)}
    asked = tryton.calls[0].params[0][0][1]
    assert asked[:2] == ["create_date", ">"]
    assert (asked[2]["__class__"], asked[2]["day"], asked[2]["hour"]) == ("datetime", 20, 3)


def test_a_list_that_is_no_list(tryton: Wire, erp: Tryton) -> None:
    tryton.says(SALES, {"a": 1})

    with pytest.raises(Failure) as failed:
        erp.find(reference("77"))

    assert failed.value.category is Category.TRANSIENT


def test_every_capability_is_a_method() -> None:
    assert all(hasattr(Tryton, capability.value) for capability in SERVICE.capabilities)
