"""The one way out: every call of every service goes through `Client`.

It keeps a total deadline, reuses connections, asks the rate budget first, renews a token once, repeats at most
twice what may be repeated, classifies what went wrong, caps the answer's size, follows no redirect, and records
the redacted exchange. It knows nothing of the database: what the hub puts around a call comes in as `Surroundings`.
"""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import SplitResult, parse_qsl, urlsplit, urlunsplit

import requests

from connectors import deadline, redaction
from connectors.contract import Account, Service
from connectors.failures import Category, Failure, FailureTable, Fault, Refusal, Verdict
from connectors.reading import Reader, parse_json

# One call, from the first byte sent to the last byte read. Below the ledger's lease, so that no lease ends in a call.
TOTAL_SECONDS = 10.0
CONNECT_SECONDS = 3.0
# An order page of any service is far smaller; more is a mistake or an attack.
LARGEST_ANSWER = 10 * 1024 * 1024
# The short horizon: for a hiccup. Everything longer is a due time in the ledger.
QUICK_TRIES = 3
QUICK_WAIT_SECONDS = 0.2
# A service that says nothing about when to come back.
DEFAULT_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(hours=26)
# What is as long in the query of an address that a service hands out is a signature, or may be.
SHORTEST_KEY = 16
# A refusal there says nothing of the connection's sign-in.
_NO_LONGER = Verdict(Category.TRANSIENT, "The address that the service handed out is no longer good.", certain=True)
_HANDED_OUT = FailureTable(by_status=dict.fromkeys((400, 401, 403, 404, 410), _NO_LONGER))


class Tokens(Protocol):
    def current(self) -> str: ...

    def renew(self, stale: str) -> str:
        """Called after a 401 with the token that was refused; returns a newer one or raises `Failure` (auth)."""


@dataclass
class Exchange:
    """One recorded call, already redacted."""

    operation: str
    method: str
    url: str
    started_at: datetime
    status: int | None = None
    duration_ms: int = 0
    request_body: str = ""
    response_body: str = ""
    category: str = ""
    error: str = ""


def _nothing(*args: Any) -> None:
    return None


@dataclass
class Surroundings:
    """What the hub puts around a call; the defaults do nothing, for use without a database.

    `admit(operation)` raises `Failure` (rate_limited) when the budget is used up. `pause(operation, until)` tells the
    budget what the service said. `alive(seconds)` raises `LeaseLost` unless the job's lease holds that long.
    """

    tokens: Tokens | None = None
    admit: Callable[[str], None] = _nothing
    pause: Callable[[str, datetime], None] = _nothing
    alive: Callable[[float], None] = _nothing
    record: Callable[[Exchange], None] = _nothing
    secrets: tuple[str, ...] = ()
    allow_private: bool = False


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes
    effect: bool = False
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def json(self) -> Any:
        """The body; something that is no JSON is a transient failure (maintenance pages say 200)."""
        try:
            return parse_json(self.content, what="answer")
        except Failure as refusal:
            raise Failure(
                Category.TRANSIENT,
                f"The service answered {self.status} with something that is not JSON: {self.excerpt!r}",
                code="not_json",
                status=self.status,
                uncertain=self.effect,
            ) from refusal

    def reader(self) -> Reader:
        """The body as a JSON object."""
        value = self.json()
        if not isinstance(value, dict):
            raise Failure(
                Category.TRANSIENT,
                f"The service answered {self.status} with JSON that is no object: {self.excerpt!r}",
                code="not_json",
                status=self.status,
                uncertain=self.effect,
            )
        return Reader(value)

    @property
    def excerpt(self) -> str:
        return redaction.body(self.content[:4000], self.secrets)[:120]


def explain(body: Any) -> tuple[str, str]:
    """(code, message) of an error body in the shapes that most services use; a service may bring its own."""
    if not isinstance(body, dict):
        return "", ""
    errors = body.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        body = errors[0]
    error = body.get("error")
    if isinstance(error, dict):
        body, error = error, error.get("type")
    code = next((str(value) for value in (error, body.get("error_code"), body.get("code")) if value), "")
    message = body.get("message") or body.get("error_description") or body.get("description") or ""
    return code[:80], str(message)[:500]


