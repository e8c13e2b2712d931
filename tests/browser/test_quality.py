"""Every page: WCAG 2.2 AA by axe-core in both sizes and both colours, room enough from 360 px, no other host asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client
    from playwright.sync_api import Browser, Page

    from tests.monitoring.world import World

pytestmark = [pytest.mark.real, pytest.mark.django_db(transaction=True)]

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
DESK, PHONE = (1440, 900), (360, 740)


@pytest.fixture
def visitor(chromium: Browser, live_server: Any, world: World, client: Client) -> Iterator[Page]:
    """Signed in without its form, in front of a furnished hub; what it asks other hosts for is a failure."""
    from tests.browser.every_page import furnish

    furnish(world)
    context = chromium.new_context(locale="pt-BR", base_url=live_server.url, reduced_motion="reduce")
    client.force_login(world.seller.memberships.get(user__username="ana").user)
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}])
    page = context.new_page()
    strangers: list[str] = []
    here = urlsplit(live_server.url).netloc
    page.on(
        "request",
        lambda asked: (
            None
            if urlsplit(asked.url).netloc in ("", here) or asked.url.startswith(("data:", "blob:"))
            else strangers.append(asked.url)
        ),
    )
    yield page
    context.close()
    assert strangers == []


def test_every_page_is_accessible_and_fits(visitor: Page, client: Client) -> None:
    """One walk for all: each page is loaded once and looked at in both sizes and both colours."""
    from axe_playwright_python.base import AXE_SCRIPT

    from tests.browser.every_page import addresses

    found: list[str] = []
    pages = addresses(client)
    assert len(pages) > 30
    # The last: whoever is not signed in yet.
    for path in [*pages, "/login/"]:
        if path == "/login/":
            visitor.context.clear_cookies()
        visitor.goto(path)
        visitor.evaluate(AXE_SCRIPT)
        for size in (DESK, PHONE):
            visitor.set_viewport_size({"width": size[0], "height": size[1]})
            found += looked_at(visitor, f"{path} at {size[0]} px")
    assert not found, "\n".join(sorted(set(found)))


def looked_at(page: Page, where: str) -> Iterator[str]:
    wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    if wider > 0:
        yield f"{where}: {wider} px wider than the screen"
    yield from violations(page, where, RULES)
    page.evaluate("document.documentElement.classList.add('dark')")
    # Only colours change with the colours.
    yield from violations(page, f"{where}, dark", {"runOnly": {"type": "rule", "values": ["color-contrast"]}})
    page.evaluate("document.documentElement.classList.remove('dark')")


def violations(page: Page, where: str, options: dict[str, Any]) -> Iterator[str]:
    """One line for each element that breaks a rule."""
    answer = page.evaluate("options => axe.run(options)", {**options, "resultTypes": ["violations"]})
    for rule in answer["violations"]:
        for node in rule["nodes"]:
            yield f"{where}: {rule['id']}: {node['html'][:160]} [{' '.join(map(str, node['target']))[:90]}]"
