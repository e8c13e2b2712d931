"""Work over many orders: each deed, its errors, slices that may run twice, and files that are one's own and expire."""

import csv
import io
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from openpyxl import load_workbook

from connectors.models import Job
from hub.models import Activity, Membership
from monitoring.desk import bulk, files
from monitoring.models import BulkPart, BulkTask
from orders.models import Order, OrderEvent
from tests.monitoring.world import World, browser_of, person, text_of


def begun(client: Client, kind: str, **form: Any) -> BulkTask:
    """Asked for and run to its end."""
    answer = client.post("/orders/bulk/begin/", {"kind": kind, **form})
    assert answer.status_code == 302, answer
    task = BulkTask.objects.latest("pk")
    bulk.run(60, lambda: False)
    task.refresh_from_db()
    return task


def pks(*orders: Order) -> list[int]:
    return [order.pk for order in orders]


def test_ticked_orders_are_tagged_once(owner: Client, world: World) -> None:
    first, second, third = (world.order(number, tags=["old"]) for number in "123")
    Order.objects.update(worth=1.0)
    for changed in (2, 0):
        task = begun(owner, "tag", order=pks(first, second), tag="gift")
        assert (task.state, task.total, task.seen, task.changed, task.failed) == ("done", 2, 2, changed, 0)
    first.refresh_from_db()
    third.refresh_from_db()
    assert (first.tags, first.worth, third.tags) == (["old", "gift"], None, ["old"])
    assert OrderEvent.objects.filter(code="tagged", actor="ana").count() == 2
    begun(owner, "untag", order=pks(first), tag="old")
    first.refresh_from_db()
    assert first.tags == ["gift"]


def test_all_that_match_and_no_other_sellers(owner: Client, world: World, other: World) -> None:
    mine = [world.order(str(number), tags=[]) for number in range(3)]
    world.order("SP", state="SP")
    theirs = other.order("THEIRS")
    task = begun(owner, "hold", all="yes", query="state=PE")
    assert (task.params["filter"], task.changed) == ({"state": "PE"}, 3)
    assert set(Order.objects.filter(held=True)) == set(mine)
    begun(owner, "tag", order=pks(theirs), tag="x")
    assert not Order.objects.exclude(tags=[]).exists()
    line = Activity.objects.filter(action="bulk_hold").get()
    assert (line.actor, line.seller, line.after["count"]) == ("ana", world.seller, 3)


def test_nothing_ticked_is_not_all(owner: Client, world: World) -> None:
    world.order("1")
    assert begun(owner, "hold").total == 0
    assert not Order.objects.filter(held=True).exists()


def test_release_and_retry(owner: Client, world: World) -> None:
    held = world.order("1", held=True, holds=["money"])
    failed = world.order("2")
    job = world.export_job(failed)
    assert begun(owner, "release", order=pks(held, failed)).changed == 1
    held.refresh_from_db()
    assert not held.held
    assert begun(owner, "retry", all="yes").changed == 1
    job.refresh_from_db()
    assert job.state == Job.State.READY


def test_what_is_not_possible_is_named(owner: Client, world: World) -> None:
    fine, gone = world.order("1"), world.order("2", "cancelled", cancelled_at=timezone.now())
    task = begun(owner, "dispatch", order=pks(fine, gone), carrier="Correios")
    fine.refresh_from_db()
    assert fine.status == "shipped"
    assert (task.changed, task.failed, task.errors[0]["number"]) == (1, 1, "2")
    page = text_of(owner.get(f"/orders/bulk/{task.pk}/"))
    assert "was cancelled" in page


