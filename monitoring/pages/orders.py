"""The list of orders: filters that live in the address, one search for every number, and no count of everything."""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from django.core.cache import cache
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from connectors.contract import Role
from connectors.models import Connection, Job, Link
from hub.people.sight import places
from hub.tenancy import Permission
from monitoring.desk import cells, columns, filters, reasons, views
from monitoring.models import BulkTask
from monitoring.pages import words
from monitoring.pages.shell import mine, page, person, seller_ids, sellers_allowing, show
from orders.models import Order, OrderItem, Shipment

PER_PAGE = 25
# Counting stops here: "more than 1,000" is all a person needs, and all it may cost.
COUNT_UP_TO = 1000
# So long a count is good for whoever asks the same: whoever leafs or sorts need not wait for it again.
COUNTED_SECONDS = 5
# Nobody leafs further; the database would read all that is skipped. Filters and the file go beyond.
LAST_PAGE = 400
# With this header the answer is without the frame: `orders.js` puts it into the page that is open.
PART = "X-Part"
# All that a row says of its order, and what it is reckoned from.
NEEDED = (
    "seller_id", "channel_id", "external_id", "status", "payment_status", "logistics", "held", "holds",
    "released_holds", "tags", "boost", "placed_at", "exported_at", "cancelled_at", "ship_by", "buyer_name", "buyer_key",
    "city", "state", "currency", "total",
)  # fmt: skip
LINK = ("order_id", "number", "external_id")


@page
def orders(request: HttpRequest) -> HttpResponse:
    scope = filters.Scope(seller_ids(request))
    chosen = filters.clean(request.GET.dict())
    shown = columns.of(person(request), chosen)
    rows = _wanted(request, chosen, scope)
    number = min(max(_integer(request.GET.get("page")), 1), LAST_PAGE)
    start = (number - 1) * PER_PAGE
    ids, counted = _walk(rows, start, _question(request, chosen))
    listed = _rows(_read(ids[:PER_PAGE], shown), request, shown, scope)
    context = dict(
        rows=listed,
        lines=cells.lines(listed, shown),
        count=min(counted, COUNT_UP_TO),
        more_than=counted > COUNT_UP_TO,
        page_number=number,
        newer=number - 1,
        older=number + 1 if len(ids) > PER_PAGE and number < LAST_PAGE else 0,
        chosen=chosen,
        query=urlencode(chosen),
        fields=filters.form(chosen, scope),
        sorts=[(name, label) for name, (label, _columns) in filters.SORTS.items()],
        sorting=filters.sorting(chosen),
        chips=filters.chips(chosen, scope),
        filtered=any(name != "sort" for name in chosen),
        connected=bool(ids) or mine(Connection.objects.filter(role=Role.CHANNEL), request).exists(),
        columns=[(name, columns.COLUMNS[name]) for name in shown],
        all_columns=[(name, label, name in shown) for name, label in columns.COLUMNS.items()],
        **_desk(request, chosen),
    )
    if PART in request.headers:
        return TemplateResponse(request, "monitoring/orders_part.html", context)
    return show(request, "orders.html", _("Orders"), **context)


def _desk(request: HttpRequest, chosen: dict[str, str]) -> dict[str, Any]:
    """What surrounds the list: the views, and what may be done to the rows."""
    workable = sellers_allowing(request)
    return {
        "tabs": views.tabs(person(request), seller_ids(request), chosen),
        "sharable": workable,
        "kinds": [kind for kind in BulkTask.Kind if workable or kind == BulkTask.Kind.EXPORT],
        "can_work": bool(workable),
        "weighable": sellers_allowing(request, Permission.SETTINGS),
    }


def wanted(request: HttpRequest) -> QuerySet[Order]:
    """The orders that the address asks for, of this person's sellers."""
    return _wanted(request, filters.clean(request.GET.dict()), filters.Scope(seller_ids(request)))


def _wanted(request: HttpRequest, chosen: dict[str, str], scope: filters.Scope) -> QuerySet[Order]:
    rows = filters.filtered(mine(Order.objects.all(), request), chosen, scope)
    return filters.in_order(rows, chosen, scope)


def _question(request: HttpRequest, chosen: Mapping[str, str]) -> str:
    """What is counted, as a key of the cache: however it is sorted, it is as many, but by what comes first."""
    wanted = sorted(item for item in chosen.items() if item[0] != "sort")
    asked = [sorted(seller_ids(request)), wanted, filters.sorting(chosen) == filters.FIRST]
    return f"orders:{sha256(json.dumps(asked).encode()).hexdigest()}"


