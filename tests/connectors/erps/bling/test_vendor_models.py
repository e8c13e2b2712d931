"""Against the vendor's own OpenAPI description, served by an independent mock server.

It is no sandbox: it holds no state. But it did not come from us: a request it does not accept is one Bling's own
description forbids, and an answer it makes up is one that Bling's description allows.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.contract import Window
from connectors.erps.bling import payloads
from connectors.erps.bling.mapping import sale_state
from connectors.failures import Category, Failure, Refusal
from connectors.http import Client
from connectors.reading import parse_json
from tests.connectors.erps.bling.parts import PLACED, Desk, desk, order, reference
from tests.support.prism import start_prism, vendor_model

pytestmark = pytest.mark.real

RANDOM_ANSWERS = 40


class Unprefixed(Client):
    """The mock server serves the model's paths without the server's base path."""

    def _address(self, host: str, path: str) -> str:
        return super()._address(host, path.removeprefix("/Api/v3"))


def connected(url: str, **settings: Any) -> Desk:
    return desk(url, {"access_token": "token", "client_secret": "s"}, Unprefixed, **settings)


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    with start_prism(vendor_model("bling", "bling-openapi-reference.json")) as url:
        yield url


@pytest.fixture(scope="module")
def random_model() -> Iterator[str]:
    with start_prism(vendor_model("bling", "bling-openapi-reference.json"), dynamic=True) as url:
        yield url


def probe(url: str) -> None:
    d = connected(url)
    for name, call in {
        "check": d.bling.check,
        "find": lambda: d.bling.find(reference()),
        "items": lambda: d.bling.items(["SKU1"]),
        "fetch": lambda: d.bling.fetch("12345678"),
        "contact": lambda: d.bling._contact_of(order()),
        "form": d.bling._payment_form,
        "cancel": lambda: d.bling.cancel("12345678"),
    }.items():
        try:
            print(name, call())
        except Failure as failure:
            print(name, "FAILED", failure.category, failure)
    for exchange in d.exchanges:
        print(exchange.method, exchange.url, exchange.status, exchange.response_body[:300])


def test_probe(model: str) -> None:
    probe(model)
    d = connected(model)
    for window in (None, Window(PLACED, PLACED)):
        cursor: dict[str, Any] = {}
        for _ in range(4):
            try:
                page = d.bling.changes(cursor, window)
                print(page)
                cursor = page.cursor
            except Failure as failure:
                print(failure, d.exchanges[-1].url)
                break
    body = payloads.sale(order(), reference(), {}, contact_id=1, products={"CAN-325-AZUL": 1, "GAR-1L-PRETA": 2}, payment_form=3)
    for path, payload in (("/pedidos/vendas", body), ("/contatos", payloads.contact(order()))):
        try:
            print(d.bling._call("POST", path, operation="x", json=payload, effect=True))
        except Failure as failure:
            print(path, failure, d.exchanges[-1].response_body)
