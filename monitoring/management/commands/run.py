import contextlib
import secrets
import signal
import socket
import threading
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from waitress.server import create_server

from connectors.models import Connection
from hub.models import Membership, Seller
from hub.wsgi import application
from monitoring import demonstration
from monitoring.embedded import workers


class Command(BaseCommand):
    help = "The whole hub in one process: pages, workers, clock and simulated marketplaces, on SQLite."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--no-simulators", action="store_true", help="only connections you make yourself")

    def handle(self, *args: Any, **options: Any) -> None:
        port = options["port"]
        _free_or_stop(port)
        call_command("migrate", verbosity=0)
        password = _first_login()
        simulated = settings.SIMULATORS and not options["no_simulators"]
        shop = _demonstration(port, first=bool(password)) if simulated else contextlib.nullcontext()
        with shop, workers():
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


def _first_login() -> str:
    """The password of a login made just now, with a seller; empty when there was one already."""
    if User.objects.exists():
        return ""
    password = secrets.token_urlsafe(12)
    user = User.objects.create_superuser("admin", password=password)
    seller = Seller.objects.get_or_create(slug=demonstration.SLUG, defaults={"name": "Loja Exemplo"})[0]
    Membership.objects.create(user=user, seller=seller, role=Membership.Role.OWNER)
    return password


@contextlib.contextmanager
def _demonstration(port: int, *, first: bool) -> Iterator[None]:
    """It runs from the first start on, until a person removes it."""
    here = demonstration.here = demonstration.Demonstration(f"http://127.0.0.1:{port}")
    if first or Connection.objects.filter(seller__slug=demonstration.SLUG).exists():
        here.start()
    try:
        yield
    finally:
        here.stop()
        demonstration.here = None


def _until_stopped(server: Any) -> None:
    """Serves until Ctrl-C or SIGTERM; both end everything in order."""
    # No `Event`: a handler that sets it in the middle of its own thread's wait never comes back.
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _frame: stopped.append(number))
    serving = threading.Thread(target=server.run, name="pages", daemon=True)
    serving.start()
    while not stopped:
        time.sleep(0.2)
    server.close()
