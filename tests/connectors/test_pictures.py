"""Pictures come through the hub: guarded, small, only what they say they are, and never a reason to fail."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from django.core.cache import caches
from PIL import Image

from connectors import pictures
from connectors.simulation import paper
from connectors.simulation.server import Fault, Request, Response, Simulator, SimulatorServer, route

PNG = paper.png("MLB1")
JPEG, WEBP = b"\xff\xd8\xff\xe0 and more", b"RIFF\x10\0\0\0WEBPVP8 "


class Shop(Simulator):
    answer = Response(body=PNG, headers={"Content-Type": "image/png"})

    @route("GET", "/one.png")
    def one(self, request: Request) -> Response:
        return self.answer


@pytest.fixture
def shop(settings: Any) -> Iterator[SimulatorServer]:
    settings.SIMULATORS = True
    caches["pictures"].clear()
    with SimulatorServer(Shop()) as running:
        yield running
    caches["pictures"].clear()


def asked(shop: SimulatorServer) -> int:
    return shop.simulator.requests.get("GET /one.png", 0)


def answers(shop: SimulatorServer, body: bytes, kind: str, status: int = 200) -> pictures.Picture:
    shop.simulator.answer = Response(status, body, {"Content-Type": kind})  # type: ignore[attr-defined]
    return pictures.picture(f"{shop.url}/one.png")


def test_it_is_fetched_once(shop: SimulatorServer) -> None:
    first, second = (pictures.picture(f"{shop.url}/one.png") for _ in range(2))
    assert first == second == pictures.Picture(PNG, "image/png")
    assert asked(shop) == 1


@pytest.mark.parametrize(("body", "kind"), [(PNG, "image/png"), (JPEG, "image/jpeg; q=1"), (WEBP, "image/webp")])
def test_three_kinds_are_pictures(shop: SimulatorServer, body: bytes, kind: str) -> None:
    assert answers(shop, body, kind).content == body


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"<svg onload='x()'/>", "image/svg+xml", 200),
        (b"<svg onload='x()'/>", "image/png", 200),
        (PNG, "text/html", 200),
        (PNG, "image/jpeg", 200),
        (b"RIFF\x10\0\0\0WAVE", "image/webp", 200),
        (PNG + b"x" * pictures.MOST_BYTES, "image/png", 200),
        (b"", "image/png", 200),
        (PNG, "image/png", 404),
        (PNG, "image/png", 302),
    ],
)
def test_nothing_else_is(shop: SimulatorServer, body: bytes, kind: str, status: int) -> None:
    assert not answers(shop, body, kind, status)
    assert not answers(shop, PNG, "image/png"), "asked again only after a while"


@pytest.mark.parametrize("address", ["", "ftp://shop/a.png", "file:///etc/passwd", "http://", "https://[", "//a/b.png"])
def test_what_is_no_address_is_no_picture(shop: SimulatorServer, address: str) -> None:
    assert not pictures.picture(address)


def test_the_hub_s_own_network_is_not_asked(shop: SimulatorServer, settings: Any) -> None:
    settings.SIMULATORS = False
    assert not pictures.picture(f"{shop.url}/one.png")
    assert asked(shop) == 0


def test_a_redirect_is_not_followed_and_a_slow_host_given_up(shop: SimulatorServer, monkeypatch: Any) -> None:
    monkeypatch.setattr(pictures, "SECONDS", 0.3)
    for number, kind in enumerate(("redirect", "huge", "cut_before", "drip", "hang_before")):
        shop.simulator.faults = [Fault(kind)]
        assert not pictures.picture(f"{shop.url}/one.png?{number}")


def test_a_host_that_hangs_holds_no_more_than_its_slots(shop: SimulatorServer, monkeypatch: Any) -> None:
    monkeypatch.setattr(pictures, "_PATIENCE_SECONDS", 0.01)
    for _ in range(3):
        pictures._slots.acquire()
    try:
        assert not pictures.picture(f"{shop.url}/one.png")
    finally:
        for _ in range(3):
            pictures._slots.release()
    assert pictures.picture(f"{shop.url}/one.png"), "and that is no failure to remember"


def test_the_simulator_s_picture_is_one() -> None:
    with Image.open(BytesIO(PNG)) as drawn:
        drawn.load()
        assert drawn.size == (96, 96)
