"""Views under a name, columns of choice and weights: one's own, shared in the seller, never a stranger's."""

import pytest
from django.test import Client

from monitoring.models import OrderColumns, SavedView
from orders import priority
from orders.models import Order
from tests.monitoring.world import World, browser_of, person, text_of

QUERY = "status=open&state=PE&page=7&nonsense=1"


def tabs(client: Client) -> dict[str, str]:
    return {str(tab.name): tab.query for tab in client.get("/orders/").context["tabs"]}


def test_a_view_is_its_makers_alone(owner: Client, viewer: Client, world: World) -> None:
    answer = owner.post("/orders/views/", {"title": " My  Recife ", "query": QUERY})
    assert answer.headers["location"] == "/orders/?status=open&state=PE"
    assert tabs(owner)["My Recife"] == "status=open&state=PE"
    assert "My Recife" not in tabs(viewer)
    current = [tab.name for tab in owner.get("/orders/?status=open&state=PE").context["tabs"] if tab.current]
    assert current == ["My Recife"]


def test_a_shared_view_is_seen_in_its_seller_and_nowhere_else(
    owner: Client, viewer: Client, stranger: Client, world: World, other: World
) -> None:
    owner.post("/orders/views/", {"title": "Ours", "query": "tag=gift", "shared_with": world.seller.pk})
    assert tabs(viewer)["Ours"] == "tag=gift"
    assert "Ours" not in tabs(stranger)
    owner.post("/orders/views/", {"title": "Smuggled", "query": "", "shared_with": other.seller.pk})
    assert "Smuggled" not in tabs(stranger)


def test_who_removes_a_view(owner: Client, viewer: Client, stranger: Client, world: World) -> None:
    owner.post("/orders/views/", {"title": "Ours", "query": "", "shared_with": world.seller.pk})
    view = SavedView.objects.get()
    assert stranger.post(f"/orders/views/{view.pk}/remove/").status_code == 404
    assert viewer.post(f"/orders/views/{view.pk}/remove/").status_code == 403
    manager = browser_of(person("mia", world, "manager"))
    assert manager.post(f"/orders/views/{view.pk}/remove/").status_code == 302
    assert not SavedView.objects.exists()


def test_columns_are_kept_for_each_person(owner: Client, viewer: Client, world: World) -> None:
    world.order("1", tags=["gift"])
    owner.post("/orders/columns/", {"column": ["tags", "items", "carrier", "made up"], "query": "status=approved"})
    assert [name for name, _label in owner.get("/orders/").context["columns"]] == ["items", "carrier", "tags"]
    assert "2 × CAF-500" in text_of(owner.get("/orders/"))
    assert len(viewer.get("/orders/").context["columns"]) == 5
    owner.post("/orders/columns/", {})
    assert not OrderColumns.objects.exists()


def test_new_weights_weigh_anew(owner: Client, world: World) -> None:
    world.order("1")
    priority.rank()
    answer = owner.post(f"/orders/weights/{world.seller.pk}/", {"urgency": "0", "impact": "100", "cost": "x"})
    assert answer.headers["location"] == "/orders/?status=open"
    world.seller.refresh_from_db()
    assert world.seller.weights == {"urgency": 0, "impact": 100, "cost": 0, "customer": 0}
    assert Order.objects.get().worth is None
    assert 'value="100"' in text_of(owner.get(f"/orders/weights/{world.seller.pk}/"))


def test_all_zero_is_refused(owner: Client, world: World) -> None:
    owner.post(f"/orders/weights/{world.seller.pk}/", {"urgency": "0"})
    world.seller.refresh_from_db()
    assert world.seller.weights == {}


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_who_sets_the_seller_up_weighs(world: World, role: str) -> None:
    client = browser_of(person("otto", world, role))
    assert client.post(f"/orders/weights/{world.seller.pk}/", {"urgency": "1"}).status_code == 403
    assert "/orders/weights/" not in text_of(client.get("/orders/"))


def test_a_strangers_weights_do_not_exist(stranger: Client, world: World) -> None:
    assert stranger.get(f"/orders/weights/{world.seller.pk}/").status_code == 404
