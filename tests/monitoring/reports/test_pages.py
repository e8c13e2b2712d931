"""The reports as pages, files and on the command line; the calendar's form."""

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from connectors.models import InboxEntry
from hub.models import Membership
from monitoring.reports.base import COUNTED, REPORTS, Row, Scope
from monitoring.reports.words import cell, late_by
from orders.models import Order
from tests.monitoring.world import World, browser_of, person, text_of

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def late(world: World, number: str = "77001", **changes: Any) -> Order:
    now = timezone.now()
    facts = {"ship_by": now - 3 * HOUR, "logistics": "seller", "approved_at": now - 30 * HOUR}
    return world.exported(number, **{**facts, **changes})


def test_the_list_counts_every_case_and_colours_only_what_is_there(world: World, owner: Client) -> None:
    late(world)
    page = text_of(owner.get("/reports/"))
    for report in REPORTS.values():
        assert str(report.title).replace("'", "&#x27;") and f"/reports/{report.name}/" in page
    assert page.count("e-red-text") == 1


def test_a_row_says_what_and_how_late_and_offers_its_button(world: World, owner: Client) -> None:
    order = late(world)
    page = text_of(owner.get("/reports/awaiting_invoice/"))
    assert f"/orders/{order.pk}/" in page and "late by 3 h" in page and "R$" in page
    assert "Fetch it now" in page and f'value="erp-{order.external_id}"' in page
    assert "Loja casa" in page


def test_case_and_channel_narrow_and_nonsense_does_not(world: World, owner: Client) -> None:
    late(world)
    assert "77001" in text_of(owner.get("/reports/awaiting_invoice/?case=late&page=0"))
    assert "77001" not in text_of(owner.get("/reports/awaiting_invoice/?case=waiting"))
    assert "Nothing of this kind" in text_of(owner.get("/reports/awaiting_invoice/?case=waiting"))
    assert "77001" in text_of(owner.get("/reports/awaiting_invoice/?case=nonsense&channel=x&page=-1"))
    assert "77001" in text_of(owner.get(f"/reports/awaiting_invoice/?channel={world.channel.pk}"))
    assert "77001" not in text_of(owner.get(f"/reports/awaiting_invoice/?channel={world.channel.pk + 1000}"))
    assert owner.get("/reports/nonsense/").status_code == 404


def test_an_empty_report_says_what_that_means(owner: Client) -> None:
    assert "every order has gone on in time" in text_of(owner.get("/reports/in_transit/"))


def test_pages_of_many(world: World, owner: Client) -> None:
    for number in range(53):
        late(world, f"N{number:03}", ship_by=timezone.now() - HOUR * (number + 1))
    first, second = (text_of(owner.get(f"/reports/awaiting_invoice/?page={page}")) for page in (1, 2))
    # The latest first.
    assert "N052" in first and "N003" in first and "N002" not in first
    assert "N002" in second and "N000" in second and "N052" not in second
    scope = Scope((world.seller.pk,), timezone.now())
    rows = REPORTS["awaiting_invoice"].rows(scope, 100)
    assert [row.number for row in REPORTS["awaiting_invoice"].rows(scope, 10, 48)] == [row.number for row in rows[48:]]


def test_who_only_looks_gets_no_buttons(world: World, viewer: Client) -> None:
    order = late(world)
    page = text_of(viewer.get("/reports/awaiting_invoice/"))
    assert f"/orders/{order.pk}/" in page and "Fetch it now" not in page


def test_what_an_order_is_worth_is_not_for_everybody(world: World, owner: Client) -> None:
    late(world)
    pages = ("/reports/awaiting_invoice/", "/reports/awaiting_invoice/export/")
    assert all("119.90" in text_of(owner.get(path)) for path in pages)
    Membership.objects.update(sees_money=False)
    assert not any("119.90" in text_of(owner.get(path)) for path in pages)


def test_a_stranger_sees_nothing(world: World, stranger: Client) -> None:
    late(world)
    world.rejected("77002")
    for name in REPORTS:
        assert "7700" not in text_of(stranger.get(f"/reports/{name}/"))
        assert "7700" not in text_of(stranger.get(f"/reports/{name}/export/"))


def test_nobody_gets_in_without_signing_in(db: None) -> None:
    for path in ("/reports/", "/reports/rejected/", "/reports/rejected/export/"):
        assert Client().get(path).status_code == 302


def test_the_file_has_every_row_and_runs_no_formula(world: World, owner: Client) -> None:
    late(world, "=cmd|' /C calc'!A0")
    for number in range(3):
        late(world, f"N{number}")
    answer = owner.get("/reports/awaiting_invoice/export/")
    assert answer["Content-Type"].startswith("text/csv") and answer.streaming
    rows = list(csv.reader(io.StringIO(text_of(answer).lstrip("\ufeff"))))
    assert rows[0][:4] == ["Case", "Order", "Channel", "Hours late"]
    assert len(rows) == 5 and all(float(row[3]) == 3 for row in rows[1:])
    assert {row[1][0] for row in rows[1:]} == {"'", "N"}


def test_the_file_in_portuguese(world: World, owner: Client) -> None:
    late(world)
    text = text_of(owner.get("/reports/awaiting_invoice/export/", headers={"accept-language": "pt-br"}))
    assert ";3,0;" in text and ";119,90;" in text


def test_numbers_stay_numbers() -> None:
    assert (cell(-3.5), cell(-3.5, comma=True), cell(None), cell("-3")) == ("-3.5", "-3,5", "", "'-3")


