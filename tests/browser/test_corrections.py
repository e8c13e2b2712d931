"""A refused order is mended where its error is read, and leaves the list."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.monitoring.world import World


def test_from_the_error_to_the_corrected_address(signed_in: Page, world: World) -> None:
    from django.contrib.auth.models import User

    from hub.models import Membership
    from tests.monitoring.mending import toys

    with toys() as shop:
        Membership.objects.create(user=User.objects.get(username="ana"), seller=shop.seller, role="owner")
        shop.sell(street="")
        page = signed_in
        page.goto("/failures/")
        page.get_by_role("link", name="Corrigir…").click()
        page.get_by_label("Rua").fill("Rua das Laranjeiras")
        page.get_by_role("button", name="Corrigir e enviar").click()
        page.get_by_text("Corrigido. Está sendo enviado de novo.").wait_for()
        shop.drain()
        page.goto("/failures/")
        page.get_by_text("Nada falhou.").wait_for()
        assert [sent["street"] for sent in shop.erp.orders.values()] == ["Rua das Laranjeiras"]
