"""Finding, creating and cancelling: what goes over the wire, how often, and what happens when it goes wrong."""

from decimal import Decimal
from typing import Any

import pytest

from connectors.contract import ErpOrder, Outcome
from connectors.erps.bling.simulated_office import CUSTOM_CANCELLED
from connectors.erps.bling.simulator import PAYMENT_FORM, BlingSimulator
from connectors.failures import Category, Failure, Refusal
from connectors.simulation.server import Response
from orders.documents import Address, Buyer, Totals
from tests.connectors.erps.bling.parts import CPF, Desk, line, order, reference, simulated


@pytest.fixture
def bling() -> Any:
    with simulated() as made:
        yield made


def made_order(bling: Desk) -> dict[str, Any]:
    (made,) = bling.sim.orders.values()
    return dict(made)


# Creating


def test_a_new_order_as_bling_has_it(bling: Desk) -> None:
    made = bling.bling.create(order(), reference())
    held = made_order(bling)
    assert made == ErpOrder(str(held["id"]), "", "2000", "entreposto:4:2000", total=Decimal("179.50"))
    assert held["total"] == 179.5
    assert [(row["codigo"], row["quantidade"], row["valor"], row["desconto"]) for row in held["itens"]] == [
        ("CAN-325-AZUL", 2.0, 39.9, 0),
        ("GAR-1L-PRETA", 1.0, 89.9, 0),
    ]
    ids = {sku: rows[0]["id"] for sku, rows in bling.sim.products.items()}
    assert [row["produto"]["id"] for row in held["itens"]] == [ids["CAN-325-AZUL"], ids["GAR-1L-PRETA"]]
    assert held["desconto"] == {"valor": 10.0, "unidade": "REAL"}
    assert (held["transporte"]["frete"], held["outrasDespesas"]) == (18.5, 1.3)
    assert held["parcelas"] == [
        {"id": 0, "dataVencimento": "2026-11-19", "valor": 179.5, "formaPagamento": {"id": PAYMENT_FORM}}
    ]
    assert (held["numeroLoja"], held["observacoesInternas"]) == ("2000", "entreposto:4:2000")
    assert held["data"] == "2026-11-19"
    assert held["transporte"]["etiqueta"] == {
        "nome": "Beltrana",
        "endereco": "Rua das Flores",
        "numero": "123",
        "complemento": "apto 4",
        "bairro": "Centro",
        "cep": "01310100",
        "municipio": "São Paulo",
        "uf": "SP",
    }
    assert held["loja"] == {"id": 0} and held["situacao"]["id"] == 6


def test_the_contact_it_is_made_for(bling: Desk) -> None:
    bling.bling.create(order(bill_to=Address(street="Rua da Nota", city="Campinas", state="sp")), reference())
    contact = bling.sim.contacts[made_order(bling)["contato"]["id"]]
    assert (contact["nome"], contact["tipo"], contact["numeroDocumento"]) == ("Fulana de Exemplo", "F", CPF)
    assert (contact["indicadorIe"], contact["email"], contact["celular"]) == (9, "fulana@exemplo.test", "11988887777")
    assert contact["endereco"]["geral"]["endereco"] == "Rua da Nota" and contact["endereco"]["geral"]["uf"] == "SP"


def test_a_company_with_a_state_registration(bling: Desk) -> None:
    buyer = Buyer(name="Firma Ltda", document="12.ABC.345/01DE-35", state_registration="111222333")
    bling.bling.create(order(buyer=buyer), reference())
    (contact,) = bling.sim.contacts.values()
    assert (contact["tipo"], contact["numeroDocumento"]) == ("J", "12ABC34501DE35")
    assert (contact["indicadorIe"], contact["ie"]) == (1, "111222333")


