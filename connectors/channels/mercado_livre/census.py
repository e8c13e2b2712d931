"""Every order placed in a window, from the search alone: two passes, since it hides cancelled orders.

The search answers with whole orders; a pack's freight is paid apart from them and stands in its shipment, so that the
total of such a sale is known but for it.
"""

from connectors.channels.mercado_livre import listing, words
from connectors.contract import Account, CensusPage, Cursor, ListedSale, Window
from connectors.http import Client
from connectors.reading import Reader, parse_json
from orders.documents import ZERO

STATUSES = {words.UNPAID: "pending", words.PAID: "approved", words.CANCELLED: "cancelled"}


def census(account: Account, http: Client, cursor: Cursor, window: Window) -> CensusPage:
    page = listing.changes(account, http, cursor, window)
    return CensusPage([listed(Reader(parse_json(one.body))) for one in page.changes], page.cursor, page.more)


def listed(order: Reader) -> ListedSale:
    payments = [one for one in order.list("payments") if one.text("status", "") in words.MONEY_CAME]
    paid = sum((one.number("total_paid_amount", one.number("transaction_amount", ZERO)) for one in payments), ZERO)
    total = paid if payments else order.number("total_amount", order.number("paid_amount", ZERO))
    number = order.text("id")
    return ListedSale(
        external_id=order.text("pack_id", "") or number,
        part=number,
        placed_at=order.when("date_created"),
        status=_status(order),
        raw_status=order.text("status", "")[:120],
        total=total or None,
        freight_apart=not sum((one.number("shipping_cost", ZERO) for one in payments), ZERO),
    )


def _status(order: Reader) -> str:
    """Empty for a word that is not known; "fulfilled: false" of the seller's feedback is a cancellation, too."""
    status = order.text("status", "")
    if status == "confirmed" and order.raw.get("fulfilled") is False:
        return "cancelled"
    return STATUSES.get(words.ORDER.get(status, ""), "")
