"""Against the vendor's own OpenAPI description, served by an independent mock server.

It is no sandbox: it holds no state. But it did not come from us: a request it does not accept is one that Bling's own
description forbids, and an answer it makes up is one that Bling's description allows.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from connectors.contract import SaleState, Window
from connectors.erps.bling import payloads
from connectors.erps.bling.mapping import sale_state
from connectors.failures import Category, Failure, Refusal
from connectors.http import Answer, Client
from connectors.reading import parse_json
from tests.connectors.erps.bling.parts import PLACED, Desk, desk, order, reference, sample
from tests.support.prism import start_prism, vendor_model

pytestmark = pytest.mark.real

RANDOM_ANSWERS = 40
MODEL = ("bling", "bling-openapi-reference.json")
# The description calls these filters dates, describes them as date and time, and gives a date with a time as example.
CONTRADICTED = {
    "GET changes query.dataemissaoinicial",
    "GET changes query.dataemissaofinal",
}


COMPLAINTS: set[str] = set()


class Unprefixed(Client):
    """The mock server serves the model's paths without the base path of the servers it names."""

    def _address(self, host: str, path: str) -> str:
        return super()._address(host, path.removeprefix("/Api/v3"))

    def _refused(self, call: Any, answer: Answer) -> Failure:
        """Keeps what the mock server says against the request: in a header, or in its own kind of answer."""
        said = answer.headers.get("sl-violations") or json.dumps(json.loads(answer.content or b"{}").get("validation"))
        for entry in json.loads(said) or ():
            place = ".".join(str(part) for part in entry["location"])
            # It also complains about the model's own examples, which are none of our business.
            if not place.startswith("response"):
                COMPLAINTS.add(f"{call.method} {call.operation} {place.removeprefix('request.')}")
        return super()._refused(call, answer)


@pytest.fixture(autouse=True)
def _no_complaints() -> None:
    COMPLAINTS.clear()


def connected(url: str, **settings: Any) -> Desk:
    return desk(url, {"access_token": "token", "client_secret": "s"}, Unprefixed, **settings)


@pytest.fixture(scope="module")
def vendor() -> Iterator[str]:
    """The model as it is."""
    with start_prism(vendor_model(*MODEL)) as url:
        yield url


