from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from monitoring.alerts import digest
from monitoring.models import Alert, AlertRule, DayCount, Delivery
from orders.models import SalesChannel
from tests.monitoring.alerts.bench import NINE, Bench
from tests.monitoring.world import World

pytestmark = pytest.mark.django_db
YESTERDAY = NINE - timedelta(days=1)


@pytest.fixture
def rule(bench: Bench) -> AlertRule:
    return bench.rule_for(bench.phone, kind="digest", params={"hour": 8})


def test_a_quiet_day_in_both_languages(world: World) -> None:
    assert "Nothing needs you." in digest.compose(world.seller, "en", NINE).body
    assert "Yesterday: 0 orders" in digest.compose(world.seller, "en", NINE).body
    assert "Yesterday" not in digest.compose(world.seller, "pt-br", NINE).body


def test_what_needs_somebody_comes_first_with_links(world: World, bench: Bench) -> None:
    world.order("1", ship_by=NINE - timedelta(hours=1))
    world.order("2", ship_by=NINE + timedelta(hours=1))
    world.export_job(world.order("3"))
    world.rejected("4")
    bench.there_is("a")
    bench.look()
    message = digest.compose(world.seller, "en", NINE)
    lines = message.body.splitlines()
    assert lines[0] == "Casa, 11/25/2026"
    assert lines[2] == "1 order is late: http://127.0.0.1:8000/orders/?due=late"
    assert lines[3] == "1 order is about to be late: http://127.0.0.1:8000/orders/?due=risk"
    assert lines[4] == "2 steps wait for a person: http://127.0.0.1:8000/failures/?show=person"
    assert lines[5].startswith("• a: 1 steps could run")
    assert message.subject == "Casa, 11/25/2026: 1 order is late"


def test_yesterday_by_channel_and_currency(world: World) -> None:
    world.order("1", placed_at=YESTERDAY)
    world.order("2", placed_at=YESTERDAY, total=Decimal("80.10"))
    # 23:59 of the day before in São Paulo is yesterday in UTC.
    world.order("3", placed_at=YESTERDAY.replace(hour=2, minute=59))
    world.order("4", placed_at=YESTERDAY, currency="USD", total=Decimal(5))
    lines = digest.compose(world.seller, "en", NINE).body.splitlines()
    assert "Yesterday: 3 orders, R$\u00a0200.00 + USD\u00a05.00" in lines
    assert "• Loja casa: 2, R$\u00a0200.00" in lines


def test_the_proof_of_yesterday(world: World) -> None:
    facts: dict[str, Any] = {"connection": world.shop, "day": YESTERDAY.date(), "channel_count": 3, "hub_count": 2}
    day = DayCount.objects.create(**facts, missing_in_hub=["A", "B", "C", "D"], erp_count=1)
    assert "Missing" not in digest.compose(world.seller, "en", NINE).body
    day.counted_at = timezone.now()
    day.save()
    said = "Loja casa: channel 3, hub 2, ERP 1. Missing: A, B, C …"
    assert said in digest.compose(world.seller, "en", NINE).body
    day.missing_in_hub = []
    day.save()
    # Nothing is said of an ERP that has not been counted.
    assert "Every sale of yesterday" not in digest.compose(world.seller, "en", NINE).body
    day.erp_counted_at = day.counted_at
    day.save()
    assert "Every sale of yesterday is in the hub and in the ERP." in digest.compose(world.seller, "en", NINE).body
    world.erp.delete()
    assert "Every sale of yesterday is in the hub.\n" in digest.compose(world.seller, "en", NINE).body


def test_short_enough_for_a_phone_on_the_worst_day(world: World, bench: Bench) -> None:
    world.order("1", ship_by=NINE - timedelta(hours=1))
    world.order("2", ship_by=NINE + timedelta(hours=1))
    world.export_job(world.order("3"))
    bench.there_is(*(f"cause {number}\nsecond line" for number in range(40)))
    bench.look()
    for number in range(12):
        channel = SalesChannel.objects.create(seller=world.seller, kind="amazon", name=f"Shop {number}")
        world.channel = channel
        world.order(f"of {number}", placed_at=YESTERDAY)
    for number in range(9):
        other = world.shop
        other.pk, other.channel, other.push_key = None, None, str(number)
        other.save()
        DayCount.objects.create(connection=other, day=YESTERDAY.date(), missing_in_erp=["A"], counted_at=timezone.now())
    body = digest.compose(world.seller, "pt-br", NINE).body
    lines = body.splitlines()
    assert len(lines) <= digest.LINES and lines[-1] == "http://127.0.0.1:8000/"
    assert len(lines) == digest.LINES


def test_written_once_a_day_at_its_hour(bench: Bench, rule: AlertRule) -> None:
    def written(**later: float) -> list[Delivery]:
        return [one for one in bench.look(**later) if one.purpose == "digest"]

    bench.now = NINE - timedelta(hours=1, minutes=1)
    assert written() == []
    assert len(written(minutes=1)) == 1
    assert written(minutes=1) == [] == written(hours=10)
    assert len(written(hours=14)) == 1
    rule.refresh_from_db()
    # Nobody wants yesterday's news in the evening.
    assert written(hours=34) == [] and Alert.objects.count() == 0
