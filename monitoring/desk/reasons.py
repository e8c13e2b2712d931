"""Why an order stands where it stands, for all orders of a page in a fixed number of statements."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.core.cache import cache

from orders import priority
from orders.models import Order

# A seller's mean moves slowly, and is the mean of a thousand orders.
USUAL_SECONDS = 600


@dataclass(frozen=True)
class Place:
    """`score` of 0 to 100 with what it is made of; `boost` is what a rule adds or takes."""

    score: int
    reasons: Sequence[priority.Reason]
    boost: int


def places(orders: Sequence[Order], now: datetime) -> dict[int, Place]:
    """order -> its place; only what is open has one."""
    waiting = [order for order in orders if order.status in priority.OPEN]
    if not waiting:
        return {}
    usual = {pk: _usual(pk) for pk in {order.seller_id for order in waiting}}
    pieces, earlier = priority.pieces(waiting), priority.earlier_orders(waiting)
    found = {}
    for order in waiting:
        reasons = priority.explain(
            order, now, pieces.get(order.pk, 0), earlier.get(order.pk, 0), usual[order.seller_id]
        )
        found[order.pk] = Place(priority.score(reasons, order.boost), reasons, order.boost)
    return found


def _usual(seller: int) -> Decimal:
    known: Decimal | None = cache.get(f"usual-total:{seller}")
    if known is None:
        known = priority.usual_totals([seller])[seller]
        cache.set(f"usual-total:{seller}", known, USUAL_SECONDS)
    return known
