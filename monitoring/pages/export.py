"""The filtered list as a CSV file for a spreadsheet, sent while it is read: any number of orders, little memory."""

from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from hub.tenancy import Permission
from monitoring import sheets
from monitoring.desk import table
from monitoring.pages.orders import wanted
from monitoring.pages.shell import page, sees_everywhere
from orders.models import Order


@page
def export(request: HttpRequest) -> StreamingHttpResponse:
    orders = table.with_parts(wanted(request)).iterator(chunk_size=sheets.CHUNK)
    kept = table.hidden(
        sees_buyer=sees_everywhere(request, Permission.BUYER), sees_money=sees_everywhere(request, Permission.MONEY)
    )

    def cells(order: Order, comma: bool) -> list[str]:
        found = enumerate(table.values(order))
        return ["" if place in kept else sheets.cell(value, comma) for place, value in found]

    name = f"{_('orders')}-{timezone.localtime():%Y-%m-%d-%H%M}.csv"
    language = translation.get_language() or "pt-br"
    return sheets.answer(name, sheets.lines(table.COLUMNS, orders, cells, language))
