"""Refused, corrected on the page, sent with the corrected value, gone from the list. And it stays corrected."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from connectors import actions
from connectors.models import Job, Link
from hub.models import Membership
from monitoring.incidents import gather
from monitoring.models import Incident
from orders import doors
from orders.models import Answer, Invoice, Order, OrderEvent, Shipment
from orders.vocabulary import Hold
from tests.monitoring.mending import DOCUMENT, STREET, Toys, toys
from tests.monitoring.world import World, browser_of, person, text_of
from tests.orders.factory import key

MESSAGE = "The address or the CPF is not right"
RIGHT, WRONG = key(7), key(8)


@pytest.fixture
def shop(db: None) -> Iterator[Toys]:
    with toys() as made:
        yield made


def client_of(shop: Toys, role: str = "owner", **sight: bool) -> Client:
    user = person(f"ana-{role}", World(shop.seller, shop.channel.channel, shop.channel, shop.books), role)  # type: ignore[arg-type]
    Membership.objects.filter(user=user).update(**sight)
    return browser_of(user)


def send(client: Client, path: str, **changes: Any) -> str:
    """The page's form with these fields changed, sent as a browser sends it. What the next page says."""
    form = client.get(path).context["form"]
    shown = {field.html_name: field.value() or "" for field in form if field.html_name != "xml"}
    answer = client.post(
        path,
        {**shown, "next": "/failures/", **{name.replace("__", "-"): v for name, v in changes.items()}},
        follow=True,
    )
    return str(text_of(answer))


def codes(order: Order) -> list[str]:
    return list(order.events.order_by("pk").values_list("code", flat=True))


# --- Buyer and address ----------------------------------------------------------------------------------------------


def test_the_address_that_the_erp_refused(shop: Toys) -> None:
    order = shop.sell(street="", postal_code="50030230")
    client = client_of(shop, "operator")
    failures = text_of(client.get("/failures/"))
    path = f"/orders/{order.pk}/correct/"
    assert MESSAGE in failures and f'href="{path}?next=/failures/"' in failures
    assert f'href="{path}"' in text_of(client.get(f"/orders/{order.pk}/"))
    page = text_of(client.get(path))
    assert MESSAGE in page and "50030-230" in page
    assert "It is sent again now" in send(client, path, ship_to__street=STREET, ship_to__city="Olinda")
    shop.drain()
    [sent] = shop.erp.orders.values()
    assert (sent["street"], sent["city"], sent["cep"], sent["document"]) == (STREET, "Olinda", "50030230", DOCUMENT)
    assert MESSAGE not in text_of(client.get("/failures/"))
    order.refresh_from_db()
    # Also where it goes by, is looked for and printed.
    assert (order.city, order.bill_to["street"], order.ship_to["street"]) == ("Olinda", STREET, STREET)
    told = OrderEvent.objects.get(code="corrected")
    assert (told.actor, told.data) == ("ana-operator", {"fields": ["street", "city"]})
    assert list(shop.seller.activities.values_list("action", "subject", "after")) == [
        ("order_corrected", "1", {"fields": ["street", "city"]})
    ]
    said = text_of(client_of(shop).get("/people/activity/"))
    assert "corrected an order" in said and "Street, City" in said and STREET not in said


def test_a_correction_outlasts_the_channels_documents(shop: Toys) -> None:
    order = shop.sell(street="", city="Recife")
    client = client_of(shop)
    shop.erp.orders.clear()
    send(client, f"/orders/{order.pk}/correct/", ship_to__street=STREET, ship_to__city="Olinda")
    # The same once more, only newer.
    shop.sell(street="", city="Recife", version=2)
    order.refresh_from_db()
    assert (order.ship_to["street"], order.ship_to["city"], order.city) == (STREET, "Olinda", "Olinda")
    assert "correction_stands" not in codes(order)
    # The channel changes its mind: that is said, and the correction stands.
    shop.sell(street="", city="Paulista", version=3)
    order.refresh_from_db()
    assert order.city == "Olinda" and order.corrections["ship_to.city"]["was"] == "Paulista"
    stands = OrderEvent.objects.get(code="correction_stands")
    assert (stands.source, stands.data) == ("channel", {"fields": ["city"]})
    page = text_of(client.get(f"/orders/{order.pk}/"))
    assert "City corrected by ana-owner" in page and "was “Paulista”" in page and "was empty" in page
    # It comes to say the same: nothing is to be told of that, nor taken back.
    shop.sell(street="", city="Olinda", version=4)
    assert "City corrected" not in text_of(client.get(f"/orders/{order.pk}/"))
    assert codes(order).count("correction_stands") == 1


