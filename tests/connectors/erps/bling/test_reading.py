"""Polling, fetching, pushes, signing in, limits and errors."""

import base64
import hashlib
import hmac
import json
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import BadSignature, Change, Cursor, PushRequest, Window
from connectors.erps.bling import listing, pushes
from connectors.erps.bling.calls import explain
from connectors.erps.bling.mapping import sale_state
from connectors.erps.bling.memory import Memory
from connectors.erps.bling.simulated_office import CLIENT_ID, CLIENT_SECRET, COMPANY_ID
from connectors.erps.bling.simulator import BlingSimulator
from connectors.failures import Category, Failure, Refusal
from connectors.reading import Reader, parse_json
from connectors.redaction import MASK
from connectors.simulation.server import Response
from tests.connectors.erps.bling.parts import SAMPLES, Desk, order, reference, simulated

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def bling() -> Any:
    with simulated() as made:
        yield made


def everything(bling: Desk, cursor: Cursor | None = None, window: Window | None = None) -> tuple[list[Change], Cursor]:
    cursor = dict(cursor or {})
    found: list[Change] = []
    for _ in range(50):
        page = bling.bling.changes(cursor, window)
        cursor = json.loads(json.dumps(page.cursor))
        found += page.changes
        if not page.more:
            return found, cursor
    raise AssertionError("the list has no end")


def create(bling: Desk, number: str = "2000") -> int:
    return int(bling.bling.create(order(number=number), reference(number)).external_id)


def state(bling: Desk, external_id: str, **settings: Any) -> Any:
    return sale_state(parse_json(bling.bling.fetch(external_id)), settings)


# Changes


def test_an_empty_account(bling: Desk) -> None:
    found, cursor = everything(bling)
    assert found == [] and set(cursor) == {"since"}
    paths = [urlsplit(exchange.url).path for exchange in bling.exchanges]
    assert paths == ["/Api/v3/pedidos/vendas", "/Api/v3/nfe", "/Api/v3/nfe", "/Api/v3/pedidos/vendas"]


def test_orders_and_invoices_in_one_list(bling: Desk) -> None:
    one, other = create(bling, "2000"), create(bling, "2001")
    note = bling.sim.invoice(one)
    bling.sim.invoice(other, situation=1)
    found, cursor = everything(bling)
    assert {change.external_id for change in found} == {str(one), str(other), f"nfe:{note}"}
    again, _ = everything(bling, cursor)
    assert {(change.external_id, change.body) for change in again} == {
        (change.external_id, change.body) for change in found
    }


def test_a_row_is_kept_as_it_came(bling: Desk) -> None:
    made = create(bling)
    change, again = everything(bling)[0]
    assert again == replace(change, changed_by=again.changed_by)
    row = json.loads(change.body)
    assert row["id"] == made and row["total"] == 179.5 and row["situacao"] == {"id": 6, "valor": 0}
    assert "itens" not in row and not change.complete


def test_a_cancelled_invoice_is_listed_too(bling: Desk) -> None:
    note = bling.sim.invoice(create(bling))
    bling.sim.move_note(note, 2)
    assert f"nfe:{note}" in {change.external_id for change in everything(bling)[0]}


def test_pages_go_on_until_one_is_not_full(bling: Desk) -> None:
    for place in range(230):
        bling.sim.place_by_hand(f"N-{place}")
    found, _ = everything(bling)
    assert len({change.external_id for change in found}) == 230
    assert bling.operations == ["changes"] * 8


def asked(bling: Desk, place: int) -> dict[str, list[str]]:
    return parse_qs(urlsplit(bling.exchanges[place].url).query)


def test_each_poll_looks_back_a_little(bling: Desk) -> None:
    with time_machine.travel(NOW, tick=False):
        everything(bling, {"since": "2026-11-20T11:00:00+00:00"})
    assert asked(bling, 0)["dataAlteracaoInicial"] == ["2026-11-20 07:55:00"]
    assert "dataAlteracaoFinal" not in asked(bling, 0)
    assert asked(bling, 1)["dataEmissaoInicial"] == ["2026-11-20 07:45:00"]
    assert asked(bling, 2)["dataEmissaoInicial"] == ["2026-11-18 08:00:00"]
    assert asked(bling, 2)["situacao"] == ["2"]


