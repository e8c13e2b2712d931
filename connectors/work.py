"""One worker's turn at one connection: opens the adapter, takes due jobs, runs them, writes down what came of it."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import urlsplit

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from connectors import health, hints, ledger, registry, tokens
from connectors.budget import Purse
from connectors.contract import Account, Role, Service
from connectors.failures import Category, Failure, LeaseLost, unexpected
from connectors.http import Client, Exchange, Surroundings
from connectors.models import Connection, Job
from connectors.models import Exchange as ExchangeRow
from hub.logs import about
from orders import bulk

log = logging.getLogger(__name__)

# After this long the worker looks to other connections: a big seller's backlog may not keep a small one waiting.
SLICE_SECONDS = 0.25
# Jobs claimed at once, when they are quick; of slow ones few, and those that the slice has no time for go back.
LARGEST_CLAIM = 16
SMALLEST_CLAIM = 4
# What the jobs of a claim are about is read for all of them at once, and again for one that comes later than this.
FRESH_SECONDS = 0.5
SECRET_KEYS = ("access_token", "refresh_token", "client_secret", "password", "api_key")


T = TypeVar("T")

# What a job of a connection took lately, in seconds: the first claim of a turn is of as many as fit in it.
_pace: dict[int, float] = {}


def _ignore(job: Job, failure: Failure) -> None:
    return None


@dataclass
class Desk:
    """Everything needed to work for one connection. Made for one turn, then closed."""

    connection: Connection
    on_refused: Callable[[Job, Failure], None] = _ignore
    service: Service = field(init=False)
    purse: Purse = field(init=False)
    lease: ledger.Lease | None = None
    job: Job | None = None
    exchanges: list[ExchangeRow] = field(default_factory=list)
    claimed: Sequence[Job] = ()
    finished: list[tuple[Job, datetime | None]] = field(default_factory=list)
    put_off: dict["Afterwards", list[tuple[Job, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.service = registry.service(self.connection.kind)
        self.secrets = tokens.held(self.connection)
        self.account = account_of(self.connection, self.service, self.secrets)
        self.purse = Purse(self.account, self.service)
        self.tokens = self._tokens()
        self._read: dict[Any, tuple[float, Mapping[int, Any]]] = {}
        self.adapter = self._adapter(self.account, self.tokens)

    def _tokens(self) -> tokens.ConnectionTokens:
        adapter_class = registry.load(self.service.adapter)
        refresh = self._refresh if hasattr(adapter_class, "refresh") else None
        return tokens.ConnectionTokens(self.connection, self.secrets, refresh)

    def _refresh(self, secrets: Mapping[str, Any]) -> dict[str, Any]:
        account = account_of(self.connection, self.service, secrets)
        adapter = self._adapter(account, None)
        renewed: dict[str, Any] = adapter.refresh()
        return renewed

    def _adapter(self, account: Account, held: tokens.ConnectionTokens | None) -> Any:
        around = Surroundings(
            tokens=held,
            record=self._record,
            secrets=tuple(str(account.credentials[key]) for key in SECRET_KEYS if account.credentials.get(key)),
            allow_private=settings.SIMULATORS or _in_the_house(account),
        )
        if held is not None:
            # Not for a token call: it is made inside a transaction, which would keep the budget's row from all others
            # and, ending badly, take a lease back that was counted on.
            around.admit, around.pause, around.alive = self.purse.admit, self.purse.pause, self._alive
        return registry.load(self.service.adapter)(account, Client(account, self.service, around))

    @cached_property
    def only_erp(self) -> bool:
        """Whether the seller's orders can have gone to no other ERP."""
        erps = Connection.objects.filter(seller_id=self.connection.seller_id, role=Role.ERP)
        return not erps.exclude(pk=self.connection.pk).exists()

    def _alive(self, seconds: float) -> None:
        if self.lease is not None:
            self.lease.alive(seconds)

    def _record(self, exchange: Exchange) -> None:
        order_id = self.job.order_id if self.job else None
        self.exchanges.append(
            ExchangeRow(connection=self.connection, job=self.job, order_id=order_id, **exchange.__dict__)
        )

    def save_exchanges(self) -> None:
        if self.exchanges:
            rows, self.exchanges = self.exchanges, []
            bulk.insert(ExchangeRow, rows)

    def together(self, read: Callable[["Desk", Sequence[Job]], Mapping[int, T]], job: Job) -> T | None:
        """What `read` finds for this job (by its key), read at once for all jobs of the claim that do the same."""
        key = read, job.operation
        until, found = self._read.get(key, (0.0, {}))
        if time.monotonic() > until:
            alike = [one for one in self.claimed if one.operation == job.operation and one.lease == job.lease]
            found = read(self, alike if job in alike else [job])
            self._read[key] = time.monotonic() + FRESH_SECONDS, found
        return found.get(job.pk)

    def begin(self, jobs: Sequence[Job]) -> None:
        self.lease = ledger.Lease(jobs[0].lease, timezone.now() + ledger.LEASE)
        self.claimed = jobs
        self._read.clear()

    def afterwards(self, task: "Afterwards", job: Job, value: Any) -> None:
        """The rest of this job is done at the end of the claim, for all its jobs at once."""
        self.put_off.setdefault(task, []).append((job, value))

    def finish(self, job: Job, again_at: datetime | None = None) -> None:
        """The job is done and its work is committed: written down with the others of its claim. If that is lost the
        job runs again, and finds that there is nothing left to do."""
        self.finished.append((job, again_at))

    def settle(self) -> None:
        """One commit for what the jobs of a claim left to write down: quick jobs spend their time on commits."""
        finished, self.finished = self.finished, []
        if not finished and not self.exchanges:
            return
        groups = defaultdict[datetime | None, list[Job]](list)
        for job, again_at in finished:
            groups[again_at].append(job)
        with transaction.atomic():
            self.save_exchanges()
            held = sum(ledger.finish_all(jobs, again_at=again_at) for again_at, jobs in groups.items())
        if held < len(finished):
            log.warning("lost the lease of finished jobs; another worker has them")

    def went_wrong(self, failure: Failure) -> None:
        """A refused sign-in that has been replaced meanwhile says nothing of the new one."""
        replaced = failure.category is Category.AUTH and tokens.secrets_of(self.connection) != self.tokens.secrets
        if not replaced:
            health.went_wrong(self.connection, failure)

    def close(self) -> None:
        self.settle()
        self.purse.close()


