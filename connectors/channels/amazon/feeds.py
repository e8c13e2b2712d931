"""A feed: a file of lines that Amazon works through later, and a report of what came of each (Feeds 2021-06-30).

Document, upload, feed; then `state` until it is over, and `report`. Setting: `feed_content_type`, since the form of the
content type is not sure.
"""

import csv
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from connectors.channels.amazon import auth
from connectors.failures import Category, Failure, Refusal
from connectors.reading import Reader

if TYPE_CHECKING:
    from connectors.channels.amazon.adapter import Amazon

DOCUMENTS = "/feeds/2021-06-30/documents"
FEEDS = "/feeds/2021-06-30/feeds"
CONTENT_TYPE = "text/tab-separated-values; charset=UTF-8"
MOST_BYTES = 1024 * 1024
NOT_ENABLED = (
    "Amazon denies this by API: the application needs the roles Direct-to-Consumer Shipping and Inventory and Order "
    "Tracking. Until then, do it in Seller Central and mark this as handled."
)
UNREADABLE = "Amazon's report of the feed cannot be read."


@dataclass(frozen=True)
class Report:
    """`errors` in Amazon's words, one for each line that was refused. `understood`: the report could be read."""

    errors: Sequence[str] = ()
    understood: bool = True


def send(adapter: "Amazon", kind: str, rows: Sequence[Sequence[str]]) -> str:
    """The feed's id. Amazon grants a feed each two minutes for good."""
    content_type = str(adapter.account.settings.get("feed_content_type") or CONTENT_TYPE)
    made = _called(adapter, "POST", DOCUMENTS, "createFeedDocument", {"contentType": content_type})
    content = "".join("\t".join(row) + "\n" for row in rows).encode()
    # The address was signed for this content type.
    adapter.http.handed_out(
        "PUT", made.text("url"), operation="uploadFeed", data=content, headers={"Content-Type": content_type}
    )
    body = {
        "feedType": kind,
        "marketplaceIds": [adapter.marketplace],
        "inputFeedDocumentId": made.text("feedDocumentId"),
    }
    try:
        return _called(adapter, "POST", FEEDS, "createFeed", body).text("feedId")
    except Failure as failure:
        if failure.status != 400:
            raise
        raise Refusal(
            f"Amazon refused the feed, as it does where a seller's account is inactive. It said: {failure.message}",
            code=failure.code,
        ) from failure


def state(adapter: "Amazon", feed_id: str) -> tuple[str, str]:
    """(IN_QUEUE, IN_PROGRESS, DONE, FATAL or CANCELLED; the id of its report, where there is one)."""
    found = _called(adapter, "GET", f"{FEEDS}/{quote(feed_id, safe='')}", "getFeed")
    return found.text("processingStatus"), found.text("resultFeedDocumentId", "")


def report(adapter: "Amazon", document_id: str) -> Report:
    found = _called(adapter, "GET", f"{DOCUMENTS}/{quote(document_id, safe='')}", "getFeedDocument")
    content = adapter.http.handed_out("GET", found.text("url"), operation="downloadReport", largest=MOST_BYTES).content
    if found.text("compressionAlgorithm", "") == "GZIP":
        content = _unzipped(content)
    return read(content.decode("utf-8", "replace"))


def read(text: str) -> Report:
    """Every line: that a feed is done does not mean that all of its lines were.

    A summary first ("Number of records processed", "… successful"), then a table whose head names `error-message`. Its
    exact form is not documented; what fits neither is not understood.
    """
    counts: dict[str, int] = {}
    errors, head = list[str](), dict[str, int]()
    for row in csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE):
        cells = [cell.strip() for cell in row]
        names = {cell.lower().replace(" ", "-"): place for place, cell in enumerate(cells)}
        if "error-message" in names:
            head = names
        elif head and any(cells):
            errors += _refused(cells, head)
        elif len(filled := [cell for cell in cells if cell]) == 2 and filled[1].isdecimal():
            counts[filled[0].lower().rpartition(" ")[2]] = int(filled[1])
    failed = counts.get("processed", 0) - counts.get("successful", 0)
    if failed > 0 and not errors:
        errors = [f"{failed} of {counts['processed']} lines were not taken."]
    return Report(errors, understood=bool(head or counts.get("successful")))


def _refused(cells: Sequence[str], head: dict[str, int]) -> list[str]:
    """The line's error in Amazon's words; nothing for a warning."""
    found = {name: cells[place] for name, place in head.items() if place < len(cells)}
    if found.get("error-type", "").lower() == "warning":
        return []
    return [" ".join(filter(None, (found.get("error-code"), found.get("error-message"))))[:500]]


def _called(adapter: "Amazon", method: str, path: str, operation: str, body: Mapping[str, Any] | None = None) -> Reader:
    """A document that is made twice is left unused. A feed is not repeated at once: Amazon counts them."""
    effect = operation == "createFeed"
    with auth.not_enabled(NOT_ENABLED):
        return adapter.call(
            lambda: adapter.http.request(method, path, operation=operation, json=body, effect=effect), operation
        ).reader()


def _unzipped(content: bytes) -> bytes:
    try:
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(content, MOST_BYTES)
    except zlib.error:
        raise Failure(Category.TRANSIENT, UNREADABLE, code="not_gzip") from None
