"""A connection to Mercado Livre's simulator, as the hub would have it, for this folder's tests."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectors.channels.mercado_livre import SERVICE
from connectors.channels.mercado_livre.adapter import MercadoLivre
from connectors.channels.mercado_livre.mapping import order_document
from connectors.channels.mercado_livre.simulator import MercadoLivreSimulator
from connectors.contract import Account, Change, ShipmentRef, Window
from connectors.http import Client, Exchange, Surroundings
from connectors.reading import parse_json
from connectors.simulation.server import Fault, SimulatorServer
from orders.documents import InvoiceDocument, OrderDocument
from tests.support.tokens import Tokens

SAMPLES = Path(__file__).parents[4] / "connectors" / "channels" / "mercado_livre" / "samples"
START = "2026-01-01T00:00:00+00:00"


def key(number: int) -> str:
    return f"352611114447770001615500100000{number:04d}1000012345"[:44]


def invoice(number: int = 1) -> InvoiceDocument:
    xml = f'<nfeProc versao="4.00"><NFe><infNFe Id="NFe{key(number)}"/></NFe></nfeProc>'
    return InvoiceDocument(key=key(number), xml=xml.encode())


def sample(name: str) -> Any:
    return parse_json((SAMPLES / f"{name}.json").read_text())


def document(name: str, settings: Mapping[str, Any] | None = None) -> OrderDocument:
    return order_document(sample(name), settings or {})


@dataclass
class Wire:
    simulator: MercadoLivreSimulator
    adapter: MercadoLivre
    tokens: Tokens
    account: Account
    exchanges: list[Exchange] = field(default_factory=list)

    def calls(self, operation: str = "") -> list[Exchange]:
        return [one for one in self.exchanges if one.operation == operation or not operation]

    def fault(self, kind: str, match: str, times: int = 1) -> None:
        self.simulator.faults = [Fault(kind, match, times=times)]

    def order(self, external_id: str, hint: bytes = b"") -> OrderDocument:
        return order_document(parse_json(self.adapter.fetch(external_id, hint)), {})

    def poll(self, cursor: dict[str, Any], window: Window | None = None) -> tuple[list[Change], dict[str, Any]]:
        """Pages until there are no more; the cursor goes through JSON as in the database."""
        found: list[Change] = []
        for _ in range(1_000):
            page = self.adapter.changes(json.loads(json.dumps(cursor)), window)
            found += page.changes
            cursor = dict(page.cursor)
            if not page.more:
                return found, cursor
        raise AssertionError("the list never ends")

    def shipment_of(self, order: OrderDocument) -> dict[str, Any]:
        return self.simulator.shipments[order.shipments[0].external_id]


@contextmanager
def wire(settings: Mapping[str, Any] | None = None, **options: Any) -> Iterator[Wire]:
    simulator = MercadoLivreSimulator(**options)
    with SimulatorServer(simulator) as server:
        credentials = simulator.account_credentials()
        account = Account(
            1,
            "mercado_livre",
            credentials["user_id"],
            {"start_at": START, **simulator.account_settings(), **(settings or {})},
            dict.fromkeys(SERVICE.hosts, server.url),
            credentials,
            "https://hub.example/callback",
        )
        tokens = Tokens(credentials["access_token"])
        exchanges: list[Exchange] = []
        around = Surroundings(tokens=tokens, record=exchanges.append, allow_private=True)
        adapter = MercadoLivre(account, Client(account, SERVICE, around))
        tokens.adapter = adapter
        yield Wire(simulator, adapter, tokens, account, exchanges)


NO_SHIPMENT = ShipmentRef("")
