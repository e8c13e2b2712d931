"""The same through the simulated services as they speak: Bling's own refusal, its own calls, its own search."""

from collections.abc import Iterator

import pytest
from django.utils import timezone

from connectors import operations, polling, work
from connectors.models import Connection, Job
from connectors.simulation import world
from hub.models import Seller
from monitoring.incidents import cure, gather, plan, remedies
from monitoring.incidents.plan import Choice
from monitoring.models import Incident
from orders.models import OrderItem

KINDS = ("mercado_livre", "bling")


@pytest.fixture
def simulated(db: None) -> Iterator[world.World]:
    started = world.start(KINDS)
    yield started
    started.stop()


def drain(connections: dict[str, Connection]) -> None:
    """Everything that is due, for as long as something moves."""
    for _turn in range(4):
        Job.objects.filter(state__in=(Job.State.READY, Job.State.UNKNOWN)).exclude(operation="read_erp").update(
            due_at=timezone.now()
        )
        for kind in KINDS:
            connections[kind].refresh_from_db()
            while work.drain(connections[kind], operations.OPERATIONS, operations.refused, lambda: False):
                pass


def test_a_product_that_bling_does_not_have(simulated: world.World) -> None:
    bling = simulated.simulator("bling")
    seller = Seller.objects.create(name="Casa", slug="casa")
    connections = world.connect(simulated, seller, calls_per_second=0)
    kept = {sku: bling.products.pop(sku) for sku in list(bling.products)}
    simulated.simulator("mercado_livre").place(4, logistic="cross_docking")
    Connection.objects.update(next_poll_at=timezone.now())
    polling.poll(connections["mercado_livre"].pk, lambda: False)
    drain(connections)
    gather.gather()
    incident = Incident.objects.select_related("connection").get()
    assert (incident.operation, incident.code, incident.blocked) == ("export", "sku", 4)
    skus = {remedies.sku_of("sku", error) for error in Job.objects.exclude(error="").values_list("error", flat=True)}
    assert skus <= set(OrderItem.objects.values_list("sku", flat=True))
    # Nothing is mended yet: Bling itself is asked, and none would go.
    looked = plan.look(incident, Choice())
    assert not looked.go and len(looked.left_out) == 4
    # All products are there now but one.
    missing = min(skus)
    bling.products.update({sku: rows for sku, rows in kept.items() if sku != missing})
    looked = plan.look(incident, Choice())
    still = set(OrderItem.objects.filter(sku=missing).values_list("order__external_id", flat=True))
    assert {step.number for step, _reason in looked.left_out} == still
    assert len(looked.go) == 4 - len(still)
    bling.products.update(kept)
    cure.begin(incident, Choice(), "ana")
    drain(connections)
    assert len(bling.orders) == 4
    gather.gather()
    incident.refresh_from_db()
    assert incident.blocked == 0
    calls = [(call.method, call.path) for call in plan.calls_of(incident)]
    assert calls[-1] == ("POST", "/Api/v3/pedidos/vendas")
