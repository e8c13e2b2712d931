"""The world behind the simulated Mercado Livre: sales in packs, parcels that move by themselves, pushes about both.

Its endpoints are in `simulator`, its documents in `simulated_sale`.
"""

import heapq
import itertools
import json
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from connectors.channels.mercado_livre import simulated_sale as documents
from connectors.simulation.pushes import Pusher, post
from connectors.simulation.server import Simulator

Raw = dict[str, Any]
TOKEN_SECONDS = 21_600
_ON_THE_WAY = {"picked_up", "dropped_off", "in_hub"}


class MercadoLivreWorld(Simulator):
    """`carrier_after`: seconds from a parcel's release to its pick-up, and again to `shipped`.

    `deliver_after`: seconds from then to the delivery (None: never). `ready_after`: seconds until a new shipment takes
    its invoice. `push_url`: where pushes go. `limits`: answer 429 above 50 calls a second (the real number is unknown).
    """

    kind = "mercado_livre"
    pictures = "/pictures/{listing}"

    def __init__(
        self,
        *,
        seed: int = 1,
        delay: float = 0.0,
        carrier_after: float = 1.0,
        deliver_after: float | None = None,
        ready_after: float = 0.0,
        push_url: str = "",
        limits: bool = False,
    ) -> None:
        super().__init__(seed=seed, delay=delay)
        self.carrier_after, self.deliver_after, self.ready_after = carrier_after, deliver_after, ready_after
        self.push_url, self.limits = push_url, limits
        self.site = "MLB"
        self.seller, self.application, self.secret = 500_000_001, "1000000000000001", "simulated-secret"
        self.numbers = itertools.count(1)
        self.orders: dict[str, Raw] = {}
        self.packs: dict[str, Raw] = {}
        self.shipments: dict[str, Raw] = {}
        self.billings: dict[str, Raw] = {}
        self.orders_of: dict[str, list[str]] = {}  # of a shipment
        self.invoices: dict[str, Raw] = {}  # imported, by shipment
        self.attached: dict[str, list[Raw]] = {}  # by pack
        self.feedbacks: dict[str, Raw] = {}
        self.reported: dict[str, Raw] = {}  # own carriers' tracking, by shipment
        self.labels: list[str] = []
        self.keys: dict[str, str] = {}  # NF-e key -> shipment
        self.missed: list[Raw] = []
        self.due: list[tuple[float, int, str, str]] = []
        self.version = 0
        self.scans: dict[str, list[Raw]] = {}
        self.cached: tuple[Any, list[Raw]] = (None, [])
        self.calls: deque[float] = deque()
        self.refresh_token = "TG-0-500000001"
        self.access_tokens = {"APP_USR-0-500000001": time.time() + TOKEN_SECONDS}
        # Each code that was given, with its challenge; empty without PKCE.
        self.codes: dict[str, str] = {}
        self.pusher = Pusher(self.kind, self._push)

    # What a connection to it stores

    def account_credentials(self) -> Raw:
        token = next(reversed(self.access_tokens))
        return {
            "client_id": self.application,
            "client_secret": self.secret,
            "access_token": token,
            "refresh_token": self.refresh_token,
            "user_id": str(self.seller),
            "expires_at": datetime.fromtimestamp(self.access_tokens[token], UTC).isoformat(),
        }

    def account_settings(self) -> Raw:
        return {}

    # The world

    def place(self, count: int = 1, **options: Any) -> list[str]:
        """New sales; returns the packs' ids (orders' ids where there is no pack).

        Options: `orders` in the pack (1 to 3), `logistic` (a key of `simulated_sale.LOGISTICS`), `status` of the
        orders, `pack` false, `discounted`, `masked`, `fraud`, `at` (datetime it was placed),
        `fulfilled` false (none from Mercado Livre's own warehouse).
        """
        with self.lock:
            return [self._place(options) for _ in range(count)]

    def _place(self, options: Raw) -> str:
        chance, number = self.random, next(self.numbers)
        now = options.get("at") or datetime.now(UTC)
        size = options.get("orders") or chance.choice((1, 1, 1, 1, 2, 2, 3))
        kind = options.get("logistic") or self._some_logistic(options.get("fulfilled", True))
        packed = options.get("pack", size > 1 or chance.random() < 0.8)
        ids = {
            "pack": 2_000_000_000_000_000 + number if packed else None, "shipment": 46_000_000_000 + number,
            "buyer": 700_000_000 + number, "billing": 690_000_000_000_000_000 + number, "seller": self.seller,
        }  # fmt: skip
        found = [self._place_order({**ids, "order": 2_000_010_000_000_000 + number * 10 + place,
                                    "payment": 130_000_000_000 + number * 10 + place}, now, options)
                 for place in range(size)]  # fmt: skip
        names = [str(one["id"]) for one in found]
        parcel = documents.shipment(chance, ids, now, kind, masked=bool(options.get("masked")))
        self.shipments[str(ids["shipment"])] = parcel
        self.orders_of[str(ids["shipment"])] = names
        self.billings[str(ids["billing"])] = documents.billing(chance, ids)
        if packed:
            self.packs[str(ids["pack"])] = _pack(ids, names, now)
        self._begin(str(ids["shipment"]), kind)
        for name in names:
            self.announce("orders_v2", f"/orders/{name}")
        return str(ids["pack"] or names[0])

    def _some_logistic(self, fulfilled: bool) -> str:
        kinds = [
            kind
            for kind, (_, _, weight) in documents.LOGISTICS.items()
            for _ in range(weight)
            if fulfilled or kind != "fulfillment"
        ]
        return self.random.choice(kinds)

    def _place_order(self, ids: Raw, now: datetime, options: Raw) -> Raw:
        discounted = options.get("discounted", self.random.random() < 0.3)
        tags = ("fraud_risk_detected",) if options.get("fraud") else ()
        status = options.get("status") or "paid"
        order = documents.order(self.random, ids, now, status=status, discounted=bool(discounted), tags=tags)
        self.orders[str(ids["order"])] = order
        self.version += 1
        return order

    def _begin(self, shipment: str, kind: str) -> None:
        if kind == "fulfillment":
            self._later(self.carrier_after, shipment, "shipped")
        elif self.ready_after and kind == "cross_docking":
            self.shipments[shipment] |= {"status": "handling", "substatus": None}
            self._later(self.ready_after, shipment, "ready_to_ship/invoice_pending")

    def _later(self, seconds: float, shipment: str, state: str) -> None:
        heapq.heappush(self.due, (time.monotonic() + seconds, next(self.numbers), shipment, state))

    def tick(self) -> None:
        while self.due and self.due[0][0] <= time.monotonic():
            _, _, shipment, state = heapq.heappop(self.due)
            self.move(shipment, state)

    def move(self, shipment: str, state: str) -> None:
        """A parcel's next state, `status/substatus`, and what will follow from it."""
        parcel = self.shipments[shipment]
        if parcel["status"] in ("cancelled", "delivered"):
            return
        status, _, substatus = state.partition("/")
        parcel |= {
            "status": status,
            "substatus": substatus or None,
            "last_updated": documents.written(datetime.now(UTC)),
        }
        if substatus == "ready_to_print":
            self._later(self.carrier_after, shipment, "ready_to_ship/picked_up")
        elif substatus == "picked_up":
            self._later(self.carrier_after, shipment, "shipped")
        elif status == "shipped" and self.deliver_after is not None:
            self._later(self.deliver_after, shipment, "delivered")
        self.announce("shipments", f"/shipments/{shipment}")
        for name in self.orders_of[shipment]:
            self.touch(self.orders[name])

    def touch(self, order: Raw) -> None:
        now = datetime.now(UTC)
        order |= {"last_updated": documents.written(now), "date_last_updated": documents.written_utc(now)}
        self.version += 1

    def cancel(self, external_id: str, *, order: str = "", by: str = "buyer") -> None:
        """The whole pack, or one order of it."""
        with self.lock:
            names = [order] if order else self.names_of(external_id)
            for name in names:
                self._cancel_order(self.orders[name], by)
            parcel = str(self.orders[names[0]]["shipping"]["id"])
            if all(self.orders[name]["status"] == "cancelled" for name in self.orders_of[parcel]):
                self.move(parcel, "cancelled/cancelled_manually")

    def _cancel_order(self, order: Raw, by: str) -> None:
        code = "buyer_cancel_express" if by == "buyer" else "feedback_unavailable_product"
        self.touch(order)
        order["status"] = "cancelled"
        order["cancel_detail"] = {"group": by, "code": code, "description": "cancelled", "requested_by": by,
                                  "date": order["last_updated"], "application_id": None}  # fmt: skip
        for payment in order["payments"]:
            payment |= {"status": "refunded", "transaction_amount_refunded": payment["transaction_amount"]}
        self.announce("orders_v2", f"/orders/{order['id']}")

    def pay(self, external_id: str) -> None:
        with self.lock:
            for name in self.names_of(external_id):
                order = self.orders[name]
                order["status"] = "paid"
                for payment in order["payments"]:
                    payment |= {"status": "approved", "date_approved": documents.written(datetime.now(UTC))}
                self.touch(order)
                self.announce("orders_v2", f"/orders/{name}")

    def names_of(self, external_id: str) -> list[str]:
        pack = self.packs.get(external_id)
        return [str(one["id"]) for one in pack["orders"]] if pack else [external_id]

    def snapshot(self) -> dict[str, Raw]:
        with self.lock:
            self.tick()
            return {external_id: self._state_of(external_id) for external_id in self._external_ids()}

    def _external_ids(self) -> Iterator[str]:
        yield from self.packs
        yield from (name for name, order in self.orders.items() if not order["pack_id"])

    def _state_of(self, external_id: str) -> Raw:
        orders = [self.orders[name] for name in self.names_of(external_id)]
        number = str(orders[0]["shipping"]["id"])
        parcel = self.shipments[number]
        files = self.attached.get(external_id) or [{}]
        return {
            "status": f"{parcel['status']}/{parcel['substatus'] or ''}",
            "invoice_key": self.invoices.get(number, {}).get("fiscal_key") or files[0].get("key", ""),
            "dispatched": parcel["status"] in ("shipped", "delivered") or parcel["substatus"] in _ON_THE_WAY,
            "tracking_code": self.reported.get(number, {}).get("tracking_number") or parcel["tracking_number"] or "",
            "cancelled": all(order["status"] == "cancelled" for order in orders),
            "logistic": parcel["logistic"]["type"],
        }

    # Pushes

    def announce(self, topic: str, resource: str) -> None:
        if self.push_url:
            self.pusher.give(self._notification(topic, resource))

    def _notification(self, topic: str, resource: str) -> Raw:
        now = documents.written_utc(datetime.now(UTC))
        number = next(self.numbers)
        return {
            "_id": f"11111111-2222-4333-8444-{number:012d}", "resource": resource, "user_id": self.seller,
            "topic": topic, "application_id": int(self.application), "attempts": 1, "sent": now, "received": now,
        }  # fmt: skip

    def _push(self, notification: Raw) -> None:
        def body(attempt: int) -> bytes:
            return json.dumps({**notification, "attempts": attempt}).encode()

        if not post(self.push_url, body, {"Content-Type": "application/json"}):
            self.missed.append({**notification, "request": {"url": self.push_url}, "response": {"http_code": 0}})

    # Controls

    def sim_place(self, body: Raw) -> Any:
        return self.place(**body)

    def sim_snapshot(self, body: Raw) -> Any:
        return self.snapshot()

    def sim_push(self, body: Raw) -> Any:
        self.push_url = body.get("url", self.push_url)
        if resource := body.get("resource"):
            self.announce(body.get("topic", "orders_v2"), resource)
        return {"push_url": self.push_url}

    def sim_cancel(self, body: Raw) -> Any:
        return self.cancel(**body)

    def sim_move(self, body: Raw) -> Any:
        return self.move(body["shipment"], body["state"])


def _pack(ids: Raw, names: list[str], now: datetime) -> Raw:
    made = now.astimezone(documents.ML_ZONE).strftime("%Y-%m-%dT%H:%M:%S.000%z")
    return {
        "id": ids["pack"], "status": "released", "status_detail": None, "shipment": {"id": ids["shipment"]},
        "orders": [{"id": int(name)} for name in names], "buyer": {"id": ids["buyer"]},
        "date_created": made, "last_updated": made,
    }  # fmt: skip