def test_a_wrong_cpf_holds_the_order_until_it_is_corrected(shop: Toys) -> None:
    order = shop.sell(document="52998224724")
    assert order.active_holds == [Hold.BUYER] and not Job.objects.filter(operation="export").exists()
    client, path = client_of(shop), f"/orders/{order.pk}/correct/"
    assert f'href="{path}"' in text_of(client.get(f"/orders/{order.pk}/"))
    assert "no valid CPF" in send(client, path, buyer__document="529.982.247-26")
    assert "Nothing was changed" in send(client, path)
    send(client, path, buyer__document="529.982.247-25")
    shop.drain()
    assert [sent["document"] for sent in shop.erp.orders.values()] == [DOCUMENT]
    order.refresh_from_db()
    assert not order.held and codes(order)[-3:] == ["corrected", "hold_cleared", "exported"]
    assert DOCUMENT in order.search and order.buyer_key
    # The channel's next document is as wrong as before.
    shop.sell(document="52998224724", version=2)
    order.refresh_from_db()
    assert order.buyer["document"] == DOCUMENT and not order.holds


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("ship_to__postal_code", "5003023", "A CEP has eight digits."),
        ("ship_to__state", "XX", "Select a valid choice"),
        ("ship_to__city", "", "This field is required."),
        ("buyer__document", "11111111111", "no valid CPF"),
        ("buyer__document", "***.982.247-**", "no valid CPF"),
    ],
)
def test_what_could_not_be_right_is_not_sent(shop: Toys, field: str, value: str, said: str) -> None:
    order = shop.sell(street="")
    assert said in send(client_of(shop), f"/orders/{order.pk}/correct/", **{"ship_to__street": STREET, field: value})
    order.refresh_from_db()
    assert not order.corrections and Job.objects.get(operation="export").state == Job.State.REFUSED


def test_an_address_is_whole_or_none(shop: Toys) -> None:
    shop.shop.place("1", document=DOCUMENT)
    shop.run()
    order = Order.objects.get()
    client, path = client_of(shop), f"/orders/{order.pk}/correct/"
    assert "This is needed." in send(client, path, ship_to__street=STREET)
    send(
        client,
        path,
        ship_to__street=STREET,
        ship_to__city="Recife",
        ship_to__state="PE",
        ship_to__postal_code="50030-230",
    )
    shop.drain()
    [sent] = shop.erp.orders.values()
    assert (sent["street"], sent["cep"]) == (STREET, "50030230")


def test_the_sku_is_corrected_on_the_orders_page_too(shop: Toys) -> None:
    order = shop.sell(street="", sku="LAMP")
    client = client_of(shop)
    send(client, f"/orders/{order.pk}/correct/", ship_to__street=STREET, **{"sku-0": "LAMPADA"})
    shop.drain()
    assert [sent["sku"] for sent in shop.erp.orders.values()] == ["LAMPADA"]
    assert "in the ERP LAMPADA" in text_of(client.get(f"/orders/{order.pk}/"))


def test_a_line_without_sku_gets_one_and_no_other_does(shop: Toys) -> None:
    order = shop.sell(street="", sku="MUG")
    order.items.update(sku="")
    other = order.items.create(external_id="x", sku="CUP", quantity=Decimal(1), unit_price=Decimal(1))
    send(client_of(shop), f"/orders/{order.pk}/correct/", **{"sku-0": "LAMP"})
    assert dict(order.items.values_list("external_id", "erp_sku")) == {"0": "LAMP", other.external_id: ""}


