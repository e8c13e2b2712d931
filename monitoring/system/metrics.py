"""The figures for Prometheus. Labels name connections, operations and states, never orders: their number stays small.

docs/metrics.md lists the names; they are kept stable.
"""

import hmac
from collections.abc import Iterable, Iterator
from datetime import timedelta

from django.conf import settings
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from connectors import health
from connectors.models import Connection, InboxEntry, Job
from monitoring.models import Alert, Heartbeat, Incident
from monitoring.system import samples
from monitoring.system.parts import queued

OPEN_JOBS = (Job.State.READY, Job.State.UNKNOWN, Job.State.RUNNING, Job.State.REFUSED)
OPEN_ENTRIES = (InboxEntry.State.WAITING, InboxEntry.State.REJECTED)
CONNECTION = ("connection", "kind", "role")


def metrics(request: HttpRequest) -> HttpResponse:
    """Everything in the text format. 403 without the token (`METRICS_TOKEN`); the embedded hub needs none."""
    if not _allowed(request):
        return HttpResponse("Send METRICS_TOKEN as a bearer token.\n", status=403, content_type="text/plain")
    registry = CollectorRegistry()
    registry.register(Figures())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _allowed(request: HttpRequest) -> bool:
    if not settings.METRICS_TOKEN:
        return bool(settings.EMBEDDED)
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return hmac.compare_digest(given.encode(), settings.METRICS_TOKEN.encode())


class Figures(Collector):
    """Reads the database anew for each scrape: the same figures whichever web process answers."""

    def collect(self) -> Iterable[Metric]:
        connections = {one.pk: one for one in Connection.objects.exclude(state=Connection.State.NEW)}
        labels = {pk: (f"{pk}", one.kind, one.role) for pk, one in connections.items()}
        yield from _connections(connections, labels)
        yield from _calls(labels)
        yield from _work(labels)
        yield from _parts()
        yield from _watch()


Labels = dict[int, tuple[str, str, str]]


def _connections(connections: dict[int, Connection], labels: Labels) -> Iterator[Metric]:
    up = GaugeMetricFamily("entreposto_connection_up", "1 where the connection is active.", labels=CONNECTION)
    resting = GaugeMetricFamily("entreposto_circuit_open", "1 while the connection rests.", labels=CONNECTION)
    polled = GaugeMetricFamily(
        "entreposto_poll_age_seconds", "Since the last look for news that went well.", labels=CONNECTION
    )
    now = timezone.now()
    for pk, one in connections.items():
        up.add_metric(labels[pk], one.state == Connection.State.ACTIVE)
        resting.add_metric(labels[pk], health.resting(one, now))
        if one.last_poll_ok_at is not None:
            polled.add_metric(labels[pk], (now - one.last_poll_ok_at).total_seconds())
    yield from (up, resting, polled)


def _calls(labels: Labels) -> Iterator[Metric]:
    calls = GaugeMetricFamily(
        "entreposto_calls", "Calls in the last five minutes, by how they ended.", labels=(*CONNECTION, "result")
    )
    seconds = GaugeMetricFamily(
        "entreposto_call_seconds", "How long calls of the last five minutes took.", labels=(*CONNECTION, "quantile")
    )
    for pk, point in samples.lately(labels, timezone.now() - timedelta(minutes=6)).items():
        good = point.calls - point.failed - point.limited
        for result, count in (("ok", good), ("failed", point.failed), ("limited", point.limited)):
            calls.add_metric((*labels[pk], result), count)
        seconds.add_metric((*labels[pk], "0.5"), point.median / 1000)
        seconds.add_metric((*labels[pk], "0.95"), point.p95 / 1000)
    yield from (calls, seconds)


def _work(labels: Labels) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("entreposto_jobs", "Open jobs.", labels=(*CONNECTION, "operation", "state"))
    rows = Job.objects.filter(state__in=OPEN_JOBS).order_by().values_list("connection_id", "operation", "state")
    for pk, operation, state, count in rows.annotate(count=Count("pk")):
        if pk in labels:
            jobs.add_metric((*labels[pk], operation, state), count)
    due = GaugeMetricFamily(
        "entreposto_oldest_due_seconds", "How long the oldest due job has waited.", labels=CONNECTION
    )
    for pk, (_count, oldest) in samples.waiting(timezone.now()).items():
        if pk in labels:
            due.add_metric(labels[pk], oldest)
    documents = GaugeMetricFamily("entreposto_documents", "Documents not read yet.", labels=(*CONNECTION, "state"))
    entries = InboxEntry.objects.filter(state__in=OPEN_ENTRIES).order_by().values_list("connection_id", "state")
    for pk, state, count in entries.annotate(count=Count("pk")):
        if pk in labels:
            documents.add_metric((*labels[pk], state), count)
    yield from (jobs, due, documents)


def _parts() -> Iterator[Metric]:
    beats = GaugeMetricFamily("entreposto_heartbeat_age_seconds", "Since a part last showed its life.", labels=["part"])
    now = timezone.now()
    for beat in Heartbeat.objects.all():
        beats.add_metric([beat.name], (now - beat.at).total_seconds())
    hints = queued()
    yield beats
    yield GaugeMetricFamily("entreposto_broker_up", "1 where the broker answers.", value=hints is not None)
    if hints is not None:
        yield GaugeMetricFamily("entreposto_broker_hints", "Hints that wait in the broker.", value=hints)


def _watch() -> Iterator[Metric]:
    incidents = Incident.objects.filter(state=Incident.State.OPEN).count()
    yield GaugeMetricFamily("entreposto_incidents_open", "Open incidents.", value=incidents)
    alerts = Alert.objects.exclude(state=Alert.State.MENDED).count()
    yield GaugeMetricFamily("entreposto_alerts_open", "Alerts that are not mended.", value=alerts)
