from django.test import Client

from tests.monitoring.world import World


def test_list_filter_and_detail(owner: Client, world: World, other: World) -> None:
    mine = world.exported("AB-1")
    world.order("AB-2", "pending")
    foreign = other.order("AB-3")
    found = owner.get("/api/orders/?status=approved").json()
    assert [order["external_id"] for order in found["results"]] == ["AB-1"]
    assert found["next"] is None
    detail = owner.get(f"/api/orders/{mine.pk}/").json()
    assert (detail["total"], detail["items"][0]["sku"], detail["references"]) == ("119.9000", "CAF-500", ["AB-1"])
    assert owner.get(f"/api/orders/{foreign.pk}/").status_code == 404


def test_pages(owner: Client, world: World) -> None:
    for number in range(55):
        world.order(str(number))
    first = owner.get("/api/orders/?sort=old").json()
    second = owner.get(first["next"]).json()
    assert (len(first["results"]), len(second["results"]), second["next"]) == (50, 5, None)


def test_it_is_for_reading(owner: Client, world: World) -> None:
    assert owner.post("/api/orders/", {}).status_code in (403, 405)
