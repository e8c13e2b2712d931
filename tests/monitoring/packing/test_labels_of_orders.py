"""Amazon plans the collection of an order before it has any parcel: its label is the order's, and only DBA has one."""

from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone
from pypdf import PdfReader

from connectors.models import Job
from hub.models import Membership
from monitoring.models import ChannelLabel
from monitoring.packing import fetching, printing
from monitoring.packing.printing import State
from orders.models import Order
from tests.monitoring.packing import parcels
from tests.monitoring.packing.test_labels import printed
from tests.monitoring.reconciliation.market import Market, open_market
from tests.monitoring.world import World, browser_of, text_of


@pytest.fixture
def market(db: None) -> Iterator[Market]:
    with open_market("amazon") as opened:
        yield opened


@pytest.fixture
def browser(market: Market) -> Client:
    user = User.objects.create(username="ana", is_staff=True)
    Membership.objects.create(user=user, seller=market.seller, role=Membership.Role.OWNER)
    return browser_of(user)


def sold(market: Market, program: str) -> Order:
    amazon = market.sim("amazon")
    [number] = amazon.place(1, program=program)
    if program == "DBA":
        amazon.sales[number].raw["tax"]["taxInvoicing"] = {"invoiceStatus": "ACCEPTED"}
    market.poll("amazon")
    return Order.objects.get(external_id=number)


def state(order: Order) -> State:
    [line] = printing.lines(parcels.complete(order))
    return line.state


def ask(browser: Client, *orders: Order) -> str:
    ids = ",".join(str(order.pk) for order in orders)
    return text_of(browser.post("/packing/labels/fetch/", {"orders": ids}, follow=True))


def test_it_is_asked_for_before_there_is_a_parcel_and_stays_when_one_comes(market: Market, browser: Client) -> None:
    order = sold(market, "DBA")
    assert not order.shipments.exists() and state(order) is State.TO_ASK
    assert "Get the channel&#x27;s label" in text_of(browser.get(f"/orders/{order.pk}/")).replace("'", "&#x27;")
    assert "1 label is being fetched" in ask(browser, order)
    assert Job.objects.get(operation="label").key == f"order:{order.pk}"
    market.work()
    assert state(order) is State.READY
    answer = parcels.bytes_of(printed(browser, order))
    assert order.external_id in PdfReader(BytesIO(answer)).pages[0].extract_text()
    market.poll("amazon")
    assert order.shipments.exists() and state(order) is State.READY
    # Nor is it planned twice.
    assert fetching.ask(parcels.complete(order)) == 0


def test_our_own_label_is_what_other_programs_get(market: Market, browser: Client) -> None:
    order = sold(market, "SELF_SHIP")
    assert state(order) is State.OURS
    page = text_of(browser.get(f"/packing/labels/?orders={order.pk}"))
    assert "ours" in page and "from its channel" not in page
    assert fetching.ask(parcels.complete(order)) == 0
    order.logistics, order.raw_logistics = "pickup", "AMAZON ONSITE"
    assert fetching.wanted(order) == []
    order.raw_logistics = "MERCHANT DELIVERY_BY_AMAZON"
    assert fetching.wanted(order) == [order]
    order.status = "delivered"
    assert fetching.wanted(order) == []


def test_before_amazons_window_the_page_says_when_we_ask_again(market: Market, browser: Client) -> None:
    order = sold(market, "DBA")
    opens = timezone.now() + timedelta(hours=3)
    market.sim("amazon").open_labels_at(order.external_id, opens)
    ask(browser, order)
    market.work()
    job = Job.objects.get(operation="label")
    assert state(order) is State.WAITS and job.attempts == 0
    assert abs(job.due_at - opens) < timedelta(seconds=1)
    assert "later" in text_of(browser.get(f"/packing/labels/?orders={order.pk}"))


def test_a_refusal_is_shown_and_ours_may_stand_in(market: Market, browser: Client) -> None:
    order = sold(market, "DBA")
    market.sim("amazon")._plan(market.sim("amazon").sales[order.external_id])
    ask(browser, order)
    market.work()
    assert state(order) is State.REFUSED
    assert "Print it in Seller Central" in text_of(browser.get(f"/packing/labels/?orders={order.pk}"))
    assert parcels.bytes_of(printed(browser, order, ours=str(order.pk)))


def test_a_label_is_of_one_thing(world: World) -> None:
    order = parcels.to_send(world, "1")
    parcel = parcels.parcel(order)
    for of in ({"order": order, "shipment": parcel}, {}):
        with pytest.raises(IntegrityError), transaction.atomic():
            ChannelLabel.objects.create(sealed="", **of)
