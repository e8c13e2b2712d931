"""One order: what it is, where it stands and why, and everything that happened to it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connectors import actions, cancelling, planning
from connectors.models import InboxEntry, Job
from hub.tenancy import Permission, may_act, workers_of
from monitoring import history, story
from monitoring.pages import words
from monitoring.pages.orders import erps_of
from monitoring.pages.shell import action, actor, back, carry_out, cover, must_act, one, page, sees, show
from orders import doors
from orders.corrections import LABELS, PEOPLE, parcel
from orders.models import Order, Rule, Shipment
from orders.tags import LOST
from orders.vocabulary import Hold, Logistics, OrderStatus

DOCUMENTS_SHOWN = 10
CORRECTED = (OrderStatus.PENDING, OrderStatus.APPROVED, OrderStatus.INVOICED)
INVOICED = (OrderStatus.APPROVED, OrderStatus.INVOICED, OrderStatus.SHIPPED, OrderStatus.DELIVERED)


@page
def order(request: HttpRequest, pk: int) -> HttpResponse:
    rows = Order.objects.select_related("channel__connection", "seller", "assignee").prefetch_related(
        "references", "items", "payments", "invoices", "links__connection", "events",
        Prefetch("shipments", Shipment.objects.prefetch_related("events")),
    )  # fmt: skip
    sale = one(rows, request, pk)
    sees_buyer = sees(request, Permission.BUYER, sale.seller_id)
    can_act = may_act(request.user, sale.seller)
    corrected = _corrected(sale)
    if not sees_buyer:
        cover(sale)
    jobs = list(sale.jobs.select_related("connection").order_by("-created_at"))
    exports = [job for job in jobs if job.operation == "export"]
    erps = erps_of(request).get(sale.seller_id, [])
    erp = words.erp_state(sale, sale.links.all(), exports, erps)
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
        corrected=[row for part in PEOPLE for row in corrected.get(part, ()) if sees_buyer],
        parcels=[(one, corrected.get(parcel(one.pk), ())) for one in sale.shipments.all()],
        addresses=_addresses(sale),
        withheld=Hold.MASKED in sale.holds,
        move=story.next_move(story.Facts(sale, jobs, erps)),
        **_history(request, sale),
        jobs=jobs,
        retriable=(Job.State.REFUSED, Job.State.UNKNOWN, Job.State.READY, Job.State.CLOSED),
        can_act=can_act,
        can_correct=can_act and sees_buyer and _waits(sale, exports),
        wrong_buyer=Hold.BUYER in sale.active_holds,
        can_invoice=can_act and sale.status in INVOICED and sale.logistics != Logistics.FULFILLED,
        sees_buyer=sees_buyer,
        sees_calls=sees_buyer and sees(request, Permission.MONEY, sale.seller_id),
        people=workers_of([sale.seller_id]) if can_act else (),
        acted=Rule.objects.filter(pk__in=sale.ruled).order_by("position", "pk") if sale.ruled else (),
        can_cancel=can_act and cancelling.possible(sale) and not planning.being_cancelled(sale),
        longest_reason=cancelling.LONGEST_REASON,
        can_lose=sale.status == OrderStatus.SHIPPED and LOST not in sale.tags,
        can_hold=sale.status in (OrderStatus.PENDING, OrderStatus.APPROVED)
        and sale.exported_at is None
        and Hold.PERSON not in sale.active_holds,
    )


def _history(request: HttpRequest, sale: Order) -> dict[str, Any]:
    """Everything that happened, or one kind of it (`history`)."""
    kind = request.GET.get("history", "")
    calls = sale.exchanges.select_related("job").order_by("-started_at")[: history.CALLS]
    documents = list(InboxEntry.objects.filter(order=sale).defer("body").order_by("-received_at")[:DOCUMENTS_SHOWN])
    lines = history.history(sale, calls, documents)
    return {
        "documents": documents,
        "kinds": [(code, label) for code, label in history.KINDS.items() if any(line.kind == code for line in lines)],
        "kind": kind,
        "history": [line for line in lines if kind in ("", line.kind)],
    }


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


def _waits(sale: Order, exports: list[Job]) -> bool:
    """Whether it may still go to the ERP, and so be corrected before."""
    by_hand = any(job.state == Job.State.CLOSED for job in exports)
    return sale.exported_at is None and sale.status in CORRECTED and not by_hand


@dataclass(frozen=True)
class Corrected:
    """A correction as the page shows it, with what the source says."""

    path: str
    label: str
    where: str
    was: str
    by: str
    at: datetime | None


def _corrected(sale: Order) -> dict[str, list[Corrected]]:
    """By the part that they are of; see `orders.corrections`."""
    rows = [
        Corrected(path, str(LABELS[name]), str(_WHERE.get(part, "")), one["was"], one["by"], parse_datetime(one["at"]))
        for path, one in sale.corrections.items()
        for part, _dot, name in [path.rpartition(".")]
        if name in LABELS and one["was"] != one["value"]
    ]
    of_parts: dict[str, list[Corrected]] = {}
    for row in rows:
        of_parts.setdefault(row.path.partition(".")[0], []).append(row)
    return of_parts


_WHERE = {"ship_to": gettext_lazy("Delivery address"), "bill_to": gettext_lazy("Billing address")}


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
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """At its channel, which decides: the order is cancelled once the channel shows it."""
    reason = request.POST.get("reason", "").strip()
    done = _("The channel is asked to cancel this sale.")
    return _deed(request, pk, lambda sale: cancelling.ask(sale, reason, actor(request)), done)


@action
def lost(request: HttpRequest, pk: int) -> HttpResponse:
    done = _("Declared lost: nobody waits for it any more.")
    return _deed(request, pk, lambda sale: doors.declare_lost(sale, actor(request)), done)


@action
def assign(request: HttpRequest, pk: int) -> HttpResponse:
    """To a person of the seller, or to nobody."""
    chosen = request.POST.get("person", "")

    def assigned(sale: Order) -> bool:
        known = chosen.isdecimal() and len(chosen) < 10
        taker = workers_of([sale.seller_id]).filter(pk=int(chosen)).first() if known else None
        return doors.assign(sale, taker, actor(request))

    return _deed(request, pk, assigned, _("Kept."))


@action
def note(request: HttpRequest, pk: int) -> HttpResponse:
    text = request.POST.get("text", "").strip()[:2000]
    if not text:
        return back(request, reverse("order", args=[pk]))
    return _deed(request, pk, lambda sale: doors.note(sale, text, actor(request)), _("The note is kept."))
