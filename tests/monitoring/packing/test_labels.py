"""Channels' labels are fetched by the ledger, merged with ours in the chosen order, each once; a reprint is said."""

import re
from datetime import UTC, datetime, timedelta
from io import BytesIO
from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.test import Client
from django.utils import timezone
from pypdf import PdfReader

from connectors.contract import Label
from connectors.failures import Category, Failure, NotYet, Refusal
from connectors.models import Job
from connectors.work import Desk
from monitoring.models import ChannelLabel
from monitoring.packing import fetching, printing
from monitoring.packing.printing import State
from orders.models import Order, OrderEvent
from tests.monitoring.packing import parcels
from tests.monitoring.world import World, browser_of, person, text_of


class Adapter:
    """Gives what it is told to give."""

    def __init__(self, answer: bytes | Failure) -> None:
        self.answer, self.asked = answer, list[str]()

    def label(self, order: Any, shipment: Any) -> Label:
        self.asked.append(shipment.external_id)
        if isinstance(self.answer, Failure):
            raise self.answer
        return Label(self.answer, "application/octet-stream", "label")


def work(answer: bytes | Failure) -> Adapter:
    """Every label job runs once."""
    adapter = Adapter(answer)
    finished: list[Job] = []
    desk = cast(Desk, SimpleNamespace(adapter=adapter, finish=finished.append))
    for job in parcels.label_jobs():
        fetching.fetch(desk, job)
    Job.objects.filter(pk__in=[job.pk for job in finished]).update(state=Job.State.DONE)
    return adapter


def stand(*orders: Order) -> list[State]:
    return [line.state for line in printing.lines(parcels.complete(*orders))]


def pages(answer: Any) -> list[str]:
    return [page.extract_text() for page in PdfReader(BytesIO(parcels.bytes_of(answer))).pages]


def printed(browser: Client, *orders: Order, **more: Any) -> Any:
    ids = ",".join(str(order.pk) for order in orders)
    return browser.post("/packing/labels/print/", {"orders": ids, **more})


@pytest.fixture
def order(world: World) -> Order:
    order = parcels.to_send(world, "ML-1")
    parcels.parcel(order)
    return order


def test_nothing_is_fetched_before_a_person_asks(order: Order, owner: Client) -> None:
    assert owner.get(f"/packing/labels/?orders={order.pk}").status_code == 200
    assert stand(order) == [State.TO_ASK]
    assert not Job.objects.exists()


def test_asked_for_fetched_and_ready(order: Order, owner: Client) -> None:
    owner.post("/packing/labels/fetch/", {"orders": str(order.pk)})
    assert stand(order) == [State.ON_THE_WAY]
    assert work(parcels.a_pdf("channel")).asked == ["41"]
    assert stand(order) == [State.READY]
    assert "1 of 1 labels ready" in text_of(owner.get(f"/packing/labels/?orders={order.pk}"))
    assert fetching.ask(parcels.complete(order)) == 0


def test_it_is_sealed_and_forgotten_in_time(order: Order) -> None:
    fetching.ask(parcels.complete(order))
    work(parcels.ZPL)
    kept = ChannelLabel.objects.get()
    assert "parcel" not in kept.sealed
    assert fetching.content(kept) == [parcels.ZPL]
    fetching.prune(timezone.now())
    assert ChannelLabel.objects.exists()
    fetching.prune(timezone.now() + fetching.KEPT + timedelta(seconds=1))
    assert not ChannelLabel.objects.exists()


def test_a_refusal_is_an_answer_and_can_be_asked_again(order: Order, owner: Client) -> None:
    fetching.ask(parcels.complete(order))
    work(Refusal("The shipment is not ours."))
    assert stand(order) == [State.REFUSED]
    assert "The shipment is not ours." in text_of(owner.get(f"/packing/labels/?orders={order.pk}"))
    owner.post("/packing/labels/fetch/", {"orders": str(order.pk)})
    assert stand(order) == [State.ON_THE_WAY]


def test_ours_may_stand_in_for_a_refused_one_only_when_told(order: Order, owner: Client) -> None:
    fetching.ask(parcels.complete(order))
    work(Refusal("no"))
    assert printed(owner, order).status_code == 302
    assert not OrderEvent.objects.filter(code=printing.PRINTED).exists()
    assert "ML-1" in pages(printed(owner, order, ours=str(order.pk)))[0]


