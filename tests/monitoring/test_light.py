"""The light in the header: the same judgement as the first page's, on every page, for one statement now and then."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice

from connectors.models import Connection, InboxEntry, Job
from hub.models import Membership
from monitoring import figures
from monitoring.bench import many_orders
from monitoring.light import Light
from tests.monitoring.test_overview import OPEN
from tests.monitoring.test_strangers import NAMES, _path, fill
from tests.monitoring.world import World, browser_of, person, text_of

pytestmark = pytest.mark.django_db


def light(world: World) -> Light:
    cache.clear()
    return figures.light([world.seller.pk])


def part(client: Client) -> str:
    cache.clear()
    return " ".join(text_of(client.get("/header/", headers={"x-refresh": "1"})).split())


def test_green_when_every_sale_is_in_the_erp(owner: Client, world: World) -> None:
    world.exported("1")
    assert light(world).tone == "green"
    shown = part(owner)
    assert "e-light e-green" in shown and "Nothing is open:" in shown and 'href="/"' in shown


@pytest.mark.parametrize("what", OPEN)
def test_never_green_while_the_first_page_is_not_all_clear(owner: Client, world: World, what: str) -> None:
    world.exported("1")
    OPEN[what](world)
    of_page = owner.get("/").context["view"].light
    assert light(world) == of_page and of_page.tone in ("red", "amber")
    assert "e-light e-green" not in part(owner)


@pytest.mark.parametrize("needed", ["refused", "rejected", "idle", "overdue"])
def test_red_where_a_person_is_needed(needed: str) -> None:
    assert Light(connections=1, **{needed: 1}).tone == "red"


@pytest.mark.parametrize("by_itself", ["trying", "unknown", "unread", "held", "not_in_erp", "incidents"])
def test_amber_where_it_may_still_go_by_itself(by_itself: str) -> None:
    assert Light(connections=1, **{by_itself: 1}).tone == "amber"


def test_grey_without_any_connection(owner: Client, world: World) -> None:
    Connection.objects.all().delete()
    assert light(world).tone == "grey" and "Nothing is connected:" in part(owner)


def test_three_numbers_and_where_they_lead(owner: Client, world: World, other: World) -> None:
    states = [Job.State.RUNNING, Job.State.READY, Job.State.READY, Job.State.UNKNOWN, Job.State.REFUSED]
    for number, state in enumerate(states):
        world.export_job(world.exported(str(number)), state, error="" if number == 1 else "No.")
    world.export_job(world.exported("done"), Job.State.DONE)
    world.rejected("r")
    for name in ("v", "w"):
        InboxEntry.objects.filter(pk=world.rejected(name).pk).update(state="waiting")
    other.export_job(other.order("theirs"))
    found = light(world)
    assert (found.running, found.waiting, found.failed) == (1, 3, 4)
    shown = part(owner)
    assert "<b>1</b> <i>running</i>" in shown and "<b>3</b> <i>waiting</i>" in shown and "<b>4</b> <i>failed" in shown
    assert "e-light e-red" in shown and 'href="/failures/"' in shown and "Something needs you:" in shown
    assert owner.get("/").context["view"].light == found


def test_it_is_on_every_page(owner: Client, world: World) -> None:
    fill(world)
    pages = 0
    for name, path in {"index": "/", **{name: _path(name) for name in NAMES}}.items():
        answer = owner.get(path, headers={"x-refresh": "1"})
        if answer.status_code == 200 and answer.headers["content-type"].startswith("text/html"):
            shown = text_of(answer)
            assert ('class="e-light ' in shown) is ('id="header-inner"' in shown or name == "header"), path
            pages += 'id="header-inner"' in shown
    assert pages > 30
    boss = person("boss", None)
    type(boss).objects.filter(pk=boss.pk).update(is_superuser=True)
    assert 'class="e-light ' in text_of(browser_of(boss).get("/hub/seller/"))


def test_nobody_sees_it_before_the_second_factor(world: World, owner: Client) -> None:
    ana = Membership.objects.get(user__username="ana").user
    TOTPDevice.objects.create(user=ana, confirmed=True)
    shown = text_of(browser_of(ana).get("/sign-in/second-step/"))
    assert "<html" in shown and 'class="e-light ' not in shown
    assert Client().get("/header/").status_code == 302
    nobody = browser_of(person("nobody", None))
    assert 'class="e-light ' not in text_of(nobody.get("/orders/")) and part(nobody) == ""


def test_people_who_see_the_same_share_it_for_some_seconds(
    world: World, owner: Client, viewer: Client, django_assert_num_queries: Callable[..., Any]
) -> None:
    ids = [world.seller.pk]
    with django_assert_num_queries(1):
        assert figures.light(ids).tone == "green"
    with django_assert_num_queries(0):
        figures.light(ids)

    def asks(client: Client, path: str, **headers: str) -> int:
        with CaptureQueriesContext(connection) as asked:
            assert client.get(path, headers=headers).status_code == 200
        return sum("UNION ALL" in one["sql"] for one in asked)

    assert asks(owner, "/orders/") == 0
    cache.clear()
    assert [asks(client, "/orders/") for client in (owner, viewer, owner)] == [1, 0, 0]
    cache.clear()
    # The first page knows it anyway, and the list alone has no header.
    assert asks(owner, "/") == 0 == asks(owner, "/orders/")
    cache.clear()
    assert asks(owner, "/orders/", **{"x-part": "orders"}) == 0


def test_a_part_has_no_bell_either(world: World, owner: Client) -> None:
    def statements(**headers: str) -> list[str]:
        with CaptureQueriesContext(connection) as asked:
            owner.get("/orders/", headers=headers)
        return [one["sql"] for one in asked if "monitoring_alert" in one["sql"]]

    # The bell and the number beside "Alerts" in the navigation.
    assert len(statements()) == 2 and statements(**{"x-part": "orders"}) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="the orders are written by PostgreSQL itself")
def test_it_looks_at_what_is_open_alone() -> None:
    shop = many_orders.shop()
    many_orders.fill(shop, 3_000)
    with transaction.atomic(), connection.cursor() as cursor:
        # Of a few rows an index would not be used.
        cursor.execute("SET LOCAL enable_seqscan = off")
        with CaptureQueriesContext(connection) as asked:
            found = figures.light([shop.seller.pk])
        cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF) {asked[0]['sql']}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert len(asked) == 1 and found.failed and found.not_in_erp and found.held
    for index in ("job_open", "inbox_open", "order_held", "order_untransmitted"):
        assert index in plan, plan
    # Of three thousand, nearly all of which have ended.
    assert max(int(rows) for rows in re.findall(r"(?:rows=|Removed by Filter: )(\d+)", plan)) < 300, plan


# --- The board -------------------------------------------------------------------------------------------------------

TROUBLE: dict[str, tuple[dict[str, Any], str, str]] = {
    "well": ({}, "green", "Works"),
    "paused": ({"state": "paused"}, "amber", "Paused"),
    "to sign in to": ({"state": "sign_in"}, "red", "Needs sign-in"),
    "not answering": ({"failures": 5}, "red", "Does not answer"),
    "never looked at": ({"next_poll_at": timezone.now() - timedelta(minutes=10)}, "red", "Nobody looks for news"),
    "failing at times": ({"failures": 2}, "amber", "Fails at times"),
    "a part paused": ({"paused_flows": ["export"]}, "amber", "Paused in part"),
}


@pytest.mark.parametrize("what", TROUBLE)
def test_the_board_says_at_a_glance_which_connection_is_well(owner: Client, world: World, what: str) -> None:
    changes, tone, said = TROUBLE[what]
    Connection.objects.filter(pk=world.erp.pk).update(**changes)
    for path in ("/connections/", "/system/", "/"):
        shown = text_of(owner.get(path))
        assert f'<span class="e-chip e-{tone}">{said}</span>' in shown, path
        assert ("2 of 2 are well" in shown) is (what == "well") or path != "/connections/"
