"""Tryton's JSON-RPC: its types, its errors and its session. Fact sheet of Tryton, section 2.

The body has exactly the keys id, method and params: one more and 7.0 answers in another dialect. Errors come with
HTTP 200 and were rolled back by the server, so after one of them the outcome of a write is certain.
"""

import base64
import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from connectors.contract import Account, Credentials
from connectors.failures import Category, Failure, Refusal
from connectors.http import Answer, Client

# Shown to a person: the development server sends whole tracebacks as error texts.
LONGEST_MESSAGE = 400
# The server's own default for an idle session.
SESSION_SECONDS = 300
# How long a server that saw five wrong passwords refuses the right one too: its default session time-out.
LOCKED_OUT = timedelta(minutes=5)
# A wrong password is answered with a delay that grows to 11 s; a time-out there would look like a hiccup.
LOGIN_SECONDS = 15.0
# A question may lead to the next one; nobody has met more than two in a row.
MOST_QUESTIONS = 10
_SERIES = re.compile(r"\d{1,3}\.\d{1,3}")
_BUSY = ("locked", "serialize", "deadlock", "timed out", "concurrent update")


class Question(Refusal):
    """The server wants to be told "yes" before it does this (`UserWarning`). `name` is what is to be confirmed."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message, code="UserWarning")
        self.name = name


def encode(value: Any) -> Any:
    """Python values in Tryton's JSON. Money must be a Decimal object: a float is refused unless exact in binary."""
    if isinstance(value, Decimal):
        return {"__class__": "Decimal", "decimal": f"{value:f}"}
    if isinstance(value, datetime):
        value = value.astimezone(UTC)
        names = ("year", "month", "day", "hour", "minute", "second", "microsecond")
        return {"__class__": "datetime", **{name: getattr(value, name) for name in names}}
    if isinstance(value, date):
        return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    return value


def decode(value: Any) -> Any:
    """Tryton's JSON as plain JSON: dates in ISO (UTC), decimals and bytes (base64) as text.

    What was read through a relation comes under "<field>." and is put under "<field>".
    """
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    kind = value.get("__class__")
    if isinstance(kind, str) and kind in _DECODERS:
        return _DECODERS[kind](value)
    return {key.removesuffix("."): decode(item) for key, item in value.items()}


def _moment(value: Mapping[str, Any]) -> str:
    day = _day(value)
    hours = ":".join(f"{_part(value, name):02}" for name in ("hour", "minute", "second"))
    return f"{day}T{hours}.{_part(value, 'microsecond'):06}+00:00"


def _day(value: Mapping[str, Any]) -> str:
    return f"{_part(value, 'year'):04}-{_part(value, 'month'):02}-{_part(value, 'day'):02}"


def _part(value: Mapping[str, Any], name: str) -> int:
    part = value.get(name, 0)
    if isinstance(part, bool) or not isinstance(part, int):
        raise Refusal(f"Tryton sent a date whose {name} is no number: {part!r:.40}")
    return part


_DECODERS = {
    "Decimal": lambda value: str(value.get("decimal", "")),
    "date": _day,
    "datetime": _moment,
    "bytes": lambda value: "".join(str(value.get("base64", "")).split()),
}


