"""The servers that other tests rely on, and the refusal of every address beyond loopback."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import redis
import requests

from monitoring.bench.servers import (
    HubProcess,
    Postgres,
    Redis,
    Server,
    Web,
    alive,
    beat,
    hub_env,
    manage,
    wait_until,
    worker,
)
from tests.support import chromium


def test_addresses_beyond_loopback_are_refused():
    # 192.0.2.0/24 is set aside for documents: nothing is there even if the refusal failed.
    with socket.socket() as one, pytest.raises(RuntimeError, match="only loopback"):
        one.connect(("192.0.2.1", 80))
    with socket.socket() as one, pytest.raises(RuntimeError, match="only loopback"):
        one.connect_ex(("192.0.2.1", 80))


def test_the_database_is_the_one_that_was_asked_for(settings):
    kind = "sqlite3" if os.environ.get("TEST_DATABASE") == "sqlite" else "postgresql"
    assert settings.DATABASES["default"]["ENGINE"] == f"django.db.backends.{kind}"
    assert str(settings.HOME).startswith(os.environ["HUB_HOME"])


def test_a_wait_that_fails_names_what_it_waited_for():
    with pytest.raises(TimeoutError, match="the moon"):
        wait_until(lambda: False, 0.01, "the moon")


@pytest.mark.real
def test_postgres_keeps_what_it_committed_through_a_kill():
    with Postgres() as server:
        url = server.create_database("hub")
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        open_connection = psycopg.connect(url)
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            open_connection.execute("SELECT 1")
        server.start()
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT number FROM kept").fetchone() == (7,)
            assert connection.execute("SHOW fsync").fetchone() == ("on",)
        server.restart()
        folder = server.folder
    assert not server.running
    assert not folder.exists()


@pytest.mark.real
def test_redis_keeps_its_hints_until_it_is_flushed_and_answers_nothing_while_paused():
    with Redis() as server, server.client() as client:
        client.set("hint", "1")
        server.restart()
        assert client.get("hint") == b"1"
        server.flush()
        assert client.get("hint") is None
        impatient = redis.Redis.from_url(server.url, socket_timeout=0.1, retry=None)
        with server.pause(), pytest.raises(redis.RedisError):
            impatient.ping()
        impatient.close()
        assert client.ping()


@pytest.mark.real
def test_a_server_that_cannot_start_says_why(tmp_path: Path):
    broken = HubProcess("broken", ["no_such_module_anywhere"], {}, tmp_path, lambda process: False)
    with pytest.raises(RuntimeError, match="no_such_module_anywhere"):
        broken.start()


class Parent(Server):
    """A child and, below it, a grandchild that ignores the polite signal."""

    name = "parent"
    GRANDCHILD = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); "
    CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"

    def command(self) -> list[str]:
        return [sys.executable, "-c", self.CHILD, self.GRANDCHILD + "time.sleep(300)"]

    def ready(self) -> bool:
        return "ready" in self.output()


@pytest.mark.parametrize("killed", [False, True], ids=["running", "killed before"])
@pytest.mark.parametrize("end", [Server.stop, Server.kill, Server.close])
def test_nothing_that_a_program_started_outlives_it(end: Callable[[Server], None], killed: bool):
    with Parent() as parent:
        _parent, grandchild = family = parent.family()
        if killed:
            os.kill(parent.pid, signal.SIGKILL)
            wait_until(lambda: not parent.running, 5, "the parent is dead")
            assert parent.family() == [grandchild]
        end(parent)
        assert [pid for pid in family if alive(pid)] == []
        assert not parent.running


@pytest.mark.real
def test_the_processes_of_production_start_and_stop_and_die_with_their_children(tmp_path: Path):
    with Postgres() as database, Redis() as broker:
        env = hub_env(database.create_database("hub"), broker.url, tmp_path / "home")
        manage(env, "migrate", "--no-input")
        with Web(env, tmp_path) as web, worker(env, tmp_path) as labourer, beat(env, tmp_path) as clock:
            assert requests.get(f"{web.url}/health/live", timeout=10).status_code == 200
            family = labourer.family()
            assert len(family) > 2
            labourer.kill()
            wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family), 10, "the family is gone")
            clock.restart()
            clock.stop()
            labourer.start()
            # Celery may hang where it is stopped in the moment in which a task arrives: a supervisor kills it then.
            wait_until(lambda: quiet(labourer), 15, "the worker has nothing to do")
            labourer.stop()
            web.stop()


def quiet(labourer: HubProcess) -> bool:
    """Nothing said for a second."""
    said = labourer.output()
    time.sleep(1)
    return labourer.output() == said


@pytest.mark.real
def test_the_browser_shows_a_page_and_reaches_nothing_beyond_loopback():
    with chromium.browser() as browser:
        page = browser.new_page()
        page.set_content("<h1>Entreposto</h1>")
        assert page.inner_text("h1") == "Entreposto"
        with pytest.raises(Exception, match="ERR_NAME_NOT_RESOLVED"):
            page.goto("http://example.com/")