@pytest.mark.parametrize("failure", [NotYet("later", retry_at=datetime.now(UTC)), Failure(Category.TRANSIENT, "away")])
def test_what_may_pass_is_the_ledger_s(order: Order, failure: Failure) -> None:
    fetching.ask(parcels.complete(order))
    with pytest.raises(Failure):
        work(failure)
    assert not ChannelLabel.objects.exists()
    Job.objects.update(error="later", due_at=timezone.now() + timedelta(minutes=2))
    assert stand(order) == [State.WAITS]
    Job.objects.update(state=Job.State.REFUSED)
    assert stand(order) == [State.FAILED]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (parcels.a_pdf("x"), fetching.PDF),
        (parcels.ZPL, fetching.ZPL),
        (b"\xef\xbb\xbf\r\n" + parcels.ZPL, fetching.ZPL),
        (parcels.zipped(a=parcels.ZPL, b=parcels.ZPL), fetching.ZPL),
        (parcels.zipped(a=parcels.a_pdf("x")), fetching.PDF),
        (b"%PDF-1.4 broken", ""),
        (b"PK\x03\x04 broken", ""),
        (parcels.zipped(a=parcels.ZPL, b=parcels.a_pdf("x")), ""),
        (parcels.zipped(**{f"f{n}": parcels.ZPL for n in range(21)}), ""),
        (parcels.zipped(), ""),
        (b"<html>", ""),
        (b"", ""),
    ],
)
def test_what_comes_is_judged_by_its_bytes(order: Order, content: bytes, kind: str) -> None:
    fetching.ask(parcels.complete(order))
    work(content)
    kept = ChannelLabel.objects.get()
    assert kept.content_type == kind
    assert bool(kept.problem) is not bool(kind)


def test_labels_of_all_kinds_are_one_file_in_the_chosen_order_each_once(world: World, owner: Client) -> None:
    own, first, double = (parcels.to_send(world, name) for name in ("OWN-1", "CH-1", "CH-2"))
    parcels.invoice(own)
    parcels.label(parcels.parcel(first), parcels.a_pdf("channel one"))
    parcels.label(parcels.parcel(double), parcels.a_pdf("channel two", pages=2))
    found = pages(printed(owner, double, own, first, double))
    assert [page.strip()[:11] for page in found[:2]] == ["channel two"] * 2
    assert "OWN-1" in found[2]
    assert found[3].strip() == "channel one"
    assert len(found) == 4


def test_ours_are_zpl_beside_channels_zpl_and_in_one_file_only(world: World, owner: Client) -> None:
    zebra, own = parcels.to_send(world, "Z-1"), parcels.to_send(world, "P-1")
    parcels.label(parcels.parcel(zebra), parcels.zipped(a=parcels.ZPL, b=parcels.ZPL), fetching.ZPL)
    answer = printed(owner, zebra, own, kind="zpl")
    content = parcels.bytes_of(answer)
    assert content.count(b"^XA") == content.count(b"^XZ") == 3
    assert content.index(b"parcel") < content.index(b"P-1")
    assert answer.headers["content-type"] == "application/zpl"
    events = OrderEvent.objects.filter(code=printing.PRINTED)
    assert sorted(events.values_list("order_id", flat=True)) == [zebra.pk, own.pk]
    assert printed(owner, zebra, own).status_code == 302, "no PDF: ours would travel twice"


def test_a_channel_s_pdf_takes_ours_with_it(world: World, owner: Client) -> None:
    zebra, paper, own = (parcels.to_send(world, name) for name in ("Z-1", "P-1", "OWN-1"))
    parcels.label(parcels.parcel(zebra), parcels.ZPL, fetching.ZPL)
    parcels.label(parcels.parcel(paper), parcels.a_pdf("channel"))
    assert parcels.bytes_of(printed(owner, zebra, paper, own, kind="zpl")).count(b"^XA") == 1
    assert ["OWN-1" in page for page in pages(printed(owner, zebra, paper, own))] == [False, True]


def test_ours_alone_are_printed_either_way(world: World, owner: Client) -> None:
    own = parcels.to_send(world, "OWN-1")
    said = text_of(owner.get(f"/packing/labels/?orders={own.pk}"))
    assert "ZPL (1)" in said
    assert "Print (1)" in said
    assert b"OWN-1" in parcels.bytes_of(printed(owner, own, kind="zpl"))
    assert "OWN-1" in pages(printed(owner, own))[0]


