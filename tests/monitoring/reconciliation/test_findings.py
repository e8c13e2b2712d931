"""Every kind of difference appears with what all sides say, and is gone once it is mended by its own repair."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from connectors.failures import Refusal
from connectors.models import Job, Link
from monitoring.models import Finding
from monitoring.reconciliation import deeds, findings, repairs
from orders.models import Order
from tests.monitoring.reconciliation.shop import now

if TYPE_CHECKING:
    from tests.monitoring.reconciliation.shop import Shop


# --- Lost in the ERP -----------------------------------------------------------------------------------------------


def test_an_erp_order_that_was_deleted_is_sent_again_and_never_twice(shop: Shop) -> None:
    shop.sell("A1", "A2")
    erp_id = shop.link("A1").external_id
    del shop.toys.erp.orders[erp_id]
    shop.compare()
    row = shop.found("link_lost")
    assert (row.key, row.order, row.state) == (erp_id, shop.order("A1"), "open")
    assert row.facts["hub"]["status"] == "approved" and row.facts["erp"][0]["id"] == erp_id
    count = shop.count()
    assert (count.due_count, count.erp_count, count.missing_in_erp) == (2, 1, ["A1"])

    repairs.apply(row, "resend", "ana")
    job = Job.objects.get(operation="export", order=shop.order("A1"))
    assert (job.state, job.uncertain) == ("unknown", True)
    shop.settle()
    # Searched for once and not found is not believed yet.
    assert shop.erp_orders("A1") == [] and shop.later(row).state == "repairing"
    Job.objects.filter(pk=job.pk).update(due_at=now())
    shop.settle()
    (again,) = shop.erp_orders("A1")
    assert shop.link("A1").external_id == again["id"] != erp_id
    assert (shop.later(row).state, row.repair, row.repaired_by) == ("mended", "resend", "ana")
    assert shop.count().closes


def test_what_was_listed_yesterday_and_is_not_today_is_lost(shop: Shop) -> None:
    shop.sell("A1", "A2")
    shop.compare()
    assert shop.open() == []
    del shop.toys.erp.orders[shop.link("A1").external_id]
    shop.compare()
    assert shop.found("link_lost").order == shop.order("A1")


def test_what_somebody_has_entered_again_is_found_and_not_doubled(shop: Shop) -> None:
    shop.sell("A1")
    lost = shop.toys.erp.orders.pop(shop.link("A1").external_id)
    shop.compare()
    row = shop.found("link_lost")
    typed = shop.toys.erp.type(**{name: value for name, value in lost.items() if name not in ("id", "created")})
    repairs.apply(row, "resend", "ana")
    shop.settle()
    assert len(shop.erp_orders("A1")) == 1 and shop.link("A1").external_id == typed["id"]
    assert shop.later(row).state == "mended"


def test_a_list_that_leaves_an_order_out_is_not_believed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    from connectors.contract import CensusPage
    from tests.support.toy import ErpAdapter

    shop.sell("A1")
    monkeypatch.setattr(ErpAdapter, "census", lambda self, cursor, window: CensusPage((), {}))
    shop.compare()
    (row,) = Finding.objects.all()
    assert (row.kind, row.state, row.repair) == ("link_lost", "mended", findings.CHECKED)
    assert shop.count().closes
    reads = shop.toys.erp.requests["GET /orders/{id}"]
    shop.compare()
    assert shop.toys.erp.requests["GET /orders/{id}"] == reads, "what was read an hour ago is not read again"


def test_an_export_whose_link_was_lost_is_tied_again(shop: Shop) -> None:
    shop.sell("A1")
    shop.link("A1").delete()
    shop.compare()
    row = shop.found("missing_in_erp")
    assert row.facts["erp"][0]["reference"] == "A1" and shop.count().missing_in_erp == ["A1"]
    repairs.apply(row, "reread_erp", "ana")
    shop.settle()
    assert shop.link("A1").adopted and shop.later(row).state == "mended" and shop.count().closes


def test_an_export_that_left_no_trace_is_sent_once(shop: Shop) -> None:
    shop.sell("A1")
    shop.link("A1").delete()
    shop.toys.erp.orders.clear()
    shop.compare()
    row = shop.found("missing_in_erp")
    repairs.apply(row, "resend", "ana")
    for _again in range(2):
        Job.objects.filter(operation="export").update(due_at=now())
        shop.settle()
    assert len(shop.erp_orders("A1")) == 1 and shop.later(row).state == "mended"


# --- Twice in the ERP ----------------------------------------------------------------------------------------------


def twin(shop: Shop, number: str, **changes: object) -> dict[str, object]:
    original = shop.toys.erp.orders[shop.link(number).external_id]
    copied = {name: value for name, value in original.items() if name not in ("id", "key")}
    return shop.toys.erp.type(**{**copied, **changes})


def test_the_second_order_of_a_sale_is_named_and_the_chosen_one_stays(shop: Shop) -> None:
    shop.sell("A1")
    mine = shop.link("A1").external_id
    other = twin(shop, "A1")
    shop.compare()
    row = shop.found("duplicated")
    assert [(one["id"], one["status"], one["linked"]) for one in row.facts["erp"]] == [
        (mine, "", True),
        (other["id"], "", False),
    ]
    repairs.apply(row, "choose", "ana", str(other["id"]))
    shop.settle()
    assert shop.toys.erp.orders[mine]["cancelled"] and not other.get("cancelled")
    assert shop.link("A1").external_id == other["id"] and not shop.link("A1").cancelled
    assert shop.later(row).state == "mended"
    shop.compare()
    assert shop.open() == []


def test_choosing_the_one_that_is_tied_only_cancels_the_other(shop: Shop) -> None:
    shop.sell("A1")
    mine = shop.link("A1").external_id
    other = twin(shop, "A1")
    shop.compare()
    repairs.apply(shop.found("duplicated"), "choose", "ana", mine)
    shop.settle()
    assert other["cancelled"] and not shop.toys.erp.orders[mine].get("cancelled")


def test_a_twin_with_an_invoice_is_left_to_a_person(shop: Shop) -> None:
    shop.sell("A1")
    mine = shop.link("A1").external_id
    other = twin(
        shop,
        "A1",
        invoices=[{"key": "35" + "2511" + "11222333000181" + "55" + "001" + "000000001" + "1" + "12345678" + "0"}],
    )
    shop.compare()
    row = shop.found("duplicated")
    repairs.apply(row, "choose", "ana", mine)
    shop.settle()
    assert not other.get("cancelled") and shop.later(row).state == "open" and "invoice" in row.reason


def test_a_twin_that_became_another_sales_order_is_not_cancelled(shop: Shop) -> None:
    shop.sell("A1", "B2")
    mine, other = shop.link("A1").external_id, twin(shop, "A1")
    shop.compare()
    row = shop.found("duplicated")
    repairs.apply(row, "choose", "ana", mine)
    Link.objects.filter(order=shop.order("B2")).update(external_id=other["id"])
    shop.toys.drain()
    assert not other.get("cancelled")


def test_same_buyer_total_and_minute_is_a_twin_even_without_a_number(shop: Shop) -> None:
    shop.sell("A1", buyer="Ana Lima", document="52998224725")
    other = twin(shop, "A1", reference="")
    shop.compare()
    assert [one["id"] for one in shop.found("duplicated").facts["erp"]][1] == other["id"]


def test_a_cancelled_twin_a_legitimate_second_sale_and_a_split_pack_are_no_twins(shop: Shop) -> None:
    # The same buyer buys the same thing twice, in two sales of the same minute.
    shop.sell("A1", "A2", buyer="Ana Lima", document="52998224725")
    twin(shop, "A1", cancelled=True)
    # Somebody has split a pack into two orders, which together are the sale.
    shop.sell("PACK", price="30.00", total="30.00")
    half = shop.toys.erp.orders[shop.link("PACK").external_id]
    half["total"] = "10.00"
    Link.objects.filter(order=shop.order("PACK")).update(total="10.00")
    twin(shop, "PACK", total="20.00")
    # The same buyer and total, but an hour later and in person.
    twin(shop, "A2", reference="", created=(now() + timedelta(hours=1)).isoformat())
    shop.compare()
    assert shop.open("duplicated") == [] and shop.open("typed_by_hand") == []


# --- Typed by hand -------------------------------------------------------------------------------------------------


def refused_by_the_erp(shop: Shop, number: str) -> None:
    shop.sell(number, sku="GONE", buyer="Ana Lima", document="52998224725")
    assert Job.objects.get(operation="export", order__external_id=number).state == "refused"


@pytest.mark.parametrize(
    "typed",
    [
        {"reference": "A1", "total": "10.00"},
        {"document": "52998224725", "buyer": "LIMA, ANA", "total": "10.00"},
        {"buyer": "ana  lima", "total": "10.00"},
    ],
    ids=["by number", "by document", "by name"],
)
def test_what_somebody_typed_is_taken_for_the_sale_and_the_export_rests(shop: Shop, typed: dict[str, str]) -> None:
    refused_by_the_erp(shop, "A1")
    entered = shop.toys.erp.type(**typed)
    shop.compare()
    row = shop.found("typed_by_hand")
    assert row.order == shop.order("A1") and row.facts["erp"][0]["id"] == entered["id"]
    repairs.apply(row, "adopt", "ana")
    shop.settle()
    assert shop.link("A1").adopted and shop.link("A1").external_id == entered["id"]
    assert Job.objects.get(operation="export").state == "done" and len(shop.toys.erp.orders) == 1
    assert shop.later(row).state == "mended" and shop.count().closes
    assert shop.order("A1").events.filter(code="adopted", actor="ana").exists()


def test_what_may_be_either_of_two_sales_is_nobodys(shop: Shop) -> None:
    refused_by_the_erp(shop, "A1")
    refused_by_the_erp(shop, "A2")
    shop.toys.erp.type(buyer="Ana Lima", total="10.00")
    shop.toys.erp.type(buyer="Ana Lima", total="99.00")
    shop.compare()
    assert shop.open() == []


@pytest.mark.parametrize(("state", "uncertain"), [("running", False), ("unknown", True), ("refused", True)])
def test_nothing_is_adopted_while_the_erp_may_be_writing(shop: Shop, state: str, uncertain: bool) -> None:
    refused_by_the_erp(shop, "A1")
    shop.toys.erp.type(reference="A1", total="10.00")
    shop.compare()
    row = shop.found("typed_by_hand")
    Job.objects.filter(operation="export").update(state=state, uncertain=uncertain, lease_until=now() + timedelta(1))
    with pytest.raises(Refusal):
        repairs.apply(row, "adopt", "ana")
    assert not Link.objects.exists() and shop.later(row).state == "open"
    assert Job.objects.get(operation="export").state == state


def test_an_erp_order_of_another_sale_is_not_adopted(shop: Shop) -> None:
    refused_by_the_erp(shop, "A1")
    shop.sell("B2")
    with pytest.raises(Refusal):
        deeds.adopt_by_hand(shop.order("A1"), shop.toys.books, shop.link("B2").external_id, "ana")
    assert not Link.objects.filter(order=shop.order("A1")).exists()


# --- Status and total ----------------------------------------------------------------------------------------------


def test_a_cancellation_that_nobody_announced_is_read_at_once_and_never_shown(shop: Shop) -> None:
    shop.sell("A1")
    shop.toys.shop.orders["A1"].update(status="cancelled", version=2)
    shop.compare()
    assert shop.order("A1").status == "cancelled" and shop.open() == []
    (row,) = Finding.objects.filter(kind="status_differs", connection=shop.toys.channel)
    assert (row.state, row.repair) == ("mended", findings.CHECKED)


def test_a_cancelled_sale_that_lives_again_at_the_channel_is_shown(shop: Shop) -> None:
    shop.sell("A1", status="waiting")
    shop.toys.shop.orders["A1"].update(status="cancelled", version=2)
    shop.toys.poll()
    shop.toys.shop.orders["A1"].update(status="paid", version=3)
    shop.toys.shop.untold.add("A1")
    shop.compare()
    row = shop.found("status_differs")
    assert row.facts["channel"]["status"] == "approved" and row.facts["hub"]["status"] == "cancelled"
    findings_before = row.found_at
    shop.compare()
    assert shop.later(row).found_at == findings_before
    shop.toys.shop.orders["A1"].update(status="cancelled", version=4)
    shop.compare()
    assert shop.later(row).state == "mended"


def test_an_erp_order_cancelled_by_hand_is_shown_until_it_lives_again(shop: Shop) -> None:
    shop.sell("A1")
    entry = shop.toys.erp.orders[shop.link("A1").external_id]
    entry["cancelled"] = True
    shop.compare()
    row = shop.found("status_differs")
    assert row.connection == shop.toys.books and row.facts["erp"][0]["status"] == "cancelled"
    entry["cancelled"] = False
    repairs.apply(row, "reread_erp", "ana")
    shop.settle()
    assert shop.later(row).state == "mended"


def test_a_total_changed_in_the_erp_is_shown_with_both_amounts(shop: Shop) -> None:
    shop.sell("A1")
    shop.toys.erp.orders[shop.link("A1").external_id]["total"] = "12.50"
    shop.compare()
    row = shop.found("total_differs")
    assert (row.facts["erp"][0]["total"], row.facts["hub"]["erp_total"]) == ("12.50", "10.00")
    shop.toys.erp.orders[shop.link("A1").external_id]["total"] = "10.00"
    shop.compare()
    assert shop.later(row).state == "mended"


def test_what_the_hub_itself_wrote_does_not_come_back_as_a_difference(shop: Shop) -> None:
    """The hub cancels the order in the ERP; the ERP's list lags behind, or shows it cancelled: neither counts."""
    shop.sell("A1")
    shop.toys.shop.orders["A1"].update(status="cancelled", version=2)
    shop.toys.poll()
    shop.compare()
    assert shop.link("A1").cancelled and shop.open() == []
    entry = shop.toys.erp.orders[shop.link("A1").external_id]
    assert entry["cancelled"]


