"""Amazon's endpoints: searching and reading here, all else in rooms of its own. Facts: the vendor's models of 2026-08.

One search a listed order: `includedData` asks for everything at once, since a second call per order would not fit
Amazon's quota (one search in 179 seconds, a hundred orders each).
"""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from connectors.channels.amazon import auth, cancelling, census, dispatch, invoices, labels
from connectors.contract import (
    Account,
    CensusPage,
    Change,
    Credentials,
    Cursor,
    Label,
    Page,
    Receipt,
    ShipmentRef,
    Window,
)
from connectors.failures import Category, Failure
from connectors.http import Answer, Client
from connectors.reading import Reader
from orders.documents import InvoiceDocument, OrderDocument

ORDERS = "/orders/2026-01-01/orders"
MARKETPLACE = "A2Q3Y263D00KWC"
# Without FULFILLMENT an order has no status, without TAX no CPF, without PAYMENT no Pix or card data.
INCLUDED = "BUYER,RECIPIENT,PROCEEDS,PROMOTION,CANCELLATION,FULFILLMENT,PACKAGES,TAX,PAYMENT"
PAGE_SIZE = 100
# Amazon's lists lag by minutes; what is seen twice costs nothing.
OVERLAP = timedelta(minutes=10)
# Some accounts report delays of hours and orders that were missing from a list: once a day these days again.
SWEEP_EVERY = timedelta(hours=24)
SWEEP_BACK = timedelta(days=3)
# An upper bound younger than two minutes is refused; a minute more for clocks that differ.
YOUNGEST_BEFORE = timedelta(minutes=3)