def test_what_changed_since_the_last_poll_is_news_however_its_row_looks(bling: Desk) -> None:
    made = str(create(bling))
    _, cursor = everything(bling)
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=2)):
        _, cursor = everything(bling, cursor)
        assert not [change for change in everything(bling, cursor)[0] if change.changed_by], "nothing has happened"
        bling.sim._changed(int(made), "updated")
        polled_at = datetime.now(UTC)
        found, _ = everything(bling, cursor)
    certain = next(change for change in found if change.changed_by)
    assert certain.external_id == made and certain.changed_by and certain.changed_by >= polled_at


def test_the_overlap_is_a_setting() -> None:
    with simulated(overlap_minutes=60) as bling, time_machine.travel(NOW, tick=False):
        everything(bling, {"since": "2026-11-20T11:00:00+00:00"})
        assert asked(bling, 0)["dataAlteracaoInicial"] == ["2026-11-20 07:00:00"]


def test_the_next_round_starts_where_this_one_did(bling: Desk) -> None:
    with time_machine.travel(NOW, tick=False):
        _, cursor = everything(bling)
    assert cursor == {"since": "2026-11-20T12:00:00+00:00"}


def test_the_first_round_starts_where_the_connection_does() -> None:
    with simulated(start_at="2026-11-10T00:00:00+00:00") as bling, time_machine.travel(NOW, tick=False):
        everything(bling)
        assert asked(bling, 0)["dataAlteracaoInicial"] == ["2026-11-09 20:55:00"]


def test_a_long_absence_is_cut_into_pieces_bling_accepts() -> None:
    with simulated(start_at="2024-11-10T00:00:00+00:00") as bling:
        found, cursor = everything(bling)
        assert found == [] and len(bling.exchanges) == 12
        assert datetime.fromisoformat(cursor["since"]) > datetime.now(UTC) - timedelta(minutes=1)
        assert "dataAlteracaoFinal" in asked(bling, 0) and "dataAlteracaoFinal" not in asked(bling, 6)


def test_a_period_is_read_again(bling: Desk) -> None:
    made = create(bling)
    note = bling.sim.invoice(made)
    bling.exchanges.clear()
    now = datetime.now(UTC)
    window = Window(now - timedelta(days=400), now + timedelta(minutes=1))
    found, _ = everything(bling, window=window)
    assert {change.external_id for change in found} == {str(made), f"nfe:{note}"}
    assert len(bling.exchanges) == 8
    assert asked(bling, 3).keys() == {"dataInicial", "dataFinal", "pagina", "limite"}


def test_an_order_placed_in_the_period_and_changed_after_it(bling: Desk) -> None:
    made = bling.sim.place_by_hand("OLD", data="2026-01-10")
    window = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    assert [change.external_id for change in everything(bling, window=window)[0]] == [str(made)]


@pytest.mark.parametrize("cursor", [{"since": 5}, {"since": "x"}, {"until": "2026-11-20T12:00:00+00:00", "list": 9}])
def test_a_broken_cursor_is_refused(bling: Desk, cursor: Cursor) -> None:
    with pytest.raises(Refusal, match="cursor"):
        bling.bling.changes(cursor)


def test_a_row_without_an_id_is_refused(bling: Desk) -> None:
    bling.sim.handle = lambda request: Response(200, {"data": [{"numero": 1}]})
    with pytest.raises(Refusal) as refused:
        bling.bling.changes({})
    assert refused.value.path == "$.data[0].id"


def test_pending_invoices_say_nothing_yet() -> None:
    news = [state for state in range(1, 12) if listing.STREAMS[1].is_news(Reader({"situacao": state}))]
    assert news == [2, 4, 5, 6, 9, 11]


# Fetching


def test_fetching_an_open_order_takes_one_call(bling: Desk) -> None:
    made = create(bling)
    bling.exchanges.clear()
    found = state(bling, str(made))
    assert (found.external_id, found.reference, found.hub_key) == (str(made), "2000", "entreposto:4:2000")
    assert bling.operations == ["order"]


