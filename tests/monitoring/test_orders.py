import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from connectors.models import Connection, Job
from monitoring.pages import orders as page
from orders.models import Order, OrderEvent, Payment
from tests.monitoring.world import World, text_of


def numbers(client: Client, query: str = "") -> list[str]:
    return [row.order.external_id for row in client.get(f"/orders/?{query}").context["rows"]]


@pytest.fixture
def three(world: World) -> World:
    now = timezone.now()
    world.order(
        "AB-1", state="PE", search="ab-1 pack77 joana prado 52998224725 caf-500", ship_by=now - timedelta(hours=1)
    )
    world.exported(
        "AB-2",
        state="SP",
        placed_at=now - timedelta(days=3),
        search="ab-2 ipê ltda 12abc34501de35 xic-az",
        status="shipped",
    )
    world.order("AB-3", "pending", state="PR", held=True, holds=["fraud"], search="ab-3 rafael 00000000191 fil-103")
    return world


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=AB-1", ["AB-1"]),
        ("q=pack77", ["AB-1"]),
        ("q=PRADO joana", ["AB-1"]),
        ("q=529.982.247-25", ["AB-1"]),
        ("q=52998224725", ["AB-1"]),
        ("q=12.ABC.345/01DE-35", ["AB-2"]),
        ("q=xic-AZ", ["AB-2"]),
        ("q=nobody", []),
        ("status=shipped", ["AB-2"]),
        ("state=pr", ["AB-3"]),
        ("region=SE", ["AB-2"]),
        ("region=NE", ["AB-1"]),
        ("due=late", ["AB-1"]),
        ("due=held", ["AB-3"]),
        ("erp=no", ["AB-1"]),
        ("status=nonsense&channel=x&since=2026-99-99", ["AB-3", "AB-1", "AB-2"]),
        ("sort=old&page=0", ["AB-2", "AB-1", "AB-3"]),
    ],
)
def test_filters_and_search(owner: Client, three: World, query: str, found: list[str]) -> None:
    assert numbers(owner, query) == found


def test_a_range_of_days_includes_both_ends(owner: Client, three: World) -> None:
    day = f"{timezone.localtime() - timedelta(days=3):%Y-%m-%d}"
    assert numbers(owner, f"since={day}&until={day}") == ["AB-2"]


def test_one_channel(owner: Client, three: World, other: World) -> None:
    assert len(numbers(owner, f"channel={three.channel.pk}")) == 3
    assert numbers(owner, f"channel={other.channel.pk}") == []


def test_a_page_costs_the_same_for_one_order_and_for_fifty(
    owner: Client, world: World, django_assert_max_num_queries: Callable[..., object]
) -> None:
    for number in range(60):
        world.export_job(world.order(str(number)))
    with django_assert_max_num_queries(17):  # type: ignore[attr-defined]
        answer = owner.get("/orders/")
    assert len(answer.context["rows"]) == page.PER_PAGE
    assert len(numbers(owner, "page=3")) == 10


def test_counting_stops(owner: Client, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "COUNT_UP_TO", 55)
    for number in range(60):
        world.order(str(number))
    assert "More than 55 orders" in text_of(owner.get("/orders/"))


