"""Every order created in a window, a hundred a call: with their status and amounts, and without any personal data."""

from collections.abc import Mapping
from typing import Any

from connectors.channels.amazon import mapping
from connectors.contract import ListedSale
from connectors.reading import Reader

# Without FULFILLMENT an order has no status, without PROCEEDS no total.
INCLUDED = "FULFILLMENT,PROCEEDS"


def listed(raw: Mapping[str, Any], settings: Mapping[str, Any]) -> ListedSale:
    """An order still pending has no total yet."""
    order = Reader(raw)
    status = mapping.STATUSES.get(order.maybe("fulfillment").text("fulfillmentStatus", ""), "")
    known = status and order.has("proceeds.grandTotal")
    return ListedSale(
        external_id=order.text("orderId"),
        part=order.text("orderId"),
        placed_at=order.when("createdTime"),
        status=status,
        raw_status=order.maybe("fulfillment").text("fulfillmentStatus", "")[:120],
        total=mapping.order(raw, settings).totals.total if known else None,
    )
