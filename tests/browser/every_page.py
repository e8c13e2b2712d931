"""Every page a person can look at, with something on it: what the tests of quality walk through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import reverse

if TYPE_CHECKING:
    from django.http import HttpResponseBase
    from django.test import Client

    from tests.monitoring.world import World


def furnish(world: World) -> None:
    """An order in every situation, trouble of every kind, and people."""
    from hub.models import Membership
    from hub.people import places
    from monitoring.models import Finding
    from orders.models import Rule, Shipment
    from tests.monitoring.world import person

    order = world.order("2000010000000001", held=True, holds=["fraud"])
    world.export_job(order)
    world.call(order)
    world.export_job(world.exported("2000010000000002"), "unknown")
    world.exported("2000010000000003", status="shipped")
    Shipment.objects.create(order=order, source="erp", external_id="1", carrier="Jadlog", answer="refused")
    world.rejected("2000010000000004")
    world.incident()
    world.alert()
    Finding.objects.create(seller=world.seller, connection=world.erp, order=order, kind="total_differs", key="t")
    Rule.objects.create(
        seller=world.seller, name="Conferir", when={"least": "1000", "states": ["SP", "RJ"]}, tags=["conferir"],
        hold=True, boost=30, reason="Ligar para o comprador",
    )  # fmt: skip
    person("vera", world, Membership.Role.VIEWER)
    places.invite(world.seller, "new@casa.example", "viewer", "ana")


def addresses(client: Client) -> list[str]:
    """Of all pages that this person may open, new ones too: they are taken from the project's own list."""
    from monitoring.reports.base import REPORTS
    from tests.monitoring.test_strangers import NAMES, _path

    # Actions on rows that are not there have no address.
    named = [_path(name) for name in NAMES if _has_row(name)]
    asked = ["/", *named, *(reverse("report", args=[name]) for name in REPORTS)]
    return [path for path in dict.fromkeys(asked) if _is_page(client.get(path))]


def _has_row(name: str) -> bool:
    from tests.monitoring.test_strangers import ROWS

    model = ROWS.get(name.split("_")[0])
    return model is None or model.objects.exists()


def _is_page(answer: HttpResponseBase) -> bool:
    """Not an action, a file, or an answer to a machine."""
    return answer.status_code == 200 and answer["Content-Type"].startswith("text/html")
