"""Everything one sale needs, read with as few calls as possible.

`{"pack": … | null, "orders": […], "shipments": [{"shipment", "sla", "costs", "carrier"}], "billing": … | null,
"discounts": {order id: …}, "returns": […]}`, each part verbatim as Mercado Livre gave it.
"""

import json
from typing import Any

from connectors.channels.mercado_livre.listing import seller_id
from connectors.channels.mercado_livre.memory import Last
from connectors.contract import Account
from connectors.failures import Category, Failure, Refusal
from connectors.http import Client
from connectors.reading import Reader, parse_json

NEW_FORMAT = {"x-format-new": "true"}
NEW_DOMAIN = {"X-New-Domain": "true"}
# Some parts could not be loaded: they may well be there the next moment.
PARTIAL = 206
Raw = dict[str, Any]


def fetch(account: Account, http: Client, external_id: str, hint: bytes, last: bytes = b"") -> bytes:
    """`last` is the sale as it was read before: see `memory.Last` for what of it is not asked again."""
    read = Last(last)
    if external_id.startswith("shipment:"):
        external_id, read = _order_of_shipment(account, http, external_id.removeprefix("shipment:")), Last(b"")
    known = _hinted(hint, external_id)
    pack, orders = _pack_and_orders(http, external_id, known)
    shipments = [_shipment(http, number, read) for number in _shipment_ids(pack, orders)]
    if known and _is_old(known, [pack or {}, *(one["shipment"] for one in shipments)]):
        orders = [_order_or_none(http, str(one["id"])) or one if one is known else one for one in orders]
    bundle = {
        "pack": pack,
        "orders": orders,
        "shipments": shipments,
        "billing": _billing(http, orders, read),
        "discounts": _discounts(http, orders),
        "returns": _returns(http, orders),
    }
    return json.dumps(bundle, default=float, ensure_ascii=False).encode()


def _discounts(http: Client, orders: list[Raw]) -> Raw:
    reduced = [str(one["id"]) for one in orders if "order_has_discount" in Reader(one).words("tags")]
    return {one: _get(http, f"/orders/{one}/discounts", "discounts") for one in reduced}


def _get(http: Client, path: str, operation: str, **options: Any) -> Any:
    """The answer's JSON; None where there is nothing (yet)."""
    answer = http.get(path, operation=operation, accept=(404,), headers=NEW_FORMAT | options.pop("headers", {}))
    return None if answer.status in (204, 404) else answer.json()


def _order_of_shipment(account: Account, http: Client, shipment_id: str) -> str:
    found = _get(http, f"/shipments/{shipment_id}/orders", "shipment_orders", headers=NEW_DOMAIN)
    for entry in Reader({"orders": found}).list("orders"):
        if entry.text("seller_id", seller_id(account)) == seller_id(account):
            return entry.text("order_id")
    raise Failure(Category.TRANSIENT, f"Mercado Livre names no order for shipment {shipment_id} yet.", code="no_order")


def _hinted(hint: bytes, external_id: str) -> Raw | None:
    """The order of a search result, if that is what the hint is."""
    if not hint:
        return None
    try:
        order = parse_json(hint, what="hint")
    except Refusal:
        return None
    if not isinstance(order, dict) or not (order.get("order_items") and order.get("id")):
        return None
    return order if external_id in (str(order.get("pack_id")), str(order.get("id"))) else None


def _is_old(known: Raw, parts: list[Raw]) -> bool:
    """A hint may have waited while the sale went on: its state must not be stamped with a newer part's time."""
    times = [Reader(part).moment("last_updated", None) for part in parts]
    seen = Reader(known).moment("last_updated", None)
    return seen is None or any(moment and moment > seen for moment in times)


def _pack_and_orders(http: Client, external_id: str, known: Raw | None) -> tuple[Raw | None, list[Raw]]:
    """Order and pack ids look the same: an id without a hint is tried as an order's first."""
    first = known or _order_or_none(http, external_id)
    if first and not first.get("pack_id"):
        return None, [first]
    pack_id = str(first["pack_id"]) if first else external_id
    pack = _get(http, f"/packs/{pack_id}", "pack")
    if not isinstance(pack, dict):
        raise Failure(Category.TRANSIENT, f"Mercado Livre knows no order or pack {pack_id}, or not yet.", code="404")
    have = {str(first["id"]): first} if first else {}
    ids = [one.text("id") for one in Reader(pack).list("orders")]
    ids += [one for one in have if one not in ids]
    # A pack may hold other sellers' orders (403); one that is not there yet (404) is waited for, or it would be lost.
    orders = (have.get(one) or _order_or_none(http, one, accept=(403,)) for one in ids)
    return pack, [one for one in orders if one]


def _order_or_none(http: Client, order_id: str, accept: tuple[int, ...] = (403, 404)) -> Raw | None:
    """None for an id that is no order of this seller."""
    answer = http.get(f"/orders/{order_id}", operation="order", headers=NEW_FORMAT, accept=accept)
    if answer.status == PARTIAL:
        answer = http.get(f"/orders/{order_id}", operation="order", headers=NEW_FORMAT, accept=accept)
    if answer.status >= 300:
        return None
    order = answer.reader()
    return {**order.raw, "id": order.text("id")}


def _shipment_ids(pack: Raw | None, orders: list[Raw]) -> list[str]:
    ids = [Reader(order).text("shipping.id", "") for order in orders]
    ids.append(Reader(pack or {}).text("shipment.id", ""))
    return [one for one in dict.fromkeys(ids) if one]


def _shipment(http: Client, number: str, read: Last) -> Raw:
    shipment = _get(http, f"/shipments/{number}", "shipment")
    if not isinstance(shipment, dict):
        raise Failure(Category.TRANSIENT, f"Mercado Livre does not show shipment {number} yet.", code="404")
    found: Raw = {"shipment": shipment}
    if shipment.get("status") == "cancelled" or logistic(shipment)[1] == "fulfillment":
        return found
    found["sla"] = read.sla(shipment) or _get(http, f"/shipments/{number}/sla", "sla")
    found["costs"] = read.costs(shipment) or _get(http, f"/shipments/{number}/costs", "costs")
    if shipment.get("status") == "shipped":
        found["carrier"] = _get(http, f"/shipments/{number}/carrier", "carrier")
    return found


def logistic(shipment: Raw) -> tuple[str, str]:
    """(mode, type), in the new format or the old one."""
    known = Reader(shipment)
    return (
        known.text("logistic.mode", "") or known.text("mode", ""),
        known.text("logistic.type", "") or known.text("logistic_type", ""),
    )


def _billing(http: Client, orders: list[Raw], read: Last) -> Any:
    for order in orders:
        if number := Reader(order).text("buyer.billing_info.id", ""):
            return read.billing(number) or _get(http, f"/orders/billing-info/MLB/{number}", "billing")
    return None


def _returns(http: Client, orders: list[Raw]) -> list[Any]:
    claims = [claim.text("id", "") for order in orders for claim in Reader(order).list("mediations")]
    found = [_get(http, f"/post-purchase/v2/claims/{one}/returns", "returns") for one in claims if one]
    return [one for one in found if one]
