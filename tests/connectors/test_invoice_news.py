"""An ERP that announces invoices apart from orders: what was read with its order is not read again."""

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from connectors import operations
from connectors.models import Job
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
    hint = json.dumps([external_id, cancelled]).encode()
    desk: Any = SimpleNamespace(
        adapter=SimpleNamespace(invoice_in=lambda said: tuple(json.loads(said))),
        connection=SimpleNamespace(seller_id=(seller or toy.seller).pk),
        together=lambda read, job: hint,
    )
    return operations._invoice_known(desk, [Job(pk=1, input={"entry": 1})])[1]


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