def test_a_correction_is_taken_back(shop: Toys) -> None:
    order = shop.sell(street="", document="52998224724")
    client = client_of(shop)
    send(client, f"/orders/{order.pk}/correct/", buyer__document="529.982.247-25")
    shop.drain()
    order.refresh_from_db()
    assert not order.held
    assert "Take it back" in text_of(client.get(f"/orders/{order.pk}/"))
    client.post(f"/orders/{order.pk}/correct/undo/", {"path": "buyer.document"})
    order.refresh_from_db()
    assert (order.buyer["document"], order.corrections, order.active_holds) == ("52998224724", {}, [Hold.BUYER])
    assert client.post(f"/orders/{order.pk}/correct/undo/", {"path": "buyer.document"}).status_code == 404


def test_what_the_erp_has_is_not_corrected_here(shop: Toys) -> None:
    order = shop.sell()
    client, path = client_of(shop), f"/orders/{order.pk}/correct/"
    page = text_of(client.get(path))
    assert "The ERP has this order already" in page and "Correct and send" not in page
    answer = client.post(path, {"ship_to-street": "Rua B", "sku-0": "MUG"}, follow=True)
    order.refresh_from_db()
    assert answer.status_code == 200 and not order.corrections


def test_while_it_is_sent_nothing_is_corrected(shop: Toys) -> None:
    order = shop.sell(street="")
    Job.objects.update(state=Job.State.RUNNING)
    assert "being sent at this moment" in send(client_of(shop), f"/orders/{order.pk}/correct/", ship_to__street=STREET)
    order.refresh_from_db()
    assert not order.corrections


def test_who_does_not_see_the_buyer_corrects_no_more_than_skus(shop: Toys) -> None:
    order = shop.sell(street="", document=DOCUMENT)
    client, path = client_of(shop, "operator", sees_buyer=False), f"/orders/{order.pk}/correct/"
    page = text_of(client.get(path))
    assert "does not see the buyer" in page and "50030" not in page and DOCUMENT not in page
    client.post(path, {"ship_to-street": STREET, "sku-0": "CUP"})
    order.refresh_from_db()
    assert not order.corrections and order.items.get().erp_sku == "CUP"
    doors.correct(order, {"ship_to": {"street": STREET}}, "bia")
    assert "corrected by bia" not in text_of(client.get(f"/orders/{order.pk}/"))
    assert client.post(f"/orders/{order.pk}/correct/undo/", {"path": "ship_to.street"}).status_code == 403


def test_who_only_looks_corrects_nothing(shop: Toys) -> None:
    order = shop.sell(street="")
    viewer = client_of(shop, "viewer")
    assert "/correct/" not in text_of(viewer.get("/failures/")) + text_of(viewer.get(f"/orders/{order.pk}/"))
    for path in ("correct/", "correct/undo/", "invoice/"):
        assert viewer.post(f"/orders/{order.pk}/{path}", {"ship_to-street": STREET, "key": RIGHT}).status_code == 403
    order.refresh_from_db()
    assert not order.corrections


# --- A parcel -------------------------------------------------------------------------------------------------------

LEFT = {"carrier": "Jad", "code": "JD1", "at": "2026-11-21T10:00:00Z"}


def dispatched(shop: Toys) -> Shipment:
    """The channel has refused the ERP's parcel."""
    shop.sell()
    shop.shop.refused = {"Jad"}
    shop.erp_says(dispatches=[LEFT])
    return Shipment.objects.get()


def test_the_carrier_that_the_channel_refused(shop: Toys) -> None:
    parcel = dispatched(shop)
    client, path = client_of(shop), f"/orders/parcels/{parcel.pk}/correct/"
    assert "No carrier" in text_of(client.get("/failures/")) and path in text_of(client.get("/failures/"))
    send(client, path, carrier="Jadlog", tracking_code="JD2")
    shop.drain()
    assert shop.shop.parcels == {"1": "Jadlog JD2 https://carrier.example/JD2"}
    assert "No carrier" not in text_of(client.get("/failures/"))
    told = OrderEvent.objects.get(code="dispatch_corrected")
    assert (told.actor, told.data) == ("ana-owner", {"before": "Jad JD1", "after": "Jadlog JD2"})
    assert shop.seller.activities.get(action="dispatch_corrected").after == {
        "carrier": "Jadlog",
        "tracking_code": "JD2",
    }
    # The ERP goes on saying what it said, then something else.
    shop.erp_says(dispatches=[LEFT])
    shop.erp_says(dispatches=[{**LEFT, "code": "JD3"}])
    parcel.refresh_from_db()
    assert (str(parcel), parcel.carrier, parcel.answer) == ("JD2", "Jadlog", Answer.ACCEPTED)
    assert OrderEvent.objects.get(code="correction_stands").data == {"fields": ["tracking_code"]}
    page = text_of(client.get(f"/orders/{parcel.order_id}/"))
    assert "Tracking code corrected by ana-owner" in page and "was “JD3”" in page


