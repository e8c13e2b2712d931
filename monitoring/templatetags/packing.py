"""The documents part of an order's page: it brings along what it shows, so that the page need not know of packing."""

from typing import Any

from django import template
from django.http import HttpRequest

from hub.tenancy import Permission
from monitoring.packing import dispatch, fetching, printing
from monitoring.packing.picking import with_parts
from monitoring.pages.shell import sees
from orders.models import Order
from orders.vocabulary import Logistics, OrderStatus

register = template.Library()
NO_LABEL = (Logistics.FULFILLED, Logistics.NONE)
SENDING = (OrderStatus.APPROVED, OrderStatus.INVOICED, OrderStatus.SHIPPED)


@register.simple_tag
def papers(order: Order, request: HttpRequest) -> dict[str, Any]:
    works = sees(request, Permission.WORK, order.seller_id)
    found: dict[str, Any] = {
        "works": works,
        "buyer": sees(request, Permission.BUYER, order.seller_id),
        "zpl": {fetching.ZPL},
        "xml": any(invoice.sealed_xml and not invoice.cancelled for invoice in order.invoices.all()),
    }
    if works and order.status in SENDING and order.logistics not in NO_LABEL:
        [found["line"]] = printing.lines(list(with_parts(Order.objects.filter(pk=order.pk))))
    if works:
        found["may_leave"] = not dispatch.obstacle(order)
        found["known"] = dispatch.known_parcel(order) if found["may_leave"] else None
        found["by_hand"] = dispatch.by_hand(order) if order.shipped_at else None
    return found
