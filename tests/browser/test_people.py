"""From an invitation to working with two factors, in a browser; and pages that break none of their own rules."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PASSWORD
from tests.browser.test_pages import fits

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.monitoring.world import World

pytestmark = [pytest.mark.real, pytest.mark.django_db(transaction=True)]


def code() -> str:
    from django_otp.oath import totp
    from django_otp.plugins.otp_totp.models import TOTPDevice

    return f"{totp(TOTPDevice.objects.get().bin_key):06d}"


def test_from_an_invitation_to_two_factors(signed_in: Page, world: World, live_server: Any, settings: Any) -> None:
    from django_otp.plugins.otp_static.models import StaticToken

    from hub.models import Membership

    settings.PUBLIC_URL = live_server.url
    page = signed_in
    page.goto("/people/")
    assert fits(page)
    page.get_by_text("Quem precisa entrar com um segundo fator").click()
    page.locator(".e-asked").get_by_label("Operador").check()
    page.locator(".e-asked").get_by_role("button", name="Salvar").click()
    page.get_by_label("E-mail").fill("bia@casa.example")
    page.get_by_role("button", name="Enviar o convite").click()
    link = page.get_by_label(re.compile("O link funciona uma vez")).input_value()
    page.context.clear_cookies()

    page.goto(link)
    assert fits(page)
    page.get_by_label("Seu nome").fill("Beatriz")
    page.get_by_label("Senha", exact=True).fill(PASSWORD)
    page.get_by_label("Senha novamente").fill(PASSWORD)
    page.get_by_role("button", name="Criar a conta e aceitar").click()
    page.get_by_text("Seu vendedor exige um segundo fator").wait_for()
    page.get_by_role("button", name="Configurar o segundo fator").click()
    page.get_by_role("img", name="Código QR para o seu aplicativo").wait_for()
    expect(page.locator(".e-qr svg path")).to_have_count(1)
    assert fits(page)
    page.get_by_label("Código do aplicativo").fill(code())
    page.get_by_role("button", name="Ativar").click()
    page.get_by_text("Guarde estes códigos").wait_for()
    paper = StaticToken.objects.first()
    assert paper is not None
    expect(page.get_by_text(paper.token)).to_be_visible()
    page.get_by_role("link", name="Já guardei").click()
    page.get_by_text("Sessões abertas").wait_for()
    assert fits(page)

    page.context.clear_cookies()
    page.goto("/orders/")
    page.get_by_label("Usuário").fill("bia@casa.example")
    page.get_by_label("Senha").fill(PASSWORD)
    page.get_by_role("button", name="Acessar").click()
    page.get_by_label("Código do aplicativo, ou um do papel").fill(paper.token)
    page.get_by_role("button", name="Continuar").click()
    page.wait_for_url("**/orders/")
    assert Membership.objects.get(user__username="bia@casa.example").role == "operator"


def test_one_seller_of_two(signed_in: Page, world: World) -> None:
    from django.contrib.auth.models import User

    from hub.models import Membership
    from tests.monitoring.world import build

    other = build("outra")
    Membership.objects.create(user=User.objects.get(username="ana"), seller=other.seller, role="viewer")
    world.order("2000001")
    other.order("3000001")
    page = signed_in
    page.goto("/orders/")
    page.get_by_label("Vendedor: Todos os vendedores").click()
    assert fits(page)
    page.get_by_role("button", name="Outra").click()
    page.wait_for_url("**/orders/")
    expect(page.get_by_role("link", name="3000001")).to_have_count(1)
    expect(page.get_by_role("link", name="2000001")).to_have_count(0)
    assert fits(page)


PATHS = (
    "/", "/orders/", "/failures/", "/reports/", "/reports/untransmitted/", "/alerts/",
    "/alerts/rules/add/?kind=silence", "/comparison/", "/connections/", "/connect/", "/connect/bling/", "/system/",
    "/people/", "/people/activity/", "/account/", "/account/second-factor/", "/password_change/",
)  # fmt: skip


def test_no_page_breaks_the_policy_or_asks_another_host(signed_in: Page, world: World, live_server: Any) -> None:
    order = world.order("2000001")
    world.export_job(order)
    world.incident()
    page = signed_in
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(f"{page.url} {said.text}") if said.type == "error" else None)
    page.on(
        "request", lambda asked: None if asked.url.startswith((live_server.url, "data:")) else wrong.append(asked.url)
    )
    for path in (*PATHS, f"/orders/{order.pk}/"):
        page.goto(path)
        page.wait_for_load_state("networkidle")
    page.context.clear_cookies()
    page.goto("/login/")
    page.goto("/login/?next=/orders/")
    assert wrong == []