@pytest.mark.parametrize(
    ("hours", "words"),
    [(3, "late by 3 h"), (47, "late by 47 h"), (49, "late by 2 days"), (-5, "late in 5 h"), (-72, "late in 3 days")],
)
def test_hours_under_48_days_above(hours: int, words: str) -> None:
    from django.utils import translation

    now = timezone.now()
    row = Row("k", "late", 1, "c", "n", now - HOUR, "because", deadline=now - hours * HOUR)
    with translation.override("en"):
        assert late_by(row, now)[0] == words
        assert late_by(Row("k", "late", 1, "c", "n", now - 5 * HOUR, "because"), now)[0] == "for 5 h"


def test_counting_stops(world: World, owner: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from monitoring.pages import reports
    from monitoring.reports import cases

    assert COUNTED == 10_000
    monkeypatch.setattr(cases, "COUNTED", 2)
    monkeypatch.setattr(reports, "COUNTED", 2)
    for number in range(4):
        late(world, f"N{number}")
    assert "2+" in text_of(owner.get("/reports/awaiting_invoice/"))


def test_a_case_counted_empty_is_not_read(world: World, django_assert_num_queries: Any) -> None:
    late(world)
    scope = Scope((world.seller.pk,), timezone.now())
    report = REPORTS["awaiting_invoice"]
    report.counts(scope)
    # The orders of the one case that has any, their numbers in the ERP, and invoices that were not taken.
    with django_assert_num_queries(3):
        assert len(report.rows(scope, 10)) == 1


# --- The command


def said(*arguments: str) -> str:
    out = io.StringIO()
    call_command("report", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_lists_and_shows(world: World, other: World) -> None:
    late(world)
    assert [line.split() for line in said().splitlines() if line.endswith(" 1")] == [["awaiting_invoice", "late", "1"]]
    assert json.loads(said("--format", "json"))["awaiting_invoice"]["late"] == 1
    assert "awaiting_invoice,late,1" in said("--format", "csv")
    assert "77001" in said("awaiting_invoice") and said("in_transit") == "Nothing.\n"
    assert "77001" in said("awaiting_invoice", "--seller", "casa", "--case", "late")
    assert (
        said("awaiting_invoice", "--seller", "outra") == said("awaiting_invoice", "--case", "waiting") == "Nothing.\n"
    )
    row = json.loads(said("awaiting_invoice", "--format", "json"))[0]
    assert (row["number"], row["case"], row["hours"], row["value"]) == ("77001", "late", 3.0, "119.9000")
    assert said("awaiting_invoice", "--format", "csv").splitlines()[1].startswith("late,77001,Loja casa,3.0,")


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("awaiting_invoice", "--case", "nonsense"), ("rejected", "--seller", "nobody")]
)
def test_the_command_refuses_what_it_does_not_know(world: World, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        said(*arguments)


# --- The calendar


FORM = {
    "days": ["0", "1", "2", "3", "4", "5"], "opens": "07:00", "closes": "19:00", "cut_off": "12:00",
    "handling_days": "2", "risk_hours": "6", "state": "SP", "zone": "America/Sao_Paulo", "closed": "2026-12-24",
}  # fmt: skip


def test_a_person_changes_the_calendar(world: World, owner: Client) -> None:
    path = f"/connections/{world.shop.pk}/calendar/"
    assert path in text_of(owner.get(f"/connections/{world.shop.pk}/"))
    assert 'value="14:00"' in text_of(owner.get(path))
    assert owner.post(path, FORM).status_code == 302
    world.channel.refresh_from_db()
    assert world.channel.calendar == {
        "days": [0, 1, 2, 3, 4, 5], "opens": "07:00", "closes": "19:00", "cut_off": "12:00", "handling_days": 2,
        "risk_hours": 6, "state": "SP", "zone": "America/Sao_Paulo", "closed": ["2026-12-24"],
    }  # fmt: skip
    assert 'value="12:00"' in text_of(owner.get(path))


@pytest.mark.parametrize(
    "wrong", [{"zone": "Nowhere"}, {"closes": "06:00"}, {"closed": "tomorrow"}, {"days": []}, {"state": "XX"}]
)
def test_a_wrong_calendar_is_said_and_not_kept(world: World, owner: Client, wrong: dict[str, Any]) -> None:
    answer = owner.post(f"/connections/{world.shop.pk}/calendar/", {**FORM, **wrong})
    assert answer.status_code == 200 and "e-errors" in text_of(answer)
    world.channel.refresh_from_db()
    assert world.channel.calendar == {}


def test_who_may_not_change_the_calendar(world: World, viewer: Client, stranger: Client, owner: Client) -> None:
    path = f"/connections/{world.shop.pk}/calendar/"
    assert (viewer.post(path, FORM).status_code, stranger.post(path, FORM).status_code) == (403, 404)
    world.channel.refresh_from_db()
    assert world.channel.calendar == {}
    # An ERP has none.
    assert owner.get(f"/connections/{world.erp.pk}/calendar/").status_code == 404


def test_a_superuser_sees_every_sellers_rows(world: World, other: World) -> None:
    late(world)
    late(other, "88001")
    user = person("root", None)
    user.is_superuser = True
    user.save()
    page = text_of(browser_of(user).get("/reports/awaiting_invoice/"))
    assert "77001" in page and "88001" in page and InboxEntry.objects.count() == 0
