"""Reads a raw JSON document and says where it is wrong.

`Reader` wraps one object and knows its JSON path. A value of the wrong type, or a missing one that is needed, is a
`Refusal` with that path; nothing else is ever raised. Unknown words are collected, not refused.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from connectors.failures import Refusal

T = TypeVar("T")
_NOTHING: Any = object()
# Services write "no date" as a date.
_ZERO_DATES = ("0000-00-00", "0001-01-01")
_FRACTION = re.compile(r"(\.\d{6})\d+")
# Beyond this a number is garbage, and arithmetic with it is slow.
_LONGEST_NUMBER = 30


def parse_json(body: bytes | str, *, what: str = "document") -> Any:
    """JSON with exact decimals: no money ever passes through a float."""
    try:
        return json.loads(body, parse_float=_decimal_literal, parse_constant=_no_constant)
    except RecursionError as error:
        raise Refusal(f"The {what} is nested too deeply to be real.", path="$") from error
    except ValueError as error:
        raise Refusal(f"The {what} is not valid JSON: {error}.", path="$") from error


def _decimal_literal(text: str) -> Decimal:
    return Decimal(text)


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a JSON number")


class Reader:
    """One JSON object at one path. Getters take a dotted key; `default` is returned for absent, null and ''."""

    def __init__(self, raw: Any, path: str = "$", unknown: "list[str] | None" = None) -> None:
        if not isinstance(raw, Mapping):
            raise Refusal(f"expected an object, found {_kind(raw)}", path=path)
        self.raw: Mapping[str, Any] = raw
        self.path = path
        # Shared by all readers of a document: "path: value" of words outside the known vocabulary.
        self.unknown: list[str] = unknown if unknown is not None else []

    def _find(self, key: str) -> Any:
        value: Any = self.raw
        for part in key.split("."):
            if not isinstance(value, Mapping):
                return None
            value = value.get(part)
        return value

    def _at(self, key: str) -> str:
        return f"{self.path}.{key}"

    def has(self, key: str) -> bool:
        return self._find(key) not in (None, "", [], {})

    def refuse(self, key: str, message: str) -> Refusal:
        return Refusal(message, path=self._at(key))

    def _value(self, key: str, default: Any) -> Any:
        value = self._find(key)
        if value is None or value == "":
            if default is _NOTHING:
                raise self.refuse(key, "is missing")
            return _NOTHING
        return value

    def text(self, key: str, default: str = _NOTHING) -> str:
        """Text; a whole number is taken as its digits, since services disagree about ids."""
        value = self._value(key, default)
        if value is _NOTHING:
            return default
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise self.refuse(key, f"expected text, found {_kind(value)}")
        return str(value).strip()

    def number(self, key: str, default: Decimal = _NOTHING) -> Decimal:
        """A finite decimal; text is accepted where a service sends numbers as text."""
        value = self._value(key, default)
        if value is _NOTHING:
            return default
        return self._decimal(key, value)

    def _decimal(self, key: str, value: Any) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
            raise self.refuse(key, f"expected a number, found {_kind(value)}")
        if len(text := str(value).strip()) > _LONGEST_NUMBER:
            raise self.refuse(key, "is not a plausible number")
        try:
            number = Decimal(text)
        except InvalidOperation:
            raise self.refuse(key, f"expected a number, found {value!r:.40}") from None
        if not number.is_finite() or abs(number.adjusted()) > _LONGEST_NUMBER:
            raise self.refuse(key, "is not a plausible number")
        return number

    def integer(self, key: str, default: int = _NOTHING) -> int:
        value = self._value(key, default)
        if value is _NOTHING:
            return default
        number = self._decimal(key, value)
        if number != number.to_integral_value():
            raise self.refuse(key, f"expected a whole number, found {value}")
        return int(number)

    def flag(self, key: str, default: bool = False) -> bool:
        value = self._find(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.refuse(key, f"expected true or false, found {_kind(value)}")
        return value

    def moment(self, key: str, default: datetime | None = _NOTHING, *, zone: str | None = None) -> datetime | None:
        """An aware time. One without an offset is refused, unless the service's own zone is known (`zone`)."""
        value = self._value(key, default)
        if value is _NOTHING or (isinstance(value, str) and value.startswith(_ZERO_DATES)):
            if default is _NOTHING:
                raise self.refuse(key, "is missing")
            return default
        if not isinstance(value, str):
            raise self.refuse(key, f"expected a date and time, found {_kind(value)}")
        return self._moment(key, value, zone)

    def _moment(self, key: str, value: str, zone: str | None) -> datetime:
        try:
            moment = datetime.fromisoformat(_FRACTION.sub(r"\1", value.strip()))
            if moment.tzinfo is None:
                if zone is None:
                    raise self.refuse(key, f"has no time zone: {value!r:.40}")
                moment = moment.replace(tzinfo=ZoneInfo(zone))
            return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            raise self.refuse(key, f"is not a date and time: {value!r:.40}") from None

    def when(self, key: str, *, zone: str | None = None) -> datetime:
        """Like `moment`, for a time that must be there."""
        moment = self.moment(key, zone=zone)
        if moment is None:
            raise self.refuse(key, "is missing")
        return moment

    def day(self, key: str, *, zone: str, at: time = time(0)) -> datetime | None:
        """A bare date in the service's zone, as the instant `at` of that day; None when absent."""
        value = self._find(key)
        if value in (None, "") or str(value).startswith(_ZERO_DATES):
            return None
        try:
            return datetime.combine(date.fromisoformat(str(value)[:10]), at, ZoneInfo(zone)).astimezone(UTC)
        except (ValueError, OverflowError):
            raise self.refuse(key, f"is not a date: {value!r:.40}") from None

    def word(self, key: str, known: Mapping[str, T], default: T) -> T:
        """The meaning of a word of an open vocabulary; an unknown one is noted and means `default`."""
        text = self.text(key, "")
        if text and text not in known:
            self.unknown.append(f"{self._at(key)}: {text}"[:250])
        return known.get(text, default)

    def object(self, key: str) -> "Reader":
        """A nested object that must be there."""
        value = self._find(key)
        if value is None:
            raise self.refuse(key, "is missing")
        return Reader(value, self._at(key), self.unknown)

    def maybe(self, key: str) -> "Reader":
        """A nested object; an empty one where it is absent or null."""
        return Reader(self._find(key) or {}, self._at(key), self.unknown)

    def list(self, key: str) -> Iterator["Reader"]:
        """The objects of a list; nothing where it is absent or null."""
        values = self._find(key)
        if values is None:
            return
        if not isinstance(values, list):
            raise self.refuse(key, f"expected a list, found {_kind(values)}")
        for place, value in enumerate(values):
            yield Reader(value, f"{self._at(key)}[{place}]", self.unknown)

    def words(self, key: str) -> Sequence[str]:
        """A list of plain texts."""
        values = self._find(key)
        if values is None:
            return []
        if not isinstance(values, list) or not all(isinstance(value, str | int) for value in values):
            raise self.refuse(key, "expected a list of texts")
        return [str(value) for value in values]


def digits(text: str) -> str:
    """CPF, CEP or phone without its mask."""
    return re.sub(r"\D", "", text)


def document_number(text: str) -> str:
    """CPF or CNPJ without its mask, upper case: a CNPJ may hold letters since 2026."""
    return re.sub(r"[^0-9A-Z]", "", text.upper())


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {
        bool: "true/false",
        str: "text",
        int: "a number",
        float: "a number",
        Decimal: "a number",
        list: "a list",
    }
    return names.get(type(value), "an object")
