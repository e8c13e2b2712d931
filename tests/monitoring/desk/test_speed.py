"""The pages that `bench pages` measures open, with a number of statements that their orders do not decide."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.db import connection

from hub.models import Membership
from monitoring.bench import many_orders, pages
from orders import priority
from orders.models import Order


def _asked(addresses: pages.Paths) -> Iterator[tuple[str, int]]:
    client = pages.browser()
    for name, path in addresses.items():
        yield name, pages.look(client, path)[1]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="the orders are written by PostgreSQL itself")
def test_no_page_asks_for_each_of_its_orders() -> None:
    shop = many_orders.shop()
    user = User.objects.create(username="bench", is_staff=True)
    Membership.objects.create(user=user, seller=shop.seller, role=Membership.Role.OWNER)
    many_orders.fill(shop, 3_000)
    pages.add_lines()
    priority.rank()
    one = Order.objects.order_by("-placed_at").values_list("pk", "external_id")[50]
    for name, count in _asked(pages.addresses(one, shop)):
        # A list shows 25 orders: one statement for each would be more.
        assert count < (25 if name.startswith("orders") else 45), name
