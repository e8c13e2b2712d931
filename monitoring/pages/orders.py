"""The list of orders: filters that live in the address, one search for every number, and no count of everything."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from django.db.models import Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _

from connectors.contract import Role
from connectors.models import Connection, Job, Link
from monitoring import figures
from monitoring.pages import words
from monitoring.pages.shell import mine, page, seller_ids, show
from orders.models import Order, SalesChannel
from orders.vocabulary import OrderStatus

PER_PAGE = 50
# Counting stops here: "more than 1,000" is all a person needs, and all it may cost.
COUNT_UP_TO = 1000
# Nobody leafs further; the database would read all that is skipped. Filters and the file go beyond.
LAST_PAGE = 200
SORTS = {
    "new": ("-placed_at", "-pk"),
    "old": ("placed_at", "pk"),
    "deadline": ("ship_by", "pk"),
    "total": ("-total", "-pk"),
}
_MASK = str.maketrans("", "", ".-/ ")


@page
def orders(request: HttpRequest) -> HttpResponse:
    rows = filtered(mine(Order.objects.all(), request), request.GET, seller_ids(request))
    number = min(max(_integer(request.GET.get("page")), 1), LAST_PAGE)
    start = (number - 1) * PER_PAGE
    found = _slice(rows, start, PER_PAGE + 1)
    counted = _count(rows, start, len(found))
    return show(
        request,
        "orders.html",
        _("Orders"),
        rows=[_row(order, request) for order in found[:PER_PAGE]],
        count=min(counted, COUNT_UP_TO),
        more_than=counted > COUNT_UP_TO,
        page_number=number,
        newer=number - 1,
        older=number + 1 if len(found) > PER_PAGE and number < LAST_PAGE else 0,
        channels=mine(SalesChannel.objects.all(), request).order_by("name"),
        choices=_choices(),
        chosen=request.GET,
        filtered=any(value for name, value in request.GET.items() if name not in ("page", "sort")),
    )


def _slice(rows: QuerySet[Order], start: int, length: int) -> list[Order]:
    """The ids first where some are skipped: the database need not put together whole rows to throw them away."""
    if not start:
        return list(for_list(rows)[:length])
    ids = list(rows.values_list("pk", flat=True)[start : start + length])
    found = {order.pk: order for order in for_list(Order.objects.filter(pk__in=ids))}
    return [found[pk] for pk in ids if pk in found]


def for_list(rows: QuerySet[Order]) -> QuerySet[Order]:
    """With all that a row shows: a fixed number of queries, however many rows."""
    exports = Job.objects.filter(operation="export").select_related("connection")
    return rows.select_related("channel", "seller").prefetch_related(
        Prefetch("links", Link.objects.all(), to_attr="erp_links"), Prefetch("jobs", exports, to_attr="exports")
    )


def filtered(rows: QuerySet[Order], chosen: Mapping[str, str], sellers: list[int]) -> QuerySet[Order]:
    """What the address asks for. Values it does not know filter nothing."""
    rows = _by_deadline(_by_place(rows, chosen), chosen.get("due", ""), sellers)
    if chosen.get("status") in OrderStatus.values:
        rows = rows.filter(status=chosen["status"])
    if chosen.get("channel", "").isdigit():
        rows = rows.filter(channel_id=int(chosen["channel"]))
    if chosen.get("erp") == "no":
        rows = rows.filter(figures.not_in_erp())
    if since := _day(chosen.get("since")):
        rows = rows.filter(placed_at__gte=since)
    if until := _day(chosen.get("until")):
        rows = rows.filter(placed_at__lt=until + timedelta(days=1))
    if text := chosen.get("q", "").strip():
        rows = rows.filter(matching(text))
    return rows.order_by(*SORTS.get(chosen.get("sort", ""), SORTS["new"]))


def _by_place(rows: QuerySet[Order], chosen: Mapping[str, str]) -> QuerySet[Order]:
    if chosen.get("state", "").upper() in words.STATES:
        rows = rows.filter(state=chosen["state"].upper())
    if chosen.get("region") in words.REGIONS:
        rows = rows.filter(state__in=words.REGIONS[chosen["region"]][1])
    return rows


def _by_deadline(rows: QuerySet[Order], due: str, sellers: list[int]) -> QuerySet[Order]:
    now = timezone.now()
    if due == "late":
        return rows.filter(figures.late(now))
    if due == "risk":
        return rows.filter(figures.at_risk(now, sellers))
    if due == "held":
        return rows.filter(held=True).exclude(status=OrderStatus.CANCELLED)
    return rows


def matching(text: str) -> Q:
    """Every word of it, anywhere in the order's numbers, SKUs, buyer's name or document (mask or not).

    `search` is lower-case already, so this is a plain LIKE, which a trigram index answers.
    """
    wanted = text.lower()
    bare = wanted.translate(_MASK)
    every_word = Q()
    for word in wanted.split():
        every_word &= Q(search__contains=word)
    return every_word | Q(search__contains=bare) if bare.isalnum() and bare != wanted and _numeric(bare) else every_word


def _numeric(text: str) -> bool:
    """A document's number: since 2026 a CNPJ has letters too."""
    return sum(char.isdigit() for char in text) >= len(text) / 2


def _count(rows: QuerySet[Order], start: int, found: int) -> int:
    """Cheap: what is on the page where that is all, else at most one more than the limit."""
    if found <= PER_PAGE and (found or not start):
        return start + found
    return rows.order_by()[: COUNT_UP_TO + 1].count()


def _integer(text: str | None) -> int:
    return int(text) if text and text.isdigit() and len(text) < 7 else 0


def _day(text: str | None) -> datetime | None:
    """The beginning of that day, here."""
    try:
        day = parse_date(text or "")
    except ValueError:
        return None
    return timezone.make_aware(datetime.combine(day, time.min)) if day else None


@dataclass(frozen=True)
class Row:
    order: Order
    erp: dict[str, Any]
    left: str
    left_tone: str


def _row(order: Order, request: HttpRequest) -> Row:
    left, tone = words.countdown(order)
    erps = erps_of(request).get(order.seller_id, [])
    return Row(order, words.erp_state(order, order.erp_links, order.exports, erps), left, tone)  # type: ignore[attr-defined]


def erps_of(request: HttpRequest) -> dict[int, list[Connection]]:
    """seller -> its ERPs, asked once per request."""
    known: dict[int, list[Connection]] | None = getattr(request, "_erps", None)
    if known is None:
        known = {}
        for connection in mine(Connection.objects.filter(role=Role.ERP), request):
            known.setdefault(connection.seller_id, []).append(connection)
        request._erps = known  # type: ignore[attr-defined]
    return known


def _choices() -> dict[str, list[tuple[str, str]]]:
    return {
        "status": [(status.value, str(status.label)) for status in OrderStatus],
        "due": [("late", _("Late")), ("risk", _("At risk")), ("held", _("Held"))],
        "region": [(code, str(label)) for code, (label, _states) in words.REGIONS.items()],
        "state": [(state, state) for state in words.STATES],
        "sort": [
            ("new", _("Newest first")),
            ("old", _("Oldest first")),
            ("deadline", _("Deadline first")),
            ("total", _("Highest total first")),
        ],
    }
