"""A Bling connection to a simulator, without the hub around it, and orders to send."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

from connectors.contract import Account, Credentials, Reference
from connectors.erps.bling import SERVICE, adapter
from connectors.erps.bling.adapter import Bling
from connectors.erps.bling.simulator import BlingSimulator
from connectors.http import Client, Exchange, Surroundings
from connectors.reading import parse_json
from connectors.simulation.server import Fault, SimulatorServer
from orders.documents import Address, Buyer, Item, OrderDocument
from tests.connectors.erps import orders

SAMPLES = Path(adapter.__file__).parent / "samples"
PLACED = datetime(2026, 11, 20, 1, 30, tzinfo=UTC)  # still the 19th in Brasília
CPF = "39053344705"
BUYER = Buyer(name="Fulana de Exemplo", document=CPF, email="fulana@exemplo.test", phone="11988887777")
HOME = Address(
    recipient="Beltrana",
    street="Rua das Flores",
    number="123",
    complement="apto 4",
    district="Centro",
    city="São Paulo",
    state="SP",
    postal_code="01310100",
)
_accounts = count(1)


def sample(name: str) -> Any:
    return parse_json((SAMPLES / f"{name}.json").read_bytes())


@dataclass
class Tokens:
    """`http.Tokens` that renews through the adapter and keeps what it got."""

    secrets: Credentials
    adapter: Bling | None = None
    renewed: int = 0

    def current(self) -> str:
        return str(self.secrets["access_token"])

    def renew(self, stale: str) -> str:
        assert self.adapter and stale == self.current()
        self.renewed += 1
        self.secrets = self.adapter.refresh()
        return self.current()


@dataclass
class Desk:
    bling: Bling
    tokens: Tokens
    exchanges: list[Exchange] = field(default_factory=list)
    paused: list[tuple[str, datetime]] = field(default_factory=list)
    sim: Any = None

    @property
    def operations(self) -> list[str]:
        return [exchange.operation for exchange in self.exchanges]

    def fault(self, kind: str, match: str = "", times: int | None = 1) -> None:
        self.sim.faults.append(Fault(kind, match, times=times))


def desk(url: str, credentials: Credentials, client: type[Client] = Client, **settings: Any) -> Desk:
    account = Account(
        id=next(_accounts),
        kind="bling",
        external_account="",
        settings=settings,
        hosts=dict.fromkeys(SERVICE.hosts, url),
        credentials=credentials,
    )
    tokens = Tokens(dict(credentials))
    exchanges: list[Exchange] = []
    paused: list[tuple[str, datetime]] = []

    def pause(operation: str, until: datetime) -> None:
        paused.append((operation, until))

    around = Surroundings(tokens=tokens, record=exchanges.append, pause=pause, allow_private=True)
    tokens.adapter = Bling(account, client(account, SERVICE, around))
    return Desk(tokens.adapter, tokens, exchanges, paused)


@contextmanager
def simulated(sim: BlingSimulator | None = None, **settings: Any) -> Iterator[Desk]:
    sim = sim or BlingSimulator()
    with SimulatorServer(sim) as server:
        made = desk(server.url, sim.account_credentials(), **settings)
        made.sim = sim
        yield made


def line(place: int = 1, sku: str = "CAN-325-AZUL", price: str = "39.90", quantity: str = "2") -> Item:
    return Item(
        external_id=str(place), sku=sku, title=f"Artigo {sku}", quantity=Decimal(quantity), unit_price=Decimal(price)
    )


def order(*items: Item, number: str = "2000", **values: Any) -> OrderDocument:
    """Two mugs and a bottle with discount, freight and interest: 79.80 + 89.90 - 10.00 + 18.50 + 1.30 = 179.50."""
    chosen = items or (line(), line(2, "GAR-1L-PRETA", "89.90", "1"))
    fixed: dict[str, Any] = {
        "external_id": number, "updated_at": PLACED, "placed_at": PLACED, "buyer": BUYER, "ship_to": HOME,
        "discount": "10.00", "freight": "18.50", "interest": "1.30",
    }  # fmt: skip
    return orders.order(*chosen, **fixed | values)


def reference(number: str = "2000", channel: int = 4) -> Reference:
    return orders.reference(number, channel)
