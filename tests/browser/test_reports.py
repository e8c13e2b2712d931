"""A report in a real browser: read why an order stands still, mend it from its row, see it leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.test_pages import fits

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.monitoring.world import World

pytestmark = [pytest.mark.real, pytest.mark.django_db(transaction=True)]


def test_a_held_order_is_released_from_its_row_by_keyboard(signed_in: Page, world: World) -> None:
    world.order("2000009", held=True, holds=["fraud"])
    signed_in.goto("/reports/")
    assert fits(signed_in)
    signed_in.get_by_role("link", name="Fora do ERP").focus()
    signed_in.keyboard.press("Enter")
    signed_in.wait_for_url("**/reports/untransmitted/")
    expect(signed_in.get_by_text("2000009")).to_be_visible()
    assert fits(signed_in)
    expect(signed_in.get_by_text("Risco de fraude", exact=False).first).to_be_visible()
    signed_in.get_by_role("button", name="Liberar").focus()
    signed_in.keyboard.press("Enter")
    signed_in.get_by_text("Nada está parado aqui").wait_for()
    expect(signed_in.get_by_text("2000009")).to_have_count(0)
