"""The whole way with a real ERP: Mercado Livre's orders become sales in Tryton; what a person does there comes home."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from connectors import actions, ledger, operations, polling, work
from connectors.models import Connection, Job, Link
from connectors.simulation import world
from hub.models import Seller
from orders.models import Order
from tests.connectors.erps.tryton.wire import Wire, wire
from tests.support.tryton import CannotInstall, TrytonServer, nfe_key, tryton_server

pytestmark = [pytest.mark.real, pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def tryton() -> Iterator[TrytonServer]:
    try:
        with tryton_server() as running:
            yield running
    except CannotInstall as error:
        pytest.skip(f"no Tryton server here: {error}")


class Both:
    """A seller with the simulated Mercado Livre and the real Tryton, the wire between hub and ERP in our hands."""

    def __init__(self, tryton: TrytonServer, between: Wire, simulated: world.World) -> None:
        self.tryton, self.between = tryton, between
        self.shop: Any = simulated.simulator("mercado_livre")
        seller = Seller.objects.create(name="Loja", slug="loja")
        self.channel = world.connect(simulated, seller, calls_per_second=0)["mercado_livre"]
        settings = {"database": tryton.database, "login": tryton.login, "hosts": {"api": between.url}}
        self.books = actions.connect(seller, "tryton", "Tryton", settings, {"password": tryton.password})

    def turn(self, rounds: int = 3) -> None:
        """What workers and clock do, in this thread."""
        for _ in range(rounds):
            Connection.objects.update(next_poll_at=timezone.now(), rest_until=None)
            Job.objects.filter(state__in=ledger.OPEN).update(due_at=timezone.now())
            for connection in (self.channel, self.books):
                polling.poll(connection.pk, lambda: False)
                connection.refresh_from_db()
                while work.drain(connection, operations.OPERATIONS, operations.refused, lambda: False):
                    pass

    def sales(self, external_id: str) -> list[dict[str, Any]]:
        """Of this test's own channel: the server and the numbers are shared with the others."""
        mine = f"entreposto:{self.channel.channel_id}:"
        return [sale for sale in self.tryton.sales_with_reference(external_id) if mine in sale["comment"]]


@pytest.fixture
def both(tryton: TrytonServer) -> Iterator[Both]:
    simulated = world.start(("mercado_livre",), options={"mercado_livre": {"seed": id(tryton) % 1000}})
    with wire(tryton.url) as between:
        yield Both(tryton, between, simulated)
    simulated.stop()


def test_orders_go_in_and_what_is_done_in_tryton_comes_home(both: Both) -> None:
    placed = both.shop.place(4, logistic="default")
    both.turn(1)
    for number, external_id in enumerate(placed):
        (sale,) = both.sales(external_id)
        both.tryton.post_invoice(sale["id"], nfe_key(9000 + number))
        both.tryton.ship(sale["id"], f"BR{number:09}BR")
    both.turn()
    at_channel = both.shop.snapshot()
    for number, external_id in enumerate(placed):
        assert at_channel[external_id]["invoice_key"] == nfe_key(9000 + number)
        assert at_channel[external_id]["dispatched"]
    assert set(Order.objects.values_list("status", flat=True)) <= {"shipped", "delivered"}


def test_a_second_push_of_the_same_order_is_no_second_sale(both: Both) -> None:
    (external_id,) = both.shop.place(1, logistic="default")
    both.turn(1)
    Job.objects.filter(operation="export").update(state="ready", due_at=timezone.now())
    both.turn(1)
    assert len(both.sales(external_id)) == 1
    # Even where the hub has forgotten its own link: an uncertain job is looked up.
    Link.objects.all().delete()
    Order.objects.update(exported_at=None)
    Job.objects.filter(operation="export").update(state="unknown", uncertain=True, due_at=timezone.now())
    both.turn(1)
    assert len(both.sales(external_id)) == 1 and Link.objects.get().adopted


@pytest.mark.parametrize("lost", ["create", "confirm"])
def test_a_push_whose_answer_was_lost_is_still_one_sale(both: Both, lost: str) -> None:
    both.between.lose.add(f"model.sale.sale.{lost}")
    (external_id,) = both.shop.place(1, logistic="default")
    both.turn()
    (sale,) = both.sales(external_id)
    assert sale["state"] == "processing"
    assert Link.objects.get().external_id == str(sale["id"])
    assert Job.objects.get(operation="export").state == Job.State.DONE
