"""A sale that somebody has entered in the ERP by hand: found there by a number, and taken for the sale."""

from typing import Any

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from connectors import sales
from connectors.contract import Capability, Reference, Role
from connectors.failures import Failure
from connectors.models import Connection, Link
from connectors.registry import service
from connectors.work import Desk
from hub.tenancy import may_act
from monitoring.models import Listed
from monitoring.pages import sentences
from monitoring.pages.shell import action, actor, back, carry_out, mine, must_act, one, page, show
from monitoring.reconciliation import deeds, facts, words
from orders.models import Order

CANDIDATES_SHOWN = 20


@page
def search(request: HttpRequest, pk: int) -> HttpResponse:
    """Looks for the sale in the ERP, under its own number or one that a person knows."""
    sale = one(Order.objects.select_related("channel__connection", "seller"), request, pk)
    asked = request.GET.get("number", "").strip()[:120]
    erps = list(mine(Connection.objects.filter(role=Role.ERP, seller=sale.seller_id), request).order_by("pk"))
    found: list[tuple[Connection, dict[str, Any]]] = []
    if asked and may_act(request.user, sale.seller):
        found = [(erp, entry) for erp in erps for entry in _candidates(request, erp, sale, asked)]
    return show(
        request,
        "adopt.html",
        _("Find order %(number)s in the ERP") % {"number": sale.external_id},
        order=sale,
        asked=asked,
        found=found,
        link=Link.objects.filter(order=sale).first(),
        can_act=may_act(request.user, sale.seller),
    )


def _candidates(request: HttpRequest, erp: Connection, sale: Order, asked: str) -> list[dict[str, Any]]:
    """What the last comparison listed under this number, and what the ERP itself finds."""
    listed = Listed.objects.filter(connection=erp).filter(Q(number=asked) | Q(reference=asked) | Q(key=asked))
    sides = {row.key: facts.of_listed(row) for row in listed[:CANDIDATES_SHOWN]}
    try:
        for entry in _find(erp, sale, asked):
            sides.setdefault(entry["id"], entry)
    except Failure as failure:
        messages.warning(request, f"{erp.name}: {sentences.translated(str(failure))}")
    taken = set(Link.objects.filter(connection=erp, external_id__in=sides).values_list("external_id", flat=True))
    return [{**words.shown(erp.name, side), "taken": key in taken} for key, side in sides.items()]


def _find(erp: Connection, sale: Order, asked: str) -> list[facts.Side]:
    if Capability.FIND not in service(erp.kind).capabilities:
        return []
    reference = Reference(asked, sale.channel_id, sale.channel.kind, sale.channel.name, sales.hub_key(sale))
    desk = Desk(erp)
    try:
        found = desk.adapter.find(reference)
    finally:
        desk.close()
    return [
        {
            "id": entry.external_id,
            "number": entry.number or entry.external_id,
            "status": "cancelled" if entry.cancelled else "",
            "raw_status": entry.raw_status,
            "total": facts.money(entry.total),
            "at": "",
            "buyer": entry.buyer,
        }
        for entry in found
    ]


@action
def adopt(request: HttpRequest, pk: int) -> HttpResponse:
    sale = one(Order.objects.select_related("channel", "seller"), request, pk)
    must_act(request, sale.seller)
    erp = one(Connection.objects.filter(seller=sale.seller_id, role=Role.ERP), request, _number(request, "connection"))
    external_id = request.POST.get("choice", "").strip()[:120]
    done = _("The ERP's order was taken for this sale. Nothing more is sent.")
    carry_out(request, lambda: deeds.adopt_by_hand(sale, erp, external_id, actor(request)), done)
    return back(request, reverse("order", args=[pk]))


def _number(request: HttpRequest, name: str) -> int:
    said = request.POST.get(name, "")
    return int(said) if said.isdecimal() and len(said) < 19 else 0