def account_of(connection: Connection, service: Service, secrets: Mapping[str, Any]) -> Account:
    chosen = {"start_at": connection.start_at.isoformat(), **connection.settings}
    return Account(
        id=connection.pk,
        kind=connection.kind,
        external_account=connection.external_account,
        settings=chosen,
        hosts={**service.hosts, **chosen.get("hosts", {})},
        credentials=dict(secrets),
        redirect_uri=f"{settings.PUBLIC_URL}/connect/callback/",
    )


def _in_the_house(account: Account) -> bool:
    """Whether every address of this connection is one that the operator of this hub has allowed."""
    names = {urlsplit(address).hostname for address in account.hosts.values() if address}
    return bool(names) and names <= set(settings.PRIVATE_HOSTS)


def open_adapter(connection: Connection) -> Any:
    """The adapter alone, for a page or a command that makes one call."""
    return Desk(connection).adapter


# --- Draining --------------------------------------------------------------------------------------------------

Afterwards = Callable[[Desk, Sequence[tuple[Job, Any]]], None]
"""Does the rest of several jobs, each with what it left for it. May be called again for some of them."""

Operation = Callable[[Desk, Job], None]
"""Does one job to its end: calls the outside, writes the outcome (`ledger.done` and its kin). Raises `Failure`."""


def drain(
    connection: Connection,
    operations: Mapping[str, Operation],
    on_refused: Callable[[Job, Failure], None],
    stopping: Callable[[], bool],
) -> bool:
    """Works off what is due, for one time slice. True: there may be more.

    `on_refused` hears of each job that has come to its end without success.
    """
    if connection.state != Connection.State.ACTIVE or health.resting(connection) or health.throttled(connection):
        return False
    # Opened for the first job: many hints find nothing left to do.
    desk: Desk | None = None
    parallel = registry.service(connection.kind).max_parallel
    ends, left = time.monotonic() + SLICE_SECONDS, SLICE_SECONDS
    try:
        while not stopping():
            # What failed is tried by one worker first; if the service is back, the others follow.
            probe = health.probing(connection)
            size = _claim_size(connection, left)
            jobs = ledger.claim(
                connection,
                1 if probe else size,
                parallel=1 if probe else parallel,
                operations=connection.paused_flows,
            )
            if not jobs:
                return False
            desk = desk or _opened(connection, on_refused, jobs)
            if desk is None:
                return False
            started = time.monotonic()
            begun = _run_all(desk, jobs, operations, lambda: stopping() or time.monotonic() > ends)
            if not begun:
                return False
            _pace[connection.pk] = max((time.monotonic() - started) / begun, 0.001)
            left = ends - time.monotonic()
            if left <= 0:
                return True
        return True
    finally:
        if desk is not None:
            desk.close()


