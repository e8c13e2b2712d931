"""What Bling says, as the hub understands it. The samples are whole bundles; the numbers in them add up."""

import base64
import contextlib
import copy
import gzip
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.erps.bling.mapping import hub_key_in, sale_state
from connectors.failures import Refusal
from tests.connectors.erps.bling.parts import SAMPLES, sample

KEY = "35261152087996000120550010000004121781203450"


def changed(name: str, **values: Any) -> Any:
    """A sample with values replaced: `order__situacao__id=15`."""
    document = copy.deepcopy(sample(name))
    for path, value in values.items():
        *parents, last = path.split("__")
        place = document
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place[part]
        place[int(last) if isinstance(place, list) else last] = value
    return document


def test_an_open_order() -> None:
    state = sale_state(sample("order_open"), {})
    assert (state.external_id, state.number, state.reference) == ("21700000451", "3187", "2000014400557731")
    assert state.hub_key == "entreposto:4:2000014400557731"
    assert state.total == Decimal("205.7")
    assert (state.raw_status, state.invoices, state.dispatches) == ("6", (), ())
    assert not state.cancelled and not state.complete and not state.attention and not state.unknown


def test_an_invoiced_order_brings_the_file_byte_for_byte() -> None:
    raw = sample("order_invoiced")
    state = sale_state(raw, {})
    (invoice,) = state.invoices
    assert (invoice.key, invoice.number, invoice.series, invoice.amount) == (KEY, "412", "1", Decimal("205.7"))
    assert invoice.issued_at == datetime(2026, 11, 18, 18, 42, 10, tzinfo=UTC)
    assert invoice.xml == gzip.decompress(base64.b64decode(raw["invoice_xml"]))
    assert b"<cStat>100</cStat>" in invoice.xml
    assert not invoice.cancelled and state.dispatches == () and not state.complete


def test_a_dispatched_order_is_complete() -> None:
    state = sale_state(sample("order_dispatched"), {})
    (dispatch,) = state.dispatches
    assert dispatch.external_id == "18100000012"
    assert (dispatch.carrier, dispatch.service) == ("Transportes Rumo Certo", "SEDEX")
    assert dispatch.tracking_code == "QM118844203BR"
    assert dispatch.tracking_url == "https://rastreio.exemplo.test/QM118844203BR"
    assert dispatch.shipped_at == datetime(2026, 11, 19, 13, 5, 31, tzinfo=UTC)
    assert dispatch.delivered_at is None and state.complete


def test_a_delivered_order() -> None:
    (dispatch,) = sale_state(sample("order_delivered"), {}).dispatches
    assert dispatch.delivered_at == datetime(2026, 11, 23, 19, 20, tzinfo=UTC)
    assert dispatch.shipped_at == datetime(2026, 11, 19, 3, tzinfo=UTC)
    (later,) = sale_state(sample("order_delivered"), {"tracking_zone": "UTC"}).dispatches
    assert later.delivered_at == datetime(2026, 11, 23, 16, 20, tzinfo=UTC)


@pytest.mark.parametrize("name", ["order_cancelled", "order_deleted"])
def test_cancelled_and_deleted_orders_are_over(name: str) -> None:
    state = sale_state(sample(name), {})
    assert state.external_id == "21700000451"
    assert state.cancelled and state.complete


def test_an_order_that_is_empty_was_not_deleted() -> None:
    with pytest.raises(Refusal):
        sale_state(changed("order_open", order={}), {})
    with pytest.raises(Refusal, match="order"):
        sale_state({"id": "21700000451"}, {})


def test_an_invoice_without_an_order_is_nobodys() -> None:
    state = sale_state(sample("invoice_without_order"), {})
    assert (state.external_id, state.hub_key, state.cancelled, state.invoices) == ("nfe:23100000077", "", False, ())


def test_an_unknown_situation_is_shown_and_moves_nothing() -> None:
    state = sale_state(sample("order_custom_situation"), {})
    assert state.unknown == ("$.order.situacao.id: 447110",)
    assert not state.cancelled and not state.dispatches


