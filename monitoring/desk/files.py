"""The orders of an export as a CSV file or a workbook, kept in sealed pieces until they expire."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

from hub import vault
from hub.tenancy import Permission, allows, memberships_of
from monitoring import sheets
from monitoring.desk import table
from monitoring.models import BulkPart, BulkTask
from orders.models import Order

CSV, XLSX = "csv", "xlsx"
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# A sheet has a million rows; so many take a worker a minute.
MOST_ROWS = 200_000
BOOK = 0


def keep(task: BulkTask, orders: Sequence[Order]) -> None:
    """The rows of one slice. Written again where the slice is done again."""
    hidden = _hidden(task)
    rows = [["" if place in hidden else value for place, value in enumerate(table.values(order))] for order in orders]
    content = json.dumps([[_plain(value) for value in row] for row in rows]).encode()
    BulkPart.objects.update_or_create(task=task, number=orders[0].pk, defaults={"sealed": vault.seal_bytes(content)})


def _hidden(task: BulkTask) -> frozenset[int]:
    """The columns that one of the task's sellers keeps from this person."""
    places = [place for place in memberships_of(task.person) if place.seller_id in task.sellers]
    return table.hidden(
        sees_buyer=all(allows(place, Permission.BUYER) for place in places),
        sees_money=all(allows(place, Permission.MONEY) for place in places),
    )


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


def _rows(task: BulkTask) -> Iterator[list[Any]]:
    numbers = task.parts.exclude(number=BOOK).order_by("number").values_list("sealed", flat=True)
    for sealed in numbers.iterator(chunk_size=10):
        for row in json.loads(vault.unseal_bytes(sealed)):
            yield [_typed(value) for value in row]


def csv_lines(task: BulkTask, language: str) -> Iterator[str]:
    def cells(row: list[Any], comma: bool) -> list[str]:
        return [sheets.cell(value, comma) for value in row]

    return sheets.lines(table.COLUMNS, _rows(task), cells, language)


def make_workbook(task: BulkTask) -> None:
    """Composes the file and keeps it in the place of its rows."""
    if task.changed > MOST_ROWS:
        task.errors = [{"text": _("Too many orders for a workbook: ask for a CSV file.")}]
        task.failed = task.changed
        return
    content = _workbook([str(column) for column in table.COLUMNS], _rows(task))
    BulkPart.objects.update_or_create(task=task, number=BOOK, defaults={"sealed": vault.seal_bytes(content)})
    task.parts.exclude(number=BOOK).delete()


def _workbook(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    book = Workbook(write_only=True)
    sheet = book.create_sheet(_("Orders"))
    sheet.freeze_panes = "B2"
    for place in range(len(titles)):
        sheet.column_dimensions[chr(ord("A") + place)].width = 18
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


def workbook(task: BulkTask) -> bytes:
    return vault.unseal_bytes(task.parts.get(number=BOOK).sealed)
