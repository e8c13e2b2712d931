"""What each person chose to be told: by e-mail at once, in the dashboard, in the summary, or not at all."""

from collections.abc import Callable
from datetime import time, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import translation

from hub.models import Activity, Membership
from hub.people import places
from monitoring.alerts import defaults, preferences, sending
from monitoring.alerts.preferences import Kind, Way
from monitoring.models import Alert, AlertPreference, AlertRule, Delivery, Destination
from tests.monitoring.alerts.bench import NINE, Bench
from tests.monitoring.world import World, browser_of, person, text_of

pytestmark = pytest.mark.django_db
PATH = "/account/told/"


def somebody(name: str, world: World, role: str = Membership.Role.OPERATOR) -> Membership:
    user = person(name, world, role)
    User.objects.filter(pk=user.pk).update(email=f"{name}@casa.example")
    return Membership.objects.select_related("user", "seller").get(user=user)


def choose(place: Membership, **ways: str) -> Destination:
    with translation.override("en"):
        return preferences.choose(place, {**preferences.ways_of(place), **ways})


def mails(messages: list[Delivery]) -> list[str]:
    return sorted(one.destination.place.user.username for one in messages if one.destination.place)


@pytest.fixture
def rui(world: World) -> Membership:
    return somebody("rui", world)


# --- By e-mail -------------------------------------------------------------------------------------------------------


def test_who_chose_it_is_mailed_at_once_and_nobody_else(bench: Bench, world: World, rui: Membership) -> None:
    somebody("eva", world)
    assert bench.look() == []
    choose(rui, backlog=Way.EMAIL)
    bench.there_is("a")
    told = bench.look()
    assert mails(told) == ["rui"] and {one.destination.name for one in told} == {"Phone", "rui"}
    bench.there_is()
    assert mails(bench.look(minutes=30)) == ["rui"]
    choose(rui, backlog=Way.PAGE)
    bench.there_is("b")
    assert mails(bench.look(hours=1)) == []


@pytest.mark.parametrize("way", [Way.PAGE, Way.SUMMARY, Way.NOTHING])
def test_any_other_way_is_no_mail(bench: Bench, rui: Membership, way: str) -> None:
    choose(rui, backlog=way, incident=Way.EMAIL)
    bench.there_is("a")
    assert mails(bench.look()) == []


def test_two_kinds_in_one_look_are_told_apart(bench: Bench, world: World, rui: Membership) -> None:
    eva = somebody("eva", world)
    choose(rui, backlog=Way.EMAIL)
    choose(eva, incident=Way.EMAIL)
    bench.rule_for(kind="incident")
    world.incident(orders=1)
    bench.there_is("a")
    told = {one.destination.name: one.data["alerts"] for one in bench.look()}
    assert [one["code"] for one in told["rui"]] == ["backlog"]
    assert [one["code"] for one in told["eva"]] == ["incident"]


def test_it_goes_the_way_of_all_messages(bench: Bench, rui: Membership, mailoutbox: list[Any]) -> None:
    """Quiet hours, reminders, the window and the count of what was held back are the rule's."""
    choose(rui, backlog=Way.EMAIL)
    bench.set(quiet_from=time(22), quiet_until=time(7))
    bench.there_is("a")
    assert mails(bench.look(hours=13)) == [] == mails(bench.look(hours=1))
    told = bench.look(hours=8)
    assert mails(told) == ["rui"]
    for _change in range(3):
        bench.there_is()
        bench.look(minutes=1)
        bench.there_is("a")
        bench.look(minutes=1)
    assert mails(bench.look(hours=4)) == ["rui"]
    Delivery.objects.exclude(destination__place=rui).delete()
    Delivery.objects.update(due_at=NINE)
    assert sending.send_due() == 2
    assert {tuple(mail.to) for mail in mailoutbox} == {("rui@casa.example",)}
    assert "(and 6 messages held back)" in mailoutbox[1].body
    assert mailoutbox[1].body.endswith(f"Choose what you are told: http://127.0.0.1:8000{PATH}")


def test_whoever_has_not_chosen_is_told_as_before(bench: Bench, world: World) -> None:
    ana, eva = somebody("ana", world, "owner"), somebody("eva", world, "owner")
    defaults.ensure(world.seller)
    owners = defaults._owners_mail(world.seller)
    bench.rule.destinations.set([owners])
    bench.there_is("a")
    assert [one.destination for one in bench.look()] == [owners]
    assert defaults.owners(world.seller) == ["ana@casa.example", "eva@casa.example"]
    choose(ana, backlog=Way.PAGE)
    assert defaults.owners(world.seller) == ["eva@casa.example"]
    bench.there_is("a", "b")
    assert [one.destination for one in bench.look(hours=1)] == [owners]
    choose(eva)
    bench.there_is("a", "b", "c")
    # She leaves the mail of the owners and goes on with her own.
    assert mails(bench.look(hours=1)) == ["eva"]
    assert Delivery.objects.filter(destination=owners).count() == 2


