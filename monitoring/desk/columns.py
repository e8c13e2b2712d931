"""The columns of the list of orders: each person's own choice of them."""

from collections.abc import Iterable

from django.contrib.auth.models import User
from django.utils.translation import gettext_lazy as _

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
    "total": _("Total"),
    "erp": "ERP",
}
USUAL = ("buyer", "status", "ship_by", "total", "erp")


def of(person: User) -> list[str]:
    """Chosen ones, or the usual ones, as they stand beside each other."""
    row = OrderColumns.objects.filter(person=person).first()
    chosen = row.chosen if row is not None else USUAL
    return [name for name in COLUMNS if name in chosen]


def choose(person: User, names: Iterable[str]) -> None:
    """Without a known one among them: the usual ones again."""
    chosen = [name for name in COLUMNS if name in set(names)]
    if chosen:
        OrderColumns.objects.update_or_create(person=person, defaults={"chosen": chosen})
    else:
        OrderColumns.objects.filter(person=person).delete()
