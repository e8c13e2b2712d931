"""The simulated Amazon's feeds (2021-06-30), of which it knows one kind: the seller's cancellation."""

import gzip
import time
from dataclasses import dataclass, field
from typing import Any

from connectors.channels.amazon.simulated_quota import Refused, operation
from connectors.channels.amazon.simulated_requests import invalid, json_object
from connectors.channels.amazon.simulated_sale import MARKETPLACE, digits
from connectors.channels.amazon.simulated_store import Store
from connectors.simulation.server import Request, Response, route

CANCELLATION = "POST_FLAT_FILE_ORDER_ACKNOWLEDGEMENT_DATA"
COLUMNS = ["order-id", "cancellation-reason-code", "amazon-order-item-code"]
REASONS = {"NoInventory", "ShippingAddressUndeliverable", "CustomerExchange", "BuyerCanceled", "PricingError"}
TSV = "text/tab-separated-values; charset=UTF-8"


@dataclass
class Feed:
    """`report`: what the lines came to, once it is done."""

    content: bytes
    made_at: float = field(default_factory=time.monotonic)
    status: str = "IN_QUEUE"
    document: str = ""
    report: str = ""


class Feeds(Store):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Document id -> the address that it is to be put at.
        self.documents: dict[str, str] = {}
        self.feeds: dict[str, Feed] = {}

    def tick(self) -> None:
        super().tick()
        for feed in self.feeds.values():
            age = time.monotonic() - feed.made_at
            if feed.status in ("IN_QUEUE", "IN_PROGRESS"):
                feed.status = "IN_PROGRESS" if age >= self.feed_after / 2 else feed.status
                if age >= self.feed_after:
                    self._work_through(feed)

    @route("POST", "/feeds/2021-06-30/documents")
    @operation("createFeedDocument")
    def create_document(self, request: Request) -> Response:
        content_type = json_object(request).get("contentType")
        if not isinstance(content_type, str) or not content_type:
            raise invalid("contentType is required.")
        name = f"amzn1.tortuga.4.na.{digits(self.random, 12)}"
        self.documents[name] = self.hand_out(request, "PUT", content_type)
        return Response(201, {"feedDocumentId": name, "url": self.documents[name]})

    @route("POST", "/feeds/2021-06-30/feeds")
    @operation("createFeed")
    def create_feed(self, request: Request) -> Response:
        body = json_object(request)
        if body.get("feedType") != CANCELLATION or body.get("marketplaceIds") != [MARKETPLACE]:
            raise invalid("feedType or marketplaceIds is invalid.")
        address = self.documents.get(str(body.get("inputFeedDocumentId")))
        content = self.left(address) if address else None
        if content is None:
            raise invalid("The input document was not uploaded.")
        name = digits(self.random, 11)
        self.feeds[name] = Feed(content)
        return Response(202, {"feedId": name})

    @route("GET", "/feeds/2021-06-30/feeds/{feed_id}")
    @operation("getFeed")
    def get_feed(self, request: Request) -> Response:
        feed = self.feeds.get(request.args["feed_id"])
        if feed is None:
            raise Refused(404, "NotFound", "The feed was not found.")
        answer = {
            "feedId": request.args["feed_id"],
            "feedType": CANCELLATION,
            "marketplaceIds": [MARKETPLACE],
            "createdTime": self._now(),
            "processingStatus": feed.status,
        }
        return Response(body={**answer, **({"resultFeedDocumentId": feed.document} if feed.document else {})})

    @route("GET", "/feeds/2021-06-30/documents/{document_id}")
    @operation("getFeedDocument")
    def get_document(self, request: Request) -> Response:
        name = request.args["document_id"]
        feed = next((one for one in self.feeds.values() if one.document == name), None)
        if feed is None:
            raise Refused(404, "NotFound", "The document was not found.")
        address = self.hand_out(request, "GET", "text/plain", gzip.compress(feed.report.encode()))
        return Response(body={"feedDocumentId": name, "url": address, "compressionAlgorithm": "GZIP"})

    def _work_through(self, feed: Feed) -> None:
        head, *rows = [line.split("\t") for line in feed.content.decode().splitlines()] or [[]]
        feed.document = f"amzn1.tortuga.4.na.{digits(self.random, 12)}"
        if head != COLUMNS:
            feed.status, feed.report = "FATAL", "The file's columns are not known.\n"
            return
        errors = [(place, error) for place, row in enumerate(rows, 1) if (error := self._cancelled(row))]
        lines = [f"{place}\t\t90220\tError\t{error}" for place, error in errors]
        feed.status = "DONE"
        feed.report = "\n".join(
            [
                "Feed Processing Summary:",
                f"\tNumber of records processed\t\t{len(rows)}",
                f"\tNumber of records successful\t\t{len(rows) - len(errors)}",
                "",
                *(["original-record-number\tsku\terror-code\terror-type\terror-message", *lines] if lines else []),
                "",
            ]
        )

    def _cancelled(self, row: list[str]) -> str:
        """Why this line is not taken; empty where it is."""
        order_id, reason, item_id = [*row, "", "", ""][:3]
        sale = self.sales.get(order_id)
        item = next((one for one in sale.raw["orderItems"] if one["orderItemId"] == item_id), None) if sale else None
        if sale is None or item is None or reason not in REASONS:
            return "The order, its item or the reason is not known."
        if sale.status != "UNSHIPPED" or sale.program == "FBA":
            return "This order cannot be cancelled in its present state."
        item["cancellation"] = {"cancellationExecution": {"cancelledBy": "MERCHANT", "cancelReason": reason}}
        item["fulfillment"]["quantityUnfulfilled"] = 0
        if all("cancellationExecution" in one.get("cancellation", {}) for one in sale.raw["orderItems"]):
            self.cancel(order_id, "MERCHANT", reason)
        return ""
