"""The page's tables: what charts are drawn from, what is read, and what goes into a file are one and the same."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from html import escape
from typing import Any

from django.utils import formats
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from monitoring.insights.counting import STAGES
from monitoring.insights.reading import Insights, Pair, change, share
from monitoring.sheets import harmless
from monitoring.templatetags.hub import money, percent, quantity


@dataclass(frozen=True)
class Column:
    """`kind`: text, day, count, money (reais), amount (another currency), quantity, share (0 to 1), change (0.1: a
    tenth more) or time (seconds).
    """

    label: Any
    kind: str = "count"

    @property
    def end(self) -> bool:
        return self.kind not in ("text", "day")


AMOUNTS = ("money", "amount")
BAR = '<span class="e-bar" aria-hidden="true"><i style="width: {:.1f}%"></i></span>'


@dataclass
class Table:
    """Rows of raw values. `bars`: the column whose size each row shows as a bar as well."""

    code: str
    title: Any
    columns: list[Column]
    rows: list[list[Any]]
    bars: int | None = None
    note: Any = ""
    # By row, 0 to 1: how long its bar is.
    lengths: list[float | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lengths = [None] * len(self.rows)
        if self.bars is not None:
            values = [row[self.bars] for row in self.rows]
            most = max((float(value) for value in values if value), default=0)
            self.lengths = [max(float(value), 0) / most if value and most > 0 else None for value in values]

    def without_money(self) -> "Table":
        """For people who may not see amounts."""
        kept = [number for number, column in enumerate(self.columns) if column.kind not in AMOUNTS]
        rows = [[row[number] for number in kept] for row in self.rows]
        bars = kept.index(self.bars) if self.bars in kept else None
        return Table(self.code, self.title, [self.columns[number] for number in kept], rows, bars, self.note)

    def body(self) -> SafeString:
        """The rows for a page. Not by the template: thousands of cells would take it a tenth of a second."""
        lines = zip(self.rows, self.lengths, strict=True)
        return mark_safe("".join(self._line(row, length) for row, length in lines))  # noqa: S308 - escaped below

    def _line(self, row: Sequence[Any], length: float | None) -> str:
        bar = "" if length is None else BAR.format(length * 100)
        first, *others = (
            f'<td class="{_look(column, value)}">{escape(shown(column.kind, value))}'
            for column, value in self._cells(row)
        )
        return f"<tr>{first}{bar}</td>{''.join(f'{cell}</td>' for cell in others)}</tr>"

    def _cells(self, row: Sequence[Any]) -> list[tuple[Column, Any]]:
        return list(zip(self.columns, row, strict=True))

    def as_text(self, portuguese: bool) -> list[list[str]]:
        """For a spreadsheet: the heads first, numbers plain."""
        heads = [harmless(_head(column)) for column in self.columns]
        return [heads, *([_plain(column.kind, value, portuguese) for column, value in self._cells(row)] for row in self.rows)]  # fmt: skip # noqa: E501


def _look(column: Column, value: Any) -> str:
    if not column.end:
        return ""
    colour = tone(column.kind, value)
    return f"e-end e-num e-nowrap e-{colour}-text" if colour else "e-end e-num e-nowrap"


UNITS = {"share": "%", "change": "%", "time": "h"}


def _head(column: Column) -> str:
    unit = UNITS.get(column.kind)
    return f"{column.label} ({unit})" if unit else str(column.label)


def _plain(kind: str, value: Any, portuguese: bool) -> str:
    if value is None:
        return ""
    if kind == "text":
        return harmless(str(value))
    if isinstance(value, date | datetime):
        return value.isoformat()
    # A share as a percentage, a time in hours.
    scaled = value * 100 if kind in ("share", "change") else value / 3600 if kind == "time" else value
    text = str(scaled) if isinstance(scaled, int) else f"{scaled:.2f}"
    return text.replace(".", ",") if portuguese else text


# --- How values look on the page -----------------------------------------------------------------------------------


def duration(seconds: float | None) -> str:
    """In the unit that says enough: "40 min", "3.5 h", "2.1 days"."""
    if seconds is None:
        return "–"
    if seconds < 5400:
        return _("%(count)s min") % {"count": max(1, round(seconds / 60))}
    if seconds < 48 * 3600:
        return _("%(count)s h") % {"count": _number(seconds / 3600, 1)}
    return _("%(count)s days") % {"count": _number(seconds / 86400, 1)}


def _number(value: Any, places: int = 0) -> str:
    return str(formats.number_format(value, decimal_pos=places, use_l10n=True, force_grouping=True))


def grown(value: float | None) -> str:
    if value is None:
        return "–"
    if abs(value) >= 10:
        return _("%(times)s times") % {"times": _number(value + 1)}
    places = 0 if abs(value) >= 0.1 else 1
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{_number(abs(value) * 100, places)} %"


SHOWN: Mapping[str, Callable[[Any], str]] = {
    "text": str,
    "day": lambda day: str(formats.date_format(day, "SHORT_DATE_FORMAT")),
    "count": _number,
    "money": lambda amount: money(Decimal(amount).quantize(Decimal("0.01"))),
    "amount": lambda amount: _number(amount, 2),
    "quantity": lambda amount: quantity(Decimal(amount).normalize()),
    "share": percent,
    "change": grown,
    "time": duration,
}


def shown(kind: str, value: Any) -> str:
    return "–" if value is None else SHOWN[kind](value)


# Less than this is no news.
NOTABLE = 0.02


def tone(kind: str, value: Any) -> str:
    if kind != "change" or value is None or abs(value) < NOTABLE:
        return ""
    return "green" if value > 0 else "red"


# --- The tables ----------------------------------------------------------------------------------------------------

ORDERS, PIECES, REVENUE = gettext_lazy("Orders"), gettext_lazy("Pieces"), gettext_lazy("Revenue")
TICKET, CHANGE = gettext_lazy("Average ticket"), pgettext_lazy("figure", "Change")
CANCELLED, RETURNED = pgettext_lazy("figure", "Cancelled"), pgettext_lazy("figure", "Returned")
CHANNEL = gettext_lazy("Channel")
NO_STATE = gettext_lazy("not given")
STAGE_NAMES = {
    "payment": gettext_lazy("Sale to payment"),
    "export": gettext_lazy("Payment to ERP"),
    "invoice": gettext_lazy("ERP to invoice"),
    "dispatch": gettext_lazy("Invoice to dispatch"),
    "delivery": gettext_lazy("Dispatch to delivery"),
    "to_invoice": gettext_lazy("Sale to invoice, in all"),
    "to_dispatch": gettext_lazy("Sale to dispatch, in all"),
    "to_delivery": gettext_lazy("Sale to delivery, in all"),
}
WEEKDAYS = (
    pgettext_lazy("weekday", "Mon"),
    pgettext_lazy("weekday", "Tue"),
    pgettext_lazy("weekday", "Wed"),
    pgettext_lazy("weekday", "Thu"),
    pgettext_lazy("weekday", "Fri"),
    pgettext_lazy("weekday", "Sat"),
    pgettext_lazy("weekday", "Sun"),
)


def days(found: Insights, _names: Mapping[int, str]) -> Table:
    columns = [
        Column(gettext_lazy("Day") if found.step == 1 else gettext_lazy("Week from"), "day"),
        Column(ORDERS), Column(PIECES, "quantity"), Column(REVENUE, "money"),
        Column(TICKET, "money"), Column(CANCELLED), Column(RETURNED),
    ]  # fmt: skip
    rows = [
        [day, one.orders, one.pieces, one.revenue, one.ticket, one.cancelled, one.returned]
        for day, one in found.steps(found.days)
    ]
    title = gettext_lazy("Sales by day") if found.step == 1 else gettext_lazy("Sales by week")
    return Table("days", title, columns, rows)


def channels(found: Insights, names: Mapping[int, str]) -> Table:
    columns = [
        Column(CHANNEL, "text"), Column(REVENUE, "money"), Column(CHANGE, "change"), Column(ORDERS),
        Column(CHANGE, "change"), Column(TICKET, "money"), Column(gettext_lazy("Commission"), "money"),
        Column(gettext_lazy("of revenue"), "share"), Column(CANCELLED, "share"), Column(RETURNED, "share"),
    ]  # fmt: skip
    rows = [
        [
            names[pk], pair.now.revenue, pair.change("revenue"), pair.now.orders, pair.change("orders"),
            pair.now.ticket, pair.now.fees, pair.now.commission, pair.now.cancellation, pair.now.returns,
        ]
        for pk, pair in _by_revenue(found.channels)
    ]  # fmt: skip
    return Table("channels", gettext_lazy("By channel"), columns, rows, bars=1)


def _by_revenue(pairs: Mapping[Any, Pair]) -> list[tuple[Any, Pair]]:
    return sorted(pairs.items(), key=lambda one: (-one[1].now.revenue, -one[1].now.orders, str(one[0])))


def states(found: Insights, _names: Mapping[int, str]) -> Table:
    columns = [
        Column("UF", "text"), Column(REVENUE, "money"), Column(CHANGE, "change"), Column(ORDERS),
        Column(gettext_lazy("of all"), "share"), Column(TICKET, "money"), Column(RETURNED, "share"),
    ]  # fmt: skip
    rows = [
        [
            state or NO_STATE, pair.now.revenue, pair.change("revenue"), pair.now.orders,
            share(pair.now.orders, found.whole.now.orders), pair.now.ticket, pair.now.returns,
        ]
        for state, pair in _by_revenue(found.states)
        if pair.now.orders or pair.before.orders
    ]  # fmt: skip
    return Table("states", gettext_lazy("By state"), columns, rows, bars=1)


def products(found: Insights, _names: Mapping[int, str]) -> Table:
    columns = [
        Column(gettext_lazy("Product"), "text"), Column("SKU", "text"), Column(REVENUE, "money"),
        Column(CHANGE, "change"), Column(PIECES, "quantity"), Column(CHANGE, "change"),
    ]  # fmt: skip
    rows = [
        [
            one.title or one.key, one.key, one.revenue, change(one.revenue, one.revenue_before),
            one.pieces, change(one.pieces, one.pieces_before),
        ]
        for one in found.products
    ]  # fmt: skip
    note = gettext_lazy("Price times what is left of each line, less its discount; without freight.")
    return Table("products", gettext_lazy("Best-selling products"), columns, rows, bars=2, note=note)


def hours(found: Insights, _names: Mapping[int, str]) -> Table:
    columns = [Column(gettext_lazy("Hour"), "text"), *(Column(name) for name in WEEKDAYS), Column(gettext_lazy("All"))]
    by_hour = list(zip(*found.hours, strict=True))
    rows = [[f"{hour:02}h", *counts, sum(counts)] for hour, counts in enumerate(by_hour)]
    return Table("hours", gettext_lazy("When buyers buy"), columns, rows)


def stages(found: Insights, _names: Mapping[int, str]) -> Table:
    columns = [
        Column(gettext_lazy("Stage"), "text"), Column(ORDERS), Column(gettext_lazy("Half within"), "time"),
        Column(gettext_lazy("before"), "time"), Column(gettext_lazy("Nine of ten within"), "time"),
        Column(gettext_lazy("before"), "time"), Column(gettext_lazy("Average"), "time"),
        Column(gettext_lazy("of the whole way"), "share"),
    ]  # fmt: skip
    lost = time_lost(found)
    rows = []
    for stage in STAGES:
        now, then = found.stages[stage.code], found.stages_before[stage.code]
        half, nine = (0.5, 0.9)
        rows.append([
            STAGE_NAMES[stage.code], now.count, now.percentile(half), then.percentile(half), now.percentile(nine),
            then.percentile(nine), now.mean, lost.get(stage.code),
        ])  # fmt: skip
    note = gettext_lazy(
        "Of the orders that have got so far; percentiles are right to within a tenth. "
        "What a marketplace sends from its own warehouse is left out."
    )
    return Table("stages", gettext_lazy("Time between stages"), columns, rows, bars=7, note=note)


def time_lost(found: Insights) -> dict[str, float | None]:
    """stage -> its share of the average way from the sale to the buyer's door."""
    means = {stage.code: found.stages[stage.code].mean or 0 for stage in STAGES if not stage.whole}
    whole = sum(means.values())
    return {code: share(mean, whole) for code, mean in means.items()}


