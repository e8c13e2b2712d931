"""Our label in ZPL says what the PDF says, and nothing that a person wrote becomes a command."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from reportlab.graphics.barcode.code128 import Code128

from monitoring.packing.labels import own_labels, own_zpl
from monitoring.packing.zebra import escaped
from orders.models import Order
from tests.monitoring.packing import parcels
from tests.monitoring.packing.test_paper import ADDRESS, ADDRESSES, SENDER, text, unsaved

WIDTH, HEIGHT = 800, 1200
BARS = re.compile(r"\^BY(\d)\^BCN,(\d+),N,N,N,A\^FH_\^FD([^^]*)\^FS")


def label(order: Order) -> str:
    return own_zpl(order).decode()


def data(zpl: str) -> list[str]:
    """Of each field, as the printer reads it."""
    fields = re.findall(r"\^FD(.*?)\^FS", zpl)
    return [re.sub(r"_([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), field) for field in fields]


def test_it_says_what_the_pdf_says() -> None:
    order = unsaved(ADDRESS)
    printed = text(own_labels([order]))
    zpl = label(order)
    assert "^CI28" in zpl
    assert f"^PW{WIDTH}^LL{HEIGHT}" in zpl
    words = [field for field in data(zpl) if not field.startswith("MA,")]
    words = [field for field in words if field not in (parcels.key(123), order.external_id)]
    assert " ".join(words).split() == [word for word in printed.split() if word != order.external_id]
    assert "João da Conceição" in words


def test_the_bars_are_the_key_and_the_order_number_and_fit() -> None:
    found = BARS.findall(label(unsaved(ADDRESS, external_id="701-1234567-1234567")))
    assert [value for _bar, _height, value in found] == ["701-1234567-1234567", parcels.key(123)]
    for bar, _height, value in found:
        assert int(bar) >= 2, "a dot is too fine to be read"
        assert Code128(value, barWidth=int(bar), quiet=False).width <= WIDTH - 80


def test_a_long_number_s_bars_are_as_wide_as_the_label() -> None:
    number = "Marketplace-12345678-ABC01"
    assert BARS.findall(label(unsaved(ADDRESS, external_id=number)))[0][2] == number


@pytest.mark.parametrize(
    "evil",
    ["^XZ^XA^FDx^FS", "~JA", "a\r\n^XZ", "_5EXZ", "^FS^CC!", "^\x00XZ", "\x10~HS", "Ⓐ\u2028^XZ"],  # noqa: RUF001
)
def test_what_people_write_is_never_a_command(evil: str) -> None:
    full = dict.fromkeys(ADDRESS, f"{evil}a")
    order = unsaved(full, dict.fromkeys(SENDER, f"{evil}a"), external_id=f"{evil}1", buyer_name=evil)
    order.channel.name = evil
    plain = unsaved(dict.fromkeys(ADDRESS, "a"), dict.fromkeys(SENDER, "a"), external_id="1")
    assert commands(label(order)) <= commands(label(plain))
    assert label(order).count("^XA") == label(order).count("^XZ") == 1
    assert "~" not in label(order)


def commands(zpl: str) -> set[str]:
    return set(re.findall(r"[\^~]..", zpl))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ADDRESSES, ADDRESSES)
def test_whatever_stands_in_an_address_is_data_on_the_label(ship_to: dict[str, str], sender: dict[str, str]) -> None:
    zpl = label(unsaved(ship_to, sender))
    assert commands(zpl) <= commands(label(unsaved(ADDRESS)))
    assert all(re.fullmatch(r"\^XA.*|\^XZ|\^FO\d+,\d+\^.*\^FS", line) for line in zpl.split("\n"))
    for left, top in re.findall(r"\^FO(\d+),(\d+)", zpl):
        assert int(left) < WIDTH
        assert int(top) < HEIGHT


def test_what_is_escaped_reads_as_it_was() -> None:
    assert escaped("a^b~c_d\n") == "a_5Eb_7Ec_5Fd_0A"
    assert escaped("São · Água") == "São · Água"