def _walk(rows: QuerySet[Order], start: int, question: str) -> tuple[list[int], int]:
    """The ids of the page and one more, where more follows, and how many there are.

    The database walks its index once, on from the page as far as it is counted; for a few seconds after that no
    farther than the page's end. A page that is the last one counts by itself.
    """
    known: int | None = cache.get(question)
    length = PER_PAGE if known is not None else max(PER_PAGE, COUNT_UP_TO - start)
    ids = list(rows.values_list("pk", flat=True)[start : start + length + 1])
    if known is not None and len(ids) > PER_PAGE:
        return ids, max(known, start + len(ids))
    counted = _count(rows, start, len(ids))
    cache.set(question, counted, COUNTED_SECONDS)
    return ids, counted


def _read(ids: Sequence[int], shown: Sequence[str]) -> list[Order]:
    """In this order; one that has gone meanwhile is left out. A fixed number of queries, however many rows."""
    known = {order.pk: order for order in _with_parts(Order.objects.filter(pk__in=ids), shown)} if ids else {}
    return [known[pk] for pk in ids if pk in known]


def _with_parts(rows: QuerySet[Order], shown: Sequence[str]) -> QuerySet[Order]:
    """All that a row shows of the order, and no more."""
    rows = rows.only(*NEEDED)
    if "assignee" in shown:
        rows = rows.select_related("assignee").only(*NEEDED, *(f"assignee__{name}" for name in words.NAMED))
    if "items" in shown:
        rows = rows.prefetch_related(Prefetch("items", OrderItem.objects.order_by("pk"), to_attr="lines"))
    if "carrier" in shown:
        rows = rows.prefetch_related(Prefetch("shipments", Shipment.objects.order_by("pk"), to_attr="parcels"))
    return rows


def _in_erp(found: Sequence[Order], request: HttpRequest) -> dict[int, dict[str, Any]]:
    """order -> where it stands with the ERP. Its jobs are asked for only where it is not there."""
    ids = [order.pk for order in found]
    links = {link.order_id: link for link in Link.objects.filter(order__in=ids).only(*LINK).order_by("-pk")}
    exports: dict[int, list[Job]] = {}
    if waiting := [pk for pk in ids if pk not in links]:
        # What is done says no more than that the order is in the ERP.
        jobs = Job.objects.filter(order__in=waiting, operation="export").exclude(state=Job.State.DONE)
        for job in jobs.select_related("connection"):
            exports.setdefault(job.order_id or 0, []).append(job)
    return {order.pk: _stands(order, links.get(order.pk), exports.get(order.pk, ()), request) for order in found}


def _stands(order: Order, link: Link | None, exports: Sequence[Job], request: HttpRequest) -> dict[str, Any]:
    erps = [] if link else erps_of(request).get(order.seller_id, [])
    return words.erp_state(order, [link] if link else [], exports, erps)


def _count(rows: QuerySet[Order], start: int, found: int) -> int:
    """At most one more than the limit. Only a page behind the last one says nothing of those before it."""
    return start + found if found or not start else rows[: COUNT_UP_TO + 1].count()


def _integer(text: str | None) -> int:
    return int(text) if text and text.isdigit() and len(text) < 7 else 0


def _rows(found: Sequence[Order], request: HttpRequest, shown: Sequence[str], scope: filters.Scope) -> list[cells.Row]:
    sellers = {place.seller_id: place.seller for place in places(request)}
    for order in found:
        order.seller = sellers[order.seller_id]
    first = reasons.places(found, scope.now) if "priority" in shown else {}
    channels = {int(pk): name for pk, name in scope.channels}
    erp = _in_erp(found, request) if "erp" in shown else {}
    return [
        cells.Row(
            order, channels[order.channel_id], erp.get(order.pk, {}), *words.countdown(order), first.get(order.pk)
        )
        for order in found
    ]


def erps_of(request: HttpRequest) -> dict[int, list[Connection]]:
    """seller -> its ERPs, asked once per request."""
    known: dict[int, list[Connection]] | None = getattr(request, "_erps", None)
    if known is None:
        known = {}
        for connection in mine(Connection.objects.filter(role=Role.ERP), request):
            known.setdefault(connection.seller_id, []).append(connection)
        request._erps = known  # type: ignore[attr-defined]
    return known
