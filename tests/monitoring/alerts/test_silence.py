"""No error is the worst error: a channel that falls silent is noticed, one that sleeps is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from connectors.models import Connection
from monitoring.alerts import silence, watch
from monitoring.models import Alert, AlertRule, Heartbeat, UsualHour
from monitoring.tasks import learn
from orders.models import Order
from tests.monitoring.world import World
from tests.support.toy import Toys, toys

pytestmark = pytest.mark.django_db
HERE = ZoneInfo("America/Sao_Paulo")
OPENS, CLOSES, EACH_HOUR = 9, 22, 3


def last_monday() -> datetime:
    """Midnight of the newest Monday that is over."""
    local = timezone.now().astimezone(HERE)
    day = local.date() - timedelta(days=local.weekday() + (0 if local.hour >= CLOSES else 7))
    return datetime.combine(day, time.min, HERE).astimezone(UTC)


@pytest.fixture
def shop() -> Iterator[Toys]:
    """Three orders an hour from 9 to 22 h, each day of four weeks up to a Sunday; taken in by the poll."""
    with toys() as made:
        number = 0
        for day in range(1, 30):
            for hour in range(OPENS, CLOSES):
                for part in range(EACH_HOUR):
                    placed = last_monday() - timedelta(days=day) + timedelta(hours=hour, minutes=15 * part)
                    made.shop.place(str(number := number + 1), placed=placed.isoformat())
        made.poll()
        Order.objects.update(exported_at=timezone.now())
        AlertRule.objects.create(seller=made.seller, kind="silence")
        yield made


def look(shop: Toys, at: datetime, polled: bool = True) -> list[Alert]:
    """As the watch sees it at that moment; the channel is asked regularly, unless its poller was stopped."""
    if polled:
        Connection.objects.filter(seller=shop.seller).update(next_poll_at=at + timedelta(seconds=30))
    watch.look(shop.seller, at)
    return list(Alert.objects.filter(seller=shop.seller).exclude(state=Alert.State.MENDED))


def test_rings_when_a_selling_hour_stays_empty_and_not_at_night(shop: Toys) -> None:
    monday = last_monday()
    silence.learn(shop.channel, monday)
    assert UsualHour.objects.filter(connection=shop.channel, weeks=4).count() == 7 * (CLOSES - OPENS)
    assert UsualHour.objects.get(connection=shop.channel, hour=2 * 24 + 10).orders == EACH_HOUR
    for quiet in (0, 4, 8, 9, 10):
        assert look(shop, monday + timedelta(hours=quiet)) == []
    rung = look(shop, monday + timedelta(hours=10.5))
    assert [alert.code for alert in rung] == ["silence"]
    assert rung[0].data["usual"] == 6 and rung[0].path == f"/connections/{shop.channel.pk}/"
    # The next order ends it.
    shop.shop.place("next", placed=(monday + timedelta(hours=10.6)).isoformat())
    shop.poll()
    assert look(shop, monday + timedelta(hours=10.7)) == []


def test_a_stopped_poller_is_noticed_within_its_window(shop: Toys) -> None:
    monday = last_monday()
    silence.learn(shop.channel, monday)
    assert look(shop, monday) == []
    Connection.objects.filter(pk=shop.books.pk).update(next_poll_at=monday + timedelta(days=1))
    # It was due half a minute after midnight.
    assert look(shop, monday + timedelta(minutes=10), polled=False) == []
    rung = look(shop, monday + timedelta(minutes=10.5), polled=False)
    assert [(alert.code, alert.cause) for alert in rung] == [("poll_silent", f"poll_silent:{shop.channel.pk}")]


def test_a_paused_channel_is_silent_by_choice(shop: Toys) -> None:
    monday = last_monday()
    silence.learn(shop.channel, monday)
    Connection.objects.filter(pk=shop.channel.pk).update(state=Connection.State.PAUSED)
    assert look(shop, monday + timedelta(days=2)) == []
    Connection.objects.filter(pk=shop.channel.pk).update(state=Connection.State.ACTIVE, paused_flows=["poll"])
    assert look(shop, monday + timedelta(days=2)) == []


def test_where_all_stands_still_each_channel_need_not_ring(shop: Toys) -> None:
    monday = last_monday()
    Heartbeat.objects.create(name="worker", at=monday)
    assert look(shop, monday + timedelta(hours=1), polled=False) == []


def test_a_resumed_channel_is_asked_first(shop: Toys) -> None:
    monday = last_monday()
    silence.learn(shop.channel, monday)
    Connection.objects.filter(seller=shop.seller).update(next_poll_at=monday + timedelta(hours=20))
    assert look(shop, monday + timedelta(hours=20), polled=False) == []
    assert look(shop, monday + timedelta(hours=20, minutes=1)) != []


def test_silence_is_not_learnt_as_usual(shop: Toys) -> None:
    monday = last_monday()
    assert silence.learn_all(monday) == 1 and silence.learn_all(monday + timedelta(hours=1)) == 0
    known = silence.usual_hours(shop.channel)
    Connection.objects.update(next_poll_at=monday + timedelta(days=99))
    assert silence.learn_all(monday + timedelta(days=20)) == 0
    assert silence.usual_hours(shop.channel) == known
    assert look(shop, monday + timedelta(days=20)) != []


# --- What is usual ---------------------------------------------------------------------------------------------------


def sold(world: World, at: datetime, count: int) -> None:
    now = timezone.now()
    Order.objects.bulk_create(
        Order(
            seller=world.seller, channel=world.channel, external_id=f"{at}-{one}", placed_at=at, version_at=now,
            content_hash="x", status="approved",
        )
        for one in range(count)
    )  # fmt: skip


def test_a_new_shop_has_no_usual_hours(world: World) -> None:
    now = last_monday()
    for day in range(20):
        sold(world, now - timedelta(days=day, hours=1), 50)
    silence.learn(world.shop, now)
    assert silence.usual_hours(world.shop) == {}
    Connection.objects.update(next_poll_at=now + timedelta(days=9))
    world.shop.refresh_from_db()
    assert silence.unusual(world.shop, now + timedelta(days=2)) is None
    sold(world, now - timedelta(days=22), 1)
    silence.learn(world.shop, now)
    assert silence.usual_hours(world.shop) != {}


def test_a_shop_without_any_order(world: World) -> None:
    learn()
    assert not UsualHour.objects.exists()


def test_a_great_sale_is_not_usual(world: World) -> None:
    now = last_monday()
    for week in range(8):
        sold(world, now - timedelta(weeks=week, hours=2), 500 if week == 3 else 10)
    sold(world, now - timedelta(weeks=9), 1)
    silence.learn(world.shop, now)
    assert silence.usual_hours(world.shop) == {22 + 6 * 24: 10.0}


def test_a_shop_that_sells_less_is_measured_by_what_it_sells_now(world: World) -> None:
    now = last_monday()
    for week in range(8):
        sold(world, now - timedelta(weeks=week, hours=2), 2 if week < 2 else 10)
    sold(world, now - timedelta(weeks=9), 1)
    silence.learn(world.shop, now)
    assert silence.usual_hours(world.shop) == {22 + 6 * 24: pytest.approx(2.0)}


def test_parts_of_hours_count_in_part() -> None:
    noon = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
    usual = {12: 4.0, 13: 8.0}
    half = timedelta(minutes=30)
    assert silence.expected(usual, noon + half, noon + 3 * half, HERE) == pytest.approx(2.0 + 4.0)
    assert silence.expected(usual, noon, noon, HERE) == 0
    assert silence.hour_of_week(noon, HERE) == 12
    assert silence.hour_of_week(noon, ZoneInfo("America/Manaus")) == 11