def _opened(connection: Connection, on_refused: Callable[[Job, Failure], None], jobs: list[Job]) -> Desk | None:
    """None where the connection cannot be worked for at all: its service is gone, its secrets cannot be opened, its
    settings make no sense. It rests like one whose service is away, and says why."""
    try:
        return Desk(connection, on_refused)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        log.exception("connection %s cannot be opened", connection.pk)
        ledger.give_back(jobs[0].lease)
        health.went_wrong(connection, unexpected(error, Category.TRANSIENT))
        return None


def _run_all(desk: Desk, jobs: list[Job], operations: Mapping[str, Operation], over: Callable[[], bool]) -> int:
    """Runs jobs of one claim until the time is `over`, one at least; the rest is given back. How many; none when the
    connection should be left alone now."""
    desk.begin(jobs)
    begun, goes_on, lost = 0, True, False
    try:
        with hints.gathered(desk.connection.pk), _concluding(desk):
            while goes_on and begun < len(jobs) and not (begun and over()):
                begun += 1
                goes_on = _run(desk, jobs[begun - 1], operations)
    except LeaseLost:
        log.warning("lost a lease of connection %s; another worker has the job", desk.connection.pk)
        lost = True
    finally:
        desk.settle()
    if lost or begun < len(jobs):
        # Those that were not begun.
        ledger.give_back(jobs[0].lease)
    return begun if goes_on else 0


def _claim_size(connection: Connection, left: float) -> int:
    """As many jobs as fit into the seconds `left`. A new process begins with one: a job that kills its worker must not
    take its neighbours with it each time."""
    if (pace := _pace.get(connection.pk)) is None:
        return 1
    return max(SMALLEST_CLAIM, min(LARGEST_CLAIM, int(left / pace)))


@contextmanager
def _concluding(desk: Desk) -> Iterator[None]:
    """What was put off is done however the block ends: it has happened outside."""
    try:
        yield
    finally:
        put_off, desk.put_off = desk.put_off, {}
        for task, jobs in put_off.items():
            _conclude(desk, task, jobs)


def _conclude(desk: Desk, task: Afterwards, jobs: Sequence[tuple[Job, Any]]) -> None:
    """All at once; one by one where that goes wrong, so that one takes no other with it."""
    try:
        task(desk, jobs)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        if len(jobs) > 1:
            for one in jobs:
                _conclude(desk, task, [one])
            return
        log.exception("job %s failed", jobs[0][0].pk)
        _failed(desk, jobs[0][0], error if isinstance(error, Failure) else unexpected(error, uncertain=True))


def _run(desk: Desk, job: Job, operations: Mapping[str, Operation]) -> bool:
    """Runs one job. False when the whole connection has to wait."""
    desk.job, desk.purse.begun = job, False
    try:
        with about(connection=desk.connection.pk, job=job.pk, order=job.order_id):
            operations[job.operation](desk, job)
    except LeaseLost:
        raise
    except Failure as failure:
        return _failed(desk, job, failure)
    except (OperationalError, InterfaceError):
        # The database is away: the lease runs out by itself, and what was sent meanwhile is looked up.
        raise
    except Exception as error:  # noqa: BLE001 - whatever escapes is a bug of ours, and the job must say so
        log.exception("job %s failed", job.pk)
        return _failed(desk, job, unexpected(error, uncertain=True))
    else:
        # A search that found nothing proves no health: it speaks for the failure that it was made for.
        if job.state != Job.State.UNKNOWN:
            health.went_well(desk.connection)
        return True
    finally:
        desk.job = None


def _failed(desk: Desk, job: Job, failure: Failure) -> bool:
    # Only an operation that creates something is looked up; any other asks the service first when it runs again.
    failure.uncertain = failure.uncertain and job.operation in ledger.LOOKED_UP
    state = ledger.fail(job, failure, settle=desk.service.settle_seconds)
    if state == Job.State.REFUSED:
        desk.on_refused(job, failure)
    if failure.category is Category.RATE_LIMITED:
        health.throttle(desk.connection, failure)
        return False
    # The first uncertain end of a write proves nothing against the service: its look-up will say.
    if not failure.uncertain or job.attempts > 1 or health.probing(desk.connection):
        desk.went_wrong(failure)
    if failure.category is Category.AUTH:
        return False
    return desk.connection.state == Connection.State.ACTIVE and not health.resting(desk.connection)