def test_a_slice_that_died_is_done_again_without_harm(
    owner: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = [world.order(str(number)) for number in range(5)]
    monkeypatch.setattr(bulk, "SLICE", 2)
    owner.post("/orders/bulk/begin/", {"kind": "tag", "order": pks(*orders), "tag": "gift"})
    task = BulkTask.objects.get()
    assert bulk.run_slice(task.pk)
    # The second slice tags its orders, and the worker dies before it says so.
    monkeypatch.setattr(bulk, "_save", _die)
    with pytest.raises(RuntimeError):
        bulk.run_slice(task.pk)
    monkeypatch.undo()
    assert not bulk.run_slice(task.pk), "another worker has it"
    BulkTask.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    bulk.run(60, lambda: False)
    task.refresh_from_db()
    assert (task.state, task.seen) == ("done", 5)
    assert OrderEvent.objects.filter(code="tagged").count() == 5


def _die(*_task: object, **_more: object) -> None:
    raise RuntimeError


def test_stopped_stays_stopped(owner: Client, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "SLICE", 1)
    orders = [world.order(str(number)) for number in range(3)]
    owner.post("/orders/bulk/begin/", {"kind": "hold", "order": pks(*orders)})
    task = BulkTask.objects.get()
    bulk.run_slice(task.pk)
    owner.post(f"/orders/bulk/{task.pk}/stop/")
    bulk.run(60, lambda: False)
    task.refresh_from_db()
    assert (task.state, task.seen, Order.objects.filter(held=True).count()) == ("stopped", 1, 1)


def test_who_has_lost_the_place_changes_nothing_more(owner: Client, world: World) -> None:
    order = world.order("1")
    owner.post("/orders/bulk/begin/", {"kind": "hold", "order": pks(order)})
    Membership.objects.filter(user__username="ana").update(role="viewer")
    bulk.run(60, lambda: False)
    order.refresh_from_db()
    assert not order.held


def test_later_orders_are_no_part_of_it(owner: Client, world: World) -> None:
    world.order("1")
    owner.post("/orders/bulk/begin/", {"kind": "hold", "all": "yes", "query": ""})
    late = world.order("2")
    bulk.run(60, lambda: False)
    late.refresh_from_db()
    assert not late.held


def test_the_preview_changes_nothing(owner: Client, world: World) -> None:
    world.order("1")
    page = text_of(owner.post("/orders/bulk/ask/", {"kind": "hold", "all": "yes", "query": "state=PE"}))
    assert "1 order" in page
    assert not BulkTask.objects.exists()
    assert owner.post("/orders/bulk/ask/", {"kind": "hold"}).status_code == 302
    answer = owner.post("/orders/bulk/ask/", {"kind": "labels", "order": [5, 7]})
    assert answer.headers["location"] == "/packing/labels/?orders=5,7"


def test_papers_of_all_that_match_come_in_the_lists_order(owner: Client, world: World, other: World) -> None:
    first, _sp, second = world.order("1"), world.order("SP", state="SP"), world.order("2")
    other.order("THEIRS")
    answer = owner.post("/orders/bulk/ask/", {"kind": "pick_list", "all": "yes", "query": "state=PE&sort=old"})
    assert answer.headers["location"] == f"/packing/pick-list/?orders={first.pk},{second.pk}"
    assert owner.post("/orders/bulk/ask/", {"kind": "labels"}).headers["location"] == "/orders/"


def test_who_may_not(viewer: Client, stranger: Client, world: World) -> None:
    world.order("1")
    for kind in ("hold", "nonsense", ""):
        assert viewer.post("/orders/bulk/begin/", {"kind": kind, "all": "yes"}).status_code == 403
        assert viewer.post("/orders/bulk/ask/", {"kind": kind, "all": "yes"}).status_code == 403
    assert begun(stranger, "hold", all="yes").total == 0
    assert not Order.objects.filter(held=True).exists()


def test_too_much_under_way(owner: Client, world: World) -> None:
    order = world.order("1")
    for _number in range(bulk.MOST_OPEN + 1):
        answer = owner.post("/orders/bulk/begin/", {"kind": "hold", "order": pks(order)})
    assert answer.headers["location"] == "/orders/bulk/"
    assert BulkTask.objects.count() == bulk.MOST_OPEN


@pytest.mark.parametrize("tag", ["", "x" * 41])
def test_no_such_tag(owner: Client, world: World, tag: str) -> None:
    owner.post("/orders/bulk/begin/", {"kind": "tag", "order": pks(world.order("1")), "tag": tag})
    assert not BulkTask.objects.exists()


# --- Files -----------------------------------------------------------------------------------------------------------


def file_of(client: Client, task: BulkTask) -> Any:
    return client.get(f"/orders/bulk/{task.pk}/file/")


@pytest.fixture
def by_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is so small that it comes at once: see `test_export`."""
    monkeypatch.setattr(files, "AT_ONCE", 0)


def test_a_csv_file_in_slices(owner: Client, world: World, monkeypatch: pytest.MonkeyPatch, by_a_worker: None) -> None:
    monkeypatch.setattr(files, "SLICE", 2)
    for number in range(5):
        world.order(str(number), buyer_name="=cmd|'/c calc'!A0")
    task = begun(owner, "export", all="yes", query="state=PE&sort=old", format="csv")
    assert task.parts.count() == 3
    assert not BulkPart.objects.filter(sealed__contains="Recife").exists()
    rows = list(csv.DictReader(io.StringIO(text_of(file_of(owner, task))[1:], newline="")))
    assert [row["Order"] for row in rows] == list("01234")
    assert rows[0]["Buyer"] == "'=cmd|'/c calc'!A0"
    assert rows[0]["Total"] == "119.90"


def test_a_workbook_has_amounts_times_and_no_formula(owner: Client, world: World, by_a_worker: None) -> None:
    world.order("1", buyer_name="=1+1", city="a\x0bb")
    task = begun(owner, "export", all="yes", format="xlsx")
    book = load_workbook(io.BytesIO(file_of(owner, task).content))
    sheet = book[book.sheetnames[0]]
    titles = [cell.value for cell in sheet[1]]
    row = dict(zip(titles, sheet[2], strict=True))
    assert (row["Buyer"].value, row["Buyer"].data_type, row["City"].value) == ("=1+1", "s", "ab")
    assert row["Total"].value == pytest.approx(119.9)
    assert isinstance(row["Placed"].value, datetime)


def test_a_file_is_its_askers_and_expires(
    owner: Client, viewer: Client, stranger: Client, world: World, by_a_worker: None
) -> None:
    world.order("1")
    task = begun(owner, "export", all="yes", format="csv")
    assert file_of(viewer, task).status_code == 404
    assert file_of(stranger, task).status_code == 404
    assert file_of(owner, task).status_code == 200
    BulkTask.objects.update(expires_at=timezone.now())
    assert file_of(owner, task).status_code == 404
    assert bulk.prune()
    assert not BulkPart.objects.exists()


def test_what_is_hidden_from_a_person_is_not_in_the_file(viewer: Client, world: World, by_a_worker: None) -> None:
    world.order("1")
    Membership.objects.filter(user__username="vera").update(sees_money=False)
    task = begun(viewer, "export", all="yes", format="csv")
    text = text_of(file_of(viewer, task))
    assert "Joana Prado" in text
    assert "52998224725" not in text
    assert "119.90" not in text


def test_after_leaving_the_seller_the_file_is_closed(owner: Client, world: World, by_a_worker: None) -> None:
    world.order("1")
    task = begun(owner, "export", all="yes", format="csv")
    Membership.objects.filter(user__username="ana").delete()
    assert file_of(owner, task).status_code == 403


def test_a_workbook_has_an_end(owner: Client, world: World, monkeypatch: pytest.MonkeyPatch, by_a_worker: None) -> None:
    monkeypatch.setattr("monitoring.desk.files.MOST_ROWS", 1)
    world.order("1")
    world.order("2")
    task = begun(owner, "export", all="yes", format="xlsx")
    assert "CSV" in text_of(owner.get(f"/orders/bulk/{task.pk}/"))
    assert file_of(owner, task).status_code == 404


def test_a_person_who_is_gone_gets_nothing(world: World, by_a_worker: None) -> None:
    user = person("otto", world)
    client = browser_of(user)
    world.order("1")
    client.post("/orders/bulk/begin/", {"kind": "export", "all": "yes"})
    User.objects.filter(pk=user.pk).update(is_active=False)
    bulk.run(60, lambda: False)
    assert BulkTask.objects.get().total == 0
