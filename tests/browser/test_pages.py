"""What a person does every day, done by a browser, on a desk's screen and on a phone's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.monitoring.world import World

pytestmark = [pytest.mark.real, pytest.mark.django_db(transaction=True)]


def fits(page: Page) -> bool:
    """Nothing sticks out to the side."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_a_wrong_password_is_said(page: Page, world: World) -> None:
    page.goto("/orders/")
    assert page.url.endswith("/login/?next=/orders/")
    page.get_by_label("Usuário").fill("ana")
    page.get_by_label("Senha").fill("wrong")
    page.get_by_role("button", name="Acessar").click()
    expect(page.get_by_label("Senha")).to_be_visible()
    expect(page.locator("text=Por favor").first).to_be_visible()


def test_sign_in_and_overview(signed_in: Page, world: World) -> None:
    expect(signed_in.get_by_text("Tudo em ordem")).to_be_visible()
    assert fits(signed_in)


def test_find_an_order_by_number_filter_and_open_it(signed_in: Page, world: World) -> None:
    world.order("2000001")
    world.exported("2000002", status="shipped")
    signed_in.goto("/orders/")
    signed_in.get_by_label("Buscar pedidos").fill("2000001")
    signed_in.get_by_role("button", name="Buscar", exact=True).click()
    signed_in.get_by_role("heading", name="1 pedido", exact=True).wait_for()
    expect(signed_in.get_by_text("2000002")).to_have_count(0)
    signed_in.goto("/orders/?q=")
    signed_in.locator("summary", has_text="Filtros").click()
    signed_in.get_by_role("combobox", name="Situação").select_option("shipped")
    signed_in.get_by_role("button", name="Filtrar").click()
    signed_in.get_by_role("heading", name="1 pedido", exact=True).wait_for()
    expect(signed_in.get_by_text("2000001")).to_have_count(0)
    assert fits(signed_in)
    signed_in.get_by_role("link", name="2000002").click()
    expect(signed_in.get_by_text("No ERP com o número N2000002")).to_be_visible()
    assert fits(signed_in)


def test_filters_change_the_list_and_leave_the_page(signed_in: Page, world: World) -> None:
    world.order("2000001")
    world.exported("2000002", status="shipped")
    signed_in.goto("/orders/")
    signed_in.evaluate("window.stays = true")
    search = signed_in.get_by_role("searchbox", name="Buscar pedidos")
    search.fill("2000001")
    search.press("Enter")
    signed_in.get_by_role("heading", name="1 pedido", exact=True).wait_for()
    assert signed_in.url.endswith("/orders/?q=2000001&sort=new")
    expect(signed_in.get_by_role("status").filter(has_text="1 pedido")).to_have_count(1)
    assert search.evaluate("field => field === document.activeElement")
    signed_in.keyboard.press("Tab")
    signed_in.get_by_role("link", name="Buscar: 2000001").click()
    signed_in.get_by_role("heading", name="2 pedidos", exact=True).wait_for()
    signed_in.keyboard.press("j")
    assert signed_in.get_by_role("link", name="2000002").evaluate("link => link === document.activeElement")
    signed_in.go_back()
    signed_in.get_by_role("heading", name="1 pedido", exact=True).wait_for()
    expect(signed_in.get_by_text("2000002")).to_have_count(0)
    assert signed_in.evaluate("window.stays")
    assert fits(signed_in)


def test_a_list_without_its_session_asks_to_sign_in(signed_in: Page, world: World) -> None:
    signed_in.goto("/orders/")
    signed_in.context.clear_cookies()
    signed_in.get_by_role("button", name="Buscar", exact=True).click()
    signed_in.get_by_label("Senha").wait_for()
    assert "/login/?next=/orders/" in signed_in.url


def test_a_failed_job_is_tried_again_from_its_order(signed_in: Page, world: World) -> None:
    from connectors.models import Job

    order = world.order("2000003")
    job = world.export_job(order)
    signed_in.goto(f"/orders/{order.pk}/")
    expect(signed_in.get_by_text("Precisa de você: No product has SKU CAF-500.")).to_be_visible()
    signed_in.get_by_role("button", name="Tentar de novo").click()
    expect(signed_in.get_by_text("Nova tentativa em andamento.").first).to_be_visible()
    job.refresh_from_db()
    assert job.state == Job.State.READY


