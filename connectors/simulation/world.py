"""A whole simulated world for one seller: two marketplaces, one ERP, the warehouse behind it; and the connections
to them. The demo, the embedded hub, the tests and the benchmarks all start from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors import actions, registry
from connectors.contract import Role, Service
from connectors.models import Connection
from connectors.simulation.server import Simulator, SimulatorServer
from hub.models import Seller

CHANNELS = ("mercado_livre", "amazon")
ERP = "bling"
# The parts of the world that the hub does not move: a carrier fetches what is packed.
CARRIERS = {"amazon": {"collect_after": 1.0}}


@dataclass
class World:
    servers: dict[str, SimulatorServer]

    def simulator(self, kind: str) -> Any:
        return self.servers[kind].simulator

    def stop(self) -> None:
        for server in self.servers.values():
            server.stop()


def start(kinds: tuple[str, ...] = (*CHANNELS, ERP), *, options: Mapping[str, Any] | None = None) -> World:
    """Starts the simulators of these services. `options[kind]` go to the simulator's constructor."""
    servers = {}
    for kind in kinds:
        simulator: Simulator = registry.load(registry.service(kind).simulator)(
            **{**CARRIERS.get(kind, {}), **(options or {}).get(kind, {})}
        )
        servers[kind] = SimulatorServer(simulator).start()
    return World(servers)


def connect(world: World, seller: Seller, *, pushes_to: str = "", **settings: Any) -> dict[str, Connection]:
    """One connection to each simulator. `pushes_to` is the hub's own address, for simulators that push.

    `settings` are added to every connection's (`poll_seconds`, `calls_per_second`, …).
    """
    connections = {}
    for kind, server in world.servers.items():
        service = registry.service(kind)
        simulator: Any = server.simulator
        chosen = {
            **simulator.account_settings(),
            **_at(server, service),
            **settings,
        }
        label = service.label if service.role is Role.ERP else f"{service.label} {seller.name}"
        connection = actions.connect(seller, kind, label, chosen, simulator.account_credentials())
        connections[kind] = connection
        _push(simulator, connection, pushes_to)
    return connections


def reconnect(world: World, seller: Seller, *, pushes_to: str = "") -> None:
    """The same simulated services at new addresses: what an earlier start connected finds them again."""
    for connection in Connection.objects.filter(seller=seller, kind__in=world.servers):
        server = world.servers[connection.kind]
        connection.settings |= _at(server, registry.service(connection.kind))
        connection.save(update_fields=["settings"])
        _push(server.simulator, connection, pushes_to)


def _at(server: SimulatorServer, service: Service) -> dict[str, Any]:
    """The settings that name the simulator's address."""
    path = getattr(server.simulator, "pictures", "")
    pictures = {"pictures": f"{server.url}{path}"} if path else {}
    return {"hosts": dict.fromkeys(service.hosts, server.url), **pictures}


def _push(simulator: Any, connection: Connection, pushes_to: str) -> None:
    if pushes_to and hasattr(simulator, "push_url"):
        simulator.push_url = f"{pushes_to}/push/{connection.kind}/{connection.push_key}/"
