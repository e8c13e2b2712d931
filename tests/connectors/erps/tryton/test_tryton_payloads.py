"""An order as Tryton is told of it: the amounts must be those of the order, to the cent."""

from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.erps.tryton import payloads
from connectors.failures import Refusal
from orders.documents import Address, Buyer, OrderDocument
from tests.connectors.erps.orders import item, order, reference


def booked(lines: list[payloads.SaleLine]) -> Decimal:
    """As the server adds up: each line rounded to the cent."""
    cent = Decimal("0.01")
    return sum(((line.quantity * line.unit_price).quantize(cent, ROUND_HALF_EVEN) for line in lines), Decimal(0))


money = st.decimals("0.01", "9999.99", places=2)
small = st.decimals("-50", "50", places=2)


@given(
    st.lists(st.tuples(st.integers(1, 40), money, st.decimals(0, 1, places=2)), min_size=1, max_size=5), small, small
)
def test_the_lines_always_add_up(rows: list[tuple[int, Decimal, Decimal]], extra: Decimal, freight: Decimal) -> None:
    lines = [
        item(f"S{place}", str(quantity), str(price), str((quantity * price * share).quantize(Decimal("0.01"))))
        for place, (quantity, price, share) in enumerate(rows)
    ]
    off = sum((line.discount for line in lines), extra)
    sold = order(*lines, discount=str(off), freight=str(freight), subsidy="3.33")

    made = payloads.sale_lines(sold, {})

    assert booked(made) == payloads.erp_total(sold) == sold.totals.total + sold.totals.subsidy
    assert all(line.unit_price == line.unit_price.quantize(Decimal("0.0001")) for line in made)


def test_a_discount_that_divides_is_in_the_price() -> None:
    made = payloads.sale_lines(order(item("A", "4", "10.00", "1.00")), {})

    assert [(line.sku, line.quantity, line.unit_price) for line in made] == [("A", 4, Decimal("9.75"))]


def test_a_discount_that_does_not_divide_is_a_line() -> None:
    made = payloads.sale_lines(order(item("A", "3", "10.00", "1.00")), {"adjustment_sku": "ACERTO"})

    assert [(line.sku, line.quantity, line.unit_price) for line in made] == [("A", 3, 10), ("ACERTO", 1, -1)]


def test_parts_of_a_cent_are_rounded_as_the_server_does() -> None:
    made = payloads.sale_lines(order(item("A", "1", "10.005"), item("B", "1", "10.005")), {})

    # Two times 10.00 on the server, half to even.
    assert [(line.sku, line.unit_price) for line in made][2:] == [("DESCONTO", Decimal("0.010"))]


def test_sums_that_disagree_are_refused() -> None:
    sold = order(item("A", "1", "10.00"))
    wrong = OrderDocument(**{**dict(sold), "totals": sold.totals.model_copy(update={"items": Decimal("12.00")})})

    with pytest.raises(Refusal, match="at list price") as refused:
        payloads.sale_lines(wrong, {})

    assert refused.value.path == "$.totals.items"


def test_parts_of_a_cent_are_refused() -> None:
    with pytest.raises(Refusal, match="whole number of cents"):
        payloads.sale_lines(order(item("A", "1", "10.005")), {})


def test_a_line_without_sku_is_refused() -> None:
    with pytest.raises(Refusal, match="no SKU") as refused:
        payloads.sale_lines(order(item("", "1", "10", external_id="1")), {})

    assert refused.value.path == "$.items[0].sku"


def test_sale_values() -> None:
    sold = order(placed_at=datetime(2026, 11, 24, 1, 30, tzinfo=UTC))
    buyer = {"party": 3, "invoice_address": 4, "shipment_address": 5}

    values = payloads.sale(sold, reference("77"), [{"product": 1}], buyer, {"payment_term": "2"})

    assert values == {
        **buyer,
        "payment_term": 2,
        "reference": "77",
        "description": "Mercado Livre",
        "comment": "Hub: entreposto:3:77",
        # Half past ten in the evening, in São Paulo.
        "sale_date": date(2026, 11, 23),
        "shipment_method": "order",
        "invoice_method": "order",
        "lines": [["create", [{"product": 1}]]],
    }


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ("111.444.777-35", ("br_cpf", ["11144477735", "111.444.777-35"])),
        ("11222333000181", ("br_cnpj", ["11222333000181", "11.222.333/0001-81"])),
        ("12ABC34501DE35", ("br_cnpj", ["12ABC34501DE35", "12.ABC.345/01DE-35"])),
        ("11111111111", None),
        ("***.444.777-**", None),
        ("", None),
    ],
)
def test_documents(document: str, found: object) -> None:
    assert payloads.identifier(Buyer(document=document)) == found


def test_party_values() -> None:
    buyer = Buyer(name="", document="11144477735", email="a@example.com", phone="(11) 98888-7777")

    assert payloads.party(buyer, "") == {
        "name": "Consumidor",
        "identifiers": [["create", [{"type": "br_cpf", "code": "11144477735"}]]],
        "contact_mechanisms": [
            ["create", [{"type": "email", "value": "a@example.com"}, {"type": "phone", "value": "+5511988887777"}]]
        ],
    }
    assert payloads.party(Buyer(phone="0800"), "B")["contact_mechanisms"] == [
        ["create", [{"type": "other", "value": "0800"}]]
    ]


def test_street_is_written_like_on_an_envelope() -> None:
    place = Address(street="Rua A", number="S/N", district="Centro")

    assert payloads.street(place) == "Rua A, S/N\nCentro"
    assert payloads.street(Address(district="Centro")) == "Centro"
