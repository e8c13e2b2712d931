"""What a first visit costs: bytes over the wire, asserted; when the largest thing was painted, said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client
    from playwright.sync_api import Browser

    from tests.monitoring.world import World

pytestmark = [pytest.mark.real, pytest.mark.django_db(transaction=True)]

MOST_BYTES = 500_000
WEIGHT = """() => [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
    .map(one => [one.name, one.transferSize])"""
PAINT = """() => new Promise(done => {
    new PerformanceObserver(list => done(Math.round(list.getEntries().at(-1).startTime)))
        .observe({type: 'largest-contentful-paint', buffered: true});
    setTimeout(() => done(null), 2000);
})"""


@pytest.fixture
def served(settings: Any) -> Iterator[str]:
    """The hub as it is installed: static files come from itself, compressed; a test's usual server gives its own."""
    from django.test.testcases import LiveServerThread

    from hub.wsgi import application

    assert application, "all that it reads at the start is read"
    settings.ALLOWED_HOSTS = ["localhost"]
    server = LiveServerThread("localhost", static_handler=lambda handler: handler)  # type: ignore[arg-type]
    server.daemon = True
    server.start()
    server.is_ready.wait()
    yield f"http://localhost:{server.port}"
    server.terminate()


def test_no_page_weighs_half_a_megabyte(
    chromium: Browser, served: str, world: World, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    from orders.models import Order
    from tests.browser.every_page import furnish

    furnish(world)
    client.force_login(world.seller.memberships.get(user__username="ana").user)
    session = client.cookies["sessionid"].value
    one = Order.objects.filter(seller=world.seller).earliest("pk")
    heavy = []
    for path in ("/", "/orders/", f"/orders/{one.pk}/", "/insights/"):
        # A context of its own: nothing is in its cache.
        context = chromium.new_context(locale="pt-BR", base_url=served)
        context.add_cookies([{"name": "sessionid", "value": session, "url": served}])
        page = context.new_page()
        page.goto(path, wait_until="networkidle")
        parts, painted = page.evaluate(WEIGHT), page.evaluate(PAINT)
        context.close()
        weight = sum(size for _name, size in parts)
        assert weight > 10_000, f"{path}: nothing was measured"
        with capsys.disabled():
            print(f"\n{path}: {weight / 1000:.0f} kB in {len(parts)} files, largest paint after {painted} ms")  # noqa: T201
        if weight > MOST_BYTES:
            heavy.append((path, weight, sorted(parts, key=lambda part: -part[1])[:8]))
    assert not heavy
