"""Throw-away PostgreSQL and Redis, and the hub's own processes as production starts them: for benchmarks and tests.

Nothing here imports Django, so that servers can be started before the settings are read. Every wait has a deadline;
every server listens on 127.0.0.1 alone, keeps its data in a folder that goes with it and leaves no process behind.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis
from cryptography.fernet import Fernet
from psycopg import sql

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
# Crash recovery of a small database takes well under a second; a loaded CI machine gets thirty.
START_SECONDS = 30.0
STOP_SECONDS = 20.0

# What docker-compose.yml starts too: tests/test_house.py holds the two together.
WEB = ("gunicorn", "hub.wsgi")
WORKER = ("celery", "-A", "hub", "worker")
BEAT = ("celery", "-A", "hub", "beat")


def wait_until(condition: Callable[[], object], seconds: float, what: str, every: float = 0.05) -> None:
    """Returns as soon as `condition()` is true; TimeoutError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(every)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def find_program(name: str) -> Path | None:
    """On PATH, else where Debian keeps the server programs of PostgreSQL (the newest version)."""
    found = shutil.which(name)
    if found:
        return Path(found)
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]))
    return versions[-1] if versions else None


class NotInstalled(RuntimeError):
    """A server program is not there; the message names it."""


def program(name: str) -> str:
    """Its path. Raises `NotInstalled`."""
    found = find_program(name)
    if found is None:
        raise NotInstalled(f"{name} is not installed.")
    return str(found)


