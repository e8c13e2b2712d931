"""What to send next, the lists, the sender, scanning, and the papers on an order's page."""

from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pypdf import PdfReader

from hub.models import Activity, Seller
from monitoring.packing import scanning
from monitoring.packing.labels import page_of
from monitoring.packing.paper import in_fours
from orders import invoices
from orders.models import Order, OrderReference, Shipment
from tests.monitoring.packing import parcels
from tests.monitoring.world import World, browser_of, person, text_of

SENDER = {
    "name": "Casa", "street": "Rua A", "number": "1", "city": "Recife", "state": "PE", "postal_code": "50030-230",
}  # fmt: skip


@pytest.fixture
def order(world: World) -> Order:
    return parcels.to_send(world, "ML-1")


# --- What to send next ----------------------------------------------------------------------------------------------


def test_only_what_may_be_sent_nearest_cut_off_first(world: World, owner: Client) -> None:
    now = timezone.now()
    parcels.to_send(world, "LATER-1", ship_by=now + timedelta(days=5))
    parcels.to_send(world, "SOON-1", ship_by=now - timedelta(hours=1))
    parcels.to_send(world, "HELD-1", held=True)
    parcels.to_send(world, "GONE-1", status="shipped")
    parcels.to_send(world, "FULL-1", logistics="fulfilled")
    page = text_of(owner.get("/packing/"))
    assert page.index("SOON-1") < page.index("LATER-1")
    assert not any(name in page for name in ("HELD-1", "GONE-1", "FULL-1"))
    late = text_of(owner.get("/packing/?due=late"))
    assert "SOON-1" in late
    assert "LATER-1" not in late
    assert "LATER-1" not in text_of(owner.get("/packing/?due=tomorrow"))
    assert "LATER-1" in text_of(owner.get(f"/packing/?due=nonsense&channel={world.channel.pk}"))


@pytest.mark.parametrize("path", ["/packing/", "/packing/pick-list/", "/packing/labels/"])
def test_a_list_costs_the_same_for_many(
    world: World, owner: Client, path: str, django_assert_max_num_queries: Any
) -> None:
    for number in range(15):
        parcels.invoice(parcels.to_send(world, f"N-{number}"), number)
    with django_assert_max_num_queries(24):
        assert "N-14" in text_of(owner.get(path))


def test_the_pick_list_is_of_the_chosen_orders(world: World, owner: Client) -> None:
    one, two = parcels.to_send(world, "P-1"), parcels.to_send(world, "P-2")
    parcels.to_send(world, "P-3")
    page = text_of(owner.get(f"/packing/pick-list/?orders={two.pk}&orders={one.pk},{one.pk}"))
    assert page.index("P-2") < page.index("P-1")
    assert "P-3" not in page
    assert '<td class="e-end e-num e-strong">4</td>' in page


@pytest.mark.parametrize("path", ["pick-list.pdf", "slips.pdf", "slips.pdf?size=label", "slips.pdf?size=../x"])
def test_papers_are_pdfs(order: Order, owner: Client, path: str) -> None:
    answer = owner.get(f"/packing/{path}")
    assert answer.headers["content-type"] == "application/pdf"
    assert parcels.bytes_of(answer).startswith(b"%PDF")


def test_no_order_no_slips(owner: Client) -> None:
    assert owner.get("/packing/slips.pdf").status_code == 302


@pytest.mark.parametrize("path", ["", "pick-list/", "pick-list.pdf", "slips.pdf", "labels/", "sender/"])
def test_a_viewer_packs_nothing(order: Order, viewer: Client, path: str) -> None:
    assert viewer.get(f"/packing/{path}").status_code == 403
    assert viewer.get("/scan/").status_code == 403


def test_nobody_packs_for_another_seller(order: Order, stranger: Client) -> None:
    for path in ("", "pick-list/", "labels/"):
        assert "ML-1" not in text_of(stranger.get(f"/packing/{path}?orders={order.pk}"))
    assert stranger.get(f"/packing/slips.pdf?orders={order.pk}").status_code == 302


# --- The sender -----------------------------------------------------------------------------------------------------


def test_the_sender_is_kept_and_logged(world: World, owner: Client) -> None:
    assert "Casa" in text_of(owner.get("/packing/sender/"))
    owner.post("/packing/sender/", {**SENDER, "seller": str(world.seller.pk)})
    world.seller.refresh_from_db()
    assert world.seller.sender["postal_code"] == "50030230"
    assert Activity.objects.get(action="sender_changed").seller == world.seller


