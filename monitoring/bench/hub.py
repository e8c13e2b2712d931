"""A whole hub on simulators: worker, clock and web as processes of their own, the simulators in this one."""

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectors.models import Connection, Job
from connectors.simulation import world
from connectors.simulation.server import Request, Response
from connectors.simulation.world import World
from hub.models import Seller
from monitoring.bench import servers
from monitoring.bench.measure import Report
from monitoring.bench.servers import HubProcess
from monitoring.management.commands.demo import outcomes

# Sales that the seller ships: the marketplaces invoice or hide the buyer of those they ship themselves.
PLACED = {"amazon": {"program": "DBA"}, "mercado_livre": {"logistic": "cross_docking"}}
# The back office of the simulated ERP works without delay.
BACK_OFFICE = {world.ERP: {"invoice_after": 0.0, "dispatch_after": 0.0}, "mercado_livre": {"carrier_after": 0.0}}


@dataclass(frozen=True)
class Call:
    """One HTTP call as a simulator got it."""

    kind: str
    at: float
    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    answer: bytes


@dataclass
class Hub:
    world: World
    connections: dict[str, Connection]
    folder: Path
    calls: list[Call] = field(default_factory=list)
    programs: list[HubProcess] = field(default_factory=list)

    def listen(self) -> None:
        """Keeps every call from now on in `calls`."""
        for kind, server in self.world.servers.items():
            _record(kind, server.simulator, self.calls)

    def place(self, orders: int) -> dict[str, list[str]]:
        """So many orders, shared by the channels: kind -> their ids."""
        share = orders // len(world.CHANNELS)
        return {kind: self.world.simulator(kind).place(share, **PLACED.get(kind, {})) for kind in world.CHANNELS}

    def wait_for(self, placed: Mapping[str, list[str]], seconds: float) -> None:
        """Until each of these orders is everywhere, exactly once. TimeoutError says what the ledger holds then."""
        try:
            servers.wait_until(
                lambda: all(one.whole for one in outcomes(self.world, dict(placed)).values()),
                seconds,
                "every order",
                0.5,
            )
        except TimeoutError as error:
            left = Job.objects.exclude(state=Job.State.DONE).values_list("operation", "state", "error")
            missing = [key for key, one in outcomes(self.world, dict(placed)).items() if not one.whole]
            said = [f"{times} × {job}" for job, times in Counter(left).most_common(8)]
            raise TimeoutError(f"{error}; missing {len(missing)}, first {missing[:3]}; jobs {said}") from error

    def pause(self) -> None:
        """From now on the hub calls nothing."""
        Connection.objects.filter(pk__in=[row.pk for row in self.connections.values()]).update(
            state=Connection.State.PAUSED
        )

    def memory(self, report: Report) -> None:
        for program in self.programs:
            for number, pid in enumerate(program.family()):
                report.saw(f"{program.name} {number}", pid)
        report.saw("bench with simulators")


def _record(kind: str, simulator: Any, calls: list[Call]) -> None:
    handle = simulator.handle

    def recorded(request: Request) -> Response:
        response: Response = handle(request)
        calls.append(
            Call(
                kind, time.monotonic(), request.method, request.path, request.query, request.headers, request.body,
                response.encoded(),
            )
        )  # fmt: skip
        return response

    simulator.handle = recorded


@contextmanager
def hub(
    *,
    concurrency: int = 2,
    pushes: bool = False,
    back_office: bool = True,
    kinds: tuple[str, ...] = (*world.CHANNELS, world.ERP),
    **settings: Any,
) -> Iterator[Hub]:
    """A seller of its own, connected and polling, with nothing to do yet. `back_office`: the ERP invoices and ships.
    `settings` are every connection's.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(servers.folder("bench"))
        simulated = world.start(kinds, options=BACK_OFFICE if back_office else {})
        stack.callback(simulated.stop)
        web = [stack.enter_context(servers.Web(os.environ, folder))] if pushes else []
        seller = Seller.objects.create(name="Bench", slug=f"bench-{Seller.objects.count()}")
        address = web[0].url if web else ""
        connections = world.connect(simulated, seller, pushes_to=address, **{"calls_per_second": 0, **settings})
        # The next hub on this database must not call simulators that are gone.
        started = Hub(simulated, connections, folder)
        stack.callback(started.pause)
        started.programs += [
            *web,
            stack.enter_context(servers.worker(os.environ, folder, concurrency=concurrency)),
            stack.enter_context(servers.beat(os.environ, folder)),
        ]
        unpolled = seller.connections.filter(last_poll_ok_at=None)
        servers.wait_until(lambda: not unpolled.exists(), 60, "each connection was polled")
        yield started
