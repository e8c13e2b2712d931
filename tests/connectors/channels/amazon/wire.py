"""A connection to Amazon's simulator, as the hub would have it, for this folder's tests."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connectors.channels.amazon import SERVICE
from connectors.channels.amazon.adapter import Amazon
from connectors.channels.amazon.mapping import order
from connectors.channels.amazon.simulator import AmazonSimulator
from connectors.contract import Account, ShipmentRef
from connectors.http import Client, Exchange, Surroundings
from connectors.reading import parse_json
from connectors.simulation.server import Fault, SimulatorServer
from orders.documents import InvoiceDocument, OrderDocument
from tests.support.tokens import Tokens

SAMPLES = Path(__file__).parents[4] / "connectors" / "channels" / "amazon" / "samples"
KEY = "35261111444777000161550010000012341000012345"
XML = b'<nfeProc versao="4.00"><NFe><infNFe Id="NFe' + KEY.encode() + b'"/></NFe></nfeProc>'
INVOICE = InvoiceDocument(key=KEY, xml=XML)
PARCEL = ShipmentRef("", carrier="Jadlog", service="Expresso", tracking_code="JD0001BR")


@dataclass
class Wire:
    simulator: AmazonSimulator
    adapter: Amazon
    tokens: Tokens
    account: Account
    exchanges: list[Exchange] = field(default_factory=list)
    paused: list[tuple[str, datetime]] = field(default_factory=list)

    def calls(self, operation: str = "") -> list[Exchange]:
        return [one for one in self.exchanges if one.operation == operation or not operation]

    def fault(self, kind: str, match: str, times: int = 1) -> None:
        self.simulator.faults = [Fault(kind, match, times=times)]

    def order(self, external_id: str) -> OrderDocument:
        return order(parse_json(self.adapter.fetch(external_id)), self.account.settings)

    def place(self, **options: Any) -> OrderDocument:
        return self.order(self.simulator.place(1, **options)[0])


@contextmanager
def wire(settings: Mapping[str, Any] | None = None, **options: Any) -> Iterator[Wire]:
    """A simulator with these options and an adapter signed in to it; `settings` are the connection's own."""
    simulator = AmazonSimulator(**options)
    with SimulatorServer(simulator) as server:
        yield connected(simulator, server.url, settings or {})


def connected(simulator: AmazonSimulator, url: str, settings: Mapping[str, Any]) -> Wire:
    credentials = simulator.account_credentials()
    account = Account(
        id=1,
        kind="amazon",
        external_account="A1SIMULATEDSELLER",
        settings={"start_at": "2026-01-01T00:00:00+00:00", **simulator.account_settings(), **settings},
        hosts=dict.fromkeys(SERVICE.hosts, url),
        credentials=credentials,
        redirect_uri="https://hub.example/connect/callback/",
    )
    tokens, exchanges, paused = Tokens(credentials["access_token"]), list[Exchange](), list[tuple[str, datetime]]()
    around = Surroundings(
        tokens=tokens,
        record=exchanges.append,
        pause=lambda operation, until: paused.append((operation, until)),
        allow_private=True,
    )
    adapter = tokens.adapter = Amazon(account, Client(account, SERVICE, around))
    return Wire(simulator, adapter, tokens, account, exchanges, paused)


def sample(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text())
    return loaded


def now() -> datetime:
    return datetime.now(UTC)
