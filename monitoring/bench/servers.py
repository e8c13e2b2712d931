"""Throw-away PostgreSQL and Redis for the benchmarks, and the hub's own processes as production starts them.

Nothing here imports Django. Every server listens on 127.0.0.1 alone; its data lives in a folder that goes with it.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import redis

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
START_SECONDS = 60.0
STOP_SECONDS = 30.0


class NotInstalled(RuntimeError):
    """A server program is not there; the message names it."""


def find_program(name: str) -> str:
    """On PATH, else where Debian keeps the programs of PostgreSQL (the newest version). Raises `NotInstalled`."""
    found = shutil.which(name)
    if found is None:
        versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]))
        found = str(versions[-1]) if versions else None
    if found is None:
        raise NotInstalled(f"{name} is not installed, and no address of such a server was given.")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Callable[[], object], seconds: float, what: str, every: float = 0.02) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(every)


@dataclass
class Program:
    """A running child with its log. `family` are its process ids, itself first."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    port: int = 0

    def family(self) -> list[int]:
        found = [self.process.pid]
        for pid in found:
            with suppress(OSError):
                found += [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return found

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT if self.name == "postgres" else signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(STOP_SECONDS)

    def says(self, words: str) -> bool:
        return words in self.log.read_text(errors="replace")


@contextmanager
def running(
    name: str, command: Sequence[str], folder: Path, ready: Callable[[Program], bool], port: int = 0, **options: Any
) -> Iterator[Program]:
    """The command as a child from when it is `ready` to the end of the block. RuntimeError with its log's end."""
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            **{"cwd": ROOT, **options},
        )  # fmt: skip
    program = Program(name, process, log, port)
    try:
        wait_until(lambda: process.poll() is not None or ready(program), START_SECONDS, f"{name} is ready")
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended at once:\n{log.read_text(errors='replace')[-2000:]}")
        yield program
    finally:
        program.stop()


# --- Servers


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A cluster of its own, as safe as production (fsync on); its URL."""
    identity: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root.
        identity = {"user": "postgres", "group": "postgres", "extra_groups": []}
        shutil.chown(folder, "postgres", "postgres")
    data, port = folder / "data", free_port()
    options = ["--no-locale", "--encoding=UTF8", "--auth=trust", "--username=postgres"]
    subprocess.run(  # noqa: S603 - the program found above
        [find_program("initdb"), "-D", str(data), *options], check=True, cwd=folder, capture_output=True, **identity
    )
    command = [
        find_program("postgres"), "-D", str(data), "-p", str(port),
        "-c", f"listen_addresses={HOST}", "-c", "unix_socket_directories=", "-c", "log_min_messages=fatal",
    ]  # fmt: skip
    url = f"postgres://postgres@{HOST}:{port}/postgres"
    with running("postgres", command, folder, lambda _program: _accepts_queries(url), port, cwd=folder, **identity):
        yield url


def _accepts_queries(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def database(server: str, name: str) -> Iterator[str]:
    """An empty database on the server, dropped at the end; its URL."""
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        admin.execute(f'CREATE DATABASE "{name}"')
    try:
        yield f"{server.rpartition('/')[0]}/{name}"
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    port = free_port()
    command = [find_program("redis-server"), "--bind", HOST, "--port", str(port), "--dir", str(folder), "--save", ""]
    with running("redis", command, folder, lambda program: program.says("Ready to accept"), port):
        yield f"redis://{HOST}:{port}/0"


@contextmanager
def empty_redis(given: str) -> Iterator[str]:
    """A logical database of the given server that holds nothing; emptied again at the end."""
    server = given.rsplit("/", 1)[0] if given.count("/") > 2 else given
    for number in range(15, -1, -1):
        with redis.Redis.from_url(f"{server}/{number}") as client:
            if client.dbsize():
                continue
            yield f"{server}/{number}"
            client.flushdb()
            return
    raise NotInstalled("No logical database of the given Redis is empty.")


# --- The hub's processes


@contextmanager
def worker(
    folder: Path, name: str = "worker", concurrency: int = 2, options: Sequence[str] = (), **environment: str
) -> Iterator[Program]:
    command = [
        sys.executable, "-m", "celery", "-A", "hub", "worker", "--loglevel", "INFO",
        "--concurrency", str(concurrency), "--hostname", f"{name}@%h", *options,
    ]  # fmt: skip
    with running(name, command, folder, lambda program: program.says(" ready."), env=_with(environment)) as program:
        yield program


@contextmanager
def beat(folder: Path) -> Iterator[Program]:
    command = [sys.executable, "-m", "celery", "-A", "hub", "beat", "--loglevel", "INFO", "--pidfile", ""]
    with running("beat", command, folder, lambda program: program.says("beat: Starting"), env=_with({})) as program:
        yield program


@contextmanager
def web(folder: Path, application: str = "hub.wsgi", workers: int = 1, threads: int = 4) -> Iterator[Program]:
    port = free_port()
    command = [
        sys.executable, "-m", "gunicorn", application, "--bind", f"{HOST}:{port}",
        "--workers", str(workers), "--threads", str(threads),
    ]  # fmt: skip
    with running("web", command, folder, lambda _program: _accepts(port), port, env=_with({})) as program:
        yield program


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def _with(environment: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1", **environment}


@contextmanager
def folder(name: str) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix=f"entreposto-{name}-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
