"""What every report is made of: a scope, rows with their hours, and a register of reports by name."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from django.utils.functional import Promise

T = TypeVar("T")
Text = str | Promise
# A count is exact up to here; beyond, "more than" is all that anybody needs, and counting on would cost time.
COUNTED = 10_000


@dataclass(frozen=True)
class Scope:
    """Whose rows, at which moment; `channel` (a `SalesChannel`) and `case` narrow it. Made anew for each look."""

    sellers: tuple[int, ...]
    now: datetime
    channel: int | None = None
    case: str = ""
    known: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    def once(self, look_up: "Callable[[Scope], T]") -> "T":
        """What many cases of one look need is looked up once."""
        key = look_up, self.channel
        if key not in self.known:
            self.known[key] = look_up(self)
        found: T = self.known[key]
        return found


@dataclass(frozen=True)
class Action:
    """A press that mends the row: a POST to `url` with `fields`, or a page to open where `opens`.

    `asks`: a field that the person fills in (`reason`), and `question` what it is labelled with.
    """

    label: Text
    url: str
    fields: Mapping[str, str] = field(default_factory=dict)
    opens: bool = False
    asks: str = ""
    question: Text = ""


@dataclass(frozen=True)
class Row:
    """One thing that stands still.

    `case` is one of the report's `cases`. `deadline` is what it is late against, where there is one; otherwise its age
    since `since` counts. `cause` is a sentence for a person.
    """

    key: str
    case: str
    seller_id: int
    channel: str
    number: str
    since: datetime
    cause: Text
    order_id: int | None = None
    deadline: datetime | None = None
    value: Decimal | None = None
    currency: str = "BRL"
    actions: Sequence[Action] = ()

    def hours(self, now: datetime) -> float:
        """Hours late (positive) or left (negative); without a deadline the hours it has stood."""
        return (now - (self.deadline or self.since)).total_seconds() / 3600


class Report(Protocol):
    """`name` is the command's and the address's; `cases` are its sub-cases by code, the worst first."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> Text: ...
    @property
    def description(self) -> Text: ...
    @property
    def cases(self) -> Mapping[str, Text]: ...

    def counts(self, scope: Scope) -> Mapping[str, int]:
        """Rows by case (each at most `COUNTED`), whatever the scope's own case."""

    def rows(self, scope: Scope, limit: int, offset: int = 0) -> Sequence[Row]:
        """The worst first."""

    def oldest(self, scope: Scope) -> datetime | None:
        """Since when the oldest row stands: what alerts of age ask."""


REPORTS: dict[str, Report] = {}


def register(report: Report) -> Report:
    if report.name in REPORTS:
        raise ValueError(f"There are two reports named {report.name!r}.")
    REPORTS[report.name] = report
    return report


# Rows read at once for a file.
CHUNK = 500


def everything(report: Report, scope: Scope) -> Iterator[Row]:
    """Every row, case by case, a chunk at a time."""
    for case in [scope.case] if scope.case else report.cases:
        narrow, offset = replace(scope, case=case), 0
        while rows := report.rows(narrow, CHUNK, offset):
            yield from rows
            offset += CHUNK
