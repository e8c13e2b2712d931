"""The list as a file, with one press: the filtered rows of one's own sellers, for a spreadsheet that must not run what
buyers type.
"""

import csv
import io
from decimal import Decimal

import pytest
from django.test import Client

from monitoring import sheets
from monitoring.desk import bulk
from tests.monitoring.world import World, text_of


def rows(client: Client, query: str = "", language: str = "en") -> list[dict[str, str]]:
    """By the press on the list, and the file when it is done."""
    headers = {"accept-language": language}
    pressed = {"kind": "export", "format": "csv", "all": "yes", "query": query}
    there = client.post("/orders/bulk/begin/", pressed, headers=headers).headers["location"]
    bulk.run(60, lambda: False)
    answer = client.get(f"{there}file/", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    text = text_of(answer)
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text[1:], newline=""), delimiter=";" if language == "pt-br" else ","))


def test_the_filtered_rows(owner: Client, world: World) -> None:
    world.exported("1", total=Decimal("10.50"))
    world.order("2", "pending")
    world.order("3", total=Decimal("99.9999"))
    page = text_of(owner.get("/orders/?status=approved&sort=total"))
    assert "Download as CSV" in page and 'name="query" value="status=approved&amp;sort=total"' in page
    found = rows(owner, "status=approved&sort=total")
    assert [row["Order"] for row in found] == ["1", "3"]
    assert (found[0]["Total"], found[1]["Total"]) == ("10.50", "99.9999")
    assert (found[0]["Number in the ERP"], found[0]["Buyer"], found[0]["UF"]) == ("N1", "Joana Prado", "PE")


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
    with django_assert_max_num_queries(35):  # type: ignore[operator]
        assert len(rows(owner)) == 25