@pytest.fixture(scope="module")
def inventive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Random answers. The model requires properties that it does not define, which no answer can ever satisfy:
    those requirements are left out. Numbers are kept to a size that money can have.
    """
    model = json.loads(vendor_model(*MODEL).read_text())
    for schema in model["components"]["schemas"].values():
        known = schema.get("properties", {})
        schema["required"] = [name for name in schema.get("required", []) if name in known]
        if not schema["required"]:
            del schema["required"]
        for part in known.values():
            if part.get("type") == "number":
                part |= {"minimum": -99_999, "maximum": 99_999}
    path = tmp_path_factory.mktemp("model") / "bling.json"
    path.write_text(json.dumps(model))
    with start_prism(path, dynamic=True) as url:
        yield url


def try_all(*calls: Callable[[], object]) -> None:
    for call in calls:
        with contextlib.suppress(Failure):
            call()


def test_every_request_is_one_the_vendor_describes(vendor: str) -> None:
    settings = {"stores": {"4": 7}, "intermediaries": {"4": {"cnpj": "03007331000141", "user": "LOJA"}}}
    made = connected(vendor, **settings)
    bling = made.bling
    contact = payloads.contact(order())
    sale = payloads.sale(
        order(notes="Sem laço"),
        reference(),
        settings,
        contact_id=1,
        products={"CAN-325-AZUL": 1, "GAR-1L-PRETA": 2},
        payment_form=3,
    )
    try_all(
        bling.check,
        lambda: bling.find(reference()),
        lambda: bling.items(["A", "B"]),
        bling.catalogue.payment_form,
        lambda: bling.contacts._find("39053344705"),
        lambda: bling.contacts._find("39053344705", pesquisa="Fulana"),
        lambda: bling.contacts._make(contact),
        lambda: bling.contacts._refresh(1, contact),
        lambda: bling.calls.send("POST", "/pedidos/vendas", operation="create", json=sale, effect=True),
        lambda: bling.calls.send("PATCH", "/pedidos/vendas/1/situacoes/12", operation="cancel"),
        lambda: bling._base_of("447110"),
        lambda: bling.fetch("12345678"),
        lambda: bling.fetch("nfe:12345678"),
    )
    assert set() == COMPLAINTS
    statuses = {exchange.operation: exchange.status for exchange in made.exchanges}
    assert statuses["create"] == 201 and statuses["create_contact"] == 201
    assert statuses["update_contact"] == 204 and statuses["cancel"] == 204


def test_the_lists_of_a_poll_are_ones_the_vendor_describes(vendor: str) -> None:
    made = connected(vendor)
    since, until = "2026-11-19T00:00:00+00:00", "2026-11-20T00:00:00+00:00"
    for place in range(4):
        cursor = {"since": since, "until": until, "list": place, "page": 1}
        try_all(lambda: made.bling.changes(cursor, Window(PLACED, PLACED)))  # noqa: B023
    assert COMPLAINTS == CONTRADICTED


def test_the_model_would_notice_a_wrong_request(vendor: str) -> None:
    made = connected(vendor)
    try_all(lambda: made.bling.calls.send("POST", "/contatos", operation="x", json={"nome": "X"}, effect=True))
    assert {"POST x body"} == COMPLAINTS


def test_the_vendors_examples_are_mapped() -> None:
    model = json.loads(vendor_model(*MODEL).read_text())

    def example(path: str) -> Any:
        answer = model["paths"][path]["get"]["responses"]["200"]
        return _example(model, answer["content"]["application/json"]["schema"])["data"]

    sale, note = example("/pedidos/vendas/{idPedidoVenda}"), example("/nfe/{idNotaFiscal}")
    track = example("/logisticas/objetos/{idObjeto}")
    volume = sale["transporte"]["volumes"][0]
    raw = {"id": str(sale["id"]), "order": sale, "invoice": note, "objects": [{**track, "id": volume["id"]}]}
    state = sale_state(parse_json(json.dumps(raw)), {})
    assert (state.external_id, state.reference, state.number) == ("12345678", "Loja_123", "123")
    assert state.unknown == ("$.order.situacao.id: 12345678",)
    # Its NF-e is pending with the word "string" for a key, and its parcel is not posted yet.
    assert state.invoices == () and state.dispatches == () and state.attention == ""
    track["rastreamento"]["situacao"] = 0
    raw["objects"] = [{**track, "id": volume["id"]}]
    (dispatch,) = sale_state(parse_json(json.dumps(raw)), {}).dispatches
    assert dispatch.tracking_code == volume["codigoRastreamento"]
    assert dispatch.shipped_at.isoformat() == "2020-11-11T19:40:33+00:00"
    note |= {"situacao": 5, "tipo": 1, "chaveAcesso": sample("order_invoiced")["invoice"]["chaveAcesso"]}
    (invoice,) = sale_state(parse_json(json.dumps(raw)), {}).invoices
    assert invoice.number == "6541" and invoice.issued_at


def _example(model: Any, schema: Any) -> Any:
    """The examples of a schema's properties, put together."""
    if "$ref" in schema:
        return _example(model, model["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "allOf" in schema:
        return {name: value for part in schema["allOf"] for name, value in _example(model, part).items()}
    if schema.get("type") == "array":
        return schema.get("example") or [_example(model, schema["items"])]
    if "properties" in schema:
        return {name: _example(model, part) for name, part in schema["properties"].items()}
    return schema.get("example", (schema.get("enum") or ["string"])[0])


def test_no_answer_that_the_model_allows_crashes_anything(inventive: str) -> None:
    made = connected(inventive, situations={"5": "dispatched"})
    bling = made.bling
    states = []
    for place in range(RANDOM_ANSWERS):
        raw = _or_refused(lambda: bling.fetch(f"nfe:{place}" if place % 5 == 0 else str(place + 1)))  # noqa: B023
        if raw is not None:
            document = parse_json(raw)
            settings = {"dispatch_on": ("object", "code")[place % 2]}
            states.append(_or_refused(lambda: sale_state(document, settings)))  # noqa: B023
        for call in (
            lambda: bling.find(reference()),
            lambda: bling.changes({}),
            lambda: bling.items(["A"]),
            lambda: bling.contacts.of(order()),
            lambda: bling.cancel("1"),
        ):
            _or_refused(call)
    assert sum(isinstance(state, SaleState) for state in states) > RANDOM_ANSWERS / 4
    assert set() == COMPLAINTS


def _or_refused(call: Callable[[], Any]) -> Any:
    """Its result, or None where it was refused for a stated reason."""
    try:
        return call()
    except Refusal as refusal:
        assert refusal.path and refusal.message
    except Failure as failure:
        assert failure.category is not Category.BUG and failure.message
    return None
