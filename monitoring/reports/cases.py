"""A report made of cases, each a query of its own that one index answers, whatever the number of orders."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from django.db.models import Min, Model, QuerySet

from monitoring.reports.base import COUNTED, Row, Scope, Text

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class Case(Generic[M]):
    """`select` gives its things, the worst first; `rows` what is said of some of them. `since` is the column of
    their age, `counted` one that the index holds: counting then reads nothing else.
    """

    code: str
    label: Text
    select: Callable[[Scope], QuerySet[M]]
    rows: Callable[[Scope, str, Sequence[M]], list[Row]]
    since: str
    counted: str = "pk"

    def count(self, scope: Scope) -> int:
        """Once for each look."""
        return scope.once(self._count)

    def _count(self, scope: Scope) -> int:
        return self.select(scope).order_by().values(self.counted)[:COUNTED].count()

    def known_empty(self, scope: Scope) -> bool:
        return scope.known.get((self._count, scope.channel)) == 0

    def read(self, scope: Scope, limit: int, offset: int) -> list[Row]:
        found = list(self.select(scope)[offset : offset + limit])
        return self.rows(scope, self.code, found) if found else []

    def oldest(self, scope: Scope) -> datetime | None:
        found: datetime | None = self.select(scope).order_by().aggregate(since=Min(self.since))["since"]
        return found


@dataclass(frozen=True)
class CaseReport:
    """Its rows are those of the first case, then those of the second, and so on."""

    name: str
    title: Text
    description: Text
    parts: tuple[Case, ...]

    @property
    def cases(self) -> Mapping[str, Text]:
        return {part.code: part.label for part in self.parts}

    def counts(self, scope: Scope) -> dict[str, int]:
        return {part.code: part.count(scope) for part in self.parts}

    def rows(self, scope: Scope, limit: int, offset: int = 0) -> list[Row]:
        rows: list[Row] = []
        for part in self._chosen(scope):
            if part.known_empty(scope):
                continue
            found = part.read(scope, limit - len(rows), offset)
            rows += found
            if len(rows) >= limit:
                break
            # How many of this case were skipped is only asked where any were.
            offset = max(0, offset - part.count(scope)) if offset and not found else 0
        return rows

    def oldest(self, scope: Scope) -> datetime | None:
        known = [since for part in self._chosen(scope) if (since := part.oldest(scope)) is not None]
        return min(known, default=None)

    def _chosen(self, scope: Scope) -> list[Case]:
        return [part for part in self.parts if scope.case in ("", part.code)]