def test_the_correction_of_a_parcel_is_taken_back_until_the_channel_has_it(shop: Toys) -> None:
    parcel = dispatched(shop)
    shop.shop.refused |= {"Jadlog"}
    client, undo = client_of(shop), f"/orders/{parcel.order_id}/correct/undo/"
    send(client, f"/orders/parcels/{parcel.pk}/correct/", carrier="Jadlog", tracking_code="JD2")
    client.post(undo, {"path": f"parcel:{parcel.pk}.tracking_code"})
    parcel.refresh_from_db()
    assert (parcel.carrier, parcel.tracking_code, parcel.tracking_url) == (
        "Jadlog",
        "JD1",
        "https://carrier.example/JD1",
    )
    assert list(Order.objects.get().corrections) == [f"parcel:{parcel.pk}.carrier"]
    Shipment.objects.update(answer=Answer.ACCEPTED)
    client.post(undo, {"path": f"parcel:{parcel.pk}.carrier"})
    parcel.refresh_from_db()
    assert parcel.carrier == "Jadlog"


def test_a_parcel_of_another_seller_and_the_channels_own_are_not_there(shop: Toys, other: World) -> None:
    parcel = dispatched(shop)
    path = f"/orders/parcels/{parcel.pk}/correct/"
    assert browser_of(person("zeca", other)).get(path).status_code == 404
    assert client_of(shop, "viewer").get(path).status_code == 403
    Shipment.objects.update(source="channel")
    assert client_of(shop).get(path).status_code == 404


# --- An NF-e --------------------------------------------------------------------------------------------------------


def nfe(code: str, status: str = "100", environment: str = "1") -> SimpleUploadedFile:
    namespace = 'xmlns="http://www.portalfiscal.inf.br/nfe"'
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?><nfeProc {namespace} versao="4.00"><NFe><infNFe Id="NFe{code}"><ide>'
        f"<dhEmi>2026-11-21T10:00:00-03:00</dhEmi><tpAmb>{environment}</tpAmb></ide><total><ICMSTot><vNF>10.00</vNF>"
        f"</ICMSTot></total></infNFe></NFe><protNFe><infProt><chNFe>{code}</chNFe><cStat>{status}</cStat></infProt>"
        "</protNFe></nfeProc>"
    )
    return SimpleUploadedFile("nfe.xml", text.encode(), "text/xml")


def invoiced(shop: Toys, xml: str = "") -> Order:
    """The channel has refused the NF-e that the ERP gave."""
    shop.sell()
    shop.shop.refused = {WRONG}
    shop.erp_says(invoices=[{"key": WRONG, "xml": xml}])
    return Order.objects.get()


