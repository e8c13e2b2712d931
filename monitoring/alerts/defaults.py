"""The rules every seller has from the first minute, and where their messages go: to the owners, by e-mail."""

from datetime import time
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import override

from hub import vault
from hub.models import Membership, Seller
from monitoring.alerts.causes import USUAL
from monitoring.models import AlertRule, Destination

Kind = AlertRule.Kind
# At night nobody invoices: what can wait is told in the morning, before the shop opens.
QUIET = {"quiet_from": time(22), "quiet_until": time(7)}
RULES: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
    (Kind.CONNECTION_DOWN, {}, {"urgent": True, "remind_minutes": 120}),
    (Kind.PROCESS_SILENT, {}, {"urgent": True, "remind_minutes": 60}),
    (Kind.SILENCE, {}, QUIET),
    (Kind.INCIDENT, {}, QUIET),
    (Kind.REPORT_AGE, {}, QUIET),
    (Kind.REPORT_ROWS, {"report": "awaiting_dispatch", "case": "late"}, QUIET),
    (Kind.REPORT_ROWS, {"report": "awaiting_invoice", "case": "late"}, QUIET),
    (Kind.TOKEN_EXPIRES, {}, {**QUIET, "remind_minutes": 1440}),
    (Kind.BACKLOG, {}, QUIET),
    (Kind.DIGEST, {}, {}),
)


def ensure(seller: Seller) -> None:
    """Makes them once. Rules can be switched off, but not deleted, so that they do not come back."""
    if AlertRule.objects.filter(seller=seller).exists():
        return
    # Two that find none at the same moment make one set.
    Seller.objects.select_for_update().get(pk=seller.pk)
    if AlertRule.objects.filter(seller=seller).exists():
        return
    destination = _owners_mail(seller)
    for kind, params, choices in RULES:
        rule = AlertRule.objects.create(seller=seller, kind=kind, params={**USUAL[kind], **params}, **choices)
        rule.destinations.add(destination)


def _owners_mail(seller: Seller) -> Destination:
    """Without an address of its own: whoever is owner when a message is sent. Nothing is sent where none has one."""
    made = Destination(seller=seller, kind=Destination.Kind.EMAIL, sealed=vault.seal({"to": ""}))
    with override(made.language):
        made.name = _("E-mail of the owners")
    made.save()
    return made


def owners(seller: Seller) -> list[str]:
    """The e-mail addresses of this seller's owners who may sign in and have not chosen for themselves."""
    people = Membership.objects.filter(seller=seller, role=Membership.Role.OWNER, user__is_active=True)
    people = people.filter(alert_destination=None)
    return list(people.exclude(user__email="").order_by("pk").values_list("user__email", flat=True))
