"""Working time of whoever ships a channel's orders: business days, hours, holidays and the cut-off, in its own zone.

Kept as JSON on `SalesChannel.calendar`; every key may be left out:

* `zone`: "America/Sao_Paulo"
* `days`: working days, 0 is Monday: [0, 1, 2, 3, 4]
* `opens`, `closes`: "08:00" and "18:00"; `closes` is later than `opens`
* `cut_off`: "14:00"; what is approved later counts as of the next working day
* `handling_days`: working days from then until it must have left: 1
* `state`: its UF, for state holidays on top of the national ones: ""
* `closed`: further days without work, ISO dates: ["2026-12-24"]
* `risk_hours`: working hours before a deadline from which an order is at risk; the seller's own where it is left out
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import holidays
from django.utils.formats import date_format
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

DAY = timedelta(days=1)
ZONE = "America/Sao_Paulo"
DAYS = (0, 1, 2, 3, 4)
OPENS, CLOSES, CUT_OFF = time(8), time(18), time(14)
HANDLING_DAYS = 1
# More than any channel allows; bounds what a mistyped number costs.
MOST_HANDLING_DAYS = 60
MOST_RISK_HOURS = 240
# Days looked at on one side of a moment: whoever closes for longer does not work with orders any more.
LONGEST = 800


class BadCalendar(ValueError):
    """`key` is the setting that cannot be used; the message says why, in the reader's language."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


class Deadline(NamedTuple):
    """`because`: how it came about, for a person."""

    at: datetime
    because: str


@dataclass(frozen=True)
class Calendar:
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo(ZONE))
    days: frozenset[int] = frozenset(DAYS)
    opens: time = OPENS
    closes: time = CLOSES
    cut_off: time = CUT_OFF
    handling_days: int = HANDLING_DAYS
    state: str = ""
    closed: frozenset[date] = frozenset()
    risk_hours: int | None = None

    @classmethod
    def of(cls, chosen: Mapping[str, Any]) -> "Calendar":
        """From `SalesChannel.calendar`. Raises `BadCalendar`."""
        made = cls(**{key: _READ[key](chosen[key]) for key in _READ if chosen.get(key) not in (None, "")})
        if made.opens >= made.closes:
            raise BadCalendar("closes", _("The day must end after it begins."))
        if not made.days:
            raise BadCalendar("days", _("At least one day of the week must be a working day."))
        return made

    # --- Days

    def holiday(self, day: date) -> str:
        """The holiday's name; empty on any other day."""
        return _holidays(self.state, day.year, (get_language() or "").startswith("pt")).get(day, "")

    def works(self, day: date) -> bool:
        return day.weekday() in self.days and day not in self.closed and day not in _holidays(self.state, day.year)

    def working_day(self, day: date, later: int = 0) -> date:
        """The first working day from `day` on, and so many working days later."""
        found = self._days(day, DAY)
        for _earlier in range(later):
            next(found)
        return next(found)

    def _days(self, day: date, step: timedelta) -> Iterator[date]:
        """Working days from `day` on, forwards or backwards. Raises `BadCalendar` where there are none."""
        for _place in range(LONGEST):
            if self.works(day):
                yield day
            day += step
        raise BadCalendar("closed", _("There is no working day within two years."))

    def _hours(self, day: date) -> tuple[datetime, datetime]:
        """When the day's work begins and ends, UTC: a day on which clocks change is an hour shorter or longer."""
        begins, ends = (datetime.combine(day, at, self.zone).astimezone(UTC) for at in (self.opens, self.closes))
        return begins, ends

    # --- Moments

    def due(self, ready_at: datetime) -> datetime:
        """By when an order that could be worked on from `ready_at` must have left, UTC."""
        ready = ready_at.astimezone(self.zone)
        counted = self.working_day(ready.date() + DAY if self._missed(ready) else ready.date())
        return self._hours(self.working_day(counted, self.handling_days))[1]

    def _missed(self, ready: datetime) -> bool:
        return ready.time() > self.cut_off and self.works(ready.date())

    def ship_by(self, ready_at: datetime) -> Deadline:
        """`due`, and how it came about, in the reader's language."""
        at = self.due(ready_at)
        return Deadline(at, self._because(ready_at.astimezone(self.zone), at.astimezone(self.zone).date()))

    def _because(self, ready: datetime, day: date) -> str:
        """ "Friday 16:10, after the cut-off 14:00; 1 working day to handle it; so Tuesday 24/11 18:00" """
        parts = [f"{date_format(ready, 'l')} {ready:%H:%M}"]
        if self._missed(ready):
            parts[0] += ", " + _("after the cut-off %(time)s") % {"time": f"{self.cut_off:%H:%M}"}
        elif not self.works(ready.date()):
            parts[0] += ", " + _("no working day")
        if self.handling_days:
            said = ngettext(
                "%(count)s working day to handle it", "%(count)s working days to handle it", self.handling_days
            )
            parts.append(said % {"count": self.handling_days})
        parts += self._holidays_between(ready.date(), day)
        until = f"{date_format(day, 'l')} {date_format(day, 'SHORT_DATE_FORMAT')} {self.closes:%H:%M}"
        return "; ".join([*parts, _("so %(when)s") % {"when": until}])

    def _holidays_between(self, first: date, last: date) -> list[str]:
        days = (first + DAY * place for place in range((last - first).days + 1))
        return [
            _("%(day)s is a holiday (%(name)s)")
            % {"day": date_format(day, "SHORT_DATE_FORMAT"), "name": self.holiday(day)}
            for day in days
            if self.holiday(day) and day.weekday() in self.days
        ]

    def after(self, moment: datetime, working_hours: float) -> datetime:
        """The moment by which so many working hours have passed, UTC. None at all: the moment itself."""
        left = timedelta(hours=working_hours)
        moment = moment.astimezone(UTC)
        if not left:
            return moment
        for day in self._days(moment.astimezone(self.zone).date(), DAY):
            begins, ends = self._hours(day)
            begins = max(begins, moment)
            if begins + left <= ends:
                return begins + left
            left -= max(ends - begins, timedelta())
        raise AssertionError("unreachable: `_days` raises when it ends")

    def before(self, moment: datetime, working_hours: float) -> datetime:
        """The moment from which so many working hours lead to `moment`, UTC."""
        left = timedelta(hours=working_hours)
        moment = moment.astimezone(UTC)
        if not left:
            return moment
        for day in self._days(moment.astimezone(self.zone).date(), -DAY):
            begins, ends = self._hours(day)
            ends = min(ends, moment)
            if ends - left >= begins:
                return ends - left
            left -= max(ends - begins, timedelta())
        raise AssertionError("unreachable: `_days` raises when it ends")

    def working_hours_between(self, first: datetime, last: datetime) -> float:
        """Negative where `last` comes before `first`."""
        if last < first:
            return -self.working_hours_between(last, first)
        day, end = (moment.astimezone(self.zone).date() for moment in (first, last))
        total = timedelta()
        while day <= end:
            if self.works(day):
                begins, ends = self._hours(day)
                total += max(min(ends, last) - max(begins, first), timedelta())
            day += DAY
        return total.total_seconds() / 3600


