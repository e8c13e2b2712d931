"""The list as a file, with one press: its rows, order and columns, of one's own sellers, for a spreadsheet that must
not run what buyers type. A small one comes at once, a larger one from a worker.
"""

import csv
import io
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from openpyxl import load_workbook

from hub.models import Activity
from monitoring import sheets
from monitoring.desk import bulk, files
from monitoring.models import BulkTask
from orders.models import Order
from tests.monitoring.world import World, text_of


@pytest.fixture(params=["at once", "by a worker"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(files, "SLICE", 2)
    if request.param == "by a worker":
        monkeypatch.setattr(files, "AT_ONCE", 0)
    return str(request.param)


def file_of(client: Client, query: str = "", language: str = "en", **more: Any) -> Any:
    """By the press on the list; from the worker when it is done."""
    headers = {"accept-language": language}
    pressed = {"kind": "export", "format": "csv", "all": "yes", "query": query, **more}
    answer: Any = client.post("/orders/bulk/begin/", pressed, headers=headers)
    if answer.status_code == 302:
        bulk.run(60, lambda: False)
        answer = client.get(f"{answer.headers['location']}file/", headers=headers)
    assert answer.status_code == 200
    return answer


def rows(client: Client, query: str = "", language: str = "en", **more: Any) -> list[dict[str, str]]:
    answer = file_of(client, query, language, **more)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"].endswith('.csv"')
    text = text_of(answer)
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text[1:], newline=""), delimiter=";" if language == "pt-br" else ","))


def numbers(client: Client, query: str = "", **more: Any) -> list[str]:
    return [row["Order"] for row in rows(client, query, **more)]


def test_the_filtered_rows(owner: Client, world: World, way: str) -> None:
    world.exported("1", total=Decimal("10.50"))
    world.order("2", "pending")
    world.order("3", total=Decimal("99.9999"))
    page = text_of(owner.get("/orders/?status=approved&sort=total"))
    assert "Download as CSV" in page and 'name="query" value="status=approved&amp;sort=total"' in page
    found = rows(owner, "status=approved&sort=total")
    assert [row["Order"] for row in found] == ["3", "1"]
    assert (found[1]["Total"], found[0]["Total"]) == ("10.50", "99.9999")
    assert (found[1]["Number in the ERP"], found[1]["Buyer"], found[1]["UF"]) == ("N1", "Joana Prado", "PE")


@pytest.mark.parametrize("sort", ["new", "old", "deadline", "total", "first", ""])
def test_in_the_order_of_the_list(owner: Client, world: World, way: str, sort: str) -> None:
    now = timezone.now()
    for number, (hours, total, due) in enumerate([(5, 20, 30), (9, 50, 10), (1, 10, 20), (7, 40, 50), (3, 30, 40)]):
        due_at = now + timedelta(hours=due)
        world.order(str(number), placed_at=now - timedelta(hours=hours), total=Decimal(total), ship_by=due_at)
    query = f"status=open&sort={sort}"
    listed = [row.order.external_id for row in owner.get(f"/orders/?{query}").context["rows"]]
    assert len(listed) == 5 and listed != sorted(listed)
    assert numbers(owner, query) == listed
    # Of the ticked ones, too.
    ticked = [str(Order.objects.get(external_id=number).pk) for number in listed[:3]]
    assert numbers(owner, query, all="", order=ticked[::-1]) == listed[:3]


def test_with_the_columns_of_the_list(owner: Client, world: World, way: str) -> None:
    world.order("1", tags=["gift"], payment_status="paid")
    usual = rows(owner)[0]
    assert "Access key" in usual and "Tags" not in usual
    owner.post("/orders/columns/", {"column": ["tags", "items", "payment", "carrier", "priority"]})
    found = rows(owner)[0]
    assert list(found) == ["Order", "Channel", "Priority", "Placed", "Carrier", "Products", "Payment", "Tags"]
    assert (found["Tags"], found["Payment"], found["Products"]) == ("gift", "Paid", "2 × CAF-500")
    assert int(found["Priority"]) > 0


def test_what_the_worker_began_stays_in_its_order(owner: Client, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where orders change and come in between two of its slices, and one slice is done twice."""
    monkeypatch.setattr(files, "AT_ONCE", 0)
    monkeypatch.setattr(files, "SLICE", 2)
    for number in range(5):
        world.order(str(number), total=Decimal(100 - number))
    there = owner.post(
        "/orders/bulk/begin/", {"kind": "export", "format": "csv", "all": "yes", "query": "sort=total"}
    ).headers["location"]
    task = BulkTask.objects.get()
    bulk.run_slice(task.pk)
    Order.objects.filter(external_id="4").update(total=Decimal(1000))
    Order.objects.filter(external_id="0").update(total=Decimal(1))
    world.order("late", total=Decimal(99))
    bulk.run_slice(task.pk)
    BulkTask.objects.update(cursor=1, seen=2, changed=2)
    bulk.run(60, lambda: False)
    text = text_of(owner.get(f"{there}file/"))
    assert [line.split(",")[0] for line in text.splitlines()[1:]] == list("01234")
    task.refresh_from_db()
    assert (task.total, task.seen, task.changed, task.percent) == (5, 5, 5, 100)


def test_who_took_it_is_in_the_log(owner: Client, world: World, way: str) -> None:
    world.order("1")
    rows(owner)
    line = Activity.objects.get(action="bulk_export")
    assert (line.actor, line.seller, line.after) == ("ana", world.seller, {"count": 1, "name": "csv"})


def test_a_small_workbook_comes_at_once(owner: Client, world: World, way: str) -> None:
    for number in "123":
        world.order(number)
    answer = file_of(owner, "sort=old", format="xlsx")
    assert answer.headers["Content-Disposition"].endswith('.xlsx"')
    sheet = load_workbook(io.BytesIO(answer.content)).worksheets[0]
    assert [row[0].value for row in sheet.rows] == ["Order", "1", "2", "3"]


def test_a_larger_one_is_no_task_of_the_page(owner: Client, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "AT_ONCE", 2)
    world.order("1")
    world.order("2")
    assert numbers(owner) == ["2", "1"]
    assert not BulkTask.objects.exists()
    world.order("3")
    assert len(numbers(owner)) == 3
    assert BulkTask.objects.get().total == 3


def test_in_portuguese_with_decimal_commas(owner: Client, world: World, way: str) -> None:
    world.order("1", total=Decimal("1234.5"))
    assert rows(owner, language="pt-br")[0]["Total"] == "1234,50"
    assert rows(owner, language="pt-br")[0]["Comprador"] == "Joana Prado"


def test_only_of_ones_own_sellers(owner: Client, world: World, other: World, way: str) -> None:
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
    owner: Client, world: World, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: object, way: str
) -> None:
    monkeypatch.setattr(sheets, "CHUNK", 10)
    monkeypatch.setattr(files, "SLICE", 100)
    for number in range(25):
        world.exported(str(number))
    with django_assert_max_num_queries(42):  # type: ignore[operator]
        assert len(rows(owner)) == 25
