"""In a real Chromium, on a desk and on a phone: an alert is taken, a rule changed, a destination added and tested."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import chromium, page, signed_in, world

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.monitoring.alerts.receivers import Receiver
    from tests.monitoring.world import World

__all__ = ["chromium", "page", "signed_in", "world"]
pytestmark = pytest.mark.real


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def test_an_alert_is_taken_and_somebody_new_is_called(signed_in: Page, world: World, receiver: Receiver) -> None:
    from monitoring.alerts import defaults

    world.alert()
    defaults.ensure(world.seller)
    signed_in.goto("/alerts/")
    expect(signed_in.get_by_text("Loja casa: nenhum pedido há 3 h, o normal seriam 11")).to_be_visible()
    assert fits(signed_in)
    signed_in.get_by_role("button", name="Eu cuido").click()
    signed_in.get_by_text("ana está cuidando").wait_for()

    signed_in.get_by_label("Tipo de destino").select_option("chat")
    signed_in.get_by_role("button", name="Adicionar").last.click()
    signed_in.get_by_label("Nome").fill("Equipe")
    signed_in.get_by_label("Endereço").fill(f"{receiver.url}/hook")
    signed_in.get_by_label("Ligado").check()
    assert fits(signed_in)
    signed_in.get_by_role("button", name="Salvar").click()
    signed_in.get_by_text("Envie um teste para ver se chega.").wait_for()
    signed_in.get_by_role("button", name="Enviar um teste").last.click()
    signed_in.get_by_text("O teste foi enviado para Equipe.").wait_for()
    assert receiver.calls[0].path == "/hook" and fits(signed_in)


def test_a_rule_is_changed(signed_in: Page, world: World) -> None:
    from django.db import transaction

    from monitoring.alerts import defaults
    from monitoring.models import AlertRule

    with transaction.atomic():
        defaults.ensure(world.seller)
    rule = AlertRule.objects.get(kind="report_age")
    signed_in.goto(f"/alerts/rules/{rule.pk}/")
    expect(signed_in.get_by_label("Silêncio das")).to_have_value("22:00")
    assert fits(signed_in)
    signed_in.get_by_label("Depois de quantos minutos", exact=True).fill("45")
    signed_in.get_by_role("button", name="Salvar").click()
    signed_in.get_by_text("há mais de 45 min").wait_for()
    assert fits(signed_in)
