"""The list's rows, which are put together without a template: what they say, and that nothing gets out of its place."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.template import defaultfilters
from django.test import Client
from django.utils import timezone, translation

from monitoring.bench.measure import statements
from monitoring.desk import cells, columns
from monitoring.models import OrderColumns
from monitoring.templatetags.hub import exact
from orders.models import Order, SalesChannel
from tests.monitoring.world import World, text_of

EVIL = "<script>alert('x')</script>\"&"
SAFE = "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;&quot;&amp;"


def _all_columns(owner: Client) -> None:
    owner.post("/orders/columns/", {"column": list(columns.COLUMNS)})
    assert OrderColumns.objects.get().chosen == list(columns.COLUMNS)


def test_each_column_has_a_cell() -> None:
    assert list(cells.CELLS) == list(columns.COLUMNS)


@pytest.mark.django_db
def test_whatever_others_wrote_stays_text(owner: Client, world: World) -> None:
    order = world.exported("1", ship_by=timezone.now() + timedelta(hours=5), held=True)
    Order.objects.filter(pk=order.pk).update(external_id=EVIL, buyer_name=EVIL, city=EVIL, tags=[EVIL], currency="<b>")
    SalesChannel.objects.update(name=EVIL)
    order.items.update(sku=EVIL)
    order.shipments.create(source="channel", carrier=EVIL, tracking_code=EVIL)
    order.links.update(number=EVIL)
    _all_columns(owner)
    said = text_of(owner.get("/orders/"))
    row = said[said.index("<tr data-row>") : said.index("</tbody>")]
    assert "<script" not in row
    assert "<b>\u00a0" not in row
    # Number twice, channel, buyer, city, SKU, carrier, code, tag, the ERP's number twice.
    assert row.count(SAFE) == 11
    assert f'">{SAFE}</option>' in said


@pytest.mark.django_db
def test_a_row_says_what_there_is_to_know(owner: Client, world: World) -> None:
    late = world.order("1", ship_by=timezone.now() - timedelta(hours=3), held=True, tags=["gift", "vip"])
    Order.objects.filter(pk=late.pk).update(buyer_name="", city="Recife", state="")
    _all_columns(owner)
    row = str(owner.get("/orders/").context["lines"])
    assert f'<a class="e-strong" href="/orders/{late.pk}/" data-open>1</a>' in row
    for part in (
        "Name withheld by the channel",
        ">Recife<",
        '<span class="e-chip e-amber">Held</span>',
        '<span class="e-red-text"',
        "late by 3 h",
        '<span class="e-chip e-grey">gift</span> <span class="e-chip e-grey">vip</span>',
        '<b class="e-score">',
    ):
        assert part in row, part


@pytest.mark.django_db
def test_the_open_page_gets_the_list_without_the_frame(owner: Client, world: World) -> None:
    world.order("1")
    world.order("2", "shipped")
    whole = text_of(owner.get("/orders/?status=shipped"))
    part = text_of(owner.get("/orders/?status=shipped", headers={"X-Part": "orders"}))
    assert "<html" in whole
    assert "<html" not in part
    assert "nav-sidebar" not in part
    body = part[part.index("<section") : part.index("</section>")]
    assert "<tr data-row>" in body
    assert body.count("data-row") == 1
    assert 'id="f-q"' in part


@pytest.mark.django_db
def test_the_list_alone_is_its_own_sellers_too(client: Client, owner: Client, world: World) -> None:
    world.order("1")
    answer: Any = client.get("/orders/", headers={"X-Part": "orders"})
    assert (answer.status_code, answer.url) == (302, "/login/?next=/orders/")


@pytest.mark.django_db
def test_nobodys_rights_to_the_tables_are_read(owner: Client, world: World) -> None:
    with statements() as seen:
        owner.get("/orders/")
    assert [sql for sql in seen if "auth_permission" in sql] == []


@pytest.mark.django_db
def test_of_what_is_in_the_erp_no_job_and_no_erp_is_read(owner: Client, world: World) -> None:
    world.exported("1")
    waiting = world.order("2", "shipped")
    world.export_job(waiting)
    assert _read(owner, "?erp=yes") == (0, 0)
    assert _read(owner, "?status=shipped") == (1, 1)
    assert "No product has SKU" in str(owner.get("/orders/?status=shipped").context["lines"])


def _read(owner: Client, query: str) -> tuple[int, int]:
    """Statements about jobs, and about connections."""
    with statements() as seen:
        owner.get(f"/orders/{query}", headers={"X-Part": "orders"})
    begins = [sql.partition(" FROM ")[2].split(" ")[0].strip('"') for sql in seen]
    return begins.count("connectors_job"), begins.count("connectors_connection")


@pytest.mark.django_db
def test_the_form_has_what_was_asked_for(owner: Client, world: World) -> None:
    world.order("1")
    asked = {"state": "PE", "channel": str(world.channel.pk), "city": EVIL, "least": "5,5"}
    page = text_of(owner.get("/orders/", asked))
    for part in (
        '<option value="PE" selected>PE</option>',
        f'<option value="{world.channel.pk}" selected>Loja casa</option>',
        f'name="city" type="text" value="{SAFE}" maxlength="120"',
        'name="least" value="5,5" inputmode="decimal" maxlength="14"',
        '<select id="f-held" name="held"><option value="" selected>all</option>',
    ):
        assert part in page, part
    assert page.count("selected>PE<") == 1


@pytest.mark.django_db
def test_each_language_and_each_seller_has_a_form_of_its_own(owner: Client, stranger: Client, other: World) -> None:
    assert ">Approved</option>" in text_of(owner.get("/orders/"))
    assert ">Approved</option>" not in text_of(owner.get("/orders/", headers={"accept-language": "pt-br"}))
    assert ">Loja outra</option>" in text_of(stranger.get("/orders/"))
    assert "Loja outra" not in text_of(owner.get("/orders/"))


@pytest.mark.parametrize("language", ["en", "pt-br"])
def test_moments_look_as_django_writes_them(language: str) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    with translation.override(language):
        expected = defaultfilters.date(timezone.localtime(at), "SHORT_DATETIME_FORMAT")
        assert exact(at) == expected
    assert exact(None) == ""