def test_settings_go_into_the_order() -> None:
    settings: dict[str, Any] = {
        "stores": {"4": 204560001},
        "payment_form": str(PAYMENT_FORM + 1),
        "due_days": 30,
        "freight_by": 1,
        "situation": 15,
        "intermediaries": {"4": {"cnpj": "03.007.331/0001-41", "user": "LOJAEXEMPLO"}},
    }
    with simulated(**settings) as bling:
        bling.bling.create(order(notes="Sem laço"), reference())
        held = made_order(bling)
        assert "payment_forms" not in bling.operations
    assert held["loja"] == {"id": 204560001} and held["situacao"]["id"] == 15
    assert held["parcelas"][0]["dataVencimento"] == "2026-12-19"
    assert held["parcelas"][0]["formaPagamento"] == {"id": PAYMENT_FORM + 1}
    assert held["intermediador"] == {"cnpj": "03007331000141", "nomeUsuario": "LOJAEXEMPLO"}
    assert held["transporte"]["fretePorConta"] == 1 and held["observacoes"] == "Sem laço"


def test_a_setting_that_is_no_number_is_refused() -> None:
    with simulated(due_days="soon") as bling, pytest.raises(Refusal) as refused:
        bling.bling.create(order(), reference())
    assert refused.value.path == "$.settings.due_days"
    assert bling.sim.orders == {}


@pytest.mark.parametrize(
    ("price", "quantity", "discount", "total"),
    [("33.3333", "3", "0", "100.00"), ("0.335", "3", "0.10", "0.91"), ("10.005", "2", "1", "19.01")],
)
def test_prices_finer_than_a_cent_still_add_up(
    bling: Desk, price: str, quantity: str, discount: str, total: str
) -> None:
    item = line(price=price, quantity=quantity)
    totals = Totals(items=item.quantity * item.unit_price, discount=Decimal(discount), total=Decimal(total))
    made = bling.bling.create(order(item, totals=totals), reference())
    assert made.total == Decimal(total)
    assert made_order(bling)["total"] == float(total)


def test_what_the_marketplace_pays_is_in_the_total(bling: Desk) -> None:
    totals = Totals(items=Decimal("79.80"), subsidy=Decimal("5.00"), total=Decimal("74.80"))
    assert bling.bling.create(order(line(), totals=totals), reference()).total == Decimal("79.80")


def test_a_discount_beyond_the_order_is_refused(bling: Desk) -> None:
    totals = Totals(items=Decimal("79.80"), discount=Decimal(100), total=Decimal("-20.20"))
    with pytest.raises(Refusal, match="exceeds"):
        bling.bling.create(order(line(), totals=totals), reference())


# How many calls it takes


def test_the_first_order_takes_five_calls_and_the_next_three_or_two(bling: Desk) -> None:
    bling.bling.create(order(), reference())
    assert bling.operations == ["find_products", "payment_forms", "find_contact", "create_contact", "create"]
    bling.exchanges.clear()
    bling.bling.create(order(number="2001", buyer=Buyer(name="Outra", document="52998224725")), reference("2001"))
    assert bling.operations == ["find_contact", "create_contact", "create"]
    bling.exchanges.clear()
    bling.bling.create(order(number="2002"), reference("2002"))
    assert bling.operations == ["find_contact", "contact", "create"]


def test_a_returning_buyer_takes_two_calls_where_contacts_are_left_alone() -> None:
    with simulated(update_contacts=False) as bling:
        bling.bling.create(order(), reference())
        bling.exchanges.clear()
        bling.bling.create(order(number="2001"), reference("2001"))
        assert bling.operations == ["find_contact", "create"]


def test_what_is_remembered_belongs_to_one_account() -> None:
    with simulated() as one, simulated() as other:
        one.bling.create(order(), reference())
        other.bling.create(order(), reference())
        assert other.operations[:2] == ["find_products", "payment_forms"]


