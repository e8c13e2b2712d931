from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from orders import money
from orders.documents import Buyer, OrderDocument, Payment
from orders.models import SalesChannel
from orders.vocabulary import Hold
from tests.orders.factory import NOW, document, item, totals

CHANNEL = SalesChannel(tolerance=Decimal("0.01"))


def changed(**amounts: str) -> OrderDocument:
    lines = (item("1"), item("2"))
    return document(items=lines, totals=totals(lines).model_copy(update={k: Decimal(v) for k, v in amounts.items()}))


def holds(found: OrderDocument) -> list[str]:
    return money.holds(found, CHANNEL, NOW)


def test_an_order_that_closes_waits_for_nothing() -> None:
    assert holds(document()) == []


@pytest.mark.parametrize(
    ("amounts", "held"),
    [
        ({"total": "45.00"}, False),
        ({"total": "45.02"}, False),
        ({"total": "45.03"}, True),
        ({"total": "44.97"}, True),
        ({"items": "41.00", "total": "46.00"}, True),
        ({"freight": "-5.00", "total": "35.00"}, True),
        ({"total": "55.00", "interest": "10.00"}, False),
        ({"total": "35.00", "subsidy": "10.00"}, False),
        ({"total": "40.00", "other": "-5.00"}, False),
        ({"fees": "-3.00", "freight_cost": "99.00"}, False),
    ],
)
def test_parts_must_add_up_to_the_total(amounts: dict[str, str], held: bool) -> None:
    assert (Hold.MONEY in holds(changed(**amounts))) is held


def test_line_discounts_may_not_exceed_the_order_discount() -> None:
    lines = (item(discount=Decimal("3.00")),)
    closed = document(items=lines)
    assert holds(closed) == []
    more = totals(lines).model_copy(update={"discount": Decimal(1), "total": Decimal("24.00")})
    assert holds(document(items=lines, totals=more)) == [Hold.MONEY]


def test_a_negative_payment_is_held() -> None:
    assert holds(document(payments=(Payment(external_id="p", amount=Decimal(-1)),))) == [Hold.MONEY]


def test_a_difference_too_large_for_its_column_is_cut() -> None:
    huge = Decimal("9999999999.9999")
    found = changed(items=str(huge), freight=str(huge), interest=str(huge), total="0")
    assert money.difference(found) == -huge


@pytest.mark.parametrize(
    ("number", "held"),
    [
        ("", False),
        ("52998224725", False),
        ("52998224726", True),
        ("11111111111", True),
        ("11222333000181", False),
        ("11222333000182", True),
        ("12ABC34501DE35", False),
        ("12ABC34501DE36", True),
        ("***.982.247-**", False),
        ("XXXXXXXXXXX", False),
        ("5299822472", True),
        ("no number", True),
    ],
)
def test_the_buyers_document(number: str, held: bool) -> None:
    assert (Hold.BUYER in holds(document(buyer=Buyer(document=number)))) is held


@pytest.mark.parametrize(
    ("columns", "hold"),
    [
        ({"currency": "USD"}, Hold.CURRENCY),
        ({"placed_at": NOW + timedelta(days=2)}, Hold.DATES),
        ({"updated_at": NOW + timedelta(days=2)}, Hold.DATES),
        ({"holds": (Hold.FRAUD,)}, Hold.FRAUD),
        ({"holds": (Hold.MASKED,)}, Hold.MASKED),
    ],
)
def test_other_reasons_to_wait(columns: dict[str, Any], hold: Hold) -> None:
    assert holds(document(**columns)) == [hold]