class Amazon:
    """Settings: `marketplace_id`, `start_at`, `included_data`, and those of `invoices`, `dispatch`, `labels` (its
    format), `cancelling` (the reason) and `feeds`.
    """

    def __init__(self, account: Account, http: Client) -> None:
        self.account = account
        self.http = http
        http.auth = auth.headers
        http.explain = auth.explain
        self.renewal = auth.Renewal(http)
        self.marketplace = str(account.settings.get("marketplace_id") or MARKETPLACE)

    # --- Signing in

    def consent_url(self, state: str) -> str:
        return auth.consent_url(self.account, state)

    def exchange(self, code: str, query: Mapping[str, str]) -> Credentials:
        return auth.exchange(self.account, self.http, code, query)

    def refresh(self) -> Credentials:
        return auth.refresh(self.account, self.http)

    def check(self) -> str:
        """Reads at most one order of the last hour, without any personal data."""
        since = _stamp(datetime.now(UTC) - timedelta(hours=1))
        query = {"marketplaceIds": self.marketplace, "createdAfter": since, "maxResultsPerPage": 1}
        self.call(lambda: self.http.get(ORDERS, operation="searchOrders", params=query), "searchOrders").reader()
        return self.account.external_account or str(self.account.credentials.get("selling_partner_id", "Amazon"))

    # --- Reading

    def changes(self, cursor: Cursor, window: Window | None = None) -> Page:
        """By last update since the watermark; a window by creation. The cursor is what the next call needs.

        `{"watermark", "swept"}` between two rounds; within one also `{"after", "token", "seen"}`.
        """
        if window is not None:
            return self._backfill(cursor, window)
        place = cursor if cursor.get("token") else self._new_round(cursor)
        found = self._search({"lastUpdatedAfter": place["after"]}, str(place.get("token") or ""), self.included)
        seen = max([place["seen"], *_updates(found)])
        kept = {"watermark": place["watermark"], "swept": place["swept"]}
        if token := found.maybe("pagination").text("nextToken", ""):
            cursor = {**kept, "after": place["after"], "token": token, "seen": seen}
        else:
            cursor = {**kept, "watermark": max(place["watermark"], seen)}
        return Page([_change(entry) for entry in self._listed(found)], cursor, more=bool(token))

    def _new_round(self, cursor: Cursor) -> Cursor:
        now = datetime.now(UTC)
        watermark = cursor.get("watermark")
        swept = cursor.get("swept") or _stamp(now)
        if watermark is None:
            watermark = after = _stamp(_parsed(self.account.settings.get("start_at")) or now)
        else:
            after = _stamp((_parsed(watermark) or now) - OVERLAP)
            if now - (_parsed(swept) or now) >= SWEEP_EVERY:
                after, swept = min(after, _stamp(now - SWEEP_BACK)), _stamp(now)
        return {"watermark": watermark, "swept": swept, "after": after, "seen": watermark}

    def census(self, cursor: Cursor, window: Window) -> CensusPage:
        found, after = self._created(cursor, window, census.INCLUDED)
        return CensusPage([census.listed(one, self.account.settings) for one in found], after, more=bool(after))

    def _backfill(self, cursor: Cursor, window: Window) -> Page:
        found, after = self._created(cursor, window, self.included)
        return Page([_change(entry) for entry in found], after, more=bool(after))

    def _created(self, cursor: Cursor, window: Window, included: str) -> tuple[Sequence[Any], Cursor]:
        """A page of the orders created in the window, and the next one's cursor."""
        before = cursor.get("before") or _stamp(min(window.until, datetime.now(UTC) - YOUNGEST_BEFORE))
        since = _stamp(window.since)
        if before <= since:
            return (), {}
        period = {"createdAfter": since, "createdBefore": before}
        found = self._search(period, str(cursor.get("token") or ""), included)
        token = found.maybe("pagination").text("nextToken", "")
        return self._listed(found), {"before": before, "token": token} if token else {}

    def _search(self, period: Mapping[str, str], token: str, included: str) -> Reader:
        query = {
            "marketplaceIds": self.marketplace,
            **period,
            "maxResultsPerPage": PAGE_SIZE,
            "includedData": included,
        }
        try:
            return self._searched({**query, "paginationToken": token} if token else query)
        except Failure as failure:
            # A token lives for 24 hours. The period from its start again loses nothing.
            if not token or failure.status != 400:
                raise
        return self._searched(query)

    def _searched(self, query: Mapping[str, Any]) -> Reader:
        return self.call(lambda: self.http.get(ORDERS, operation="searchOrders", params=query), "searchOrders").reader()

    @property
    def included(self) -> str:
        return str(self.account.settings.get("included_data") or INCLUDED)

    def _listed(self, found: Reader) -> Sequence[Any]:
        """The page's orders of this marketplace; orders sold elsewhere and only shipped by Amazon are not ours."""
        listed = found.raw.get("orders")
        if not isinstance(listed, list):
            raise Failure(Category.TRANSIENT, "Amazon's list of orders holds no list.", code="no_list")
        return [entry for entry in listed if self._ours(entry)]

    def _ours(self, entry: Any) -> bool:
        channel = entry.get("salesChannel") if isinstance(entry, dict) else None
        if not isinstance(channel, dict):
            return True
        return channel.get("channelName") != "NON_AMAZON" and channel.get("marketplaceId") in (None, self.marketplace)

    def fetch(self, external_id: str, hint: bytes = b"", last: bytes = b"") -> bytes:
        """The order in the same form as the list gives it: an unchanged one is byte for byte the same."""
        return _bytes(self.read(external_id, self.included).raw)

    def read(self, external_id: str, included: str) -> Reader:
        address = f"{ORDERS}/{quote(external_id, safe='')}"
        answer = self.call(
            lambda: self.http.get(address, operation="getOrder", params={"includedData": included}), "getOrder"
        )
        return answer.reader().object("order")

    # --- Telling

    def send_invoice(self, order: OrderDocument, invoice: InvoiceDocument, shipment: ShipmentRef) -> Receipt:
        return invoices.send(self, order, invoice, shipment)

    def send_dispatch(self, order: OrderDocument, shipment: ShipmentRef) -> Receipt:
        return dispatch.send(self, order, shipment)

    def cancel(self, order: OrderDocument, reason: str, under_way: str = "") -> Receipt:
        return cancelling.cancel(self, order, under_way)

    def label(self, order: OrderDocument, shipment: ShipmentRef) -> Label:
        return labels.fetch(self, order)

    # --- Calling

    def call(self, request: Callable[[], Answer], operation: str) -> Answer:
        """One call, with Amazon's two peculiarities: 403 for an old token, 429 without a `Retry-After`."""
        try:
            return self.renewal.around(request)
        except Failure as failure:
            if failure.status != 429:
                raise
            failure.retry_at = self._quota_back(operation)
            self.http.around.pause(operation, failure.retry_at)
            raise

    def _quota_back(self, operation: str) -> datetime:
        """One call's refill from now, with up to a quarter more: several workers must not come back together."""
        rates = [rate.per_second for rate in self.http.service.rates if operation in rate.operations]
        return datetime.now(UTC) + timedelta(seconds=random.uniform(1, 1.25) / min(rates, default=1.0))


def _change(entry: Any) -> Change:
    external_id = entry.get("orderId") if isinstance(entry, dict) else None
    return Change(str(external_id or "unknown")[:120], _bytes(entry), complete=True)


def _bytes(entry: Any) -> bytes:
    """Amounts are texts in this API; the few plain decimals, which no mapping reads, become texts too."""
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":"), default=str).encode("utf-8", "surrogatepass")


def _updates(found: Reader) -> list[str]:
    """The page's times of last update, in the form of the cursor."""
    listed = found.raw.get("orders")
    times = [_parsed(entry.get("lastUpdatedTime")) for entry in listed or () if isinstance(entry, dict)]
    # A time from the future would shut out everything that comes before it.
    latest = datetime.now(UTC)
    return [_stamp(min(time, latest)) for time in times if time is not None]


def _parsed(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _stamp(moment: datetime) -> str:
    """UTC with `Z`, in whole seconds: a form that sorts as it reads and needs no encoding."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
