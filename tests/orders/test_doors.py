import threading
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from hub.vault import VaultLocked
from orders import doors, export, lifecycle
from orders.documents import DispatchDocument, Milestones, TrackingEventDocument
from orders.doors import InvoiceRefused
from orders.invoices import key_digit
from orders.models import Answer, Invoice, Order, OrderEvent, Shipment
from orders.vocabulary import Hold, OrderStatus, ShipmentStatus, Source
from tests.orders.factory import CNPJ, NOW, at, channel, document, invoice, key, order, taken

pytestmark = pytest.mark.django_db


def codes(sale: Order) -> list[str]:
    return [event.code for event in sale.events.all()]


def parcel(**columns: Any) -> DispatchDocument:
    return DispatchDocument(**{"external_id": "d1", "shipped_at": at(90), "tracking_code": "AA1", **columns})


def scan(status: ShipmentStatus, minutes: int, **columns: Any) -> TrackingEventDocument:
    return TrackingEventDocument(shipment_id="d1", at=at(minutes), status=status, raw_status=status.value, **columns)


# --- Invoices


@pytest.mark.parametrize(
    ("first", "digit"),
    [
        ("3526111122233300018155001000012345187654321", 1),
        ("352611A1B2C3D400019355001000012345187654321", 7),
    ],
)
def test_check_digits_worked_out_by_hand(first: str, digit: int) -> None:
    assert key_digit(first) == digit


def test_an_invoice_moves_the_order_and_comes_back_byte_for_byte() -> None:
    sale = order()
    xml = b"\xef\xbb\xbf<nfeProc>\r\n  NFe" + key().encode() + b" \xc3\xa7</nfeProc>\n\n"
    found = doors.record_invoice(sale, invoice(xml=xml), now=NOW)

    assert found is not None
    assert (sale.status, sale.invoiced_at) == (OrderStatus.INVOICED, at(60))
    stored = Invoice.objects.get()
    assert b"nfeProc" not in stored.sealed_xml.encode()
    assert doors.invoice_document(stored) == invoice(xml=xml)
    assert codes(sale) == ["received", "approved", "invoice_received", "invoiced"]


def test_the_same_invoice_again_changes_nothing() -> None:
    sale = order()
    doors.record_invoice(sale, invoice())
    told = codes(sale)
    assert doors.record_invoice(sale, invoice()) is None
    assert codes(sale) == told


def test_an_invoice_becomes_known_better_but_not_different() -> None:
    sale = order()
    assert doors.record_invoice(sale, invoice(xml=b"", number="")) is not None
    better = doors.record_invoice(sale, invoice())
    assert better is not None
    assert doors.record_invoice(sale, invoice(number="99")) is None
    assert doors.invoice_document(Invoice.objects.get()) == invoice()


def test_a_cancelled_invoice_is_marked_and_the_order_stays_where_it_is() -> None:
    sale = order()
    doors.record_invoice(sale, invoice())
    assert doors.record_invoice(sale, invoice(cancelled=True)) is not None
    assert Invoice.objects.get().cancelled
    assert sale.status == OrderStatus.INVOICED
    assert codes(sale)[-1] == "invoice_cancelled"
    # An older message does not bring it back.
    assert doors.record_invoice(sale, invoice()) is None
    assert Invoice.objects.get().cancelled


def test_an_invoice_first_heard_of_as_cancelled_does_not_move_the_order() -> None:
    sale = order()
    doors.record_invoice(sale, invoice(cancelled=True))
    assert (sale.status, sale.invoiced_at) == (OrderStatus.APPROVED, None)


@pytest.mark.parametrize(
    "wrong",
    [
        "X" * 44,
        key()[:-1] + str((int(key()[-1]) + 1) % 10),
        key(model="65"),
        key(cnpj="11444777000161"),
        key().replace("11222333000181", "1122233300018a"),
    ],
)
def test_a_key_that_is_not_the_sellers_nfe_is_refused_and_told_once(wrong: str) -> None:
    sale = order()
    sale.seller.tax_ids = ["11.222.333/0001-81"]
    sale.seller.save()
    for _again in range(2):
        with pytest.raises(InvoiceRefused) as refused:
            doors.record_invoice(sale, invoice(key=wrong))
    assert codes(sale) == ["received", "approved", "invoice_refused"]
    assert sale.events.get(code="invoice_refused").data == {"key": wrong, "message": refused.value.message}
    assert not Invoice.objects.exists()


