"""The ten journeys of docs/journeys.md, at a desk and on a phone. Each leaves a picture in the folder that
`JOURNEY_PICTURES` names, otherwise in pytest's own.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from tests.browser.test_pages import fits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client
    from playwright.sync_api import Page

    from tests.monitoring.world import World

pytestmark = [pytest.mark.real, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def journey(
    page: Page, world: World, client: Client, live_server: Any, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Page]:
    """Ana's browser, signed in. Where the journey ends the page must fit its screen; it is what the picture shows."""
    client.force_login(world.seller.memberships.get(user__username="ana").user)
    page.context.add_cookies(
        [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}]
    )
    yield page
    folder = Path(os.environ.get("JOURNEY_PICTURES") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    name = request.node.name.removeprefix("test_").replace("[", "-").rstrip("]")
    page.screenshot(path=folder / f"{name}.png")
    assert fits(page)


def test_01_see_what_must_leave_next(journey: Page, world: World) -> None:
    world.exported("2000010000000011", ship_by=timezone.now() + timedelta(minutes=1))
    world.exported("2000010000000012", status="shipped")
    journey.goto("/")
    journey.get_by_role("heading", name="A despachar, o próximo horário de corte primeiro").wait_for()
    journey.locator(".e-agenda a").first.click()
    journey.wait_for_url("**/orders/?**")
    journey.get_by_role("link", name="2000010000000011").wait_for()
    expect(journey.get_by_role("link", name="2000010000000012")).to_have_count(0)


def test_02_answer_a_buyer(journey: Page, world: World) -> None:
    world.exported("2000010000000021")
    journey.goto("/orders/")
    search = journey.get_by_role("searchbox", name="Buscar pedidos")
    search.fill("529.982.247-25")
    search.press("Enter")
    journey.get_by_role("link", name="2000010000000021").click()
    journey.get_by_text("No ERP com o número N2000010000000021").first.wait_for()


def test_03_pick_and_pack(journey: Page, world: World) -> None:
    for number in ("2000010000000031", "2000010000000032"):
        world.exported(number)
    journey.goto("/packing/")
    journey.get_by_role("button", name="Lista de separação").click()
    journey.wait_for_url("**/packing/pick-list/**")
    journey.get_by_text("CAF-500").first.wait_for()
    expect(journey.get_by_role("checkbox")).to_have_count(3)


def test_04_say_that_a_parcel_left(journey: Page, world: World) -> None:
    order = world.exported("2000010000000041", status="invoiced", invoiced_at=timezone.now())
    journey.goto("/scan/?mode=dispatch")
    journey.get_by_label("Bipe ou digite um número").fill("2000010000000041")
    journey.keyboard.press("Enter")
    journey.get_by_label("Código de rastreio").fill("BR123456789BR")
    journey.get_by_role("button", name="Marcar como despachado").click()
    journey.get_by_role("button", name="Desfazer").wait_for()
    order.refresh_from_db()
    assert order.shipments.get().tracking_code == "BR123456789BR"


def test_05_mend_what_failed(journey: Page, world: World) -> None:
    from connectors.models import Job

    job = world.export_job(world.order("2000010000000051"))
    journey.goto("/")
    journey.get_by_role("link", name="1 etapa foi recusada e espera por você.").click()
    journey.get_by_label("Escolher tudo nesta página").check()
    journey.get_by_role("button", name="Tentar os escolhidos de novo").click()
    journey.get_by_text("1 nova tentativa em andamento.").first.wait_for()
    job.refresh_from_db()
    assert job.state == Job.State.READY


def test_06_let_a_held_order_go(journey: Page, world: World) -> None:
    order = world.order("2000010000000061", held=True, holds=["fraud"])
    journey.goto("/reports/untransmitted/")
    journey.get_by_role("button", name="Liberar").first.click()
    journey.get_by_text("Nada está parado aqui").wait_for()
    order.refresh_from_db()
    assert not order.held


def test_07_see_what_sells(journey: Page, world: World) -> None:
    from monitoring.insights import tally

    world.exported("2000010000000071", placed_at=timezone.now() - timedelta(days=2))
    tally.count_all()
    journey.goto("/insights/")
    journey.get_by_role("link", name="Últimos 7 dias").click()
    journey.get_by_text("119,90").first.wait_for()


def test_08_connect_a_channel(journey: Page, world: World) -> None:
    from connectors.models import Connection

    Connection.objects.filter(role="channel").delete()
    journey.goto("/")
    journey.get_by_role("link", name="Escolher um canal").first.click()
    journey.get_by_role("link", name="Amazon").click()
    journey.get_by_label("Nome").first.fill("Amazon da casa")
    expect(journey.get_by_role("button", name="Conectar")).to_have_count(1)


def test_09_be_sure_that_nothing_is_missing(journey: Page, world: World) -> None:
    from tests.browser.test_comparison import compared

    compared(world)
    journey.goto("/comparison/")
    journey.get_by_text("falta 1").first.wait_for()
    expect(journey.get_by_text("2000010000012345")).to_have_count(1)


def test_10_bring_a_colleague_in(journey: Page, world: World) -> None:
    journey.goto("/people/")
    journey.get_by_label("E-mail").fill("bia@casa.example")
    journey.get_by_role("button", name="Enviar o convite").click()
    journey.get_by_label("O link funciona uma vez", exact=False).wait_for()
    assert world.seller.invitations.get().email == "bia@casa.example"
