"""What every report is made of: a scope, rows with their hours, and a register of reports by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from django.utils.functional import Promise

Text = str | Promise
# A count is exact up to here; beyond, "more than" is all that anybody needs, and counting on would cost time.
COUNTED = 10_000


@dataclass(frozen=True)
class Scope:
    """Whose rows, at which moment; `channel` (a `SalesChannel`) and `case` narrow it."""

    sellers: tuple[int, ...]
    now: datetime
    channel: int | None = None
    case: str = ""


@dataclass(frozen=True)
class Action:
    """A press that mends the row: a POST to `url` with `fields`, or a page to open where `opens`."""

    label: Text
    url: str
    fields: Mapping[str, str] = field(default_factory=dict)
    opens: bool = False


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

    name: str
    title: Text
    description: Text
    cases: Mapping[str, Text]

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