def test_owners_who_chose_are_called_where_owners_are(bench: Bench, world: World, rui: Membership) -> None:
    ana, eva = somebody("ana", world, "owner"), somebody("eva", world, "owner")
    choose(ana, backlog=Way.EMAIL)
    choose(eva, backlog=Way.PAGE)
    choose(rui, backlog=Way.EMAIL)
    bench.rule.escalate_to.add(defaults._owners_mail(world.seller))
    bench.set(escalate_minutes=30)
    bench.there_is("a")
    assert mails(bench.look()) == ["ana", "rui"]
    called = bench.look(minutes=31)
    assert mails(called) == ["ana"] and {one.purpose for one in called} == {"escalation"}


def test_who_leaves_is_told_nothing_any_more(
    bench: Bench, world: World, rui: Membership, mailoutbox: list[Any]
) -> None:
    person("ana", world)
    choose(rui, backlog=Way.EMAIL)
    bench.there_is("a")
    waiting = bench.look()
    assert mails(waiting) == ["rui"]
    bench.phone.delete()
    places.remove(rui, "ana")
    assert not Delivery.objects.exists() and not AlertPreference.objects.exists()
    assert sending.send_due() == 0 and bench.look(hours=5) == [] and mailoutbox == []


def test_who_may_not_sign_in_any_more_is_not_mailed(bench: Bench, rui: Membership, mailoutbox: list[Any]) -> None:
    there = choose(rui, backlog=Way.EMAIL)
    bench.there_is("a")
    bench.look()
    bench.phone.delete()
    User.objects.filter(pk=rui.user_id).update(is_active=False)
    Delivery.objects.update(due_at=NINE)
    assert sending.send_due() == 0 and mailoutbox == []
    assert Delivery.objects.get().error.startswith("This person has no e-mail address")
    assert mails(bench.look(hours=5)) == [] and sending.test(Destination.objects.get(pk=there.pk))


def test_a_mail_says_no_more_than_the_pages(bench: Bench, world: World, rui: Membership) -> None:
    bench.rule_for(kind="incident")
    world.incident(orders=2, value="77.70")
    eva = somebody("eva", world, "viewer")
    Membership.objects.filter(pk=eva.pk).update(sees_money=False)
    for place in (rui, Membership.objects.select_related("user", "seller").get(pk=eva.pk)):
        choose(place, incident=Way.EMAIL, digest=Way.EMAIL)
    AlertRule.objects.create(seller=world.seller, kind="digest", params={"hour": 9})
    world.exported("1", placed_at=NINE - timedelta(days=1), total="123.45")
    told = bench.look()
    said = {name: "".join(one.body for one in told if one.destination.name == name) for name in ("rui", "eva")}
    assert "77.70" in said["rui"] and "123.45" in said["rui"]
    assert "77.70" not in said["eva"] and "123.45" not in said["eva"] and said["eva"].count("•••") == 3


# --- In the daily summary --------------------------------------------------------------------------------------------


@pytest.fixture
def nine_o_clock(bench: Bench) -> AlertRule:
    return AlertRule.objects.create(seller=bench.seller, kind="digest", params={"hour": 9})


def test_the_summary_is_for_who_chose_it(bench: Bench, world: World, rui: Membership, nine_o_clock: AlertRule) -> None:
    choose(somebody("eva", world), digest=Way.NOTHING)
    choose(rui, digest=Way.EMAIL)
    assert mails(bench.look()) == ["rui"]


def test_what_was_left_to_the_summary_is_in_it_even_if_it_is_over(
    bench: Bench, world: World, rui: Membership, nine_o_clock: AlertRule
) -> None:
    eva = somebody("eva", world)
    choose(rui, digest=Way.EMAIL, backlog=Way.SUMMARY)
    choose(eva, digest=Way.EMAIL, backlog=Way.NOTHING)
    bench.now -= timedelta(hours=5)
    bench.there_is("gone", "open")
    bench.look()
    bench.there_is("open")
    bench.look(hours=1)
    told = {one.destination.name: one.body for one in bench.look(hours=4) if one.purpose == "digest"}
    assert "• open: " in told["rui"] and "• Mended: gone: " in told["rui"]
    assert "open: " not in told["eva"] and "gone: " not in told["eva"]


