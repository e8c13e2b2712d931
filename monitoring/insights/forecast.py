"""What the next days will bring, from the days before alone: a weekly pattern on a level that follows slowly.

Two plain methods are tried on the weeks just past, and the one that would have erred less speaks. Its error is part of
the answer: whoever reads the forecast sees what it was worth lately.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WEEK = 7
# A pattern of the week needs some weeks to be seen, and more weeks than these say nothing of today.
FEWEST_WEEKS = 4
LEARNT_WEEKS = 8
# Weeks at the end of the past that are forecast from what came before them.
TESTED_WEEKS = 4
# How far the level follows each new day: half of a lasting change is taken in within four days.
FOLLOW = 0.15


@dataclass(frozen=True)
class Forecast:
    """`days`: one amount for each day to come. `error`: mean share by which a day's forecast missed, lately (MAPE)."""

    days: list[float]
    error: float | None
    method: str


Method = Callable[[Sequence[float], int], list[float]]


def same_day_last_week(past: Sequence[float], length: int) -> list[float]:
    return [past[-WEEK + number % WEEK] for number in range(length)]


def smoothed(past: Sequence[float], length: int) -> list[float]:
    """Each day of the week has its share of an average one; the level without the shares is smoothed exponentially."""
    recent = past[-WEEK * LEARNT_WEEKS :]
    shares = _shares(recent)
    # The last day of the past has place -1: weekdays are counted from the end.
    level = statistics.fmean(recent[:WEEK])
    for place, amount in enumerate(recent, start=-len(recent)):
        if share := shares[place % WEEK]:
            level += FOLLOW * (amount / share - level)
    return [level * shares[number % WEEK] for number in range(length)]


def _shares(recent: Sequence[float]) -> list[float]:
    """For each day of the week, the day after the last one first: its amount over that of an average day."""
    middle = statistics.fmean(recent)
    if not middle:
        return [0.0] * WEEK
    by_day = [
        [amount for place, amount in enumerate(recent, -len(recent)) if place % WEEK == day] for day in range(WEEK)
    ]
    return [statistics.fmean(amounts) / middle for amounts in by_day]


METHODS: dict[str, Method] = {"smoothed": smoothed, "last_week": same_day_last_week}


def forecast(past: Sequence[float], length: int) -> Forecast | None:
    """The days after `past`, one amount a day, gaps as 0; None while there is too little of it."""
    if len(past) < WEEK * FEWEST_WEEKS or not any(past):
        return None
    errors = {name: error(method, past) for name, method in METHODS.items()}
    name = min(errors, key=lambda one: (errors[one] is None, errors[one] or 0))
    return Forecast(METHODS[name](past, length), errors[name], name)


def error(method: Method, past: Sequence[float]) -> float | None:
    """Of each of the last weeks, forecast from what came before it. A day without sales has no share to miss by."""
    misses = []
    for back in range(TESTED_WEEKS, 0, -1):
        known = past[: len(past) - back * WEEK]
        if len(known) < WEEK * 2:
            continue
        came = past[len(known) : len(known) + WEEK]
        misses += [abs(told - true) / true for told, true in zip(method(known, WEEK), came, strict=True) if true]
    return statistics.fmean(misses) if misses else None


# --- A sudden drop -------------------------------------------------------------------------------------------------

# Less than half of the usual, and so many fewer that chance alone does not explain it (three standard deviations of
# a count).
DROP = 0.5
CERTAIN = 3


def dropped(past: Sequence[float]) -> float | None:
    """What the last day would usually have had, if it had suddenly far fewer orders; None if all is usual."""
    usual_days = past[-1 - WEEK :: -WEEK][:LEARNT_WEEKS]
    if len(usual_days) < FEWEST_WEEKS:
        return None
    usual, came = statistics.median(usual_days), past[-1]
    return usual if came < usual * DROP and usual - came > CERTAIN * usual**0.5 else None
