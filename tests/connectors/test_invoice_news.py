"""An ERP that announces invoices apart from orders: what was read with its order is not read again."""

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from connectors import operations
from hub.models import Seller
from orders import invoices
from orders.models import Order
from tests.support.toy import Toys, toys

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def toy() -> Iterator[Toys]:
    with toys() as made:
        yield made


def announced(toy: Toys, external_id: str, *, cancelled: bool = False, seller: Seller | None = None) -> bool:
    adapter = SimpleNamespace(invoice_in=lambda hint: tuple(json.loads(hint)))
    connection = SimpleNamespace(seller_id=(seller or toy.seller).pk)
    desk: Any = SimpleNamespace(adapter=adapter, connection=connection)
    return operations._invoice_known(desk, json.dumps([external_id, cancelled]).encode())


def test_a_known_invoice_is_no_news(toy: Toys) -> None:
    toy.shop.place("1")
    toy.poll()
    order = Order.objects.get()
    row = order.invoices.create(
        seller_id=order.seller_id, key="1" * 44, external_id="9", sealed_xml=invoices.seal(b"<nfeProc/>")
    )
    assert announced(toy, "9")
    assert not announced(toy, "8")
    assert not announced(toy, "9", cancelled=True)
    assert not announced(toy, "9", seller=Seller.objects.create(name="Other", slug="other"))
    row.sealed_xml = ""
    row.save()
    assert not announced(toy, "9")