def test_the_nfe_that_the_channel_refused(shop: Toys) -> None:
    order = invoiced(shop)
    client, path = client_of(shop), f"/orders/{order.pk}/invoice/"
    failures = text_of(client.get("/failures/"))
    assert "not of this sale" in failures and path in failures
    send(client, path, key=f"NFe{RIGHT[:20]} {RIGHT[20:]}")
    shop.drain()
    assert shop.shop.invoices == {"1": RIGHT}
    assert "not of this sale" not in text_of(client.get("/failures/"))
    right, wrong = Invoice.objects.get(key=RIGHT), Invoice.objects.get(key=WRONG)
    assert (right.number, right.series, right.answer, wrong.answer) == ("7", "1", Answer.ACCEPTED, Answer.REPLACED)
    told = OrderEvent.objects.get(code="invoice_replaced")
    assert (told.actor, told.data["number"], told.data["key"]) == ("ana-owner", "7", RIGHT)
    log = shop.seller.activities.get(action="invoice_corrected")
    assert (log.before, log.after) == ({"key": WRONG}, {"key": RIGHT})
    # The ERP repeats itself; nobody hears of the wrong one again.
    shop.erp_says(invoices=[{"key": WRONG, "xml": ""}])
    shop.erp_says(invoices=[{"key": WRONG, "xml": "<late/>" + WRONG}])
    assert shop.shop.invoices == {"1": RIGHT} and not Job.objects.filter(state=Job.State.REFUSED).exists()
    assert Invoice.objects.get(Invoice.IN_FORCE, order=order) == right


