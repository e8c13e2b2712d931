"""The list of changes: orders by their last update, cancelled ones once more, and the pushes that never arrived.

One call reads one page of one stream; the cursor holds the place of all of them:
`{"since": newest update read to its end, "missed_at": …, "pass": {stage, from, to, offset, high}}`.

The search knows three things to guard against. It throws away minutes and seconds, so a pass starts at least two
hours back. It hides cancelled orders of a seller, so these are a pass of their own. It sorts by another date than it
filters by, so orders leave a page while it is turned: pages overlap, and the next poll's look back gets the rest.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from connectors.contract import Account, Change, Cursor, Page, Window
from connectors.http import Client
from connectors.reading import Reader

LIMIT = 50
# Each page repeats the last ones of the page before it.
STEP = 45
DEPTH = 10_000
LEAST_OVERLAP = timedelta(hours=2)
HOUR = timedelta(hours=1)
# As the documentation writes its dates; a whole hour off, so cutting to the hour means the same.
BRASILIA = timezone(timedelta(hours=-3))
# How long a scan's mark lives is not documented, only that it dies.
SCROLL_LIFE = timedelta(minutes=2)
MISSED_EVERY = timedelta(minutes=10)
STAGES = ("orders", "cancelled", "missed")


def changes(account: Account, http: Client, cursor: Cursor, window: Window | None) -> Page:
    place = dict(cursor.get("pass") or _first_pass(account, cursor, window))
    if place["stage"] == "missed":
        return _missed(account, http, cursor, place)
    answer = _search(account, http, place, window is not None)
    if "scroll" not in place and answer.maybe("paging").integer("total", 0) > DEPTH - LIMIT:
        return Page((), {**cursor, "pass": _narrower(place)}, more=True)
    found = [_change(order) for order in answer.list("results")]
    place["high"] = max([place["high"], *(_updated(order) for order in answer.list("results"))])
    if not _has_more(place, answer, len(found)):
        return _next_slice(cursor, place, found, window)
    return Page(found, {**cursor, "pass": place}, more=True)


def _has_more(place: Cursor, answer: Reader, found: int) -> bool:
    """Moves the place on to the next page, if there is one."""
    if "scroll" not in place:
        place["offset"] += STEP
        return found >= LIMIT
    place |= {"scroll": answer.text("paging.scroll_id", ""), "scrolled_at": datetime.now(UTC).isoformat()}
    return found > 0 and bool(place["scroll"])


def _first_pass(account: Account, cursor: Cursor, window: Window | None) -> Cursor:
    if window is not None:
        since, until = _hour(window.since), (_hour(window.until) + HOUR).isoformat()
    else:
        since, until = _hour(_since(account, cursor) - _overlap(account)), ""
    return _pass("orders", since.isoformat(), "", until, "")


def _pass(stage: str, start: str, end: str, until: str, high: str) -> Cursor:
    return {"stage": stage, "from": start, "to": end, "offset": 0, "high": high, "start": start, "until": until}


def _since(account: Account, cursor: Cursor) -> datetime:
    text = cursor.get("since") or account.settings.get("start_at")
    return datetime.fromisoformat(text) if text else datetime.now(UTC)


def _overlap(account: Account) -> timedelta:
    return max(LEAST_OVERLAP, timedelta(minutes=int(account.settings.get("overlap_minutes") or 0)))


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def seller_id(account: Account) -> str:
    return str(account.credentials.get("user_id") or account.external_account)


def _search(account: Account, http: Client, place: Cursor, backfill: bool) -> Reader:
    field = "order.date_created" if backfill else "order.date_last_updated"
    params: dict[str, Any] = {
        "seller": seller_id(account),
        f"{field}.from": _written(place["from"]),
        "sort": "date_asc",
        **_turned_to(place),
    }
    if end := place["to"] or place["until"]:
        params[f"{field}.to"] = _written(end)
    if place["stage"] == "cancelled":
        params["order.status"] = "cancelled"
    return http.get("/orders/search", operation="search", params=params).reader()


def _turned_to(place: Cursor) -> dict[str, Any]:
    """The page: by number, or by the mark of the page before it, which dies soon and then begins anew."""
    if "scroll" not in place:
        return {"limit": LIMIT, "offset": place["offset"]}
    fresh = place["scroll"] and datetime.now(UTC) - datetime.fromisoformat(place["scrolled_at"]) < SCROLL_LIFE
    return {"search_type": "scan", **({"scroll_id": place["scroll"]} if fresh else {})}


def _written(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone(BRASILIA).isoformat(timespec="milliseconds")


def _change(order: Reader) -> Change:
    external_id = order.text("pack_id", "") or order.text("id")
    return Change(external_id, json.dumps(order.raw, default=_number, sort_keys=True, ensure_ascii=False).encode())


def _number(value: Any) -> float:
    return float(value)


def _updated(order: Reader) -> str:
    moment = order.moment("date_last_updated", None) or order.moment("last_updated", None)
    return moment.isoformat() if moment else ""


def _narrower(place: Cursor) -> Cursor:
    """Half the period: the search does not look deeper than its first 10,000. An hour is not halved but scanned."""
    start = datetime.fromisoformat(place["from"])
    end = place["to"] or place["until"]
    width = (datetime.fromisoformat(end) if end else _hour(datetime.now(UTC)) + HOUR) - start
    half = timedelta(hours=int(width / HOUR) // 2)
    if half < HOUR:
        return {**place, "scroll": "", "scrolled_at": ""}
    return {**place, "to": (start + half).isoformat(), "offset": 0}


def _next_slice(cursor: Cursor, place: Cursor, found: Sequence[Change], window: Window | None) -> Page:
    """The rest of a period that had to be split, then the next stage, then rest until the next poll."""
    if place["to"]:
        rest = {**_pass(place["stage"], place["start"], "", place["until"], place["high"]), "from": place["to"]}
        return Page(found, {**cursor, "pass": rest}, more=True)
    if place["stage"] == "orders":
        after = _pass("cancelled", place["start"], "", place["until"], place["high"])
        return Page(found, {**cursor, "pass": after}, more=True)
    if window is not None:
        return Page(found, {})
    # Only now is everything up to `high` read.
    high = min(place["high"], datetime.now(UTC).isoformat())
    after = {**cursor, "since": max(high, str(cursor.get("since") or "")), "pass": None}
    if not _missed_is_due(cursor):
        return Page(found, after)
    return Page(found, {**after, "pass": _pass("missed", "", "", "", "")}, more=True)


def _missed_is_due(cursor: Cursor) -> bool:
    last = cursor.get("missed_at")
    return not last or datetime.now(UTC) - datetime.fromisoformat(last) > MISSED_EVERY


def _missed(account: Account, http: Client, cursor: Cursor, place: Cursor) -> Page:
    """Which seller's token may read the application's missed pushes is not documented: a refusal means none."""
    params = {"app_id": account.credentials.get("client_id", ""), "limit": LIMIT, "offset": place["offset"]}
    answer = http.get("/missed_feeds", operation="missed", params=params, accept=(400, 403, 404))
    messages = list(answer.reader().list("messages")) if answer.status < 300 else []
    found = [change for message in messages if (change := _missed_change(account, message))]
    if len(messages) >= LIMIT:
        return Page(found, {**cursor, "pass": {**place, "offset": place["offset"] + LIMIT}}, more=True)
    return Page(found, {**cursor, "pass": None, "missed_at": datetime.now(UTC).isoformat()})


def _missed_change(account: Account, message: Reader) -> Change | None:
    if message.text("user_id", "") != seller_id(account):
        return None
    external_id = resource_id(message.text("topic", ""), message.text("resource", ""))
    body = json.dumps(message.raw, default=_number, sort_keys=True, ensure_ascii=False).encode()
    return Change(external_id, body) if external_id else None


def resource_id(topic: str, resource: str) -> str:
    """What `fetch` takes for a push's resource; empty when it is of no use."""
    prefixes = {"orders_v2": ("/orders/", ""), "shipments": ("/shipments/", "shipment:")}
    path, prefix = prefixes.get(topic, ("", ""))
    number = resource.removeprefix(path) if path and resource.startswith(path) else ""
    return f"{prefix}{number}" if number.isascii() and number.isdigit() and len(number) < 25 else ""