def carriers(found: Insights, _names: Mapping[int, str]) -> Table:
    columns = [
        Column(gettext_lazy("Carrier"), "text"), Column(gettext_lazy("Parcels")),
        Column(pgettext_lazy("figure", "Delivered")),
        Column(gettext_lazy("On time"), "share"), Column(gettext_lazy("Late")),
        Column(gettext_lazy("Average on the way"), "time"), Column(gettext_lazy("With a problem")), Column(RETURNED),
    ]  # fmt: skip
    rows = [
        [one.name, one.parcels, one.delivered, one.punctual, one.late, one.mean, one.troubled, one.returned]
        for one in found.carriers
    ]
    note = gettext_lazy("On time: of the delivered parcels that had been promised for a day, by the first promise.")
    return Table("carriers", gettext_lazy("Carriers"), columns, rows, bars=1, note=note)


def freight(found: Insights, names: Mapping[int, str]) -> Table:
    columns = [
        Column(CHANNEL, "text"), Column(gettext_lazy("Orders with a known cost")),
        Column(gettext_lazy("Freight charged"), "money"), Column(gettext_lazy("Freight paid"), "money"),
        Column(gettext_lazy("Difference"), "money"),
    ]  # fmt: skip
    rows = [
        [
            names[pk], pair.now.freight_orders, pair.now.freight_known, pair.now.freight_cost,
            pair.now.freight_difference,
        ]
        for pk, pair in _by_revenue(found.channels)
        if pair.now.freight_orders
    ]  # fmt: skip
    note = gettext_lazy("Only orders whose channel says what the freight cost you.")
    return Table("freight", gettext_lazy("Freight charged and paid"), columns, rows, note=note)


def currencies(found: Insights, _names: Mapping[int, str]) -> Table:
    columns = [Column(gettext_lazy("Currency"), "text"), Column(ORDERS), Column(gettext_lazy("Total"), "amount")]
    rows = [[code, one.orders, one.total] for code, one in sorted(found.foreign.items())]
    return Table("currencies", gettext_lazy("Other currencies"), columns, rows)


TABLES: Mapping[str, Callable[[Insights, Mapping[int, str]], Table]] = {
    make.__name__: make for make in (days, channels, states, products, hours, stages, carriers, freight, currencies)
}