@pytest.mark.parametrize(("word", "cancelled", "dispatched"), [("cancelled", True, 0), ("dispatched", False, 1)])
def test_a_person_says_what_an_own_situation_means(word: str, cancelled: bool, dispatched: int) -> None:
    state = sale_state(sample("order_custom_situation"), {"situations": {"447110": word}})
    assert (state.cancelled, len(state.dispatches), state.unknown) == (cancelled, dispatched, ())


def test_an_own_situation_is_what_it_derives_from() -> None:
    state = sale_state(changed("order_custom_situation", base_situation="12"), {})
    assert state.cancelled and state.unknown == ()


def test_done_alone_does_not_prove_a_dispatch() -> None:
    state = sale_state(changed("order_open", order__situacao__id=9), {})
    assert state.dispatches == () and not state.complete


@pytest.mark.parametrize("situation", [1, 2, 3, 4, 7, 8, 9, 10, 11])
def test_an_invoice_counts_only_when_authorised(situation: int) -> None:
    state = sale_state(changed("order_invoiced", invoice__situacao=situation), {})
    assert [invoice for invoice in state.invoices if not invoice.cancelled] == []


@pytest.mark.parametrize(
    "changes",
    [
        {"invoice__chaveAcesso": ""},
        {"invoice__chaveAcesso": "1" * 43},
        {"invoice__finalidade": 4},
        {"invoice__tipo": 0},
    ],
)
def test_an_invoice_without_key_or_of_another_purpose_does_not_count(changes: dict[str, Any]) -> None:
    assert sale_state(changed("order_invoiced", **changes), {}).invoices == ()


def test_a_key_may_hold_letters() -> None:
    key = "352611A1B2C3D4000193550010000012345187654321"[:43] + "7"
    (invoice,) = sale_state(changed("order_invoiced", invoice__chaveAcesso=key), {}).invoices
    assert invoice.key == key


def test_a_rejected_invoice_needs_a_person() -> None:
    state = sale_state(sample("invoice_rejected"), {})
    assert "rejected the NF-e 000412" in state.attention
    assert state.invoices == () and not state.complete


@pytest.mark.parametrize(("situation", "word"), [(9, "denied"), (11, "blocked")])
def test_other_dead_invoices_need_a_person_too(situation: int, word: str) -> None:
    assert word in sale_state(changed("invoice_rejected", invoice__situacao=situation), {}).attention


def test_a_cancelled_invoice_is_reported() -> None:
    (invoice,) = sale_state(sample("invoice_cancelled"), {}).invoices
    assert invoice.cancelled and invoice.key == KEY


def test_a_cancelled_invoice_beside_its_successor() -> None:
    former = sample("invoice_cancelled")["invoice"]
    other = "3526115208799600012055001000000413178120346"
    raw = changed("order_invoiced", former_invoice=former, invoice__chaveAcesso=other + "0")
    assert [(invoice.key[25:34], invoice.cancelled) for invoice in sale_state(raw, {}).invoices] == [
        ("000000413", False),
        ("000000412", True),
    ]


def test_an_invoice_of_the_test_environment_is_worth_nothing() -> None:
    xml = gzip.decompress(base64.b64decode(sample("order_invoiced")["invoice_xml"]))
    test = base64.b64encode(xml.replace(b"<tpAmb>1<", b"<tpAmb>2<")).decode()
    state = sale_state(changed("order_invoiced", invoice_xml=test), {})
    assert state.invoices == () and "test environment" in state.attention
    assert len(sale_state(changed("order_invoiced", invoice_xml=test), {"test_invoices": True}).invoices) == 1


@pytest.mark.parametrize("xml", ["not base64!", base64.b64encode(b"\x1f\x8bnonsense").decode()])
def test_a_broken_file_is_refused_with_its_place(xml: str) -> None:
    with pytest.raises(Refusal) as refused:
        sale_state(changed("order_invoiced", invoice_xml=xml), {})
    assert refused.value.path == "$.invoice_xml"


def test_a_file_that_unpacks_without_end_is_refused() -> None:
    bomb = base64.b64encode(gzip.compress(b"0" * 3_000_000)).decode()
    with pytest.raises(Refusal, match="larger than any NF-e"):
        sale_state(changed("order_invoiced", invoice_xml=bomb), {})