def test_fetching_an_order_that_left(bling: Desk) -> None:
    made = create(bling)
    note, parcel = bling.sim.invoice(made), bling.sim.dispatch(made)
    bling.exchanges.clear()
    found = state(bling, str(made))
    assert bling.operations == ["order", "invoice", "invoice_xml", "shipping_object"]
    assert found.invoices[0].key == bling.sim.notes[note]["chaveAcesso"]
    assert found.invoices[0].xml == bling.sim.notes[note]["_xml"]
    assert found.dispatches[0].external_id == str(parcel) and found.complete
    # The packed file holds the buyer's data where no redaction could find it.
    assert bling.exchanges[2].response_body == MASK
    bling.exchanges.clear()
    # Its file does not change and is not asked for again.
    assert state(bling, str(made)) == found
    assert bling.operations == ["order", "invoice", "shipping_object"]


def test_the_same_content_is_the_same_bytes(bling: Desk) -> None:
    made = str(create(bling))
    bling.sim.invoice(int(made))
    assert bling.bling.fetch(made) == bling.bling.fetch(made)


def test_an_invoice_leads_to_its_order(bling: Desk) -> None:
    mine, other = create(bling), bling.sim.place_by_hand("2000")
    note = bling.sim.invoice(mine)
    bling.sim.invoice(other)
    bling.exchanges.clear()
    found = state(bling, f"nfe:{note}")
    assert found.external_id == str(mine) and found.invoices[0].key == bling.sim.notes[note]["chaveAcesso"]
    assert bling.operations[:2] == ["invoice", "find"]
    bling.exchanges.clear()
    assert state(bling, f"nfe:{note}") == found
    assert bling.operations == ["invoice", "order"]


def test_a_cancelled_invoice_that_its_order_does_not_name_any_more(bling: Desk) -> None:
    made = create(bling)
    former = bling.sim.invoice(made)
    bling.sim.move_note(former, 2)
    note = bling.sim.invoice(made)
    found = state(bling, f"nfe:{former}")
    assert found.external_id == str(made)
    assert [(invoice.key, invoice.cancelled) for invoice in found.invoices] == [
        (bling.sim.notes[note]["chaveAcesso"], False),
        (bling.sim.notes[former]["chaveAcesso"], True),
    ]


def test_an_invoice_of_no_order(bling: Desk) -> None:
    note = bling.sim.invoice(bling.sim.place_by_hand("2000"))
    bling.sim.notes[note]["numeroPedidoLoja"] = ""
    assert state(bling, f"nfe:{note}").raw_status == "no order"
    assert state(bling, "nfe:1").raw_status == "no order"


def test_a_deleted_order_is_over(bling: Desk) -> None:
    assert state(bling, "99").cancelled


def test_an_own_situation_is_looked_up_once(bling: Desk) -> None:
    made = create(bling)
    bling.sim._move(bling.sim.orders[made], 447_111)
    assert state(bling, str(made)).cancelled and state(bling, str(made)).cancelled
    assert bling.operations.count("situation") == 1
    bling.sim._move(bling.sim.orders[made], 447_110)
    assert state(bling, str(made)).unknown == ("$.order.situacao.id: 447110",)


@pytest.mark.parametrize("status", [403, 404])
def test_an_own_situation_that_may_not_be_read_is_unknown(bling: Desk, status: int) -> None:
    made = create(bling)
    bling.sim._move(bling.sim.orders[made], 447_111)
    handle = bling.sim.handle
    bling.sim.handle = lambda request: Response(status, {}) if "/situacoes/" in request.path else handle(request)
    assert state(bling, str(made)).unknown == ("$.order.situacao.id: 447111",)


@pytest.mark.parametrize("part", ["/nfe/documento/", "/logisticas/objetos/"])
def test_what_bling_does_not_have_is_left_out(bling: Desk, part: str) -> None:
    made = create(bling)
    bling.sim.invoice(made)
    bling.sim.dispatch(made)
    handle = bling.sim.handle
    bling.sim.handle = lambda request: Response(404, {}) if part in request.path else handle(request)
    found = state(bling, str(made))
    assert (found.invoices[0].xml == b"") == ("nfe" in part)
    assert len(found.dispatches) == ("nfe" in part)


# Pushes


def push(body: bytes, secret: str, **headers: str) -> PushRequest:
    signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return PushRequest(body, {"x-bling-signature-256": signature, **headers}, {})


