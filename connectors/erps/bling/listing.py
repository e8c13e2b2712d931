"""The lists that a poll goes through, and the place in them. Pure: the time comes in."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from connectors.contract import Cursor, Window
from connectors.erps.bling.payloads import BRASILIA, whole
from connectors.failures import Refusal
from connectors.reading import Reader

INVOICE = "nfe:"
# Bling refuses a period of more than a year.
LONGEST = timedelta(days=300)
# What the first poll of a connection looks at when nothing says since when.
FIRST = timedelta(days=1)
CANCELLED = 2
# Nothing is read of an NF-e in one of these that its first reading did not tell.
FINAL = frozenset({CANCELLED, 5, 6})
# An NF-e that is still on its way to the tax authority says nothing that could be used.
_TELLING = frozenset({2, 4, 5, 6, 9, 11})


@dataclass(frozen=True)
class Stream:
    """One list. `since` and `until` name its filters; `overlap` is (setting, its default in minutes)."""

    path: str
    since: str
    until: str
    overlap: tuple[str, int]
    fixed: tuple[tuple[str, str], ...] = ()
    prefix: str = ""
    days: bool = False
    only_window: bool = False
    # Each of its rows has changed since the last poll, whether or not the row shows it. Not for a window.
    certain: bool = False

    def query(self, place: "Place", settings: Mapping[str, Any]) -> list[tuple[str, str]]:
        name, default = self.overlap
        back = timedelta(0) if place.window else timedelta(minutes=whole(settings, name) or default)
        query = [*self.fixed, (self.since, self._text(place.since - back))]
        # Open at the end while following: what changes meanwhile comes at once.
        return [*query, (self.until, self._text(place.until))] if place.closed else query

    def _text(self, moment: datetime) -> str:
        return moment.astimezone(BRASILIA).strftime("%Y-%m-%d" if self.days else "%Y-%m-%d %H:%M:%S")

    def is_for(self, window: bool) -> bool:
        return not (self.certain if window else self.only_window)

    def is_news(self, row: Reader) -> bool:
        return not self.prefix or row.integer("situacao", 0) in _TELLING


STREAMS = (
    Stream("/pedidos/vendas", "dataAlteracaoInicial", "dataAlteracaoFinal", ("overlap_minutes", 5)),
    Stream("/nfe", "dataEmissaoInicial", "dataEmissaoFinal", ("invoice_overlap_minutes", 15), prefix=INVOICE),
    # Left out of the list above; an NF-e may be cancelled for a day after its issue, in some states longer.
    Stream(
        "/nfe",
        "dataEmissaoInicial",
        "dataEmissaoFinal",
        ("cancelled_overlap_minutes", 48 * 60),
        (("situacao", str(CANCELLED)),),
        prefix=INVOICE,
    ),
    # What was placed in a period may have been changed after it.
    Stream("/pedidos/vendas", "dataInicial", "dataFinal", ("overlap_minutes", 5), days=True, only_window=True),
    # An order's row holds neither parcels nor the time of its change: without the overlap, being listed says it.
    Stream("/pedidos/vendas", "dataAlteracaoInicial", "dataAlteracaoFinal", ("", 0), certain=True),
)


@dataclass(frozen=True)
class Place:
    """Page `page` of list `number`, for the piece of time `since` to `until`; `end` is a window's."""

    since: datetime
    until: datetime
    number: int = 0
    page: int = 1
    window: bool = False
    closed: bool = False
    end: datetime | None = None
    more: bool = True

    @property
    def stream(self) -> Stream:
        return STREAMS[self.number]

    def after(self, full: bool) -> "Place":
        """Where to go on: the next page, the next list, or the next piece of time."""
        if full:
            return replace(self, page=self.page + 1)
        for number in range(self.number + 1, len(STREAMS)):
            if STREAMS[number].is_for(self.window):
                return replace(self, number=number, page=1)
        target = self.end or self.until
        more = self.closed and self.until < target
        return Place(self.until, min(self.until + LONGEST, target), window=self.window, end=self.end, more=more)

    def cursor(self) -> Cursor:
        if not self.more:
            return {"since": self.since.isoformat()}
        found: Cursor = {
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "list": self.number,
            "page": self.page,
        }
        return found | ({"end": self.end.isoformat()} if self.end else {})


def resume(cursor: Cursor, settings: Mapping[str, Any], window: Window | None, now: datetime) -> Place:
    """The place a cursor means: in the middle of a round, or at the beginning of a new one."""
    place = Reader(cursor, "$.cursor")
    end = window.until if window else now
    begin = window.since if window else _start(settings, now)
    since = place.moment("since", begin) or begin
    if "until" not in cursor:
        until = min(since + LONGEST, max(end, since))
        return Place(since, until, window=window is not None, closed=window is not None or until < end, end=end)
    until = place.when("until")
    number, page = place.integer("list", 0), place.integer("page", 1)
    if not 0 <= number < len(STREAMS) or page < 1:
        raise Refusal("names no list of Bling", path="$.cursor.list")
    end = place.when("end") if "end" in cursor else until
    return Place(since, until, number, page, window is not None, window is not None or until < end, end)


def _start(settings: Mapping[str, Any], now: datetime) -> datetime:
    moment = Reader(settings, "$.settings").moment("start_at", None, zone="UTC")
    return min(moment, now) if moment else now - FIRST