def children(pid: int) -> list[int]:
    """The direct children of a process, from /proc; empty when it is gone."""
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def session(leader: int) -> Iterator[int]:
    """The living processes of a session, from /proc: also those whose parents are gone."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # After the name in brackets, which may hold anything: state, parent, group, session.
            state, _parent, _group, number = path.read_text().rpartition(")")[2].split()[:4]
            if int(number) == leader and state not in "ZX":
                yield int(path.parent.name)


def alive(pid: int) -> bool:
    """A zombie is not: it only waits for its parent to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def signal_each(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


class Server(ABC):
    """One child process with a log file. Subclasses say how to start it and when it is ready."""

    name = "server"
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path | None = None) -> None:
        self._owned = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix=f"entreposto-{self.name}-"))
        self.log = self.folder / f"{self.name}.log"
        # How much the log held at the last start: what an earlier run said must not count as this one's.
        self.log_start = 0
        self.process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """What to run."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether it answers."""

    def user(self) -> str | None:
        """The system user to run as; None: the one who runs the tests."""
        return None

    def environment(self) -> Mapping[str, str] | None:
        return None

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        if self.process is None:
            raise RuntimeError(f"{self.name} does not run")
        return self.process.pid

    def start(self, seconds: float = START_SECONDS) -> Self:
        self.launch()
        try:
            wait_until(self._ready_or_dead, seconds, f"{self.name} is ready")
        except TimeoutError as error:
            self.kill()
            raise TimeoutError(f"{error}\n{self.output()[-3000:]}") from None
        return self

    def launch(self) -> None:
        """Starts the process and does not wait for it."""
        self.log_start = len(self.output())
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own command
                self.command(),
                cwd=ROOT if self.user() is None else self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **_identity(self.user()),
            )

    def _ready_or_dead(self) -> bool:
        if not self.running:
            raise RuntimeError(f"{self.name} ended at once:\n{self.output()[-3000:]}")
        return self.ready()

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """The polite end; a process that ignores it is killed after `seconds` and that is an error. What the process
        leaves behind is killed too."""
        if self.process is None:
            return
        if self.running:
            self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.name} did not stop within {seconds:g} s") from None
        finally:
            self.kill()

    def kill(self) -> None:
        """kill -9 of the process and everything it started, however deep, orphans too; returns when all are gone."""
        if self.process is None:
            return
        family = self.family()
        if family:
            # The whole group at one moment, so that none of it starts another meanwhile.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        signal_each(family, signal.SIGKILL)
        self.process.wait(STOP_SECONDS)
        wait_until(lambda: not any(map(alive, family)), STOP_SECONDS, f"all of {self.name} is gone", every=0.01)
        # Its number may soon be another's.
        self.process = None

    def restart(self, seconds: float = START_SECONDS) -> None:
        self.stop()
        self.start(seconds)

    def family(self) -> list[int]:
        """The living: the process, its descendants, then orphans of its session. PostgreSQL's backends each lead a
        session of their own but stay children of the server."""
        found = [self.pid] if self.running else []
        for pid in found:
            found.extend(children(pid))
        return [*found, *(pid for pid in session(self.pid) if pid not in found)]

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Frozen inside the block: connections stay open and nothing answers."""
        frozen = self.family()
        signal_each(frozen, signal.SIGSTOP)
        try:
            yield
        finally:
            signal_each(frozen, signal.SIGCONT)

    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def close(self) -> None:
        """Ends it and removes the folder, if it made the folder itself."""
        self.kill()
        if self._owned:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Postgres(Server):
    """A cluster of its own, fsync on: what it committed survives `kill()`. Trusts everybody on loopback."""

    name = "postgres"
    # Fast shutdown: open connections are cut, as they would be by an operator's restart.
    stop_signal = signal.SIGINT

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__(folder)
        self.data = self.folder / "data"
        self.port = free_port()
        self.url = self.url_of("postgres")

    def url_of(self, database: str) -> str:
        return f"postgres://postgres@{HOST}:{self.port}/{database}"

    def user(self) -> str | None:
        # PostgreSQL refuses to run as root.
        return "postgres" if os.geteuid() == 0 else None

    def start(self, seconds: float = START_SECONDS) -> Self:
        if not self.data.exists():
            self._initialise()
        return super().start(seconds)

    def _initialise(self) -> None:
        identity = self.user()
        if identity:
            shutil.chown(self.folder, identity)
        options = ["--no-locale", "--encoding=UTF8", "--auth=trust", "--username=postgres", "--no-sync"]
        subprocess.run(  # noqa: S603 - the program found above
            [program("initdb"), "-D", str(self.data), *options],
            cwd=self.folder,
            check=True,
            stdout=subprocess.DEVNULL,
            **_identity(identity),
        )

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": HOST,
            "unix_socket_directories": "",
            "fsync": "on",
            "max_connections": "200",
            "log_min_messages": "warning",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [program("postgres"), "-D", str(self.data), "-p", str(self.port), *options]

    def ready(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def create_database(self, name: str) -> str:
        """A new empty database; answers its URL."""
        create_database(self.url, name)
        return self.url_of(name)

    def close(self) -> None:
        # Killed, it would leave its shared memory behind for as long as the machine runs.
        self.stop()
        super().close()


def create_database(server: str, name: str) -> None:
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


@contextmanager
def database(server: str, name: str) -> Iterator[str]:
    """An empty database on the server of this URL, dropped at the end; its URL."""
    create_database(server, name)
    try:
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


class Redis(Server):
    """As docker-compose.yml runs it: append-only file, no eviction."""

    name = "redis"

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.url = f"redis://{HOST}:{self.port}/0"

    def command(self) -> list[str]:
        options = {
            "--bind": HOST,
            "--port": str(self.port),
            "--dir": str(self.folder),
            "--appendonly": "yes",
            "--maxmemory-policy": "noeviction",
        }
        return [program("redis-server"), *(word for pair in options.items() for word in pair)]

    def ready(self) -> bool:
        # A just started server answers "loading" (a ConnectionError too) until it has read its file.
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, socket_timeout=5, socket_connect_timeout=2)

    def flush(self) -> None:
        """Everything the broker knew is gone."""
        with self.client() as client:
            client.flushall()


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


class HubProcess(Server):
    """One process of the hub, started as in production, its log in `folder`/`name`.log."""

    def __init__(
        self,
        name: str,
        arguments: list[str],
        env: Mapping[str, str],
        folder: Path,
        answers: Callable[["HubProcess"], bool],
    ) -> None:
        self.name = name
        self.arguments = arguments
        self.env = env
        self.answers = answers
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder)

    def command(self) -> list[str]:
        return [sys.executable, "-m", *self.arguments]

    def environment(self) -> Mapping[str, str]:
        return self.env

    def ready(self) -> bool:
        return self.answers(self)


class Web(HubProcess):
    """gunicorn, ready when the port accepts. `url` is its address without a slash at the end."""

    def __init__(
        self,
        env: Mapping[str, str],
        folder: Path,
        name: str = "web",
        workers: int = 1,
        threads: int = 4,
        command: Sequence[str] = WEB,
    ) -> None:
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        options = ["--bind", f"{HOST}:{self.port}", "--workers", str(workers), "--threads", str(threads)]
        super().__init__(name, [*command, *options], env, folder, lambda process: accepts(self.port))


def worker(
    env: Mapping[str, str], folder: Path, name: str = "worker", concurrency: int = 2, options: Sequence[str] = ()
) -> HubProcess:
    """A Celery worker with child processes, ready when its log says so."""
    usual = ["--loglevel", "INFO", "--concurrency", str(concurrency), "--hostname", f"{name}@%h"]
    return HubProcess(name, [*WORKER, *usual, *options], env, folder, says(" ready."))


def beat(env: Mapping[str, str], folder: Path, name: str = "beat") -> HubProcess:
    options = ["--loglevel", "INFO", "--pidfile", ""]
    return HubProcess(name, [*BEAT, *options], env, folder, says("beat: Starting"))


def says(words: str) -> Callable[[HubProcess], bool]:
    """True once the process has said `words` since its last start."""
    return lambda process: words in process.output()[process.log_start :]


def accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def hub_env(postgres_url: str, redis_url: str, home: Path) -> dict[str, str]:
    """The environment of a production hub on these servers, with new keys. Nothing of the caller's but its PATH."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return inherited | {
        "DATABASE_URL": postgres_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": Fernet.generate_key().decode(),
        "CREDENTIAL_KEYS": Fernet.generate_key().decode(),
        "HUB_HOME": str(home),
        "SIMULATORS": "1",
        "ALLOWED_HOSTS": f"{HOST},localhost",
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def folder(name: str) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix=f"entreposto-{name}-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def manage(env: Mapping[str, str], *arguments: str, seconds: float = 120) -> str:
    """Runs `manage.py …` to its end; answers what it printed, RuntimeError with all of it when it failed."""
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "manage.py", *arguments], cwd=ROOT, env=env, capture_output=True, text=True, timeout=seconds
    )
    if done.returncode:
        raise RuntimeError(f"manage.py {' '.join(arguments)} exited {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def _identity(user: str | None) -> dict[str, Any]:
    """Keyword arguments of Popen that make the child another user."""
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
