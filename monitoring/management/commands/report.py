import csv
import json
from argparse import ArgumentParser
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone, translation

from hub.models import Seller
from monitoring.reports.base import REPORTS, Report, Row, Scope, everything
from monitoring.reports.words import COLUMNS, cell, facts

FORMATS = ("table", "json", "csv")
WIDEST = 60


class Command(BaseCommand):
    help = "What stands still, one row for each. Without a name: all reports, with how many rows each case has."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", metavar="NAME", help=", ".join(REPORTS))
        parser.add_argument("--format", choices=FORMATS, default="table")
        parser.add_argument("--seller", metavar="SLUG", help="only this seller's; without: everybody's")
        parser.add_argument("--case", default="", help="only this case of the report")

    def handle(self, *args: Any, **options: Any) -> None:
        scope = Scope(_sellers(options["seller"]), timezone.now(), case=options["case"])
        with translation.override("en"):
            if options["name"] is None:
                return self._all(scope, options["format"])
            report = _report(options["name"], options["case"])
            return self._rows(everything(report, scope), scope.now, options["format"])

    def _all(self, scope: Scope, form: str) -> None:
        counted = {name: dict(report.counts(scope)) for name, report in REPORTS.items()}
        if form == "json":
            self.stdout.write(json.dumps(counted, indent=2))
            return
        rows = [(name, case, count) for name, cases in counted.items() for case, count in cases.items()]
        if form == "csv":
            csv.writer(self.stdout).writerows([("report", "case", "rows"), *rows])
            return
        for name, case, count in rows:
            self.stdout.write(f"{name:<20}{case:<16}{count:>8}")

    def _rows(self, rows: Iterable[Row], now: datetime, form: str) -> None:
        if form == "csv":
            writer = csv.writer(self.stdout, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows([cell(value) for value in facts(row, now).values()] for row in rows)
        elif form == "json":
            self.stdout.write(json.dumps([facts(row, now) for row in rows], indent=2, default=str, ensure_ascii=False))
        else:
            self._table([facts(row, now) for row in rows])

    def _table(self, rows: list[dict[str, Any]]) -> None:
        if not rows:
            self.stdout.write("Nothing.")
            return
        shown = ("case", "number", "channel", "hours", "value", "cause")
        cells = [shown, *([cell(row[name])[:WIDEST] for name in shown] for row in rows)]
        widths = [max(len(line[place]) for line in cells) for place in range(len(shown))]
        for line in cells:
            padded = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
            self.stdout.write("  ".join(padded).rstrip())


def _sellers(slug: str | None) -> tuple[int, ...]:
    sellers = Seller.objects.filter(slug=slug) if slug else Seller.objects.all()
    found = tuple(sellers.order_by("pk").values_list("pk", flat=True))
    if slug and not found:
        raise CommandError(f"There is no seller {slug!r}.")
    return found


def _report(name: str, case: str) -> Report:
    report = REPORTS.get(name)
    if report is None:
        raise CommandError(f"There is no report {name!r}. There are: {', '.join(REPORTS)}.")
    if case and case not in report.cases:
        raise CommandError(f"{name} has no case {case!r}. It has: {', '.join(report.cases)}.")
    return report
