"""The list as a file: the filtered rows of one's own sellers, for a spreadsheet that must not run what buyers type."""

import csv
import io
from decimal import Decimal

import pytest
from django.test import Client

from monitoring import sheets
from tests.monitoring.world import World, text_of

PATH = "/orders/export/"


def rows(client: Client, query: str = "", language: str = "en") -> list[dict[str, str]]:
    answer = client.get(f"{PATH}?{query}", headers={"accept-language": language})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    text = text_of(answer)
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text[1:], newline=""), delimiter=";" if language == "pt-br" else ","))


def test_the_filtered_rows_in_the_chosen_order(owner: Client, world: World) -> None:
    world.exported("1", total=Decimal("10.50"))
    world.order("2", "pending")
    world.order("3", total=Decimal("99.9999"))
    found = rows(owner, "status=approved&sort=total")
    assert [row["Order"] for row in found] == ["3", "1"]
    assert (found[0]["Total"], found[1]["Total"]) == ("99.9999", "10.50")
    assert (found[1]["Number in the ERP"], found[1]["Buyer"], found[1]["UF"]) == ("N1", "Joana Prado", "PE")


def test_in_portuguese_with_decimal_commas(owner: Client, world: World) -> None:
    world.order("1", total=Decimal("1234.5"))
    assert rows(owner, language="pt-br")[0]["Total"] == "1234,50"
    assert rows(owner, language="pt-br")[0]["Comprador"] == "Joana Prado"


def test_only_of_ones_own_sellers(owner: Client, world: World, other: World) -> None:
    world.order("MINE")
    other.order("FOREIGN")
    assert [row["Order"] for row in rows(owner)] == ["MINE"]


@pytest.mark.parametrize(
    "name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =cmd|'/c calc'!A0", "\u00a0=1", "＝1"]
)
def test_no_cell_is_a_formula(owner: Client, world: World, name: str) -> None:
    world.order("1", buyer_name=name, city=name)
    found = rows(owner)[0]
    assert (found["Buyer"], found["City"]) == (f"'{name}", f"'{name}")


@pytest.mark.parametrize("name", ["Joana; Prado", 'Casa "Ipê"', "a,b\nc", "Ação = reação"])
def test_every_text_arrives_whole(owner: Client, world: World, name: str) -> None:
    world.order("1", buyer_name=name)
    assert rows(owner)[0]["Buyer"] == name
    assert rows(owner, language="pt-br")[0]["Comprador"] == name


def test_many_orders_take_few_queries(
    owner: Client, world: World, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: object
) -> None:
    monkeypatch.setattr(sheets, "CHUNK", 10)
    for number in range(25):
        world.exported(str(number))
    with django_assert_max_num_queries(20):  # type: ignore[operator]
        assert len(rows(owner)) == 25
