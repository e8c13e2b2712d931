"""Orders as a CSV file or a workbook: a small one at once, a larger one in sealed pieces, kept until they expire.

Either way the rows are read, and the file is written, by the same functions.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from io import BytesIO
from itertools import islice
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from hub import vault
from hub.tenancy import Permission, allows, memberships_of
from monitoring import sheets
from monitoring.desk import columns, table
from monitoring.models import BulkPart, BulkTask
from orders.models import Order

CSV, XLSX = "csv", "xlsx"
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# More than these nobody waits for in front of a page.
AT_ONCE = 2_000
# Read together.
SLICE = 500
# A sheet has a million rows; so many take a worker a minute.
MOST_ROWS = 200_000
BOOK = 0


def read(task: BulkTask, rows: QuerySet[Order], ids: Sequence[int]) -> list[list[Any]]:
    """These orders as rows of the file, in this order; `rows` are those the person may see."""
    return table.read(rows, ids, _shown(task), _hidden(task))


def at_once(task: BulkTask, rows: QuerySet[Order], ids: Sequence[int]) -> Iterator[list[Any]]:
    """Of a file that nobody has to wait for."""
    for start in range(0, len(ids), SLICE):
        yield from read(task, rows, ids[start : start + SLICE])


def _shown(task: BulkTask) -> Sequence[str]:
    shown: Sequence[str] = task.params.get("columns", columns.USUAL)
    return shown


def _hidden(task: BulkTask) -> set[Permission]:
    """What one of the task's sellers keeps from this person."""
    places = [place for place in memberships_of(task.person) if place.seller_id in task.sellers]
    return {one for one in (Permission.BUYER, Permission.MONEY) if not all(allows(place, one) for place in places)}


# --- In pieces, by a worker ----------------------------------------------------------------------------------------


@transaction.atomic
def plan(task: BulkTask, ids: Iterator[int]) -> int:
    """Writes down which orders the file is of, in their order: meanwhile the list may change. Returns how many."""
    task.parts.all().delete()
    pieces = iter(lambda: list(islice(ids, SLICE)), [])
    parts = [BulkPart(task=task, number=number, orders=piece) for number, piece in enumerate(pieces, start=1)]
    BulkPart.objects.bulk_create(parts, batch_size=SLICE)
    return sum(len(part.orders) for part in parts)


def fill(task: BulkTask, rows: QuerySet[Order], part: BulkPart) -> int:
    """Reads one piece; again where that was interrupted. Returns how many rows it has."""
    found = read(task, rows, part.orders)
    content = json.dumps([[_plain(value) for value in row] for row in found]).encode()
    task.parts.filter(pk=part.pk).update(sealed=vault.seal_bytes(content))
    return len(found)


def _plain(value: Any) -> Any:
    """What JSON has no word for as a pair of its kind and its text."""
    if isinstance(value, datetime):
        return {"time": value.isoformat()}
    if isinstance(value, Decimal):
        return {"amount": str(value)}
    return value if value is None else str(value)


def _typed(value: Any) -> Any:
    if isinstance(value, dict):
        return datetime.fromisoformat(value["time"]) if "time" in value else Decimal(value["amount"])
    return value


def _kept(task: BulkTask) -> Iterator[list[Any]]:
    """The rows that a worker has read."""
    numbers = task.parts.exclude(number=BOOK).order_by("number").values_list("sealed", flat=True)
    for sealed in numbers.iterator(chunk_size=10):
        for row in json.loads(vault.unseal_bytes(sealed)):
            yield [_typed(value) for value in row]


# --- The file itself -----------------------------------------------------------------------------------------------


def content(task: BulkTask, rows: Iterable[list[Any]]) -> bytes | Iterator[str]:
    """A workbook whole; a CSV file line by line, sent while it is read."""
    return _workbook(task, rows) if task.params.get("format") == XLSX else _csv_lines(task, rows)


def stored(task: BulkTask) -> bytes | Iterator[str]:
    """Of what a worker has made."""
    if task.params.get("format") == XLSX:
        return vault.unseal_bytes(task.parts.get(number=BOOK).sealed)
    return _csv_lines(task, _kept(task))


def _csv_lines(task: BulkTask, rows: Iterable[list[Any]]) -> Iterator[str]:
    def cells(row: list[Any], comma: bool) -> list[str]:
        return [sheets.cell(value, comma) for value in row]

    return sheets.lines(_titles(task), rows, cells, str(task.params.get("language", "pt-br")))


def _titles(task: BulkTask) -> list[Any]:
    return [column.title for column in table.chosen(_shown(task))]


def make_workbook(task: BulkTask) -> None:
    """Composes the file and keeps it in the place of its rows."""
    if task.changed > MOST_ROWS:
        task.errors = [{"text": _("Too many orders for a workbook: ask for a CSV file.")}]
        task.failed = task.changed
        return
    sealed = vault.seal_bytes(_workbook(task, _kept(task)))
    BulkPart.objects.update_or_create(task=task, number=BOOK, defaults={"sealed": sealed})
    task.parts.exclude(number=BOOK).delete()


def _workbook(task: BulkTask, rows: Iterable[Sequence[Any]]) -> bytes:
    titles = [str(title) for title in _titles(task)]
    book = Workbook(write_only=True)
    sheet = book.create_sheet(_("Orders"))
    sheet.freeze_panes = "B2"
    for place in range(len(titles)):
        sheet.column_dimensions[get_column_letter(place + 1)].width = 18
    sheet.append([_bold(sheet, title) for title in titles])
    for row in rows:
        sheet.append([_cell(sheet, value) for value in row])
    file = BytesIO()
    book.save(file)
    return file.getvalue()


def _bold(sheet: Any, title: str) -> Any:
    cell = WriteOnlyCell(sheet, value=title)
    cell.font = Font(bold=True)
    return cell


def _cell(sheet: Any, value: Any) -> Any:
    """Times and amounts as such; text always as text, never as a formula."""
    if isinstance(value, datetime):
        return timezone.localtime(value).replace(tzinfo=None)
    if value is None or isinstance(value, Decimal):
        return value
    cell = WriteOnlyCell(sheet, value=_printable(value))
    cell.data_type = "s"
    return cell


def _printable(text: str) -> str:
    """The format knows no control characters, and no longer text than this."""
    return "".join(char for char in text if char.isprintable() or char in "\n\t")[:32_000]