# --- In the dashboard ------------------------------------------------------------------------------------------------


def bell(client: Client, **headers: str) -> int:
    answer = client.get("/header/", headers={"x-refresh": "1", **headers})
    count: int = answer.context["top"].bell.count
    return count


def press(client: Client) -> str:
    newest = client.get("/header/", headers={"x-refresh": "1"}).context["top"].bell.newest
    return text_of(client.post("/alerts/mine/seen/", {"newest": newest}, follow=True))


def test_the_bell_counts_until_it_is_pressed(bench: Bench, world: World, rui: Membership) -> None:
    client = browser_of(rui.user)
    assert bell(client) == 0
    bench.there_is("a", "b")
    bench.look()
    assert bell(client) == 2 and "2 new alerts for you" in text_of(client.get("/orders/"))
    shown = press(client)
    assert "a: 1 steps could run" in shown and 'href="/x/"' in shown
    assert bell(client) == 0 and "Alerts for you" in text_of(client.get("/orders/"))
    bench.there_is("a", "b", "c")
    bench.look(minutes=20)
    assert bell(client) == 1
    # Seen by one is not seen by all.
    assert bell(browser_of(somebody("eva", world).user)) == 3
    bench.there_is()
    bench.look(minutes=30)
    assert bell(client) == 0 and "Over" in text_of(client.get("/alerts/mine/"))


def test_the_bell_rings_for_what_was_chosen(bench: Bench, rui: Membership) -> None:
    client = browser_of(rui.user)
    bench.there_is("a")
    bench.look()
    for way in Way:
        choose(rui, backlog=way)
        wanted = way in (Way.EMAIL, Way.PAGE)
        assert bell(client) == wanted
        assert ("a: 1 steps" in text_of(client.get("/alerts/mine/"))) is wanted


def test_what_nobody_is_called_for_does_not_ring(bench: Bench, rui: Membership) -> None:
    bench.there_is("a", muted=True)
    bench.look()
    assert Alert.objects.get().state == Alert.State.OPEN and bell(browser_of(rui.user)) == 0
    bench.there_is("a")
    bench.set(quiet_from=time(22), quiet_until=time(7))
    bench.look(hours=14)
    # The quiet hours are for messages: whoever looks at the page sees it.
    assert Alert.objects.get().held and bell(browser_of(rui.user)) == 1


def test_only_what_had_been_counted_is_seen(bench: Bench, rui: Membership) -> None:
    bench.there_is("a")
    bench.look()
    client = browser_of(rui.user)
    newest = client.get("/header/", headers={"x-refresh": "1"}).context["top"].bell.newest
    bench.there_is("a", "b")
    bench.look(minutes=1)
    client.post("/alerts/mine/seen/", {"newest": newest})
    assert bell(client) == 1
    for nonsense in ("", "x", "-1", "9" * 30):
        client.post("/alerts/mine/seen/", {"newest": nonsense})
    assert bell(client) == 1


def test_a_seller_that_is_not_in_view_stays_unseen(bench: Bench, other: World, rui: Membership) -> None:
    Membership.objects.create(user=rui.user, seller=other.seller)
    other.alert()
    bench.there_is("a")
    bench.look()
    client = browser_of(rui.user)
    assert bell(client) == 2
    client.post("/sellers/choose/", {"seller": bench.seller.pk})
    assert bell(client) == 1
    press(client)
    assert bell(client) == 0
    client.post("/sellers/choose/", {"seller": ""})
    assert bell(client) == 1


def test_a_stranger_hears_nothing(bench: Bench, stranger: Client) -> None:
    bench.there_is("a")
    bench.look()
    assert bell(stranger) == 0
    stranger.post("/alerts/mine/seen/", {"newest": 10**9})
    assert "a: 1 steps" not in text_of(stranger.get("/alerts/mine/")) and not AlertPreference.objects.exists()


def test_the_bell_is_one_statement_whatever_there_is(
    bench: Bench, world: World, other: World, rui: Membership, django_assert_num_queries: Callable[..., Any]
) -> None:
    Membership.objects.create(user=rui.user, seller=other.seller)
    bench.there_is(*(f"cause {number}" for number in range(200)))
    bench.look()
    choose(rui, silence=Way.NOTHING)
    with django_assert_num_queries(1):
        found = preferences.bell(rui.user_id, [world.seller.pk, other.seller.pk])
    assert found.count == 200 and found.text == "99+"


