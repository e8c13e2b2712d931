import json
import os
import signal
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from monitoring import bench
from monitoring.bench import servers

# Two people may measure on one server.
DATABASE = f"entreposto_bench_{os.getpid()}"
COLUMNS = ("name", "figure", "yardstick", "ratio", "aim", "met")


class Command(BaseCommand):
    help = (
        "Benchmarks, each beside its yardstick in the same run. On the servers of DATABASE_URL and REDIS_URL (in "
        "databases of their own, dropped afterwards), else on throw-away ones. Exit 1 when an aim is missed or a "
        "benchmark fails; the others run all the same."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(bench.NAMES)}; none: all")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        # Otherwise throw-away servers would be left running.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        names = options["names"] or list(bench.NAMES)
        if unknown := sorted(set(names) - set(bench.NAMES)):
            raise CommandError(f"No benchmark {', '.join(unknown)}. There are: {', '.join(bench.NAMES)}.")
        reports: dict[str, Any] = {}
        try:
            with _servers() as environment:
                for number, name in enumerate(names, 1):
                    self.stderr.write(f"bench {name} ({number} of {len(names)}) …")
                    reports[name] = _run(name, environment)
                    if not options["json"]:
                        self._table(name, reports[name], first=name == names[0])
        except servers.NotInstalled as missing:
            raise CommandError(f"{missing} Set DATABASE_URL and REDIS_URL, or install it.") from missing
        if options["json"]:
            self.stdout.write(json.dumps(reports, indent=2))
        if not all(report["lines"] and all(line["met"] for line in report["lines"]) for report in reports.values()):
            sys.exit(1)

    def _table(self, name: str, report: dict[str, Any], *, first: bool) -> None:
        if first:
            self._row(COLUMNS)
        if "error" in report:
            self._row((name, "FAILED", report["error"], "", "", "NO"))
        for line in report["lines"]:
            met = "yes" if line["met"] else "NO"
            self._row((line["name"], line["figure"], line["yardstick"], f"{line['ratio']:.3g}", line["aim"], met))
        peaks = ", ".join(f"{process} {kb / 1024:.0f} MB" for process, kb in report["peak_kb"].items())
        if peaks:
            self.stdout.write(f"{'':<32}peak memory: {peaks}")

    def _row(self, cells: tuple[str, ...]) -> None:
        widths = (32, 30, 40, 8, 9, 4)
        line = "".join(f"{cell:<{width - 1}} " for cell, width in zip(cells, widths, strict=True))
        self.stdout.write(line.rstrip())
        self.stdout.flush()


def _run(name: str, environment: dict[str, str]) -> dict[str, Any]:
    """A process and a database of its own for each: none finds what another left behind. One that fails has no lines
    but an `error`; its own words went to stderr."""
    with servers.database(environment["DATABASE_URL"], DATABASE) as database:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "monitoring.bench", name],
            cwd=servers.ROOT, env={**environment, "DATABASE_URL": database}, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            said, _nothing = process.communicate()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(servers.STOP_SECONDS)
    if process.returncode:
        return {"lines": [], "peak_kb": {}, "error": f"exit {process.returncode}, see stderr"}
    report: dict[str, Any] = json.loads(said.splitlines()[-1])
    return report


@contextmanager
def _servers() -> Iterator[dict[str, str]]:
    """The environment of a production hub on the given servers, or on new ones, with keys of its own."""
    with ExitStack() as stack:
        database = os.environ.get("DATABASE_URL") or stack.enter_context(servers.Postgres()).url
        given = os.environ.get("REDIS_URL")
        broker = stack.enter_context(servers.empty_redis(given)) if given else stack.enter_context(servers.Redis()).url
        home = stack.enter_context(servers.folder("home"))
        yield {**os.environ, **servers.hub_env(database, broker, home), "LOG_LEVEL": "WARNING"}
