"""Tables as CSV files for a spreadsheet: one way to write a value, a line, a file sent while it is read."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar

from django.http import StreamingHttpResponse
from django.utils import timezone, translation
from django.utils.functional import Promise

T = TypeVar("T")
CHUNK = 500
# A spreadsheet runs what begins with one of these, even behind spaces, and buyers choose their names freely.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


class _Line:
    """What a csv writer writes into: gives each line back instead of keeping it."""

    def write(self, line: str) -> str:
        return line


def lines(
    titles: Iterable[str | Promise], rows: Iterable[T], cells: Callable[[T, bool], Sequence[str]], language: str
) -> Iterator[str]:
    """A chunk of lines at a time; `cells` gets the row and whether the decimal sign is a comma.

    The language is set anew for each: this runs after the view, when the request's is gone.
    """
    comma = language.startswith("pt")
    # Spreadsheets set to Portuguese take the comma for the decimal sign.
    writer = csv.writer(_Line(), delimiter=";" if comma else ",")
    with translation.override(language):
        # Without the mark Excel reads UTF-8 as something else.
        yield "\ufeff" + writer.writerow([str(title) for title in titles])
    rest = iter(rows)
    while True:
        with translation.override(language):
            text = "".join(writer.writerow(cells(row, comma)) for row in islice(rest, CHUNK))
        if not text:
            return
        yield text


def answer(name: str, content: Iterable[str]) -> StreamingHttpResponse:
    return StreamingHttpResponse(
        content,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"},
    )


def cell(value: Any, comma: bool) -> str:
    if isinstance(value, datetime):
        return f"{timezone.localtime(value):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, Decimal):
        number = f"{value:.2f}" if value == round(value, 2) else f"{value.normalize():f}"
        return number.replace(".", ",") if comma else number
    if value is None:
        return ""
    return harmless(str(value))


def harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula: an apostrophe in front says that it is text."""
    return f"'{text}" if text.lstrip(" \u00a0").startswith(FORMULA) or text.startswith(FORMULA) else text
