"""The page of comparisons, the two reports, and taking an ERP order for a sale: what each person sees and may do."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from django.test import Client
from django.utils import timezone

from connectors.models import Job, Link
from monitoring.models import DayCount, Finding
from monitoring.reconciliation import channel_side, days
from tests.monitoring.world import browser_of, build, person, text_of

if TYPE_CHECKING:
    from tests.monitoring.reconciliation.shop import Shop


@pytest.fixture
def ana(shop: Shop) -> Client:
    from hub.models import Membership

    user = person("ana", None)
    Membership.objects.create(user=user, seller=shop.toys.seller, role=Membership.Role.OWNER)
    return browser_of(user)


@pytest.fixture
def vera(shop: Shop) -> Client:
    from hub.models import Membership

    user = person("vera", None)
    Membership.objects.create(user=user, seller=shop.toys.seller, role=Membership.Role.VIEWER)
    return browser_of(user)


@pytest.fixture
def stranger(db: None) -> Client:
    return browser_of(person("zeca", build("outra")))


def typed_twice(shop: Shop) -> tuple[str, str]:
    shop.sell("A1")
    mine = shop.link("A1").external_id
    original = {name: value for name, value in shop.toys.erp.orders[mine].items() if name not in ("id", "key")}
    other = shop.toys.erp.type(**original)
    shop.compare()
    return mine, str(other["id"])


def test_a_missing_sale_is_named_on_the_page(shop: Shop, ana: Client) -> None:
    shop.toys.shop.untold |= {"LOST-7"}
    shop.sell("LOST-7", quantity="many")
    shop.compare()
    text = text_of(ana.get("/comparison/"))
    assert "1 missing" in text and text.count("LOST-7") >= 2
    assert "1 missing" not in text_of(ana.get(f"/comparison/?until={shop.day.replace(year=2025)}"))


def test_a_day_that_closes_has_a_tick(shop: Shop, ana: Client) -> None:
    shop.sell("A1", "A2")
    shop.compare()
    text = text_of(ana.get("/comparison/"))
    assert "✓" in text and "Channel, hub and ERP say the same." in text


def test_counts_of_different_moments_are_no_difference(shop: Shop, ana: Client) -> None:
    shop.toys.shop.untold |= {"LOST-7"}
    shop.sell("LOST-7", quantity="many")
    shop.compare()
    text = text_of(ana.get("/comparison/"))
    assert "1 missing" in text and "being counted" not in text and "counted <time" in text
    now = timezone.now()
    DayCount.objects.update(counted_at=now - timedelta(hours=1), erp_counted_at=now, day=shop.day)
    if days.begins(shop.toys.seller, shop.day + timedelta(days=1)) > now - timedelta(hours=1):
        text = text_of(ana.get("/comparison/"))
        assert "being counted" in text and "1 missing" not in text and "channel <time" in text and "ERP <time" in text


def test_a_day_that_is_over_needs_not_be_counted_at_one_moment(shop: Shop) -> None:
    seller, day = shop.toys.seller, date(2026, 3, 2)
    evening, night, noon = (days.begins(seller, day) + timedelta(hours=hours) for hours in (22, 27, 36))

    def settled(counted_at: datetime | None, erp_counted_at: datetime | None, **counts: int) -> bool:
        count = DayCount(day=day, counted_at=counted_at, erp_counted_at=erp_counted_at, **counts)
        return days.is_settled(count, seller, with_erp=True)

    assert settled(night, noon, hub_count=18, due_count=18)
    assert not settled(evening, night, hub_count=18, due_count=18)
    assert settled(evening, evening + timedelta(minutes=10), hub_count=18, due_count=18)
    # The ERP was asked when the hub had sales that the other count knows nothing of.
    assert not settled(night, noon, hub_count=0, due_count=18)
    assert not settled(night, None) and not settled(None, night)
    assert days.is_settled(DayCount(day=day, counted_at=night), seller, with_erp=False)


def test_what_was_repaired_is_counted_again_as_of_its_list(shop: Shop) -> None:
    shop.toys.shop.untold |= {"LOST-7"}
    shop.sell("LOST-7")
    shop.compare()
    before = shop.count().counted_at
    assert before is not None
    channel_side.compare(shop.toys.channel, shop.day, shop.day)
    assert shop.count().counted_at == before


def test_without_a_channel_the_page_leads_to_one(db: None) -> None:
    world = build("nova")
    client = browser_of(person("nina", world))
    assert 'href="/connect/"' not in text_of(client.get("/comparison/")).partition('class="e-page"')[2]
    world.shop.delete()
    # Where nothing is compared nothing is said to agree.
    assert "say the same" not in text_of(client.get("/comparison/"))
    for page in ("/comparison/", "/orders/"):
        assert 'href="/connect/"' in text_of(client.get(page)).partition('class="e-page"')[2]


def test_the_true_one_of_two_is_chosen_on_the_page(shop: Shop, ana: Client) -> None:
    _mine, other = typed_twice(shop)
    row = shop.found("duplicated")
    assert "This is the true one" in text_of(ana.get("/comparison/"))
    ana.post(f"/comparison/findings/{row.pk}/repair/", {"repair": "choose", "choice": other})
    assert shop.later(row).state == "repairing"
    shop.settle()
    assert shop.later(row).state == "mended" and shop.link("A1").external_id == other
    assert "Mended" in text_of(ana.get("/comparison/?show=mended"))


def test_each_report_shows_its_findings_until_they_are_mended(shop: Shop, ana: Client) -> None:
    typed_twice(shop)
    shop.sell("B2")
    del shop.toys.erp.orders[shop.link("B2").external_id]
    shop.compare()
    assert "A1" in text_of(ana.get("/reports/duplicated/")) and "B2" in text_of(ana.get("/reports/desynchronised/"))
    lost = Finding.objects.get(kind="link_lost")
    ana.post(f"/comparison/findings/{lost.pk}/repair/", {"repair": "resend"})
    twice = Finding.objects.get(kind="duplicated")
    ana.post(f"/comparison/findings/{twice.pk}/dismiss/", {"reason": "agreed"})
    Job.objects.filter(operation="export").update(absences=1)
    shop.settle()
    assert "A1" not in text_of(ana.get("/reports/duplicated/"))
    assert "B2" not in text_of(ana.get("/reports/desynchronised/"))


def test_a_period_is_compared_on_request_and_its_progress_shown(shop: Shop, ana: Client) -> None:
    shop.sell("A1")
    ana.post("/comparison/now/", {"first": shop.day.isoformat(), "last": shop.day.isoformat()})
    assert "Comparing" in text_of(ana.get("/comparison/"))
    shop.settle()
    assert "Comparing" not in text_of(ana.get("/comparison/")) and shop.count().closes
    ana.post("/comparison/now/", {"first": "2020-01-01", "last": "2026-01-01"})
    assert not Job.objects.filter(operation="census", state="ready").exists()


def test_a_failed_order_is_found_in_the_erp_and_taken(shop: Shop, ana: Client) -> None:
    shop.sell("A1", sku="GONE")
    typed = shop.toys.erp.type(reference="typed at the counter", total="10.00", buyer="Somebody")
    shop.compare()
    order = shop.order("A1")
    page = f"/orders/{order.pk}/in-the-erp/"
    assert page in text_of(ana.get(f"/orders/{order.pk}/"))
    assert "no order under this number" in text_of(ana.get(page, {"number": "4711"}))
    assert "Take this order" in text_of(ana.get(page, {"number": typed["id"]}))
    ana.post(f"/orders/{order.pk}/adopt/", {"connection": shop.toys.books.pk, "choice": typed["id"]})
    assert shop.link("A1").adopted and Job.objects.get(operation="export").state == "done"
    shop.settle()
    assert len(shop.toys.erp.orders) == 1


def test_what_may_happen_by_itself_is_chosen_on_the_page(shop: Shop, ana: Client) -> None:
    ana.post(f"/comparison/allow/{shop.toys.seller.pk}/", {"repair": ["adopt", "delete_all"]})
    shop.toys.seller.refresh_from_db()
    assert shop.toys.seller.auto_repairs == ["adopt"]


def test_who_only_looks_and_who_does_not_belong_here_change_nothing(shop: Shop, vera: Client, stranger: Client) -> None:
    mine, other = typed_twice(shop)
    row = shop.found("duplicated")
    order = shop.order("A1")
    assert "A1" in text_of(vera.get("/comparison/")) and "This is the true one" not in text_of(vera.get("/comparison/"))
    assert "A1" not in text_of(stranger.get("/comparison/"))
    for client, status in ((vera, 403), (stranger, 404)):
        sent = [
            client.post(f"/comparison/findings/{row.pk}/repair/", {"repair": "choose", "choice": other}),
            client.post(f"/comparison/findings/{row.pk}/dismiss/", {"reason": "x"}),
            client.post(f"/comparison/allow/{shop.toys.seller.pk}/", {"repair": ["adopt"]}),
            client.post(f"/orders/{order.pk}/adopt/", {"connection": shop.toys.books.pk, "choice": other}),
        ]
        assert [answer.status_code for answer in sent] == [status] * 4
        client.post("/comparison/now/", {"first": shop.day.isoformat(), "last": shop.day.isoformat()})
    assert stranger.get(f"/orders/{order.pk}/in-the-erp/?number=1").status_code == 404
    asked = shop.toys.erp.requests.get("GET /orders", 0)
    vera.get(f"/orders/{order.pk}/in-the-erp/?number=1")
    assert shop.toys.erp.requests.get("GET /orders", 0) == asked
    assert not Job.objects.filter(operation="census", state="ready").exists()
    shop.toys.seller.refresh_from_db()
    assert shop.later(row).state == "open" and shop.toys.seller.auto_repairs == []
    assert Link.objects.get(order=order).external_id == mine


def test_the_page_costs_a_fixed_number_of_statements(
    shop: Shop, ana: Client, django_assert_max_num_queries: object
) -> None:
    typed_twice(shop)
    with django_assert_max_num_queries(40):  # type: ignore[operator]
        ana.get("/comparison/")