@lru_cache(maxsize=512)
def _holidays(state: str, year: int, portuguese: bool = True) -> dict[date, str]:
    language = "pt_BR" if portuguese else "en_US"
    return dict(holidays.country_holidays("BR", subdiv=state or None, years=year, language=language).items())


def of_channel(chosen: Mapping[str, Any]) -> Calendar:
    """What a channel was given, or the usual calendar where that can't be used: an order must not wait for it."""
    try:
        return Calendar.of(chosen)
    except BadCalendar:
        return Calendar()


# --- Reading -------------------------------------------------------------------------------------------------------


def _zone(value: Any) -> ZoneInfo:
    try:
        return ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadCalendar("zone", _("There is no such time zone.")) from None


def _weekdays(value: Any) -> frozenset[int]:
    if isinstance(value, list) and all(isinstance(day, int) and 0 <= day <= 6 for day in value):
        return frozenset(value)
    raise BadCalendar("days", _("Days are numbers from 0 (Monday) to 6."))


def _time(key: str) -> Any:
    def read(value: Any) -> time:
        try:
            found = time.fromisoformat(str(value))
        except ValueError:
            found = None
        if found is None or found.tzinfo is not None:
            raise BadCalendar(key, _("This is not a time of day."))
        return found

    return read


def _number(key: str, most: int) -> Any:
    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            raise BadCalendar(key, _("This must be a whole number from 0 to %(most)s.") % {"most": most})
        return value

    return read


def _state(value: Any) -> str:
    if value not in holidays.country_holidays("BR").subdivisions:
        raise BadCalendar("state", _("There is no such state."))
    return str(value)


def _dates(value: Any) -> frozenset[date]:
    try:
        return frozenset(date.fromisoformat(one) for one in value)
    except (TypeError, ValueError):
        raise BadCalendar("closed", _("These are not dates.")) from None


_READ = {
    "zone": _zone,
    "days": _weekdays,
    "opens": _time("opens"),
    "closes": _time("closes"),
    "cut_off": _time("cut_off"),
    "handling_days": _number("handling_days", MOST_HANDLING_DAYS),
    "state": _state,
    "closed": _dates,
    "risk_hours": _number("risk_hours", MOST_RISK_HOURS),
}