def test_a_sender_without_an_address_is_not(world: World, owner: Client) -> None:
    answer = owner.post("/packing/sender/", {**SENDER, "postal_code": "1", "seller": str(world.seller.pk)})
    assert answer.status_code == 200
    assert Seller.objects.get(pk=world.seller.pk).sender == {}


def test_an_operator_does_not_set_it_and_nobody_another_s(world: World, stranger: Client) -> None:
    assert browser_of(person("otto", world, "operator")).get("/packing/sender/").status_code == 403
    assert stranger.post("/packing/sender/", {**SENDER, "seller": str(world.seller.pk)}).status_code == 404


# --- Scanning -------------------------------------------------------------------------------------------------------


def scan(browser: Client, code: str, mode: str = "open", **more: str) -> Any:
    return browser.post("/scan/", {"code": code, "mode": mode, **more})


@pytest.mark.parametrize(
    "code",
    [
        "ML-1", " ML-1\r\n", "#ML-1", "PACK-9", "BR123", "br123", "BR 123", parcels.key(123),
        f"NFe{parcels.key(123)}", "KEY IN FOURS", "QR",
    ],
)  # fmt: skip
def test_every_number_of_an_order_opens_it(world: World, order: Order, owner: Client, code: str) -> None:
    OrderReference.objects.create(order=order, channel=world.channel, value="PACK-9")
    parcels.parcel(order, tracking_code="BR123")
    key = parcels.invoice(order).key
    if code == "KEY IN FOURS":
        code = in_fours(key)
    if code == "QR":
        code = page_of(order)
    answer = scan(owner, code)
    assert answer.status_code == 302
    assert answer.headers["location"] == f"/orders/{order.pk}/"


def test_a_key_with_letters_is_a_key(order: Order) -> None:
    first = parcels.key(7, "A1B2C3D4000193")[:43]
    key = f"{first}{invoices.key_digit(first)}"
    order.invoices.create(seller_id=order.seller_id, key=key)
    assert scanning.find(key.lower(), [order.seller_id]) == [order]


def test_another_seller_s_numbers_are_not_found(order: Order, stranger: Client) -> None:
    parcels.parcel(order, tracking_code="BR123")
    for code in ("ML-1", "BR123", parcels.invoice(order).key, f"/orders/{order.pk}/"):
        assert "No order has the number" in text_of(scan(stranger, code))
        assert "No order has the number" in text_of(scan(stranger, code, "dispatch", confirmed="1"))
    assert not Shipment.objects.filter(source="person").exists()


@pytest.mark.parametrize("code", ["", "   ", "x" * 5000, "\x00", "' OR 1=1 --", "/orders/99999999999999999999/", "%"])
def test_nonsense_finds_nothing(order: Order, owner: Client, code: str) -> None:
    assert scan(owner, code).status_code == 200


def test_two_orders_with_one_number_are_a_choice(world: World, order: Order, owner: Client) -> None:
    parcels.parcel(order, tracking_code="SAME")
    parcels.parcel(parcels.to_send(world, "ML-2"), tracking_code="SAME")
    for mode in ("open", "dispatch"):
        page = text_of(scan(owner, "SAME", mode))
        assert "choose one" in page
        assert "ML-2" in page
    assert not Shipment.objects.filter(source="person").exists()


def test_with_invoice_and_code_one_scan_is_enough(order: Order, owner: Client) -> None:
    parcels.invoice(order)
    parcels.parcel(order, tracking_code="BR123")
    page = text_of(scan(owner, "ML-1", "dispatch"))
    assert 'data-tone="green"' in page
    assert "Take back" in page
    assert Shipment.objects.get(source="person").tracking_code == "BR123"
    again = text_of(scan(owner, "ML-1", "dispatch"))
    assert 'data-tone="red"' in again
    assert Shipment.objects.filter(source="person").count() == 1


def test_without_a_code_it_asks_and_takes_none_for_an_answer(order: Order, owner: Client) -> None:
    page = text_of(scan(owner, "ML-1", "dispatch"))
    assert 'data-tone="amber"' in page
    assert "Which tracking code?" in page
    assert not Shipment.objects.exists()
    assert 'data-tone="green"' in text_of(scan(owner, "ML-1", "dispatch", confirmed="1", tracking_code="", carrier=""))
    assert Shipment.objects.get(source="person").tracking_code == ""


