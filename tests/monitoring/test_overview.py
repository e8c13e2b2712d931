"""The first page never says that all is well while something is open."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from connectors.models import Budget, Connection, InboxEntry, Job
from tests.monitoring.world import World

CLEAR = "All clear"


def text(client: Client) -> str:
    return client.get("/").content.decode()


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


def test_another_sellers_trouble_is_not_ours(owner: Client, world: World, other: World) -> None:
    other.export_job(other.order("2"))
    other.rejected("3")
    assert CLEAR in text(owner)


def test_zero_figures_are_grey_and_lead_to_their_list(owner: Client, world: World) -> None:
    page = text(owner)
    assert page.count("e-tile e-zero") == 11
    for link in ("/orders/?due=late", "/orders/?due=risk", "/orders/?erp=no", "/failures/?show=person"):
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
        world.export_job(world.order(str(number)))
    with django_assert_max_num_queries(24):  # type: ignore[attr-defined]
        owner.get("/")
