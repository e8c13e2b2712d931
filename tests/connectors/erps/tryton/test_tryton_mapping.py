"""The mapping against samples in the shape the real server gave, and against anything at all."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import SaleState
from connectors.erps import tryton
from connectors.erps.tryton.mapping import is_key, read_nfe, sale_state
from connectors.erps.tryton.payloads import comment, hub_key
from connectors.erps.tryton.rpc import decode, encode, read_error
from connectors.failures import Refusal
from connectors.reading import parse_json

SAMPLES = Path(tryton.__file__).with_name("samples")
KEY = "35261111222333000181550010000047111373064096"
OTHER_KEY = "352611A1B2C3D4000193550020000047121373143289"


def sample(name: str) -> dict[str, Any]:
    content: dict[str, Any] = parse_json((SAMPLES / f"{name}.json").read_bytes())
    return content


def mapped(name: str, **settings: str) -> SaleState:
    return sale_state(sample(name), settings)


def test_in_process() -> None:
    state = mapped("in_process")

    assert (state.external_id, state.number, state.reference) == ("101", "101", "2000009800000101")
    assert state.hub_key == "entreposto:3:2000009800000101"
    assert (state.total, state.raw_status) == (Decimal("119.70"), "processing, invoice pending, shipment waiting")
    assert (state.cancelled, state.complete, state.invoices, state.dispatches) == (False, False, (), ())
    assert state.updated_at == datetime(2026, 11, 23, 13, 5, 12, 1847, tzinfo=UTC)


def test_invoiced() -> None:
    state = mapped("invoiced")
    (invoice,) = state.invoices

    assert (invoice.key, invoice.number, invoice.series) == (KEY, "4711", "1")
    assert (invoice.amount, invoice.cancelled) == (Decimal("119.70"), False)
    # What the XML itself says, not the bare date of the invoice.
    assert invoice.issued_at == datetime(2026, 11, 24, 12, 15, tzinfo=UTC)
    assert invoice.xml.startswith(b"<?xml")
    assert (state.complete, state.attention) == (False, "")


def test_sent_without_xml() -> None:
    state = mapped("sent", timezone="America/Manaus", tracking_url="https://rastro.example.com/?o={code}")
    (invoice,), (dispatch,) = state.invoices, state.dispatches

    assert (invoice.key, invoice.number, invoice.series, invoice.xml) == (OTHER_KEY, "4712", "2", b"")
    assert invoice.issued_at == datetime(2026, 11, 24, 4, tzinfo=UTC)
    assert (dispatch.external_id, dispatch.carrier, dispatch.tracking_code) == ("83", "Correios", "AB123456785BR")
    assert dispatch.tracking_url == "https://rastro.example.com/?o=AB123456785BR"
    assert dispatch.shipped_at == datetime(2026, 11, 24, 4, tzinfo=UTC)
    assert state.complete


def test_a_dispatch_on_the_day_of_the_sale_is_not_before_it() -> None:
    raw = sample("sent")
    raw["sale"]["shipments"][0]["effective_date"] = "2026-11-23"

    (dispatch,) = sale_state(raw, {}).dispatches

    assert dispatch.shipped_at == datetime(2026, 11, 23, 13, 5, 11, 482913, tzinfo=UTC)


def test_partially_sent_has_the_code_of_its_package_and_is_not_complete() -> None:
    state = mapped("partially_sent")

    assert [one.tracking_code for one in state.dispatches] == ["TB000777111BR"]
    assert not state.complete


def test_posted_without_key_needs_a_person() -> None:
    state = mapped("posted_without_key")

    assert (state.invoices, state.complete) == ((), False)
    assert state.attention == "Invoice 2026/118 has no valid NF-e key"


def test_a_cancelled_shipment_alone_cancels_nothing() -> None:
    state = mapped("shipment_cancelled")

    assert not state.cancelled
    assert state.attention == "Tryton waits for a decision: shipment_state is exception"


def test_an_unwound_sale_is_cancelled_although_it_says_done_and_sent() -> None:
    state = mapped("unwound")

    assert (state.raw_status, state.cancelled, state.complete) == ("done, shipment sent", True, True)
    assert (state.dispatches, state.attention) == ((), "")


def test_a_sale_that_is_none_of_ours() -> None:
    state = mapped("draft_of_a_person")

    assert (state.reference, state.hub_key, state.number, state.raw_status) == ("", "", "", "draft")


def test_a_key_that_nobody_typed_is_taken_from_the_xml() -> None:
    raw = sample("invoiced")
    raw["sale"]["invoices"][0]["reference"] = None

    assert [one.key for one in sale_state(raw, {}).invoices] == [KEY]


def test_the_xml_of_another_invoice_is_not_passed_on() -> None:
    raw = sample("invoiced")
    raw["sale"]["invoices"][0]["reference"] = OTHER_KEY

    state = sale_state(raw, {})

    assert [(one.key, one.xml) for one in state.invoices] == [(OTHER_KEY, b"")]
    assert "another NF-e" in state.attention


def test_a_cancelled_invoice_and_a_credit_note() -> None:
    raw = sample("invoiced")
    (first,) = raw["sale"]["invoices"]
    note = {**first, "id": 99, "total_amount": "-119.70", "state": "posted"}
    raw["sale"]["invoices"] = [{**first, "state": "cancelled"}, note]

    assert [(one.key, one.cancelled) for one in sale_state(raw, {}).invoices] == [(KEY, True)]


def test_unknown_words_are_shown_and_move_nothing() -> None:
    raw = sample("sent")
    raw["sale"]["state"] = "archived"
    raw["sale"]["shipments"][0]["state"] = "teleported"

    state = sale_state(raw, {})

    assert set(state.unknown) == {"$.sale.state: archived", "$.sale.shipments[0].state: teleported"}
    assert (state.dispatches, state.complete) == ((), False)


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (("sale",), None, "$.sale"),
        (("sale", "id"), None, "$.sale.id"),
        (("sale", "total_amount"), "much", "$.sale.total_amount"),
        (("sale", "invoices"), {}, "$.sale.invoices"),
        (("attachments",), [{"resource": "account.invoice,92", "data": "§"}], "$.attachments[0].data"),
        (("sale", "write_date"), "soon", "$.sale.write_date"),
    ],
)
def test_a_refusal_says_where(path: tuple[str, ...], value: Any, where: str) -> None:
    raw = sample("invoiced")
    inner: Any = raw
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value

    with pytest.raises(Refusal) as refused:
        sale_state(raw, {})

    assert refused.value.path == where


def test_keys() -> None:
    assert is_key(KEY)
    assert is_key(OTHER_KEY)
    assert not is_key(KEY[:-1] + str((int(KEY[-1]) + 1) % 10))
    assert not is_key(KEY[:-1])
    assert not is_key("A" + KEY[1:])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"%PDF-1.7",
        b"<a/>",
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b'<?xml version="1.0" encoding="klingon"?><a/>',
        b"<a>" * 5000,
    ],
)
def test_a_file_that_is_no_nfe(content: bytes) -> None:
    assert read_nfe(content) is None


@pytest.mark.parametrize("text", [comment("entreposto:3:9"), "Ligar antes\nHub: entreposto:3:9 \nobrigado"])
def test_people_may_write_around_the_hub_key(text: str) -> None:
    assert hub_key(text) == "entreposto:3:9"


def test_the_first_hub_key_counts() -> None:
    assert hub_key(comment("a b") + "\n" + comment("c")) == "a b"
    assert hub_key("GitHub: x") == ""


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(deeper for key, part in inner for deeper in paths_of(part, (*path, key)))]


@given(st.sampled_from(sorted(path.stem for path in SAMPLES.glob("*.json"))), st.data(), anything)
def test_anything_anywhere_is_mapped_or_refused(name: str, data: st.DataObject, value: Any) -> None:
    raw = sample(name)
    path = data.draw(st.sampled_from(paths_of(raw)))
    if not path:
        raw = value
    else:
        inner: Any = raw
        for part in path[:-1]:
            inner = inner[part]
        inner[path[-1]] = value
    with suppress(Refusal):
        assert isinstance(sale_state(raw, {}), SaleState)


@given(anything)
def test_any_answer_is_decoded_or_refused(value: Any) -> None:
    wrapped = {"__class__": "datetime", "year": value, "month": value}
    for one in (value, wrapped, {"__class__": value}, {"__class__": "Decimal", "decimal": value}):
        with suppress(Refusal):
            json.dumps(decode(one))


@given(anything)
def test_any_error_is_read(value: Any) -> None:
    for error in (value, [value], ["UserError", value], ["UserWarning", value], ["UserWarning", [value, value]]):
        code, message, name = read_error(error)
        assert code
        assert isinstance(message, str)
        assert isinstance(name, str)


def test_types_go_there_and_back() -> None:
    moment = datetime(2026, 11, 23, 6, 46, 34, 938663, tzinfo=UTC)
    values = {"at": moment, "day": moment.date(), "price": Decimal("35.50"), "lines": [["create", [{"a": 1}]]]}

    assert encode(values)["price"] == {"__class__": "Decimal", "decimal": "35.50"}
    assert decode(encode(values)) == {
        "at": "2026-11-23T06:46:34.938663+00:00",
        "day": "2026-11-23",
        "price": "35.50",
        "lines": [["create", [{"a": 1}]]],
    }
    assert decode({"party.": {"name": "A"}}) == {"party": {"name": "A"}}
    assert decode({"__class__": "bytes", "base64": "YWJj\nZGVm\n"}) == "YWJjZGVm"
