"""Which open order to handle first, and why: four parts of 0 to 100 points each, weighed as the seller wishes, and
what a rule adds or takes.

Urgency changes with the clock and is reckoned when it is asked for; the others change with the order alone, are
weighed once and kept in `Order.worth`. So the list is sorted by the database, over the open orders only.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import models, transaction
from django.db.models import (
    Avg,
    Case,
    Count,
    F,
    FloatField,
    Func,
    OuterRef,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Coalesce, Greatest, Least
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from hub.models import Seller
from orders import bulk
from orders.models import Order, OrderItem
from orders.vocabulary import OrderStatus


class Part(models.TextChoices):
    URGENCY = "urgency", gettext_lazy("Urgency")
    IMPACT = "impact", gettext_lazy("Value")
    COST = "cost", gettext_lazy("Little work")
    CUSTOMER = "customer", gettext_lazy("Customer")


USUAL_WEIGHTS: Mapping[str, int] = {Part.URGENCY: 60, Part.IMPACT: 20, Part.COST: 10, Part.CUSTOMER: 10}
OPEN = (OrderStatus.APPROVED, OrderStatus.INVOICED)
# No urgency from here on; all of it when the deadline has come.
CALM = timedelta(hours=72)
# A customer whose orders a person has marked counts in full.
IMPORTANT = "vip"
# Until a seller has sold anything to compare with.
FIRST_TOTAL = Decimal(150)
# Locked at once: a channel's pages must not wait long for them.
BATCH = 500


def weights_of(seller: Seller) -> dict[str, int]:
    """The seller's weights; usual ones where none are chosen. Their sum is never 0."""
    chosen = {part: max(0, int(seller.weights.get(part, USUAL_WEIGHTS[part]))) for part in Part.values}
    return chosen if any(chosen.values()) else dict(USUAL_WEIGHTS)


# --- The parts, each 0 to 100 --------------------------------------------------------------------------------------


def urgency(ship_by: datetime | None, now: datetime) -> int:
    if ship_by is None:
        return 0
    left = (ship_by - now) / CALM
    return round(100 * min(1.0, max(0.0, 1 - left)))


def impact(total: Decimal, usual: Decimal) -> int:
    """50 for what this seller's orders usually are worth; a hundred times that is not a hundred times as urgent."""
    return round(100 * total / (total + usual)) if total > 0 else 0


def cost(pieces: int) -> int:
    """Little work first: one piece 100, five 50."""
    return round(100 / (1 + max(0, pieces - 1) / 4))


def customer(earlier_orders: int, tags: Sequence[str]) -> int:
    """One who comes back: 50 at the second order, 67 at the third."""
    return 100 if IMPORTANT in tags else round(100 * earlier_orders / (earlier_orders + 1))


@dataclass(frozen=True)
class Reason:
    """`points` of 0 to 100, counting `weight` per cent of the score; `why` is a sentence for a person."""

    part: Part
    points: int
    weight: int
    why: str


def explain(order: Order, now: datetime, pieces: int, earlier_orders: int, usual: Decimal) -> list[Reason]:
    """Why the order stands where it stands, a rule aside; the score is the sum of points times weight."""
    weights = weights_of(order.seller)
    whole = sum(weights.values())
    found = {
        Part.URGENCY: (urgency(order.ship_by, now), _urgent(order.ship_by, now)),
        Part.IMPACT: (
            impact(order.total, usual),
            _("worth %(times)s times a usual order") % {"times": number_format(order.total / usual, 1)},
        ),
        Part.COST: (cost(pieces), _work(pieces)),
        Part.CUSTOMER: (customer(earlier_orders, order.tags), _known(earlier_orders, order.tags)),
    }  # fmt: skip
    return [Reason(part, points, round(100 * weights[part] / whole), why) for part, (points, why) in found.items()]


def score(reasons: Iterable[Reason], boost: int) -> int:
    """With the points of a rule (`Order.boost`), still of 0 to 100."""
    return min(100, max(0, round(sum(reason.points * reason.weight for reason in reasons) / 100 + boost)))


def _urgent(ship_by: datetime | None, now: datetime) -> str:
    if ship_by is None:
        return _("no deadline is known")
    hours = int(abs((ship_by - now).total_seconds()) / 3600)
    return (_("%(hours)s h late") if ship_by < now else _("%(hours)s h left")) % {"hours": hours}


def _work(pieces: int) -> str:
    return ngettext("%(count)s piece to pack", "%(count)s pieces to pack", pieces) % {"count": pieces}