def test_a_seller_with_letters_in_the_cnpj() -> None:
    assert doors.record_invoice(order(), invoice(key=key(cnpj="A1B2C3D4000193")), seller_tax_ids=["A1B2C3D4000193"])


def test_without_known_cnpjs_any_issuer_will_do() -> None:
    assert doors.record_invoice(order(), invoice(key=key(cnpj="11444777000161")), seller_tax_ids=[])
    with pytest.raises(InvoiceRefused):
        doors.record_invoice(order(), invoice(7, key=key(7, cnpj="11444777000161")), seller_tax_ids=[CNPJ])


def test_xml_of_another_invoice_is_refused() -> None:
    with pytest.raises(InvoiceRefused):
        doors.record_invoice(order(), invoice(xml=invoice(99).xml))


def test_an_invoice_belongs_to_one_order_of_its_seller() -> None:
    first = order()
    doors.record_invoice(first, invoice())
    other = taken(first.channel, document("S2")).order
    with pytest.raises(InvoiceRefused):
        doors.record_invoice(other, invoice())
    assert codes(other)[-1] == "invoice_refused"
    assert other.status == OrderStatus.APPROVED


def test_no_seller_can_stand_in_the_way_of_anothers_invoice() -> None:
    doors.record_invoice(order(), invoice())
    assert doors.record_invoice(order(), invoice())
    assert Invoice.objects.filter(key=invoice().key).count() == 2


def test_a_file_whose_key_is_gone_says_so(settings: Any) -> None:
    doors.record_invoice(order(), invoice())
    settings.CREDENTIAL_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(VaultLocked):
        doors.invoice_document(Invoice.objects.get())


# --- Parcels


def test_a_dispatch_is_a_parcel_of_the_erp_and_moves_the_order() -> None:
    sale = order()
    shipment = doors.record_dispatch(sale, parcel())
    assert (shipment.source, shipment.status, shipment.shipped_at) == (Source.ERP, "shipped", at(90))
    assert sale.status == OrderStatus.SHIPPED
    told = codes(sale)
    assert doors.record_dispatch(sale, parcel()).pk == shipment.pk
    assert codes(sale) == told == ["received", "approved", "dispatched", "shipped"]


def test_a_dispatch_becomes_known_better() -> None:
    sale = order()
    doors.record_dispatch(sale, parcel(tracking_code=""))
    doors.record_dispatch(sale, parcel(delivered_at=at(200)))
    doors.record_dispatch(sale, parcel(tracking_code=""))
    shipment = Shipment.objects.get(source=Source.ERP)
    assert (shipment.tracking_code, shipment.status) == ("AA1", "delivered")
    assert (sale.status, sale.delivered_at) == (OrderStatus.DELIVERED, at(200))
    assert codes(sale).count("dispatch_changed") == 1


def test_scans_are_kept_once_and_move_parcel_and_order() -> None:
    sale = order()
    shipment = doors.record_dispatch(sale, parcel())
    scans = [scan(ShipmentStatus.DELIVERED, 300, place="Recife"), scan(ShipmentStatus.SHIPPED, 80)]
    assert len(doors.record_tracking(shipment, [*scans, scans[0]])) == 2
    assert doors.record_tracking(shipment, scans) == []
    assert (shipment.status, shipment.shipped_at, shipment.delivered_at) == ("delivered", at(80), at(300))
    sale.refresh_from_db()
    assert (sale.status, sale.shipped_at) == (OrderStatus.DELIVERED, at(80))


# --- Answers, export, people


def test_what_the_channel_answered_stands_on_the_invoice_and_in_the_timeline() -> None:
    sale = order()
    sent = doors.record_invoice(sale, invoice(), now=NOW)
    assert sent is not None
    assert doors.record_answer(sent, Answer.REFUSED, "XML \x00 not readable", NOW) is not None
    assert doors.record_answer(sent, Answer.ACCEPTED, "ok", NOW) is not None
    assert doors.record_answer(sent, Answer.ACCEPTED, "ok", NOW) is None
    stored = Invoice.objects.get()
    assert (stored.answer, stored.answer_text, stored.answered_at) == ("accepted", "ok", NOW)
    assert codes(sale)[-2:] == ["refused_by_channel", "sent_to_channel"]