def test_the_file_may_come_inside_the_invoice() -> None:
    (invoice,) = sale_state(changed("order_invoiced", invoice__xml="<nfeProc/>", invoice_xml=""), {}).invoices
    assert invoice.xml == b"<nfeProc/>"


@pytest.mark.parametrize("situation", [5, 6, 8])
def test_a_parcel_with_a_label_has_not_left(situation: int) -> None:
    state = sale_state(changed("order_dispatched", objects__0__rastreamento__situacao=situation), {})
    assert state.dispatches == () and not state.complete


def test_a_parcel_that_came_back_needs_a_person() -> None:
    state = sale_state(changed("order_dispatched", objects__0__rastreamento__situacao=2), {})
    assert "could not be delivered" in state.attention and len(state.dispatches) == 1


def test_an_unknown_parcel_situation_is_shown() -> None:
    state = sale_state(changed("order_dispatched", objects__0__rastreamento__situacao=42), {})
    assert state.unknown == ("$.objects[0].rastreamento.situacao: 42",) and state.dispatches == ()


def test_a_code_without_an_object_counts_only_where_a_person_said_so() -> None:
    raw = changed("order_dispatched", objects=[])
    state = sale_state(raw, {})
    assert state.dispatches == () and "QM118844203BR" in state.attention
    assert len(sale_state(raw, {"dispatch_on": "code"}).dispatches) == 1


def test_one_of_two_parcels_left() -> None:
    volumes = [*sample("order_dispatched")["order"]["transporte"]["volumes"], {"id": 5, "codigoRastreamento": ""}]
    state = sale_state(changed("order_dispatched", order__transporte__volumes=volumes), {})
    assert len(state.dispatches) == 1 and not state.complete


def test_zero_dates_are_no_dates() -> None:
    state = sale_state(changed("order_invoiced", invoice__dataEmissao="0000-00-00 00:00:00"), {})
    assert state.invoices[0].issued_at is None


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(Refusal, match="carrier"):
        sale_state(changed("order_dispatched", order__transporte__contato__nome="x" * 200), {})
    with pytest.raises(Refusal, match="time zone"):
        sale_state(sample("order_dispatched"), {"tracking_zone": "../etc"})


@pytest.mark.parametrize(
    ("notes", "key"),
    [
        ("entreposto:4:2000", "entreposto:4:2000"),
        ("Ligar antes!\nentreposto:4:701-1234567-7654321 ok", "entreposto:4:701-1234567-7654321"),
        ("Cliente: quer nota", ""),
        ("", ""),
    ],
)
def test_the_key_is_found_among_a_persons_notes(notes: str, key: str) -> None:
    assert hub_key_in(notes) == key


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(["12", "2026-11-19", "0000-00-00", KEY]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = ("order_dispatched", "order_invoiced", "invoice_cancelled", "invoice_rejected")
WHOLE = "id order base_situation invoice former_invoice invoice_xml objects"
ORDER = "situacao situacao__id transporte transporte__volumes transporte__contato total dataSaida data numero"
INVOICE = "situacao chaveAcesso numero serie dataEmissao valorNota tipo finalidade xml transporte"
PATHS = [
    (name, path)
    for name in NAMES
    for path in [
        *WHOLE.split(),
        *(f"order__{part}" for part in ORDER.split()),
        *(f"invoice__{part}" for part in INVOICE.split()),
    ]
]


@given(st.sampled_from(PATHS), JSON)
def test_any_value_anywhere_is_read_or_refused(place: tuple[str, str], value: Any) -> None:
    name, path = place
    with contextlib.suppress(Refusal):
        sale_state(changed(name, **{path: value}), {"dispatch_on": "code"})


@given(JSON, st.sampled_from([{}, {"situations": {"12": 5}}, {"situations": "x"}]))
def test_any_document_is_read_or_refused(document: Any, settings: dict[str, Any]) -> None:
    with contextlib.suppress(Refusal):
        sale_state(document, settings)


def test_every_sample_is_read() -> None:
    assert len(list(SAMPLES.glob("*.json"))) == 10
    for path in SAMPLES.glob("*.json"):
        assert sale_state(sample(path.stem), {}).external_id