@dataclass
class Client:
    """Calls of one connection. `auth` turns a token into headers; without it calls go out unsigned."""

    account: Account
    service: Service
    around: Surroundings = field(default_factory=Surroundings)
    auth: Callable[[str], Mapping[str, str]] | None = None
    explain: Callable[[Any], tuple[str, str]] = explain

    def get(self, path: str, *, operation: str, **options: Any) -> Answer:
        return self.request("GET", path, operation=operation, **options)

    def post(self, path: str, *, operation: str, **options: Any) -> Answer:
        """`effect=False` says that repeating it does no harm (a search, a token)."""
        return self.request("POST", path, operation=operation, **{"effect": True, **options})

    def put(self, path: str, *, operation: str, **options: Any) -> Answer:
        return self.request("PUT", path, operation=operation, **options)

    def patch(self, path: str, *, operation: str, **options: Any) -> Answer:
        return self.request("PATCH", path, operation=operation, **options)

    def request(
        self,
        method: str,
        path: str,
        *,
        operation: str,
        host: str = "api",
        params: Mapping[str, Any] | list[tuple[str, Any]] | None = None,
        json: Any = None,
        data: Any = None,
        files: Any = None,
        headers: Mapping[str, str] | None = None,
        effect: bool = False,
        signed: bool = True,
        token: str = "",
        accept: tuple[int, ...] = (),
        seconds: float | None = None,
        unrecorded: bool = False,
        largest: int = LARGEST_ANSWER,
    ) -> Answer:
        """One call, repeated where that is safe. Returns a 2xx answer, or one whose status is in `accept`.

        `host` names one of the account's hosts. `seconds` is the whole time the call may take; by default the
        connection's setting `call_seconds`, at most `TOTAL_SECONDS`. `effect`: the call changes something and
        is not repeatable.
        `token`: in place of the connection's, for this call alone.
        `largest`: bytes of the answer that are read before it is given up.
        `unrecorded`: the answer holds a secret under no name that redaction could know, so none of it is kept.
        Raises `Failure`; after an `effect` call it may be `uncertain`. Raises `LeaseLost`.
        """
        call = _Call(
            method, self._address(host, path), operation, effect, seconds or self._usual_seconds(), accept,
            {"params": params, "json": json, "data": data, "files": files}, dict(headers or {}), unrecorded,
            largest,
        )  # fmt: skip
        return self._tried(call, signed=signed, token=token)

    def handed_out(
        self,
        method: str,
        address: str,
        *,
        operation: str,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        unrecorded: bool = False,
        largest: int = LARGEST_ANSWER,
    ) -> Answer:
        """A call to an address that the service itself named a moment ago, on whatever host: a file to take or leave.

        The address is the key to the file: nothing of its query is recorded, and the connection's token stays here.
        https on its usual port alone, unless private addresses are allowed (simulators, own shops). Repeating it must
        do no harm. Raises `Failure`: transient where the address is not good any more, so ask for a new one.
        """
        parts = self._followed(address)
        # A host that refuses may repeat the signature in its answer.
        keys = (value for _name, value in parse_qsl(parts.query) if len(value) >= SHORTEST_KEY)
        self.around.secrets = tuple(dict.fromkeys((*self.around.secrets, *keys)))
        call = _Call(
            method, address, operation, False, self._usual_seconds(), (), {"data": data},
            {"Accept": "*/*", **(headers or {})}, unrecorded, largest, _HANDED_OUT,
            urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")),
        )  # fmt: skip
        return self._tried(call, signed=False)

    def _followed(self, address: str) -> SplitResult:
        """The address in its parts; raises `Refusal` for one that may not be followed. Where its name really leads is
        judged at the socket, as ever."""
        try:
            parts = urlsplit(address)
            usual = parts.scheme == "https" and parts.port in (None, 443)
        except ValueError:
            parts, usual = SplitResult("", "", "", "", ""), False
        inside = self.around.allow_private and parts.scheme in ("http", "https")
        if not (usual or inside) or not parts.hostname or "@" in parts.netloc:
            raise Refusal("The service handed out an address that is not followed.", code="handed_out")
        return parts

    def _tried(self, call: "_Call", *, signed: bool, token: str = "") -> Answer:
        for attempt in range(1, QUICK_TRIES + 1):
            try:
                if token and self.auth:
                    return self._once(call, self._signed(self.auth, token))
                return self._authorised(call) if signed and self.auth else self._once(call)
            except _Again as again:
                if attempt == QUICK_TRIES or (again.sent and call.effect):
                    raise again.failure from again.__cause__
                time.sleep(random.uniform(0, QUICK_WAIT_SECONDS * 2**attempt))
        raise AssertionError("unreachable")

    def _usual_seconds(self) -> float:
        return min(float(self.account.settings.get("call_seconds") or TOTAL_SECONDS), TOTAL_SECONDS)

    def _address(self, host: str, path: str) -> str:
        if path.startswith(("https://", "http://")):
            return path
        try:
            return self.account.hosts[host].rstrip("/") + path
        except KeyError:
            raise Failure(Category.BUG, f"{self.service.kind} names no host {host!r}.") from None

    def _authorised(self, call: "_Call") -> Answer:
        tokens, auth = self.around.tokens, self.auth
        if tokens is None or auth is None:
            raise Failure(Category.AUTH, "This connection has not been signed in yet.")
        token = tokens.current()
        try:
            return self._once(call, self._signed(auth, token))
        except Failure as failure:
            # A 401 is not an outcome but a request for a newer token: once.
            if failure.status != 401:
                raise
        return self._once(call, self._signed(auth, tokens.renew(token)))

    def _signed(self, auth: Callable[[str], Mapping[str, str]], token: str) -> Mapping[str, str]:
        """The token's headers; one that was renewed meanwhile is as secret as the one this client began with."""
        if token not in self.around.secrets:
            self.around.secrets = (*self.around.secrets, token)
        return auth(token)

    def _once(self, call: "_Call", extra: Mapping[str, str] | None = None) -> Answer:
        # The lease last: waiting for a permit takes time, too.
        self.around.admit(call.operation)
        self.around.alive(call.seconds)
        shown = redaction.url(call.shown or call.address, self.around.secrets)
        exchange = Exchange(call.operation, call.method, shown, datetime.now(UTC))
        started = time.monotonic()
        try:
            answer = self._send(call, extra or {}, exchange)
        except Failure as failure:
            exchange.category, exchange.error = failure.category.value, failure.message[:500]
            raise
        except _Again as again:
            exchange.category, exchange.error = again.failure.category.value, again.failure.message[:500]
            raise
        finally:
            exchange.duration_ms = int((time.monotonic() - started) * 1000)
            self.around.record(exchange)
        return answer

    def _send(self, call: "_Call", extra: Mapping[str, str], exchange: Exchange) -> Answer:
        headers = {
            "Accept": "application/json",
            "User-Agent": "Entreposto/0.1 (+python)",
            **call.headers,
            **extra,
        }
        with deadline.within(call.seconds, allow_private=self.around.allow_private) as guard:
            try:
                response = deadline.session().request(
                    call.method,
                    call.address,
                    headers=headers,
                    timeout=(min(CONNECT_SECONDS, call.seconds), call.seconds),
                    allow_redirects=False,
                    stream=True,
                    **call.payload,
                )
                exchange.request_body = self._redacted(_as_body(response.request.body))
                shown = call.shown or response.request.url or call.address
                exchange.url = redaction.url(shown, self.around.secrets)
                exchange.status = response.status_code
                content = _read(response, call)
            except (requests.RequestException, OSError, ValueError) as error:
                raise self._unanswered(call, guard, error) from error
        exchange.response_body = redaction.MASK if call.unrecorded else self._redacted(content)
        answer = Answer(response.status_code, response.headers, content, call.effect, self.around.secrets)
        if 200 <= answer.status < 300 or answer.status in call.accept:
            if call.method != "GET" and answer.headers.get("Content-Type", "").startswith("text/html"):
                # A maintenance page with status 200: nothing was done, and not every caller reads a write's answer.
                answer.json()
            return answer
        failure = self._refused(call, answer)
        if failure.category is Category.TRANSIENT:
            raise _Again(failure, sent=True)
        raise failure

    def _redacted(self, content: bytes | str | None) -> str:
        return redaction.body(content, self.around.secrets, self.service.redact)

    def _unanswered(self, call: "_Call", guard: deadline.Guard, error: Exception) -> Exception:
        if isinstance(_root(error), deadline.PrivateAddress):
            return Failure(Category.REJECTED, str(deadline.PrivateAddress.__doc__), code="private_address")
        if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.MissingSchema):
            shown = call.shown or call.address
            return Failure(Category.REJECTED, f"{shown!r:.200} is not an address.", code="bad_address")
        sent = guard.sent
        if guard.fired or isinstance(error, requests.Timeout):
            message, code = f"No complete answer within {call.seconds:g} seconds.", "timeout"
        else:
            message, code = f"The connection failed: {_root(error)}"[:300], "connection"
        failure = Failure(Category.TRANSIENT, message, code=code, uncertain=sent and call.effect)
        # What took its whole time once is not repeated at once.
        return failure if code == "timeout" else _Again(failure, sent)

    def _refused(self, call: "_Call", answer: Answer) -> Failure:
        try:
            code, message = self.explain(parse_json(answer.content))
        except Failure:
            code, message = "", ""
        verdict = (call.failures or self.service.failures).verdict(answer.status, code)
        certain = verdict.certain if verdict.certain is not None else answer.status < 500
        retry_at = None
        if verdict.category is Category.RATE_LIMITED:
            retry_at = _retry_at(answer.headers)
            self.around.pause(call.operation, retry_at)
        said = f" It said: {message}" if message else ""
        return Failure(
            verdict.category,
            redaction.body(f"{verdict.sentence}{said}", self.around.secrets)[:800],
            code=code or str(answer.status),
            status=answer.status,
            fault=verdict.fault or (Fault.HUB if verdict.category is Category.BUG else None),
            retry_at=retry_at,
            uncertain=call.effect and not certain,
        )


