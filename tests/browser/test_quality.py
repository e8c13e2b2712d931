"""Every page: WCAG 2.2 AA by axe-core in both sizes and both colours, room enough from 360 px, no other host asked."""

from __future__ import annotations

import time
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
    from tests.browser.every_page import addresses

    found: list[str] = []
    pages = addresses(client)
    assert len(pages) > 30
    # The last: whoever is not signed in yet.
    for path in [*pages, "/login/"]:
        if path == "/login/":
            visitor.context.clear_cookies()
        visitor.goto(path)
        found += in_both_sizes(visitor, path)
    assert not found, "\n".join(sorted(set(found)))


def test_the_ways_in_are_accessible_and_fit(
    visitor: Page, world: World, live_server: Any, settings: Any, mailoutbox: list[Any]
) -> None:
    """An invitation, the second factor, a forgotten password and too many wrong ones, step by step."""
    from hub.people import places
    from tests.browser.conftest import PASSWORD
    from tests.browser.test_people import code

    settings.PUBLIC_URL = live_server.url
    found: list[str] = []
    button = visitor.locator("main form button.e-main, main form button[type=submit]")

    def look(where: str) -> None:
        found.extend(in_both_sizes(visitor, where))

    def sign_in(password: str) -> None:
        visitor.goto("/login/")
        visitor.get_by_label("Usuário").fill("rui@casa.example")
        visitor.get_by_label("Senha").fill(password)
        visitor.get_by_role("button", name="Acessar").click()

    visitor.context.clear_cookies()
    visitor.goto("/invitations/nothing/")
    look("an invitation that is over")
    invitation = f"/invitations/{places.invite(world.seller, 'rui@casa.example', 'operator', 'ana').token}/"
    visitor.goto(invitation)
    look("an invitation")
    visitor.get_by_label("Seu nome").fill("Rui")
    visitor.get_by_label("Senha", exact=True).fill("short")
    visitor.get_by_label("Senha novamente").fill("shorter")
    button.click()
    look("an invitation with errors")
    visitor.get_by_label("Senha", exact=True).fill(PASSWORD)
    visitor.get_by_label("Senha novamente").fill(PASSWORD)
    button.click()
    visitor.wait_for_url("**/")

    visitor.goto("/account/second-factor/")
    button.click()
    visitor.get_by_text("Não consigo ler").click()
    look("the second factor")
    visitor.get_by_label("Código do aplicativo").fill(code())
    button.click()
    visitor.get_by_text("Guarde estes códigos").wait_for()
    look("the codes for paper")
    visitor.context.clear_cookies()
    sign_in(PASSWORD)
    look("the second step")
    visitor.get_by_label("Código do aplicativo, ou um do papel").fill("wrong")
    button.click()
    look("the second step with a wrong code")

    visitor.context.clear_cookies()
    visitor.goto("/login/")
    visitor.get_by_role("link", name="Esqueceu sua senha?").click()
    look("a forgotten password")
    visitor.get_by_label("E-mail").fill("rui@casa.example")
    button.click()
    visitor.get_by_text("está a caminho").wait_for()
    look("the link is on its way")
    for _try in range(3):
        visitor.goto("/sign-in/forgotten/")
        visitor.get_by_label("E-mail").fill("rui@casa.example")
        button.click()
    visitor.get_by_text("pedido vezes demais").wait_for()
    look("a link asked for too often")
    visitor.goto(link_of(mailoutbox))
    look("a new password")
    visitor.get_by_label("Nova senha", exact=True).fill("short")
    visitor.get_by_label("Confirmação da nova senha").fill("short")
    button.click()
    visitor.get_by_text("muito curta").wait_for()
    look("a new password with errors")
    for field in visitor.locator("main input[type=password]").all():
        field.fill("outra senha bem longa")
    button.click()
    visitor.get_by_text("Sua nova senha está definida").wait_for()
    look("a new password is set")
    visitor.goto(link_of(mailoutbox))
    look("a link that was used")
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    visitor.goto("/sign-in/forgotten/")
    look("a forgotten password without a mail server")

    for _try in range(5):
        sign_in("wrong")
    visitor.get_by_text("A senha estava errada vezes demais").wait_for()
    look("the lock-out")
    assert not found, "\n".join(sorted(set(found)))


def link_of(mailoutbox: list[Any]) -> str:
    """Of the first mail; it is sent beside the request that asked for it."""
    end = time.monotonic() + 5
    while not mailoutbox and time.monotonic() < end:
        time.sleep(0.05)
    return next(line for line in mailoutbox[0].body.splitlines() if line.startswith("http"))


def in_both_sizes(page: Page, where: str) -> Iterator[str]:
    from axe_playwright_python.base import AXE_SCRIPT

    # A click returns as soon as the next page begins to arrive.
    page.wait_for_load_state()
    page.evaluate(AXE_SCRIPT)
    for size in (DESK, PHONE):
        page.set_viewport_size({"width": size[0], "height": size[1]})
        yield from looked_at(page, f"{where} at {size[0]} px")


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
