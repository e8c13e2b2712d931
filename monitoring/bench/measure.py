"""What a benchmark measures with: medians of alternating runs, ratios with an aim, peak memory."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.db import connection

TRANSACTION_WORDS = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


@dataclass(frozen=True)
class Line:
    """One row of the table. `ratio` is what `aim` speaks about: figure against yardstick, or the figure itself."""

    name: str
    figure: str
    yardstick: str
    ratio: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def aim(self) -> str:
        return f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"

    @property
    def met(self) -> bool:
        if self.at_least is not None:
            return self.ratio >= self.at_least
        return self.at_most is None or self.ratio <= self.at_most


@dataclass
class Report:
    """What one benchmark found. `peak_kb`: the highest resident memory of each process that took part."""

    lines: list[Line] = field(default_factory=list)
    peak_kb: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, figure: str, yardstick: str, ratio: float, **aim: float) -> None:
        self.lines.append(Line(name, figure, yardstick, ratio, **aim))

    def saw(self, name: str, pid: int | str = "self") -> None:
        self.peak_kb[name] = max(memory_kb(pid, "VmHWM"), self.peak_kb.get(name, 0))

    def as_json(self) -> dict[str, Any]:
        lines = [{**asdict(line), "aim": line.aim, "met": line.met} for line in self.lines]
        return {"lines": lines, "peak_kb": self.peak_kb}


def alternate(contestants: Mapping[str, Callable[[], object]], runs: int = 5) -> dict[str, float]:
    """name -> median seconds. They take turns, so that a busy moment of the machine hits all alike; the first
    turn warms up and does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(runs + 1):
        for name, contestant in contestants.items():
            started = time.perf_counter()
            contestant()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def memory_kb(pid: int | str, what: str = "VmRSS") -> int:
    """A process's memory from /proc (`VmRSS` now, `VmHWM` at its highest); 0 where there is none."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = [line.split()[1] for line in status.splitlines() if line.startswith(f"{what}:")]
    return int(found[0]) if found else 0


@contextmanager
def statements() -> Iterator[list[str]]:
    """The SQL statements run inside the block, without those that only begin or end transactions."""
    seen: list[str] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if not sql.lstrip().upper().startswith(TRANSACTION_WORDS):
            seen.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield seen
