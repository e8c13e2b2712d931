"""How Bling is spoken to: its addresses, pages and refusals."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

from connectors.erps.bling.payloads import BRASILIA
from connectors.failures import Category, Failure, Refusal
from connectors.http import Answer, Client
from connectors.reading import Reader

API = "/Api/v3"
PAGE_SIZE = 100
MOST_PAGES = 100
FORBIDDEN, NOT_FOUND = 403, 404


class Calls:
    def __init__(self, http: Client) -> None:
        self.http = http

    def get(self, path: str, *, operation: str, params: Any = None) -> Reader:
        return self.send("GET", path, operation=operation, params=params).reader()

    def send(self, method: str, path: str, *, operation: str, **options: Any) -> Answer:
        try:
            return self.http.request(method, f"{API}{path}", operation=operation, **options)
        except Failure as failure:
            if failure.code == "daily_limit":
                failure.retry_at = _next_midnight(datetime.now(UTC))
                self.http.around.pause(operation, failure.retry_at)
            raise

    def rows(self, path: str, query: list[tuple[str, str]], *, operation: str) -> Iterator[Reader]:
        """Every row of a list. A page that repeats the one before ends it: the page number was ignored."""
        before: list[Any] = []
        for page in range(1, MOST_PAGES + 1):
            params = [*query, ("pagina", str(page)), ("limite", str(PAGE_SIZE))]
            rows = list(self.get(path, operation=operation, params=params).list("data"))
            raw = [row.raw for row in rows]
            if raw == before:
                return
            yield from rows
            if len(rows) < PAGE_SIZE:
                return
            before = raw


def explain(body: Any) -> tuple[str, str]:
    """(code, message) of Bling's error: what it says in general and of every field, with the place in a list."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return "", ""
    code = str(error.get("type") or "")[:80]
    if error.get("period") == "day":
        code = "daily_limit"
    said = [error.get("description") or error.get("message") or ""]
    said += _said_of_fields(error.get("fields"))
    return code, " ".join(str(part) for part in said if part)[:500]


def _said_of_fields(fields: Any) -> Iterator[str]:
    for field in _objects_in(fields):
        element = field.get("element", "")
        yield f"[{element}] {field.get('msg', '')}"
        for entry in _objects_in(field.get("collection")):
            yield f"[{element} {entry.get('index', '')}] {entry.get('msg', '')}"


def _objects_in(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _next_midnight(now: datetime) -> datetime:
    """When the day's calls are counted anew: at midnight in Brasília, as far as is known."""
    tomorrow = now.astimezone(BRASILIA).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(0), BRASILIA).astimezone(UTC)


def id_of_write(answer: Reader) -> str:
    """The id of what was just written; without it nobody knows what happened."""
    try:
        return str(answer.integer("data.id"))
    except Refusal as refusal:
        raise Failure(
            Category.TRANSIENT, f"Bling accepted it but did not say its id: {refusal}", code="no_id", uncertain=True
        ) from refusal
