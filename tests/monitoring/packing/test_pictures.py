"""Each product's picture stands beside it, from the hub's own address and only for whoever may see the order."""

from io import BytesIO
from typing import Any

import pytest
from django.test import Client
from PIL import Image

from connectors import pictures
from connectors.simulation import paper
from monitoring.pages.pictures import NOTHING
from orders.models import Order, OrderItem
from tests.monitoring.packing import parcels
from tests.monitoring.world import World, text_of

ADDRESS = "https://shop.example/a.jpg"
PNG = paper.png("a")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    addresses: list[str] = []

    def picture(address: str) -> pictures.Picture:
        addresses.append(address)
        return pictures.Picture(PNG, "image/png") if address == ADDRESS else pictures.Picture()

    monkeypatch.setattr("monitoring.pages.pictures.picture", picture)
    return addresses


@pytest.fixture
def order(world: World) -> Order:
    return parcels.to_send(world, "ML-1")


def item(order: Order, address: str = ADDRESS) -> OrderItem:
    found = order.items.get()
    found.image_url = address
    found.save()
    return found


def path(found: OrderItem) -> str:
    return f"/orders/items/{found.pk}/picture/"


def test_it_is_shown_where_it_is_known(order: Order, owner: Client) -> None:
    pages = (f"/orders/{order.pk}/", f"/packing/pick-list/?orders={order.pk}")
    assert not any("e-picture" in text_of(owner.get(page)) for page in pages)
    found = item(order)
    for page in pages:
        said = text_of(owner.get(page))
        assert f'src="{path(found)}"' in said
        assert f'alt="{found.title or found.sku}"' in said
        assert 'loading="lazy"' in said
        assert "shop.example" not in said


def test_the_browser_keeps_it_for_this_person_alone(order: Order, owner: Client, asked: list[str]) -> None:
    answer = owner.get(path(item(order)) + "?url=https://evil.example/")
    assert (answer.content, answer.headers["Content-Type"]) == (PNG, "image/png")
    assert answer.headers["Cache-Control"] == "private, max-age=86400"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert asked == [ADDRESS]


@pytest.mark.parametrize("address", ["", "https://gone.example/a.jpg"])
def test_without_one_the_box_stays_empty(order: Order, owner: Client, asked: list[str], address: str) -> None:
    answer = owner.get(path(item(order, address)))
    assert (answer.status_code, answer.content) == (200, NOTHING.content)
    assert answer.headers["Cache-Control"] == "private, max-age=300"


def test_a_stranger_gets_none(order: Order, stranger: Client, client: Client, asked: list[str]) -> None:
    assert stranger.get(path(item(order))).status_code == 404
    assert client.get(path(item(order))).status_code == 302
    assert asked == []


def test_nothing_is_a_picture_too() -> None:
    with Image.open(BytesIO(NOTHING.content)) as drawn:
        drawn.load()
        assert drawn.size == (1, 1)


def test_mercado_livre_s_are_where_the_seller_says(world: World) -> None:
    from connectors.channels.mercado_livre.lines import _picture

    assert _picture({}, "MLB1", "A") == ""
    told: Any = {"pictures": "https://shop.example/{listing}.jpg?of={sku}"}
    assert _picture(told, "MLB1", "a/b&c\ud800") == "https://shop.example/MLB1.jpg?of=a%2Fb%26c%3F"
