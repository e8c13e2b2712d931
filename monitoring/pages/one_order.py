"""One order: what it is, where it stands and why, and everything that happened to it."""

from collections.abc import Callable
from typing import Any

from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from connectors import actions
from connectors.models import InboxEntry, Job
from hub.tenancy import may_act
from monitoring.pages import words
from monitoring.pages.orders import erps_of
from monitoring.pages.shell import action, actor, back, carry_out, must_act, one, page, show
from orders import doors, timeline
from orders.models import Order, OrderEvent, Shipment
from orders.vocabulary import Hold, OrderStatus

# Newest first; an order that was tried for days has hundreds.
CALLS_SHOWN = 50


@page
def order(request: HttpRequest, pk: int) -> HttpResponse:
    rows = Order.objects.select_related("channel", "seller").prefetch_related(
        "references", "items", "payments", "invoices", "links__connection", "events",
        Prefetch("shipments", Shipment.objects.prefetch_related("events")),
    )  # fmt: skip
    sale = one(rows, request, pk)
    jobs = list(sale.jobs.select_related("connection").order_by("-created_at"))
    exports = [job for job in jobs if job.operation == "export"]
    erp = words.erp_state(sale, sale.links.all(), exports, erps_of(request).get(sale.seller_id, []))
    left, left_tone = words.countdown(sale)
    return show(
        request,
        "order.html",
        _("Order %(number)s") % {"number": sale.external_id},
        order=sale,
        erp=erp,
        left=left,
        left_tone=left_tone,
        other_numbers=[known.value for known in sale.references.all() if known.value != sale.external_id],
        parts=_parts(sale),
        addresses=_addresses(sale),
        withheld=Hold.MASKED in sale.holds,
        timeline=[(entry, _told(entry)) for entry in timeline.collapsed(sale.events.all())],
        jobs=jobs,
        retriable=(Job.State.REFUSED, Job.State.UNKNOWN, Job.State.READY),
        calls=list(sale.exchanges.select_related("connection").order_by("-started_at")[:CALLS_SHOWN]),
        calls_shown=CALLS_SHOWN,
        documents=InboxEntry.objects.filter(order=sale).defer("body").order_by("-received_at")[:10],
        can_act=may_act(request.user, sale.seller),
        can_hold=sale.status in (OrderStatus.PENDING, OrderStatus.APPROVED)
        and sale.exported_at is None
        and Hold.PERSON not in sale.active_holds,
    )


def _told(entry: timeline.Entry) -> str:
    """The entry's sentence, with what connectors said and the names of steps in the reader's language, too."""
    data = dict(entry.event.data)
    for name, translate in (("message", words.stored), ("operation", words.operation)):
        if isinstance(data.get(name), str):
            data[name] = translate(data[name])
    return timeline.sentence(OrderEvent(code=entry.event.code, data=data))


def _parts(sale: Order) -> list[tuple[str, str, Any]]:
    """(sign, name, amount) of the proof: what the total is made of, in the order it is added up."""
    named = [
        ("", _("Items"), sale.items_total),
        ("−", _("Discount"), sale.discount),
        ("+", _("Freight"), sale.freight),
        ("+", _("Interest"), sale.interest),
        ("+", _("Other charges"), sale.other),
        ("−", _("Paid by the marketplace"), sale.subsidy),
    ]
    return [(sign, name, amount) for sign, name, amount in named if amount or not sign]


def _addresses(sale: Order) -> list[tuple[str, dict[str, Any]]]:
    """The delivery address, and the billing address where it is another one."""
    found = [(_("Delivery address"), sale.ship_to)] if sale.ship_to else []
    if sale.bill_to and sale.bill_to != sale.ship_to:
        found.append((_("Billing address"), sale.bill_to))
    return found


# --- What a person may do ------------------------------------------------------------------------------------------


def _deed(request: HttpRequest, pk: int, deed: Callable[[Order], Any], done: str) -> HttpResponse:
    sale = one(Order.objects.select_related("seller", "channel__connection"), request, pk)
    must_act(request, sale.seller)
    carry_out(request, lambda: deed(sale), done)
    return back(request, reverse("order", args=[pk]))


@action
def hold(request: HttpRequest, pk: int) -> HttpResponse:
    return _deed(request, pk, lambda sale: doors.hold(sale, actor(request)), _("The order is held."))


@action
def release(request: HttpRequest, pk: int) -> HttpResponse:
    """Releases the holds named in the form, or all that are active."""
    chosen = request.POST.getlist("hold")
    return _deed(
        request,
        pk,
        lambda sale: actions.release(
            sale, [code for code in sale.active_holds if not chosen or code in chosen], actor(request)
        ),
        _("Released. The order goes on by itself."),
    )


@action
def note(request: HttpRequest, pk: int) -> HttpResponse:
    text = request.POST.get("text", "").strip()[:2000]
    if not text:
        return back(request, reverse("order", args=[pk]))
    return _deed(request, pk, lambda sale: doors.note(sale, text, actor(request)), _("The note is kept."))
