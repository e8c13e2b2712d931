"""What the reports about orders share: which orders, what is read of them, and each channel's working time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from connectors.contract import Role
from connectors.models import Connection, Link
from monitoring.reports.base import Action, Row, Scope, Text
from orders.calendar import Calendar, of_channel
from orders.models import Order, SalesChannel

# What a row shows; an order has columns that are far wider.
SHOWN = (
    "external_id", "seller_id", "channel_id", "channel__name", "channel__calendar", "channel__seller_id", "status",
    "logistics", "held", "holds", "released_holds", "placed_at", "approved_at", "exported_at", "invoiced_at",
    "shipped_at", "ship_by", "ship_by_reckoned", "deliver_by", "first_deliver_by", "moved_at", "state", "total",
    "currency",
)  # fmt: skip


def orders(scope: Scope) -> QuerySet[Order]:
    found = Order.objects.filter(seller_id__in=scope.sellers)
    if scope.channel is not None:
        found = found.filter(channel_id=scope.channel)
    return found.select_related("channel").only(*SHOWN)


def row(
    order: Order, case: str, since: datetime, cause: Text, *, deadline: datetime | None = None,
    actions: Iterable[Action] = (),
) -> Row:  # fmt: skip
    return Row(
        key=f"order:{order.pk}",
        case=case,
        seller_id=order.seller_id,
        channel=order.channel.name,
        number=order.external_id,
        since=since,
        cause=cause,
        order_id=order.pk,
        deadline=deadline,
        value=order.total,
        currency=order.currency,
        actions=tuple(actions),
    )


def links(found: Sequence[Order]) -> dict[int, Link]:
    """order -> its order in the ERP."""
    rows = Link.objects.filter(order__in=found, cancelled=False).select_related("connection")
    return {link.order_id: link for link in rows}


@dataclass(frozen=True)
class Working:
    """A channel's calendar, and the working hours before a deadline from which its orders are at risk."""

    calendar: Calendar
    risk_hours: int

    def risky(self, now: datetime) -> datetime:
        """Deadlines up to here are at risk."""
        return self.calendar.after(now, self.risk_hours)


def working(scope: Scope) -> dict[int, Working]:
    """channel -> its working time."""
    channels = SalesChannel.objects.filter(seller_id__in=scope.sellers)
    if scope.channel is not None:
        channels = channels.filter(pk=scope.channel)
    found: dict[int, Working] = {}
    for pk, chosen, risk_hours in channels.values_list("pk", "calendar", "seller__risk_hours"):
        calendar = of_channel(chosen)
        found[pk] = Working(calendar, risk_hours if calendar.risk_hours is None else calendar.risk_hours)
    return found


def by_channel(column: str, limits: Mapping[int, Any]) -> Q:
    """Rows whose channel has a limit that `column` (with its look-up: "ship_by__lte") keeps."""
    channels: dict[Any, list[int]] = {}
    for channel, limit in limits.items():
        channels.setdefault(limit, []).append(channel)
    kept = Q(pk__in=[])
    for limit, ids in channels.items():
        kept |= Q(channel_id__in=ids, **{column: limit})
    return kept


def channel_connections(scope: Scope) -> QuerySet[Connection]:
    found = Connection.objects.filter(seller_id__in=scope.sellers, role=Role.CHANNEL)
    return found if scope.channel is None else found.filter(channel_id=scope.channel)


def connections(found: Sequence[Order]) -> dict[int, int]:
    """channel -> its connection."""
    rows = Connection.objects.filter(channel__in={order.channel_id for order in found})
    return {channel: pk for channel, pk in rows.values_list("channel", "pk") if channel is not None}


def reckoned(order: Order) -> str:
    """How a deadline that the channel did not name came about."""
    if not order.ship_by_reckoned or order.approved_at is None:
        return ""
    because = of_channel(order.channel.calendar).ship_by(order.approved_at).because
    return _("Deadline by the channel's calendar: %(because)s.") % {"because": because}


def sentences(*parts: Text) -> str:
    return " ".join(str(part) for part in parts if part)
