"""What people correct, whatever the order in which the channel's documents come."""

from itertools import permutations

import pytest

from orders import doors, export
from orders.documents import Address
from orders.models import Order, OrderEvent
from tests.orders.factory import CNPJ, channel, document, order, taken

pytestmark = pytest.mark.django_db


def place(**columns: str) -> Address:
    given = {"recipient": "Ana", "street": "Rua A", "city": "São Paulo", "state": "SP", "postal_code": "01001000"}
    return Address(**{**given, **columns})


def test_documents_in_any_order_end_the_same() -> None:
    said = [
        document(version=1, ship_to=place(city="Olinda")),
        document(version=2, ship_to=place(city="Santos", street="Rua B")),
        document(version=3, ship_to=None),
        document(version=4, ship_to=place(city="Recife", street="Rua C")),
    ]
    ends = set()
    for documents in permutations(said):
        sale = order()
        doors.correct(sale, {"ship_to": {"city": "Olinda", "state": "PE"}}, "ana")
        for one in documents:
            taken(sale.channel, one)
        sale.refresh_from_db()
        was = {path: correction["was"] for path, correction in sale.corrections.items()}
        ends.add((str(sale.ship_to), sale.city, sale.state, str(was)))
    assert len(ends) == 1
    [(_address, city, state, sources)] = ends
    assert (city, state) == ("Olinda", "PE") and sources == str({"ship_to.city": "Recife", "ship_to.state": "SP"})


def test_the_erp_is_told_the_corrected_and_the_list_is_filtered_by_it() -> None:
    sale = order()
    assert doors.correct(sale, {"buyer": {"document": CNPJ}, "ship_to": {"city": "Olinda"}}, "ana") == [
        "document",
        "city",
    ]
    told = export.to_document(Order.objects.get())
    assert told.ship_to is not None and (told.buyer.document, told.ship_to.city, told.ship_to.street) == (
        CNPJ,
        "Olinda",
        "Rua A",
    )
    assert (sale.city, sale.buyer_key != order().buyer_key, CNPJ in sale.search) == ("Olinda", True, True)


def test_the_same_correction_again_and_the_channels_own_word_change_nothing_more() -> None:
    sale = order()
    doors.correct(sale, {"ship_to": {"city": "Olinda"}}, "ana")
    assert doors.correct(sale, {"ship_to": {"city": "Olinda"}}, "bia") == []
    doors.correct(sale, {"ship_to": {"city": "Natal"}}, "bia")
    held = sale.corrections["ship_to.city"]
    assert (held["was"], held["value"], held["by"]) == ("São Paulo", "Natal", "bia")
    doors.correct(sale, {"ship_to": {"city": "São Paulo"}}, "bia")
    assert sale.corrections == {} and sale.city == "São Paulo"
    assert OrderEvent.objects.filter(code="corrected").count() == 3


def test_a_number_given_by_a_person_is_kept_once_and_through_documents() -> None:
    sale = taken(channel(), document()).order
    doors.refer([sale.pk], "PED-1")
    doors.refer([sale.pk], "PED-1")
    taken(sale.channel, document(version=1, notes="x"))
    sale.refresh_from_db()
    assert sale.own_references == ["PED-1"] and sale.search.endswith(" ped-1")