def test_ours_instead_of_a_refused_one_may_be_zpl(order: Order, owner: Client) -> None:
    fetching.ask(parcels.complete(order))
    work(Refusal("no"))
    assert 'value="zpl"' in text_of(owner.get(f"/packing/labels/?orders={order.pk}"))
    assert b"ML-1" in parcels.bytes_of(printed(owner, order, kind="zpl", ours=str(order.pk)))


def test_how_labels_were_last_printed_is_what_the_next_page_offers_first(world: World, owner: Client) -> None:
    own = parcels.to_send(world, "OWN-1")
    paper, zebra = parcels.to_send(world, "PDF-1"), parcels.to_send(world, "ZPL-1")
    parcels.label(parcels.parcel(paper), parcels.a_pdf("channel"))
    parcels.label(parcels.parcel(zebra), parcels.ZPL, fetching.ZPL)

    def first(order: Order) -> list[str]:
        text = text_of(owner.get(f"/packing/labels/?orders={order.pk}"))
        return re.findall(r'e-main" name="kind" value="(\w+)"', text)

    assert first(own) == ["pdf"]
    cookie = printed(owner, own, kind="zpl").cookies["labels"]
    assert cookie["httponly"]
    assert first(own) == first(zebra) == ["zpl"]
    # Where there is no ZPL to be had, the other one is.
    assert first(paper) == ["pdf"]
    printed(owner, own, kind="pdf")
    assert first(own) == ["pdf"]


def test_printing_again_is_said_on_the_order(world: World, owner: Client) -> None:
    order = parcels.to_send(world, "OWN-1")
    printed(owner, order)
    printed(owner, order)
    codes = list(OrderEvent.objects.filter(order=order).order_by("pk").values_list("code", "actor"))
    assert codes == [(printing.PRINTED, "ana"), (printing.REPRINTED, "ana")]
    assert printing.lines(parcels.complete(order))[0].printed_at


def test_whose_label_it_is_follows_the_parcel(world: World) -> None:
    nobodys = parcels.to_send(world, "1")
    warehouse = parcels.to_send(world, "2", logistics="fulfilled")
    gone = parcels.to_send(world, "3")
    parcels.parcel(warehouse)
    parcels.parcel(gone, status="cancelled")
    parcels.parcel(gone, "42", last_seen_at=timezone.now())
    parcels.parcel(gone, "43", source="erp")
    assert stand(nobodys, warehouse, gone) == [State.OURS] * 3


def test_the_page_costs_the_same_for_many(world: World, owner: Client, django_assert_max_num_queries: Any) -> None:
    for number in range(12):
        parcels.label(parcels.parcel(parcels.to_send(world, f"N-{number}")), parcels.ZPL, fetching.ZPL)
    with django_assert_max_num_queries(24):
        assert owner.get("/packing/labels/").status_code == 200


def test_a_stranger_s_label_is_not_printed(world: World, stranger: Client) -> None:
    order = parcels.to_send(world, "SECRET")
    answer = printed(stranger, order)
    assert answer.status_code == 302
    assert not OrderEvent.objects.filter(order=order).exists()
    assert "SECRET" not in text_of(stranger.get(f"/packing/labels/?orders={order.pk}"))
    stranger.post("/packing/labels/fetch/", {"orders": str(order.pk)})
    assert not Job.objects.exists()


def test_a_viewer_and_whoever_may_not_see_the_buyer_get_none(world: World, order: Order, viewer: Client) -> None:
    blind = person("bia", world, "operator")
    blind.memberships.update(sees_buyer=False)
    for browser in (viewer, browser_of(blind)):
        assert printed(browser, order).status_code == 403
        assert browser.get(f"/packing/slips.pdf?orders={order.pk}").status_code == 403
        assert browser.get(f"/packing/labels/?orders={order.pk}").status_code == 403
        assert browser.get(f"/orders/{order.pk}/nfe.xml").status_code == 403


def test_what_has_left_meanwhile_is_asked_for_no_more(order: Order) -> None:
    fetching.ask(parcels.complete(order))
    Order.objects.update(status="shipped", shipped_at=timezone.now())
    assert work(parcels.ZPL).asked == []
    assert stand(order) == [State.REFUSED]
