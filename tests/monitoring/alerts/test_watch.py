"""Each move between "open", "told", "taken" and "mended", with the clock turned by hand."""

from datetime import time as clock
from datetime import timedelta
from unittest.mock import patch

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from monitoring.alerts import causes, watch
from monitoring.models import Alert, Delivery
from tests.monitoring.alerts.bench import NINE, Bench

pytestmark = pytest.mark.django_db


def purposes(messages: list[Delivery]) -> list[str]:
    return [one.purpose for one in messages]


def test_told_once_then_reminded_then_mended(bench: Bench) -> None:
    bench.there_is("a")
    first = bench.look()
    assert purposes(first) == ["new"]
    assert "a: 1 steps could run" in first[0].body and "/x/" in first[0].body
    assert bench.look(minutes=1) == [] == bench.look(minutes=200)
    assert purposes(bench.look(minutes=60)) == ["reminder"]
    assert bench.look(minutes=1) == []
    bench.there_is()
    mended = bench.look(minutes=30)
    assert purposes(mended) == ["mended"] and mended[0].subject.startswith("Casa: Mended: a:")
    assert bench.look(minutes=30) == []
    assert bench.alert().state == Alert.State.MENDED and bench.alert().told == 3


def test_one_message_in_a_window_whatever_it_does_meanwhile(bench: Bench) -> None:
    bench.there_is("a")
    assert len(bench.look()) == 1
    for _change in range(6):
        bench.there_is()
        assert bench.look(minutes=1) == []
        bench.there_is("a")
        assert bench.look(minutes=1) == []
    bench.there_is()
    assert bench.look(minutes=1) == []
    told = bench.look(minutes=3)
    assert purposes(told) == ["mended"]
    # 13 changes without a message, the last of which this one tells.
    assert "(and 12 messages held back)" in told[0].body
    assert Alert.objects.count() == 1 and bench.alert().suppressed == 0


def test_what_came_and_went_within_the_window_is_still_told_as_open(bench: Bench) -> None:
    bench.there_is("a")
    bench.look()
    bench.there_is()
    assert purposes(bench.look(minutes=20)) == ["mended"]
    bench.there_is("a")
    assert bench.look(minutes=5) == []
    assert purposes(bench.look(minutes=10)) == ["new"]


def test_much_later_it_is_a_new_alert(bench: Bench) -> None:
    bench.there_is("a")
    bench.look()
    bench.there_is()
    bench.look(hours=1)
    bench.there_is("a")
    assert purposes(bench.look(hours=1)) == ["new"]
    assert Alert.objects.count() == 2


def test_ten_thousand_causes_are_one_message(bench: Bench) -> None:
    bench.there_is(*(f"cause {number}" for number in range(10_000)))
    with CaptureQueriesContext(connection) as first:
        told = bench.look()
    assert len(told) == 1 and "… and 9,990 more" in told[0].body
    assert len(told[0].body.splitlines()) < 30 and len(told[0].data["alerts"]) == 100
    assert told[0].data["more"] == 9_900
    assert Alert.objects.filter(told=1).count() == 10_000
    with CaptureQueriesContext(connection) as idle:
        assert bench.look(minutes=1) == []
    bench.there_is()
    with CaptureQueriesContext(connection) as last:
        mended = bench.look(minutes=20)
    assert purposes(mended) == ["mended"] and "… and 9,990 more" in mended[0].body
    assert Alert.objects.filter(state="mended", told=2, suppressed=0).count() == 10_000
    # SQLite takes fewer parameters in one statement.
    most = 300 if connection.vendor == "sqlite" else 150
    assert len(first) < most and len(idle) < 30 and len(last) < most


def test_a_trickle_of_causes_has_a_budget(bench: Bench) -> None:
    for number in range(1, 21):
        bench.there_is(*(f"c{one}" for one in range(number)))
        bench.look(seconds=30)
    assert Delivery.objects.count() == watch.BUDGET
    late = bench.look(minutes=16)
    assert len(late) == 1 and late[0].purpose == "new"
    assert {one["cause"] for one in late[0].data["alerts"] if one["part"] == "new"} == {f"c{n}" for n in range(5, 20)}


def test_reminders_go_together(bench: Bench) -> None:
    bench.there_is("a")
    bench.look()
    bench.there_is("a", "b")
    bench.look(hours=1)
    reminded = bench.look(hours=3)
    assert purposes(reminded) == ["reminder"]
    assert {one["cause"] for one in reminded[0].data["alerts"]} == {"a", "b"}
    assert bench.look(hours=1) == []


