"""One worker's turn at one connection: opens the adapter, takes due jobs, runs them, writes down what came of it."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any
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

log = logging.getLogger(__name__)

# After this long the worker looks to other connections: a big seller's backlog may not keep a small one waiting.
SLICE_SECONDS = 0.1
# Jobs claimed at once, when they are quick; slow ones are claimed one by one.
LARGEST_CLAIM = 16
SECRET_KEYS = ("access_token", "refresh_token", "client_secret", "password", "api_key")


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
    finished: list[Job] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.service = registry.service(self.connection.kind)
        self.secrets = tokens.secrets_of(self.connection)
        self.account = account_of(self.connection, self.service, self.secrets)
        self.purse = Purse(self.account, self.service)
        self.tokens = self._tokens()
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
            ExchangeRow.objects.bulk_create(rows)

    def finish(self, job: Job) -> None:
        """The job is done and its work is committed: written down with the others of its claim. If that is lost the
        job runs again, so this is not for one that would do harm then."""
        self.finished.append(job)

    def settle(self) -> None:
        """One commit for what the jobs of a claim left to write down: quick jobs spend their time on commits."""
        jobs, self.finished = self.finished, []
        if not jobs and not self.exchanges:
            return
        with transaction.atomic():
            self.save_exchanges()
            if ledger.finish_all(jobs) < len(jobs):
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
    if connection.state != Connection.State.ACTIVE or health.resting(connection):
        return False
    # Opened for the first job: many hints find nothing left to do.
    desk: Desk | None = None
    parallel = registry.service(connection.kind).max_parallel
    ends, size = time.monotonic() + SLICE_SECONDS, 1
    try:
        while not stopping():
            # What failed is tried by one worker first; if the service is back, the others follow.
            probe = health.probing(connection)
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
            if not _run_all(desk, jobs, operations, stopping):
                return False
            each = (time.monotonic() - started) / len(jobs)
            left = ends - time.monotonic()
            if left <= 0:
                return True
            size = max(1, min(LARGEST_CLAIM, int(left / max(each, 0.001))))
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


def _run_all(desk: Desk, jobs: list[Job], operations: Mapping[str, Operation], stopping: Callable[[], bool]) -> bool:
    """Runs the jobs of one claim. False when the connection should be left alone now; the rest is given back."""
    desk.lease = ledger.Lease(jobs[0].lease, timezone.now() + ledger.LEASE)
    lost = False
    try:
        with hints.gathered(desk.connection.pk):
            goes_on = all(not stopping() and _run(desk, job, operations) for job in jobs)
    except LeaseLost:
        log.warning("lost a lease of connection %s; another worker has the job", desk.connection.pk)
        goes_on = lost = True
    finally:
        desk.settle()
    if lost or not goes_on:
        # Those that were not begun.
        ledger.give_back(jobs[0].lease)
    return goes_on


def _run(desk: Desk, job: Job, operations: Mapping[str, Operation]) -> bool:
    """Runs one job. False when the whole connection has to wait."""
    desk.job, desk.purse.begun = job, False
    try:
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
    desk.went_wrong(failure)
    if failure.category is Category.AUTH:
        return False
    if failure.category is Category.RATE_LIMITED and failure.retry_at:
        Job.objects.filter(
            connection=desk.connection, state__in=ledger.OPEN, due_at__lt=min(failure.retry_at, _soon())
        ).update(due_at=min(failure.retry_at, _soon()))
        return False
    return desk.connection.state == Connection.State.ACTIVE and not health.resting(desk.connection)


def _soon() -> Any:
    # A budget of one operation may be closed for hours while others are open: do not push everything that far.
    return timezone.now() + timedelta(seconds=5)
