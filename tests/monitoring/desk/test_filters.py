"""Every filter alone, some together, the chips that say which are set, and what comes first."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from monitoring.desk import filters
from orders import priority
from orders.models import Order, Shipment
from tests.monitoring.world import World, text_of


def numbers(client: Client, query: str = "") -> list[str]:
    return [row.order.external_id for row in client.get(f"/orders/?{query}").context["rows"]]


@pytest.fixture
def four(world: World) -> World:
    now = timezone.now()
    midnight = filters._beginning(timezone.localtime(now)) + timedelta(days=1)
    late = world.order("LATE", ship_by=now - timedelta(hours=1), tags=["vip", "gift"], total=Decimal(500))
    Shipment.objects.create(order=late, source="channel", external_id="1", carrier="Correios")
    world.order("TOMORROW", ship_by=midnight + timedelta(hours=12), city="São Paulo", state="SP", logistics="fulfilled")
    world.exported("SOON", ship_by=midnight + timedelta(days=3), status="invoiced", total=Decimal("10.50"))
    world.order("HELD", "pending", held=True, holds=["fraud"])
    Order.objects.get(external_id="HELD").items.update(sku="XIC-1")
    return world


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=open", ["LATE", "TOMORROW", "SOON"]),
        ("status=open&sort=new", ["SOON", "TOMORROW", "LATE"]),
        ("sort=first", ["LATE", "TOMORROW", "SOON"]),
        ("due=late", ["LATE"]),
        ("due=tomorrow", ["TOMORROW"]),
        ("due=held", ["HELD"]),
        ("held=yes", ["HELD"]),
        ("held=no", ["SOON", "TOMORROW", "LATE"]),
        ("erp=yes", ["SOON"]),
        ("erp=no", ["TOMORROW", "LATE"]),
        ("city=são paulo", ["TOMORROW"]),
        ("carrier=Correios", ["LATE"]),
        ("sku=XIC-1", ["HELD"]),
        ("tag=gift", ["LATE"]),
        ("tag=gif", []),
        ("logistics=fulfilled", ["TOMORROW"]),
        ("least=200", ["LATE"]),
        ("most=10,50", ["SOON"]),
        ("least=11&most=1.200,00&tag=vip&carrier=Correios&status=open&due=late", ["LATE"]),
        ("least=11&tag=vip&erp=yes", []),
        ("priority=high", ["LATE"]),
        ("least=x&most=NaN&logistics=y&held=z&ship_since=2026-99-01&tag=%00", ["HELD", "SOON", "TOMORROW", "LATE"]),
    ],
)
def test_each_filter_and_some_together(owner: Client, four: World, query: str, found: list[str]) -> None:
    priority.rank()
    assert numbers(owner, query) == found


def test_ship_by_between_two_days(owner: Client, four: World) -> None:
    day = timezone.localtime() + timedelta(days=1)
    assert numbers(owner, f"ship_since={day:%Y-%m-%d}&ship_until={day:%Y-%m-%d}") == ["TOMORROW"]


def test_chips_say_what_is_set_and_take_it_away(owner: Client, four: World) -> None:
    answer = owner.get(f"/orders/?status=open&channel={four.channel.pk}&sort=old&page=3")
    chips = answer.context["chips"]
    assert [(str(chip.label), chip.value) for chip in chips] == [("Channel", "Loja casa"), ("Status", "To dispatch")]
    assert chips[0].without == "?status=open&sort=old"
    assert "To dispatch <span" in text_of(answer)


def test_each_row_says_why_it_stands_there(owner: Client, four: World) -> None:
    priority.rank()
    answer = owner.get("/orders/?status=open")
    first = answer.context["rows"][0]
    assert first.place.score == round(sum(one.points * one.weight for one in first.place.reasons) / 100) > 90
    text = text_of(answer)
    assert "1 h late" in text
    assert "marked as important" in text
    assert owner.get("/orders/").context["rows"][0].place is None


def test_another_sellers_carrier_tag_or_sku_finds_nothing(owner: Client, four: World, other: World) -> None:
    theirs = other.order("THEIRS", tags=["gift"], city="Recife")
    Shipment.objects.create(order=theirs, source="channel", external_id="1", carrier="Correios")
    for query in (
        "tag=gift",
        "carrier=Correios",
        "sku=CAF-500",
        "city=Recife",
        "q=theirs",
        f"channel={other.channel.pk}",
    ):
        assert "THEIRS" not in numbers(owner, query)