def test_an_order_is_marked_as_exported_once() -> None:
    sale = order()
    assert doors.mark_exported(sale, "77", "Bling", NOW)
    assert not doors.mark_exported(sale, "78", "Bling")
    assert sale.exported_at == NOW
    assert sale.events.get(code="exported").data == {"number": "77", "erp": "Bling"}


def test_a_person_holds_and_releases() -> None:
    sale = order()
    assert doors.hold(sale, "maria")
    assert not doors.hold(sale, "maria")
    assert sale.held
    assert doors.release(sale, [Hold.PERSON, Hold.MONEY], "maria") == ["person"]
    assert doors.release(sale, [Hold.PERSON], "maria") == []
    assert not Order.objects.get().held
    assert doors.hold(sale, "maria")
    assert [(event.code, event.actor) for event in sale.events.filter(source=Source.PERSON)] == [
        ("held", "maria"),
        ("released", "maria"),
        ("held", "maria"),
    ]


def test_a_persons_tags_outlive_the_channels_next_document() -> None:
    into = channel()
    sale = taken(into, document(tags=("gift",))).order
    assert doors.tag(sale, "vip", "maria") and not doors.tag(sale, "vip", "maria")
    taken(into, document(version=1, tags=("fragile",)))
    sale.refresh_from_db()
    assert sale.tags == ["fragile", "vip"]
    assert doors.untag(sale, "vip", "maria") and not doors.untag(sale, "vip", "maria")
    assert doors.untag(sale, "fragile", "maria")
    taken(into, document(version=2, tags=("fragile",)))
    sale.refresh_from_db()
    assert sale.tags == ["fragile"]
    assert [event.data["tag"] for event in sale.events.filter(source=Source.PERSON)] == ["vip", "vip", "fragile"]


def test_a_remark_keeps_what_no_database_could() -> None:
    doors.note(order(), "half \ud83d and \x00", "maria")
    assert OrderEvent.objects.get(code="note").data == {"text": "half \ufffd and \ufffd"}


DOORS: list[Callable[[Order], Any]] = [
    lambda sale: doors.record_invoice(sale, invoice()),
    lambda sale: doors.record_dispatch(sale, parcel()),
    lambda sale: doors.mark_exported(sale, "1", "ERP"),
    lambda sale: doors.hold(sale, "maria"),
]


@pytest.mark.parametrize("door", DOORS)
def test_a_door_works_on_what_the_row_holds_now(door: Callable[[Order], Any]) -> None:
    into = channel()
    stale = taken(into, document()).order
    taken(into, document(version=1, raw_status="new", milestones=Milestones(cancelled_at=at(5))))
    door(stale)
    assert (stale.raw_status, stale.cancelled_at) == ("new", at(5))
    assert Order.objects.get().cancelled_at == at(5)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("door", DOORS)
def test_the_same_fact_from_four_workers_at_once_counts_once(door: Callable[[Order], Any]) -> None:
    sale = order()
    barrier = threading.Barrier(4)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            mine = Order.objects.get(pk=sale.pk)
            barrier.wait()
            door(mine)
        except BaseException as error:  # noqa: BLE001 - shown by the main thread
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    told = codes(sale)
    assert len(told) == len(set(told))
    assert export.to_document(sale)


# --- Many at once


def sales(count: int) -> list[int]:
    into = channel()
    return [taken(into, document(f"S{number}")).order.pk for number in range(count)]


def record_all(ids: list[int]) -> None:
    with transaction.atomic(), doors.together(ids) as orders:
        rows = [orders[pk] for pk in ids]
        for row in rows:
            assert doors.mark_exported(row, str(row.pk), "ERP", NOW)
        notes = [(row, invoice(serial)) for serial, row in enumerate(rows, 1)]
        found = doors.record_invoices(notes, Source.ERP, [CNPJ])
        doors.record_dispatches([(row, parcel()) for row in rows], Source.ERP)
        said = [(one, Answer.ACCEPTED, "ok") for one in found if isinstance(one, Invoice)]
        assert all(doors.record_answers(said, NOW))


