"""The pages that `bench pages` measures open, with a number of statements that their orders do not decide."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection

from hub.models import Membership
from monitoring.bench import many_orders, pages
from monitoring.desk import filters
from orders import priority
from orders.models import Order


def _asked(addresses: pages.Paths) -> Iterator[tuple[str, int]]:
    client = pages.browser()
    for name, path in addresses.items():
        yield name, pages.look(client, path)[1]


ON_POSTGRESQL = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="the orders are written by PostgreSQL itself"
)


@pytest.mark.django_db(transaction=True)
@ON_POSTGRESQL
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


@pytest.mark.django_db(transaction=True)
@ON_POSTGRESQL
def test_which_orders_have_a_sku_is_answered_by_an_index_alone() -> None:
    shop = many_orders.shop()
    many_orders.fill(shop, 3_000)
    pages.add_lines()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    scope = filters.Scope([shop.seller.pk])
    found = filters.filtered(Order.objects.filter(seller=shop.seller), {"sku": "SKU-77"}, scope)
    plan = filters.in_order(found, {}, scope).values("pk").explain()
    assert "Index Only Scan" in plan and "item_of_sku" in plan


def test_a_server_has_read_its_pages_before_the_first_is_asked_for() -> None:
    check = "import sys, hub.wsgi; sys.exit('monitoring.pages.orders' not in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True, cwd=settings.BASE_DIR)
