"""Decides, before Django reads its settings, which servers the tests use; refuses every other address.

`DATABASE_URL` and `REDIS_URL` are used where given. Otherwise throw-away servers are started and end with the run.
`TEST_DATABASE=sqlite` takes the embedded hub instead: no server at all.
"""

import ipaddress
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings as django_settings
from hypothesis import settings

from monitoring.bench.servers import NotInstalled, Postgres, Redis, hub_env

KEYS = ("SECRET_KEY", "CREDENTIAL_KEYS")
SERVER_URLS = ("DATABASE_URL", "REDIS_URL")

_resources = ExitStack()

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """pytest-django sets Django up in its own, later `pytest_configure`; the environment must be ready by then."""
    if _only_hands_out(config):
        return
    # A terminated run ends like an interrupted one, and so takes its servers with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    home = tempfile.mkdtemp(prefix="entreposto-tests-")
    _resources.callback(shutil.rmtree, home, ignore_errors=True)
    try:
        chosen = _embedded(home) if os.environ.get("TEST_DATABASE") == "sqlite" else _servers(home)
    except NotInstalled as missing:
        _resources.close()
        raise pytest.UsageError(f"{missing} `python -m tests.support.install` says how to get it.") from missing
    except BaseException:
        _resources.close()
        raise
    os.environ.update(chosen)
    os.environ["DJANGO_SETTINGS_MODULE"] = "hub.settings"
    # pytest-django takes over only where the settings have been read.
    assert django_settings.INSTALLED_APPS
    # How slowly a password is checked is Django's, and takes a third of a second each time.
    django_settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    _refuse_the_internet()


@pytest.fixture(scope="session", autouse=True)
def _quick_emptying() -> None:
    from tests.support import emptying

    emptying.install()


def _only_hands_out(config: pytest.Config) -> bool:
    """Whether other processes run the tests (`-n`): each of them starts servers of its own."""
    return bool(config.getoption("numprocesses", None)) and not hasattr(config, "workerinput")


def pytest_unconfigure() -> None:
    _resources.close()


def _embedded(home: str) -> dict[str, str]:
    for name in (*SERVER_URLS, *KEYS):
        os.environ.pop(name, None)
    return {"HUB_HOME": home, "SIMULATORS": "1"}


def _servers(home: str) -> dict[str, str]:
    database = os.environ.get("DATABASE_URL") or _resources.enter_context(Postgres()).url
    broker = os.environ.get("REDIS_URL") or _resources.enter_context(Redis()).url
    wanted = hub_env(database, broker, Path(home))
    return {name: wanted[name] for name in (*SERVER_URLS, *KEYS, "HUB_HOME", "SIMULATORS", "ALLOWED_HOSTS")}


def _refuse_the_internet() -> None:
    """Patches the two ways a socket connects. PostgreSQL's own client is C and does not pass here."""
    allowed = _addresses_of(os.environ.get("REDIS_URL", ""))

    def guarded(connect: Callable[..., Any]) -> Callable[..., Any]:
        def refuse_or_connect(self: socket.socket, address: Any) -> Any:
            if self.family != socket.AF_UNIX and address[0] not in allowed and not _loopback(address[0]):
                raise RuntimeError(f"a test tried to reach {address[0]}: only loopback is allowed")
            return connect(self, address)

        return refuse_or_connect

    patch = pytest.MonkeyPatch()
    for name in ("connect", "connect_ex"):
        patch.setattr(socket.socket, name, guarded(getattr(socket.socket, name)))
    _resources.callback(patch.undo)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def _addresses_of(url: str) -> set[str]:
    """The addresses of the server a person named with REDIS_URL; loopback or not, it was asked for."""
    host = urlsplit(url).hostname
    return {host, *(str(found[4][0]) for found in socket.getaddrinfo(host, None))} if host else set()
