"""The columns of the list of orders: each person's own choice of them."""

from collections.abc import Iterable, Mapping

from django.contrib.auth.models import User
from django.utils.translation import gettext_lazy as _

from monitoring.desk import filters
from monitoring.models import OrderColumns

# The order's number always comes first.
COLUMNS = {
    "priority": _("Priority"),
    "buyer": _("Buyer"),
    "status": _("Status"),
    "ship_by": _("Ship by"),
    "items": _("Items"),
    "logistics": _("Logistics"),
    "carrier": _("Carrier"),
    "payment": _("Payment"),
    "tags": _("Tags"),
    "assignee": _("Responsible"),
    "total": _("Total"),
    "erp": "ERP",
}
USUAL = ("buyer", "status", "ship_by", "total", "erp")


def of(person: User, chosen: Mapping[str, str]) -> list[str]:
    """This person's own ones, or the usual ones, as they stand beside each other in a list of these filters.

    Who sees the list by what comes first sees why, too.
    """
    row = OrderColumns.objects.filter(person=person).first()
    own = row.chosen if row is not None else USUAL
    first = filters.sorting(chosen) == filters.FIRST
    return [name for name in COLUMNS if name in own or (first and name == "priority")]


def choose(person: User, names: Iterable[str]) -> None:
    """Without a known one among them: the usual ones again."""
    chosen = [name for name in COLUMNS if name in set(names)]
    if chosen:
        OrderColumns.objects.update_or_create(person=person, defaults={"chosen": chosen})
    else:
        OrderColumns.objects.filter(person=person).delete()
