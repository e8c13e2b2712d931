"""Which order goes first: the parts, the sentence of each, and that the database sorts as the parts add up."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone, translation

from orders import priority
from orders.documents import Buyer, Milestones
from orders.models import Order
from orders.priority import Part
from orders.vocabulary import OrderStatus
from tests.orders.factory import START, channel, document, taken


def test_urgency_grows_in_the_last_three_days() -> None:
    now = timezone.now()
    found = [priority.urgency(now + timedelta(hours=hours), now) for hours in (100, 72, 36, 0, -5)]
    assert found == [0, 0, 50, 100, 100]
    assert priority.urgency(None, now) == 0


def test_a_usual_order_is_worth_fifty() -> None:
    usual = Decimal(200)
    assert [priority.impact(Decimal(total), usual) for total in (0, 200, 600, 20_000)] == [0, 50, 75, 99]


def test_little_work_and_known_customers() -> None:
    assert [priority.cost(pieces) for pieces in (0, 1, 5, 13)] == [100, 100, 50, 25]
    assert [priority.customer(earlier, []) for earlier in (0, 1, 2)] == [0, 50, 67]
    assert priority.customer(0, ["vip"]) == 100


@pytest.mark.django_db
def test_weights_are_the_sellers_and_never_nothing() -> None:
    seller = channel().seller
    assert priority.weights_of(seller) == dict(priority.USUAL_WEIGHTS)
    seller.weights = {"urgency": 1, "impact": 3, "cost": 0, "customer": -4}
    assert priority.weights_of(seller) == {"urgency": 1, "impact": 3, "cost": 0, "customer": 0}
    seller.weights = dict.fromkeys(Part.values, 0)
    assert priority.weights_of(seller) == dict(priority.USUAL_WEIGHTS)


@pytest.fixture
def three(db: None) -> list[Order]:
    """The second is late, the third is the second sale to one buyer."""
    shop = channel()
    now = timezone.now()
    ships = (now + timedelta(hours=50), now - timedelta(hours=1), now)
    buyers = ("52998224725", "11144477735", "52998224725")
    for number, (ship_by, buyer) in enumerate(zip(ships, buyers, strict=True)):
        placed = START + timedelta(hours=number)
        taken(shop, document(f"S{number}", placed_at=placed, ship_by=ship_by, buyer=Buyer(name="A", document=buyer)))
    # The channel's calendar would have given it one.
    Order.objects.filter(external_id="S2").update(ship_by=None)
    return list(Order.objects.select_related("seller", "channel").order_by("external_id"))


def test_the_database_sorts_by_what_the_parts_add_up_to(three: list[Order]) -> None:
    assert priority.rank() == 3
    assert priority.rank() == 0
    now = timezone.now()
    seller = three[0].seller
    rows = Order.objects.annotate(score=priority.by_score([seller], now)).order_by("-score")
    earlier, pieces = priority.earlier_orders(three), priority.pieces(three)
    usual = priority.usual_totals([seller.pk])[seller.pk]
    assert rows[0].external_id == "S1"
    assert [earlier.get(order.pk, 0) for order in three] == [0, 0, 1]
    for order in rows:
        reasons = priority.explain(order, now, pieces[order.pk], earlier.get(order.pk, 0), usual)
        assert abs(priority.score(reasons, 0) - order.score) < 1.5


def test_only_open_orders_are_weighed_and_a_change_weighs_anew(three: list[Order]) -> None:
    shop = three[0].channel
    taken(shop, document("GONE", milestones=Milestones(approved_at=START, shipped_at=START)))
    assert priority.rank(limit=2) == 2
    assert priority.rank() == 1
    priority.weigh_anew(Order.objects.filter(pk=three[0].pk))
    assert set(Order.objects.filter(worth=None).values_list("external_id", flat=True)) == {"S0", "GONE"}
    taken(shop, document("S1", version=9, notes="x"))
    assert Order.objects.get(external_id="S1").worth is None
    assert priority.rank() == 2


@pytest.fixture
def _in_english() -> Iterator[None]:
    with translation.override("en"):
        yield


@pytest.mark.usefixtures("_in_english")
def test_each_part_says_why(three: list[Order]) -> None:
    now = timezone.now()
    late, without = three[1], three[2]
    said = [reason.why for reason in priority.explain(late, now, 3, 0, Decimal(15))]
    assert said == ["1 h late", "worth 2.0 times a usual order", "3 pieces to pack", "first order of this buyer"]
    without.tags = ["vip"]
    said = [reason.why for reason in priority.explain(without, now, 1, 1, Decimal(15))]
    assert (said[0], said[2], said[3]) == ("no deadline is known", "1 piece to pack", "marked as important")


def test_a_gone_order_keeps_no_place(three: list[Order]) -> None:
    Order.objects.update(status=OrderStatus.SHIPPED)
    assert priority.rank() == 0
