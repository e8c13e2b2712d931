"""The benchmarks' own promises that hold on any machine: statement counts. No clock is looked at here."""

import json
import os
import re
from contextlib import nullcontext
from importlib import import_module
from io import StringIO
from types import ModuleType
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection as database

from connectors import ledger, work
from connectors.models import Job
from monitoring import bench
from monitoring.bench import crowd, documents, incident, ingest, measure, pages
from monitoring.bench import ledger as ledger_bench
from monitoring.bench.measure import Report, statements
from orders.ingest import ingest as take
from orders.models import Order

pytestmark = pytest.mark.django_db


def test_a_page_of_new_orders_is_eight_statements_whatever_its_size() -> None:
    shop = documents.channel("test")
    counts = [ingest.statements_of_new(shop, size) for size in (5, 25)]
    # SQLite splits a statement by its parameter limit.
    assert counts == [8, 8] if database.vendor == "postgresql" else max(counts) <= 9
    assert Order.objects.filter(channel=shop).count() == 30


def test_a_page_with_nothing_new_is_one_statement() -> None:
    shop = documents.channel("test")
    page = documents.page("same", 5)
    take(shop, page)
    with statements() as seen:
        take(shop, page)
    assert len(seen) == 1
    assert seen[0].startswith("SELECT")


def test_the_yardstick_writes_the_very_same_rows() -> None:
    shop, other = documents.channel("test"), documents.channel("other")
    ingest.Rows(shop, documents.page("page", 3)).update_or_create(other)
    assert _whole(other.pk) == _whole(shop.pk)


def test_an_outage_is_one_incident_and_one_alert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incident, "LOOK_EACH", 120.0)
    report = Report()
    incident.outage(report, ledger_bench.idle_connection(), 200)
    assert [line for line in report.lines if not line.met] == []
    figures = {line.name: line.figure for line in report.lines}
    assert figures["incident: an hour's outage"] == "1 incident, 200 held up"
    assert figures["incident: alerts sent"] == "1 alert (new, mended)"


@pytest.mark.django_db(transaction=True)
def test_a_crowd_looks_at_each_page_and_a_page_is_weighed_with_its_files(
    live_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowd, "LOOKS", 1)
    monkeypatch.setattr(crowd, "CLIENTS", 2)
    User.objects.create(username="bench", is_staff=True)
    report, port = Report(), live_server.thread.port
    orders = {"orders": "/orders/", "orders, search": "/orders/?q=1"}
    crowd.speed(report, port, pages.browser(), orders, 0)
    crowd.weight(report, port, pages.browser(), {"orders": "/orders/"})
    names = ["orders: 2 clients", "orders, search: 2 clients", "orders: weight"]
    assert [line.name for line in report.lines] == names
    # The frame's style sheets and scripts are most of it.
    assert report.lines[-1].ratio > 0.2


def _whole(channel: int) -> list[tuple[object, ...]]:
    return [
        (order.external_id, order.total, order.content_hash, order.search)
        + tuple(getattr(order, name).count() for name in ("references", "items", "payments", "shipments", "events"))
        for order in Order.objects.filter(channel=channel).order_by("external_id")
    ]


def test_a_claim_of_many_jobs_and_their_end_are_one_statement_each() -> None:
    connection = ledger_bench.idle_connection()
    ledger_bench.line_up(connection, work.LARGEST_CLAIM)
    with statements() as seen:
        jobs = ledger.claim(connection, work.LARGEST_CLAIM, parallel=4)
        ledger.finish_all(jobs)
    assert len(jobs) == work.LARGEST_CLAIM
    assert len(seen) == 2
    assert not Job.objects.exclude(state=Job.State.DONE).exists()


def test_every_name_is_a_module_that_runs() -> None:
    for name in bench.NAMES:
        module = __import__(f"monitoring.bench.{name}", fromlist=["run"])
        assert callable(module.run)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(CommandError, match="There are: ingest, ledger"):
        call_command("bench", "speed", stdout=StringIO())


def test_an_aim_is_met_or_not() -> None:
    report = Report()
    report.add("more", "9", "1", 9.0, at_least=8)
    report.add("less", "2", "1", 2.0, at_most=1.1)
    lines = json.loads(json.dumps(report.as_json()))["lines"]
    assert [(line["aim"], line["met"]) for line in lines] == [(">= 8", True), ("<= 1.1", False)]


def test_contestants_take_turns_and_the_first_does_not_count() -> None:
    turns: list[str] = []
    medians = measure.alternate({"a": lambda: turns.append("a"), "b": lambda: turns.append("b")}, runs=2)
    assert turns == ["a", "b"] * 3
    assert set(medians) == {"a", "b"}


@pytest.fixture
def bench_command(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`ingest` fails before it has measured anything; `push` misses its aim and `ledger` meets it."""
    said = {
        "ingest": {"lines": [], "peak_kb": {}, "error": "exit 1, see stderr"},
        "push": _report(met=False),
        "ledger": _report(met=True),
    }
    module = import_module("monitoring.management.commands.bench")
    monkeypatch.setattr(module, "_servers", lambda: nullcontext({}))
    monkeypatch.setattr(module, "_run", lambda name, environment: said[name])
    return module


def _report(*, met: bool) -> dict[str, object]:
    report = Report()
    report.add("speed", "9/s", "1/s", 9.0, at_least=8 if met else 10)
    report.saw("bench")
    return report.as_json()


def _bench(*words: str) -> tuple[str, object]:
    out = StringIO()
    try:
        call_command("bench", *words, stdout=out, stderr=StringIO())
    except SystemExit as ended:
        return out.getvalue(), ended.code
    return out.getvalue(), 0


def test_one_that_fails_is_a_row_and_does_not_stop_the_others(bench_command: ModuleType) -> None:
    said, code = _bench("ingest", "ledger")
    assert code == 1
    assert re.search(r"^ingest +FAILED +exit 1, see stderr +NO$", said, re.M)
    assert re.search(r"^speed +9/s +1/s +9 +>= 8 +yes$", said, re.M)
    assert re.search(r"peak memory: bench \d+ MB$", said, re.M)


@pytest.mark.parametrize(("name", "code"), [("ledger", 0), ("push", 1), ("ingest", 1)])
def test_the_exit_code_and_json_say_whether_the_aims_are_met(bench_command: ModuleType, name: str, code: int) -> None:
    said, ended = _bench(name, "--json")
    assert ended == code
    assert list(json.loads(said)) == [name]


def test_a_benchmark_that_dies_is_told_from_one_that_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module("monitoring.management.commands.bench")
    monkeypatch.setattr(module.servers, "database", lambda server, name: nullcontext(""))
    died = module._run("no-such-benchmark", {**os.environ, "DATABASE_URL": "postgres://127.0.0.1:1/none"})
    assert died == {"lines": [], "peak_kb": {}, "error": "exit 1, see stderr"}