def test_no_reminders_where_none_are_wanted(bench: Bench) -> None:
    bench.set(remind_minutes=0)
    bench.there_is("a")
    bench.look()
    assert bench.look(hours=100) == []


def test_taken_is_quiet_until_it_is_mended(bench: Bench) -> None:
    bench.set(escalate_minutes=30)
    bench.rule.escalate_to.set([bench.destination("Boss")])
    bench.there_is("a")
    bench.look()
    Alert.objects.update(state=Alert.State.TAKEN, taken_by="ana")
    assert bench.look(hours=9) == []
    bench.there_is()
    assert purposes(bench.look(minutes=1)) == ["mended"]
    bench.there_is("a")
    bench.look(minutes=20)
    assert bench.alert().state == Alert.State.OPEN and bench.alert().taken_by == ""


def test_somebody_else_is_called_when_nobody_takes_it(bench: Bench) -> None:
    boss = bench.destination("Boss")
    bench.set(escalate_minutes=30)
    bench.rule.escalate_to.set([boss])
    bench.there_is("a")
    assert [one.destination.name for one in bench.look()] == ["Phone"]
    assert bench.look(minutes=29) == []
    called = bench.look(minutes=2)
    assert [(one.destination.name, one.purpose) for one in called] == [("Boss", "escalation")]
    assert bench.look(minutes=30) == []
    bench.there_is()
    assert {one.destination.name for one in bench.look(minutes=30)} == {"Phone", "Boss"}


def test_nobody_else_to_call(bench: Bench) -> None:
    bench.set(escalate_minutes=30)
    bench.there_is("a")
    bench.look()
    assert bench.look(hours=1) == [] and bench.alert().escalated_at is None


def test_snoozed_wakes_at_its_time_or_by_growth(bench: Bench) -> None:
    bench.there_is("a", count=4)
    bench.look()
    Alert.objects.update(snoozed_until=bench.now + timedelta(hours=10), snoozed_above=8)
    bench.there_is("a", count=8)
    assert bench.look(hours=9) == []
    bench.there_is("a", count=9)
    grown = bench.look(minutes=1)
    assert purposes(grown) == ["reminder"] and bench.alert().snoozed_until is None
    Alert.objects.update(snoozed_until=bench.now + timedelta(hours=10), snoozed_above=None)
    assert bench.look(hours=9) == []
    assert purposes(bench.look(hours=1)) == ["reminder"]


def test_what_comes_in_stages_is_told_at_each(bench: Bench) -> None:
    bench.set(remind_minutes=60)
    bench.there_is("a", stage=30)
    assert purposes(bench.look()) == ["new"]
    assert bench.look(hours=30) == []
    Alert.objects.update(snoozed_until=bench.now + timedelta(days=3))
    bench.there_is("a", stage=7)
    assert purposes(bench.look(hours=1)) == ["reminder"]
    assert bench.look(hours=30) == []
    bench.there_is("a", stage=0)
    assert purposes(bench.look(hours=1)) == ["reminder"] == purposes(bench.look(hours=2))
    bench.there_is()
    assert purposes(bench.look(hours=1)) == ["mended"]


def test_what_a_person_knows_already_calls_nobody(bench: Bench) -> None:
    bench.there_is("a", muted=True)
    assert bench.look() == [] == bench.look(hours=9)
    bench.there_is("a")
    assert purposes(bench.look(minutes=1)) == ["new"]


# --- Quiet hours -----------------------------------------------------------------------------------------------------


def test_quiet_hours_end_with_one_summary(bench: Bench) -> None:
    bench.set(quiet_from=clock(22), quiet_until=clock(7))
    bench.there_is("told before")
    bench.look()
    bench.there_is("told before", "stays", "comes and goes")
    # 22:30, then 0:30, 3:30, 6:59: across midnight.
    assert bench.look(hours=13.5) == []
    bench.there_is("stays")
    assert bench.look(hours=2) == [] == bench.look(hours=3)
    assert bench.look(hours=3, minutes=29) == []
    morning = bench.look(minutes=1)
    assert len(morning) == 1
    parts = {one["cause"]: one["part"] for one in morning[0].data["alerts"]}
    assert parts == {"told before": "mended", "stays": "new", "comes and goes": "passed"}
    assert bench.look(minutes=1) == []


def test_several_rules_end_their_quiet_hours_in_one_message(bench: Bench) -> None:
    bench.set(quiet_from=clock(22), quiet_until=clock(7))
    bench.rule_for(bench.phone, quiet_from=clock(22), quiet_until=clock(7))
    bench.there_is("a")
    assert bench.look(hours=14) == []
    assert len(bench.look(hours=9)) == 1


