"""The steps of setting up are read from the facts, and the demonstration takes away all it brought, and only that."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.test import Client

from connectors.models import Connection
from hub.models import Membership, Seller
from monitoring import demonstration
from monitoring.models import Destination
from orders.models import Order
from tests.monitoring.world import World, browser_of, person, text_of


def done(client: Client) -> list[bool]:
    found = client.get("/").context["checklist"]
    return [step.done for step in found.steps] if found else []


@pytest.fixture
def fresh(db: None) -> Client:
    """The owner of a seller with nothing."""
    seller = Seller.objects.create(name="Nova", slug="nova")
    user = User.objects.create(username="nina", is_staff=True)
    Membership.objects.create(user=user, seller=seller, role=Membership.Role.OWNER)
    return browser_of(user)


def test_nothing_is_done_at_first_and_the_page_says_what_to_do(fresh: Client) -> None:
    page = fresh.get("/")
    assert done(fresh) == [False] * 6
    assert page.context["checklist"].following.link == "/connect/"
    assert "Choose a channel" in text_of(page)
    assert "All clear" not in text_of(page)


def test_steps_are_done_by_facts_alone(owner: Client, world: World) -> None:
    Connection.objects.update(state="new")
    assert done(owner) == [False] * 6
    Connection.objects.filter(pk=world.shop.pk).update(state="active")
    assert done(owner) == [True] + [False] * 5
    Connection.objects.filter(pk=world.erp.pk).update(state="active")
    order = world.order("1")
    assert done(owner) == [True, True, True, False, False, False]
    assert owner.get("/").context["checklist"].following.link == f"/orders/{order.pk}/"
    world.exported("2")
    person("vera", world, "viewer")
    assert done(owner) == [True, True, True, True, True, False]
    there = Destination.objects.create(seller=world.seller, name="Mail", kind="email", sealed="")
    assert owner.get("/").context["checklist"] is None
    # A fact that is gone opens its step again.
    there.delete()
    assert done(owner) == [True, True, True, True, True, False]


def test_put_away_and_brought_back(owner: Client, world: World) -> None:
    owner.post(f"/setup/{world.seller.pk}/close/", {"next": "/"})
    assert owner.get("/").context["checklist"] is None
    assert "Connect a channel" in text_of(owner.get("/setup/"))
    owner.post(f"/setup/{world.seller.pk}/open/")
    assert owner.get("/").context["checklist"] is not None


def test_only_who_may_set_up_is_asked_to(world: World) -> None:
    for role, shown in (("manager", True), ("operator", False), ("viewer", False)):
        client = browser_of(person(role, world, role))
        assert (client.get("/").context["checklist"] is not None) is shown
        assert client.post(f"/setup/{world.seller.pk}/close/").status_code == (302 if shown else 403)
        Seller.objects.update(setup_closed_at=None)


# --- The demonstration ------------------------------------------------------------------------------------------------


@pytest.fixture
def boss(db: None) -> Client:
    return browser_of(User.objects.create_superuser("admin"))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Any) -> Iterator[demonstration.Demonstration]:
    settings.HOME = tmp_path
    made = demonstration.Demonstration("http://127.0.0.1:9")
    monkeypatch.setattr(demonstration, "here", made)
    yield made
    made.stop()


def rows() -> dict[str, int]:
    """How many of each kind there are, but the log of who did what."""
    models = [
        model
        for label in ("hub", "orders", "connectors", "monitoring")
        for model in apps.get_app_config(label).get_models()
    ]
    return {
        model.__name__: model._default_manager.count()
        for model in models
        if model.__name__ not in ("Activity", "SignIn")
    }


def demo_world() -> World:
    shop = Connection.objects.get(seller__slug=demonstration.SLUG, kind="mercado_livre")
    erp = Connection.objects.get(seller__slug=demonstration.SLUG, role="erp")
    assert shop.channel is not None
    return World(shop.seller, shop.channel, shop, erp)


def test_it_brings_a_shop_and_takes_all_of_it_away(
    boss: Client, world: World, here: demonstration.Demonstration
) -> None:
    world.export_job(world.order("mine"))
    before = rows()
    boss.post("/setup/demo/start/")
    assert here.running
    assert Connection.objects.filter(seller__slug=demonstration.SLUG).count() == 3
    shown = demo_world()
    shown.call(shown.exported("demo"))
    shown.rejected("demo-2")
    shown.incident()
    shown.alert()
    boss.post("/setup/demo/remove/")
    assert not here.running
    after = rows()
    # The boss's only seller was the demonstration's: an empty one to begin with took its place.
    assert after == {**before, "Seller": before["Seller"] + 1, "Membership": before["Membership"] + 1}
    assert Order.objects.get().external_id == "mine"


def test_what_is_connected_in_earnest_is_never_deleted(boss: Client, here: demonstration.Demonstration) -> None:
    here.start()
    Connection.objects.filter(seller__slug=demonstration.SLUG, role="erp").update(settings={})
    page = text_of(boss.post("/setup/demo/remove/", follow=True))
    assert "has a connection to a real service" in page
    assert here.running
    assert Connection.objects.count() == 3


def test_a_second_start_changes_nothing(boss: Client, here: demonstration.Demonstration) -> None:
    here.start()
    here.start()
    assert Connection.objects.count() == 3


def test_it_goes_on_with_what_it_knew(here: demonstration.Demonstration, db: None) -> None:
    here.start()
    first = Connection.objects.get(role="erp").settings["hosts"]
    here.stop()
    here.start()
    assert Connection.objects.get(role="erp").settings["hosts"] != first
    assert Connection.objects.count() == 3


def test_without_simulators_or_rights_there_is_none(boss: Client, owner: Client, here: Any, monkeypatch: Any) -> None:
    assert "Demonstration" not in text_of(owner.get("/setup/"))
    assert owner.post("/setup/demo/start/").status_code == 403
    monkeypatch.setattr(demonstration, "here", None)
    assert boss.post("/setup/demo/start/").status_code == 403
    assert boss.post("/setup/demo/remove/").status_code == 403
    assert not Seller.objects.filter(slug=demonstration.SLUG).exists()
