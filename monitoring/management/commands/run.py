import contextlib
import secrets
import signal
import socket
import threading
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from waitress.server import create_server

from connectors.models import Connection
from connectors.simulation import memory, world
from hub.models import Membership, Seller
from hub.wsgi import application
from monitoring.embedded import workers

# A shop that is pleasant to watch: a new order on each channel every few seconds.
SECONDS_BETWEEN_ORDERS = 8.0
FIRST_ORDERS = 12
BACK_OFFICE = {"invoice_after": 4.0, "dispatch_after": 10.0}


class Command(BaseCommand):
    help = "The whole hub in one process: pages, workers, clock and simulated marketplaces, on SQLite."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--no-simulators", action="store_true", help="only connections you make yourself")

    def handle(self, *args: Any, **options: Any) -> None:
        port = options["port"]
        _free_or_stop(port)
        call_command("migrate", verbosity=0)
        seller = Seller.objects.get_or_create(slug="loja-exemplo", defaults={"name": "Loja Exemplo"})[0]
        password = _first_login(seller)
        simulated = settings.SIMULATORS and not options["no_simulators"]
        with _simulators(seller, port) if simulated else contextlib.nullcontext(), workers():
            server = create_server(application, host="127.0.0.1", port=port, threads=6)
            self._welcome(port, password)
            _until_stopped(server)
        self.stdout.write("Stopped.")

    def _welcome(self, port: int, password: str) -> None:
        self.stdout.write(f"\nEntreposto  http://127.0.0.1:{port}/")
        if password:
            self.stdout.write(f"Login       admin  {password}   (made for you, shown only this once)")
        else:
            self.stdout.write("Login       admin, as before; a new password: python manage.py changepassword admin")
        self.stdout.write("Stop        Ctrl-C\n")
        self.stdout.flush()


def _free_or_stop(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CommandError(f"Port {port} is in use. Stop what uses it, or choose another: --port 8001") from error


def _first_login(seller: Seller) -> str:
    """The password of a login made just now; empty when there was one already."""
    if User.objects.exists():
        return ""
    password = secrets.token_urlsafe(12)
    user = User.objects.create_superuser("admin", password=password)
    Membership.objects.create(user=user, seller=seller, role=Membership.Role.OWNER)
    return password


@contextlib.contextmanager
def _simulators(seller: Seller, port: int) -> Iterator[None]:
    folder = Path(settings.HOME) / "simulators"
    simulated = world.start(options={world.ERP: BACK_OFFICE})
    known = [memory.load(server.simulator, folder / f"{kind}.state") for kind, server in simulated.servers.items()]
    here = f"http://127.0.0.1:{port}"
    if Connection.objects.filter(seller=seller).exists():
        world.reconnect(simulated, seller, pushes_to=here)
    else:
        world.connect(simulated, seller, pushes_to=here, poll_seconds=10, calls_per_second=0)
    stopped = threading.Event()
    shop = threading.Thread(target=_sell, args=(simulated, stopped, not any(known)), daemon=True)
    shop.start()
    try:
        yield
    finally:
        stopped.set()
        shop.join(timeout=5)
        for kind, server in simulated.servers.items():
            memory.save(server.simulator, folder / f"{kind}.state")
        simulated.stop()


def _sell(simulated: world.World, stopped: threading.Event, fresh: bool) -> None:
    for kind in world.CHANNELS if fresh else ():
        simulated.simulator(kind).place(FIRST_ORDERS)
    while not stopped.wait(SECONDS_BETWEEN_ORDERS):
        for kind in world.CHANNELS:
            simulated.simulator(kind).place(1)


def _until_stopped(server: Any) -> None:
    """Serves until Ctrl-C or SIGTERM; both end everything in order."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    serving = threading.Thread(target=server.run, name="pages", daemon=True)
    serving.start()
    while not stopped.wait(0.5):
        pass
    server.close()