@dataclass(frozen=True)
class _Call:
    method: str
    address: str
    operation: str
    effect: bool
    seconds: float
    accept: tuple[int, ...]
    payload: Mapping[str, Any]
    headers: Mapping[str, str]
    unrecorded: bool = False
    largest: int = LARGEST_ANSWER
    failures: FailureTable | None = None
    # What is recorded as its address, where that holds a secret.
    shown: str = ""


class _Again(Exception):  # noqa: N818
    """May be tried again within this call, unless it is a write that may have arrived."""

    def __init__(self, failure: Failure, sent: bool) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.sent = sent


def _read(response: requests.Response, call: _Call) -> bytes:
    parts, size = [], 0
    try:
        for part in response.iter_content(65_536):
            size += len(part)
            if size > call.largest:
                raise Failure(
                    Category.TRANSIENT,
                    f"The answer is larger than {call.largest // 1024 // 1024} MB and was not read.",
                    code="too_large",
                    uncertain=call.effect,
                )
            parts.append(part)
    finally:
        response.close()
    return b"".join(parts)


def _as_body(body: Any) -> bytes | str | None:
    return body if isinstance(body, bytes | str) else None


def _root(error: BaseException) -> BaseException:
    """The innermost reason: requests and urllib3 wrap it three times."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        inner = getattr(error, "reason", None) or error.__cause__ or error.__context__
        inner = inner or next((arg for arg in error.args if isinstance(arg, BaseException)), None)
        if not isinstance(inner, BaseException):
            break
        error = inner
    return error


def _retry_at(headers: Mapping[str, str]) -> datetime:
    """`Retry-After` in seconds or as a date, within reason; a short pause where it says nothing."""
    now = datetime.now(UTC)
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.replace(".", "", 1).isdigit():
        return now + timedelta(seconds=min(float(value), LONGEST_PAUSE.total_seconds()))
    try:
        said = parsedate_to_datetime(value) if value else None
    except ValueError:
        said = None
    if said is None or said.tzinfo is None:
        return now + DEFAULT_PAUSE
    return min(max(said, now), now + LONGEST_PAUSE)
