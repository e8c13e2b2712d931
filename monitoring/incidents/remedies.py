"""What an incident is in plain words: what happened, what it means, how to solve it, and the page where that is done.

Tables with defaults: by the failure's code first, else by its category. What a service says in its own failure table is
the incident's message; here is what people do about it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connectors import registry
from connectors.contract import Capability
from connectors.failures import NOT_YET, Category, in_general
from connectors.models import Job
from monitoring.incidents import groups
from monitoring.models import Incident
from monitoring.pages import sentences, words

Text = str | Promise
# The JSON path behind a sentence: for the one document, not for all.
_WHERE = re.compile(r" \(\$[^)]*\)$")
# Codes of an SKU that the ERP does not know, or not as one product.
UNKNOWN_SKU = frozenset({"sku", "unknown_sku"})
# Trying again changes nothing as long as the facts are as they are: a person settles it and marks it as handled.
BY_HAND = frozenset(
    {
        "cancelled_after_invoice", "cancelled_in_erp", "cannot_cancel", "cannot_search", "has_left", "lines_cancelled",
        "linked_elsewhere", "nothing_left", "twin",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Remedy:
    what: str
    meaning: str
    how: str
    who: str


# --- What it means --------------------------------------------------------------------------------------------------

MEANINGS: Mapping[str, Text] = {
    "export": gettext_lazy(
        "These sales are not in the ERP yet: nobody picks or invoices them, and their deadlines run."
    ),
    "cancel_erp": gettext_lazy("These sales are cancelled at the channel but not in the ERP: they may be shipped."),
    "change_erp": gettext_lazy("The ERP's order is no longer what was sold: too much may be shipped or invoiced."),
    "read_erp": gettext_lazy(
        "Invoices and parcels of these sales do not reach the channel: it may count them as late."
    ),
    "fetch": gettext_lazy("What is new about these sales is not known here; a new one may be missing."),
    "send_invoice": gettext_lazy("The channel does not have the invoice: it may hold the label back or count a delay."),
    "send_dispatch": gettext_lazy("The channel does not know that these were shipped: it may count them as late."),
    "send_delivery": gettext_lazy("The channel does not know that these were delivered: payment may come later."),
    "cancel_sale": gettext_lazy(
        "The channel still counts on these sales: the buyers wait for them, and their deadlines run."
    ),
    "label": gettext_lazy(
        "The channel's labels of these sales are not here: print ours, or fetch them at the channel."
    ),
    "backfill": gettext_lazy("The period that somebody asked for is not read to its end."),
    "census": gettext_lazy("The comparison with this service is not complete: what is missing may go unnoticed."),
    "cancel_twin": gettext_lazy("The ERP has these sales twice: they may be shipped and invoiced twice."),
    groups.READ: gettext_lazy("These sales are missing in the hub, or old in it, until the documents can be read."),
    groups.CONNECTION: gettext_lazy(
        "Nothing goes to this service or comes from it. All that waits goes on by itself once it works again."
    ),
    groups.POLL: gettext_lazy("New sales are not noticed unless the channel announces them by itself."),
}

# --- How it is solved -----------------------------------------------------------------------------------------------

_SETTLE = gettext_lazy("Settle it in the ERP as the message says, then mark it here as handled by hand.")
_PRODUCT = gettext_lazy(
    "Create the product in the ERP with exactly this SKU, or say below which SKU it has there. Then try again."
)
HOW: Mapping[str, Text] = {
    "sku": _PRODUCT,
    "unknown_sku": _PRODUCT,
    "double_sku": gettext_lazy("Leave one product with this SKU in the ERP and rename the others. Then try again."),
    "not_salable": gettext_lazy("Mark the product as salable in the ERP. Then try again."),
    "several": gettext_lazy(
        "Cancel all but one of these orders in the ERP. Then try again: the one left is taken over."
    ),
    "cannot_search": gettext_lazy(
        "Look for each order in the ERP. Where it is there, mark it as handled by hand; where it is not, try it again."
    ),
    "cancelled_after_invoice": gettext_lazy(
        "Cancel the invoice in the ERP within the legal window, or register a return. Then mark it as handled by hand."
    ),
    "lines_cancelled": _SETTLE,
    "cancelled_in_erp": _SETTLE,
    "cannot_cancel": _SETTLE,
    "twin": _SETTLE,
    "linked_elsewhere": _SETTLE,
    "nothing_left": gettext_lazy("Nothing is left to send of these sales: mark them as handled by hand."),
    "no_carrier": gettext_lazy(
        "Enter the carrier by “Correct…” beside the order, or choose a default one for this connection and try again."
    ),
    "no_tracking": gettext_lazy(
        "Enter the tracking code by “Correct…” beside the order, or in the ERP; then try again."
    ),
    "no_xml": gettext_lazy(
        "Give the NF-e's XML by “Correct…” beside the order, or see to it that the ERP has it; then try again."
    ),
    "not_enabled": gettext_lazy(
        "Ask the service for this permission. Until then do the step there, and mark it as handled."
    ),
    "has_left": gettext_lazy("It is a return now: wait for the parcel, then mark this as handled by hand."),
    "not_cancelled": gettext_lazy(
        "Read what the channel says. Cancel the sale there, or release the order so that it goes on; then mark this as "
        "handled by hand."
    ),
    "lost": gettext_lazy("Try again. If the worker dies again, tell whoever runs the hub."),
    NOT_YET: gettext_lazy("The other side is not ready; it is asked again by itself. Look there if it lasts."),
    "private_address": gettext_lazy("Correct the address of this connection, or have whoever runs the hub allow it."),
    "bad_address": gettext_lazy("Correct the address of this connection."),
}
BY_CATEGORY: Mapping[str, Text] = {
    Category.TRANSIENT: gettext_lazy(
        "Nothing to do for now: it is tried again by itself, and goes on when the service is back."
    ),
    Category.RATE_LIMITED: gettext_lazy(
        "Nothing to do for now: it goes on when the service allows it. If it lasts, ask for a higher limit."
    ),
    Category.AUTH: gettext_lazy("Sign in again. All that waits goes on by itself then."),
    Category.REJECTED: gettext_lazy(
        "Correct the data where it comes from. Then try again: the preview says what would still fail."
    ),
    Category.BUG: gettext_lazy("Try again. If it stays, tell whoever runs the hub and send the message along."),
}
HOW_TO_CORRECT = gettext_lazy(
    "Correct the data by “Correct…” beside each order, which sends it at once; or where it comes from, then try again: "
    "the preview says what would still fail."
)
HOW_TO_READ = gettext_lazy(
    "Look at one of the documents. Once the hub can read them, after an update or a changed setting, read them again."
)
HOW_TO_POLL = gettext_lazy("Test the connection and read its last calls. If it stays, tell whoever runs the hub.")

# Codes whose remedy is the connection's settings.
_SETTINGS = frozenset({"no_carrier", "private_address", "bad_address", "database", "no_server", "no_company"})


def remedy(incident: Incident) -> Remedy:
    return Remedy(
        what=what(incident),
        meaning=str(MEANINGS.get(incident.operation, "")),
        how=str(_how(incident)),
        who=_who(incident),
    )


def what(incident: Incident) -> str:
    name = {"name": incident.connection.name}
    if incident.operation == groups.CONNECTION:
        if incident.cause == groups.SIGN_IN:
            return _("%(name)s needs a new sign-in") % name
        return _("%(name)s does not answer") % name
    if incident.operation == groups.POLL:
        return _("%(name)s cannot be asked for news") % name
    if incident.operation == groups.READ:
        return _("Documents of %(name)s cannot be read") % name
    said = _WHERE.sub("", words.stored(incident.message))
    if incident.blocked > 1:
        # One of them in its own words would name another's SKU or number.
        said = in_general(said, "…").replace("….", "…")
    return said or words.category(incident.category) or words.operation(incident.operation)


def _how(incident: Incident) -> Text:
    if incident.operation == groups.READ:
        return HOW_TO_READ
    if incident.operation == groups.POLL:
        return HOW_TO_POLL
    if incident.category == Category.REJECTED and incident.operation in CORRECTED and incident.code not in HOW:
        return HOW_TO_CORRECT
    return HOW.get(incident.code) or BY_CATEGORY.get(incident.category) or BY_CATEGORY[Category.BUG]


def _who(incident: Incident) -> str:
    """Whose move it is."""
    if incident.code == NOT_YET or incident.category in (Category.TRANSIENT, Category.RATE_LIMITED):
        return incident.connection.name
    if incident.category == Category.BUG or incident.operation in (groups.READ, groups.POLL):
        return _("whoever runs the hub")
    return _("you")


def fix(incident: Incident) -> tuple[str, str]:
    """(address, label) of where it is mended; empty where that is outside the hub, or on the incident's own page."""
    connection = incident.connection
    if incident.category == Category.AUTH:
        return _sign_in(incident), _("Sign in again")
    if incident.code in _SETTINGS:
        return reverse("connection_change", args=[connection.pk]), _("Change the connection")
    if incident.operation in (groups.CONNECTION, groups.POLL) or incident.category == Category.TRANSIENT:
        return reverse("connection", args=[connection.pk]), _("See the connection")
    if incident.operation == groups.READ:
        entry = groups.entries_of(incident).order_by("received_at").values_list("pk", flat=True).first()
        return (reverse("entry", args=[entry]), _("See a document")) if entry else ("", "")
    return _orders(incident)