def test_a_refused_order_forgets_what_was_remembered(bling: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    bling.bling.create(order(), reference())
    monkeypatch.setattr(bling.sim, "_problems", lambda body: [{"msg": "Produto excluído.", "element": "itens"}])
    with pytest.raises(Failure, match="Produto excluído"):
        bling.bling.create(order(number="2001"), reference("2001"))
    bling.exchanges.clear()
    monkeypatch.undo()
    bling.bling.create(order(number="2001"), reference("2001"))
    assert bling.operations[:2] == ["find_products", "payment_forms"]


# Contacts


def test_a_contact_with_old_data_is_brought_up_to_date(bling: Desk) -> None:
    bling.bling.create(order(), reference())
    (contact,) = bling.sim.contacts.values()
    contact["observacao"] = "cliente antigo"
    moved = Address(recipient="Beltrana", street="Rua Nova", number="9", city="Santos", state="SP")
    bling.exchanges.clear()
    bling.bling.create(order(number="2001", ship_to=moved), reference("2001"))
    assert bling.operations == ["find_contact", "contact", "update_contact", "create"]
    (contact,) = bling.sim.contacts.values()
    assert contact["endereco"]["geral"]["endereco"] == "Rua Nova"
    assert contact["observacao"] == "cliente antigo" and contact["email"] == "fulana@exemplo.test"


def test_a_deleted_contact_is_not_used(bling: Desk) -> None:
    bling.bling.create(order(), reference())
    next(iter(bling.sim.contacts.values()))["situacao"] = "E"
    assert bling.bling.contacts._find(CPF) == 0


def test_a_contact_that_another_worker_made_meanwhile(bling: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    bling.bling.create(order(), reference())
    find = bling.bling.contacts._find
    calls: list[int] = []

    def late(number: str, **query: str) -> int:
        calls.append(1)
        return 0 if len(calls) == 1 else find(number, **query)

    monkeypatch.setattr(bling.bling.contacts, "_find", late)
    bling.bling.create(order(number="2001"), reference("2001"))
    assert len(bling.sim.contacts) == 1 and len(bling.sim.orders) == 2 and len(calls) == 2


def test_a_contact_that_only_the_name_finds(bling: Desk) -> None:
    bling.bling.create(order(), reference())
    (contact,) = bling.sim.contacts
    asked: list[str] = []
    handle = bling.sim.handle

    def blind(request: Any) -> Response:
        if request.path.endswith("/contatos") and request.param("numeroDocumento"):
            asked.append(request.param("numeroDocumento"))
            return Response(200, {"data": []})
        return handle(request)

    bling.sim.handle = blind
    bling.bling.create(order(number="2001"), reference("2001"))
    assert [held["contato"]["id"] for held in bling.sim.orders.values()] == [contact, contact]
    assert asked == [CPF, CPF]


def test_a_contact_of_another_document_is_never_taken(bling: Desk) -> None:
    bling.bling.create(order(), reference())
    handle = bling.sim.handle

    def unfiltered(request: Any) -> Response:
        if request.method == "GET" and request.path.endswith("/contatos"):
            request.query.pop("numeroDocumento", None)
        return handle(request)

    bling.sim.handle = unfiltered
    bling.bling.create(order(number="2001", buyer=Buyer(name="Outra", document="52998224725")), reference("2001"))
    assert len(bling.sim.contacts) == 2


@pytest.mark.parametrize("fault", ["cut_after", "502_after", "truncated"])
def test_a_contact_of_unknown_outcome_is_not_made_twice(bling: Desk, fault: str) -> None:
    bling.fault(fault, "POST .*/contatos")
    with pytest.raises(Failure) as failed:
        bling.bling.create(order(), reference())
    assert failed.value.category is Category.TRANSIENT
    # Only the contact is in doubt; the order was never sent.
    assert not failed.value.uncertain and bling.sim.orders == {}
    bling.bling.create(order(), reference())
    assert len(bling.sim.contacts) == 1 and len(bling.sim.orders) == 1


@pytest.mark.parametrize("document", ["", "***", "123"])
def test_a_buyer_without_a_document_is_refused(bling: Desk, document: str) -> None:
    with pytest.raises(Refusal) as refused:
        bling.bling.create(order(buyer=Buyer(name="X", document=document)), reference())
    assert refused.value.path == "$.buyer.document" and bling.sim.contacts == {}


def test_a_buyer_without_a_name_is_the_recipient_or_refused(bling: Desk) -> None:
    bling.bling.create(order(buyer=Buyer(document=CPF)), reference())
    assert next(iter(bling.sim.contacts.values()))["nome"] == "Beltrana"
    with pytest.raises(Refusal, match="name"):
        bling.bling.create(order(buyer=Buyer(document=CPF), ship_to=None), reference("2001"))


# Products


def test_an_unknown_sku_is_refused_by_its_name(bling: Desk) -> None:
    with pytest.raises(Refusal, match="'GHOST'") as refused:
        bling.bling.create(order(line(), line(2, "GHOST")), reference())
    assert refused.value.path == "$.items[1].sku" and refused.value.code == "sku"
    assert bling.sim.orders == {} and bling.sim.contacts == {}
    with pytest.raises(Refusal, match="no SKU"):
        bling.bling.create(order(line(sku="")), reference())


@pytest.mark.parametrize("stock", [0, -3])
def test_a_product_without_stock_is_found(bling: Desk, stock: float) -> None:
    product = bling.sim.add_product("ESGOTADO", "Esgotado", 10, stock=stock)
    assert bling.bling.items(["ESGOTADO", "CAN-325-AZUL", "GHOST"])["ESGOTADO"] == str(product)


def test_a_code_is_compared_exactly(bling: Desk) -> None:
    bling.sim.products["can-325-azul"] = bling.sim.products.pop("CAN-325-AZUL")
    assert bling.bling.items(["CAN-325-AZUL"]) == {}


def test_two_products_with_one_code_are_a_persons_business(bling: Desk) -> None:
    bling.sim.add_product("CAN-325-AZUL", "Outra caneca", 10)
    with pytest.raises(Refusal, match="several products"):
        bling.bling.create(order(), reference())


def test_an_inactive_twin_does_not_count(bling: Desk) -> None:
    (product,) = (row["id"] for row in bling.sim.products["CAN-325-AZUL"])
    bling.sim.add_product("CAN-325-AZUL", "Antiga", 10, active=False)
    bling.bling.create(order(line(), totals=Totals(items=Decimal("79.8"), total=Decimal("79.8"))), reference())
    assert made_order(bling)["itens"][0]["produto"]["id"] == product


def test_many_codes_are_asked_for_in_pieces(bling: Desk) -> None:
    codes = [f"SKU-{place}" for place in range(120)]
    for code in codes:
        bling.sim.add_product(code, code, 1)
    assert set(bling.bling.items(codes)) == set(codes)
    assert bling.operations == ["find_products"] * 3


# Uncertain writes and errors


@pytest.mark.parametrize("fault", ["cut_after", "502_after", "truncated"])
def test_an_order_of_unknown_outcome_is_looked_up_and_found(bling: Desk, fault: str) -> None:
    bling.fault(fault, "POST .*/pedidos/vendas")
    with pytest.raises(Failure) as failed:
        bling.bling.create(order(), reference())
    assert failed.value.uncertain and failed.value.category is Category.TRANSIENT
    (found,) = bling.bling.find(reference())
    assert found.total == Decimal("179.5") and len(bling.sim.orders) == 1


def test_an_answer_without_an_id_is_uncertain(bling: Desk) -> None:
    handle = bling.sim.handle

    def forgetful(request: Any) -> Response:
        answer = handle(request)
        return Response(201, {"data": {}}) if request.method == "POST" and "pedidos" in request.path else answer

    bling.sim.handle = forgetful
    with pytest.raises(Failure) as failed:
        bling.bling.create(order(), reference())
    assert failed.value.uncertain and failed.value.code == "no_id"


def test_a_refusal_says_what_bling_says() -> None:
    with simulated(payment_form=999) as bling, pytest.raises(Failure) as failed:
        bling.bling.create(order(), reference())
    assert failed.value.category is Category.REJECTED and not failed.value.uncertain
    assert failed.value.code == "VALIDATION_ERROR"
    assert "[parcelas 1] Id da forma de pagamento inválido." in failed.value.message


# Finding


def test_nothing_is_found_before_anything_was_made(bling: Desk) -> None:
    assert bling.bling.find(reference()) == []
    assert bling.operations == ["find"]
    assert "numerosLojas[]=2000" in bling.exchanges[0].url


def test_two_channels_with_one_number_are_told_apart_by_the_key(bling: Desk) -> None:
    mine = bling.bling.create(order(), reference(channel=4))
    bling.bling.create(order(), reference(channel=5))
    bling.sim.place_by_hand("2000", observacoesInternas="digitado à mão")
    assert [found.external_id for found in bling.bling.find(reference(channel=4))] == [mine.external_id]
    assert bling.bling.find(reference(channel=6)) == []


def test_two_channels_with_one_number_are_told_apart_by_the_shop() -> None:
    with simulated(stores={"4": 204560001, "5": 204560002}) as bling:
        mine = bling.bling.create(order(), reference(channel=4))
        bling.bling.create(order(), reference(channel=5))
        bling.exchanges.clear()
        assert [found.external_id for found in bling.bling.find(reference(channel=4))] == [mine.external_id]
        assert bling.operations == ["find"]


def test_a_cancelled_twin_is_reported_as_cancelled(bling: Desk) -> None:
    first = bling.bling.create(order(), reference())
    bling.bling.cancel(first.external_id)
    second = bling.bling.create(order(), reference())
    found = {one.external_id: one.cancelled for one in bling.bling.find(reference())}
    assert found == {first.external_id: True, second.external_id: False}


def test_an_own_situation_that_derives_from_cancelled_is_cancelled(bling: Desk) -> None:
    made = bling.bling.create(order(), reference())
    bling.sim._move(bling.sim.orders[int(made.external_id)], CUSTOM_CANCELLED)
    assert [one.cancelled for one in bling.bling.find(reference())] == [True]
    assert bling.bling.cancel(made.external_id).outcome is Outcome.ALREADY
    assert bling.operations.count("situation") == 1


@pytest.mark.parametrize(("strangers", "proves"), [(7, True), (150, False)])
def test_an_ignored_filter_returns_no_strangers(bling: Desk, strangers: int, proves: bool) -> None:
    for place in range(strangers):
        bling.sim.place_by_hand(f"FOREIGN-{place}")
    handle = bling.sim.handle

    def unfiltered(request: Any) -> Response:
        request.query.pop("numerosLojas[]", None)
        return handle(request)

    bling.sim.handle = unfiltered
    if proves:
        assert bling.bling.find(reference()) == []
    else:
        # A full page of strangers says nothing about the pages behind it.
        with pytest.raises(Failure) as failed:
            bling.bling.find(reference())
        assert failed.value.code == "no_search"


# Cancelling


def test_cancelling(bling: Desk) -> None:
    made = bling.bling.create(order(), reference())
    assert bling.bling.cancel(made.external_id).outcome is Outcome.ACCEPTED
    assert made_order(bling)["situacao"]["id"] == 12
    assert bling.exchanges[-1].method == "PATCH"
    assert bling.bling.cancel(made.external_id).outcome is Outcome.ALREADY
    assert bling.operations[-2:] == ["cancel", "order"]


def test_cancelling_what_was_deleted_or_invoiced(bling: Desk) -> None:
    assert bling.bling.cancel("1").outcome is Outcome.ALREADY
    made = bling.bling.create(order(), reference())
    bling.sim.invoice(int(made.external_id))
    receipt = bling.bling.cancel(made.external_id)
    assert receipt.outcome is Outcome.ACCEPTED and "by hand" in receipt.message


def test_a_simulator_takes_many_orders_quickly() -> None:
    sim = BlingSimulator(invoice_after=0, dispatch_after=0)
    with simulated(sim, update_contacts=False) as bling:
        for place in range(50):
            bling.bling.create(order(number=str(place)), reference(str(place)))
    seen = sim.snapshot()
    assert len(seen) == 50
    assert all(row["dispatched"] and len(row["invoice_key"]) == 44 for row in seen.values())
    assert {row["hub_key"] for row in seen.values()} == {f"entreposto:4:{place}" for place in range(50)}
    assert next(iter(seen.values()))["sku_quantities"] == {"CAN-325-AZUL": 2.0, "GAR-1L-PRETA": 1.0}
