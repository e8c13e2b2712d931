from itertools import combinations, permutations

import pytest

from orders.documents import Milestones
from orders.lifecycle import MILESTONES, advance, derive
from orders.models import Order
from orders.tags import RETURN_FLOW
from orders.vocabulary import OrderStatus, Source
from tests.orders.factory import NOW, at


def known(*names: str, minutes: int = 0) -> Milestones:
    return Milestones(**{f"{name}_at": at(minutes) for name in names})


@pytest.mark.parametrize(
    ("names", "status"),
    [
        ((), OrderStatus.PENDING),
        (("approved",), OrderStatus.APPROVED),
        (("invoiced",), OrderStatus.INVOICED),
        (("approved", "invoiced"), OrderStatus.INVOICED),
        (("approved", "shipped"), OrderStatus.SHIPPED),
        (("delivered",), OrderStatus.DELIVERED),
        (("approved", "cancelled"), OrderStatus.CANCELLED),
        (("invoiced", "cancelled"), OrderStatus.CANCELLED),
        (("shipped", "cancelled"), OrderStatus.SHIPPED),
        (("delivered", "cancelled"), OrderStatus.DELIVERED),
        (("returned", "cancelled", "delivered"), OrderStatus.RETURNED),
    ],
)
def test_status_follows_from_what_is_known(names: tuple[str, ...], status: OrderStatus) -> None:
    assert derive(known(*names)) == status


def test_every_order_of_every_set_of_facts_ends_the_same() -> None:
    names = [name.removesuffix("_at") for name in MILESTONES]
    for size in (2, 3):
        for chosen in combinations(names, size):
            ends = set()
            for order_of_arrival in permutations(chosen):
                order = Order()
                for minutes, name in enumerate(order_of_arrival):
                    advance(order, known(name, minutes=minutes), now=NOW)
                ends.add((order.status, tuple(order.tags)))
            assert len(ends) == 1


def test_the_earliest_time_stays() -> None:
    order = Order()
    advance(order, known("shipped", minutes=9), now=NOW)
    assert advance(order, known("shipped", minutes=5), now=NOW) == []
    advance(order, known("shipped", minutes=7), now=NOW)
    assert order.shipped_at == at(5)


def test_each_step_is_told_once_with_its_source() -> None:
    order = Order()
    first = advance(order, known("approved", "invoiced"), source=Source.ERP, now=NOW)
    assert [(event.code, event.source, event.at) for event in first] == [
        ("approved", "erp", NOW),
        ("invoiced", "erp", NOW),
    ]
    assert advance(order, known("approved", "invoiced"), now=NOW) == []


def test_a_cancellation_after_shipping_is_a_return_flow() -> None:
    order = Order()
    advance(order, known("shipped"), now=NOW)
    events = advance(order, known("cancelled"), now=NOW)
    assert order.status == OrderStatus.SHIPPED
    assert order.tags == [RETURN_FLOW]
    assert [event.code for event in events] == ["cancelled_after_shipping"]
    assert [event.code for event in advance(order, known("delivered"), now=NOW)] == ["delivered"]


def test_knowing_nothing_moves_nothing() -> None:
    order = Order(status=OrderStatus.PENDING)
    assert advance(order, Milestones(), now=NOW) == []
    assert order.status == OrderStatus.PENDING
