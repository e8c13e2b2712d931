"""A whole production hub on this machine: PostgreSQL, Redis, gunicorn, two workers and beat as processes of their own,
the simulated services in this one.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from connectors import registry
from connectors.simulation import world
from tests.support.servers import Postgres, Redis, Web, beat, hub_env, manage, wait_until, worker

CONNECT = """
import json, sys
from connectors import actions, registry
from hub.models import Seller
seller = Seller.objects.create(name="Loja", slug="loja")
for kind, settings, credentials in json.loads({payload!r}):
    actions.connect(seller, kind, registry.service(kind).label, settings, credentials)
"""


class Hub:
    """`settings` are added to every connection's; `kinds` are the simulated services."""

    def __init__(self, folder: Path, kinds: tuple[str, ...], settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self.stack = ExitStack()
        self.postgres = self.stack.enter_context(Postgres())
        self.redis = self.stack.enter_context(Redis())
        self.env = hub_env(self.postgres.create_database("hub"), self.redis.url, folder)
        manage(self.env, "migrate", "--verbosity", "0")
        back_office = {"invoice_after": 0.5, "dispatch_after": 1.0}
        self.world = world.start(kinds, options={world.ERP: back_office})
        self.stack.callback(self.world.stop)
        self._connect({"poll_seconds": 1, "calls_per_second": 0, **settings})
        self.workers = [worker(self.env, folder, f"worker{number}") for number in (1, 2)]
        self.beat = beat(self.env, folder)
        self.web = Web(self.env, folder)

    def _connect(self, settings: Mapping[str, Any]) -> None:
        rows = []
        for kind, server in self.world.servers.items():
            simulator: Any = server.simulator
            hosts = dict.fromkeys(registry.service(kind).hosts, server.url)
            chosen = {**simulator.account_settings(), "hosts": hosts, **settings}
            rows.append([kind, chosen, simulator.account_credentials()])
        manage(self.env, "shell", "--verbosity", "0", "-c", CONNECT.format(payload=json.dumps(rows)))

    def start(self) -> None:
        for process in (self.web, *self.workers, self.beat):
            self.stack.enter_context(process)

    def close(self) -> None:
        self.stack.close()

    # What is true, by the services' own accounts and by the database.

    @property
    def erp(self) -> Any:
        return self.world.simulator(world.ERP)

    def erp_references(self) -> list[str]:
        return [row["reference"] for row in self.erp.snapshot().values() if not row["cancelled"]]

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.env["DATABASE_URL"], autocommit=True) as database:
            return database.execute(statement).fetchall()

    def unfinished(self) -> list[tuple[Any, ...]]:
        return self.query(
            "SELECT operation, state, attempts, error FROM connectors_job"
            " WHERE state <> 'done' AND NOT (operation = 'read_erp' AND state = 'ready' AND attempts = 0)"
        )

    def wait_for(self, orders: int, seconds: float) -> None:
        """Until every order is in the ERP and no job is left over."""
        wait_until(lambda: len(self.erp_references()) >= orders, seconds, f"{orders} orders in the ERP", every=0.3)
        wait_until(lambda: not self.unfinished(), seconds, "no unfinished job", every=0.5)


@contextmanager
def running(folder: Path, kinds: tuple[str, ...] = (*world.CHANNELS, world.ERP), **settings: Any) -> Iterator[Hub]:
    hub = Hub(folder, kinds, settings)
    try:
        hub.start()
        yield hub
    finally:
        hub.close()
