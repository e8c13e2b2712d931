"""The page of comparisons in a browser: at a desk and on a phone, in Portuguese."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from monitoring.models import Finding
    from tests.monitoring.world import World

pytestmark = pytest.mark.real


def compared(world: World) -> Finding:
    """Days that close, one that does not, and a sale that is twice in the ERP."""
    from monitoring.models import DayCount, Finding
    from monitoring.reconciliation import days, facts

    today, now = days.today(world.seller), timezone.now()
    counts = {"channel_count": 143, "hub_count": 143, "due_count": 141, "erp_count": 141}
    for back in range(5):
        row = {**counts, "counted_at": now, "erp_counted_at": now}
        if back == 1:
            row |= {"hub_count": 142, "missing_in_hub": ["2000010000012345"], "repaired": 2}
        DayCount.objects.create(connection=world.shop, day=today - timedelta(days=back), **row)
    order = world.exported("2000010000054321")
    link = order.links.get()
    entries = [facts.of_link(link), {**facts.of_link(link), "id": "77", "number": "1077", "linked": False}]
    found = {"seller": world.seller, "connection": world.erp, "order": order, "day": today}
    Finding.objects.create(
        **found, kind="total_differs", key="t",
        facts=facts.together(hub=facts.of_order(order), erp=[{**entries[0], "total": "99.90"}]),
    )  # fmt: skip
    Finding.objects.create(
        **found, kind="link_lost", key="erp-1", facts=facts.together(hub=facts.of_order(order), erp=entries[:1])
    )
    return Finding.objects.create(
        **found, kind="duplicated", key="d", facts=facts.together(hub=facts.of_order(order), erp=entries)
    )


def test_a_person_sees_the_gap_and_leaves_a_finding_as_it_is(signed_in: Page, world: World) -> None:
    row = compared(world)
    signed_in.goto("/comparison/")
    signed_in.get_by_text("falta 1").first.wait_for()
    expect(signed_in.get_by_text("2000010000012345")).to_have_count(1)
    expect(signed_in.get_by_role("button", name="Este é o verdadeiro")).to_have_count(2)
    overflow = signed_in.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0, f"the page is {overflow} px wider than the screen"
    first = signed_in.get_by_role("article").first
    first.get_by_text("Deixar como está").click()
    first.get_by_label("Por que está certo assim?").fill("Combinado com o comprador")
    first.get_by_role("button", name="Deixar", exact=True).click()
    signed_in.wait_for_load_state()
    row.refresh_from_db()
    assert (row.state, row.reason) == ("dismissed", "Combinado com o comprador")