def test_urgent_breaks_through(bench: Bench) -> None:
    bench.set(quiet_from=clock(22), quiet_until=clock(7), escalate_minutes=10)
    bench.rule.escalate_to.set([bench.destination("Boss")])
    bench.there_is("a", urgent=True)
    assert len(bench.look(hours=15)) == 1
    assert purposes(bench.look(minutes=10)) == ["escalation"]


def test_an_urgent_rule_breaks_through(bench: Bench) -> None:
    bench.set(quiet_from=clock(22), quiet_until=clock(7), urgent=True)
    bench.there_is("a")
    assert len(bench.look(hours=15)) == 1


@pytest.mark.parametrize(
    ("zone", "hour", "quiet"),
    [
        # 12 h UTC plus so many hours. Manaus is an hour behind São Paulo; neither has daylight time.
        ("America/Sao_Paulo", 12.9, False),
        ("America/Sao_Paulo", 13, True),
        ("America/Sao_Paulo", 21.9, True),
        ("America/Sao_Paulo", 22, False),
        ("America/Manaus", 13.9, False),
        ("America/Manaus", 14, True),
        ("America/Manaus", 22.9, True),
        ("America/Manaus", 23, False),
    ],
)
def test_quiet_hours_are_the_sellers(bench: Bench, zone: str, hour: float, quiet: bool) -> None:
    bench.seller.time_zone = zone
    bench.rule.seller, bench.rule.quiet_from, bench.rule.quiet_until = bench.seller, clock(22), clock(7)
    assert watch.is_quiet(bench.rule, NINE + timedelta(hours=hour)) is quiet


def test_quiet_hours_within_a_day(bench: Bench) -> None:
    bench.rule.quiet_from, bench.rule.quiet_until = clock(12), clock(13)
    hours = {hour for hour in range(24) if watch.is_quiet(bench.rule, NINE.replace(hour=0) + timedelta(hours=hour))}
    assert hours == {15}


# --- What can go wrong -----------------------------------------------------------------------------------------------


def test_a_rule_that_fails_says_nothing_is_mended_and_stops_nobody(bench: Bench) -> None:
    bench.there_is("a")
    bench.look()

    def broken(seller: object, params: object, now: object) -> None:
        # The rest of the look must still work on the same connection.
        connection.cursor().execute("SELECT nothing FROM nowhere")

    bench.rule_for(bench.phone, kind="incident")
    with bench.asked(), patch.dict(causes.KINDS, {"backlog": broken}):
        watch.look(bench.seller, bench.now + timedelta(hours=9))
    assert bench.alert().state == Alert.State.OPEN


def test_a_crash_while_it_writes_changes_nothing(bench: Bench) -> None:
    bench.there_is("a")
    with (
        patch("monitoring.alerts.watch.Outbox.save", side_effect=OperationalError("gone")),
        pytest.raises(OperationalError),
    ):
        bench.look()
    assert not Delivery.objects.exists() and not Alert.objects.exists()
    assert len(bench.look()) == 1


def test_a_rule_that_is_switched_off_leaves_nothing_open(bench: Bench) -> None:
    bench.there_is("a")
    bench.look()
    bench.set(active=False)
    assert bench.look(hours=1) == []
    assert bench.alert().state == Alert.State.MENDED
    bench.set(active=True)
    assert purposes(bench.look(hours=1)) == ["new"]


def test_two_workers_make_one_look(bench: Bench) -> None:
    bench.there_is("a")
    with bench.asked():
        assert watch.tick(NINE)
        assert not watch.tick(NINE + timedelta(seconds=5))
        assert watch.tick(NINE + timedelta(seconds=30))
    assert Delivery.objects.filter(destination=bench.phone).count() == 1


def test_a_hub_that_stood_still_says_so_once(bench: Bench) -> None:
    bench.rule_for(bench.phone, kind="process_silent")
    watch.tick(NINE)
    watch.tick(NINE + timedelta(hours=2))
    message = Delivery.objects.get(destination=bench.phone)
    assert "The hub stood still from" in message.body
    watch.tick(NINE + timedelta(hours=2, minutes=1))
    watch.tick(NINE + timedelta(hours=2, minutes=2))
    assert Delivery.objects.filter(destination=bench.phone).count() == 1
    assert Alert.objects.get(code="process_gap").state == Alert.State.MENDED
