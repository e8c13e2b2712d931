"""A whole production hub on this machine: PostgreSQL, Redis, gunicorn, two workers and beat as processes of their own,
the simulated services in this one.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from connectors import registry
from connectors.simulation import world
from monitoring.bench.servers import Postgres, Redis, Web, beat, hub_env, manage, wait_until, worker

CONNECT = """
import json, sys
from connectors import actions, registry
from hub.models import Seller
seller = Seller.objects.create(name="Loja", slug="loja")
for kind, settings, credentials in json.loads({payload!r}):
    actions.connect(seller, kind, registry.service(kind).label, settings, credentials)
"""


class Hub:
    """`settings` are added to every connection's."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self.stack = ExitStack()
        self.postgres = self.stack.enter_context(Postgres())
        self.redis = self.stack.enter_context(Redis())
        self.env = hub_env(self.postgres.create_database("hub"), self.redis.url, folder)
        manage(self.env, "migrate", "--verbosity", "0")
        self.world = world.start()
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

    def back_office_works(self) -> None:
        """From now on the simulated ERP invoices and ships new orders by itself."""
        self.erp.invoice_after, self.erp.dispatch_after = 0.5, 1.0

    # What is true, by the services' own accounts and by the database.

    @property
    def erp(self) -> Any:
        return self.world.simulator(world.ERP)

    def erp_references(self) -> list[str]:
        return [row["reference"] for row in self.erp.snapshot().values() if not row["cancelled"]]

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.env["DATABASE_URL"], autocommit=True) as database:
            return database.execute(statement).fetchall()

    def set_in_database(self, settings: Mapping[str, str]) -> None:
        with psycopg.connect(self.env["DATABASE_URL"], autocommit=True) as database:
            for name, value in settings.items():
                new = value if value == "DEFAULT" else f"'{value}'"
                database.execute(f"ALTER SYSTEM SET {name} = {new}".encode())
            database.execute("SELECT pg_reload_conf()")

    def unfinished(self) -> list[tuple[Any, ...]]:
        """Jobs that still have something to do; reading again later is no such thing."""
        return self.query(
            "SELECT operation, key, state, attempts, error FROM connectors_job"
            " WHERE state <> 'done' AND (operation NOT IN ('fetch', 'read_erp') OR state IN ('refused', 'unknown')"
            " OR state = 'running' AND lease_until < now())"
        )

    def wait_for(self, placed: Collection[str], seconds: float) -> None:
        """Until each of these orders is in the ERP and no job is left over."""
        wanted = set(placed)
        wait_until(lambda: wanted <= set(self.erp_references()), seconds, f"{len(wanted)} orders in the ERP", every=0.3)
        wait_until(lambda: not self.unfinished(), seconds, "no unfinished job", every=0.5)


@contextmanager
def running(folder: Path, **settings: Any) -> Iterator[Hub]:
    hub = Hub(folder, settings)
    try:
        hub.start()
        yield hub
    finally:
        hub.close()
