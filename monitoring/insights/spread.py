"""How long something took, over many cases, in a form that adds up: counts in buckets that grow by a fixed factor."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

# Seconds. All that is shorter is "at once"; above it each bucket is a tenth wider than the one before, so a percentile
# read from the buckets misses the true one by less than a tenth. Counts that are kept hold for these two alone.
SHORTEST = 60
FACTOR = 1.1


def bucket_of(seconds: int) -> int:
    """The same arithmetic as `counting.Bucket` does in the database."""
    return math.floor(math.log(max(seconds, SHORTEST) / SHORTEST) / math.log(FACTOR))


def begins(bucket: float) -> float:
    return float(SHORTEST * FACTOR**bucket)


@dataclass
class Spread:
    """Of so many cases: their seconds together, and how many fell into each bucket."""

    count: int = 0
    seconds: int = 0
    buckets: Counter[int] = field(default_factory=Counter)

    def add(self, bucket: int, count: int, seconds: int) -> None:
        self.count += count
        self.seconds += seconds
        self.buckets[bucket] += count

    def merge(self, stored: Mapping[str, Any]) -> None:
        self.count += stored["count"]
        self.seconds += stored["seconds"]
        for bucket, count in stored["buckets"].items():
            self.buckets[int(bucket)] += count

    def as_json(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "seconds": self.seconds,
            "buckets": {str(bucket): count for bucket, count in sorted(self.buckets.items())},
        }

    def percentile(self, share: float) -> float | None:
        """Seconds within which this share (0 to 1) of the cases was done; None without any.

        Within its bucket the cases are taken to lie evenly on the scale that the buckets have.
        """
        wanted = share * self.count
        passed = 0
        for bucket, count in sorted(self.buckets.items()):
            if passed + count >= wanted and count:
                return begins(bucket + (wanted - passed) / count)
            passed += count
        return None

    @property
    def mean(self) -> float | None:
        return self.seconds / self.count if self.count else None


HOURS, WEEKDAYS = 24, 7


@dataclass
class Pace:
    """Orders by weekday (0 is Monday) and hour, and how long each of their stages took."""

    hours: list[list[int]] = field(default_factory=lambda: [[0] * HOURS for _day in range(WEEKDAYS)])
    stages: dict[str, Spread] = field(default_factory=lambda: defaultdict(Spread))

    def add(self, day: date, hours: Sequence[int], stages: Mapping[str, Any]) -> None:
        """One day's counts."""
        _add(self.hours[day.weekday()], hours)
        self._merge(stages)

    def add_month(self, hours: Sequence[Sequence[int]], stages: Mapping[str, Any]) -> None:
        for week, counts in zip(self.hours, hours, strict=True):
            _add(week, counts)
        self._merge(stages)

    def _merge(self, stages: Mapping[str, Any]) -> None:
        for code, stored in stages.items():
            self.stages[code].merge(stored)


def _add(counts: list[int], more: Sequence[int]) -> None:
    counts[:] = [one + other for one, other in zip(counts, more, strict=True)]
