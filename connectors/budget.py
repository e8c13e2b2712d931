"""Rate budgets that all workers of all machines share. An exhausted one answers with a time; nobody sleeps on it.

A budget is the generic cell rate algorithm on one row: the time up to which calls are handed out already. Calls are
reserved in small lots, so that a fast service does not cost a statement per call; what is left is given back.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db.models import F, Value
from django.db.models.functions import Greatest

from connectors.contract import Account, Rate, Service
from connectors.failures import Category, Failure
from connectors.models import Budget

# A lot never holds more than this much of the service's time: what dies with its worker is soon made good.
LOT_SECONDS = 0.25
# A job that has begun may wait this long for its next call: less than making its earlier calls again would cost.
LONGEST_PACE = 0.5


def rates_of(account: Account, service: Service) -> tuple[Rate, ...]:
    """The service's own limits, or the connection's setting `calls_per_second` in their place (0: no limit)."""
    if (chosen := account.settings.get("calls_per_second")) in (None, ""):
        return service.rates
    per_second = float(chosen)
    scope = service.rates[0].scope if service.rates else "account"
    return (Rate(per_second, max(1, round(per_second)), scope=scope),) if per_second > 0 else ()


@dataclass
class Purse:
    """The permits one worker holds for one connection, for as long as it works on it."""

    account: Account
    service: Service
    begun: bool = False
    _lots: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rates = [(self._key(rate), rate) for rate in rates_of(self.account, self.service)]

    def _key(self, rate: Rate) -> str:
        owner = f"{self.account.kind}:{self.account.id}"
        if rate.scope == "application":
            owner = f"{self.account.kind}:app:{self.account.credentials.get('client_id', '')}"
        return f"{owner}:{'+'.join(rate.operations)}"[:160]

    def _matching(self, operation: str) -> Iterable[tuple[str, Rate]]:
        return ((key, rate) for key, rate in self.rates if not rate.operations or operation in rate.operations)

    def admit(self, operation: str) -> None:
        """Takes a permit, or raises `Failure` (rate_limited) with the time when there will be one."""
        for key, rate in self._matching(operation):
            while not self._take(key, rate):
                ready = _ready_at(key, rate)
                if not self.begun or ready - time.time() > LONGEST_PACE:
                    raise _used_up(ready)
                time.sleep(max(ready - time.time(), 0.005))
        self.begun = True

    def _take(self, key: str, rate: Rate) -> bool:
        if self._lots.get(key, 0) > 0:
            self._lots[key] -= 1
            return True
        lot = max(1, min(rate.burst, int(rate.per_second * LOT_SECONDS)))
        for size in (lot, 1) if lot > 1 else (1,):
            if _reserve(key, rate, size):
                self._lots[key] = size - 1
                return True
        return False

    def pause(self, operation: str, until: datetime) -> None:
        """The service itself said: not before."""
        for key, _rate in self._matching(operation):
            _ensure(key)
            Budget.objects.filter(key=key, closed_until__lt=until.timestamp()).update(closed_until=until.timestamp())
            self._lots.pop(key, None)

    def close(self) -> None:
        """Gives back what was reserved and not used."""
        for key, rate in self.rates:
            if unused := self._lots.pop(key, 0):
                Budget.objects.filter(key=key).update(taken_until=F("taken_until") - unused / rate.per_second)


def _reserve(key: str, rate: Rate, calls: int) -> bool:
    now, interval = time.time(), 1 / rate.per_second
    start = Greatest(F("taken_until"), Value(now))
    changed = Budget.objects.filter(
        key=key, closed_until__lte=now, taken_until__lte=now + (rate.burst - calls) * interval + 1e-6
    ).update(taken_until=start + calls * interval)
    if not changed and _ensure(key):
        return _reserve(key, rate, calls)
    return bool(changed)


def _ensure(key: str) -> bool:
    """True if the budget's row had to be made."""
    return Budget.objects.get_or_create(key=key)[1]


def _ready_at(key: str, rate: Rate) -> float:
    row = Budget.objects.get(key=key)
    return max(row.closed_until, row.taken_until - (rate.burst - 1) / rate.per_second)


def _used_up(ready: float) -> Failure:
    at = datetime.fromtimestamp(ready, UTC)
    return Failure(
        Category.RATE_LIMITED,
        "This connection's budget of calls is used up for the moment.",
        code="budget",
        retry_at=at,
    )


@dataclass(frozen=True)
class Left:
    """What a budget still gives now: calls at once, of how many at most; `closed_until` where the service said so."""

    rate: Rate
    calls: int
    closed_until: datetime | None


def left(account: Account, service: Service) -> list[Left]:
    """Each of the connection's budgets as it stands. Reads one statement's worth; reserves nothing."""
    now = time.time()
    purse = Purse(account, service)
    rows = {row.key: row for row in Budget.objects.filter(key__in=[key for key, _rate in purse.rates])}
    return [_left(rate, rows.get(key), now) for key, rate in purse.rates]


def _left(rate: Rate, row: Budget | None, now: float) -> Left:
    if row is None:
        return Left(rate, rate.burst, None)
    if row.closed_until > now:
        return Left(rate, 0, datetime.fromtimestamp(row.closed_until, UTC))
    taken = max(0.0, row.taken_until - now) * rate.per_second
    return Left(rate, max(0, int(rate.burst - taken)), None)
