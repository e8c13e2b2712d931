import json
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from connectors.models import Connection, Job
from monitoring.models import Incident
from tests.monitoring.world import World, text_of


def figures(client: Client, **headers: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200
    families = text_string_to_metric_families(text_of(answer))
    return {one.name: [(sample.labels, sample.value) for sample in one.samples] for one in families}


@pytest.fixture
def open_to_all(settings: object) -> None:
    settings.EMBEDDED, settings.METRICS_TOKEN = True, ""  # type: ignore[attr-defined]


@pytest.mark.usefixtures("open_to_all")
def test_the_figures(client: Client, world: World) -> None:
    for number in range(3):
        world.export_job(world.order(str(number)))
    world.export_job(world.order("9"), Job.State.READY)
    Connection.objects.filter(pk=world.shop.pk).update(state=Connection.State.SIGN_IN)
    Incident.objects.create(
        seller=world.seller, connection=world.erp, operation="export", category="rejected", cause="x", message="No."
    )
    found = figures(client)
    labels = {"connection": str(world.erp.pk), "kind": "bling", "role": "erp"}
    assert ({**labels, "operation": "export", "state": "refused"}, 3.0) in found["entreposto_jobs"]
    assert ({**labels, "operation": "export", "state": "ready"}, 1.0) in found["entreposto_jobs"]
    up = {label["kind"]: value for label, value in found["entreposto_connection_up"]}
    assert up == {"bling": 1.0, "mercado_livre": 0.0}
    assert found["entreposto_incidents_open"][0][1] == 1.0
    assert found["entreposto_oldest_due_seconds"][0][0] == labels


@pytest.mark.usefixtures("open_to_all")
def test_more_orders_are_no_more_lines(client: Client, world: World) -> None:
    world.export_job(world.order("1"))
    before = len(client.get("/metrics").content.splitlines())
    for number in range(2, 40):
        world.export_job(world.order(str(number)))
    assert len(client.get("/metrics").content.splitlines()) == before


def test_a_server_wants_its_token(client: Client, world: World, settings: object) -> None:
    settings.EMBEDDED, settings.METRICS_TOKEN = False, ""  # type: ignore[attr-defined]
    assert client.get("/metrics").status_code == 403
    settings.METRICS_TOKEN = "said once"  # type: ignore[attr-defined]
    assert client.get("/metrics", headers={"authorization": "Bearer wrong"}).status_code == 403
    assert figures(client, authorization="Bearer said once")


@pytest.mark.usefixtures("open_to_all")
def test_the_documents_name_what_there_is(client: Client, world: World) -> None:
    """Names are promises: the list in docs and the dashboard know no others, and all."""
    docs = Path(settings.BASE_DIR) / "docs"
    exported = {name for name in figures(client) if name.startswith("entreposto_")}
    assert set(re.findall(r"`(entreposto_\w+)`", (docs / "metrics.md").read_text())) == exported
    dashboard = json.loads((docs / "grafana.json").read_text())
    asked = {name for panel in dashboard["panels"] for one in panel["targets"] for name in re.findall(r"entreposto_\w+", one["expr"])}  # fmt: skip # noqa: E501
    assert asked <= exported
