"""The label of a DBA order: Amazon plans the collection and hands out the label in one call (Easy Ship 2022-03-23).

That call moves the order on at Amazon, and it does so once: who lost its answer prints the label in Seller Central.
Setting: `label_format` `pdf` (default) or `zpl`.
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from connectors.channels.amazon import auth, mapping
from connectors.contract import Label
from connectors.failures import Category, Failure, NotYet, Refusal
from connectors.reading import Reader
from orders.documents import OrderDocument

if TYPE_CHECKING:
    from connectors.channels.amazon.adapter import Amazon

TOKENS = "/tokens/2021-03-01/restrictedDataToken"
BULK = "/easyShip/2022-03-23/packages/bulk"
NEEDED = "FULFILLMENT,PACKAGES"
NEW_SLOTS = timedelta(minutes=2)
NOT_ENABLED = (
    "Amazon denies planning the collection by API: the application needs the role Direct-to-Consumer Shipping. Until "
    "then, plan it and print the label in Seller Central."
)
# Another try gets another slot.
PASSING = frozenset({"RetryableAfterGettingNewSlots", "ScheduleWindowExpired"})


def fetch(adapter: "Amazon", order: OrderDocument) -> Label:
    """Raises `NotYet` before Amazon's window for printing, and `Refusal` for orders without a label of Amazon's."""
    if reason := _none_of_amazons(order):
        raise Refusal(reason, code="no_label")
    _ready(adapter.read(order.external_id, NEEDED))
    address = _planned(adapter, order.external_id)
    # At once: the address is good for moments. The file names the buyer.
    answer = adapter.http.handed_out("GET", address, operation="downloadLabel", unrecorded=True)
    return Label(answer.content, "application/zip", f"amazon-{order.external_id}.zip")


def _none_of_amazons(order: OrderDocument) -> str:
    words = set(order.raw_logistics.split())
    if words & mapping.COLLECTED:
        return ""
    if "AMAZON" in words:
        return "Amazon ships this order and prints its label itself."
    return "Amazon has no label for orders that your own carrier takes. Print the hub's own."


def _ready(now: Reader) -> None:
    fulfillment = now.maybe("fulfillment")
    status = fulfillment.text("fulfillmentStatus", "")
    if status in ("CANCELLED", "SHIPPED"):
        raise Refusal(f"Amazon shows this order as {status}: there is nothing left to send.", code="nothing_left")
    opens = fulfillment.moment("labelPrintingWindow.earliestDateTime", None)
    if opens is not None and opens > datetime.now(UTC):
        raise NotYet("Amazon lets this label be printed later.", retry_at=opens)


def _planned(adapter: "Amazon", order_id: str) -> str:
    """The address of the file. With the order's id alone Amazon takes the earliest slot."""
    wanted = "ZPL" if str(adapter.account.settings.get("label_format") or "").lower().startswith("zpl") else "PDF"
    body = {
        "marketplaceId": adapter.marketplace,
        "orderScheduleDetailsList": [{"amazonOrderId": order_id}],
        "labelFormat": wanted,
    }
    with auth.not_enabled(NOT_ENABLED):
        token = _restricted_token(adapter)
        try:
            answer = adapter.call(
                lambda: adapter.http.post(BULK, operation="createScheduledPackageBulk", json=body, token=token),
                "createScheduledPackageBulk",
            ).reader()
        except Failure as failure:
            if failure.code not in PASSING:
                raise
            raise _refused(adapter, failure.code, "") from failure
    if address := answer.text("printableDocumentsUrl", ""):
        return address
    for rejected in answer.list("rejectedOrders"):
        error = rejected.maybe("error")
        raise _refused(adapter, error.text("code", ""), error.text("message", ""))
    raise Failure(Category.TRANSIENT, "Amazon planned the collection and handed out no label.", code="no_address")


def _restricted_token(adapter: "Amazon") -> str:
    """For that one path. It lives an hour, but labels are rare enough to take a new one each time."""
    body: dict[str, Any] = {"restrictedResources": [{"method": "POST", "path": BULK}]}
    answer = adapter.call(
        lambda: adapter.http.post(TOKENS, operation="createRestrictedDataToken", json=body, effect=False),
        "createRestrictedDataToken",
    )
    return answer.reader().text("restrictedDataToken")


def _refused(adapter: "Amazon", code: str, message: str) -> Failure:
    """What one order's code means: the same as the code of a whole call that was refused."""
    if code in PASSING:
        return NotYet("Amazon's times for collecting have changed.", retry_at=datetime.now(UTC) + NEW_SLOTS)
    verdict = adapter.http.service.failures.verdict(400, code)
    return Failure(verdict.category, f"{verdict.sentence} It said: {message}", code=code)
