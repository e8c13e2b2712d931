"""What a bar code reader may have typed: an NF-e key, one of the channel's numbers, a tracking code, our QR code."""

import re
from collections.abc import Iterable, Sequence

from orders.documents import storable
from orders.invoices import KEY
from orders.models import Invoice, Order, OrderReference, SalesChannel, Shipment

LONGEST = 300
# More than that a person cannot choose from.
MOST = 20
_PAGE = re.compile(r"/orders/([0-9]{1,18})/?$")


def find(text: str, sellers: Sequence[int]) -> list[Order]:
    """These sellers' orders that it is a number of. The surest kind of number that finds any decides."""
    text = storable(text.strip()[:LONGEST])
    if not text:
        return []
    for look in (_by_page, _by_key, _by_reference, _by_tracking_code):
        ids = list(look(text, sellers))
        found = Order.objects.filter(pk__in=ids, seller__in=sellers) if ids else Order.objects.none()
        if orders := list(found.select_related("channel", "seller").order_by("-placed_at", "-pk")[:MOST]):
            return orders
    return []


def _by_page(text: str, sellers: Sequence[int]) -> Iterable[int]:
    page = _PAGE.search(text)
    return [int(page[1])] if page else []


def _by_key(text: str, sellers: Sequence[int]) -> Iterable[int]:
    """With or without blanks, and with the "NFe" that stands before it in the XML."""
    key = re.sub(r"\s", "", text.upper()).removeprefix("NFE")
    if not KEY.fullmatch(key):
        return []
    return Invoice.objects.filter(key=key, seller__in=sellers).values_list("order_id", flat=True)


def _by_reference(text: str, sellers: Sequence[int]) -> Iterable[int]:
    channels = list(SalesChannel.objects.filter(seller__in=sellers).values_list("pk", flat=True))
    wanted = {text, text.removeprefix("#")}
    known = OrderReference.objects.filter(channel__in=channels, value__in=wanted)
    return known.values_list("order_id", flat=True)[:MOST]


def _by_tracking_code(text: str, sellers: Sequence[int]) -> Iterable[int]:
    codes = {text, text.upper(), re.sub(r"\s", "", text.upper())}
    parcels = Shipment.objects.filter(tracking_code__in=codes, order__seller__in=sellers)
    return parcels.values_list("order_id", flat=True)[:MOST]