def test_a_torn_file_is_replaced_by_the_whole_one(shop: Toys) -> None:
    shop.sell()
    order = Order.objects.get()
    torn = [{"key": RIGHT, "xml": f"<NFe>{RIGHT}"}]
    shop.erp_says(invoices=torn)
    assert Invoice.objects.get().answer == Answer.REFUSED
    client, path = client_of(shop), f"/orders/{order.pk}/invoice/"
    send(client, path, xml=nfe(RIGHT))
    shop.drain()
    invoice = Invoice.objects.get()
    assert shop.shop.invoices == {"1": f"{RIGHT}whole"} and invoice.answer == Answer.ACCEPTED
    assert str(invoice.amount) == "10.0000" and invoice.issued_at is not None
    assert "not of this sale" not in text_of(client.get("/failures/"))
    # The ERP still has the torn one.
    shop.erp_says(invoices=torn)
    assert b"nfeProc" in doors.invoice_document(Invoice.objects.get()).xml


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "Type the access key"),
        ({"key": RIGHT[:43] + "0"}, "check digit is wrong"),
        ({"key": "12"}, "does not have the form"),
        ({"xml": nfe(RIGHT, status="301")}, "authorisation is missing"),
        ({"xml": nfe(RIGHT, environment="2")}, "issued for testing"),
        ({"xml": nfe(RIGHT), "key": WRONG}, "XML is of another NF-e"),
        ({"xml": SimpleUploadedFile("nfe.xml", b"%PDF")}, "no XML"),
        ({"xml": SimpleUploadedFile("nfe.xml", b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>")}, "no XML"),
        ({"xml": SimpleUploadedFile("nfe.xml", b"<x/>")}, "holds no NF-e"),
        ({"xml": SimpleUploadedFile("nfe.xml", b" " * 1024 * 1025)}, "too large"),
    ],
)
def test_what_is_no_nfe_of_this_sale_is_not_taken(shop: Toys, given: dict[str, Any], said: str) -> None:
    order = invoiced(shop)
    for file in (one for one in given.values() if isinstance(one, SimpleUploadedFile)):
        file.seek(0)
    assert said in send(client_of(shop), f"/orders/{order.pk}/invoice/", **given)
    assert list(Invoice.objects.values_list("key", "answer")) == [(WRONG, Answer.REFUSED)]


def test_another_sellers_and_another_orders_nfe_is_not_taken(shop: Toys) -> None:
    order = invoiced(shop)
    shop.seller.tax_ids = ["99888777000100"]
    shop.seller.save()
    client, path = client_of(shop), f"/orders/{order.pk}/invoice/"
    assert "which is not the seller" in send(client, path, key=RIGHT)
    shop.seller.tax_ids = []
    shop.seller.save()
    other = shop.sell("2")
    doors.record_invoice(other, doors.invoice_document(Invoice(key=RIGHT)))
    assert "belongs to another order" in send(client, path, key=RIGHT)
    assert Invoice.objects.get(key=WRONG).answer == Answer.REFUSED


def test_one_more_nfe_replaces_none(shop: Toys) -> None:
    order = invoiced(shop)
    send(client_of(shop), f"/orders/{order.pk}/invoice/", key=RIGHT, replaces="")
    shop.drain()
    assert set(Invoice.objects.values_list("key", "answer")) == {(WRONG, "refused"), (RIGHT, "accepted")}


# --- Handled by hand ------------------------------------------------------------------------------------------------


def test_a_sale_handled_by_hand_is_found_by_the_number_of_what_was_made(shop: Toys) -> None:
    order = shop.sell(street="")
    job = Job.objects.get(operation="export")
    client = client_of(shop)
    form = {"reason": "typed by the accountant", "reference": "PED-4711", "next": "/failures/"}
    assert "Marked as handled by hand" in text_of(client.post(f"/failures/jobs/{job.pk}/close/", form, follow=True))
    told = order.events.get(code="handled_with_reference")
    assert (told.actor, told.data["reference"]) == ("ana-owner", "PED-4711")
    assert list(shop.seller.activities.values_list("action", "subject", "after")) == [
        ("step_closed", "1", {"reason": "typed by the accountant", "reference": "PED-4711"})
    ]
    # Also when the channel has told of it again.
    shop.sell(street="", version=2)
    assert f'/orders/{order.pk}/"' in text_of(client.get("/orders/?q=ped-4711"))
    page = text_of(client.get(f"/orders/{order.pk}/"))
    assert "handled by hand (PED-4711). typed by the accountant" in page
    assert page.count("PED-4711") > 1


def test_many_handled_by_hand_share_a_number(shop: Toys) -> None:
    for number in "12":
        shop.sell(number, street="")
    gather.gather()
    incident = Incident.objects.get()
    form = {"which": "all", "reason": "typed", "reference": "LOTE-9"}
    client_of(shop).post(f"/incidents/{incident.pk}/close/", form)
    log = shop.seller.activities.get(action="steps_closed")
    assert log.after == {"count": 2, "reason": "typed", "reference": "LOTE-9"}
    assert Order.objects.filter(search__contains="lote-9").count() == 2
    assert all(order.own_references == ["LOTE-9"] for order in Order.objects.all())


def test_a_document_handled_by_hand_keeps_the_number_with_the_reason(owner: Client, world: World) -> None:
    entry = world.rejected("9")
    owner.post(f"/failures/documents/{entry.pk}/close/", {"reason": "typed", "reference": "4711"})
    entry.refresh_from_db()
    assert (entry.state, entry.error) == ("closed", "typed [4711] (ana)")


def test_what_runs_at_this_moment_is_not_said_to_be_handled(shop: Toys) -> None:
    shop.sell(street="")
    job = Job.objects.get(operation="export")
    Job.objects.update(state=Job.State.RUNNING)
    answer = client_of(shop).post(f"/failures/jobs/{job.pk}/close/", {"reason": "typed"}, follow=True)
    assert "at work at this moment" in text_of(answer) and not shop.seller.activities.exists()


def test_nothing_starts_again_what_was_handled_by_hand(shop: Toys) -> None:
    from connectors import planning

    order = shop.sell(street="")
    job = Job.objects.get(operation="export")
    actions.close(job, "ana", "typed", "4711")
    # The channel's news, the sweep, the recovery, a released hold, and a look at everything due.
    shop.sell(street=STREET, version=2)
    assert planning.sweep() == 0
    doors.hold(order, "ana")
    actions.release(order, [Hold.PERSON.value], "ana")
    shop.run()
    job.refresh_from_db()
    assert job.state == Job.State.CLOSED and not shop.erp.orders
    # Nor does an ERP that the seller chooses afterwards get it.
    books = actions.connect(
        shop.seller, "toy_erp", "New", {"hosts": {"api": shop.erp_server.url}}, {"api_key": "k" * 12}
    )
    shop.channel.refresh_from_db()
    shop.channel.settings["erp"] = str(books.pk)
    shop.channel.save()
    shop.sell(street=STREET, version=3)
    assert planning.sweep() == 0
    shop.drain(books)
    assert not shop.erp.orders and not Link.objects.exists()
    # Nor a correction; only a person who says so.
    client = client_of(shop)
    assert "handled this by hand" in send(client, f"/orders/{order.pk}/correct/", ship_to__city="Olinda")
    client.post(f"/failures/jobs/{job.pk}/retry/")
    job.refresh_from_db()
    assert job.state == Job.State.READY