# --- The page --------------------------------------------------------------------------------------------------------


def given(place: Membership, **ways: str) -> dict[str, str]:
    return {"place": str(place.pk), **preferences.told_now(place), **ways}


def test_choosing_on_the_page(world: World, rui: Membership) -> None:
    defaults.ensure(world.seller)
    client = browser_of(rui.user)
    assert "What I am told" in text_of(client.get("/account/"))
    page = text_of(client.get(PATH))
    assert "Casa" in page and page.count('value="page" selected') == len(Kind) - 1
    answer = client.post(PATH, given(rui, incident="email", silence="nothing"))
    assert answer.status_code == 302
    ways = AlertPreference.objects.get(place=rui).ways
    assert (ways["incident"], ways["silence"], ways["digest"]) == ("email", "nothing", "nothing")
    mine = Destination.objects.get(place=rui)
    assert (mine.name, mine.language, mine.seller) == ("rui", "en", world.seller)
    assert Activity.objects.get(action="alerts_chosen").actor == "rui"
    # What one has chosen is not somebody else's to choose, or to change.
    ana = browser_of(person("ana", world))
    for path in ("", "messages/"):
        assert ana.get(f"/alerts/destinations/{mine.pk}/{path}").status_code == 404
    assert ana.post(f"/alerts/destinations/{mine.pk}/remove/").status_code == 404
    rule = AlertRule.objects.get(kind="incident")
    shown = text_of(ana.get(f"/alerts/rules/{rule.pk}/"))
    assert "E-mail dos donos</label>" in shown and "rui</label>" not in shown
    assert "E-mail, as this person chose" in text_of(ana.get("/alerts/"))


def test_the_page_says_how_an_owner_is_told_today(world: World) -> None:
    ana = somebody("ana", world, "owner")
    assert set(preferences.told_now(ana).values()) == {Way.EMAIL}
    defaults.ensure(world.seller)
    assert set(preferences.told_now(ana).values()) == {Way.EMAIL}
    AlertRule.objects.get(kind="silence").destinations.clear()
    AlertRule.objects.get(kind="digest").destinations.clear()
    told = preferences.told_now(ana)
    assert (told["silence"], told["digest"], told["incident"]) == (Way.PAGE, Way.NOTHING, Way.EMAIL)


def test_what_is_left_to_the_summary_needs_one(world: World, rui: Membership) -> None:
    client = browser_of(rui.user)
    assert "Only in the daily summary" not in text_of(client.get(PATH))
    assert client.post(PATH, given(rui, incident="summary")).status_code == 200
    defaults.ensure(world.seller)
    refused = text_of(client.post(PATH, given(rui, incident="summary")))
    assert "have it sent to you, too" in refused and not AlertPreference.objects.exists()
    assert client.post(PATH, given(rui, incident="summary", digest="email")).status_code == 302
    AlertRule.objects.filter(kind="silence").update(active=False)
    assert text_of(client.get(PATH)).count("No rule of this seller asks for it") == 1


def test_nobody_chooses_for_another(world: World, other: World, rui: Membership) -> None:
    zeca = somebody("zeca", other)
    client = browser_of(rui.user)
    client.post(PATH, given(zeca, incident="email"))
    assert not AlertPreference.objects.exists() and not Destination.objects.exists()
    assert "Outra" not in text_of(client.get(PATH))


def test_a_test_goes_to_this_person(world: World, rui: Membership, mailoutbox: list[Any]) -> None:
    client = browser_of(rui.user)
    answer = client.post(PATH, {**given(rui), "test": "yes"}, follow=True)
    assert "The test was sent to rui@casa.example." in text_of(answer)
    assert [mail.to for mail in mailoutbox] == [["rui@casa.example"]]
    User.objects.filter(pk=rui.user_id).update(email="")
    answer = client.post(PATH, {**given(rui), "test": "yes"}, follow=True)
    assert "It did not arrive: This person has no e-mail address" in text_of(answer)
    assert "No e-mail address is known of you" in text_of(answer)


def test_the_mail_of_the_owners_says_why_it_reaches_nobody(world: World, owner: Client) -> None:
    defaults.ensure(world.seller)
    assert "No owner of this seller has an e-mail address." in text_of(owner.get("/alerts/"))
    choose(Membership.objects.select_related("user", "seller").get(user__username="ana"))
    assert "Every owner has chosen for themselves" in text_of(owner.get("/alerts/"))
