"""The world behind the simulated Amazon: orders that are paid, invoiced, fetched and delivered as time goes by.

Its endpoints are in `simulator`, its documents in `simulated_sale`.
"""

import heapq
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from connectors.channels.amazon.simulated_quota import LIMITS, Bucket
from connectors.channels.amazon.simulated_sale import MARKETPLACE, Invoice, Sale, digits, money, new, stamp, summary
from connectors.simulation.server import Simulator

TOKEN_SECONDS = 3600
PROGRAMS = ("SELF_SHIP", "SELF_SHIP", "SELF_SHIP", "DBA", "DBA", "FBA")


class AmazonWorld(Simulator):
    """Options: `limits` enforces the quotas; `validate_after` seconds until an NF-e is accepted; `collect_after`
    seconds until Amazon's partner has fetched an invoiced DBA order (None: never); `onsite` makes FBA orders Onsite;
    `feed_after` seconds until a feed is done.
    """

    kind = "amazon"
    push_url = ""

    def __init__(
        self,
        *,
        seed: int = 1,
        delay: float = 0.0,
        limits: bool = False,
        validate_after: float = 0.0,
        collect_after: float | None = None,
        onsite: bool = False,
        feed_after: float = 0.0,
    ) -> None:
        super().__init__(seed=seed, delay=delay)
        self.limits = limits
        self.validate_after = validate_after
        self.collect_after = collect_after
        self.onsite = onsite
        self.feed_after = feed_after
        self.redirect_uri = ""
        self.serial = 0
        self.sales: dict[str, Sale] = {}
        # Append-only and sorted, since time only moves on: (time, order id). An older entry of an order is stale.
        self.updates: list[tuple[str, str]] = []
        self.creations: list[tuple[str, str]] = []
        self.last_time = datetime.now(UTC) - timedelta(seconds=1)
        self.buckets = {name: Bucket(*limit) for name, limit in LIMITS.items()}
        self.later: list[tuple[float, str]] = []
        self.client = {"client_id": "amzn1.application-oa2-client.simulated", "client_secret": "amzn1.oa2-cs.v1.sim"}
        self.refresh_token = "Atzr|simulated"
        self.codes: set[str] = set()
        self.tokens: dict[str, float] = {}
        self.first_token = self._issue()

    # --- For the demo, benches and tests

    def account_credentials(self) -> dict[str, Any]:
        dies = datetime.now(UTC) + timedelta(seconds=TOKEN_SECONDS)
        return {
            **self.client,
            "access_token": self.first_token,
            "refresh_token": self.refresh_token,
            "expires_at": dies.isoformat(),
        }

    def account_settings(self) -> dict[str, Any]:
        return {
            "marketplace_id": MARKETPLACE,
            "external_account": "A1SIMULATEDSELLER",
            "fba_onsite": "yes" if self.onsite else "no",
            "default_carrier": "Jadlog",
        }

    def place(
        self,
        count: int = 1,
        *,
        program: str = "",
        status: str = "UNSHIPPED",
        business: bool = False,
        masked: bool = False,
        discount: bool | None = None,
        fulfilled: bool = True,
    ) -> list[str]:
        """`program`: SELF_SHIP, DBA or FBA, else a mix, in which FBA has no part unless `fulfilled`. `masked`: without
        the roles for personal data.
        """
        with self.lock:
            if not fulfilled:
                mix = [program for program in PROGRAMS if program != "FBA"]
                return [
                    self._place(program or self.random.choice(mix), status, business, masked, discount)
                    for _ in range(count)
                ]
            return [self._place(program, status, business, masked, discount) for _ in range(count)]

    def snapshot(self) -> dict[str, dict[str, Any]]:
        with self.lock:
            return {order_id: summary(sale) for order_id, sale in self.sales.items()}

    def cancel(self, external_id: str, by: str = "BUYER", reason: str = "Comprado por engano") -> None:
        """By the buyer, the seller (MERCHANT) or Amazon, as a whole."""
        with self.lock:
            sale = self.sales[external_id]
            sale.status = "CANCELLED"
            for item in sale.raw["orderItems"]:
                item["cancellation"] = {"cancellationExecution": {"cancelledBy": by, "cancelReason": reason}}
                item["fulfillment"] = {"quantityFulfilled": 0, "quantityUnfulfilled": 0}
            self._touch(sale)

    def cancel_line(self, external_id: str) -> None:
        """The seller cancels the first line: nothing of it is left to ship, its amounts leave the total."""
        with self.lock:
            sale = self.sales[external_id]
            item = sale.raw["orderItems"][0]
            left = Decimal(sale.raw["proceeds"]["grandTotal"]["amount"])
            left -= Decimal(item["proceeds"]["proceedsTotal"]["amount"])
            sale.raw["proceeds"]["grandTotal"] = money(left)
            item.update(quantityOrdered=0, fulfillment={"quantityFulfilled": 0, "quantityUnfulfilled": 0})
            item.pop("proceeds")
            item["cancellation"] = {"cancellationExecution": {"cancelledBy": "MERCHANT", "cancelReason": "NoInventory"}}
            self._touch(sale)

    def request_cancel(self, external_id: str) -> None:
        """The buyer asks; the order goes on until the seller decides."""
        with self.lock:
            sale = self.sales[external_id]
            request = {"requester": "BUYER", "cancelReason": "Não quero mais"}
            sale.raw["orderItems"][0]["cancellation"] = {"cancellationRequest": request}
            self._touch(sale)

    def pay(self, external_id: str) -> None:
        """A pending order's payment is authorised."""
        with self.lock:
            sale = self.sales[external_id]
            sale.status = "UNSHIPPED"
            self._touch(sale)

    def deliver(self, external_id: str) -> None:
        with self.lock:
            sale = self.sales[external_id]
            for package in sale.packages:
                package["packageStatus"] = {"status": "DELIVERED", "detailedStatus": "DELIVERED"}
            self._touch(sale)

    def sim_place(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"ids": self.place(**body)}

    def sim_snapshot(self, body: dict[str, Any]) -> dict[str, Any]:
        return self.snapshot()

    def sim_cancel(self, body: dict[str, Any]) -> dict[str, Any]:
        self.cancel(body["external_id"])
        return {}

    def sim_deliver(self, body: dict[str, Any]) -> dict[str, Any]:
        self.deliver(body["external_id"])
        return {}

    def _issue(self) -> str:
        token = f"Atza|{digits(self.random, 24)}"
        self.tokens[token] = time.monotonic() + TOKEN_SECONDS
        return token

    # --- Time

    def tick(self) -> None:
        """Amazon's own steps that have come due: an NF-e validated, a DBA parcel fetched."""
        while self.later and self.later[0][0] <= time.monotonic():
            at, order_id = heapq.heappop(self.later)
            sale = self.sales[order_id]
            invoice = sale.invoice
            if invoice is not None and invoice.status == "Processing" and invoice.decided_at <= at:
                self._decide(sale, invoice)
            elif sale.program == "DBA" and sale.status == "UNSHIPPED":
                self._collect(sale)

    def _decide(self, sale: Sale, invoice: Invoice) -> None:
        invoice.status = invoice.verdict
        sale.raw["tax"]["taxInvoicing"] = {"invoiceStatus": invoice.verdict.upper()}
        self._touch(sale)
        if invoice.status == "Accepted" and sale.program == "DBA" and self.collect_after is not None:
            heapq.heappush(self.later, (time.monotonic() + self.collect_after, str(sale.raw["orderId"])))

    def _collect(self, sale: Sale) -> None:
        package = sale.packages[0] if sale.packages else self._plan(sale)
        for item in sale.raw["orderItems"]:
            count = item["fulfillment"]["quantityUnfulfilled"]
            item["fulfillment"] = {"quantityFulfilled": count, "quantityUnfulfilled": 0}
        package["packageStatus"] = {"status": "IN_TRANSIT", "detailedStatus": "PICKED_UP"}
        package["shipTime"] = self._now()
        sale.status = "SHIPPED"
        self._touch(sale)

    def _plan(self, sale: Sale) -> dict[str, Any]:
        """A parcel that Amazon's partner is to fetch."""
        items = [
            {"orderItemId": item["orderItemId"], "quantity": item["fulfillment"]["quantityUnfulfilled"]}
            for item in sale.raw["orderItems"]
        ]
        package = {
            "packageReferenceId": "1",
            "createdTime": self._now(),
            "packageStatus": {"status": "PENDING", "detailedStatus": "PENDING_PICK_UP"},
            "carrier": "Amazon Logistics",
            "trackingNumber": f"TBR{digits(self.random, 9)}",
            "packageItems": items,
        }
        sale.packages.append(package)
        return package

    def _now(self) -> str:
        return stamp(datetime.now(UTC))

    def _touch(self, sale: Sale) -> None:
        """A later time for every change: the log stays sorted and every entry unique."""
        self.last_time = max(datetime.now(UTC), self.last_time + timedelta(milliseconds=1))
        moment = stamp(self.last_time)
        sale.raw["lastUpdatedTime"] = moment
        self.updates.append((moment, str(sale.raw["orderId"])))

    def _place(self, program: str, status: str, business: bool, masked: bool, discount: bool | None) -> str:
        sale = new(
            self.random, len(self.sales) + 1, program or self.random.choice(PROGRAMS), status,
            business=business, masked=masked, discount=discount,
        )  # fmt: skip
        order_id = str(sale.raw["orderId"])
        self.sales[order_id] = sale
        self._touch(sale)
        sale.raw["createdTime"] = sale.raw["lastUpdatedTime"]
        self.creations.append((sale.raw["createdTime"], order_id))
        return order_id