def test_left_as_it_is_until_the_facts_change(shop: Shop) -> None:
    shop.sell("A1")
    entry = shop.toys.erp.orders[shop.link("A1").external_id]
    entry["total"] = "12.50"
    shop.compare()
    row = shop.found("total_differs")
    repairs.dismiss(row, "ana", "Agreed with the buyer")
    shop.compare()
    assert shop.open() == [] and shop.later(row).reason == "Agreed with the buyer"
    entry["total"] = "13.00"
    shop.compare()
    assert shop.found("total_differs").pk == row.pk


def test_what_the_seller_allows_happens_by_itself(shop: Shop) -> None:
    shop.toys.seller.auto_repairs = ["adopt"]
    shop.toys.seller.save()
    refused_by_the_erp(shop, "A1")
    shop.toys.erp.type(reference="A1", total="10.00")
    shop.compare()
    (row,) = Finding.objects.all()
    assert (row.state, row.repair, row.repaired_by) == ("mended", "adopt", "")
    assert shop.link("A1").adopted


def test_a_repair_that_is_over_is_not_done_again(shop: Shop) -> None:
    shop.sell("A1")
    twin(shop, "A1")
    shop.compare()
    row = shop.found("duplicated")
    with pytest.raises(Refusal):
        repairs.apply(row, "resend", "ana")
    repairs.dismiss(row, "ana", "fine")
    with pytest.raises(Refusal):
        repairs.apply(row, "choose", "ana", shop.link("A1").external_id)
    assert isinstance(row.found_at, datetime) and Order.objects.count() == 1