def test_all_ticked_ones_are_tried_again(signed_in: Page, world: World) -> None:
    from connectors.models import Job

    for number in ("1", "2", "3"):
        world.export_job(world.order(number))
    signed_in.goto("/failures/?show=refused")
    assert fits(signed_in)
    signed_in.get_by_label("Escolher tudo nesta página").check()
    signed_in.get_by_role("button", name="Tentar os escolhidos de novo").click()
    signed_in.get_by_text("3 novas tentativas em andamento.").first.wait_for()
    assert not Job.objects.filter(state=Job.State.REFUSED).exists()


def test_an_open_page_keeps_itself_up_to_date(page: Page, world: World) -> None:
    from connectors.models import Job

    page.clock.install()
    page.goto("/login/?next=/")
    page.get_by_label("Usuário").fill("ana")
    page.get_by_label("Senha").fill("a long enough one")
    page.get_by_role("button", name="Acessar").click()
    page.get_by_text("Tudo em ordem").wait_for()
    order = world.order("2000006")
    job = world.export_job(order)
    page.clock.run_for(16_000)
    page.get_by_text("1 etapa foi recusada e espera por você.").wait_for()
    page.goto(f"/orders/{order.pk}/")
    page.get_by_label("Anotação").fill("half a note")
    Job.objects.filter(pk=job.pk).update(state=Job.State.READY, error="")
    page.clock.run_for(16_000)
    page.locator("[data-live=state]").get_by_text("Aguarda a vez").wait_for()
    expect(page.get_by_label("Anotação")).to_have_value("half a note")


def test_the_header_keeps_itself_up_to_date_on_any_page(signed_in: Page, world: World) -> None:
    """Light and bell, without the rest of the page being asked for again; the bell leads to what mends it."""
    from django.core.cache import cache

    page = signed_in
    page.clock.install()
    page.goto("/orders/")
    page.get_by_role("link", name="Nada em aberto: 0 em execução 0 na fila 0 falharam").wait_for()
    world.export_job(world.order("2000007"))
    world.alert()
    # A real second has not passed; the light is shared for some.
    cache.clear()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/orders/")[1] or "header"))
    page.clock.run_for(21_000)
    page.get_by_role("link", name="Algo precisa de você: 0 em execução 0 na fila 1 falharam").wait_for()
    assert asked == ["header"] and fits(page)
    old = page.get_by_role("status").get_by_text("O que você vê pode ser antigo.")
    page.route("**/header/", lambda route: route.abort())
    page.clock.run_for(21_000)
    old.wait_for()
    page.unroute("**/header/")
    page.clock.run_for(21_000)
    old.wait_for(state="hidden")
    page.get_by_role("button", name="1 alerta novo para você").click()
    page.get_by_role("link", name="Alertas para você").wait_for()
    page.get_by_role("link", name="Loja casa: nenhum pedido há 3 h, o normal seriam 11").click()
    page.wait_for_url(f"**/connections/{world.shop.pk}/")


def test_language_switch(signed_in: Page, world: World) -> None:
    signed_in.request.get("/")
    token = signed_in.locator("input[name=csrfmiddlewaretoken]").first.get_attribute("value")
    signed_in.request.post("/i18n/setlang/", form={"language": "en", "next": "/", "csrfmiddlewaretoken": token or ""})
    signed_in.goto("/")
    expect(signed_in.get_by_text("All clear")).to_be_visible()


@pytest.mark.parametrize("path", ["/connections/", "/connect/", "/connect/amazon/", "/failures/"])
def test_every_page_fits_its_screen(signed_in: Page, world: World, path: str) -> None:
    world.export_job(world.order("2000004"))
    world.rejected("2000005")
    signed_in.goto(path)
    assert fits(signed_in)
