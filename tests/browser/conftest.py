"""A real Chromium against a real server on the test's own database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.monitoring.world import World

PASSWORD = "a long enough one"
# As patient as Playwright's own waiting: a busy machine is no failure.
expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    from tests.support.chromium import browser

    with browser() as started:
        yield started


@pytest.fixture
def world(transactional_db: None) -> World:
    from django.core.cache import cache

    from tests.monitoring.world import build, person

    cache.clear()
    made = build("casa")
    user = person("ana", made)
    user.set_password(PASSWORD)
    user.save()
    return made


@pytest.fixture(params=[(1440, 900), (390, 844)], ids=["desktop", "phone"])
def page(request: pytest.FixtureRequest, chromium: Browser, live_server: Any) -> Iterator[Page]:
    """A fresh page that fails the test when its scripts fail or something it needs is missing."""
    width, height = request.param
    context = chromium.new_context(
        viewport={"width": width, "height": height}, locale="pt-BR", base_url=live_server.url
    )
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("response", lambda answer: problems.append(answer.url) if answer.status >= 400 else None)
    yield page
    context.close()
    assert problems == []


@pytest.fixture
def signed_in(page: Page, world: World) -> Page:
    page.goto("/")
    page.get_by_label("Usuário").fill("ana")
    page.get_by_label("Senha").fill(PASSWORD)
    page.get_by_role("button", name="Acessar").click()
    page.wait_for_url("**/")
    return page
