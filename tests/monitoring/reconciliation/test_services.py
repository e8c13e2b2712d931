"""The comparison through the simulated services: packs, cancelled orders that a search hides, and what it costs."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from connectors.models import Exchange, Job, Link
from monitoring.models import DayCount, Finding, Listed
from orders.models import Order
from tests.monitoring.reconciliation.market import open_market


def test_five_percent_of_the_pushes_are_lost_and_each_is_named_then_brought_in(db: None) -> None:
    with open_market("mercado_livre", "bling") as market:
        placed = market.sim("mercado_livre").place(60, at=timezone.now() - timedelta(hours=1), fulfilled=False)
        lost = set(placed[::20])
        market.push("mercado_livre", *(number for number in placed if number not in lost))
        assert Order.objects.count() == 57
        market.compare()
        named = Finding.objects.filter(kind="missing_in_hub")
        assert {row.key for row in named} == lost
        assert set(named.values_list("state", flat=True)) == {"mended"}
        assert Order.objects.count() == 60
        counts = market.counts("mercado_livre")
        assert (counts["channel_count"], counts["hub_count"], counts["repaired"]) == (60, 60, 3)

        market.compare()
        counts = market.counts("mercado_livre")
        assert (counts["due_count"], counts["erp_count"]) == (60, 60)
        assert not Finding.objects.exclude(state="mended").exists()
        assert all(row.closes for row in DayCount.objects.all())


def test_a_pack_is_one_sale_and_cancelled_orders_are_counted(db: None) -> None:
    with open_market("mercado_livre", "bling") as market:
        shop, earlier = market.sim("mercado_livre"), timezone.now() - timedelta(hours=1)
        (pack,) = shop.place(1, orders=3, at=earlier, fulfilled=False)
        (gone,) = shop.place(1, orders=1, at=earlier, fulfilled=False)
        market.push("mercado_livre", pack, gone)
        shop.cancel(gone)
        market.push("mercado_livre", gone)
        market.compare()
        assert Listed.objects.filter(connection=market.connections["mercado_livre"]).count() == 4
        counts = market.counts("mercado_livre")
        assert (counts["channel_count"], counts["hub_count"], counts["due_count"], counts["erp_count"]) == (2, 2, 1, 1)
        assert not Finding.objects.exclude(state="mended").exists()


def test_the_census_costs_a_call_per_page_and_none_per_order(db: None) -> None:
    with open_market("mercado_livre", "amazon", "bling") as market:
        market.sim("mercado_livre").place(40, at=timezone.now() - timedelta(hours=1), orders=1, fulfilled=False)
        market.sim("amazon").place(40, fulfilled=False)
        market.poll("mercado_livre")
        market.poll("amazon")
        Exchange.objects.all().delete()
        market.compare()
        calls = Exchange.objects.filter(job__operation="census")
        # Mercado Livre hides cancelled orders: two searches. Amazon and Bling: a hundred a call.
        assert {kind: calls.filter(connection__kind=kind).count() for kind in market.connections} == {
            "mercado_livre": 2,
            "amazon": 1,
            "bling": 1,
        }
        assert not Exchange.objects.filter(job__operation__in=("fetch",)).exists()
        url = calls.get(connection__kind="amazon").url
        assert "BUYER" not in url and "RECIPIENT" not in url
        assert not Finding.objects.exists()


def test_an_order_deleted_in_bling_is_lost_and_goes_there_again_once(db: None) -> None:
    from monitoring.reconciliation import repairs

    with open_market("mercado_livre", "bling") as market:
        placed = market.sim("mercado_livre").place(2, at=timezone.now() - timedelta(hours=1), fulfilled=False)
        market.push("mercado_livre", *placed)
        bling = market.sim("bling")
        gone = int(Link.objects.get(order__external_id=placed[0]).external_id)
        order = bling.orders.pop(gone)
        del bling.altered[gone]
        bling.orders_by_number[order["numeroLoja"]].remove(gone)
        market.compare()
        (row,) = Finding.objects.filter(state="open")
        assert (row.kind, row.key) == ("link_lost", str(gone))
        repairs.apply(row, "resend", "ana")
        for _search in range(3):
            market.compare()
        row.refresh_from_db()
        assert row.state == "mended"
        assert len(bling.orders_by_number[order["numeroLoja"]]) == 1
        assert Job.objects.get(operation="export", order=row.order).state == "done"


def test_a_sale_entered_twice_in_bling_is_found_by_its_number(db: None) -> None:
    with open_market("mercado_livre", "bling") as market:
        (number,) = market.sim("mercado_livre").place(1, at=timezone.now() - timedelta(hours=1), fulfilled=False)
        market.push("mercado_livre", number)
        bling = market.sim("bling")
        original = bling.orders[int(Link.objects.get().external_id)]
        second = next(bling.ids)
        bling.orders[second] = {**original, "id": second, "numero": original["numero"] + 1, "observacoesInternas": ""}
        bling.orders_by_number[number].append(second)
        bling.altered[second] = bling.altered[original["id"]]
        market.compare()
        (row,) = Finding.objects.filter(state="open")
        assert row.kind == "duplicated"
        assert [one["id"] for one in row.facts["erp"]] == [str(original["id"]), str(second)]