def test_the_published_signature(bling: Desk) -> None:
    body = (
        b'{"eventId":"01J8ZK3Q9T","date":"2026-11-20T13:05:11Z","version":"v1","event":"order.updated",'
        b'"companyId":"0f1e2d3c4b5a69788796a5b4c3d2e1f0","data":{"id":21500000001,'
        b'"numeroLoja":"2000009876543210","situacao":{"id":9,"valor":1}}}'
    )
    assert len(body) == 228
    bling.bling.account.credentials["client_secret"] = "client-secret-exemplo"  # type: ignore[index]
    header = "sha256=07d1fb5d6a5636111ade3812808184d836aa5038df4bc8def4e2c61ffc5e0f67"
    (found,) = bling.bling.read_push(PushRequest(body, {"x-bling-signature-256": header}, {}))
    assert (found.external_id, found.topic, found.event_id) == ("21500000001", "order.updated", "01J8ZK3Q9T")
    assert found.account == COMPANY_ID
    with pytest.raises(BadSignature):
        bling.bling.read_push(PushRequest(body + b" ", {"x-bling-signature-256": header}, {}))


@pytest.mark.parametrize(
    ("name", "external_id"),
    [
        ("order_updated", "21700000451"),
        ("order_deleted", "21700000451"),
        ("invoice_created", "nfe:23100000077"),
        ("stock_updated", ""),
    ],
)
def test_what_a_push_is_about(bling: Desk, name: str, external_id: str) -> None:
    body = (SAMPLES / "pushes" / f"{name}.json").read_bytes()
    (found,) = bling.bling.read_push(push(body, CLIENT_SECRET))
    assert found.external_id == external_id and found.topic == name.replace("_", ".")
    assert found.event_id and bling.exchanges == []


@pytest.mark.parametrize("signature", [None, "", "sha256=", "sha256=é", "md5=00", "00"])
def test_a_push_of_somebody_else(bling: Desk, signature: str | None) -> None:
    headers = {} if signature is None else {"x-bling-signature-256": signature}
    with pytest.raises(BadSignature):
        bling.bling.read_push(PushRequest(b"{}", headers, {}))


def test_no_push_is_believed_without_a_secret(bling: Desk) -> None:
    bling.bling.account.credentials["client_secret"] = ""  # type: ignore[index]
    with pytest.raises(BadSignature):
        bling.bling.read_push(push(b"{}", ""))


# An empty object can be read; it announces nothing.
UNREADABLE = st.binary(max_size=30).filter(lambda body: body.strip() != b"{}")


@given(UNREADABLE | st.sampled_from([b'{"event":"order.updated"}', b'{"event":["x"]}', b"[]", b"null"]))
def test_a_signed_push_that_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal):
        pushes.read(push(body, "s"), "s")


