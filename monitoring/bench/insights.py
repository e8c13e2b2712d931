"""A seller's year of orders with their products, counted: what the page of insights reads."""

from django.db.models import Max

from monitoring.bench import many_orders
from monitoring.bench.many_orders import Shop
from monitoring.insights import tally
from orders.models import Order, OrderItem

# Five hundred products, a few of which make most of the sales.
ITEM = {
    "order_id": "id",
    "sku": "'SKU-' || (id * 7919 %% 1000) * (id * 7919 %% 1000) / 2000",
    "title": "'Product ' || (id * 7919 %% 1000) * (id * 7919 %% 1000) / 2000",
    "quantity": "1 + id %% 3",
    "unit_price": "total / (1 + id %% 3)",
}


def fill(made: Shop, amount: int) -> None:
    """So many orders more, each with a line; and all of them counted."""
    last = Order.objects.aggregate(last=Max("pk"))["last"] or 0
    many_orders.fill(made, amount)
    many_orders.insert(OrderItem(external_id="1"), ITEM, "orders_order WHERE id > %(first)s", {"first": last})
    tally.count_all()
