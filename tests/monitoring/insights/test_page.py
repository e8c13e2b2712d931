"""The page: what is counted for whom, in which money, of which days."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from hub.models import Membership
from monitoring.insights import tally
from monitoring.models import SalesOfDay
from orders.models import Order, Shipment
from tests.monitoring.world import World, browser_of, person, text_of

pytestmark = pytest.mark.django_db


def sell(world: World, number: str, days: int = 3, **changes: Any) -> Order:
    at = timezone.localtime().replace(hour=12, minute=0) - timedelta(days=days)
    return world.order(number, **{"placed_at": at, "approved_at": at, "status": "delivered", **changes})


def figures(client: Client, query: str = "") -> dict[str, str]:
    answer = client.get(f"/insights/{query}")
    return {str(figure.label): figure.value for figure in answer.context["figures"]}


def rows(client: Client, table: str, query: str = "") -> list[list[str]]:
    answer = client.get(f"/insights/{table}/export/{query}")
    assert answer.status_code == 200
    return list(csv.reader(io.StringIO(text_of(answer).removeprefix("\ufeff"))))


def test_a_stranger_counts_only_their_own(world: World, other: World, owner: Client, stranger: Client) -> None:
    sell(world, "1")
    sell(world, "2")
    sell(other, "3", total=Decimal("7"), state="AC")
    tally.count_all()
    assert figures(owner)["Orders"] == "2"
    assert figures(stranger)["Orders"] == "1"
    # Not by the channel's number either.
    assert figures(stranger, f"?channel={world.channel.pk}")["Revenue"] == "R$\xa07.00"
    for table in ("days", "channels", "states", "products", "hours", "stages", "carriers", "freight", "forecast"):
        assert "Loja casa" not in str(rows(stranger, table, f"?channel={world.channel.pk}"))
    assert [row[3] for row in rows(stranger, "states")[1:]] == ["1"]
    assert [row[0] for row in rows(stranger, "channels")[1:]] == ["Loja outra"]


def test_only_reais_are_added_up(world: World, owner: Client) -> None:
    sell(world, "1", total=Decimal(100), subsidy=Decimal(5))
    sell(world, "2", total=Decimal(40), currency="USD")
    tally.count_all()
    assert figures(owner)["Revenue"] == "R$\xa0105.00"
    assert rows(owner, "currencies")[1:] == [["USD", "1", "40.00"]]
    assert [row[2] for row in rows(owner, "products")[1:]] == ["100.00"]


def test_figures_against_the_period_before(world: World, owner: Client) -> None:
    sell(world, "1", days=3, total=Decimal(150))
    sell(world, "2", days=4, status="cancelled", cancelled_at=timezone.now())
    sell(world, "3", days=4, status="pending", approved_at=None)
    sell(world, "4", days=10, total=Decimal(100))
    tally.count_all()
    shown = owner.get("/insights/?period=7").context["figures"]
    assert {str(one.label): (one.value, one.was) for one in shown} == {
        "Revenue": ("R$\xa0150.00", "+50 %"),
        "Orders": ("1", "0.0 %"),
        "Average ticket": ("R$\xa0150.00", "+50 %"),
        "Pieces": ("2", "0.0 %"),
        "Cancelled": ("50 %", "before: 0 %"),
        "Returned": ("0 %", "before: 0 %"),
        "Commission of revenue": ("0 %", "before: 0 %"),
        "Freight charged less paid": ("–", "–"),
    }


def test_days_given_by_hand_and_the_year_before(world: World, owner: Client) -> None:
    sell(world, "1", days=2)
    sell(world, "2", days=2 + 364, total=Decimal("59.95"))
    tally.count_all()
    day = (timezone.localdate() - timedelta(days=2)).isoformat()
    answer = owner.get(f"/insights/?since={day}&until={day}&compare=year")
    assert answer.context["figures"][0].was == "+100 %"
    assert answer.context["choice"].before.first == timezone.localdate() - timedelta(days=366)


@pytest.mark.parametrize(
    "query",
    ["?since=x", "?until=2026-13-45", "?since=9999-12-31&until=0001-01-01", "?period=99999", "?channel=99999999999999"],
)
def test_what_nobody_would_ask_for(world: World, owner: Client, query: str) -> None:
    sell(world, "1")
    tally.count_all()
    answer = owner.get(f"/insights/{query}")
    assert answer.status_code == 200
    assert answer.context["choice"].period.length <= 3 * 366


def test_a_period_is_never_longer_than_can_be_added_up(world: World, owner: Client) -> None:
    assert owner.get("/insights/?since=2001-01-01").context["choice"].period.length == 3 * 366


def test_a_long_period_goes_by_weeks(world: World, owner: Client) -> None:
    for days in (1, 2, 300):
        sell(world, str(days), days=days)
    tally.count_all()
    shown = rows(owner, "days", "?period=365")
    assert shown[0][0] == "Week from"
    assert len(shown) == 1 + 53
    assert sum(int(row[1]) for row in shown[1:]) == 3
    chart = json.loads(owner.get("/insights/?period=365").context["trend"])
    # The last day is a week of its own, and not a whole one.
    assert {len(chart["labels"]), *(len(line["data"]) for line in chart["datasets"])} == {52}


def test_an_empty_shop_says_what_will_come(world: World, owner: Client) -> None:
    page = text_of(owner.get("/insights/"))
    assert "No sales in this period." in page
    assert "within a minute of the first sale" in page
    assert "canvas" not in page


def test_a_shop_of_today_shows_today(world: World, owner: Client) -> None:
    world.order("1", status="approved", placed_at=timezone.now())
    tally.count_all()
    assert figures(owner)["Orders"] == "1"


def test_people_who_may_not_see_money_see_none(world: World) -> None:
    sell(world, "1", total=Decimal("4321.99"), fees=Decimal("88.77"), freight_cost=Decimal("9.9"))
    for days in range(4, 60):
        sell(world, f"d{days}", days=days, total=Decimal("4321.99"))
    tally.count_all()
    user = person("olavo", world, "operator")
    Membership.objects.filter(user=user).update(sees_money=False)
    client = browser_of(user)
    page = text_of(client.get("/insights/"))
    assert "R$" not in page
    assert "4321" not in page and "4,321" not in page
    assert list(figures(client)) == ["Orders", "Pieces", "Cancelled", "Returned"]
    for table in ("days", "channels", "states", "products", "freight", "currencies", "forecast"):
        assert "4321" not in str(rows(client, table))


def test_a_file_is_safe_for_a_spreadsheet(world: World, owner: Client) -> None:
    order = sell(world, "1")
    order.items.update(title="=HYPERLINK(1)", sku="+1")
    Shipment.objects.create(order=order, source="erp", external_id="1", carrier="@cmd")
    tally.count_all()
    assert rows(owner, "products")[1][:2] == ["'=HYPERLINK(1)", "'+1"]
    assert rows(owner, "carriers")[1][0] == "'@cmd"


def test_a_file_speaks_the_language_of_its_reader(world: World, owner: Client) -> None:
    sell(world, "1", total=Decimal("1234.5"))
    tally.count_all()
    owner.defaults["HTTP_ACCEPT_LANGUAGE"] = "pt-br"
    lines = text_of(owner.get("/insights/channels/export/")).splitlines()
    assert lines[1].split(";")[1] == "1234,50"


def test_there_is_no_other_table(owner: Client) -> None:
    assert owner.get("/insights/secrets/export/").status_code == 404


def test_stages_and_carriers(world: World, owner: Client) -> None:
    at = timezone.now() - timedelta(days=9)
    steps = {"approved_at": 1, "exported_at": 2, "invoiced_at": 5, "shipped_at": 25, "delivered_at": 125}
    times = {name: at + timedelta(hours=hours) for name, hours in steps.items()}
    for number in range(4):
        order = sell(
            world, str(number), days=9, placed_at=at, deliver_by=at + timedelta(hours=100 + 10 * number), **times
        )
        Shipment.objects.create(order=order, source="channel", external_id="1", carrier="Correios")
    tally.count_all()
    found = {row[0]: row for row in rows(owner, "stages")}
    assert found["Invoice to dispatch"][1] == "4"
    assert float(found["Invoice to dispatch"][2]) == pytest.approx(20, rel=0.2)
    assert found["Invoice to dispatch"][6:] == ["20.00", "16.00"]
    assert "Dispatch to delivery (80 % of the way to the buyer)" in text_of(owner.get("/insights/"))
    # Promised after 100, 110, 120 and 130 hours, delivered after 125.
    assert rows(owner, "carriers")[1] == ["Correios", "4", "4", "25.00", "3", "100.00", "0", "0"]


def test_a_sudden_drop_is_said(world: World, owner: Client) -> None:
    channel, today = world.channel, timezone.localdate()
    SalesOfDay.objects.bulk_create(
        SalesOfDay(channel=channel, day=today - timedelta(days=days), currency="BRL", orders=4 if days == 1 else 40)
        for days in range(1, 80)
    )
    assert "Loja casa had 4 orders yesterday; on such a day it usually has 40." in text_of(owner.get("/insights/"))


def test_as_many_questions_for_many_orders_as_for_few(world: World, owner: Client) -> None:
    sell(world, "0")
    tally.count_all()
    few = questions_of(owner)
    for number in range(1, 40):
        sell(world, str(number), days=number, state="SP" if number % 2 else "RJ")
    tally.count_all()
    assert questions_of(owner) == few <= 30


def questions_of(client: Client) -> int:
    cache.clear()
    with CaptureQueriesContext(connection) as seen:
        client.get("/insights/?period=90")
    return len(seen)