class Rpc:
    """Calls on one database, signed with the connection's session."""

    def __init__(self, account: Account, http: Client) -> None:
        self.account = account
        self.http = http
        self.http.auth = _session
        self._series = str(account.credentials.get("series") or "")
        self._context: Mapping[str, Any] = account.credentials.get("context") or {}

    @property
    def database(self) -> str:
        name = str(self.account.settings.get("database") or "")
        if not name or "/" in name:
            raise Failure(Category.AUTH, "This connection does not say which Tryton database to use.", code="database")
        return name

    def call(
        self, method: str, *params: Any, operation: str, effect: bool = False, extra: Mapping[str, Any] | None = None
    ) -> Any:
        """The result, decoded. The context (company, language, and `extra`) goes last in every call."""
        return self._result(method, [*params, {**self.context(), **(extra or {})}], operation, effect=effect)

    def press(self, model: str, button: str, record: int) -> None:
        """A button. Questions are answered with yes; the caller reads back whether anything happened.

        An illegal press succeeds silently in 7.0 and is refused in 8.0.
        """
        method, operation = f"model.{model}.{button}", f"{model}.{button}"
        for _ in range(MOST_QUESTIONS):
            try:
                self.call(method, [record], operation=operation, effect=True)
            except Question as question:
                self.call("model.res.user.warning.skip", question.name, False, operation="warning.skip")
            else:
                return
        raise Refusal(f"Tryton keeps asking questions when {button} is pressed.", code="UserWarning")

    def context(self) -> Mapping[str, Any]:
        if not self._context:
            self._context = _context(self.preferences())
        return self._context

    def preferences(self, **options: Any) -> Mapping[str, Any]:
        return _object(self._result("model.res.user.get_preferences", [True, {}], "preferences", **options))

    def login(self) -> Credentials:
        """Signs in: one try, no repetition, because five wrong passwords lock the user out. 3 or 4 calls."""
        self._series = self.series()
        token = self._token()
        preferences = self.preferences(headers=_session(token), signed=False)
        seconds = int(str(self.account.settings.get("session_seconds") or SESSION_SECONDS))
        return {
            **self.account.credentials,
            "access_token": token,
            "expires_at": (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(),
            "series": self._series,
            "context": _context(preferences),
        }

    def series(self) -> str:
        """'7.0' or '8.0': the one says its version at /, the other at /rpc/."""
        for path in ("/", "/rpc/"):
            answer = self.http.post(
                path, operation="version", json=_body("common.server.version", []), effect=False, signed=False,
                accept=(400, 401, 403, 404, 405, 422),
            )  # fmt: skip
            if answer.status == 200 and (found := _SERIES.match(str(self._read(answer)))):
                return found[0]
        raise Failure(Category.AUTH, "There is no Tryton server at this address.", code="no_server")

    def _token(self) -> str:
        login = self._secret("login")
        result = self._login([login, {"password": self._secret("password")}, "en"])
        if not isinstance(result, list) or len(result) < 2:
            raise Failure(Category.AUTH, "Tryton did not accept this login.", code="LoginException")
        # 8.0 adds a third element.
        user, session = result[:2]
        return base64.b64encode(f"{login}:{user}:{session}".encode()).decode()

    def _login(self, params: list[Any]) -> Any:
        try:
            # The answer is the session, in a list without names.
            return self._result(
                "common.db.login", params, "login", signed=False, seconds=LOGIN_SECONDS, unrecorded=True
            )
        except Failure as failure:
            if failure.category is Category.RATE_LIMITED:
                failure.retry_at = datetime.now(UTC) + LOCKED_OUT
            raise

    def _secret(self, name: str) -> str:
        return str(self.account.credentials.get(name) or self.account.settings.get(name) or "")

    def _result(self, method: str, params: list[Any], operation: str, *, effect: bool = False, **options: Any) -> Any:
        # Known from the last sign-in; a connection's very first piece of work has to ask.
        self._series = self._series or self.series()
        path = f"/{self.database}/" if int(self._series.split(".")[0]) < 8 else f"/{self.database}/rpc/"
        body = _body(method, encode(params))
        return self._read(self.http.post(path, operation=operation, json=body, effect=effect, **options))

    def _read(self, answer: Answer) -> Any:
        raw = answer.reader().raw
        if "error" in raw:
            raise self._failure(raw["error"])
        if "result" not in raw:
            raise Failure(
                Category.TRANSIENT,
                f"Tryton answered without a result: {answer.excerpt!r}",
                code="no_result",
                status=answer.status,
                uncertain=answer.effect,
            )
        return decode(raw["result"])

    def _failure(self, error: Any) -> Failure:
        code, message, name = read_error(error)
        verdict = self.http.service.failures.verdict(200, code)
        sentence = f"{verdict.sentence} It said: {message}"[: 2 * LONGEST_MESSAGE]
        if code == "UserWarning":
            return Question(name, sentence)
        if verdict.category is Category.REJECTED and verdict.fault is None:
            return Refusal(sentence, code=code)
        return Failure(verdict.category, sentence, code=code, status=200, fault=verdict.fault)


def read_error(error: Any) -> tuple[str, str, str]:
    """(code, message, name of the question) of an `error` list."""
    parts = error if isinstance(error, list) and error else [str(error)]
    head, detail = str(parts[0]), parts[1] if len(parts) > 1 else ""
    said = [str(one) for one in detail if one] if isinstance(detail, list) else [str(detail)]
    if head == "UserWarning":
        return head, " ".join(said[1:])[:LONGEST_MESSAGE], said[0] if said else ""
    if head.endswith(("Error", "Exception")) and " " not in head:
        # [message, description, domain]: the domain is for Tryton's own client.
        return head, " ".join(said[:2])[:LONGEST_MESSAGE], ""
    return _code_of(head), head[:LONGEST_MESSAGE], ""


def _code_of(text: str) -> str:
    if any(word in text.lower() for word in _BUSY):
        return "locked"
    if text == "Missing context argument" or (text.startswith("'") and text.endswith("'")):
        return "unknown_name"
    return "exception"


def _body(method: str, params: list[Any]) -> dict[str, Any]:
    return {"id": 1, "method": method, "params": params}


def _session(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Session {token}"}


def _context(preferences: Mapping[str, Any]) -> dict[str, Any]:
    if not preferences.get("company"):
        raise Failure(
            Category.AUTH,
            "This Tryton user has no company: add one under its preferences, or it may create nothing.",
            code="no_company",
        )
    return {"company": preferences["company"], "language": preferences.get("language") or "en"}


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Refusal(f"Tryton sent something else than an object: {json.dumps(value, default=str)[:80]}")
    return value