def test_a_count_is_good_for_some_seconds(
    owner: Client, viewer: Client, world: World, other: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(60):
        world.order(str(number))

    def counted(client: Client, query: str = "") -> tuple[int, int]:
        """How many there are said to be, and how many ids were read for it."""
        with CaptureQueriesContext(connection) as caught:
            answer = client.get(f"/orders/?{query}")
        limits = [int(text) for one in caught for text in re.findall(r"orders_order.*LIMIT (\d+)", one["sql"])]
        return answer.context["count"], max(limits)

    assert counted(owner) == (60, page.COUNT_UP_TO + 1)
    assert counted(owner, "sort=total") == counted(viewer, "page=2") == (60, page.PER_PAGE + 1)
    # Another question is another count, and the last page counts by itself.
    assert counted(owner, "status=delivered") == (0, page.COUNT_UP_TO + 1)
    world.order("late")
    assert counted(owner, "page=3")[0] == 61
    # What was seen to be there is counted, too.
    for number in range(30):
        world.order(f"more {number}")
    assert counted(owner, "page=3")[0] == 76


# --- One order -----------------------------------------------------------------------------------------------------


def why(client: Client, order: Order) -> str:
    text: str = client.get(f"/orders/{order.pk}/").context["erp"]["text"]
    return text


def test_why_it_is_not_in_the_erp(owner: Client, world: World) -> None:
    assert "In the ERP as N1" in why(owner, world.exported("1"))
    assert why(owner, world.order("2", "pending")) == "Waits for the payment"
    assert why(owner, world.order("3")) == "Waits for its turn"
    assert "do not add up" in why(owner, world.order("4", held=True, holds=["money"]))
    assert why(owner, world.order("5", "cancelled", cancelled_at=timezone.now())).startswith("Cancelled before")
    refused = world.order("6")
    world.export_job(refused)
    assert why(owner, refused) == "Needs you: No product has SKU CAF-500."
    unknown = world.order("7")
    world.export_job(unknown, Job.State.UNKNOWN)
    assert "no clear answer" in why(owner, unknown)
    trying = world.order("8")
    world.export_job(trying, Job.State.READY, due_at=timezone.now() + timedelta(minutes=3))
    assert why(owner, trying).startswith("Next try in ")


def test_one_answer_wherever_it_is_asked(owner: Client, world: World) -> None:
    """What a person must do comes first, on the list, on the page and in who must move."""
    order = world.order("1")
    world.export_job(order)
    new_erp = Connection.objects.create(seller=world.seller, kind="tryton", role="erp", name="New", state="active")
    Job.objects.create(connection=new_erp, operation="export", key=f"order:{order.pk}", order=order)
    Connection.objects.filter(pk=world.erp.pk).update(state=Connection.State.SIGN_IN)
    page = owner.get(f"/orders/{order.pk}/").context
    assert page["erp"]["text"] == "Needs you: No product has SKU CAF-500."
    assert (page["move"].party, page["move"].expected) == ("seller", "No product has SKU CAF-500.")
    assert [row.erp["text"] for row in owner.get("/orders/").context["rows"]] == [page["erp"]["text"]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"state": "paused"}, "is not running: Paused"),
        ({"state": "sign_in"}, "is not running: Needs sign-in"),
        ({"paused_flows": ["export"]}, "is paused"),
        ({"rest_until": timezone.now() + timedelta(hours=1)}, "is not answering"),
    ],
)
def test_a_blocked_erp_is_named(owner: Client, world: World, change: dict[str, object], said: str) -> None:
    order = world.order("1")
    Connection.objects.filter(pk=world.erp.pk).update(**change)
    assert said in why(owner, order)


def test_no_erp_at_all(owner: Client, world: World) -> None:
    world.erp.delete()
    assert why(owner, world.order("1")) == "No ERP is connected yet"


def test_the_page_shows_calls_escaped_and_withheld_data(owner: Client, world: World) -> None:
    order = world.order("1", buyer={}, ship_to={}, buyer_name="", holds=["masked"], released_holds=["masked"])
    world.call(order)
    page_text = text_of(owner.get(f"/orders/{order.pk}/"))
    assert "Address withheld by the channel" in page_text
    assert "&lt;b&gt;no&lt;/b&gt;" in page_text


def test_hold_release_and_note(owner: Client, world: World) -> None:
    order = world.order("1")
    owner.post(f"/orders/{order.pk}/hold/")
    order.refresh_from_db()
    assert order.held
    owner.post(f"/orders/{order.pk}/release/", {"hold": "person"})
    order.refresh_from_db()
    assert not order.held
    assert Job.objects.filter(order=order, operation="export").exists()
    owner.post(f"/orders/{order.pk}/note/", {"text": "called the buyer"})
    assert OrderEvent.objects.get(order=order, code="note").actor == "ana"
    assert "called the buyer" in text_of(owner.get(f"/orders/{order.pk}/"))


def test_it_is_leafed_through_only_so_far(owner: Client, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "PER_PAGE", 1)
    monkeypatch.setattr(page, "LAST_PAGE", 2)
    for number in ("1", "2", "3"):
        world.order(number)
    assert owner.get("/orders/").context["older"] == 2
    last = owner.get("/orders/?page=999").context
    assert (last["page_number"], last["older"]) == (2, 0)


def test_times_are_those_of_the_clock_here(owner: Client, world: World) -> None:
    order = world.order("1", ship_by=datetime(2026, 3, 9, 2, 30, tzinfo=UTC))
    assert "03/08/2026 11:30 p.m." in text_of(owner.get(f"/orders/{order.pk}/"))


def test_a_way_of_paying_has_a_name(owner: Client, world: World) -> None:
    order = world.order("1")
    Payment.objects.create(order=order, external_id="1", method="account_money", amount=order.total)
    Payment.objects.create(order=order, external_id="2", method="of_tomorrow", amount=order.total)
    page = text_of(owner.get(f"/orders/{order.pk}/"))
    assert "Balance at the channel" in page
    assert "of_tomorrow" in page