def test_without_an_invoice_it_asks(world: World, owner: Client) -> None:
    order = parcels.to_send(world, "BARE", status="approved", invoiced_at=None)
    parcels.parcel(order, tracking_code="BR1")
    assert "No NF-e yet." in text_of(scan(owner, "BARE", "dispatch"))
    assert not Shipment.objects.filter(source="person").exists()


def test_what_must_not_leave_is_red(world: World, owner: Client) -> None:
    parcels.to_send(world, "DEAD", status="cancelled")
    page = text_of(scan(owner, "DEAD", "dispatch"))
    assert 'data-tone="red"' in page
    assert "do not send it" in page


# --- The order's page -----------------------------------------------------------------------------------------------


def test_the_nfe_comes_byte_for_byte(order: Order, owner: Client, stranger: Client) -> None:
    xml = b"<?xml version='1.0'?>\r\n<nfeProc>  kept </nfeProc>"
    parcels.invoice(order, sealed_xml=invoices.seal(xml))
    answer = owner.get(f"/orders/{order.pk}/nfe.xml")
    assert parcels.bytes_of(answer) == xml
    assert f"NFe{parcels.key(123)}.xml" in answer.headers["content-disposition"]
    assert owner.get(f"/orders/{order.pk}/nfe.xml?key=0").status_code == 404
    assert stranger.get(f"/orders/{order.pk}/nfe.xml").status_code == 404


def test_the_papers_stand_on_the_order_s_page(order: Order, owner: Client, viewer: Client) -> None:
    parcels.invoice(order, sealed_xml=invoices.seal(b"<nfeProc/>"))
    page = text_of(owner.get(f"/orders/{order.pk}/"))
    assert "Print the label" in page
    assert "XML of NF-e 123" in page
    assert "It has left" in page
    looked_at = text_of(viewer.get(f"/orders/{order.pk}/"))
    assert not any(said in looked_at for said in ("Print the label", "XML of NF-e", "It has left", "Packing slip"))


def nfe(key: str) -> bytes:
    """What a simplified DANFE shows."""
    return (
        f'<nfeProc versao="4.00" xmlns="http://www.portalfiscal.inf.br/nfe"><NFe><infNFe versao="4.00" Id="NFe{key}">'
        "<ide><cUF>35</cUF><natOp>Venda</natOp><mod>55</mod><serie>1</serie><nNF>123</nNF>"
        "<dhEmi>2026-11-25T10:00:00-03:00</dhEmi><tpNF>1</tpNF><tpEmis>1</tpEmis><tpAmb>1</tpAmb></ide>"
        f"<emit><CNPJ>{key[6:20]}</CNPJ><xNome>Loja</xNome></emit>"
        "<dest><CPF>52998224725</CPF><xNome>Joana Prado</xNome></dest>"
        "<total><ICMSTot><vProd>100.00</vProd><vNF>119.90</vNF></ICMSTot></total></infNFe></NFe>"
        f'<protNFe versao="4.00"><infProt><tpAmb>1</tpAmb><chNFe>{key}</chNFe><dhRecbto>2026-11-25T10:00:03-03:00'
        "</dhRecbto><nProt>135260000000001</nProt><cStat>100</cStat></infProt></protNFe></nfeProc>"
    ).encode()


def test_the_danfe_as_a_label_shows_key_and_buyer(world: World, order: Order, owner: Client, viewer: Client) -> None:
    key = parcels.key(123)
    parcels.invoice(order, sealed_xml=invoices.seal(nfe(key)))
    bare = parcels.to_send(world, "BARE")
    address = f"/packing/danfe.pdf?orders={order.pk},{bare.pk}"
    [sheet] = PdfReader(BytesIO(parcels.bytes_of(owner.get(address)))).pages
    assert (round(sheet.mediabox.width), round(sheet.mediabox.height)) == (283, 425)
    assert in_fours(key) in sheet.extract_text()
    assert "JOANA PRADO" in sheet.extract_text().upper()
    assert "BARE" in text_of(owner.get("/packing/"))
    assert viewer.get(address).status_code == 403


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><nfeProc>&b;</nfeProc>'


@pytest.mark.parametrize("xml", [b"<nfeProc/>", b"not xml", BOMB])
def test_an_xml_that_cannot_be_drawn_is_said_not_shown(order: Order, owner: Client, xml: bytes) -> None:
    parcels.invoice(order, sealed_xml=invoices.seal(xml))
    for size in ("label", "a4"):
        page = text_of(owner.get(f"/packing/danfe.pdf?orders={order.pk}&size={size}", follow=True))
        assert "Without a DANFE" in page