CORRECTED = ("export", "send_invoice", "send_dispatch", "send_delivery")


def correction(job: Job) -> str:
    """The page where what this refused step sends is corrected and sent again; empty where that would not help."""
    if job.state != Job.State.REFUSED or job.category != Category.REJECTED or job.code in BY_HAND:
        return ""
    if job.order_id is None:
        return ""
    if job.operation == "export":
        return reverse("order_correct", args=[job.order_id])
    if job.operation == "send_invoice":
        return reverse("order_invoice", args=[job.order_id])
    told_of_parcel = job.operation in ("send_dispatch", "send_delivery")
    return reverse("parcel_correct", args=[job.key.partition(":")[2]]) if told_of_parcel else ""


def _sign_in(incident: Incident) -> str:
    service = registry.services().get(incident.connection.kind)
    consents = service is not None and Capability.CONSENT in service.capabilities
    return reverse("connection_sign_in" if consents else "connection_change", args=[incident.connection_id])


def _orders(incident: Incident) -> tuple[str, str]:
    """The one order, or the orders with the one SKU it is about; several of them are listed on the incident itself."""
    jobs = groups.jobs_of(incident).exclude(order=None)
    orders = list(jobs.order_by("order").values_list("order", flat=True).distinct()[:2])
    if len(orders) == 1:
        return reverse("order", args=orders), _("See the order")
    messages = list(jobs.order_by("error").values_list("error", flat=True).distinct()[:2])
    if len(messages) == 1 and (sku := sku_of(incident.code, messages[0])):
        return f"{reverse('orders')}?{urlencode({'erp': 'no', 'q': sku})}", _("Orders with SKU %(sku)s") % {"sku": sku}
    return "", ""


def sku_of(code: str, message: str) -> str:
    """The SKU that a refusal for an unknown one names; empty for any other message."""
    if code not in UNKNOWN_SKU:
        return ""
    # `Failure` puts the JSON path before its sentence.
    for text in (message, message.partition(": ")[2]):
        values: dict[str, Any] = dict((sentences.recognised(text) or ("", ()))[1])
        if sku := str(values.get("sku", "")):
            return sku.strip("'\"")
    return ""