def _known(earlier_orders: int, tags: Sequence[str]) -> str:
    if IMPORTANT in tags:
        return _("marked as important")
    if not earlier_orders:
        return _("first order of this buyer")
    text = ngettext("%(count)s earlier order of this buyer", "%(count)s earlier orders of this buyer", earlier_orders)
    return text % {"count": earlier_orders}


# --- In the database -----------------------------------------------------------------------------------------------


def by_score(sellers: Iterable[Seller], now: datetime) -> Any:
    """To sort open orders by, best first with `.desc()`: the kept worth and the urgency of this moment."""
    weighed = [
        When(seller_id=seller.pk, then=Value(weights[Part.URGENCY] / sum(weights.values())))
        for seller in sellers
        for weights in [weights_of(seller)]
    ]
    share = Case(
        *weighed, default=Value(USUAL_WEIGHTS[Part.URGENCY] / sum(USUAL_WEIGHTS.values())), output_field=FloatField()
    )
    return Coalesce(F("worth"), 0.0, output_field=FloatField()) + share * _urgency(now)


def _urgency(now: datetime) -> Any:
    left = Seconds(F("ship_by"), Value(now, output_field=models.DateTimeField())) / CALM.total_seconds()
    return Coalesce(100.0 * Least(1.0, Greatest(0.0, 1.0 - left)), 0.0, output_field=FloatField())


class Seconds(Func):
    """From the second moment to the first, in seconds, on either database."""

    output_field = FloatField()
    template = "CAST(EXTRACT(EPOCH FROM (%(expressions)s)) AS double precision)"
    arg_joiner = " - "

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        first, second = self.get_source_expressions()
        (a, with_a), (b, with_b) = compiler.compile(first), compiler.compile(second)
        return f"((julianday({a}) - julianday({b})) * 86400.0)", [*with_a, *with_b]


# --- Keeping what does not change with the clock --------------------------------------------------------------------


@transaction.atomic
def rank(limit: int = BATCH) -> int:
    """Weighs the open orders that have not been weighed since they changed. Returns how many.

    Those that somebody is writing at the moment wait for the next time.
    """
    unweighed = Order.objects.filter(worth=None, status__in=OPEN).order_by("pk").select_related("seller")
    orders = list(unweighed.select_for_update(of=("self",), skip_locked=True)[:limit])
    usual = usual_totals({order.seller_id for order in orders})
    counted = pieces(orders)
    earlier = earlier_orders(orders)
    for order in orders:
        worth = _worth(order, usual[order.seller_id], counted.get(order.pk, 0), earlier.get(order.pk, 0))
        order.worth = worth + order.boost
    bulk.update(Order, orders, {"worth"})
    return len(orders)


def weigh_anew(orders: QuerySet[Order]) -> None:
    """Something that their worth depends on has changed: the weights, or their tags."""
    orders.filter(status__in=OPEN).update(worth=None)


def _worth(order: Order, usual: Decimal, count: int, earlier: int) -> float:
    weights = weights_of(order.seller)
    points = {
        Part.IMPACT: impact(order.total, usual),
        Part.COST: cost(count),
        Part.CUSTOMER: customer(earlier, order.tags),
    }
    return sum(weights[part] * value for part, value in points.items()) / sum(weights.values())


def usual_totals(sellers: Iterable[int]) -> dict[int, Decimal]:
    """seller -> what its orders usually are worth: the mean of the newest thousand."""
    return {pk: _usual_total(pk) for pk in sellers}


def _usual_total(seller: int) -> Decimal:
    newest = Order.objects.filter(seller=seller).order_by("-placed_at").values("total")[:1000]
    mean = newest.aggregate(mean=Avg("total"))["mean"]
    return Decimal(mean) if mean else FIRST_TOTAL


def pieces(orders: Sequence[Order]) -> dict[int, int]:
    """order -> how many pieces are left to pack."""
    rows = OrderItem.objects.filter(order__in=orders).order_by().values_list("order_id")
    return {pk: int(count or 0) for pk, count in rows.annotate(count=Sum(F("quantity") - F("cancelled")))}


def earlier_orders(orders: Sequence[Order]) -> dict[int, int]:
    """order -> how many earlier ones of the same buyer this seller has."""
    same = Order.objects.filter(
        seller=OuterRef("seller"), buyer_key=OuterRef("buyer_key"), placed_at__lt=OuterRef("placed_at")
    ).exclude(buyer_key="")
    counted = Subquery(same.order_by().values("buyer_key").annotate(count=Count("pk")).values("count"))
    known = [order.pk for order in orders if order.buyer_key]
    rows = Order.objects.filter(pk__in=known).order_by().values_list("pk").annotate(earlier=counted)
    return {pk: count or 0 for pk, count in rows}
