"""The first page never says that all is well while something is open."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from connectors.models import Budget, Connection, InboxEntry, Job
from hub.models import Membership
from monitoring.bench.measure import statements
from monitoring.today import Amount
from orders.vocabulary import Logistics
from tests.monitoring.world import World, browser_of, person, text_of

CLEAR = "All clear"


def text(client: Client) -> str:
    return text_of(client.get("/"))


def test_all_clear_when_every_sale_is_in_the_erp(owner: Client, world: World) -> None:
    world.exported("1")
    assert CLEAR in text(owner)


def test_not_clear_without_any_connection(owner: Client, world: World) -> None:
    Connection.objects.all().delete()
    page = text(owner)
    assert CLEAR not in page
    assert "Nothing is connected yet." in page


OPEN: dict[str, Callable[[World], object]] = {
    "an approved order": lambda world: world.order("2"),
    "an order shipped that the ERP never saw": lambda world: world.order("2", "shipped"),
    "a refused step": lambda world: world.export_job(world.exported("2")),
    "an unknown outcome": lambda world: world.export_job(world.exported("2"), Job.State.UNKNOWN, error=""),
    "a step that fails and is tried again": lambda world: world.export_job(world.exported("2"), Job.State.READY),
    "a rejected document": lambda world: world.rejected("2"),
    "a document that nobody read": lambda world: InboxEntry.objects.filter(pk=world.rejected("2").pk).update(
        state="waiting"
    ),
    "a paused connection": lambda world: Connection.objects.filter(pk=world.shop.pk).update(state="paused"),
    "a connection to sign in to": lambda world: Connection.objects.filter(pk=world.erp.pk).update(state="sign_in"),
    "a connection never set up": lambda world: Connection.objects.filter(pk=world.erp.pk).update(state="new"),
    "an incident": lambda world: world.incident(),
    "an incident out of sight": lambda world: world.incident(state="snoozed"),
    "a held order": lambda world: world.exported("2", held=True, holds=["person"]),
    "a connection that stopped looking": lambda world: Connection.objects.filter(pk=world.shop.pk).update(
        next_poll_at=timezone.now() - timedelta(minutes=10)
    ),
}


@pytest.mark.parametrize("what", OPEN)
def test_never_clear_while_something_is_open(owner: Client, world: World, what: str) -> None:
    world.exported("1")
    OPEN[what](world)
    assert CLEAR not in text(owner)


def test_an_incident_is_named_with_what_it_holds_up(owner: Client, world: World) -> None:
    world.exported("1")
    incident = world.incident(orders=12, blocked=12, first_seen_at=timezone.now() - timedelta(hours=3))
    page = text(owner)
    assert "No product has SKU …: 12 orders held up, for 3 h" in page
    assert f'href="/incidents/{incident.pk}/"' in page


def test_another_sellers_trouble_is_not_ours(owner: Client, world: World, other: World) -> None:
    other.export_job(other.order("2"))
    other.incident()
    other.rejected("3")
    assert CLEAR in text(owner)


def test_zero_figures_are_grey_and_lead_to_their_list(owner: Client, world: World) -> None:
    page = text(owner)
    assert page.count("e-tile e-zero") == 13
    for link in (
        "/orders/?status=approved",
        "/packing/",
        "/orders/?due=late",
        "/orders/?due=risk",
        "/orders/?erp=no",
        "/failures/?show=person",
    ):
        assert link in page


def test_late_and_at_risk(owner: Client, world: World) -> None:
    now = timezone.now()
    world.exported("late", ship_by=now - timedelta(hours=1))
    world.exported("risk", ship_by=now + timedelta(hours=3))
    world.exported("easy", ship_by=now + timedelta(hours=5))
    world.exported("gone", status="shipped", ship_by=now - timedelta(hours=1))
    view = owner.get("/").context["view"]
    assert (view.late, view.at_risk) == (1, 1)
    world.seller.risk_hours = 6
    world.seller.save()
    assert owner.get("/").context["view"].at_risk == 2


def test_health_of_a_connection(owner: Client, world: World, other: World) -> None:
    now = timezone.now()
    Connection.objects.filter(pk=world.erp.pk).update(rest_until=now + timedelta(minutes=2))
    Budget.objects.create(key=f"mercado_livre:{world.shop.pk}:", closed_until=now.timestamp() + 300)
    world.export_job(world.order("2"), Job.State.READY, due_at=now - timedelta(minutes=7))
    shop, erp = (
        next(one for one in owner.get("/").context["view"].channels if one.connection == wanted)
        for wanted in (world.shop, world.erp)
    )
    assert shop.closed_until is not None
    assert erp.resting_until is not None
    assert erp.closed_until is None
    assert (erp.backlog, (now - erp.oldest_due).seconds // 60) == (1, 7)
    page = text(owner)
    assert "Not answering; next try" in page
    assert "Limit of calls used up" in page


def test_the_chart_has_every_hour_and_a_table(owner: Client, world: World) -> None:
    world.exported("1", placed_at=timezone.now())
    world.exported("2", placed_at=timezone.now() - timedelta(hours=30))
    hours = owner.get("/").context["view"].hours
    assert len(hours) == 24
    assert [count for _hour, count in hours] == [0] * 23 + [1]


def test_the_number_of_queries_does_not_grow(
    owner: Client, world: World, django_assert_max_num_queries: Callable[..., object]
) -> None:
    for number in range(30):
        world.export_job(world.order(str(number), ship_by=timezone.now() + timedelta(minutes=number)))
    with django_assert_max_num_queries(28):  # type: ignore[attr-defined]
        owner.get("/")


# --- What to do today -------------------------------------------------------------------------------------------------

# A Wednesday, ten in the morning in São Paulo.
MORNING = datetime(2026, 11, 25, 13, 0, tzinfo=UTC)


def departures(client: Client) -> list[tuple[int, str, str]]:
    return [(one.orders.count, one.until, one.link) for one in client.get("/").context["departures"]]


@time_machine.travel(MORNING, tick=False)
def test_what_must_leave_by_the_channels_cut_off_comes_first(owner: Client, world: World) -> None:
    evening = MORNING + timedelta(hours=8)
    for number in range(3):
        world.exported(f"today-{number}", ship_by=evening)
    world.exported("tomorrow", ship_by=evening + timedelta(days=1))
    world.exported("late", ship_by=MORNING - timedelta(hours=1))
    world.exported("held", ship_by=evening, held=True)
    world.exported("theirs", ship_by=evening, logistics=Logistics.FULFILLED)
    world.exported("next week", ship_by=evening + timedelta(days=7))
    assert [line[:2] for line in departures(owner)] == [
        (3, "until 14:00 today"),
        (1, "until 14:00 tomorrow"),
        (1, "later, the first until Wednesday 02/12, 14:00"),
    ]
    assert owner.get("/").context["today"].dispatch.count == 6


@time_machine.travel(MORNING, tick=False)
@pytest.mark.parametrize("days", [0, 1, 4])
def test_every_departure_leads_to_its_orders(owner: Client, world: World, days: int) -> None:
    evening = MORNING + timedelta(hours=8)
    world.exported("ours", ship_by=evening + timedelta(days=days))
    world.exported("theirs", ship_by=evening + timedelta(days=days), logistics=Logistics.FULFILLED)
    world.exported("late", ship_by=MORNING - timedelta(hours=1))
    [(_count, _until, link)] = departures(owner)
    page = text_of(owner.get(link))
    assert ">ours<" in page
    assert ">theirs<" not in page
    assert ">late<" not in page


@time_machine.travel(MORNING, tick=False)
@pytest.mark.parametrize(
    ("calendar", "ship_by", "until"),
    [
        ({"cut_off": "11:30"}, MORNING + timedelta(hours=8), "until 11:30 today"),
        # Past the cut-off the deadline itself is what counts; and so it is where it comes before.
        ({"cut_off": "09:00"}, MORNING + timedelta(hours=8), "until 18:00 today"),
        ({}, MORNING + timedelta(hours=2), "until 12:00 today"),
        # Nobody works on that day, by this channel's own calendar.
        ({"closed": ["2026-11-25"]}, MORNING + timedelta(hours=8), "until 18:00 today"),
        ({"zone": "America/Manaus"}, MORNING + timedelta(hours=8), "until 14:00 today"),
    ],
)
def test_the_cut_off_is_the_channels_own(
    owner: Client, world: World, calendar: dict[str, object], ship_by: datetime, until: str
) -> None:
    world.channel.calendar = calendar
    world.channel.save()
    world.exported("1", ship_by=ship_by)
    assert departures(owner)[0][1] == until


@time_machine.travel(MORNING, tick=False)
def test_sales_are_compared_with_the_same_hour_a_week_ago(owner: Client, world: World) -> None:
    week = timedelta(days=7)
    for number, placed in enumerate([MORNING, MORNING - timedelta(hours=2), MORNING - timedelta(days=1)]):
        world.exported(f"now-{number}", placed_at=placed)
    world.exported("cancelled", placed_at=MORNING, status="cancelled")
    world.exported("dollars", placed_at=MORNING, currency="USD")
    world.exported("before", placed_at=MORNING - week - timedelta(hours=1))
    world.exported("later that day", placed_at=MORNING - week + timedelta(minutes=1))
    sold = owner.get("/").context["today"].sold
    assert (sold.now.count, sold.before.count, sold.growth) == (3, 1, 2.0)
    # Amounts in another currency are not added to these.
    assert (sold.now.value, sold.before.value) == (Decimal("239.80"), Decimal("119.90"))


def test_what_is_to_do_has_its_value(owner: Client, world: World) -> None:
    world.order("1")
    world.exported("2", status="invoiced", ship_by=timezone.now() - timedelta(hours=1))
    today = owner.get("/").context["today"]
    assert (today.invoice, today.late) == (Amount(1, Decimal("119.90")), Amount(1, Decimal("119.90")))
    assert today.dispatch == Amount(2, Decimal("239.80"))


def test_what_has_not_left_is_looked_at_once(owner: Client, world: World) -> None:
    world.order("1", ship_by=timezone.now() + timedelta(hours=5))
    with statements() as seen:
        owner.get("/")
    assert len([sql for sql in seen if '"ship_by"' in sql]) == 1


def test_every_figure_leads_to_a_page_that_its_reader_may_open(world: World) -> None:
    world.exported("1", placed_at=timezone.now(), ship_by=timezone.now() + timedelta(minutes=1))
    viewer = browser_of(person("vera", world, Membership.Role.VIEWER))
    view = viewer.get("/").context
    links = [tile.link for tile in (*view["urgent"], *view["statuses"])] + [line.link for line in view["departures"]]
    assert {link: viewer.get(link).status_code for link in links} == dict.fromkeys(links, 200)
    assert 'href="/packing/">Pick' not in text(viewer)


def test_money_stays_hidden_from_whom_it_is_hidden(world: World) -> None:
    world.exported("1", placed_at=timezone.now(), ship_by=timezone.now() + timedelta(minutes=1))
    Membership.objects.filter(user=person("olga", world)).update(sees_money=False)
    page = text(browser_of(User.objects.get(username="olga")))
    assert "119" not in page
    assert "•••" in page


def test_another_sellers_day_is_not_ours(owner: Client, world: World, other: World) -> None:
    other.exported("1", placed_at=timezone.now(), ship_by=timezone.now() + timedelta(hours=1))
    view = owner.get("/").context
    assert (view["today"].sold.now.count, view["today"].dispatch.count, view["departures"]) == (0, 0, [])


def test_what_has_ended_is_counted_up_to_a_limit(owner: Client, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.figures.TILES_UP_TO", 2)
    for number in range(3):
        world.exported(f"d{number}", status="delivered")
        world.exported(f"s{number}", status="shipped")
    world.exported("c", status="cancelled")
    page = owner.get("/")
    tiles = {tile.link.rpartition("=")[2]: (tile.count, tile.at_least) for tile in page.context["statuses"]}
    assert tiles == {
        "pending": (0, False),
        "approved": (0, False),
        "invoiced": (0, False),
        "shipped": (3, False),
        "delivered": (2, True),
        "cancelled": (1, False),
        "returned": (0, False),
    }
    assert "<b>2+</b>" in text_of(page)
