"""Deadlines that the channel's calendar gave."""

from django.db import transaction

from orders import calendar
from orders.models import Order, SalesChannel
from orders.vocabulary import OrderStatus

# Orders written in one transaction: a channel's pages must not wait long for them.
RECKONED_AT_ONCE = 500


def reckon_deadlines(channel: SalesChannel) -> int:
    """The channel's calendar has changed: deadlines that it gave to orders which have not left. Returns how many."""
    working = calendar.of_channel(channel.calendar)
    open_orders = Order.objects.filter(
        channel=channel,
        status__in=(OrderStatus.APPROVED, OrderStatus.INVOICED),
        ship_by_reckoned=True,
        approved_at__isnull=False,
    )
    count = last = 0
    while True:
        with transaction.atomic():
            some = list(
                open_orders.filter(pk__gt=last).order_by("pk").select_for_update(of=("self",))[:RECKONED_AT_ONCE]
            )
            for order in some:
                order.ship_by = working.due(order.approved_at or order.placed_at)
            Order.objects.bulk_update(some, ["ship_by"])
        if not some:
            return count
        count, last = count + len(some), some[-1].pk
