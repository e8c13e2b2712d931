"""Cancelling a sale, which Amazon takes as a feed alone: the "order acknowledgement" that acknowledges nothing.

Setting: `cancel_reason`, one of Amazon's codes (default `NoInventory`). They are those of the XML feed; that the flat
file takes the same is not documented. The person's own words stay here: the feed has no place for them.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from connectors.channels.amazon import feeds, mapping
from connectors.channels.amazon.dispatch import NEEDED, unfulfilled
from connectors.contract import Outcome, Receipt
from connectors.failures import Refusal
from connectors.reading import Reader
from orders.documents import OrderDocument

if TYPE_CHECKING:
    from connectors.channels.amazon.adapter import Amazon

FEED = "POST_FLAT_FILE_ORDER_ACKNOWLEDGEMENT_DATA"
HEAD = ("order-id", "cancellation-reason-code", "amazon-order-item-code")
REASON = "NoInventory"
CANCELLED = Receipt(Outcome.ALREADY, "Amazon shows this order as cancelled.")


def cancel(adapter: "Amazon", order: OrderDocument, under_way: str) -> Receipt:
    """Looks first. So a feed whose answer was lost may be sent again: either it has cancelled the order by then, or the
    second one's lines are errors, and what the order shows decides.
    """
    if under_way:
        return _outcome(adapter, order.external_id, under_way)
    now = adapter.read(order.external_id, NEEDED)
    if _step(now) == "cancelled":
        return CANCELLED
    _check(now)
    reason = str(adapter.account.settings.get("cancel_reason") or REASON)
    lines = [(order.external_id, reason, item) for item in _live(now)]
    if not lines:
        raise Refusal("Amazon shows nothing of this order that is left to cancel.", code="nothing_left")
    feed_id = feeds.send(adapter, FEED, [HEAD, *lines])
    return Receipt(Outcome.UNDER_WAY, "Amazon is working on the cancellation.", feed_id)


def _check(now: Reader) -> None:
    fulfillment = now.maybe("fulfillment")
    if fulfillment.text("fulfilledBy", "") == "AMAZON":
        raise Refusal("Amazon ships this order itself: only the buyer or Amazon can cancel it.", code="not_ours")
    if _step(now) == "shipped" or any(_has_left(package) for package in now.list("packages")):
        raise Refusal("Amazon shows this order as sent: it cannot be cancelled any more.", code="has_left")


def _has_left(package: Reader) -> bool:
    """`detailedStatus` says more, but is missing for some sellers."""
    state = package.maybe("packageStatus")
    coarse = mapping.PACKAGE_STATES.get(state.text("status", ""))
    return mapping.DETAILED_STATES.get(state.text("detailedStatus", ""), coarse) in mapping.LEFT


def _live(now: Reader) -> Iterator[str]:
    for item in now.list("orderItems"):
        if unfulfilled(item) > 0 and not item.has("cancellation.cancellationExecution"):
            yield item.text("orderItemId")


def _step(now: Reader) -> str:
    return mapping.STATUSES.get(now.maybe("fulfillment").text("fulfillmentStatus", ""), "")


def _outcome(adapter: "Amazon", order_id: str, feed_id: str) -> Receipt:
    state, document_id = feeds.state(adapter, feed_id)
    if state not in ("DONE", "FATAL", "CANCELLED"):
        return Receipt(Outcome.UNDER_WAY, "Amazon is working on the cancellation.", feed_id)
    found = feeds.report(adapter, document_id) if document_id else feeds.Report()
    if state == "DONE" and found.understood and not found.errors:
        return Receipt(Outcome.ACCEPTED, "Amazon has taken the cancellation.")
    if _step(adapter.read(order_id, NEEDED)) == "cancelled":
        return CANCELLED
    said = " ".join(dict.fromkeys(found.errors)) or (state if found.understood else feeds.UNREADABLE)
    raise Refusal(f"Amazon has not cancelled the whole order. It said: {said}"[:1500], code="not_cancelled")