def test_the_simulator_pushes_signed_and_tries_again(bling: Desk) -> None:
    seen: list[PushRequest] = []

    class Hub(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append(PushRequest(body, {name.lower(): value for name, value in self.headers.items()}, {}))
            self.send_response(500 if len(seen) == 1 else 204)
            self.end_headers()

        def log_message(self, *args: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Hub) as hub:
        threading.Thread(target=hub.serve_forever, args=(0.02,), daemon=True).start()
        bling.sim.sim_push({"url": f"http://127.0.0.1:{hub.server_address[1]}/push"})
        made = create(bling)
        note = bling.sim.invoice(made)
        ends = time.monotonic() + 5
        while len(seen) < 4 and time.monotonic() < ends:
            time.sleep(0.01)
        hub.shutdown()
    found = [bling.bling.read_push(request)[0] for request in seen]
    assert [(one.topic, one.external_id) for one in found] == [
        ("order.created", str(made)),
        ("order.created", str(made)),
        ("invoice.created", f"nfe:{note}"),
        ("order.updated", str(made)),
    ]
    assert len({one.event_id for one in found}) == 3


# Signing in


def watched(bling: Desk, call: Any = None) -> list[Any]:
    """The requests that reach the simulator from now on."""
    requests: list[Any] = []
    handle = bling.sim.handle

    def watch(request: Any) -> Response:
        requests.append(request)
        answer: Response = handle(request)
        return answer

    bling.sim.handle = watch
    if call:
        call()
    return requests


def test_the_consent_page(bling: Desk) -> None:
    parts = urlsplit(bling.bling.consent_url("a state"))
    assert parts.path == "/Api/v3/oauth/authorize"
    assert parse_qs(parts.query) == {"response_type": ["code"], "client_id": [CLIENT_ID], "state": ["a state"]}


def test_a_code_is_exchanged_once(bling: Desk) -> None:
    code = bling.sim.consent()
    secrets = bling.bling.exchange(code, {})
    assert secrets["access_token"] in bling.sim.access and secrets["refresh_token"] == bling.sim.refresh
    assert secrets["client_secret"] == CLIENT_SECRET
    life = datetime.fromisoformat(secrets["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=5, minutes=59) < life <= timedelta(hours=6)
    with pytest.raises(Failure) as failed:
        bling.bling.exchange(code, {})
    assert failed.value.category is Category.AUTH and failed.value.code == "invalid_grant"
    assert bling.sim.access == {}


@pytest.mark.parametrize("fault", ["500", "cut_after", "502_after"])
def test_an_exchange_is_never_repeated(bling: Desk, fault: str) -> None:
    code = bling.sim.consent()
    bling.fault(fault, "oauth/token", times=None)
    with pytest.raises(Failure):
        bling.bling.exchange(code, {})
    assert bling.operations == ["token"]
    assert bling.sim.access


def test_a_refused_consent(bling: Desk) -> None:
    with pytest.raises(Failure, match="access_denied") as failed:
        bling.bling.exchange("", {"error": "access_denied"})
    assert failed.value.category is Category.AUTH and bling.exchanges == []


def test_the_token_call_on_the_wire(bling: Desk) -> None:
    requests = watched(bling)
    before = bling.sim.refresh
    secrets = bling.bling.refresh()
    (request,) = requests
    assert (request.method, request.path) == ("POST", "/Api/v3/oauth/token")
    assert request.form() == {"grant_type": "refresh_token", "refresh_token": before}
    pair = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
    assert request.headers["authorization"] == f"Basic {pair}"
    assert (request.headers["enable-jwt"], request.headers["accept"]) == ("1", "1.0")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert secrets["refresh_token"] != before


def test_an_old_refresh_token_is_refused(bling: Desk) -> None:
    bling.bling.refresh()
    with pytest.raises(Failure) as failed:
        bling.bling.refresh()
    assert failed.value.category is Category.AUTH


def test_a_connection_that_was_never_signed_in(bling: Desk) -> None:
    bling.bling.account.credentials.pop("refresh_token")  # type: ignore[attr-defined]
    with pytest.raises(Failure, match="not been connected"):
        bling.bling.refresh()


def test_an_expired_token_is_renewed_once(bling: Desk) -> None:
    bling.fault("expired")
    assert bling.bling.check() == "Loja Exemplo Ltda"
    assert bling.tokens.renewed == 1 and bling.operations == ["check", "token", "check"]
    assert bling.bling.check() and bling.tokens.renewed == 1


def test_tokens_of_the_simulator_die() -> None:
    with simulated(BlingSimulator(token_seconds=0)) as bling, pytest.raises(Failure) as failed:
        bling.bling.check()
    assert failed.value.status == 401 and bling.tokens.renewed == 1


def test_calls_say_that_the_token_is_a_jwt(bling: Desk) -> None:
    (seen,) = watched(bling, bling.bling.check)
    assert seen.headers["enable-jwt"] == "1" and seen.headers["authorization"] == f"Bearer {bling.tokens.current()}"


# Limits and errors


def test_more_than_three_calls_in_a_second() -> None:
    with simulated(BlingSimulator(limits=True)) as bling:
        for _ in range(3):
            bling.bling.check()
        with pytest.raises(Failure) as failed:
            bling.bling.check()
    assert failed.value.category is Category.RATE_LIMITED and failed.value.code == "TOO_MANY_REQUESTS"
    assert failed.value.retry_at and failed.value.retry_at < datetime.now(UTC) + timedelta(seconds=6)


def test_the_calls_of_the_day_are_used_up() -> None:
    sim = BlingSimulator(limits=True)
    sim.calls_today = 120_000
    # Half past ten at night in Brasília.
    with simulated(sim) as bling, time_machine.travel(datetime(2026, 11, 21, 1, 30, tzinfo=UTC), tick=False):
        with pytest.raises(Failure) as failed:
            bling.bling.check()
        midnight = datetime(2026, 11, 21, 3, tzinfo=UTC)
        assert failed.value.category is Category.RATE_LIMITED and failed.value.retry_at == midnight
        assert bling.paused[-1] == ("check", midnight)


@pytest.mark.parametrize(
    ("status", "kind", "category"),
    [
        (400, "VALIDATION_ERROR", Category.REJECTED),
        (400, "MISSING_REQUIRED_FIELD_ERROR", Category.REJECTED),
        (400, "UNKNOWN_ERROR", Category.TRANSIENT),
        (401, "invalid_token", Category.AUTH),
        (403, "insufficient_scope", Category.AUTH),
        (403, "FORBIDDEN", Category.AUTH),
        (404, "RESOURCE_NOT_FOUND", Category.REJECTED),
        (405, "METHOD_NOT_ALLOWED", Category.BUG),
        (429, "TOO_MANY_REQUESTS", Category.RATE_LIMITED),
        (500, "SERVER_ERROR", Category.TRANSIENT),
        (501, "NOT_IMPLEMENTED", Category.REJECTED),
        (503, "", Category.TRANSIENT),
    ],
)
def test_the_error_table(bling: Desk, status: int, kind: str, category: Category) -> None:
    handle = bling.sim.handle
    refusal = Response(status, {"error": {"type": kind, "message": "M", "description": "Descrição"}})
    bling.sim.handle = lambda request: handle(request) if "oauth" in request.path else refusal
    with pytest.raises(Failure) as failed:
        bling.bling.check()
    assert failed.value.category is category
    assert not kind or "Descrição" in failed.value.message
    assert not failed.value.uncertain


@pytest.mark.parametrize(
    ("status", "kind", "uncertain"),
    [(400, "VALIDATION_ERROR", False), (400, "UNKNOWN_ERROR", True), (500, "SERVER_ERROR", True), (429, "", False)],
)
def test_which_refused_creations_are_in_doubt(bling: Desk, status: int, kind: str, uncertain: bool) -> None:
    handle = bling.sim.handle
    bling.sim.handle = lambda request: (
        Response(status, {"error": {"type": kind}})
        if request.method == "POST" and "pedidos" in request.path
        else handle(request)
    )
    with pytest.raises(Failure) as failed:
        bling.bling.create(order(), reference())
    assert failed.value.uncertain is uncertain
    assert bling.operations.count("create") == 1


def test_an_answer_that_is_no_json(bling: Desk) -> None:
    bling.fault("html")
    with pytest.raises(Failure) as failed:
        bling.bling.check()
    assert failed.value.category is Category.TRANSIENT and failed.value.code == "not_json"


def test_every_field_of_a_refusal_is_said() -> None:
    body = {
        "error": {
            "type": "VALIDATION_ERROR",
            "description": "A venda não pode ser salva.",
            "fields": [{"element": "parcelas", "msg": "erros", "collection": [{"index": 2, "msg": "forma inválida"}]}],
        }
    }
    assert explain(body) == (
        "VALIDATION_ERROR",
        "A venda não pode ser salva. [parcelas] erros [parcelas 2] forma inválida",
    )


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["error", "type", "fields", "collection", "msg", "period"]), inner)
        ),
        max_leaves=10,
    )
)
def test_any_error_body_is_explained(body: Any) -> None:
    code, message = explain({"error": body})
    assert isinstance(code, str) and isinstance(message, str)


def test_what_is_remembered_is_forgotten_in_time() -> None:
    memory = Memory(seconds=60, size=2)
    for key in "abc":
        memory.put(key, key)
    assert (memory.get("a"), memory.get("b"), memory.get("c")) == (None, "b", "c")
    memory.forget("b")
    assert memory.get("b") is None
    short = Memory(seconds=-1, size=2)
    short.put("a", 1)
    assert short.get("a") is None


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"id": 9, "situacao": 5}, ("9", False)),
        ({"id": 9, "situacao": 6}, ("9", False)),
        ({"id": 9, "situacao": 2}, ("9", True)),
        ({"id": 9, "situacao": 4}, None),
        ({"id": 9, "situacao": {"id": 9}}, None),
        ({"id": 9}, None),
        ([], None),
    ],
)
def test_only_a_settled_invoice_says_all_in_its_row(bling: Desk, row: Any, said: tuple[str, bool] | None) -> None:
    assert bling.bling.invoice_in(json.dumps(row).encode()) == said
