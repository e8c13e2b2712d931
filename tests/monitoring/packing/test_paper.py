"""Every PDF is read back: page size, number of pages, what stands on it, and that nothing leaves the page."""

from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from hub.models import Seller
from monitoring.packing.labels import own_labels
from monitoring.packing.paper import BOLD, PLAIN, fitted, readable, width, wrapped
from monitoring.packing.picking import Box, boxes, picks
from monitoring.packing.slips import pick_list, slips
from orders.models import Invoice, Order, OrderItem, SalesChannel, Shipment
from tests.monitoring.packing import parcels
from tests.monitoring.world import World

ONE = Decimal(1)
LABEL_POINTS, A4_POINTS = (283, 425), (595, 842)
SENDER = {
    "name": "Casa do Café Ltda", "street": "Rua São José", "number": "10", "district": "Centro", "city": "São Paulo",
    "state": "SP", "postal_code": "01001000", "phone": "11 3333-4444",
}  # fmt: skip


def read(pdf: bytes) -> PdfReader:
    return PdfReader(BytesIO(pdf))


def text(pdf: bytes) -> str:
    return " ".join(" ".join(page.extract_text() for page in read(pdf).pages).split())


def sizes(pdf: bytes) -> set[tuple[int, int]]:
    return {(round(page.mediabox.width), round(page.mediabox.height)) for page in read(pdf).pages}


def unsaved(ship_to: dict[str, Any], sender: dict[str, Any] = SENDER, **changes: Any) -> Order:
    """An order with its parts, without a database."""
    seller = Seller(pk=1, name="Casa", sender=sender)
    channel = SalesChannel(pk=1, seller=seller, kind="mercado_livre", name="Loja")
    order = Order(**{"pk": 7, "seller": seller, "channel": channel, "external_id": "2000001", **changes})
    order.ship_to = ship_to
    number = Invoice(order=order, key=parcels.key(123), number="123", series="1")
    order._prefetched_objects_cache = {"invoices": [number], "shipments": [Shipment(carrier="Correios")], "items": []}  # type: ignore[attr-defined]
    return order


ADDRESS = {
    "recipient": "João da Conceição", "street": "Avenida Brasil", "number": "1000", "complement": "Apto 12",
    "district": "Água Verde", "city": "Maringá", "state": "PR", "postal_code": "87013000", "notes": "Portão azul",
}  # fmt: skip


def test_our_label_names_both_ends_the_order_and_the_invoice() -> None:
    pdf = own_labels([unsaved(ADDRESS)])
    said = text(pdf)
    for part in ("João da Conceição", "Avenida Brasil, 1000", "Apto 12", "Água Verde", "Maringá / PR", "CEP 87013-000",
                 "Casa do Café Ltda", "Rua São José, 10", "CEP 01001-000", "2000001", "Correios"):  # fmt: skip
        assert part in said
    assert "3526 1111 2223" in said
    assert "123" in said
    assert sizes(pdf) == {LABEL_POINTS}
    assert pdf.count(b"/FontFile2") == 2, "both fonts are embedded"


def test_one_page_for_each_order_in_their_order() -> None:
    pdf = own_labels([unsaved(ADDRESS, external_id=name) for name in ("A-3", "A-1", "A-2")])
    assert [name for page in read(pdf).pages for name in ("A-1", "A-2", "A-3") if name in page.extract_text()] == [
        "A-3",
        "A-1",
        "A-2",
    ]


def test_an_order_of_which_hardly_anything_is_known_still_has_a_label() -> None:
    bare = unsaved({}, sender={})
    bare._prefetched_objects_cache = {"invoices": [], "shipments": [], "items": []}  # type: ignore[attr-defined]
    assert len(read(own_labels([bare])).pages) == 1


def outside(pdf: bytes) -> list[tuple[float, float]]:
    """Where text begins beyond the page's edges."""
    found: list[tuple[float, float]] = []
    for page in read(pdf).pages:
        high, wide = float(page.mediabox.height), float(page.mediabox.width)

        def look(said: str, cm: Any, tm: Any, *_font: Any, high: float = high, wide: float = wide) -> None:
            x, y = float(tm[4]) + float(cm[4]), float(tm[5]) + float(cm[5])
            if said.strip() and not (0 <= x <= wide and 8 <= y <= high):
                found.append((x, y))

        page.extract_text(visitor_text=look)
    return found