def test_facts_of_many_orders_are_the_same_as_one_by_one() -> None:
    first, second = sales(2)
    record_all([first, second])
    alone = order()
    doors.mark_exported(alone, str(alone.pk), "ERP", NOW)
    found = doors.record_invoice(alone, invoice())
    assert found is not None
    doors.record_dispatch(alone, parcel())
    doors.record_answer(found, Answer.ACCEPTED, "ok", NOW)
    for pk in (first, second):
        together = Order.objects.get(pk=pk)
        assert codes(together) == codes(alone)
        assert (together.status, together.exported_at) == (OrderStatus.SHIPPED, NOW)
        assert [getattr(together, name) for name in lifecycle.COLUMNS] == [
            getattr(alone, name) for name in lifecycle.COLUMNS
        ]


def test_many_cost_as_many_statements_as_one() -> None:
    counts = []
    for ids in (sales(1), sales(9)):
        Invoice.objects.all().delete()
        with CaptureQueriesContext(connection) as caught:
            record_all(ids)
        counts.append(len(caught))
    assert counts[0] == counts[1]


def test_one_refused_nfe_among_many_takes_no_other_with_it() -> None:
    first, second, third = (Order.objects.get(pk=pk) for pk in sales(3))
    doors.record_invoice(third, invoice(3))
    notes = [(first, invoice(1)), (second, invoice(2, key=key(2)[:-1] + "x")), (first, invoice(3)), (third, invoice(3))]
    with transaction.atomic():
        found = doors.record_invoices(notes, Source.ERP, [CNPJ])
    assert [type(one) for one in found] == [Invoice, doors.InvoiceRefused, doors.InvoiceRefused, type(None)]
    assert set(Invoice.objects.values_list("order", "key")) == {(first.pk, key(1)), (third.pk, key(3))}
    assert [codes(one).count("invoice_refused") for one in (first, second, third)] == [1, 1, 0]


def test_the_same_nfe_twice_in_one_reading_is_one() -> None:
    (pk,) = sales(1)
    sale = Order.objects.get(pk=pk)
    with transaction.atomic():
        first, second = doors.record_invoices([(sale, invoice()), (sale, invoice())], Source.ERP, [CNPJ])
    assert isinstance(first, Invoice) and second is None
    assert codes(sale).count("invoice_received") == 1


def test_the_same_parcel_twice_in_one_reading_is_one() -> None:
    (pk,) = sales(1)
    sale = Order.objects.get(pk=pk)
    with transaction.atomic():
        doors.record_dispatches([(sale, parcel(tracking_code="")), (sale, parcel())], Source.ERP)
    assert Shipment.objects.get(source=Source.ERP).tracking_code == parcel().tracking_code


def test_an_answer_about_a_parcel_that_is_gone_is_no_answer() -> None:
    sale = order()
    shipment = doors.record_dispatch(sale, parcel())
    gone = Shipment.objects.get(pk=shipment.pk)
    Shipment.objects.all().delete()
    assert doors.record_answer(gone, Answer.ACCEPTED, "ok") is None
    assert not Shipment.objects.exists()


def test_what_is_written_together_is_written_with_the_orders_given() -> None:
    (pk,) = sales(1)
    with pytest.raises(RuntimeError, match="copy"), transaction.atomic(), doors.together([pk]):
        doors.mark_exported(Order.objects.get(pk=pk), "1", "ERP")


def test_nothing_of_many_is_left_when_one_breaks_the_block() -> None:
    (pk,) = sales(1)
    with pytest.raises(ZeroDivisionError), transaction.atomic(), doors.together([pk]) as orders:
        doors.mark_exported(orders[pk], "1", "ERP")
        raise ZeroDivisionError
    assert Order.objects.get().exported_at is None
    # What comes later writes at once again.
    assert doors.mark_exported(Order.objects.get(), "1", "ERP")
    assert Order.objects.get().exported_at is not None