WORD = st.text(max_size=90)
LONG = st.one_of(st.text(min_size=200, max_size=400), st.just("W" * 255), st.just("Rua " * 60), WORD)
ADDRESSES = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("recipient", "street", "complement", "district", "city", "notes"), LONG)
    | {"number": WORD, "state": st.text(max_size=2), "postal_code": WORD}
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ADDRESSES, ADDRESSES, st.text(min_size=1, max_size=120))
def test_whatever_stands_in_an_address_is_one_page_and_stays_on_it(
    ship_to: dict[str, str], sender: dict[str, str], number: str
) -> None:
    pdf = own_labels([unsaved(ship_to, sender, external_id=number)])
    assert len(read(pdf).pages) == 1
    assert not outside(pdf)


def test_a_label_full_to_the_brim_keeps_the_invoice_s_bars_on_the_page() -> None:
    full = dict.fromkeys(ADDRESS, "MMMM WWWW " * 30)
    for number in ("W" * 120, "W" * 30):
        pdf = own_labels([unsaved({**full, "postal_code": "87013000"}, sender=full, external_id=number)])
        assert not outside(pdf)
        assert "1111 2223" in text(pdf)


@pytest.mark.parametrize(
    ("given_text", "drawn"),
    [("a\tb\x00\n c", "a b c"), ("🙂", ":slight_smile:"), ("Praça José", "Praça José"), ("北京", "BeiJing"),
     ("Иванов", "Ivanov")],
)  # fmt: skip
def test_other_scripts_can_be_read(given_text: str, drawn: str) -> None:
    assert readable(given_text) == drawn


@given(st.text(max_size=200), st.integers(1, 3))
def test_text_never_is_wider_than_its_room(words: str, most: int) -> None:
    lines, size = fitted(words, BOLD, 12, 120, most)
    assert len(lines) <= most
    assert all(width(line, BOLD, size) <= 120 or len(line) == 1 for line in lines)


def test_nothing_is_lost_where_there_is_room() -> None:
    lines, size = fitted("uma rua de nome comprido", PLAIN, 12, 90, 3)
    assert " ".join(lines) == "uma rua de nome comprido"
    assert size == 12
    assert wrapped("", PLAIN, 12, 90) == []


# --- Lists and slips ------------------------------------------------------------------------------------------------


def line(sku: str, count: int, order: Order, title: str = "Produto") -> OrderItem:
    return OrderItem(order=order, sku=sku, title=title, quantity=Decimal(count), cancelled=Decimal(0))


def test_the_pick_list_adds_up_by_sku(world: World) -> None:
    first, second = parcels.to_send(world, "P-1"), parcels.to_send(world, "P-2")
    OrderItem.objects.create(order=second, external_id="x", sku="MEL-1", title="Mel", quantity=Decimal(3))
    OrderItem.objects.create(order=second, external_id="y", sku="GONE", title="Foi", quantity=ONE, cancelled=ONE)
    packed = boxes(parcels.complete(first, second))
    assert [(pick.sku, pick.quantity, len(pick.orders)) for pick in picks(packed)] == [
        ("CAF-500", 4, 2),
        ("MEL-1", 3, 1),
    ]
    pdf = pick_list(picks(packed), packed)
    assert sizes(pdf) == {A4_POINTS}
    assert "CAF-500" in text(pdf)
    assert "P-1 (2)" in text(pdf)
    assert "GONE" not in text(pdf)


def test_a_long_list_goes_on_over_the_page() -> None:
    order = unsaved(ADDRESS)
    packed = [Box(order, [line(f"SKU-{number}", number, order) for number in range(1, 90)])]
    pdf = pick_list(picks(packed), packed)
    assert len(read(pdf).pages) > 3
    assert all(f"SKU-{number}" in text(pdf) for number in range(1, 90))
    assert not outside(pdf)


@pytest.mark.parametrize(("size", "points"), [("a4", A4_POINTS), ("label", LABEL_POINTS)])
def test_a_packing_slip_says_what_is_inside(size: str, points: tuple[int, int]) -> None:
    order = unsaved(ADDRESS)
    pdf = slips([Box(order, [line("CAF-500", 2, order)]), Box(order, [line("MEL-1", 1, order)])], size)
    assert sizes(pdf) == {points}
    assert len(read(pdf).pages) == 2
    assert "2 ×" in text(pdf)
    assert "Produto SKU CAF-500" in text(pdf)
    assert "João da Conceição" in text(pdf)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=255), st.text(max_size=120)), min_size=1, max_size=30))
def test_whatever_the_products_are_called_the_slip_holds_them(products: list[tuple[str, str]]) -> None:
    order = unsaved({})
    lines = [line(sku, 1, order, title) for title, sku in products]
    for size in ("a4", "label"):
        assert not outside(slips([Box(order, lines)], size))
